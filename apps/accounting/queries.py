"""Reading the ledger: energy and emissions of any window, grouped any way; coverage; state.

Sums are made by the database, by account first and by name after that. Market-based figures are the only ones made
here: exact fractions of the market rates, see :mod:`apps.accounting.market_parts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from django.db import connection
from django.db.models import QuerySet

from apps.accounting import ledger_sql, pools
from apps.accounting.ledger_sql import DIMENSIONS as DIMENSIONS
from apps.accounting.ledger_sql import SCOPES as SCOPES
from apps.accounting.market_parts import add_market_based, earmarks_of, hidden_of
from apps.accounting.models import LedgerState, LocationRate, MarketRate
from apps.core.windows import Window, epoch_ms, from_epoch_hour
from apps.organisations.models import Organisation
from apps.telemetry import gaps
from apps.telemetry.models import Attribution, DirtyHour, Source
from apps.telemetry.rules import RESERVED_PREFIX, is_reserved
from apps.workloads.models import Kind

SILENT_AFTER = timedelta(hours=24)
# Followed by a site's code: the source of the difference that was booked between its meter and its telemetry.
RECONCILIATION_PREFIX = RESERVED_PREFIX
# What ends by itself: a source that only ever reported such jobs has ended when it stops, and not fallen silent.
JOBS = (Kind.TRAINING, Kind.FINE_TUNING, Kind.EVALUATION, Kind.DATA)

ENERGIES = ("it_energy_milliwatt_hours", "facility_energy_milliwatt_hours")
NULLABLE = ("location_mg", "market_mg", "tokens", "requests")
COUNTS = ("readings", "covered_ms", "accelerator_ms")
WORK = ("tokens", "requests", *COUNTS)
TIERS = tuple(f"tier_{letter}_milliwatt_hours" for letter in "abcd")
MARKED = ("simulated_milliwatt_hours", "published_milliwatt_hours", "without_factor_milliwatt_hours", pools.SHARED)
# A tier that holds less than one part in this many of the energy does not set the letter of the whole.
TIER_COUNTS_FROM = 20
NAMED = {"team": "team_name", "model": "model_name", "site": "site_name"}


@dataclass(frozen=True)
class LedgerQuery:
    """What is asked of the ledger.

    ``group_by``: any of :data:`DIMENSIONS`. ``scope``: ``"2"``, ``"3"``, ``"unassigned"`` or ``"all"``. ``filters``:
    dimension to the values wanted, ``""`` meaning none or unassigned. A window that cuts an hour counts it whole.
    ``work``: whether tokens, requests, readings and covered time are wanted; without, a year is read faster.
    Raises ``ValueError`` for a dimension or scope that does not exist.
    """

    organisation_id: int
    window: Window
    group_by: tuple[str, ...] = ()
    scope: str = "2"
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    work: bool = True

    def __post_init__(self) -> None:
        for name in (*self.group_by, *self.filters):
            if name not in DIMENSIONS:
                raise ValueError(f"unknown dimension {name!r}; known are {', '.join(DIMENSIONS)}")
        if self.scope not in SCOPES:
            raise ValueError(f"unknown scope {self.scope!r}; known are {', '.join(SCOPES)}")


@dataclass(frozen=True)
class LedgerStatus:
    """``pending_hours``: hours whose readings are not in the ledger yet."""

    pending_hours: int
    last_settled_at: datetime | None


def group_columns(query: LedgerQuery) -> list[str]:
    """The columns that tell the rows of :func:`ledger_frame` apart, in order; ``scope`` is the last."""
    columns = []
    for name in query.group_by:
        columns += [name, NAMED[name]] if name in NAMED else [name]
    return [*columns, "scope"]


def ledger_frame(query: LedgerQuery) -> pd.DataFrame:
    """Energy and emissions by group, one row each, sorted by the group columns (unassigned last).

    Columns: :func:`group_columns`; energies [mWh] and counts as int64 (``accelerator_ms``: covered time times the
    accelerators behind a reading, 1 where none are stated); ``location_mg``, ``market_mg``, ``tokens`` and
    ``requests`` as nullable Int64 (absent is not zero); the facility energy [mWh] by quality tier (A metered,
    B measured, C modelled, D estimated), simulated, published, without a factor, and ``shared_milliwatt_hours``, what
    of it came out of a pool by the organisation's policy (:mod:`apps.accounting.pools`); ``quality``: the weakest tier
    that makes up 5 % of the energy. Any grouping of one query adds up to :func:`ledger_total` exactly.
    """
    columns = group_columns(query)
    sums = _sums(query)
    rows = _rows(query)
    if rows.empty:
        return _typed(rows.reindex(columns=[*columns, *sums, "quality"]))
    grouped = rows.groupby(columns, dropna=False, sort=True)[sums].sum(min_count=1).reset_index()
    for name in columns:
        grouped[name] = grouped[name].astype(object).where(grouped[name].notna(), None)
    grouped["quality"] = _quality(grouped)
    return _typed(grouped)


def ledger_total(query: LedgerQuery) -> pd.Series:
    """The same columns for the whole window, filters and scope, whatever ``group_by`` says; ``scope`` as asked."""
    # A pool is shared among the rows of a grouping: what one team bears is told to the integer by the same grouping.
    rows = _rows(query if any(name in query.filters for name in pools.BEARING) else replace(query, group_by=()))
    total: dict[str, object] = {"scope": query.scope}
    for name in _sums(query):
        if name in NULLABLE:
            total[name] = rows[name].sum(min_count=1) if len(rows) else pd.NA
        else:
            total[name] = int(rows[name].sum())
    total["quality"] = _quality(pd.DataFrame([total])).iloc[0]
    return pd.Series(total, dtype=object)


def market_rates(organisation_id: int, window: Window) -> list[MarketRate]:
    """The market rates of the claim periods that the window touches, by market and period, with their factors."""
    rates = _rates_touching(organisation_id, window)
    return list(rates.select_related("fallback_factor", "fallback_factor__dataset", "fallback_factor__zone"))


def location_rates(organisation_id: int, window: Window) -> list[LocationRate]:
    """The location rates that hold in the window, by site and time, with site, factor, dataset and zone."""
    rates = LocationRate.objects.of(organisation_id).select_related("site", "factor", "factor__dataset", "factor__zone")
    return list(
        rates.filter(first_hour__lt=window.end_hour, end_hour__gt=window.first_hour).order_by(
            "site__code", "first_hour"
        )
    )


def ledger_status(organisation_id: int) -> LedgerStatus:
    """How many hours wait to be rebuilt, and when the ledger last became true."""
    hours = DirtyHour.objects.filter(organisation_id=organisation_id).values("hour").distinct().count()
    state = LedgerState.objects.filter(pk=organisation_id).first()
    return LedgerStatus(pending_hours=hours, last_settled_at=state.last_settled_at if state else None)


def ledger_extent(organisation_id: int) -> Window | None:
    """From the first to the last hour in the ledger; None when it is empty."""
    with connection.cursor() as cursor:
        cursor.execute(ledger_sql.EXTENT, {"organisation": organisation_id})
        first, last = cursor.fetchone()
    return None if first is None else Window(from_epoch_hour(first), from_epoch_hour(last + 1))


def source_coverage(organisation_id: int, window: Window, now: datetime | None = None) -> pd.DataFrame:
    """How much of the window each source's readings cover, by name.

    Without sources whose jobs ended before it, and without those that the portal itself writes. Columns: ``source``,
    ``site`` (code or None), ``first_reading_at``, ``last_reading_at``, ``covered_ms``, ``decided_ms`` (time without
    readings that an officer decided about, filled or left empty), ``window_ms`` (the part of the window from the
    source's first reading until now, or until the last reading of a source that reports nothing but jobs),
    ``coverage`` (0 to 1, by readings and decisions), ``silent`` (nothing for 24 hours before the end of the window, or
    before now, from a source that is expected to go on), ``overlap_ms`` (time that two readings claim; told by the
    hour, so readings that overlap inside an hour that has a gap as long are not seen).
    """
    now = now or datetime.now(UTC)
    end = min(window.end, now)
    with connection.cursor() as cursor:
        bounds = {"organisation": organisation_id, "first_hour": window.first_hour, "end_hour": window.end_hour}
        cursor.execute(ledger_sql.COVERAGE, bounds)
        covered = {source: (int(once), int(twice)) for source, once, twice in cursor.fetchall()}
    goes_on = set(
        Attribution.objects.of(organisation_id).exclude(kind__in=JOBS).values_list("source_id", flat=True).distinct()
    )
    decided = gaps.decided_time(organisation_id, Window(window.start, end)) if window.start < end else {}
    rows = []
    for source in Source.objects.of(organisation_id).select_related("site").order_by("name"):
        if is_reserved(source.name):
            continue
        first, last = source.first_reading_at, source.last_reading_at
        ended_at = None if source.pk in goes_on else last
        if ended_at and ended_at <= window.start:
            continue
        expected = max(window.start, first) if first else window.start
        until = min(end, ended_at) if ended_at else end
        window_ms = max(epoch_ms(until) - epoch_ms(expected), 0)
        once, twice = covered.get(source.pk, (0, 0))
        settled = decided.get(source.pk)
        heard = max(last, settled.until) if last and settled else last
        rows.append(
            {
                "source": source.name,
                "site": source.site.code if source.site else None,
                "first_reading_at": first,
                "last_reading_at": last,
                "covered_ms": once,
                "decided_ms": settled.ms if settled else 0,
                "window_ms": window_ms,
                "coverage": min((once + (settled.ms if settled else 0)) / window_ms, 1.0) if window_ms else 0.0,
                "silent": heard is None or (not ended_at and heard < end - SILENT_AFTER),
                "overlap_ms": twice,
            }
        )
    columns = ["source", "site", "first_reading_at", "last_reading_at", "covered_ms", "decided_ms", "window_ms"]
    return pd.DataFrame(rows, columns=[*columns, "coverage", "silent", "overlap_ms"])


# --- Inside -------------------------------------------------------------------------------------------------------


def _rates_touching(organisation_id: int, window: Window) -> QuerySet[MarketRate]:
    last_day = (window.end - timedelta(microseconds=1)).date()
    rates = MarketRate.objects.of(organisation_id).order_by("market", "period_start")
    return rates.filter(period_start__lte=last_day, period_end__gt=window.start.date())


def _sums(query: LedgerQuery) -> list[str]:
    """The columns that add up, in order."""
    sums = [*ENERGIES, *NULLABLE, *COUNTS, *TIERS, *MARKED]
    return sums if query.work else [name for name in sums if name not in WORK]


def _rows(query: LedgerQuery) -> pd.DataFrame:
    """Sums at the grain of the statement (finer than the grouping: by month and market), market-based included."""
    rates = list(_rates_touching(query.organisation_id, query.window)) if query.scope in ("2", "all") else []
    shared = pools.pools_of(query.organisation_id, query.group_by, query.filters)
    hidden = [hidden_of(earmarks)] if (earmarks := earmarks_of(rates)) else []
    group_by = query.group_by
    if shared:
        hidden.append(shared.hidden)
        group_by = (*group_by, *(name for name in shared.dimensions if name not in group_by))
    statement = ledger_sql.statement(
        query.organisation_id, query.window, group_by, query.scope, query.filters, work=query.work, hidden=hidden
    )
    with connection.cursor() as cursor:
        cursor.execute(statement.sql, statement.parameters)
        names = [column[0] for column in cursor.description]
        frame = pd.DataFrame(cursor.fetchall(), columns=names)
    for name in NULLABLE:
        if name in frame:
            frame[name] = pd.array([None if pd.isna(v) else int(v) for v in frame[name]], dtype="Int64")
    frame = ledger_sql.with_times(frame, statement, query.filters)
    told_apart = [*group_by, *(name for each in hidden for name in each.columns)]
    frame = add_market_based(frame, rates, [name for name in told_apart if name != "market"])
    if shared is None:
        return frame.assign(**{pools.SHARED: 0})
    figures = (*ENERGIES, "location_mg", "market_mg", *TIERS, *MARKED[:-1])
    frame = pools.share(frame, shared, query.organisation_id, query.window, figures)
    return pools.filtered(frame, shared, query.filters)


def allocation_policies(organisation: Organisation) -> dict[str, dict[str, str]]:
    """How figures below the organisation are made, for printing beside them: ``market``, ``idle``, ``difference``.

    Each with the ``policy`` as stored and its ``text`` in words. Below the organisation no standard prescribes a key.
    """
    return {
        "market": {"policy": organisation.market_allocation, "text": organisation.get_market_allocation_display()},
        "idle": {"policy": organisation.idle_policy, "text": organisation.get_idle_policy_display()},
        "difference": {"policy": organisation.difference_policy, "text": organisation.get_difference_policy_display()},
    }


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    whole = dict.fromkeys((*ENERGIES, *COUNTS, *TIERS, *MARKED), "int64") | dict.fromkeys(NULLABLE, "Int64")
    wrong = {name: kind for name, kind in whole.items() if name in frame and str(frame[name].dtype) != kind}
    return frame.astype(wrong) if wrong else frame


def _quality(frame: pd.DataFrame) -> pd.Series:
    """The weakest tier with at least one part in :data:`TIER_COUNTS_FROM` of the facility energy; None without any."""
    whole = frame["facility_energy_milliwatt_hours"].to_numpy(np.int64)
    letter = np.full(len(frame), None, dtype=object)
    for tier, name in zip(TIERS, "ABCD", strict=True):
        part = frame[tier].to_numpy(np.int64)
        letter[(part > 0) & (part * TIER_COUNTS_FROM >= whole)] = name
    return pd.Series(letter, index=frame.index, dtype=object)
