"""Pages of the dashboards. No rules."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from apps.organisations.models import Membership


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """Send a person to the organisation they belong to; with none, say so."""
    membership = (
        Membership.unscoped.select_related("organisation")
        .filter(person=request.user.pk)
        .order_by("organisation__name")
        .first()
    )
    if membership is None:
        return render(request, "dashboards/no_organisation.html", status=403)
    return redirect("overview", membership.organisation.slug)
