"""Evaluating a scenario: a whole small inventory without a database, by the functions that live figures come from.

Quantities stay exact fractions until the end; each printed total is rounded once, to the milliwatt-hour or milligram,
and every breakdown is fitted to its total by largest remainder. So cutting an interval in two, or listing rows in
another order, changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

from apps.accounting.engine.energy import BOUNDARY_FACILITY
from apps.accounting.engine.location import SCOPE_2
from apps.accounting.engine.market import Lot, LotOutcome, claimed_before, lot_outcome, quality_criteria
from apps.accounting.engine.rulesets import RULESETS
from apps.accounting.engine.scenario_hourly import criteria_by_hour, market_by_hour
from apps.accounting.engine.scenario_input import GASES, Scenario, ScenarioLot, covering_dates, read_scenario
from apps.accounting.engine.scenario_market import market_of_period
from apps.accounting.engine.scenario_rows import (
    Emission,
    HourlyFigures,
    Market,
    Row,
    add,
    decimal_text,
    fit,
    mg_of,
    ratio_text,
    row_of,
)
from apps.accounting.engine.version import ENGINE_VERSION
from apps.core.units import round_half_up


def evaluate_text(text: str) -> dict[str, Any]:
    """Read and evaluate a scenario. Raises ``ScenarioError`` when it cannot be read."""
    return evaluate(read_scenario(text))


def evaluate(scenario: Scenario) -> dict[str, Any]:
    """The result as a JSON object: energies in kWh and emissions in kg as decimal strings, ``null`` where absent."""
    rows = [row_of(item, scenario) for item in scenario.consumption]
    inside = [row for row in rows if row.scope == SCOPE_2]
    outside = [row for row in rows if row.scope != SCOPE_2]

    energies = fit(inside, lambda row: row.market, lambda row: row.facility_energy)
    locations = fit(inside, lambda row: row.market, lambda row: mg_of(row.location))
    market_of = market_of_period if RULESETS[scenario.ruleset].is_reported else market_by_hour
    markets = {
        code: market_of(
            code,
            [(i, row) for i, row in enumerate(inside) if row.market == code],
            energies[code] or 0,
            locations[code] or 0,
            scenario,
        )
        for code in energies
    }
    market_mg = _sum_or_none(market.market_mg for market in markets.values())
    shares = {i: share for market in markets.values() for i, share in market.row_mg.items()}
    by_market_mg = {code: market.market_mg for code, market in markets.items()}

    def breakdown(key: Callable[[Row], str], market_figures: dict[str, int | None] | None = None) -> dict[str, Any]:
        numbered = {id(row): i for i, row in enumerate(inside)}
        energy = fit(inside, key, lambda row: row.facility_energy)
        location = fit(inside, key, lambda row: mg_of(row.location))
        market = market_figures or fit(inside, key, lambda row: shares.get(numbered[id(row)]), total=market_mg)
        return {
            name: {
                "facility_energy_kwh": decimal_text(energy[name]),
                "location_kg": decimal_text(location[name]),
                "market_kg": decimal_text(market[name]),
            }
            for name in sorted(energy)
        }

    hourly = [market.hourly for market in markets.values() if market.hourly]
    return {
        "ruleset": scenario.ruleset,
        "gwp_set": scenario.gwp.name,
        "engine_version": ENGINE_VERSION,
        "energy_boundary": BOUNDARY_FACILITY,
        "totals": {
            **_energy_and_location(inside),
            **_market_totals(list(markets.values()), market_mg),
        },
        "scope3": _energy_and_location(outside),
        "by_market": breakdown(lambda row: row.market, by_market_mg),
        "by_facility": breakdown(lambda row: row.consumption.facility),
        "by_team": breakdown(lambda row: row.consumption.team),
        "by_model": breakdown(lambda row: row.consumption.model),
        "by_kind": breakdown(lambda row: row.consumption.kind),
        "instruments": _instruments(markets, scenario),
        **({} if RULESETS[scenario.ruleset].is_reported else {"hourly": _hourly(hourly)}),
        "flags": sorted(_flags(rows, inside, markets)),
    }


# --- The result ---------------------------------------------------------------------------------------------------


def _energy_and_location(rows: Sequence[Row]) -> dict[str, Any]:
    location = add(row.location for row in rows)
    return {
        "it_energy_kwh": _rounded(sum((row.it_energy for row in rows), Fraction(0))),
        "facility_energy_kwh": _rounded(sum((row.facility_energy for row in rows), Fraction(0))),
        "location_kg": _rounded(mg_of(location)),
        "location_gases_kg": _gases(location),
        "location_biogenic_co2_kg": _rounded(location.biogenic_mg if location else None),
    }


def _market_totals(markets: Sequence[Market], market_mg: int | None) -> dict[str, Any]:
    emission = add(market.emission for market in markets)
    covered = sum(market.covered for market in markets)
    uncovered = sum(market.uncovered for market in markets)
    energy = covered + uncovered
    return {
        "market_kg": decimal_text(market_mg),
        "market_gases_kg": _gases(emission),
        "market_biogenic_co2_kg": _rounded(emission.biogenic_mg if emission else None),
        "covered_kwh": decimal_text(covered),
        "uncovered_kwh": decimal_text(uncovered),
        "surplus_kwh": decimal_text(sum(market.surplus for market in markets)),
        "covered_fraction": ratio_text(Fraction(covered, energy)) if energy else None,
    }


def _hourly(markets: Sequence[HourlyFigures]) -> dict[str, Any]:
    """Ratios of sums over all markets and hours; the carbon-free score where the grid's share is known."""
    load, matched, known, carbon_free = (
        sum(getattr(market, name) for market in markets) for name in ("load", "matched", "cfe_load", "carbon_free")
    )
    return {
        "matched_kwh": decimal_text(matched),
        "matched_fraction": ratio_text(Fraction(matched, load)) if load else None,
        "standard_supply_kwh": decimal_text(sum(market.standard_supply for market in markets)),
        "cfe_fraction": ratio_text(Fraction(carbon_free, known)) if known else None,
        "cfe_known_fraction": ratio_text(Fraction(known, load)) if load else None,
    }


