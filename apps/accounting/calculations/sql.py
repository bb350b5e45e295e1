"""The statements behind a calculation receipt: sums by rate, lines, the words of accounts.

Sums come from the daily roll-up where a day is whole, which is exact because a rate changes at midnight and at no
other time; the hours of the edges from the hourly one, as in ``accounting.ledger_sql``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from typing import Any

from django.db import connection

from apps.accounting.ledger_sql import SCOPE_OF_ACCOUNT, TIMES, Hidden, chosen_conditions
from apps.accounting.queries import LedgerQuery
from apps.accounting.rollup import HOURS_PER_DAY
from apps.core.windows import Quarter, epoch_hour, from_epoch_hour, midnight, month_number
from apps.telemetry.models import Boundary, Method
from apps.workloads.models import Kind

Ranges = list[tuple[int, int]]  # half-open, in hours since the epoch; in order and apart
_ABSENT = {"earmark_team": "CAST(NULL AS text)", "earmark_model": "CAST(NULL AS text)", "pool": "CAST('' AS text)"}
_PIECES_AT_ONCE = 100  # parts of one statement: SQLite takes 500

_ACCOUNTS = """
FROM accounting_account account
LEFT JOIN sites_site site ON site.id = account.site_id
LEFT JOIN workloads_workload workload ON workload.id = account.workload_id
LEFT JOIN workloads_aimodel model ON model.id = account.model_id
LEFT JOIN organisations_team team ON team.id = account.team_id
LEFT JOIN telemetry_source source ON source.id = account.source_id
LEFT JOIN workloads_study study ON study.id = account.study_id
"""

_PIECE = """
SELECT {piece} AS piece, account_id, CAST(SUM(it_energy_milliwatt_hours) AS bigint) AS it,
       CAST(SUM(facility_energy_milliwatt_hours) AS bigint) AS facility,
       CAST(SUM(location_mg) AS bigint) AS location, CAST(SUM(readings) AS bigint) AS readings
FROM {table} WHERE organisation_id = %s AND {column} >= %s AND {column} < %s {among}
GROUP BY account_id
"""

_SUMS = f"""
WITH chosen AS (
    SELECT account.id, account.site_id, account.boundary, {SCOPE_OF_ACCOUNT} AS scope {{selected}}
    {_ACCOUNTS}
    WHERE {{wanted}}
)
SELECT piece, site_id, scope, boundary, {{names}} CAST(SUM(it) AS bigint), CAST(SUM(facility) AS bigint),
       CAST(SUM(location) AS bigint), CAST(SUM(readings) AS bigint)
FROM ({{pieces}}) used JOIN chosen ON chosen.id = used.account_id
GROUP BY piece, site_id, scope, boundary {{grouped}}
"""  # noqa: S608 - constants of this module; every value is a parameter

_LINES = """
SELECT hour, account_id, it_energy_milliwatt_hours, facility_energy_milliwatt_hours, location_mg, readings
FROM accounting_ledgerhour
WHERE organisation_id = %s AND hour >= %s AND hour < %s {among}
ORDER BY hour, account_id {limit}
"""

_WORDS = f"""
SELECT account.id, {SCOPE_OF_ACCOUNT}, account.site_id, site.market, source.name, site.code, team.slug, model.slug,
       workload.name, study.name, account.kind, account.boundary, account.method, account.hardware_id
{_ACCOUNTS}
"""


_SET_ASIDE = f"""
SELECT own.name, counted.name, COUNT(DISTINCT aside.hour), CAST(SUM(aside.energy_microwatt_hours) AS bigint)
FROM accounting_setaside aside
JOIN telemetry_attribution attribution ON attribution.id = aside.attribution_id
JOIN telemetry_source own ON own.id = attribution.source_id
JOIN telemetry_source counted ON counted.id = aside.counted_source_id
WHERE aside.organisation_id = %s AND aside.hour >= %s AND aside.hour < %s
  AND aside.attribution_id IN (
      SELECT attribution_id FROM accounting_posting
      WHERE account_id IN (SELECT account.id {_ACCOUNTS} WHERE {{wanted}})
  )
