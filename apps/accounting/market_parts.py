"""Market-based figures of the parts of a market: exact shares of its market rate.

[1] GHG Protocol Scope 2 Guidance (2015), table 6.3. Inside a market and claim period every megawatt-hour carries the
same share of the instruments (pro rata by energy); what they leave uncovered takes the residual mix, or without one
each part's own location-based figure. Where the organisation chose earmarked allocation, that holds inside each class
of consumption that the same lots were bought for (``engine.allocation.EarmarkClass``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date

import numpy as np
import pandas as pd

from apps.accounting.engine.allocation import (
    EarmarkClass,
    EarmarkKey,
    earmarked_market_mg,
    pro_rata_market_mg,
)
from apps.accounting.ledger_sql import Hidden
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


def class_of(rate: MarketRate) -> dict[EarmarkKey, EarmarkClass]:
    """The classes that a rate's earmarked instruments divide its market into; empty for pro rata."""
    return {(part["team"], part["model"]): EarmarkClass(**part) for part in rate.parts}


def earmarks_of(rates: Sequence[MarketRate]) -> set[tuple[str, str]]:
    """``("team", slug)`` and ``("model", slug)`` of everything that lots of these rates are earmarked for."""
    named = {(dimension, part[dimension]) for rate in rates for part in rate.parts for dimension in ("team", "model")}
    return {(dimension, name) for dimension, name in named if name is not None}


def hidden_of(earmarks: Collection[tuple[str, str]]) -> Hidden:
    """The columns ``earmark_team`` and ``earmark_model``: the names among ``earmarks``, none for all others."""
    columns, parameters = {}, []
    for dimension in ("team", "model"):
        names = sorted(name for of, name in earmarks if of == dimension)
        marks = ", ".join(["%s"] * len(names))
        columns[f"earmark_{dimension}"] = (
            f"CASE WHEN {dimension}.slug IN ({marks}) THEN {dimension}.slug END" if names else "CAST(NULL AS text)"
        )
        parameters += names
    return Hidden(columns, tuple(parameters), ("team",))


def add_market_based(frame: pd.DataFrame, rates: Sequence[MarketRate], group_by: Sequence[str]) -> pd.DataFrame:
    """``frame`` with the column ``market_mg``; absent outside Scope 2 and where no rate is worked out yet.

    The frame's rows carry ``scope``, ``market`` and ``month_number``, energies and location-based figures, and, where
    a rate has earmarked parts, ``earmark_team`` and ``earmark_model``.
    """
    market_mg = np.full(len(frame), None, dtype=object)
    scope_2 = np.flatnonzero((frame["scope"] == "2").to_numpy())
    by_part: dict[tuple[int, EarmarkKey], list[int]] = {}
    classes = [class_of(rate) for rate in rates]
    teams = _absent_as_none(frame["earmark_team"]) if "earmark_team" in frame else [None] * len(frame)
    models = _absent_as_none(frame["earmark_model"]) if "earmark_model" in frame else [None] * len(frame)
    found: dict[tuple[str, int], int | None] = {}
    markets, months = frame["market"].tolist(), frame["month_number"].tolist()
    for i in scope_2:
        key = (markets[i], months[i])
        if key not in found:
            found[key] = _rate_of(rates, *key)
        position = found[key]
        if position is not None:
            by_part.setdefault((position, _own(classes[position], teams[i], models[i])), []).append(int(i))
    energies = frame["facility_energy_milliwatt_hours"].tolist()
    locations = [None if at is pd.NA else at for at in frame["location_mg"].tolist()]
    columns = [frame[name].tolist() for name in (*group_by, "month_number")]
    names = ["\0".join(map(str, row)) for row in zip(*columns, strict=True)]
    for (position, key), rows in by_part.items():
        part = (
            [energies[i] for i in rows],
            [locations[i] for i in rows],
            [names[i] for i in rows],
        )
        if key in classes[position]:
            market_mg[rows] = earmarked_market_mg(
                classes[position][key],
                facility_energy_milliwatt_hours=part[0],
                location_mg=part[1],
                names=part[2],
                fallback=rates[position].fallback,
            )
        else:
            market_mg[rows] = parts_mg(rates[position], *part)
    return frame.assign(market_mg=pd.array(market_mg, dtype="Int64"))


def _own(classes: Mapping[EarmarkKey, EarmarkClass], team: str | None, model: str | None) -> EarmarkKey:
    """The class of a row in a rate: names that other rates' lots are earmarked for do not count in this one."""
    teams, models = {key[0] for key in classes}, {key[1] for key in classes}
    return team if team in teams else None, model if model in models else None


def _absent_as_none(column: pd.Series) -> list[str | None]:
    return [None if pd.isna(value) else str(value) for value in column]


def _rate_of(rates: Sequence[MarketRate], market: str, month: int) -> int | None:
    day = date(month // 100, month % 100, 1)
    for position, rate in enumerate(rates):
        if rate.market == market and rate.period_start <= day < rate.period_end:
            return position
    return None
