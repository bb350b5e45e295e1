"""The statement behind ``queries.ledger_frame``.

Whole days come from the daily roll-up, a twenty-fourth of the hourly one; the hours of the window's edges from the
hourly one. Both are summed by account first, so that the joins to names meet some thousand rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pandas as pd

from apps.accounting.rollup import HOURS_PER_DAY
from apps.core.windows import HOUR_MS, Quarter, Window, from_epoch_day, from_epoch_hour, month_number
from apps.telemetry.models import Boundary, Method
from apps.workloads.models import Kind, Provenance

TIMES = ("hour", "day", "month", "quarter")
# Dimension: the columns it is selected with.
COLUMNS = {
    "team": {"team": "team.slug", "team_name": "team.name"},
    "model": {"model": "model.slug", "model_name": "model.name"},
    "workload": {"workload": "workload.name"},
    "kind": {"kind": "account.kind"},
    "site": {"site": "site.code", "site_name": "site.name"},
    "market": {"market": "site.market"},
    "hardware": {"hardware": "account.hardware_id"},
    "source": {"source": "source.name"},
    "study": {"study": "study.name"},
    "boundary": {"boundary": "account.boundary"},
}
# Dimensions that are held as numbers and told by their names.
_NUMBERED = {"kind": Kind, "boundary": Boundary}
# Joins that only these dimensions need.
JOINS = {
    "team": "LEFT JOIN organisations_team team ON team.id = account.team_id",
    "source": "LEFT JOIN telemetry_source source ON source.id = account.source_id",
    "study": "LEFT JOIN workloads_study study ON study.id = account.study_id",
}
DIMENSIONS = (*COLUMNS, *TIMES)
SCOPES = ("2", "3", "unassigned", "all")
HOURLY, DAILY = "accounting_ledgerhour", "accounting_ledgerday"

SCOPE_OF_ACCOUNT = (
    "CASE WHEN account.site_id IS NULL THEN 'unassigned' WHEN site.control = 'cloud' THEN '3' ELSE '2' END"
)
_TIERS = ", ".join(
    f"CAST(SUM(CASE WHEN method = {method.value} THEN facility ELSE 0 END) AS bigint) AS tier_{letter}_milliwatt_hours"
    for method, letter in (
        (Method.METERED, "a"),
        (Method.MEASURED, "b"),
        (Method.MODELLED, "c"),
        (Method.ESTIMATED, "d"),
    )
)

_PART = """
SELECT {moment} AS moment, account_id,
       CAST(SUM(it_energy_milliwatt_hours) AS bigint) AS it,
       CAST(SUM(facility_energy_milliwatt_hours) AS bigint) AS facility,
       CAST(SUM(location_mg) AS bigint) AS location, {work}
       CAST(SUM(facility_energy_milliwatt_hours) FILTER (WHERE location_mg IS NULL) AS bigint) AS bare
FROM {table} WHERE organisation_id = %s AND {column} >= %s AND {column} < %s {among}
GROUP BY {moment}, account_id
"""

# Four sums over every row of a year, which not every reader wants.
_WORK = """
       CAST(SUM(tokens) AS bigint) AS tokens,
       CAST(SUM(requests) AS bigint) AS requests,
       SUM(readings) AS readings,
       CAST(SUM(covered_ms) AS bigint) AS covered_ms,"""
_WORK_OF_ALL = (
    _WORK.replace("SUM(readings)", "CAST(SUM(readings) AS bigint)")
    + """
       CAST(COALESCE(SUM(covered_ms * accelerators), 0) AS bigint) AS accelerator_ms,"""
)

_STATEMENT = f"""
WITH chosen AS (
    SELECT account.id, account.method, COALESCE(account.accelerators, 1) AS accelerators, {{selected}},
           CASE WHEN '{Provenance.SIMULATED.value}' IN (workload.provenance, model.provenance)
                THEN 1 ELSE 0 END AS simulated,
           CASE WHEN '{Provenance.PUBLISHED.value}' IN (workload.provenance, model.provenance)
                THEN 1 ELSE 0 END AS published
    FROM accounting_account account
    LEFT JOIN sites_site site ON site.id = account.site_id
    LEFT JOIN workloads_workload workload ON workload.id = account.workload_id
    LEFT JOIN workloads_aimodel model ON model.id = account.model_id
    {{joins}}
    WHERE {{wanted}}
)
SELECT moment, {{names}},
       CAST(SUM(it) AS bigint) AS it_energy_milliwatt_hours,
       CAST(SUM(facility) AS bigint) AS facility_energy_milliwatt_hours,
       CAST(SUM(location) AS bigint) AS location_mg,
       {{work}}
       {_TIERS},
       CAST(SUM(simulated * facility) AS bigint) AS simulated_milliwatt_hours,
       CAST(SUM(published * facility) AS bigint) AS published_milliwatt_hours,
       CAST(COALESCE(SUM(bare), 0) AS bigint) AS without_factor_milliwatt_hours
