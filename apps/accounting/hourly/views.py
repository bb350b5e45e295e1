"""The page of hourly matching. No rules."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounting.engine.rulesets import REPORTED, RULESET_DRAFT_2025_10, RULESETS
from apps.accounting.hourly import page, queries, services
from apps.accounting.hourly.api import COLUMNS, record
from apps.core.exports import csv_response
from apps.organisations.pages import PageRequest, requires
from apps.organisations.roles import Capability, may


@requires(Capability.READ)
@require_GET
def hourly_matching(request: PageRequest) -> HttpResponse:
    """Each market's hours in a period; ``format=csv`` gives them one by one."""
    organisation = request.organisation
    bar = page.bar_of(organisation, request.GET)
    filters = bar.filters
    is_current = services.bring_up_to_date(organisation, filters.window)
    if request.GET.get("format") == "csv":
        rows = queries.hours(organisation, filters.window, bar.markets).iterator(chunk_size=services.ROWS_AT_ONCE)
        name = f"{organisation.slug}-{filters.period.text or 'dates'}-hourly-matching-what-if"
        return csv_response(name, COLUMNS, (list(record(row).values()) for row in rows))
    sums = queries.market_sums(organisation, filters.window, bar.markets)
    loaded = [row for row in sums if row.load]
    runs = queries.runs(organisation, filters.window)
    total = queries.total_of(sums)
    context = {
        "filters": filters,
        "choices": bar,
        "is_current": is_current,
        "ruleset": RULESETS[RULESET_DRAFT_2025_10],
        "reported": REPORTED,
        "total": total,
        "has_load": bool(loaded),
        "csv_url": "?" + bar.query(format="csv"),
        "calculated_at": max((run.calculated_at for run in runs), default=None),
        "default_fossil": sorted({flag.partition(":")[2] for run in runs for flag in run.outcome.get("flags", [])}),
        "api_call": page.api_call(request.build_absolute_uri("/api/v1/hourly"), bar),
        "may_manage": may(request.membership.role, Capability.MANAGE_INVENTORY),
    }
    if loaded:
        context |= {
            "match": page.share(total.matched_fraction),
            "cfe": page.share(total.cfe_fraction),
            "cfe_known": page.share(total.cfe_known),
            "table": page.market_table(sums, total, f"Hours of {filters.period.dates} by market"),
            "day": page.day_chart(organisation, bar),
            "week": page.week_chart(organisation, bar),
            "lots": page.lot_table(runs[-1].outcome, bar.markets) if runs else None,
            "lots_period": runs[-1] if runs else None,
        }
    return render(request, "accounting/hourly/page.html", context)
