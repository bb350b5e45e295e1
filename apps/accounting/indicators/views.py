"""The page of the data-centre indicators. No rules."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounting.indicators import queries, tables
from apps.accounting.reconciliation.bar import bar_of
from apps.core.exports import csv_response
from apps.organisations.pages import PageRequest, requires
from apps.organisations.roles import Capability


@requires(Capability.READ)
@require_GET
def indicators(request: PageRequest) -> HttpResponse:
    """PUE, WUE, REF, ERF and CUE of the period; ``format=csv`` gives them with their terms as a file."""
    bar = bar_of(request)
    found = queries.indicators_of(request.organisation, bar.filters.window, bar.filters.values.get("site", ()))
    if request.GET.get("format") == "csv":
        rows = tables.records(found)
        name = f"{request.organisation.slug}-{bar.filters.period.text or 'dates'}-indicators"
        return csv_response(name, list(rows[0]), [list(row.values()) for row in rows])
    first, end = bar.filters.window.start.date(), bar.filters.window.end.date()
    address = request.build_absolute_uri("/api/v1/indicators")
    context = {
        "filters": bar.filters,
        "choices": bar,
        "found": found,
        "errors": [(each.site, result) for each in found.sites for result in each.results if result.error],
        "table": tables.table_of(found, f"Data-centre indicators, {bar.filters.period.dates}"),
        "coverage": tables.coverage_table(found.sites, "Days of the period that are metered in full"),
        "kinds": queries.KINDS,
        "csv_url": "?" + bar.filters.query(format="csv"),
        "api_call": f'curl -H "Authorization: Bearer $ESGPORTAL_KEY" \\\n  "{address}?from={first}&to={end}"',
    }
    return render(request, "accounting/indicators/page.html", context)
