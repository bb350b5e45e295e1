"""The pages of data quality: the findings of a period, the uncertainty table, and decisions on gaps. No rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Max, Min
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounting.quality import findings, missing, queries, services, tables
from apps.accounting.quality.forms import GapForm, UncertaintyForm
from apps.accounting.queries import source_coverage
from apps.core.exports import csv_response
from apps.core.filters import Filters, parse_filters, present_quarter, quarters_between
from apps.organisations.models import Organisation
from apps.organisations.pages import PageRequest, actor_of, report_errors, requires
from apps.organisations.roles import Capability, may
from apps.telemetry import gaps
from apps.telemetry.models import GapDecision, Source

SOURCES_PER_PAGE = 25
GAPS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Bar:
    """What the filter bar offers: a period."""

    filters: Filters
    periods: list[str]
    selects: list[Any] = field(default_factory=list)
    search: bool = False


def bar_of(request: PageRequest) -> Bar:
    """The period of a request; without one the latest quarter that is over and has readings."""
    span = Source.objects.of(request.organisation).aggregate(first=Min("first_reading_at"), last=Max("last_reading_at"))
    first, last = span["first"], span["last"]
    running = present_quarter().window.start
    ended = last
    if first is not None and last is not None and last > running:
        ended = running if first < running else None
    filters = parse_filters(request.GET, ended)
    periods = quarters_between(first, last)
    if filters.period.text and filters.period.text not in periods:
        periods = sorted({*periods, filters.period.text}, reverse=True)
    return Bar(filters, periods)


@requires(Capability.READ)
@require_GET
def quality(request: PageRequest) -> HttpResponse:
    """Tiers, intervals, coverage and gaps of a period; ``format=csv`` with ``panel`` gives a panel as a file."""
    bar = bar_of(request)
    organisation, window = request.organisation, bar.filters.window
    if request.GET.get("format") == "csv":
        return _file(organisation, bar, request.GET.get("panel", ""))
    may_manage = may(request.membership.role, Capability.MANAGE_INVENTORY)
    found = findings.findings(organisation, window)
    coverage = source_coverage(organisation.pk, window)
    lacking = missing.missing_time(organisation, window, coverage)
    worst_first: list[Any] = coverage.sort_values(["coverage", "source"], kind="stable").to_dict("records")
    page = Paginator(worst_first, SOURCES_PER_PAGE).get_page(request.GET.get("page"))
    silent = int(coverage["silent"].sum()) if len(coverage) else 0
    context = {
        "filters": bar.filters,
        "choices": bar,
        "found": found,
        "tier_bar": tables.tier_bar(found.total.tiers) if found.total else [],
        "chart": tables.interval_chart(found.total) if found.total else None,
        "sites": tables.sites_table(found, organisation, bar.filters.period_query),
        "drivers": tables.drivers_table(found),
        "coverage": tables.coverage_table(list(page.object_list)),
        "mean_coverage": float(coverage["coverage"].mean()) if len(coverage) else None,
        "sources": len(coverage),
        "silent": silent,
        "page": page,
        "query": bar.filters.period_query,
        "missing": lacking,
        "gaps": tables.gaps_table(lacking, organisation, lacking.gaps[:GAPS_SHOWN], may_decide=may_manage),
        "gap_count": len(lacking.gaps) + lacking.others,
        "decisions": [_decision_row(each) for each in gaps.decisions(organisation, window)],
        "uncertainties": tables.uncertainty_table(queries.own_values(organisation)),
        "advice": tables.advice(found, lacking, silent, organisation, may_manage=may_manage),
        "may_manage": may_manage,
        "csv": {panel: "?" + bar.filters.query(format="csv", panel=panel) for panel in ("sites", "coverage", "gaps")},
    }
    return render(request, "accounting/quality/page.html", context)


def _file(organisation: Organisation, bar: Bar, panel: str) -> HttpResponse:
    window = bar.filters.window
    name = f"{organisation.slug}-{bar.filters.period.text or 'dates'}-quality-{panel}"
    if panel == "sites":
        return csv_response(name, tables.SITES_HEADER, tables.sites_records(findings.findings(organisation, window)))
    coverage = source_coverage(organisation.pk, window)
    if panel == "coverage":
        return csv_response(name, tables.COVERAGE_HEADER, tables.coverage_records(coverage))
    if panel == "gaps":
        found = missing.missing_time(organisation, window, coverage)
        return csv_response(name, tables.GAPS_HEADER, tables.gaps_records(found))
    raise Http404("The page has no such panel.")


def _decision_row(decision: GapDecision) -> dict[str, Any]:
    length = int((decision.end - decision.start).total_seconds() * 1000)
    return {
        "decision": decision,
        "length": tables.hours(length),
        "start": tables.moment(decision.start),
        "end": tables.moment(decision.end),
        "milliwatt_hours": None
        if decision.basis == GapDecision.Basis.LEFT_EMPTY
        else decision.energy_microwatt_hours // 1_000,
    }


# --- The uncertainty table --------------------------------------------------------------------------------------------


@requires(Capability.MANAGE_INVENTORY)
@require_http_methods(["GET", "POST"])
def uncertainties(request: PageRequest) -> HttpResponse:
    """Put own values in place of the defaults."""
    form = UncertaintyForm(request.POST or None, own=queries.own_values(request.organisation))
    if request.method == "POST" and form.is_valid():
        try:
            services.set_uncertainties(organisation=request.organisation, values=form.values(), actor=actor_of(request))
        except ValidationError as error:
            fields = {name: f"{name}_basis" for name, texts in error.message_dict.items() if "rests on" in texts[0]}
            report_errors(form, error, fields)
        else:
            messages.success(request, "Uncertainties saved. The intervals follow at once; no figure changes.")
            return redirect("quality", request.organisation.slug)
    return render(request, "accounting/quality/uncertainties.html", {"form": form})


# --- Decisions on gaps ------------------------------------------------------------------------------------------------


@requires(Capability.MANAGE_INVENTORY)
@require_http_methods(["GET", "POST"])
def decide(request: PageRequest) -> HttpResponse:
    """Say what becomes of a gap. What was not seen in the preview is shown first and not recorded."""
    if request.method == "GET":
        form = GapForm(initial={name: request.GET.get(name, "") for name in ("source", "start", "end")})
        return _decide_page(request, form, _place_of(request, request.GET), is_new=True)
    form = GapForm(request.POST)
    place = _place_of(request, request.POST)
    if not form.is_valid() or place is None:
        if "source" in form.cleaned_data and place is None and "start" in form.cleaned_data:
            form.add_error("source", "Expected the name of a source, as it stands on the page Sources.")
        return _decide_page(request, form, place)
    if request.POST.get("previewed") != _seen(place):
        messages.info(request, "The times or the source have changed: look at the numbers, then record the decision.")
        return _decide_page(request, form, place)
    energy = form.cleaned_data["energy_kwh"]
    try:
        made = gaps.decide_gap(
            source=place.source,
            start=place.start,
            end=place.end,
            basis=form.cleaned_data["basis"],
            energy_microwatt_hours=None if energy is None else gaps.kwh_to_microwatt_hours(energy),
            reason=form.cleaned_data["reason"],
            actor=actor_of(request),
        )
    except ValidationError as error:
        report_errors(form, error, {"energy": "energy_kwh"})
        return _decide_page(request, form, place)
    left = made.basis == GapDecision.Basis.LEFT_EMPTY
    words = "left empty" if left else "filled. Figures follow within a minute"
    messages.success(request, f"The gap of {place.source.name} is {words}.")
    return redirect("quality", request.organisation.slug)


@dataclass(frozen=True, slots=True)
class _Place:
    source: Source
    start: datetime
    end: datetime


def _place_of(request: PageRequest, said: Any) -> _Place | None:
    """The source and the time that a request names, if it names them in a way that can be read."""
    form = GapForm({name: said.get(name, "") for name in ("source", "start", "end")})
    form.is_valid()
    source = Source.objects.of(request.organisation).filter(name=form.cleaned_data.get("source", "")).first()
    start, end = form.cleaned_data.get("start"), form.cleaned_data.get("end")
    return None if source is None or start is None or end is None else _Place(source, start, end)


def _seen(place: _Place) -> str:
    return f"{place.source.pk} {place.start.isoformat()} {place.end.isoformat()}"


def _decide_page(request: PageRequest, form: GapForm, place: _Place | None, *, is_new: bool = False) -> HttpResponse:
    estimate, problem = None, ""
    if place is not None:
        try:
            estimate = gaps.estimate_gap(place.source, place.start, place.end)
        except ValidationError as error:
            problem = " ".join(error.messages)
    elif is_new and request.GET.get("source"):
        problem = "No such source, or times that could not be read. Give both in UTC."
    context = {
        "form": form,
        "place": place,
        "previewed": _seen(place) if place else "",
        "estimate": estimate,
        "problem": problem,
        "length": tables.hours(estimate.length_ms) if estimate else "",
        "milliwatt_hours": estimate.energy_microwatt_hours // 1_000 if estimate else None,
        "named": gaps.named(estimate.naming) if estimate else (),
        "filled_name": gaps.filled_name(place.source) if place else "",
    }
    return render(request, "accounting/quality/decide.html", context)


@requires(Capability.MANAGE_INVENTORY)
@require_POST
def withdraw(request: PageRequest, gap_decision_id: int) -> HttpResponse:
    """Take a decision back."""
    found = gaps.decision(request.organisation, gap_decision_id)
    if found is None:
        raise Http404("No such decision.")
    gaps.withdraw_decision(decision=found, actor=actor_of(request), reason=request.POST.get("reason", ""))
    messages.success(request, f"The decision on the gap of {found.source.name} is withdrawn; the gap is open again.")
    return redirect("quality", request.organisation.slug)
