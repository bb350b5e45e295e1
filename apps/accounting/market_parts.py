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

from apps.accounting.engine.allocation import pro_rata_market_mg
from apps.accounting.models import MarketRate


def parts_mg(
    rate: MarketRate, energies: Sequence[int], locations: Sequence[int | None], names: Sequence[str]
) -> list[int | None]:
    """The market-based emissions [mg] of parts of a market, by facility energy [mWh] and location-based figure [mg].

    See ``engine.allocation.pro_rata_market_mg``. None: the part takes its location-based figure and has none.
    """
    return pro_rata_market_mg(
        facility_energy_milliwatt_hours=energies,
        location_mg=locations,
        names=names,
        market_energy_milliwatt_hours=rate.facility_energy_milliwatt_hours,
        uncovered_milliwatt_hours=rate.uncovered_milliwatt_hours,
        instruments_mg=rate.instruments_mg,
        market_mg=rate.market_mg,
        fallback=rate.fallback,
    )


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