def _instruments(markets: dict[str, Market], scenario: Scenario) -> list[dict[str, Any]]:
    outcomes = {outcome.id: outcome for market in markets.values() for outcome in market.lots}
    claimed = claimed_before([item.lot for item in scenario.instruments])
    return [
        _instrument(outcomes.get(item.lot.id) or _rejected(item, claimed.get(position, ()), scenario))
        for position, item in enumerate(scenario.instruments)
    ]


def _instrument(outcome: LotOutcome) -> dict[str, Any]:
    return {
        "id": outcome.id,
        "accepted_kwh": decimal_text(outcome.accepted_milliwatt_hours),
        "applied_kwh": decimal_text(outcome.applied_milliwatt_hours),
        "surplus_kwh": decimal_text(outcome.surplus_milliwatt_hours),
        "rejected_criteria": list(outcome.rejected_criteria),
        "criteria": [
            {"number": check.number, "status": check.status, "reason": check.reason} for check in outcome.criteria
        ],
        "flags": list(outcome.flags),
    }


def _rejected(item: ScenarioLot, earlier: Sequence[Lot], scenario: Scenario) -> LotOutcome:
    """A lot of a market in which nothing is consumed in Scope 2: criterion 5, and whatever else it fails."""
    if RULESETS[scenario.ruleset].is_reported:
        checks = quality_criteria(
            item.lot,
            market="",
            period=covering_dates(*scenario.period),
            vintage_window_months=scenario.vintage_window_months,
            earlier=earlier,
        )
    else:
        checks = criteria_by_hour(item, scenario, market="", earlier=earlier, has_residual_mix=None)
    return lot_outcome(item.lot, checks, accepted=0, applied=0)


def _flags(rows: Sequence[Row], inside: Sequence[Row], markets: dict[str, Market]) -> set[str]:
    """What a reader of the figures must be told."""
    flags = {f"no_residual_mix:{row.market}" for row in inside if not row.has_residual}
    flags |= {flag for market in markets.values() for flag in market.flags}
    return flags | {f"no_location_factor:{row.market}" for row in rows if row.location is None}


def _sum_or_none(values: Iterable[int | None]) -> int | None:
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)


def _gases(emission: Emission | None) -> dict[str, str | None]:
    masses: Sequence[Fraction | None] = (emission.gases_mg if emission else None) or (None, None, None)
    return {gas: _rounded(mass) for gas, mass in zip(GASES, masses, strict=True)}


def _rounded(value: Fraction | None) -> str | None:
    return None if value is None else decimal_text(round_half_up(value))
