"""The page of units of AI work. No rules."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from apps.accounting.engine import sci
from apps.accounting.work import queries, tables
from apps.accounting.work.bar import bar_of
from apps.core.exports import csv_response
from apps.organisations.pages import PageRequest, requires
from apps.organisations.roles import Capability
from apps.workloads import queries as workloads

LABELS = {"model": ("Model", "No model named"), "workload": ("Workload", "No workload named")}


@requires(Capability.READ)
@require_GET
def work(request: PageRequest) -> HttpResponse:
    """Energy and emissions per unit of work, by model or workload; ``format=csv`` gives them as a file."""
    bar = bar_of(request, "team", "site", "scope")
    filters, organisation = bar.filters, request.organisation
    group_by = request.GET.get("by", "model")
    group_by = group_by if group_by in queries.GROUPINGS else "model"
    lifetime_years, error = lifetime_of(request.GET.get("life", ""))
    rows = queries.work_rows(
        organisation.pk,
        filters.window,
        group_by=group_by,
        scope=filters.scope,
        filters=filters.ledger_filters,
        lifetime_years=lifetime_years,
    )
    if request.GET.get("format") == "csv":
        records = tables.records(rows, group_by)
        name = f"{organisation.slug}-{filters.period.text or 'dates'}-units-of-work"
        header = list(records[0]) if records else ["scope"]
        return csv_response(name, header, [list(record.values()) for record in records])
    ids = _workload_ids(request, rows) if group_by == "workload" else {}

    def link(key: str) -> str:
        if group_by == "model":
            return f"{reverse('model', args=[organisation.slug, key])}?{filters.period_query}"
        return f"{reverse('workload', args=[organisation.slug, ids[key]])}" if key in ids else ""

    label, unnamed = LABELS[group_by]
    first, end = filters.window.start.date(), filters.window.end.date()
    scope = f"&scope={filters.scope}" if filters.scope != "2" else ""
    address = request.build_absolute_uri("/api/v1/intensities")
    context = {
        "filters": filters,
        "choices": bar,
        "group_by": group_by,
        "groupings": [(name, LABELS[name][0], f"?{filters.query()}&by={name}") for name in queries.GROUPINGS],
        "rows": rows,
        "panels": tables.unit_panels(rows, link, label, unnamed, with_scope=filters.scope == "all"),
        "sci": tables.sci_table(rows, link, label, unnamed),
        "lifetime_years": lifetime_years,
        "lifetime_error": error,
        "missing": sorted({code for row in rows for code in row.embodied_missing}),
        "csv_url": f"?{filters.query(format='csv')}&by={group_by}",
        "api_call": f'curl -H "Authorization: Bearer $ESGPORTAL_KEY" \\\n  "{address}?from={first}&to={end}'
        f'&group_by={group_by}{scope}"',
    }
    return render(request, "accounting/units_of_work/page.html", context)


def lifetime_of(text: str) -> tuple[Decimal, str]:
    """The expected lifetime of hardware [years] of a query string, and what is wrong with it."""
    if not text:
        return sci.LIFETIME_YEARS, ""
    try:
        years = Decimal(text)
        sci.lifetime(years)
    except (InvalidOperation, ValueError):
        return sci.LIFETIME_YEARS, f"Expected a lifetime of 1 to 20 years, got {text[:20]!r}."
    return years, ""


def _workload_ids(request: PageRequest, rows: list[queries.WorkRow]) -> dict[str, int]:
    names = [row.key for row in rows if row.key is not None][:500]
    return dict(workloads.workloads(request.organisation).filter(name__in=names).values_list("name", "pk"))