GROUP BY own.name, counted.name
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Sum:
    """The ledger of some hours that lie in one month and under one rate of each site."""

    first_hour: int
    site_id: int | None
    scope: str
    boundary: str
    earmark_team: str | None
    earmark_model: str | None
    pool: str
    it: int
    facility: int
    location_mg: int | None
    readings: int

    @property
    def month(self) -> int:
        return month_number(from_epoch_hour(self.first_hour).date())


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One row of the hourly ledger."""

    hour: int
    account_id: int
    it: int
    facility: int
    location_mg: int | None
    readings: int


@dataclass(frozen=True, slots=True)
class Words:
    """What an account is, in the names of the API; ``None`` is unassigned."""

    account: int
    scope: str
    site_id: int | None
    market: str | None
    source: str
    site: str | None
    team: str | None
    model: str | None
    workload: str | None
    study: str | None
    kind: str
    boundary: str
    method: str
    hardware: str | None
    method_number: int


# --- Hours ----------------------------------------------------------------------------------------------------------


def hours_of(query: LedgerQuery) -> Ranges:
    """The hours of a query: those of its window that its filters by time let through."""
    ranges: Ranges = [(query.window.first_hour, query.window.end_hour)]
    for name in TIMES:
        if name in query.filters:
            ranges = _overlap(ranges, sorted({_span(name, text) for text in query.filters[name]} - {(0, 0)}))
    return [(first, end) for first, end in ranges if first < end]


def _span(name: str, text: str) -> tuple[int, int]:
    """The hours that a label such as ``2026-Q3`` means; (0, 0) for what is none."""
    try:
        if name == "hour":
            hour = epoch_hour(datetime.fromisoformat(text))
            return (hour, hour + 1) if from_epoch_hour(hour).strftime("%Y-%m-%dT%H:00:00Z") == text else (0, 0)
        if name == "quarter":
            window = Quarter.parse(text).window
            return window.first_hour, window.end_hour
        first = date.fromisoformat(text if name == "day" else f"{text}-01")
        end = first.replace(day=1)
        if name == "day":
            hour = epoch_hour(midnight(first))
            return hour, hour + HOURS_PER_DAY
        following = date(end.year + end.month // 12, end.month % 12 + 1, 1)
        return epoch_hour(midnight(first)), epoch_hour(midnight(following))
    except (ValueError, TypeError, OverflowError):
        return 0, 0


def _overlap(ours: Ranges, theirs: Iterable[tuple[int, int]]) -> Ranges:
    found = [(max(a, c), min(b, d)) for a, b in ours for c, d in theirs]
    return sorted((first, end) for first, end in found if first < end)


def _cut(ranges: Ranges, cuts: Iterable[int]) -> Ranges:
    """The ranges, cut wherever a month or a rate begins."""
    marks = set(cuts)
    for first, end in ranges:
        day = from_epoch_hour(first).date().replace(day=1)
        while (hour := epoch_hour(midnight(day))) < end:
            marks.add(hour)
            day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    pieces: Ranges = []
    for first, end in ranges:
        edges = [first, *sorted(mark for mark in marks if first < mark < end), end]
        pieces += pairwise(edges)
    return pieces


# --- Statements -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Selection:
    """A query of the ledger with the columns that its figures depend on besides (``accounting.queries``)."""

    query: LedgerQuery
    hidden: tuple[Hidden, ...] = ()  # of the figure
    others: tuple[Hidden, ...] = ()  # of the rows of its grouping, where pools are told apart otherwise

    @property
    def narrowed(self) -> bool:
        return any(name not in TIMES for name in self.query.filters)

    @property
    def conditions(self) -> tuple[str, list[Any]]:
        """The condition on accounts with its values; of several pools, the accounts of any."""
        query = self.query
        free: list[Sequence[Hidden]] = [(each,) for each in (*self.hidden, *self.others) if each.except_where] or [()]
        found = [chosen_conditions(query.organisation_id, query.scope, query.filters, each) for each in free]
        either = " OR ".join(f"({sql})" for sql, _ in found)
        return f"({either})", [value for _, values in found for value in values]

    @property
    def among(self) -> tuple[str, list[Any]]:
        """The same as a condition on ledger rows."""
        if not self.narrowed and self.query.scope == "all":
            return "", []
        wanted, values = self.conditions
        return f"AND account_id IN (SELECT account.id {_ACCOUNTS} WHERE {wanted})", values


def sums(selection: Selection, cuts: Iterable[int]) -> list[Sum]:
    """The ledger of a query by month, site, scope, boundary and stretch between ``cuts`` [epoch hours]."""
    query, narrowed = selection.query, selection.narrowed
    wanted, values = selection.conditions
    columns: dict[str, str] = {}
    selected_values: list[Any] = []
    for each in selection.hidden:
        if not columns.keys() & each.columns.keys():
            columns |= each.columns
            selected_values += each.parameters
    names = ["earmark_team", "earmark_model", "pool"]
    selected = "".join(f", {columns.get(name, _ABSENT[name])} AS {name}" for name in names)
    among = "AND account_id IN (SELECT id FROM chosen)" if narrowed else ""
    parts: list[tuple[int, str, str, int, int]] = []  # where the piece begins, table, column, first, end
    for first, end in _cut(hours_of(query), cuts):
        first_day, end_day = -(-first // HOURS_PER_DAY), end // HOURS_PER_DAY
        if first_day < end_day:
            parts.append((first, "accounting_ledgerday", "day", first_day, end_day))
            edges = [(first, first_day * HOURS_PER_DAY), (end_day * HOURS_PER_DAY, end)]
        else:
            edges = [(first, end)]
        parts += [(first, "accounting_ledgerhour", "hour", low, high) for low, high in edges if low < high]
    found: list[Sum] = []
    for i in range(0, len(parts), _PIECES_AT_ONCE):
        chunk = parts[i : i + _PIECES_AT_ONCE]
        pieces = " UNION ALL ".join(
            _PIECE.format(piece=begin, table=table, column=column, among=among) for begin, table, column, _, _ in chunk
        )
        parameters = [
            *selected_values,
            *values,
            *(each for *_, low, high in chunk for each in (query.organisation_id, low, high)),
        ]
        with connection.cursor() as cursor:
            listed = ", ".join(names)
            sql = _SUMS.format(
                wanted=wanted, pieces=pieces, selected=selected, names=f"{listed},", grouped=f", {listed}"
            )
            cursor.execute(sql, parameters)
            found += [
                Sum(piece, site, scope, Boundary(boundary).label, *numbers)
                for piece, site, scope, boundary, *numbers in cursor.fetchall()
            ]
    return found


def lines(selection: Selection, ranges: Ranges, limit: int | None = None) -> list[LedgerLine]:
    """The ledger rows of a query in ``ranges``, by hour and account; the first ``limit`` of them."""
    query = selection.query
    among, values = selection.among
    found: list[LedgerLine] = []
    with connection.cursor() as cursor:
        for first, end in ranges:
            rest = None if limit is None else limit - len(found)
            sql = _LINES.format(among=among, limit="" if rest is None else f"LIMIT {rest}")
            cursor.execute(sql, [query.organisation_id, first, end, *values])
            found += [LedgerLine(*row) for row in cursor.fetchall()]
            if limit is not None and len(found) >= limit:
                break
    return found


def lines_after(selection: Selection, hour: int, account: int, limit: int) -> list[LedgerLine]:
    """The next ``limit`` rows behind (hour, account)."""
    query = selection.query
    ranges = hours_of(query)
    at_hour = _overlap(ranges, [(hour, hour + 1)])
    found = [line for line in lines(selection, at_hour) if line.account_id > account][:limit]
    later = _overlap(ranges, [(hour + 1, max(hour + 1, query.window.end_hour))])
    return found + (lines(selection, later, limit - len(found)) if len(found) < limit else [])


def days_of(ranges: Ranges) -> Iterator[Ranges]:
    """The ranges one day at a time, so that what is read at once does not grow with the window."""
    for first, end in ranges:
        while first < end:
            stop = min((first // HOURS_PER_DAY + 1) * HOURS_PER_DAY, end)
            yield [(first, stop)]
            first = stop


def words(organisation_id: int, accounts: Sequence[int]) -> dict[int, Words]:
    """The accounts by their keys."""
    found: dict[int, Words] = {}
    for i in range(0, len(accounts), 500):
        chunk = list(accounts[i : i + 500])
        marks = ", ".join(["%s"] * len(chunk))
        with connection.cursor() as cursor:
            cursor.execute(
                f"{_WORDS} WHERE account.organisation_id = %s AND account.id IN ({marks})",
                [organisation_id, *chunk],
            )
            for row in cursor.fetchall():
                *names, kind, boundary, method, hardware = row
                labels = (Kind(kind).label, Boundary(boundary).label, Method(method).label)
                found[row[0]] = Words(*(*names, *labels, hardware, method))
    return found


def filters_of(query: LedgerQuery) -> Mapping[str, list[str]]:
    return {name: list(values) for name, values in sorted(query.filters.items())}


def count(selection: Selection, most: int) -> int:
    """The number of ledger rows of a query, counted up to ``most``."""
    among, values = selection.among
    total = 0
    with connection.cursor() as cursor:
        for first, end in hours_of(selection.query):
            cursor.execute(
                "SELECT COUNT(*) FROM (SELECT 1 FROM accounting_ledgerhour WHERE organisation_id = %s"  # noqa: S608
                f" AND hour >= %s AND hour < %s {among} LIMIT {most - total}) counted",
                [selection.query.organisation_id, first, end, *values],
            )
            total += cursor.fetchone()[0]
            if total >= most:
                break
    return total


def set_aside(selection: Selection) -> list[tuple[str, str, int, int]]:
    """``(source, counted source, hours, energy [uWh])`` of what was set aside in the hours of a query."""
    wanted, values = selection.conditions
    found: dict[tuple[str, str], list[int]] = {}
    with connection.cursor() as cursor:
        for first, end in hours_of(selection.query):
            cursor.execute(
                f"{_SET_ASIDE.format(wanted=wanted)}", [selection.query.organisation_id, first, end, *values]
            )
            for source, counted, hours, energy in cursor.fetchall():
                both = found.setdefault((source, counted), [0, 0])
                both[0] += hours
                both[1] += energy
    return [(source, counted, hours, energy) for (source, counted), (hours, energy) in sorted(found.items())]
