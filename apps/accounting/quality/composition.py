"""What a figure is made of, as far as its uncertainty goes: energy by group, source, site, tier and rate.

One statement over the ledger. Time is cut where a rate changes (location rates begin at midnights), where a month
begins, and as finely as the grouping wants; whole days are read from the daily roll-up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
from django.db import connection

from apps.accounting import ledger_sql
from apps.accounting.models import LocationRate
from apps.accounting.queries import LedgerQuery
from apps.accounting.rates import NO_PUE
from apps.accounting.rollup import HOURS_PER_DAY
from apps.core.windows import Window, epoch_day, from_epoch_hour
from apps.telemetry.models import Boundary
from apps.workloads.models import Kind

_STATEMENT = f"""
WITH {{segments}},
chosen AS (
    SELECT account.id, account.source_id, account.site_id, account.method, {{selected}},
           CASE WHEN account.boundary = {Boundary.FACILITY.value} THEN 0 ELSE 1 END AS has_pue
    FROM accounting_account account
    LEFT JOIN sites_site site ON site.id = account.site_id
    LEFT JOIN workloads_workload workload ON workload.id = account.workload_id
    LEFT JOIN workloads_aimodel model ON model.id = account.model_id
    {{joins}}
    WHERE {{wanted}}
)
SELECT part.first_hour, {{names}}, chosen.source_id, chosen.site_id, method,
       has_pue, CASE WHEN rate.pue_source = %s THEN 1 ELSE 0 END AS is_assumed,
       rate.factor_id, COALESCE(rate.level, '') AS level, COALESCE(rate.lag_years, 0) AS lag_years,
       CAST(SUM(facility) AS bigint) AS energy, CAST(SUM(location) AS bigint) AS location
FROM ({{parts}}) part
JOIN chosen ON chosen.id = part.account_id
LEFT JOIN accounting_locationrate rate
    ON rate.site_id = chosen.site_id AND rate.first_hour <= part.first_hour AND part.first_hour < rate.end_hour
GROUP BY part.first_hour, {{names}}, chosen.source_id, chosen.site_id, method, has_pue,
         rate.pue_source, rate.factor_id, rate.level, rate.lag_years
"""  # noqa: S608 - names and constants of this module; every value is a parameter

# CROSS JOIN: SQLite takes the tables in this order and reads one range of the ledger's key for each segment.
_PART = """
SELECT segment.first_hour, account_id,
       CAST(SUM(facility_energy_milliwatt_hours) AS bigint) AS facility,
       CAST(SUM(location_mg) AS bigint) AS location
