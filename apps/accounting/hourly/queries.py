"""Reads of the stored hours: sums by market, profiles, rows. Ratios are of sums, never means of hourly ratios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import pandas as pd
from django.db.models import Case, Count, F, Max, QuerySet, Sum, Value, When

from apps.accounting.hourly.models import HourlyRun
from apps.accounting.models import MarketHour
from apps.accounting.queries import LedgerQuery, ledger_frame
from apps.core.windows import Window
from apps.organisations.models import Organisation

ENERGIES = ("load", "standard_supply", "matched", "unmatched", "surplus")


@dataclass(frozen=True, slots=True)
class MarketSums:
    """One market's hours of a window, summed; energies in mWh, emissions in mg.

    ``carbon_free`` and ``cfe_load`` are over the hours whose 24/7 score is known. ``reported_mg`` is the market-based
    figure of the same consumption by the ruleset in force; the two are never added or netted. ``fallbacks``: unmatched
    energy by :class:`MarketHour.Fallback`.
    """

    market: str
    hours: int
    load: int
    standard_supply: int
    matched: int
    unmatched: int
    surplus: int
    carbon_free: int
    cfe_load: int
    location_mg: int | None
    market_mg: int
    reported_mg: int | None = None
    fallbacks: dict[int, int] = field(default_factory=dict)

    @property
    def matched_fraction(self) -> Fraction | None:
        """Contracted match: matched / load."""
        return Fraction(self.matched, self.load) if self.load else None

    @property
    def cfe_fraction(self) -> Fraction | None:
        """24/7 carbon-free score over the hours in which the grid's share is known; None without any."""
        return Fraction(self.carbon_free, self.cfe_load) if self.cfe_load else None

    @property
    def cfe_known(self) -> Fraction:
        """The share of the load that the score speaks for."""
        return Fraction(self.cfe_load, self.load) if self.load else Fraction(0)


def hours(organisation: Organisation | int, window: Window, markets: Sequence[str] = ()) -> QuerySet[MarketHour]:
    """The stored hours that begin in a window, by market and hour; of some markets or of all."""
    organisation_id = organisation if isinstance(organisation, int) else organisation.pk
    rows = MarketHour.objects.filter(
        organisation_id=organisation_id, hour__gte=window.first_hour, hour__lt=window.end_hour
    )
    rows = rows.filter(market__in=markets) if markets else rows
    return rows.order_by("market", "hour")


def market_sums(organisation: Organisation | int, window: Window, markets: Sequence[str] = ()) -> list[MarketSums]:
    """The stored hours of a window summed by market, with the reported market-based figures beside them."""
    organisation_id = organisation if isinstance(organisation, int) else organisation.pk
    rows = hours(organisation_id, window, markets).order_by().values("market")
    known = When(carbon_free_milliwatt_hours__isnull=False, then=F("load_milliwatt_hours"))
    energies = {name: Sum(f"{name}_milliwatt_hours") for name in (*ENERGIES, "carbon_free")}
    sums = rows.annotate(**energies, cfe_load=Sum(Case(known, default=Value(0)))).annotate(
        hours=Count("hour"), location=Sum("location_mg"), emissions=Sum("market_mg")
    )
    fallbacks: dict[str, dict[int, int]] = {}
    for market, level, energy in rows.values_list("market", "fallback").annotate(Sum("unmatched_milliwatt_hours")):
        if energy:
            fallbacks.setdefault(market, {})[level] = int(energy)
    frame = ledger_frame(LedgerQuery(organisation_id, window, ("market",), work=False))
    reported = {
        market: None if pd.isna(mg) else int(mg) for market, mg in zip(frame["market"], frame["market_mg"], strict=True)
    }
    return [
        MarketSums(
            market=row["market"],
            hours=row["hours"],
            **{name: int(row[name] or 0) for name in (*ENERGIES, "carbon_free", "cfe_load")},
            location_mg=None if row["location"] is None else int(row["location"]),
            market_mg=int(row["emissions"]),
            reported_mg=reported.get(row["market"]),
            fallbacks=fallbacks.get(row["market"], {}),
        )
        for row in map(dict[str, Any], sums.order_by("market"))
    ]


def total_of(rows: Sequence[MarketSums]) -> MarketSums:
    """All markets together; ratios stay ratios of sums. A figure that one market has not is absent."""

    def added(name: str) -> int | None:
        values = [getattr(row, name) for row in rows if row.load]
        return None if None in values else sum(values)

    levels = sorted({level for row in rows for level in row.fallbacks})
    return MarketSums(
        market="",
        hours=max((row.hours for row in rows), default=0),
        **{name: sum(getattr(row, name) for row in rows) for name in (*ENERGIES, "carbon_free", "cfe_load")},
        location_mg=added("location_mg"),
        market_mg=sum(row.market_mg for row in rows),
        reported_mg=added("reported_mg"),
        fallbacks={level: sum(row.fallbacks.get(level, 0) for row in rows) for level in levels},
    )


def day_profile(organisation: Organisation, window: Window, markets: Sequence[str] = ()) -> dict[str, list[int]]:
    """Energies [mWh] of a window by hour of the day, UTC: 24 sums of each of :data:`ENERGIES`."""
    return _sums(hours(organisation, window, markets), 24, 0)


def week(organisation: Organisation, window: Window, markets: Sequence[str] = ()) -> tuple[int, dict[str, list[int]]]:
    """The last seven days of a window that have load: their first hour since the epoch, and 168 sums of each energy."""
    rows = hours(organisation, window, markets)
    last = rows.filter(load_milliwatt_hours__gt=0).order_by().aggregate(Max("hour"))["hour__max"]
    first = window.first_hour if last is None else max((last // 24 - 6) * 24, window.first_hour)
    return first, _sums(rows.filter(hour__gte=first, hour__lt=first + 168), 168, first)


def _sums(rows: QuerySet[MarketHour], length: int, first_hour: int) -> dict[str, list[int]]:
    sums = {name: [0] * length for name in ENERGIES}
    columns = [Sum(f"{name}_milliwatt_hours") for name in ENERGIES]
    for hour, *values in rows.order_by().values_list("hour").annotate(*columns):
        for name, value in zip(ENERGIES, values, strict=True):
            sums[name][(hour - first_hour) % length] += int(value)
    return sums


def runs(organisation: Organisation | int, window: Window) -> list[HourlyRun]:
    """The workings-out that a window's stored hours are from, in order."""
    rows = HourlyRun.objects.of(organisation).order_by("period_start")
    return list(rows.filter(first_hour__lt=window.end_hour, period_end__gt=window.start.date()))
