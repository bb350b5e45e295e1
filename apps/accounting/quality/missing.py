"""Time without readings: found in the ledger's hours by one statement, its edges then in the readings, to the minute.

Only gaps of an hour or more are listed; shorter ones count in the coverage. Times are UTC, half-open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pandas as pd
from django.db import connection

from apps.accounting.queries import source_coverage
from apps.core.windows import HOUR_MS, Window, epoch_ms, from_epoch_ms
from apps.organisations.models import Organisation
from apps.telemetry import gaps
from apps.telemetry.models import Source

MOST_SOURCES = 200  # those with the most time missing; bounds the hours that are looked at
MOST_GAPS = 200
_FULL = 0.999  # coverage of a source that has no gap of an hour in a week

# Of each source the hours that begin the window, end a run of hours with readings, or end the window.
_EDGES = """
WITH received AS (
    SELECT source_id, hour, SUM(covered) AS covered FROM (
        SELECT account.source_id, ledger.hour, ledger.covered_ms AS covered
        FROM accounting_ledgerhour ledger JOIN accounting_account account ON account.id = ledger.account_id
        WHERE ledger.organisation_id = %s AND ledger.hour >= %s AND ledger.hour < %s
          AND account.source_id IN ({sources})
        UNION ALL
        SELECT attribution.source_id, aside.hour, aside.covered_ms
        FROM accounting_setaside aside JOIN telemetry_attribution attribution ON attribution.id = aside.attribution_id
        WHERE aside.organisation_id = %s AND aside.hour >= %s AND aside.hour < %s
          AND attribution.source_id IN ({sources})
    ) parts
    GROUP BY source_id, hour
),
ordered AS (
    SELECT source_id, hour, covered, LAG(hour) OVER run AS before, LEAD(hour) OVER run AS after
    FROM received WHERE covered > 0 WINDOW run AS (PARTITION BY source_id ORDER BY hour)
)
SELECT source_id, hour, CAST(covered AS bigint), before, after FROM ordered
WHERE before IS NULL OR after IS NULL OR after > hour + 1
ORDER BY source_id, hour
"""
# The last end and the first start among the readings that begin in one hour of one source.
_READINGS = """
WITH edge (source_id, since) AS (VALUES {edges})
SELECT edge.source_id, edge.since, MIN(reading.start_ms), MAX(reading.end_ms)
FROM edge CROSS JOIN telemetry_reading reading
WHERE reading.organisation_id = %s AND reading.start_ms >= edge.since AND reading.start_ms < edge.since + 3600000
  AND reading.source_id = edge.source_id
