"""Pages of the reconciliation: months by site, one month, and the booking of its difference. No rules."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from apps.accounting.reconciliation import queries, services, tables
from apps.accounting.reconciliation.bar import bar_of
from apps.core.exports import csv_response
from apps.organisations.pages import PageRequest, actor_of, first_error, requires
from apps.organisations.roles import Capability
from apps.sites import queries as sites
from apps.sites.models import Site


@requires(Capability.READ)
@require_GET
def reconciliation(request: PageRequest) -> HttpResponse:
    """The months of the period by site; ``format=csv`` gives them as a file."""
    bar = bar_of(request)
    months = queries.months_of(request.organisation, bar.filters.window)
    codes = {site.code for site in bar.sites}
    rows = [row for row in queries.month_rows(request.organisation, months) if row.site.code in codes]
    if request.GET.get("format") == "csv":
        records = [tables.record(row) for row in rows]
        name = f"{request.organisation.slug}-{bar.filters.period.text or 'dates'}-reconciliation"
        header = list(records[0]) if records else ["month", "site"]
        return csv_response(name, header, [list(each.values()) for each in records])
    context = {
        "filters": bar.filters,
        "choices": bar,
        "rows": rows,
        "table": tables.table_of(request.organisation, rows, f"Meter and telemetry, {bar.filters.period.dates}"),
        "hide_caption": True,
        "pending": queries.pending_hours(request.organisation.pk, months),
        "csv_url": "?" + bar.filters.query(format="csv"),
        "tolerance": tables.TOLERANCE,
        "api_call": _api_call(request, bar.filters.window.start.date(), bar.filters.window.end.date()),
    }
    return render(request, "accounting/reconciliation/list.html", context)


def _api_call(request: PageRequest, first: Any, end: Any) -> str:
    address = request.build_absolute_uri("/api/v1/reconciliation")
    return f'curl -H "Authorization: Bearer $ESGPORTAL_KEY" \\\n  "{address}?from={first}&to={end}"'


def _place(request: PageRequest, site_code: str, month: str) -> tuple[Site, int]:
    site = sites.site(request.organisation, site_code)
    if site is None:
        raise Http404("No such site.")
    try:
        return site, queries.parse_month(month)
    except ValueError as error:
        raise Http404(str(error)) from None


@requires(Capability.READ)
@require_GET
def month(request: PageRequest, site_code: str, month: str) -> HttpResponse:
    """One site's month with what stands behind it."""
    site, number = _place(request, site_code, month)
    row = queries.month_row(request.organisation, site, number)
    behind = queries.behind(request.organisation, site, number)
    coverage = row.comparison.measured_coverage
    context = {
        "row": row,
        "coverage": None if coverage is None else float(coverage),
        "implied_pue": None if behind.implied_pue is None else float(behind.implied_pue),
        "chips": tables.chips_of(row),
        "stale": tables.stale_text(row) if row.is_stale else "",
        "behind": behind,
        "is_parted": any(not part.is_whole for part in behind.parts),
        "pending": queries.pending_hours(request.organisation.pk, [number]),
        "equals_meter": row.comparison.is_fully_metered
        and row.total_milliwatt_hours == row.comparison.metered_milliwatt_hours,
        "tolerance": tables.TOLERANCE,
    }
    return render(request, "accounting/reconciliation/month.html", context)


@requires(Capability.MANAGE_INVENTORY)
@require_POST
def book(request: PageRequest, site_code: str, month: str) -> HttpResponse:
    """Book the month's difference, or bring its booking up to date."""
    site, number = _place(request, site_code, month)
    try:
        booking = services.book_difference(
            organisation=request.organisation,
            site=site,
            month=number,
            note=request.POST.get("note", "")[:300],
            actor=actor_of(request),
        )
    except ValidationError as error:
        messages.error(request, first_error(error))
    else:
        done = "Booked" if booking.booked_milliwatt_hours else "Taken out"
        messages.success(request, f"{done}. Energy and emissions of {site.name} follow within a minute.")
    return redirect("reconciliation-month", request.organisation.slug, site_code, month)


@requires(Capability.MANAGE_INVENTORY)
@require_POST
def withdraw(request: PageRequest, site_code: str, month: str) -> HttpResponse:
    """Take the month's booking out."""
    site, number = _place(request, site_code, month)
    try:
        services.withdraw_booking(organisation=request.organisation, site=site, month=number, actor=actor_of(request))
    except ValidationError as error:
        messages.error(request, first_error(error))
    else:
        messages.success(request, "The booking is taken out. Figures follow within a minute.")
    return redirect("reconciliation-month", request.organisation.slug, site_code, month)
