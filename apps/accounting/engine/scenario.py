"""Evaluating a scenario: a whole small inventory without a database, by the functions that live figures come from.

Quantities stay exact fractions until the end; each printed total is rounded once, to the milliwatt-hour or milligram,
and every breakdown is fitted to its total by largest remainder. So cutting an interval in two, or listing rows in
another order, changes nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from apps.accounting.engine.allocation import AppliedLot, fitted, instrument_shares
from apps.accounting.engine.energy import it_and_facility_energy
from apps.accounting.engine.location import SCOPE_2, location_based_mg, scope_of
from apps.accounting.engine.market import LotOutcome, MarketResult, market_based, order_of_use, quality_criteria
from apps.accounting.engine.scenario_input import (
    GASES,
    Consumption,
    Scenario,
    ScenarioFactor,
    ScenarioLot,
    covering_dates,
    read_scenario,
)
from apps.core.units import round_half_up

MICROSECOND = timedelta(microseconds=1)
NO_GAS = (Fraction(0), Fraction(0), Fraction(0))
Masses = tuple[Fraction, Fraction, Fraction]


@dataclass(frozen=True, slots=True)
class Emission:
    """Exact emissions: CO2e [mg], gas masses [mg] or ``None`` where a factor does not split them, biogenic CO2 [mg]."""

    mg: Fraction
    gases_mg: Masses | None
    biogenic_mg: Fraction

    def __add__(self, other: Emission) -> Emission:
        gases = None
        if self.gases_mg is not None and other.gases_mg is not None:
            a, b = self.gases_mg, other.gases_mg
            gases = (a[0] + b[0], a[1] + b[1], a[2] + b[2])
        return Emission(self.mg + other.mg, gases, self.biogenic_mg + other.biogenic_mg)

    def times(self, share: Fraction) -> Emission:
        gases = self.gases_mg and (self.gases_mg[0] * share, self.gases_mg[1] * share, self.gases_mg[2] * share)
        return Emission(self.mg * share, gases, self.biogenic_mg * share)


NOTHING = Emission(Fraction(0), NO_GAS, Fraction(0))


@dataclass(frozen=True, slots=True)
class Row:
    """A consumption row with its exact figures. ``location`` empty: no factor covers it, absent and not zero.

    ``fallback``: what the row emits where no instrument covers it; residual mix, else its own location-based figure.
    """

    consumption: Consumption
    market: str
    scope: str
    it_energy: Fraction
    facility_energy: Fraction
    location: Emission | None
    fallback: Emission | None
    has_residual: bool


@dataclass(frozen=True, slots=True)
class Market:
    """A market's result, exact shares of its rows, and the exact emission behind it (``None``: absent)."""

    result: MarketResult
    emission: Emission | None
    row_mg: dict[int, Fraction]


def evaluate_text(text: str) -> dict[str, Any]:
    """Read and evaluate a scenario. Raises ``ScenarioError`` when it cannot be read."""
    return evaluate(read_scenario(text))