FROM {name} segment CROSS JOIN {table} ledger
WHERE ledger.organisation_id = %s AND ledger.{column} >= segment.first AND ledger.{column} < segment.past
GROUP BY segment.first_hour, account_id
"""


@dataclass(frozen=True, slots=True)
class _Segment:
    first_hour: int
    end_hour: int


def composition(query: LedgerQuery) -> pd.DataFrame:
    """The parts of the figures of ``query``, one row for each combination that shares its causes of uncertainty.

    Columns: the query's dimensions with their names, ``scope``, ``market``, ``month_number``; ``source_id``,
    ``site_id``, ``method``, ``has_pue`` and ``is_assumed`` (the PUE), ``factor_id``, ``level``, ``lag_years``;
    ``energy`` (facility energy [mWh]) and ``location`` [mg], absent without a factor.
    """
    times = [name for name in ledger_sql.TIMES if name in query.group_by or name in query.filters]
    segments = list(_segments(query.organisation_id, query.window, times[0] if times else ""))
    columns = {
        alias: sql
        for name in query.group_by
        if name in ledger_sql.COLUMNS
        for alias, sql in ledger_sql.COLUMNS[name].items()
    }
    columns |= {"scope": ledger_sql.SCOPE_OF_ACCOUNT, "market": "site.market"}
    wanted, parameters = ledger_sql.account_conditions(query.organisation_id, query.scope, query.filters)
    tables, parts = [], []
    by_day, by_hour = _days_and_hours(segments)
    for name, table, column, rows in (
        ("day_segment", ledger_sql.DAILY, "day", by_day),
        ("hour_segment", ledger_sql.HOURLY, "hour", by_hour),
    ):
        if rows:
            values = ", ".join(f"({first_hour}, {first}, {past})" for first_hour, first, past in rows)
            tables.append(f"{name} (first_hour, first, past) AS (VALUES {values})")
            parts.append(_PART.format(name=name, table=table, column=column))
    joined = {name for name in ledger_sql.JOINS if name in query.group_by or name in query.filters}
    sql = _STATEMENT.format(
        segments=", ".join(tables),
        selected=", ".join(f"{sql} AS {alias}" for alias, sql in columns.items()),
        joins=" ".join(ledger_sql.JOINS[name] for name in ledger_sql.JOINS if name in joined),
        wanted=wanted,
        names=", ".join(columns),
        parts=" UNION ALL ".join(parts),
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [*parameters, NO_PUE, *[query.organisation_id] * len(parts)])
        frame = pd.DataFrame(cursor.fetchall(), columns=[column[0] for column in cursor.description])
    return _labelled(frame, times, query)


def _labelled(frame: pd.DataFrame, times: Sequence[str], query: LedgerQuery) -> pd.DataFrame:
    """With the month, the time columns as text, kinds by name; what the time filters leave."""
    labels = {hour: ledger_sql.labels_of(int(hour), "hour") for hour in set(frame["first_hour"])}
    for name in ("month_number", *times):
        frame[name] = pd.Series([labels[hour][name] for hour in frame["first_hour"]], dtype=object)
    if "kind" in frame:
        frame["kind"] = pd.Series([Kind(int(kind)).label for kind in frame["kind"]], dtype=object)
    for name in times:
        if name in query.filters:
            frame = frame[frame[name].isin(query.filters[name])]
    return frame.drop(columns="first_hour").reset_index(drop=True)


def _segments(organisation_id: int, window: Window, finest: str) -> Iterable[_Segment]:
    """The window in pieces inside which no rate, month or time asked for changes."""
    first, end = window.first_hour, window.end_hour
    if first >= end:
        return [_Segment(first, end)]
    if finest == "hour":
        cuts = set(range(first, end))
    elif finest == "day":
        cuts = {day * HOURS_PER_DAY for day in range(first // HOURS_PER_DAY, -(-end // HOURS_PER_DAY))}
    else:
        starts = {from_epoch_hour(hour).date().replace(day=1) for hour in (*range(first, end, 600), end - 1)}
        cuts = {epoch_day(day) * HOURS_PER_DAY for day in starts}
        rates = LocationRate.objects.of(organisation_id).filter(first_hour__gt=first, first_hour__lt=end)
        cuts |= set(rates.values_list("first_hour", flat=True).distinct())
    edges = sorted({first, end, *(cut for cut in cuts if first < cut < end)})
    return [_Segment(edges[i], edges[i + 1]) for i in range(len(edges) - 1)]


def _days_and_hours(
    segments: Iterable[_Segment],
) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
    """``(first hour, first, past)`` of the whole days of each segment, and of the hours around them."""
    by_day, by_hour = [], []
    for segment in segments:
        first_day, past_day = -(-segment.first_hour // HOURS_PER_DAY), segment.end_hour // HOURS_PER_DAY
        edges = [(segment.first_hour, segment.end_hour)]
        if first_day < past_day:
            by_day.append((segment.first_hour, first_day, past_day))
            edges = [(segment.first_hour, first_day * HOURS_PER_DAY), (past_day * HOURS_PER_DAY, segment.end_hour)]
        by_hour += [(segment.first_hour, first, past) for first, past in edges if first < past]
    if not by_day and not by_hour:  # no hour begins in the window: a piece without rows, for its columns
        by_hour = [(segment.first_hour, segment.first_hour, segment.first_hour) for segment in segments]
    return by_day, by_hour
