"""Sharing a market-based result among the rows of its market. Shares always add up to the whole.

The Scope 2 Guidance defines the market-based method for a company, not for its teams. The portal's policy [D]:
covered consumption is shared in proportion to energy; each row's uncovered part carries its own fallback. Earmarked
instruments, where the organisation chose so, go to the rows they were bought for first. Both give the same total.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import TypeVar

from apps.accounting.engine.market import FALLBACK_LOCATION
from apps.core.units import largest_remainder, round_half_up

Name = TypeVar("Name", bound=Hashable)


def pro_rata_market_mg(
    *,
    facility_energy_milliwatt_hours: Sequence[int],
    location_mg: Sequence[int | None],
    names: Sequence[str],
    market_energy_milliwatt_hours: int,
    uncovered_milliwatt_hours: int,
    instruments_mg: int,
    market_mg: int,
    fallback: str,
) -> list[int | None]:
    """The market-based emissions [mg] of parts of one market in one claim period.

    With the residual mix every kilowatt-hour of the market carries the same rate: ``energy x market / market energy``.
    With the grid average a part carries ``(energy x instruments + location x uncovered) / market energy``. The sum of
    the parts given is rounded once and shared by largest remainder, ties in the order of ``names``; parts that make up
    the whole market therefore add up to ``market_mg``. A part that would fall back on a location-based figure which it
    has not carries its share of the instruments alone, and ``None`` where these emit nothing: absent, never zero.
    """
    whole = market_energy_milliwatt_hours
    if whole == 0:
        return [0 if energy == 0 else None for energy in facility_energy_milliwatt_hours]
    weights: list[int | None]
    if fallback == FALLBACK_LOCATION:
        weights = [
            None
            if location is None and uncovered_milliwatt_hours and not energy * instruments_mg
            else energy * instruments_mg + (location or 0) * uncovered_milliwatt_hours
            for energy, location in zip(facility_energy_milliwatt_hours, location_mg, strict=True)
        ]
    else:
        weights = [energy * market_mg for energy in facility_energy_milliwatt_hours]
    known = [(i, weight) for i, weight in enumerate(weights) if weight is not None]
    parts: list[int | None] = [None if weight is None else weight // whole for weight in weights]
    total = round_half_up(Fraction(sum(weight for _, weight in known), whole))
    left = total - sum(weight // whole for _, weight in known)
    known.sort(key=lambda item: (-(item[1] % whole), names[item[0]]))
    for i, weight in known[:left]:
        parts[i] = weight // whole + 1
    return parts


def fitted(total: int, exact: Mapping[Name, Fraction]) -> dict[Name, int]:
    """Integers for the exact parts that add up to ``total``, their rounded sum: largest remainder, ties by name."""
    if not exact:
        return {}
    names = list(exact)
    scale = lcm(*(value.denominator for value in exact.values()))
    weights = [int(exact[name] * scale) for name in names]
    return dict(zip(names, largest_remainder(total, weights, [str(name) for name in names]), strict=True))


@dataclass(frozen=True, slots=True)
class AppliedLot:
    """The applied part of a lot [mWh], its factor, and the rows it was bought for; none for a lot of everybody."""

    energy_milliwatt_hours: int
    ug_per_kwh: int
    rows: Sequence[int] = ()


def instrument_shares(
    energies: Sequence[int | Fraction], lots: Sequence[AppliedLot]
) -> tuple[list[Fraction], list[Fraction]]:
    """For each row of a market its covered energy [mWh] and what the covering instruments emit [mg], exact.

    An earmarked lot is shared by energy among its own rows, up to what these have uncovered; lots are taken in the
    given order. What is left of them, and all other lots, go to all rows in proportion to what is uncovered still.
    The sums over the rows are those of the lots, because a market never has more applied than it consumed.
    """
    uncovered = [Fraction(energy) for energy in energies]
    covered = [Fraction(0)] * len(uncovered)
    emissions = [Fraction(0)] * len(uncovered)

    def cover(rows: Sequence[int], energy: Fraction, mg: Fraction) -> Fraction:
        """Spread a volume and its emissions over rows; returns the share of them that found room."""
        room = sum((uncovered[row] for row in rows), Fraction(0))
        if not room or not energy:
            return Fraction(0)
        used = min(energy, room)
        share_of_row, mg_of_used = used / room, mg * used / energy
        for row in rows:
            emissions[row] += mg_of_used * uncovered[row] / room
            covered[row] += uncovered[row] * share_of_row
            uncovered[row] -= uncovered[row] * share_of_row
        return used / energy

    pool_energy = pool_mg = Fraction(0)
    for lot in lots:
        energy = Fraction(lot.energy_milliwatt_hours)
        mg = energy * lot.ug_per_kwh / 10**9
        left = 1 - (cover(lot.rows, energy, mg) if lot.rows else 0)
        pool_energy += energy * left
        pool_mg += mg * left
    cover(range(len(uncovered)), pool_energy, pool_mg)
    return covered, emissions