GROUP BY edge.source_id, edge.since
"""


@dataclass(frozen=True, slots=True)
class Gap:
    """Time of a source without readings. ``to_the_minute``: else its end is only known to the hour."""

    source_id: int
    source: str
    site: str | None
    start: datetime
    end: datetime
    is_open: bool = False  # reaches to the end of what is expected: the source is silent still
    to_the_minute: bool = True

    @property
    def length_ms(self) -> int:
        return epoch_ms(self.end) - epoch_ms(self.start)


@dataclass(frozen=True, slots=True)
class Missing:
    """``gaps``: the longest first. ``others``: how many more gaps there are; ``unread``: sources not looked at."""

    gaps: list[Gap]
    others: int
    unread: int


def missing_time(organisation: Organisation, window: Window, coverage: pd.DataFrame | None = None) -> Missing:
    """The gaps of an hour or more that nobody has decided about yet.

    ``coverage``: the frame of ``accounting.queries.source_coverage`` for the window, where the caller has it.
    """
    if coverage is None:
        coverage = source_coverage(organisation.pk, window)
    lacking = coverage[(coverage["coverage"] < _FULL) & (coverage["window_ms"] > 0)]
    lacking = lacking.assign(lacks=lacking["window_ms"] * (1 - lacking["coverage"])).sort_values(
        "lacks", ascending=False, kind="stable"
    )
    expected = _expected(organisation, lacking.head(MOST_SOURCES), window)
    found = [gap for gap in _gaps(organisation.pk, window, expected) if gap.length_ms >= HOUR_MS]
    found.sort(key=lambda gap: (-gap.length_ms, gap.source, gap.start))
    decided = list(gaps.decisions(organisation, window).values_list("source_id", "start", "end"))
    open_gaps = [
        gap
        for gap in _with_minutes(organisation.pk, found[: 2 * MOST_GAPS], expected)
        for gap in _undecided(gap, decided)
    ]
    return Missing(
        gaps=open_gaps[:MOST_GAPS],
        others=max(len(found) - 2 * MOST_GAPS, 0) + max(len(open_gaps) - MOST_GAPS, 0),
        unread=max(len(lacking) - MOST_SOURCES, 0),
    )


# --- Inside -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Expected:
    """From when until when readings of a source are expected."""

    source: str
    site: str | None
    start: datetime
    end: datetime


def _expected(organisation: Organisation, rows: pd.DataFrame, window: Window) -> dict[int, _Expected]:
    ids = dict(Source.objects.of(organisation).filter(name__in=rows["source"].tolist()).values_list("name", "pk"))
    found = {}
    for row in rows.to_dict("records"):
        first = row["first_reading_at"]
        start = max(window.start, first) if isinstance(first, datetime) and not pd.isna(first) else window.start
        start = start.astimezone(UTC)
        end = from_epoch_ms(epoch_ms(start) + int(row["window_ms"]))
        site = row["site"] if isinstance(row["site"], str) else None
        found[ids[row["source"]]] = _Expected(str(row["source"]), site, start, end)
    return found


def _gaps(organisation_id: int, window: Window, expected: dict[int, _Expected]) -> Iterable[Gap]:
    """The gaps between the hours that hold readings, to the hour."""
    if not expected:
        return
    ids = sorted(expected)
    bounds = [organisation_id, window.first_hour, window.end_hour]
    statement = _EDGES.format(sources=", ".join(["%s"] * len(ids)))
    with connection.cursor() as cursor:
        cursor.execute(statement, [*bounds, *ids, *bounds, *ids])
        rows = cursor.fetchall()
    seen = set()
    for source_id, hour, covered, before, after in rows:
        limits = expected[source_id]
        seen.add(source_id)
        if before is None:
            yield from _gap(source_id, limits, limits.start, from_epoch_ms(hour * HOUR_MS))
        end = limits.end if after is None else from_epoch_ms(after * HOUR_MS)
        if after is None or after > hour + 1:
            # As far as a reading that began earlier reaches into the hour; those that begin in it are looked at later.
            start = from_epoch_ms(hour * HOUR_MS + min(covered, HOUR_MS))
            yield from _gap(source_id, limits, start, end, is_open=after is None)
    for source_id in expected.keys() - seen:
        limits = expected[source_id]
        yield from _gap(source_id, limits, limits.start, limits.end, is_open=True)


def _gap(source_id: int, limits: _Expected, start: datetime, end: datetime, *, is_open: bool = False) -> Iterable[Gap]:
    start, end = max(start, limits.start), min(end, limits.end)
    if start < end:
        yield Gap(source_id, limits.source, limits.site, start, end, is_open)


def _with_minutes(organisation_id: int, found: Sequence[Gap], expected: dict[int, _Expected]) -> list[Gap]:
    """The gaps with the ends that the readings of the hours around them have, by one query."""
    edges = set()
    for gap in found:
        edges.add((gap.source_id, _hour_before(gap)))
        edges.add((gap.source_id, epoch_ms(gap.end)))
    known: dict[tuple[int, int], tuple[int, int]] = {}
    if edges:
        values = ", ".join(f"(CAST({int(pk)} AS bigint), CAST({int(since)} AS bigint))" for pk, since in sorted(edges))
        with connection.cursor() as cursor:
            cursor.execute(_READINGS.format(edges=values), [organisation_id])
            known = {(pk, since): (first, last) for pk, since, first, last in cursor.fetchall()}
    return [_between(gap, known, expected[gap.source_id]) for gap in found]


def _between(gap: Gap, known: dict[tuple[int, int], tuple[int, int]], limits: _Expected) -> Gap:
    start, end = gap.start, gap.end
    hour_ms = _hour_before(gap)
    left, right = known.get((gap.source_id, hour_ms)), known.get((gap.source_id, epoch_ms(end)))
    if left is not None and hour_ms < left[1] <= hour_ms + HOUR_MS:
        start = from_epoch_ms(left[1])
    if right is not None:
        end = from_epoch_ms(right[0])
    return replace(gap, start=start, end=end, to_the_minute=right is not None or end == limits.end)


def _hour_before(gap: Gap) -> int:
    """The hour [ms] in which the last reading before a gap ends."""
    return (epoch_ms(gap.start) - 1) // HOUR_MS * HOUR_MS


def _undecided(gap: Gap, decided: Sequence[tuple[int, datetime, datetime]]) -> list[Gap]:
    """What the decisions leave of a gap, in pieces of an hour or more."""
    pieces = [(gap.start, gap.end)]
    for source_id, start, end in decided:
        if source_id == gap.source_id:
            around = [((first, min(last, start)), (max(first, end), last)) for first, last in pieces]
            pieces = [piece for both in around for piece in both if piece[0] < piece[1]]
    kept = [replace(gap, start=first, end=last) for first, last in pieces]
    return [piece for piece in kept if piece.length_ms >= HOUR_MS]
