"""Sharing a market-based result among the rows of its market. Shares always add up to the whole.

The Scope 2 Guidance defines the market-based method for a company, not for its teams. The portal's policy [D]:
covered consumption is shared in proportion to energy; each row's uncovered part carries its own fallback. Earmarked
instruments, where the organisation chose so, go to the rows they were bought for first. Both give the same total.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
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
    the whole market therefore add up to ``market_mg``. ``None`` for a part that would fall back on a location-based
    figure which it has not: absent, never zero.
    """
    whole = market_energy_milliwatt_hours
    if whole == 0:
        return [0 if energy == 0 else None for energy in facility_energy_milliwatt_hours]
    weights: list[int | None]
    if fallback == FALLBACK_LOCATION:
        weights = [
            None
            if location is None and uncovered_milliwatt_hours
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


def earmarked_cover(
    *,
    energies: Sequence[int | Fraction],
    earmarks: Sequence[Sequence[int]],
    applied_milliwatt_hours: Sequence[int],
) -> list[list[Fraction]]:
    """How much of each applied lot [mWh] covers each row: ``cover[lot][row]``, exact.

    ``earmarks[lot]`` lists the rows that the lot was bought for; empty for a lot of everybody. Earmarked lots are
    shared among their rows by energy, up to what these rows have uncovered; what is left of them, and all other lots,
    go to all rows in proportion to what is uncovered still. Lots are taken in the given order, earmarked ones first.
    Sums over rows are the applied volumes, because a market never has more applied than it consumed.
    """
    open_energy = [Fraction(energy) for energy in energies]
    cover = [[Fraction(0)] * len(open_energy) for _ in earmarks]

    def spread(lot: int, rows: Sequence[int], volume: Fraction) -> Fraction:
        available = sum((open_energy[row] for row in rows), Fraction(0))
        used = min(volume, available)
        if used:
            for row in rows:
                part = used * open_energy[row] / available
                cover[lot][row] += part
            for row in rows:
                open_energy[row] -= used * open_energy[row] / available
        return volume - used

    left = [Fraction(volume) for volume in applied_milliwatt_hours]
    for lot, rows in enumerate(earmarks):
        if rows:
            left[lot] = spread(lot, rows, left[lot])
    for lot, volume in enumerate(left):
        spread(lot, range(len(open_energy)), volume)
    return cover
