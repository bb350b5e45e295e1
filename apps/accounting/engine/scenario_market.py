"""A scenario's market over its whole period, by the ruleset in force (``engine.market``)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from apps.accounting.engine.allocation import AppliedLot, instrument_shares
from apps.accounting.engine.market import MarketResult, market_based, order_of_use
from apps.accounting.engine.scenario_input import Scenario, ScenarioLot, covering_dates
from apps.accounting.engine.scenario_rows import NOTHING, Emission, Market, Row, add, emission_of_lot, is_for


def market_of_period(
    code: str, rows: Sequence[tuple[int, Row]], energy: int, location: int, scenario: Scenario
) -> Market:
    """The market-based result of one market over the scenario's period.

    ``rows``: the market's rows with their numbers; ``energy`` [mWh] and ``location`` [mg]: their rounded sums.
    """
    exact_energy = sum((row.facility_energy for _, row in rows), Fraction(0))
    fallback = add(row.fallback for _, row in rows)
    residual = None
    if any(row.meets_residual for _, row in rows):
        # Uncovered consumption is pro rata in time: it takes the consumption-weighted mean.
        residual = fallback.mg * 10**9 / exact_energy if fallback and exact_energy else Fraction(0)
    result = market_based(
        facility_energy_milliwatt_hours=energy,
        location_mg=location,
        instruments=[item.lot for item in scenario.instruments],
        residual_ug_per_kwh=residual,
        period=covering_dates(*scenario.period),
        market=code,
        vintage_window_months=scenario.vintage_window_months,
    )
    emission = _market_emission(result, fallback, scenario.instruments)
    shares: dict[int, Fraction] = {}
    if emission is not None:
        exact = _row_shares(result, rows, scenario)
        whole = sum(exact, Fraction(0))
        scale = Fraction(result.market_mg) / whole if whole else Fraction(0)
        shares = {i: part * scale for (i, _), part in zip(rows, exact, strict=True)}
    return Market(
        market_mg=None if emission is None else result.market_mg,
        covered=result.covered_milliwatt_hours,
        uncovered=result.uncovered_milliwatt_hours,
        surplus=result.surplus_milliwatt_hours,
        emission=emission,
        row_mg=shares,
        lots=result.lots,
        flags=result.flags,
    )


def _market_emission(
    result: MarketResult, fallback: Emission | None, instruments: Sequence[ScenarioLot]
) -> Emission | None:
    """Gases and biogenic CO2 behind a market-based result; ``None`` when its uncovered part has no factor at all."""
    applied = {outcome.id: outcome.applied_milliwatt_hours for outcome in result.lots}
    emission = NOTHING
    for item in instruments:
        if volume := applied.get(item.lot.id, 0):
            emission += emission_of_lot(item, volume)
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
                [n for n, (_, row) in enumerate(rows) if earmarked and lot.earmark and is_for(row, *lot.earmark)],
            )
            for lot in lots
        ],
    )
    return [
        instruments[n] + (fallbacks[n] * (energy - covered[n]) / energy if energy else 0)
        for n, energy in enumerate(energies)
    ]