def evaluate(scenario: Scenario) -> dict[str, Any]:
    """The result as a JSON object: energies in kWh and emissions in kg as decimal strings, ``null`` where absent."""
    rows = [_row(item, scenario) for item in scenario.consumption]
    inside = [row for row in rows if row.scope == SCOPE_2]
    outside = [row for row in rows if row.scope != SCOPE_2]

    energies = _fit(inside, lambda row: row.market, lambda row: row.facility_energy)
    locations = _fit(inside, lambda row: row.market, lambda row: _mg(row.location))
    markets = {
        code: _market(
            code, [(i, row) for i, row in enumerate(inside) if row.market == code], energy, location, scenario
        )
        for (code, energy), location in zip(energies.items(), locations.values(), strict=True)
    }
    market_mg = _sum_or_none(market.result.market_mg if market.emission else None for market in markets.values())
    shares = {i: share for market in markets.values() for i, share in market.row_mg.items()}
    by_market_mg = {code: market.result.market_mg if market.emission else None for code, market in markets.items()}

    def breakdown(key: Callable[[Row], str], market_figures: dict[str, int | None] | None = None) -> dict[str, Any]:
        numbered = {id(row): i for i, row in enumerate(inside)}
        energy = _fit(inside, key, lambda row: row.facility_energy)
        location = _fit(inside, key, lambda row: _mg(row.location))
        market = market_figures or _fit(inside, key, lambda row: shares.get(numbered[id(row)]), total=market_mg)
        return {
            name: {
                "facility_energy_kwh": decimal_text(energy[name]),
                "location_kg": decimal_text(location[name]),
                "market_kg": decimal_text(market[name]),
            }
            for name in sorted(energy)
        }

    return {
        "ruleset": scenario.ruleset,
        "gwp_set": scenario.gwp.name,
        "totals": {
            **_energy_and_location(inside),
            **_market_totals(inside, list(markets.values()), market_mg),
        },
        "scope3": _energy_and_location(outside),
        "by_market": breakdown(lambda row: row.market, by_market_mg),
        "by_facility": breakdown(lambda row: row.consumption.facility),
        "by_team": breakdown(lambda row: row.consumption.team),
        "by_model": breakdown(lambda row: row.consumption.model),
        "by_kind": breakdown(lambda row: row.consumption.kind),
        "instruments": [_instrument(lot, markets, scenario) for lot in scenario.instruments],
        "flags": sorted(_flags(rows, inside, markets)),
    }


# --- Rows ---------------------------------------------------------------------------------------------------------