FROM ({{parts}}) used JOIN chosen ON chosen.id = used.account_id
GROUP BY moment, {{names}}
"""  # noqa: S608 - names and constants of this module; every value is a parameter

# Two questions: for both ends in one, SQLite reads every row between them.
EXTENT = """
SELECT (SELECT MIN(hour) FROM accounting_ledgerhour WHERE organisation_id = %(organisation)s),
       (SELECT MAX(hour) FROM accounting_ledgerhour WHERE organisation_id = %(organisation)s)
"""

COVERAGE = f"""
SELECT source_id, SUM(CASE WHEN covered < {HOUR_MS} THEN covered ELSE {HOUR_MS} END),
       SUM(CASE WHEN covered > {HOUR_MS} THEN covered - {HOUR_MS} ELSE 0 END)
FROM (
    SELECT source_id, hour, SUM(covered) AS covered FROM (
        SELECT account.source_id, ledger.hour, ledger.covered_ms AS covered
        FROM accounting_ledgerhour ledger JOIN accounting_account account ON account.id = ledger.account_id
        WHERE ledger.organisation_id = %(organisation)s
          AND ledger.hour >= %(first_hour)s AND ledger.hour < %(end_hour)s
        UNION ALL
        SELECT attribution.source_id, aside.hour, aside.covered_ms
        FROM accounting_setaside aside JOIN telemetry_attribution attribution ON attribution.id = aside.attribution_id
        WHERE aside.organisation_id = %(organisation)s
          AND aside.hour >= %(first_hour)s AND aside.hour < %(end_hour)s
    ) received
    GROUP BY source_id, hour
) hourly
GROUP BY source_id
"""  # noqa: S608 - only a constant is put in


@dataclass(frozen=True, slots=True)
class Hidden:
    """Columns that a reading needs besides what is grouped by, with their values and the joins they need.

    ``except_where``: accounts that the filters by team, model and workload do not hold for, with the same values.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    parameters: tuple[Any, ...] = ()
    joins: tuple[str, ...] = ()
    except_where: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with its parameters; ``grain`` is what its column ``moment`` counts: hours, days or months."""

    sql: str
    parameters: list[Any]
    grain: str
    times: tuple[str, ...]


def statement(
    organisation_id: int,
    window: Window,
    group_by: tuple[str, ...],
    scope: str,
    filters: Mapping[str, tuple[str, ...]],
    *,
    work: bool,
    hidden: Sequence[Hidden] = (),
) -> Statement:
    """The ledger's sums by moment, account columns, scope and market. Values are parameters, names are ours."""
    times = tuple(name for name in TIMES if name in group_by or name in filters)
    grain = times[0] if times and times[0] in ("hour", "day") else "month"
    columns = {alias: sql for name in group_by if name in COLUMNS for alias, sql in COLUMNS[name].items()}
    columns |= {"scope": SCOPE_OF_ACCOUNT, "market": "site.market"}
    columns |= {alias: sql for each in hidden for alias, sql in each.columns.items()}
    wanted, values = chosen_conditions(organisation_id, scope, filters, hidden)
    parameters = [value for each in hidden for value in each.parameters] + values
    # Without filters nearly every account is wanted, and the test would only cost.
    among = "AND account_id IN (SELECT id FROM chosen)" if any(name in COLUMNS for name in filters) else ""
    parts = []
    for table, moment, first, end in _segments(window, grain):
        column = "hour" if table == HOURLY else "day"
        parts.append(_PART.format(moment=moment, table=table, column=column, among=among, work=_WORK if work else ""))
        parameters += [organisation_id, first, end]
    needed = {*group_by, *filters, *(name for each in hidden for name in each.joins)}
    sql = _STATEMENT.format(
        selected=", ".join(f"{sql} AS {alias}" for alias, sql in columns.items()),
        joins=" ".join(JOINS[name] for name in JOINS if name in needed),
        wanted=wanted,
        names=", ".join(columns),
        parts=" UNION ALL ".join(parts),
        work=_WORK_OF_ALL if work else "",
    )
    return Statement(sql, parameters, grain, times)


