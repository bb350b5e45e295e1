"""Recipes: for each inference server the lines to paste, as pages of the site and as files of ``docs/recipes``."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_GET

from apps.core.texts import CONTENTS, Text, as_html, read_texts
from apps.organisations.pages import PageRequest, requires
from apps.organisations.roles import Capability

FOLDER = Path(settings.BASE_DIR) / "docs" / "recipes"
PORTAL = "PORTAL/"  # stands in the texts for the address of the portal


@cache
def recipes() -> tuple[Text, ...]:
    return read_texts(FOLDER)


@requires(Capability.READ)
@require_GET
def recipe(request: PageRequest, name: str = CONTENTS) -> HttpResponse:
    """A page with this portal's address filled in; the key is made on the Connect page."""
    texts = recipes()
    text = next((text for text in texts if text.name == name), None)
    if text is None:
        raise Http404("No such recipe.")
    filled = dataclasses.replace(text, body=text.body.replace(PORTAL, request.build_absolute_uri("/")))

    def link(other: str) -> str:
        return reverse("recipe", args=[request.organisation.slug, other])

    # The renderer escapes what the text holds; the text is the portal's own.
    context = {"texts": texts, "text": text, "body": mark_safe(as_html(filled, link=link))}  # noqa: S308
    return render(request, "dashboards/recipe.html", context)