def _row(item: Consumption, scenario: Scenario) -> Row:
    facility = scenario.facilities[item.facility]
    market = scenario.markets[facility.market]
    it_energy, energy = it_and_facility_energy(item.energy_milliwatt_hours, item.boundary, facility.pue)
    location: Emission | None = NOTHING
    fallback: Emission | None = NOTHING
    has_residual = True
    for start, end in _segments(item, market.location, market.residual):
        part = energy * Fraction((end - start) // MICROSECOND, (item.end - item.start) // MICROSECOND)
        grid, residual = _at(market.location, start), _at(market.residual, start)
        grid_emission = _emission(part, grid) if grid else None
        location = location + grid_emission if location and grid_emission else None
        uncovered = _emission(part, residual) if residual else grid_emission
        fallback = fallback + uncovered if fallback and uncovered else None
        has_residual = has_residual and residual is not None
    return Row(item, facility.market, scope_of(facility.control), it_energy, energy, location, fallback, has_residual)


def _segments(item: Consumption, *series: Sequence[ScenarioFactor]) -> Iterator[tuple[datetime, datetime]]:
    """The row's interval cut wherever a factor begins or ends."""
    cuts = {item.start, item.end}
    for factors in series:
        first = max(bisect_right(factors, item.start, key=lambda factor: factor.start) - 1, 0)
        for factor in factors[first:]:
            if factor.start >= item.end:
                break
            cuts.update(moment for moment in (factor.start, factor.end) if item.start < moment < item.end)
    moments = sorted(cuts)
    return pairwise(moments)


def _at(factors: Sequence[ScenarioFactor], moment: datetime) -> ScenarioFactor | None:
    index = bisect_right(factors, moment, key=lambda factor: factor.start) - 1
    return factors[index] if index >= 0 and moment < factors[index].end else None


def _emission(energy: Fraction, factor: ScenarioFactor) -> Emission:
    """Energy [mWh] x factor; a gas mass of 1 kg/MWh is 1 mg per mWh / 1000."""
    gases = factor.gases_kg_per_mwh
    return Emission(
        location_based_mg(energy, factor.ug_per_kwh),
        gases and (gases[0] * energy / 1000, gases[1] * energy / 1000, gases[2] * energy / 1000),
        factor.biogenic_co2_kg_per_mwh * energy / 1000,
    )


# --- Markets ------------------------------------------------------------------------------------------------------


def _market(
    code: str, rows: Sequence[tuple[int, Row]], energy: int | None, location: int | None, scenario: Scenario
) -> Market:
    exact_energy = sum((row.facility_energy for _, row in rows), Fraction(0))
    fallback = _add(row.fallback for _, row in rows)
    residual = None
    if any(row.has_residual for _, row in rows):
        # Uncovered consumption is pro rata in time: it takes the consumption-weighted mean.
        residual = fallback.mg * 10**9 / exact_energy if fallback and exact_energy else Fraction(0)
    result = market_based(
        facility_energy_milliwatt_hours=energy or 0,
        location_mg=location or 0,
        instruments=[item.lot for item in scenario.instruments],
        residual_ug_per_kwh=residual,
        period=covering_dates(*scenario.period),
        market=code,
        vintage_window_months=scenario.vintage_window_months,
    )
    emission = _market_emission(result, fallback, scenario.instruments)
    if emission is None:
        return Market(result, None, {})
    exact = _row_shares(result, rows, scenario)
    whole = sum(exact, Fraction(0))
    scale = Fraction(result.market_mg) / whole if whole else Fraction(0)
    return Market(result, emission, {i: part * scale for (i, _), part in zip(rows, exact, strict=True)})


def _market_emission(
    result: MarketResult, fallback: Emission | None, instruments: Sequence[ScenarioLot]
) -> Emission | None:
    """Gases and biogenic CO2 behind a market-based result; ``None`` when its uncovered part has no factor at all."""
    applied = {outcome.id: outcome.applied_milliwatt_hours for outcome in result.lots}
    emission = NOTHING
    for item in instruments:
        if volume := applied.get(item.lot.id, 0):
            gases = item.gases_kg_per_mwh
            emission += Emission(
                location_based_mg(volume, item.lot.ug_per_kwh or 0),
                gases and (gases[0] * volume / 1000, gases[1] * volume / 1000, gases[2] * volume / 1000),
                item.biogenic_co2_kg_per_mwh * volume / 1000,
            )
    if result.uncovered_milliwatt_hours == 0:
        return emission
    if fallback is None:
        return None
    return emission + fallback.times(_uncovered_share(result))


def _uncovered_share(result: MarketResult) -> Fraction:
    energy = result.facility_energy_milliwatt_hours
    return Fraction(result.uncovered_milliwatt_hours, energy) if energy else Fraction(0)


def _row_shares(result: MarketResult, rows: Sequence[tuple[int, Row]], scenario: Scenario) -> list[Fraction]:
    """What each row bears of a market's result [mg], before it is scaled to the result's integer."""
    energies = [row.facility_energy for _, row in rows]
    fallbacks = [row.fallback.mg if row.fallback else Fraction(0) for _, row in rows]
    applied = {outcome.id: outcome.applied_milliwatt_hours for outcome in result.lots}
    lots = [lot for lot in order_of_use([item.lot for item in scenario.instruments]) if applied.get(lot.id)]
    earmarked = scenario.market_allocation == "earmarked"
    covered, instruments = instrument_shares(
        energies,
        [
            AppliedLot(
                applied[lot.id],
                lot.ug_per_kwh or 0,
                [n for n, (_, row) in enumerate(rows) if earmarked and lot.earmark and _is_for(row, *lot.earmark)],
            )
            for lot in lots
        ],
    )
    return [
        instruments[n] + (fallbacks[n] * (energy - covered[n]) / energy if energy else 0)
        for n, energy in enumerate(energies)
    ]


def _is_for(row: Row, dimension: str, name: str) -> bool:
    return str(getattr(row.consumption, dimension)) == name


# --- The result ---------------------------------------------------------------------------------------------------


def _energy_and_location(rows: Sequence[Row]) -> dict[str, Any]:
    location = _add(row.location for row in rows)
    return {
        "it_energy_kwh": _rounded(sum((row.it_energy for row in rows), Fraction(0))),
        "facility_energy_kwh": _rounded(sum((row.facility_energy for row in rows), Fraction(0))),
        "location_kg": _rounded(_mg(location)),
        "location_gases_kg": _gases(location),
        "location_biogenic_co2_kg": _rounded(location.biogenic_mg if location else None),
    }


def _market_totals(rows: Sequence[Row], markets: Sequence[Market], market_mg: int | None) -> dict[str, Any]:
    emission = _add(market.emission for market in markets)
    results = [market.result for market in markets]
    covered = sum(result.covered_milliwatt_hours for result in results)
    uncovered = sum(result.uncovered_milliwatt_hours for result in results)
    energy = covered + uncovered
    return {
        "market_kg": decimal_text(market_mg),
        "market_gases_kg": _gases(emission),
        "market_biogenic_co2_kg": _rounded(emission.biogenic_mg if emission else None),
        "covered_kwh": decimal_text(covered),
        "uncovered_kwh": decimal_text(uncovered),
        "surplus_kwh": decimal_text(sum(result.surplus_milliwatt_hours for result in results)),
        "covered_fraction": ratio_text(Fraction(covered, energy)) if energy else None,
    }


def _instrument(item: ScenarioLot, markets: dict[str, Market], scenario: Scenario) -> dict[str, Any]:
    if item.lot.market in markets:
        outcome = next(lot for lot in markets[item.lot.market].result.lots if lot.id == item.lot.id)
    else:
        outcome = _rejected(item, scenario)
    return {
        "id": outcome.id,
        "accepted_kwh": decimal_text(outcome.accepted_milliwatt_hours),
        "applied_kwh": decimal_text(outcome.applied_milliwatt_hours),
        "surplus_kwh": decimal_text(outcome.surplus_milliwatt_hours),
        "rejected_criteria": list(outcome.rejected_criteria),
    }


def _rejected(item: ScenarioLot, scenario: Scenario) -> LotOutcome:
    """A lot of a market in which nothing is consumed in Scope 2: criterion 5, and whatever else it fails."""
    lots = [other.lot for other in scenario.instruments]
    checks = quality_criteria(
        item.lot,
        market="",
        period=covering_dates(*scenario.period),
        vintage_window_months=scenario.vintage_window_months,
        earlier=lots[: lots.index(item.lot)],
    )
    failed = [check for check in checks if not check.passed]
    numbers, reasons = tuple(check.number for check in failed), tuple(check.reason for check in failed)
    return LotOutcome(item.lot.id, 0, 0, 0, 0, numbers, reasons)


def _flags(rows: Sequence[Row], inside: Sequence[Row], markets: dict[str, Market]) -> set[str]:
    """What a reader of the figures must be told."""
    flags = {f"no_residual_mix:{row.market}" for row in inside if not row.has_residual}
    flags |= {flag for market in markets.values() for flag in market.result.flags}
    return flags | {f"no_location_factor:{row.market}" for row in rows if row.location is None}


def _fit(
    rows: Sequence[Row],
    key: Callable[[Row], str],
    exact: Callable[[Row], Fraction | None],
    total: int | None = None,
) -> dict[str, int | None]:
    """Integers by group that add up to the rounded total; a group with an absent figure is absent itself."""
    groups: dict[str, Fraction | None] = {}
    for row in rows:
        value, name = exact(row), key(row)
        before = groups.get(name, Fraction(0))
        groups[name] = None if value is None or before is None else before + value
    known = {name: value for name, value in groups.items() if value is not None}
    if total is None or len(known) < len(groups):
        total = round_half_up(sum(known.values(), Fraction(0)))
    return {**dict.fromkeys(groups), **fitted(total, known)}


def _add(emissions: Iterable[Emission | None]) -> Emission | None:
    total = NOTHING
    for emission in emissions:
        if emission is None:
            return None
        total += emission
    return total


def _mg(emission: Emission | None) -> Fraction | None:
    return emission.mg if emission else None


def _sum_or_none(values: Iterable[int | None]) -> int | None:
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)


def _gases(emission: Emission | None) -> dict[str, str | None]:
    masses: Sequence[Fraction | None] = (emission.gases_mg if emission else None) or (None, None, None)
    return {gas: _rounded(mass) for gas, mass in zip(GASES, masses, strict=True)}


def _rounded(value: Fraction | None) -> str | None:
    return None if value is None else decimal_text(round_half_up(value))


def decimal_text(millionths: int | None) -> str | None:
    """Milliwatt-hours as kWh, or milligrams as kg: a plain decimal string without trailing zeros."""
    if millionths is None:
        return None
    return format(Decimal(millionths).scaleb(-6).normalize() + 0, "f")


def ratio_text(ratio: Fraction) -> str:
    """A ratio with at most nine decimals."""
    return format(Decimal(round_half_up(ratio * 10**9)).scaleb(-9).normalize() + 0, "f")