def chosen_conditions(
    organisation_id: int, scope: str, filters: Mapping[str, tuple[str, ...]], hidden: Sequence[Hidden]
) -> tuple[str, list[Any]]:
    """:func:`account_conditions`, from which the accounts of ``except_where`` are free as far as they may be."""
    free = [each for each in hidden if each.except_where]
    bearing = {name: values for name, values in filters.items() if name in ("team", "model", "workload")}
    if not free or not bearing:
        return account_conditions(organisation_id, scope, filters)
    others = {name: values for name, values in filters.items() if name not in bearing}
    all_of, values = account_conditions(organisation_id, scope, others)
    named, named_values = account_conditions(organisation_id, "all", bearing)
    either = " OR ".join(each.except_where for each in free)
    return f"{all_of} AND (({named}) OR {either})", [
        *values,
        *named_values,
        *(value for each in free for value in each.parameters),
    ]


def account_conditions(
    organisation_id: int, scope: str, filters: Mapping[str, tuple[str, ...]]
) -> tuple[str, list[Any]]:
    """The condition on accounts (``account``, ``site``, ``team``, ``model``, ``workload``, ``source``), and its values.

    Filters by time are left to the caller.
    """
    conditions, parameters = ["account.organisation_id = %s"], [organisation_id]
    wanted: list[Any] = list(parameters)
    if scope != "all":
        conditions.append(f"{SCOPE_OF_ACCOUNT} = %s")
        wanted.append(scope)
    for name, values in filters.items():
        if name not in COLUMNS:
            continue
        column = next(iter(COLUMNS[name].values()))
        known: list[Any] = [value for value in values if value != ""]
        if numbers := _NUMBERED.get(name):
            known = [numbers[value.upper()].value for value in known if value.upper() in numbers.__members__]
        either = []
        if known:
            either.append(f"{column} IN ({', '.join(['%s'] * len(known))})")
            wanted += known
        if "" in values:
            either.append(f"{column} IS NULL")
        conditions.append(f"({' OR '.join(either)})" if either else "1 = 0")
    return " AND ".join(conditions), wanted


def _segments(window: Window, grain: str) -> list[tuple[str, str, int, int]]:
    """``(table, SQL of the moment, first, end)`` pieces that make up the window."""
    first, end = window.first_hour, window.end_hour
    if grain == "hour":
        return [(HOURLY, "hour", first, end)]
    segments = []
    first_day, end_day = -(-first // HOURS_PER_DAY), end // HOURS_PER_DAY
    if first_day < end_day:
        segments.append((DAILY, grain, first_day, end_day))
        edges = [(first, first_day * HOURS_PER_DAY), (end_day * HOURS_PER_DAY, end)]
    else:
        middle = min(first_day * HOURS_PER_DAY, end)
        edges = [(first, middle), (middle, end)]
    for lowest, highest in edges:
        if lowest < highest:
            day = lowest // HOURS_PER_DAY
            moment = day if grain == "day" else month_number(from_epoch_day(day))
            # A constant may not stand alone in GROUP BY, where it would be taken for a column's number.
            segments.append((HOURLY, f"({moment} + 0 * hour)", lowest, highest))
    # No hour begins in the window: a piece without rows, for its columns.
    return segments or [(HOURLY, "hour", first, first)]


def with_times(frame: pd.DataFrame, made: Statement, filters: Mapping[str, tuple[str, ...]]) -> pd.DataFrame:
    """The rows with ``month`` (yyyymm), the time columns asked for as text, the kind by name; time filters applied."""
    labels = {moment: labels_of(int(moment), made.grain) for moment in set(frame["moment"])}
    frame["month_number"] = pd.Series([labels[m]["month_number"] for m in frame["moment"]], dtype="int64")
    for name in made.times:
        frame[name] = pd.Series([labels[m][name] for m in frame["moment"]], dtype=object)
    for name, numbers in _NUMBERED.items():
        if name in frame:
            frame[name] = pd.Series([numbers(int(n)).label for n in frame[name]], dtype=object)
    for name in made.times:
        if name in filters:
            frame = frame[frame[name].isin(filters[name])]
    return frame.drop(columns="moment").reset_index(drop=True)


def labels_of(moment: int, grain: str) -> dict[str, Any]:
    labels: dict[str, Any] = {}
    if grain == "month":
        month = moment
    else:
        hour = from_epoch_hour(moment if grain == "hour" else moment * HOURS_PER_DAY)
        labels["hour"] = hour.strftime("%Y-%m-%dT%H:00:00Z")
        labels["day"] = (hour - timedelta(hours=hour.hour)).date().isoformat()
        month = month_number(hour.date())
    labels |= {
        "month_number": month,
        "month": f"{month // 100}-{month % 100:02d}",
        "quarter": str(Quarter.of_month(month)),
    }
    return labels
