"""A scenario's market hour by hour, by the draft of October 2025 (``engine.hourly``): a what-if, never reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

import numpy as np

from apps.accounting.engine.allocation import AppliedLot, fitted, instrument_shares
from apps.accounting.engine.hourly import (
    ABSENT,
    DEFAULT,
    HourlyLot,
    HourlyResult,
    carbon_free_energy,
    default_fossil_ug_per_kwh,
    draft_criteria,
    fallback_factors,
    hourly_market_based,
)
from apps.accounting.engine.location import location_based_mg
from apps.accounting.engine.market import (
    CriterionResult,
    Lot,
    claimed_before,
    lot_outcome,
    order_of_use,
    quality_criteria,
)
from apps.accounting.engine.scenario_fields import ScenarioError, ScenarioFault
from apps.accounting.engine.scenario_input import (
    Scenario,
    ScenarioFactor,
    ScenarioLot,
    ScenarioMarket,
    covering_dates,
)
from apps.accounting.engine.scenario_rows import (
    MICROSECOND,
    NO_GAS,
    NOTHING,
    Emission,
    HourlyFigures,
    Market,
    Row,
    at,
    emission_of,
    emission_of_lot,
    is_for,
)
from apps.core.units import Int64Array, round_half_up
from apps.core.windows import EPOCH

HOUR = timedelta(hours=1)
FLAT_PROFILE = "flat_profile"
"""Flag of a lot whose production is not known by the hour and was spread evenly over its vintage."""


@dataclass(frozen=True, slots=True)
class _Hours:
    """The whole hours that a period touches."""

    first: datetime
    count: int

    @classmethod
    def of(cls, period: tuple[datetime, datetime]) -> _Hours:
        first = period[0] - (period[0] - EPOCH) % HOUR
        return cls(first, -((first - period[1]) // HOUR))

    def shares(self, start: datetime, end: datetime) -> list[tuple[int, Fraction]]:
        """The hours that an interval touches and the share of its time in each; what lies outside is left out."""
        span = (end - start) // MICROSECOND
        index = max((start - self.first) // HOUR, 0)
        shares = []
        while index < self.count and self.first + index * HOUR < end:
            hour = self.first + index * HOUR
            inside = min(end, hour + HOUR) - max(start, hour)
            shares.append((index, Fraction(inside // MICROSECOND, span)))
            index += 1
        return shares


def market_by_hour(
    code: str, rows: Sequence[tuple[int, Row]], energy: int, location: int, scenario: Scenario
) -> Market:
    """The what-if result of one market, summed over the hours of the scenario's period.

    ``rows``: the market's rows with their numbers; ``energy`` [mWh]: their rounded sum, to which the hours are
    fitted. ``location`` is not used: no grid average stands in the draft's market-based method.
    """
    hours, market = _Hours.of(scenario.period), scenario.markets[code]
    exact = _loads(rows, hours)
    whole: dict[int, Fraction] = {}
    for by_hour in exact:
        for hour, part in by_hour.items():
            whole[hour] = whole.get(hour, Fraction(0)) + part
    residual = _residual(market, hours)
    supply = market.standard_supply
    outcomes, used = _eligible(code, hours, scenario, has_residual_mix=bool(market.residual))
    try:
        load = np.zeros((1, hours.count), dtype=np.int64)
        for hour, rounded in fitted(energy, whole).items():
            load[0, hour] = rounded
        factor, level = _fallback(market, residual, hours, scenario)
        result = hourly_market_based(
            load=load,
            lots=[_hourly_lot(item, hours) for item in used],
            fallback_ug_per_kwh=factor,
            standard_share_ppm=np.full_like(load, supply.share_ppm) if supply else None,
            standard_ug_per_kwh=np.full_like(load, supply.ug_per_kwh) if supply else None,
        )
    except (ValueError, OverflowError) as error:
        raise ScenarioError([ScenarioFault("", str(error), "quantities that one hour of a market can hold")]) from None
    applied = {item.lot.id: int(part.sum()) for item, part in zip(used, result.applied, strict=True)}
    contracted = carbon_free_energy(load=load, contracted=result.carbon_free, grid_cfe_ppm=_grid_cfe(market, hours))
    known = contracted != ABSENT
    fallback_level = level[(load > 0) & (result.unmatched > 0)]
    return Market(
        market_mg=int(result.market_mg.sum()),
        covered=int((load - result.unmatched).sum()),
        uncovered=int(result.unmatched.sum()),
        surplus=int(result.surplus.sum()),
        emission=_emission(result, used, market, residual, factor),
        row_mg=_row_shares(result, rows, exact, whole, used, hours, scenario),
        lots=tuple(
            lot_outcome(
                item.lot,
                checks,
                accepted=accepted,
                applied=applied.get(item.lot.id, 0),
                flags=() if _is_hourly(item) else (FLAT_PROFILE,),
            )
            for item, checks, accepted in outcomes
        ),
        flags=(
            *((f"no_residual_mix:{code}",) if not market.residual else ()),
            *((f"default_fossil_factor:{code}",) if (fallback_level == DEFAULT).any() else ()),
        ),
        hourly=HourlyFigures(
            load=int(load.sum()),
            matched=int(result.matched.sum()),
            standard_supply=int(result.standard_supply.sum()),
            carbon_free=int(contracted[known].sum()),
            cfe_load=int(load[known].sum()),
        ),
    )


def criteria_by_hour(
    item: ScenarioLot,
    scenario: Scenario,
    *,
    market: str,
    earlier: Sequence[Lot],
    has_residual_mix: bool | None,
) -> list[CriterionResult]:
    """The eight criteria of a lot by the draft; ``market`` as in ``quality_criteria``."""
    checks = quality_criteria(
        item.lot,
        market=market,
        period=covering_dates(*scenario.period),
        vintage_window_months=scenario.vintage_window_months,
        earlier=earlier,
        has_residual_mix=has_residual_mix,
    )
    same_hours = item.start < scenario.period[1] and scenario.period[0] < item.end
    return draft_criteria(checks, item.lot, same_hours=same_hours, hourly=_is_hourly(item))


# --- Energy by hour -----------------------------------------------------------------------------------------------


def _loads(rows: Sequence[tuple[int, Row]], hours: _Hours) -> list[dict[int, Fraction]]:
    """For each row its energy [mWh] by hour, in proportion to time, exact."""
    return [
        {hour: row.facility_energy * share for hour, share in hours.shares(row.consumption.start, row.consumption.end)}
        for _, row in rows
    ]


def _is_hourly(item: ScenarioLot) -> bool:
    return item.end - item.start <= HOUR


def _hourly_lot(item: ScenarioLot, hours: _Hours) -> HourlyLot:
    """The lot's volume by hour: in proportion to time over its vintage, rounded so that it adds up to the whole."""
    shares = hours.shares(item.start, item.end)
    before = max(hours.first - item.start, timedelta(0)) // MICROSECOND
    elapsed = Fraction(before, (item.end - item.start) // MICROSECOND)
    bounds = [int(item.lot.energy_milliwatt_hours * elapsed)]
    for _, share in shares:
        elapsed += share
        bounds.append(int(item.lot.energy_milliwatt_hours * elapsed))
    upto = np.array(bounds, dtype=np.int64)
    return HourlyLot(market=0, volume=upto[1:] - upto[:-1], ug_per_kwh=item.lot.ug_per_kwh or 0, first=shares[0][0])


Outcome = tuple[ScenarioLot, list[CriterionResult], int]


def _eligible(
    code: str, hours: _Hours, scenario: Scenario, *, has_residual_mix: bool
) -> tuple[list[Outcome], list[ScenarioLot]]:
    """The market's lots with their checks and accepted volume in input order, and the accepted ones in order of use."""
    claimed = claimed_before([item.lot for item in scenario.instruments])
    outcomes = []
    accepted: dict[str, ScenarioLot] = {}
    for position, item in enumerate(scenario.instruments):
        if item.lot.market != code:
            continue
        checks = criteria_by_hour(
            item, scenario, market=code, earlier=claimed.get(position, ()), has_residual_mix=has_residual_mix
        )
        stands = all(check.passed for check in checks)
        volume = int(_hourly_lot(item, hours).volume.sum()) if stands else 0
        outcomes.append((item, checks, volume))
        if stands:
            accepted[item.lot.id] = item
    return outcomes, [accepted[lot.id] for lot in order_of_use([item.lot for item in accepted.values()])]


# --- Factors by hour ----------------------------------------------------------------------------------------------


def _residual(market: ScenarioMarket, hours: _Hours) -> list[ScenarioFactor | None]:
    """The residual mix of each hour; of several in one hour their mean by time, where no part of it is without one."""
    found: list[ScenarioFactor | None] = []
    for start in (hours.first + i * HOUR for i in range(hours.count)):
        factor = at(market.residual, start)
        if factor is not None and factor.end < start + HOUR:
            factor = _mean(market.residual, start)
        found.append(factor)
    return found


def _mean(factors: Sequence[ScenarioFactor], start: datetime) -> ScenarioFactor | None:
    end = start + HOUR
    shares = [
        (factor, Fraction((min(factor.end, end) - max(factor.start, start)) // MICROSECOND, HOUR // MICROSECOND))
        for factor in factors
        if factor.start < end and start < factor.end
    ]
    if sum(share for _, share in shares) != 1:
        return None
    return ScenarioFactor(
        start,
        end,
        round_half_up(sum((f.ug_per_kwh * share for f, share in shares), Fraction(0))),
        None,
        sum((f.biogenic_co2_kg_per_mwh * share for f, share in shares), Fraction(0)),
    )


def _fallback(
    market: ScenarioMarket, residual: Sequence[ScenarioFactor | None], hours: _Hours, scenario: Scenario
) -> tuple[Int64Array, Int64Array]:
    by_hour = [ABSENT if f is None or f.end - f.start > HOUR else f.ug_per_kwh for f in residual]
    longer = [ABSENT if f is None else f.ug_per_kwh for f in residual]
    fossil = ABSENT if market.fossil_ug_per_kwh is None else market.fossil_ug_per_kwh
    return fallback_factors(
        hourly_residual=np.array([by_hour], dtype=np.int64),
        residual=np.array([longer], dtype=np.int64),
        fossil=np.full((1, hours.count), fossil, dtype=np.int64),
        default_ug_per_kwh=default_fossil_ug_per_kwh(scenario.gwp),
    )


def _grid_cfe(market: ScenarioMarket, hours: _Hours) -> Int64Array:
    """The grid's carbon-free share in each hour, as it stands at the hour's beginning."""
    held = [at(market.grid_cfe, hours.first + i * HOUR) for i in range(hours.count)]
    shares = [ABSENT if share is None else share.ppm for share in held]
    return np.array([shares], dtype=np.int64)


# --- Emissions ----------------------------------------------------------------------------------------------------


def _emission(
    result: HourlyResult,
    lots: Sequence[ScenarioLot],
    market: ScenarioMarket,
    residual: Sequence[ScenarioFactor | None],
    factor: Int64Array,
) -> Emission:
    """Gases and biogenic CO2 behind a market's result, exact. Fossil factors and standard supply state no gases."""
    emission = NOTHING
    for item, part in zip(lots, result.applied, strict=True):
        emission += emission_of_lot(item, int(part.sum()))
    if market.standard_supply and (volume := int(result.standard_supply.sum())):
        emission += _without_gases(volume, market.standard_supply.ug_per_kwh)
    for hour in np.flatnonzero(result.unmatched[0]).tolist():
        volume, known = int(result.unmatched[0, hour]), residual[hour]
        if known is None:
            emission += _without_gases(volume, int(factor[0, hour]))
        else:
            emission += emission_of(Fraction(volume), known)
    return emission


def _without_gases(volume: int, ug_per_kwh: int) -> Emission:
    mg = location_based_mg(volume, ug_per_kwh)
    return Emission(mg, None if mg else NO_GAS, Fraction(0))


def _row_shares(
    result: HourlyResult,
    rows: Sequence[tuple[int, Row]],
    loads: Sequence[dict[int, Fraction]],
    whole: dict[int, Fraction],
    lots: Sequence[ScenarioLot],
    hours: _Hours,
    scenario: Scenario,
) -> dict[int, Fraction]:
    """What each row bears of its market's emissions [mg], hour by hour; exact, and adding up to the integers."""
    shares = {i: Fraction(0) for i, _ in rows}
    earmarked = _earmarked_hours(result, lots, hours, scenario)
    for hour, load in whole.items():
        mg = int(result.market_mg[0, hour])
        if not mg or not load:
            continue
        present = [n for n, row in enumerate(loads) if row.get(hour)]
        weights = [loads[n][hour] for n in present]
        if hour in earmarked:
            weights = _earmarked_weights(result, hour, [rows[n][1] for n in present], weights, earmarked[hour])
        total = sum(weights, Fraction(0))
        for n, weight in zip(present, weights, strict=True):
            shares[rows[n][0]] += weight * mg / total
    return shares


def _earmarked_hours(
    result: HourlyResult, lots: Sequence[ScenarioLot], hours: _Hours, scenario: Scenario
) -> dict[int, list[tuple[ScenarioLot, int]]]:
    """The hours in which an earmarked lot covers load, where that is the policy: every lot with its volume there."""
    if scenario.market_allocation != "earmarked":
        return {}
    used: dict[int, list[tuple[ScenarioLot, int]]] = {}
    for item, part in zip(lots, result.applied, strict=True):
        first = hours.shares(item.start, item.end)[0][0]
        for offset in np.flatnonzero(part).tolist():
            used.setdefault(first + offset, []).append((item, int(part[offset])))
    return {hour: items for hour, items in used.items() if any(item.lot.earmark for item, _ in items)}


def _earmarked_weights(
    result: HourlyResult,
    hour: int,
    rows: Sequence[Row],
    energies: Sequence[Fraction],
    used: Sequence[tuple[ScenarioLot, int]],
) -> list[Fraction]:
    """What each row of an hour emits [mg] where earmarked lots go to their own rows first."""
    lots = [
        AppliedLot(
            volume,
            item.lot.ug_per_kwh or 0,
            [n for n, row in enumerate(rows) if item.lot.earmark and is_for(row, *item.lot.earmark)],
        )
        for item, volume in used
    ]
    covered, instruments = instrument_shares(energies, lots)
    # What no instrument covers, standard supply included, is alike for all rows of the hour.
    mg = int(result.market_mg[0, hour])
    whole, rest = sum(energies, Fraction(0)), mg - sum(instruments, Fraction(0))
    uncovered = whole - sum(covered, Fraction(0))
    if uncovered <= 0 or rest <= 0:
        return instruments
    return [
        own + rest * (energy - cover) / uncovered
        for own, energy, cover in zip(instruments, energies, covered, strict=True)
    ]
