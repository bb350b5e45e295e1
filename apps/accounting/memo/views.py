"""The page of the Scope 3 memo. No rules."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounting.memo import queries, tables
from apps.accounting.work.bar import bar_of
from apps.accounting.work.views import lifetime_of
from apps.core.exports import csv_response
from apps.organisations.pages import PageRequest, requires
from apps.organisations.roles import Capability


@requires(Capability.READ)
@require_GET
def scope3(request: PageRequest) -> HttpResponse:
    """Categories 1, 2 and 3 beside Scope 2, none added to another; ``format=csv`` gives them as a file."""
    bar = bar_of(request)
    filters, organisation = bar.filters, request.organisation
    lifetime_years, error = lifetime_of(request.GET.get("life", ""))
    rows = queries.memo_rows(organisation.pk, filters.window, lifetime_years)
    if request.GET.get("format") == "csv":
        records = tables.records(rows)
        name = f"{organisation.slug}-{filters.period.text or 'dates'}-scope-3-memo"
        header = list(records[0]) if records else ["category"]
        return csv_response(name, header, [list(record.values()) for record in records])
    first, end = filters.window.start.date(), filters.window.end.date()
    address = request.build_absolute_uri("/api/v1/scope3")
    context = {
        "filters": filters,
        "choices": bar,
        "totals": queries.totals(rows),
        "panels": tables.part_panels(rows),
        "lifetime_years": lifetime_years,
        "lifetime_error": error,
        "csv_url": "?" + filters.query(format="csv"),
        "api_call": f'curl -H "Authorization: Bearer $ESGPORTAL_KEY" \\\n  "{address}?from={first}&to={end}"',
    }
    return render(request, "accounting/memo/page.html", context)
