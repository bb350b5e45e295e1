"""Market-based figures of the parts of a market: exact shares of its market rate.

[1] GHG Protocol Scope 2 Guidance (2015), table 6.3. Inside a market and claim period every megawatt-hour carries the
same share of the instruments (pro rata by energy); what they leave uncovered takes the residual mix, or without one
each part's own location-based figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd

from apps.accounting.models import MarketRate


def parts_mg(
    rate: MarketRate, energies: Sequence[int], locations: Sequence[int | None], names: Sequence[str]
) -> list[int | None]:
    """The market-based emissions [mg] of parts of a market, by facility energy [mWh] and location-based figure [mg].

    The whole of the parts is rounded once and shared by largest remainder, ties in the order of ``names``; the parts
    of the whole claim period add up to ``rate.market_mg``. None: the part takes its location-based figure and has
    none.
    """
    energy = rate.facility_energy_milliwatt_hours
    if energy == 0:
        return [0 if used == 0 else None for used in energies]
    by_location = rate.fallback == MarketRate.Fallback.LOCATION
    if by_location:
        uncovered, instruments = rate.uncovered_milliwatt_hours, rate.instruments_mg
        weights = [
            None if at is None and uncovered else used * instruments + (at or 0) * uncovered
            for used, at in zip(energies, locations, strict=True)
        ]
    else:
        weights = [used * rate.market_mg for used in energies]
    parts: list[int | None] = [None if weight is None else weight // energy for weight in weights]
    known = [(i, weight) for i, weight in enumerate(weights) if weight is not None]
    doubled = 2 * sum(weight for _, weight in known) + energy
    left = doubled // (2 * energy) - sum(weight // energy for _, weight in known)
    known.sort(key=lambda item: (-(item[1] % energy), names[item[0]]))
    for i, weight in known[:left]:
        parts[i] = weight // energy + 1
    return parts


def add_market_based(frame: pd.DataFrame, rates: Sequence[MarketRate], group_by: Sequence[str]) -> pd.DataFrame:
    """``frame`` with the column ``market_mg``; absent outside Scope 2 and where no rate is worked out yet.

    The frame's rows carry ``scope``, ``market`` and ``month_number``, energies and location-based figures.
    """
    market_mg = np.full(len(frame), None, dtype=object)
    scope_2 = np.flatnonzero((frame["scope"] == "2").to_numpy())
    by_rate: dict[int, list[int]] = {}
    found: dict[tuple[str, int], int | None] = {}
    markets, months = frame["market"].tolist(), frame["month_number"].tolist()
    for i in scope_2:
        key = (markets[i], months[i])
        if key not in found:
            found[key] = _rate_of(rates, *key)
        position = found[key]
        if position is not None:
            by_rate.setdefault(position, []).append(int(i))
    energies = frame["facility_energy_milliwatt_hours"].tolist()
    locations = [None if at is pd.NA else at for at in frame["location_mg"].tolist()]
    columns = [frame[name].tolist() for name in (*group_by, "month_number")]
    names = ["\0".join(map(str, row)) for row in zip(*columns, strict=True)]
    for position, rows in by_rate.items():
        market_mg[rows] = parts_mg(
            rates[position], [energies[i] for i in rows], [locations[i] for i in rows], [names[i] for i in rows]
        )
    return frame.assign(market_mg=pd.array(market_mg, dtype="Int64"))


def _rate_of(rates: Sequence[MarketRate], market: str, month: int) -> int | None:
    day = date(month // 100, month % 100, 1)
    for position, rate in enumerate(rates):
        if rate.market == market and rate.period_start <= day < rate.period_end:
            return position
    return None
