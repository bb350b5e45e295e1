"""The methodology as pages of the site."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_GET

from apps.accounting.methodology import queries
from apps.core.texts import CONTENTS, as_html
from apps.organisations.pages import PageRequest, requires
from apps.organisations.roles import Capability


@requires(Capability.READ)
@require_GET
def methodology(request: PageRequest, name: str = CONTENTS) -> HttpResponse:
    whole = queries.methodology()
    text = whole.text(name)
    if text is None:
        raise Http404("No such page of the methodology.")

    def link(other: str) -> str:
        return reverse("methodology-page", args=[request.organisation.slug, other])

    context = {
        "whole": whole,
        "text": text,
        # The renderer escapes what the text holds; the text is the portal's own.
        "body": mark_safe(as_html(text, link=link)),  # noqa: S308
    }
    return render(request, "accounting/methodology/page.html", context)
