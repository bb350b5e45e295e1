"""Sharing a market-based result among the rows of its market. Shares always add up to the whole.

The Scope 2 Guidance defines the market-based method for a company, not for its teams. The portal's policy [D]:
covered consumption is shared in proportion to energy; each row's uncovered part carries its own fallback. Earmarked
instruments, where the organisation chose so, go to the rows they were bought for first. Both give the same total.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import TypeVar

from apps.accounting.engine.market import FALLBACK_LOCATION, Lot, MarketResult, order_of_use
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
    return _rounded_once(weights, whole, names)


def _rounded_once(weights: Sequence[int | None], whole: int, names: Sequence[str]) -> list[int | None]:
    """The parts ``weight / whole`` as integers that add up to their rounded sum: largest remainder, ties by name."""
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


EarmarkKey = tuple[str | None, str | None]  # team and model, each None where no lot is earmarked for it


@dataclass(frozen=True, slots=True)
class EarmarkClass:
    """The consumption in a market and claim period that the same lots were bought for, and what it bears.

    ``market_mg`` is scaled so that all classes together bear the market's result; see :func:`earmark_classes`.
    """

    team: str | None
    model: str | None
    facility_energy_milliwatt_hours: int
    location_mg: int
    covered_milliwatt_hours: int
    uncovered_milliwatt_hours: int
    instruments_mg: int
    market_mg: int


def earmark_key(team: str | None, model: str | None, earmarks: Collection[tuple[str, str]]) -> EarmarkKey:
    """The class of a row: its team and its model where a lot is earmarked for them."""
    return (
        team if team is not None and ("team", team) in earmarks else None,
        model if model is not None and ("model", model) in earmarks else None,
    )


def earmark_classes(
    consumption: Mapping[EarmarkKey, tuple[int, int]], lots: Sequence[Lot], result: MarketResult
) -> list[EarmarkClass]:
    """A market's result among its classes, by name; empty where no applied lot is earmarked: pro rata then.

    ``consumption``: energy [mWh] and location-based emissions [mg] by :func:`earmark_key`, adding up to the market's.
    Lots cover their own class first (:func:`instrument_shares`, as in scenarios); what a class has uncovered takes the
    residual mix, or the same share of its own location-based figure. The exact sum of the classes is scaled to the
    market's integer, so that the policy moves emissions inside a market and never changes its total.
    """
    applied = {outcome.id: outcome.applied_milliwatt_hours for outcome in result.lots}
    used = [lot for lot in order_of_use(lots) if applied.get(lot.id)]
    keys = sorted(consumption, key=str)
    rows = {lot.id: [n for n, key in enumerate(keys) if lot.earmark and _is_for(key, lot.earmark)] for lot in used}
    if not any(rows.values()):
        return []
    energies = [consumption[key][0] for key in keys]
    covered, instruments = instrument_shares(
        energies, [AppliedLot(applied[lot.id], lot.ug_per_kwh or 0, rows[lot.id]) for lot in used]
    )
    exact = [
        instruments[n] + _fallback_of(energies[n], consumption[key][1], covered[n], result)
        for n, key in enumerate(keys)
    ]
    if not sum(exact) and result.market_mg:
        return []
    covered_of = fitted(result.covered_milliwatt_hours, dict(zip(keys, covered, strict=True)))
    instruments_of = fitted(result.instruments_mg, dict(zip(keys, instruments, strict=True)))
    market_of = fitted(result.market_mg, dict(zip(keys, exact, strict=True)))
    return [
        EarmarkClass(
            team=key[0],
            model=key[1],
            facility_energy_milliwatt_hours=energy,
            location_mg=consumption[key][1],
            covered_milliwatt_hours=covered_of[key],
            uncovered_milliwatt_hours=energy - covered_of[key],
            instruments_mg=instruments_of[key],
            market_mg=market_of[key],
        )
        for key, energy in zip(keys, energies, strict=True)
    ]


def _is_for(key: EarmarkKey, earmark: tuple[str, str]) -> bool:
    return earmark in (("team", key[0]), ("model", key[1]))


def _fallback_of(energy: int, location_mg: int, covered: Fraction, result: MarketResult) -> Fraction:
    if not energy or not result.uncovered_milliwatt_hours:
        return Fraction(0)
    if result.fallback == FALLBACK_LOCATION:
        return location_mg * (energy - covered) / energy
    return result.fallback_mg * (energy - covered) / result.uncovered_milliwatt_hours


def earmarked_market_mg(
    part: EarmarkClass,
    *,
    facility_energy_milliwatt_hours: Sequence[int],
    location_mg: Sequence[int | None],
    names: Sequence[str],
    fallback: str,
) -> list[int | None]:
    """The market-based emissions [mg] of parts of one class; rounding, absence and order as in pro rata.

    With the residual mix in proportion to energy, with the grid average to ``energy x instruments + location x
    uncovered``. Parts that make up the class add up to its ``market_mg``.
    """
    whole = part.facility_energy_milliwatt_hours
    if fallback == FALLBACK_LOCATION and whole:
        bears = whole * part.instruments_mg + part.location_mg * part.uncovered_milliwatt_hours
        weights: list[int | None] = [
            None
            if location is None and part.uncovered_milliwatt_hours and not energy * part.instruments_mg
            else (energy * part.instruments_mg + (location or 0) * part.uncovered_milliwatt_hours) * part.market_mg
            for energy, location in zip(facility_energy_milliwatt_hours, location_mg, strict=True)
        ]
        if bears:
            return _rounded_once(weights, bears, names)
    return pro_rata_market_mg(
        facility_energy_milliwatt_hours=facility_energy_milliwatt_hours,
        location_mg=[0 if location is None else location for location in location_mg],
        names=names,
        market_energy_milliwatt_hours=whole,
        uncovered_milliwatt_hours=0,
        instruments_mg=part.market_mg,
        market_mg=part.market_mg,
        fallback=fallback,
    )
