"""Energy and emissions per unit of AI work: ratios of sums, absent where there is nothing to divide by.

[1] GHG Protocol Corporate Standard, ch. 9: intensity ratios beside the absolute figures, numerator and denominator of
    the same boundary.
[2] ISO/IEC 21031:2024 (SCI), 4.2: the functional unit R; consumer units of SCI for AI (token, request).
[3] Scope 2 Guidance (2015), p. 42: location-based and market-based are two figures and never mixed.

A unit's energy is that of the rows that carry its work, and of no others: the energy of training is not divided by
the tokens of inference. The energy boundary of the readings behind a ratio stands beside it, because the same model
measured at the accelerator and at the meter differs by half and more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

MS_PER_HOUR = 3_600_000
MILLI = 1_000


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of AI work: its code, how it reads, and how many of the counted things it is."""

    code: str
    label: str
    size: int


UNITS: dict[str, Unit] = {
    unit.code: unit
    for unit in (
        Unit("tokens", "1,000 tokens", 1_000),
        Unit("requests", "request", 1),
        Unit("accelerator_hours", "accelerator-hour", MS_PER_HOUR),
        Unit("training_runs", "training run", 1),
    )
}


@dataclass(frozen=True, slots=True)
class Carried:
    """Sums over the rows that carry a unit's work.

    ``facility_milliwatt_hours`` and ``count`` (tokens, requests, accelerator-milliseconds, runs) are of all of them.
    Emissions [mg] may be known for a part: ``location_count`` and ``market_count`` are the work of the rows whose
    figure is known, so that a missing factor does not make the rest look cleaner.
    """

    facility_milliwatt_hours: int = 0
    count: int = 0
    location_mg: int | None = None
    location_count: int = 0
    market_mg: int | None = None
    market_count: int = 0
    by_boundary: Mapping[str, int] = field(default_factory=dict)  # facility energy [mWh] by what was measured


@dataclass(frozen=True, slots=True)
class Intensity:
    """Per unit, exact: facility energy [Wh], location-based and market-based emissions [g CO2e]; ``None`` is absent.

    ``boundary``: the shares of the energy by what was measured, largest first.
    """

    unit: Unit
    wh: Fraction | None
    location_g: Fraction | None
    market_g: Fraction | None
    boundary: tuple[tuple[str, Fraction], ...]

    @property
    def is_mixed(self) -> bool:
        """Whether readings of several energy boundaries stand behind the ratio."""
        return len(self.boundary) > 1


def intensity(unit: Unit, carried: Carried) -> Intensity:
    """The ratio of sums of one unit [1]. mWh and mg per unit become Wh and g."""
    return Intensity(
        unit=unit,
        wh=per(carried.facility_milliwatt_hours, carried.count, unit),
        location_g=per(carried.location_mg, carried.location_count, unit),
        market_g=per(carried.market_mg, carried.market_count, unit),
        boundary=boundary_shares(carried.by_boundary),
    )


def per(amount: int | None, count: int, unit: Unit) -> Fraction | None:
    """``amount / count`` for a whole unit, in thousandths of the amount's unit; absent without amount or count."""
    if amount is None or count <= 0:
        return None
    return Fraction(amount * unit.size, count * MILLI)


def boundary_shares(by_boundary: Mapping[str, int]) -> tuple[tuple[str, Fraction], ...]:
    """Shares of energies, largest first, equal ones by name; nothing for no energy."""
    total = sum(by_boundary.values())
    if total <= 0:
        return ()
    ordered = sorted(by_boundary.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple((name, Fraction(energy, total)) for name, energy in ordered if energy > 0)


def boundary_text(shares: Iterable[tuple[str, Fraction]]) -> str:
    """The shares in words: ``accelerator``, or ``accelerator 72 %, node 28 %``."""
    known = list(shares)
    if not known:
        return "no energy"
    if len(known) == 1:
        return known[0][0]
    return ", ".join(f"{name} {_percent(share)}" for name, share in known)


def _percent(share: Fraction) -> str:
    whole = round(share * 100)
    return "< 1 %" if whole < 1 else "> 99 %" if whole > 99 else f"{whole} %"
