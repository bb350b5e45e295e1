"""The rows of a scenario with their exact figures, and how exact figures become printed ones that add up."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from apps.accounting.engine.allocation import fitted
from apps.accounting.engine.energy import it_and_facility_energy
from apps.accounting.engine.location import location_based_mg, scope_of
from apps.accounting.engine.market import LotOutcome
from apps.accounting.engine.scenario_input import Consumption, Scenario, ScenarioFactor, ScenarioLot, Timed
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
    ``has_residual``: a residual mix holds all the time; ``meets_residual``: at some time.
    """

    consumption: Consumption
    market: str
    scope: str
    it_energy: Fraction
    facility_energy: Fraction
    location: Emission | None
    fallback: Emission | None
    has_residual: bool
    meets_residual: bool


@dataclass(frozen=True, slots=True)
class HourlyFigures:
    """Sums [mWh] over the hours of one market; ``carbon_free`` over those whose score is known, ``cfe_load``."""

    load: int
    matched: int
    standard_supply: int
    carbon_free: int
    cfe_load: int


@dataclass(frozen=True, slots=True)
class Market:
    """A market's result [mWh, mg], exact shares of its rows, and the exact emission behind it.

    ``market_mg`` and ``emission`` empty: the uncovered part has no factor at all, absent and not zero.
    """

    market_mg: int | None
    covered: int
    uncovered: int
    surplus: int
    emission: Emission | None
    row_mg: dict[int, Fraction]
    lots: tuple[LotOutcome, ...]
    flags: tuple[str, ...]
    hourly: HourlyFigures | None = None


def row_of(item: Consumption, scenario: Scenario) -> Row:
    """A consumption row with PUE and factors applied, exact."""
    facility = scenario.facilities[item.facility]
    market = scenario.markets[facility.market]
    it_energy, energy = it_and_facility_energy(item.energy_milliwatt_hours, item.boundary, facility.pue)
    location: Emission | None = NOTHING
    fallback: Emission | None = NOTHING
    has_residual, meets_residual = True, False
    for start, end in segments(item, market.location, market.residual):
        part = energy * Fraction((end - start) // MICROSECOND, (item.end - item.start) // MICROSECOND)
        grid, residual = at(market.location, start), at(market.residual, start)
        grid_emission = emission_of(part, grid) if grid else None
        location = location + grid_emission if location and grid_emission else None
        uncovered = emission_of(part, residual) if residual else grid_emission
        fallback = fallback + uncovered if fallback and uncovered else None
        has_residual = has_residual and residual is not None
        meets_residual = meets_residual or residual is not None
    scope = scope_of(facility.control)
    return Row(item, facility.market, scope, it_energy, energy, location, fallback, has_residual, meets_residual)


def segments(item: Consumption, *series: Sequence[ScenarioFactor]) -> Iterator[tuple[datetime, datetime]]:
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


def at(factors: Sequence[Timed], moment: datetime) -> Timed | None:
    """What holds at a moment, of values sorted by time."""
    index = bisect_right(factors, moment, key=lambda factor: factor.start) - 1
    return factors[index] if index >= 0 and moment < factors[index].end else None


def emission_of(energy: Fraction, factor: ScenarioFactor) -> Emission:
    """Energy [mWh] x factor; a gas mass of 1 kg/MWh is 1 mg per mWh / 1000."""
    gases = factor.gases_kg_per_mwh
    return Emission(
        location_based_mg(energy, factor.ug_per_kwh),
        gases and (gases[0] * energy / 1000, gases[1] * energy / 1000, gases[2] * energy / 1000),
        factor.biogenic_co2_kg_per_mwh * energy / 1000,
    )


def emission_of_lot(item: ScenarioLot, volume: int) -> Emission:
    """What a volume [mWh] of an instrument emits."""
    factor = ScenarioFactor(
        item.start, item.end, item.lot.ug_per_kwh or 0, item.gases_kg_per_mwh, item.biogenic_co2_kg_per_mwh
    )
    return emission_of(Fraction(volume), factor)


def is_for(row: Row, dimension: str, name: str) -> bool:
    """Whether a row is of the team, model or facility that a lot is earmarked for."""
    return str(getattr(row.consumption, dimension)) == name


def fit(
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


def add(emissions: Iterable[Emission | None]) -> Emission | None:
    """The sum, or ``None`` when one of them is absent."""
    total = NOTHING
    for emission in emissions:
        if emission is None:
            return None
        total += emission
    return total


def mg_of(emission: Emission | None) -> Fraction | None:
    """Milligrams CO2e."""
    return emission.mg if emission else None


def decimal_text(millionths: int | None) -> str | None:
    """Milliwatt-hours as kWh, or milligrams as kg: a plain decimal string without trailing zeros."""
    if millionths is None:
        return None
    return format(Decimal(millionths).scaleb(-6).normalize() + 0, "f")


def ratio_text(ratio: Fraction) -> str:
    """A ratio with at most nine decimals."""
    return format(Decimal(round_half_up(ratio * 10**9)).scaleb(-9).normalize() + 0, "f")
