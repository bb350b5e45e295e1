"""The page of estimates: work one out, record it, withdraw it. No rules."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounting.estimates import queries, services
from apps.accounting.estimates.forms import FORMS, EstimateForm, default_dates
from apps.core.exports import csv_response
from apps.organisations.pages import PageRequest, actor_of, first_error, report_errors, requires
from apps.organisations.roles import Capability
from apps.telemetry import queries as telemetry
from apps.telemetry.models import Estimate
from apps.workloads import queries as workloads

PER_PAGE = 50
RENAMED = {"utilisation": "utilisation_percent"}


@requires(Capability.CONNECT)
@require_http_methods(["GET", "POST"])
def estimates(request: PageRequest) -> HttpResponse:
    """What was estimated, and the form for another; posted with ``preview`` it is worked out and not stored."""
    if request.GET.get("format") == "csv":
        return _export(request)
    basis = request.GET.get("basis", "")
    make = FORMS.get(basis) or FORMS[Estimate.Basis.ACCELERATOR_HOURS]
    form = make(
        request.POST or None, organisation=request.organisation, initial=default_dates(datetime.now(UTC).date())
    )
    outcome = None
    if request.method == "POST" and form.is_valid():
        try:
            if "record" in request.POST:
                made = services.record_estimate(
                    organisation=request.organisation, said=form.request(), actor=actor_of(request)
                )
                messages.success(request, f"{made.source.name}: {made.working}. Figures follow within a minute.")
                return redirect("estimates", request.organisation.slug)
            outcome = services.work_out(form.request())
        except ValidationError as error:
            report_errors(form, error, RENAMED)
    if request.headers.get("X-Preview"):
        return render(request, "accounting/estimates/preview.html", {"outcome": outcome, "form": form})
    return render(request, "accounting/estimates/page.html", _context(request, form, outcome))


@requires(Capability.CONNECT)
@require_POST
def withdraw(request: PageRequest, estimate_id: int) -> HttpResponse:
    """Take an estimate out of the accounts."""
    estimate = queries.estimate(request.organisation, estimate_id)
    if estimate is None:
        raise Http404("No such estimate.")
    name = estimate.source.name
    try:
        count = services.withdraw_estimate(
            estimate=estimate, actor=actor_of(request), reason=request.POST.get("reason", "")
        )
    except ValidationError as error:
        messages.error(request, first_error(error))
    else:
        words = "1 reading" if count == 1 else f"{count} readings"
        messages.success(request, f"The estimate of {name} is withdrawn, {words} set aside in the history.")
    return redirect("estimates", request.organisation.slug)


def _context(request: PageRequest, form: EstimateForm, outcome: services.Outcome | None) -> dict[str, Any]:
    rows = Paginator(queries.estimates(request.organisation), PER_PAGE).get_page(request.GET.get("page"))
    return {
        "form": form,
        "basis": form.basis,
        "bases": Estimate.Basis.choices,
        "outcome": outcome,
        "page": rows,
        "teams": telemetry.teams(request.organisation),
        "models": workloads.models(request.organisation)[:500],
    }


def _export(request: PageRequest) -> HttpResponse:
    header = ["source", "basis", "start", "end", "energy_wh", "working", "profile_source", "created_by", "created_at"]
    rows = [
        [
            row.source.name,
            row.basis,
            row.start.isoformat(),
            row.end.isoformat(),
            f"{row.energy_microwatt_hours / 1_000_000:.6f}",
            row.working,
            row.profile_source,
            row.created_by,
            row.created_at.isoformat(),
        ]
        for row in queries.estimates(request.organisation)
    ]
    return csv_response(f"{request.organisation.slug}-estimates", header, rows)
