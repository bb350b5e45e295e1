"""What stands beside Scope 2 and in none of its totals: hourly what-if, Scope 3 memo, indicators, intensities."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from fractions import Fraction

from apps.accounting.engine.intensity import MILLI, UNITS, Intensity
from apps.accounting.engine.rulesets import RULESET_DRAFT_2025_10, RULESETS
from apps.accounting.engine.sci import LIFETIME_YEARS, Score
from apps.accounting.hourly import queries as hours
from apps.accounting.hourly import services as hourly_services
from apps.accounting.hourly.queries import MarketSums
from apps.accounting.indicators.queries import Result, indicators_of
from apps.accounting.memo import queries as memo_queries
from apps.accounting.models import MarketHour
from apps.accounting.queries import ledger_extent
from apps.accounting.work.queries import WorkRow, work_rows
from apps.core.units import round_half_up
from apps.core.windows import Window
from apps.disclosures.frozen.method import ruleset
from apps.disclosures.frozen.plain import Json, nano, ppm
from apps.organisations.models import Organisation


def hourly(organisation: Organisation, window: Window) -> Json:
    """The hours of the what-if by market: energies, emissions by its rules, and the reported figure beside them.

    Works the hours out first where they are out of date: a document is made by a worker, so nobody waits.
    """
    _bring_up_to_date(organisation, window)
    rows = hours.market_sums(organisation, window)
    flags = {flag for run in hours.runs(organisation, window) for flag in run.outcome.get("flags", [])}
    return {
        "ruleset": ruleset(RULESETS[RULESET_DRAFT_2025_10]),
        "markets": [_market(row) for row in rows],
        "total": _market(hours.total_of(rows)) if rows else None,
        "default_fossil_markets": sorted(
            flag.partition(":")[2] for flag in flags if flag.startswith("default_fossil_factor:")
        ),
    }


def _bring_up_to_date(organisation: Organisation, window: Window) -> None:
    if hourly_services.bring_up_to_date(organisation, window):
        return
    extent = ledger_extent(organisation.pk)
    if extent is not None:
        settled = Window(max(window.start, extent.start), min(window.end, extent.end))
        for period in hourly_services.claim_periods(organisation, settled):
            hourly_services.refresh_hours(organisation.pk, period[0])


def _market(row: MarketSums) -> Json:
    values = asdict(row)
    energies = {f"{name}_milliwatt_hours": values[name] for name in (*hours.ENERGIES, "carbon_free", "cfe_load")}
    return {
        "market": row.market,
        "hours": row.hours,
        **energies,
        "location_mg": row.location_mg,
        "draft_market_mg": row.market_mg,
        "reported_market_mg": row.reported_mg,
        "unmatched_by_fallback": {
            MarketHour.Fallback(level).name.lower(): energy for level, energy in sorted(row.fallbacks.items())
        },
    }


def scope_3_memo(organisation: Organisation, window: Window) -> Json:
    """Categories 1, 2 and 3 in rows of their own; parts are never added to each other or to Scope 2."""
    rows = memo_queries.memo_rows(organisation.pk, window)
    return {
        "lifetime_years": str(LIFETIME_YEARS),
        "rows": [{**asdict(row), "category": row.category} for row in rows],
        "totals": [
            {**asdict(total), "category": total.category, "label": total.label} for total in memo_queries.totals(rows)
        ],
    }


def indicators(organisation: Organisation, window: Window) -> Json:
    """The data-centre indicators with their terms: mWh, ml and mg over mWh, by site and of the sums."""
    found = indicators_of(organisation, window)
    return {
        "days": (found.end - found.start).days,
        "by_site": [
            {"site": each.site.code, "site_name": each.site.name, "results": [_result(one) for one in each.results]}
            for each in found.sites
        ],
        "total": [_result(one) for one in found.total],
    }


def _result(one: Result) -> Json:
    return {
        "key": one.kind.key,
        "label": one.kind.label,
        "name": one.kind.name,
        "unit": one.kind.unit,
        "clause": one.kind.clause,
        "numerator_is": one.kind.numerator,
        "denominator_is": one.kind.denominator,
        "numerator": one.indicator.numerator,
        "denominator": one.indicator.denominator,
        "value_ppm": ppm(one.value),
        "capped": one.indicator.is_capped,
        "days": one.days,
        "sites": one.sites,
        "it_from": one.it_from,
        "numerator_from": one.numerator_from,
        "why": one.why,
        "error": bool(one.error),
    }


def intensities(organisation: Organisation, window: Window) -> list[Json]:
    """Energy and emissions per unit of AI work by model, Scope 2, each with what its energy was measured at."""
    return [_work(row) for row in work_rows(organisation.pk, window)]


def _work(row: WorkRow) -> Json:
    counts = {
        "tokens": row.tokens,
        "requests": row.requests,
        "accelerator_hours": row.accelerator_ms,
        "training_runs": row.training_runs,
    }
    return {
        "model": row.key,
        "model_name": row.name,
        "facility_energy_milliwatt_hours": row.facility_milliwatt_hours,
        "quality": row.quality,
        "boundary": _shares(row.boundary),
        "units": [
            _unit(code, row.intensities[code], counts[code]) for code in UNITS if row.intensities[code].wh is not None
        ],
        "sci_consumer": _score(row.consumer, "1,000 tokens"),
        "sci_provider": _score(row.provider, row.provider_unit),
        "embodied_missing": list(row.embodied_missing),
    }


def _unit(code: str, found: Intensity, count: int) -> Json:
    """``count``: tokens, requests, accelerator-milliseconds or runs; ``size`` of them make one unit."""
    energy = (found.wh or Fraction(0)) * count * MILLI / found.unit.size
    return {
        "unit": code,
        "label": found.unit.label,
        "size": found.unit.size,
        "count": count,
        "facility_energy_milliwatt_hours": round_half_up(energy),
        "wh_nano": nano(found.wh),
        "location_g_nano": nano(found.location_g),
        "market_g_nano": nano(found.market_g),
        "boundary": _shares(found.boundary),
    }


def _shares(boundary: Iterable[tuple[str, Fraction]]) -> list[list[str | int | None]]:
    return [[name, ppm(share)] for name, share in boundary]


def _score(found: Score, unit: str) -> Json | None:
    """SCI in thousand-millionths of a gram per unit; None where neither part is known."""
    if found.operational is None and found.embodied is None:
        return None
    return {
        "unit": unit,
        "operational_g_nano": nano(found.operational),
        "embodied_g_nano": nano(found.embodied),
        "total_g_nano": nano(found.total),
    }
