"""Which hours a batch of meter readings changes.

A reading changes what its meter did from the reading before it to the reading after it, whatever series told them. In
the stream of a running client both lie in the hour of the batch, and this process knows it: nothing is looked up.
Otherwise the neighbours are looked up while no other intake of the organisation runs, so that of two transactions one
always sees what the other stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.core.windows import HOUR_MS
from apps.telemetry.batch import Int64Array
from apps.telemetry.bulk import Writer

WITHIN_MS = 31 * 24 * HOUR_MS  # readings further apart are no neighbours
UNKNOWN = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Extents:
    """Of each meter of a batch, in the order of their ids, what its readings span [ms].

    ``start_ms``: the earliest stated start of a difference (never after ``first_ms``, at most 31 days before);
    ``first_start_ms``: the stated start of the first reading, or its time; ``in_last_hour_ms``: the first reading in
    the hour of the last. ``pairs``: consecutive readings, as (earlier, later).
    """

    meters: Int64Array
    first_ms: Int64Array
    last_ms: Int64Array
    start_ms: Int64Array
    first_start_ms: Int64Array
    in_last_hour_ms: Int64Array
    pairs: tuple[Int64Array, Int64Array]


def extents_of(meter: Int64Array, at_ms: Int64Array, start_ms: Int64Array, is_delta: Int64Array) -> Extents:
    """The extents of readings in any order. ``start_ms`` 0: none was stated."""
    order = np.lexsort((at_ms, meter))
    meter, at_ms, start_ms, is_delta = meter[order], at_ms[order], start_ms[order], is_delta[order]
    stated = np.where(start_ms > 0, np.clip(start_ms, at_ms - WITHIN_MS, at_ms), at_ms)
    begins = np.flatnonzero(np.r_[True, meter[1:] != meter[:-1]])
    ends = np.r_[begins[1:], len(meter)] - 1
    hour = at_ms // HOUR_MS
    of_meter = np.repeat(np.arange(len(begins)), np.diff(np.r_[begins, len(meter)]))
    in_last_hour = np.where(hour == hour[ends][of_meter], at_ms, np.iinfo(np.int64).max)
    within = np.flatnonzero(meter[1:] == meter[:-1])
    return Extents(
        meters=meter[begins],
        first_ms=at_ms[begins],
        last_ms=at_ms[ends],
        start_ms=np.minimum.reduceat(np.where(is_delta, stated, at_ms), begins),
        first_start_ms=stated[begins],
        in_last_hour_ms=np.minimum.reduceat(in_last_hour, begins),
        pairs=(at_ms[within], at_ms[within + 1]),
    )


class Marks:
    """The hours of one batch. ``known``: of meters, a committed reading early in the latest hour this process saw.

    ``alone``: whether no other intake of the organisation runs until the commit; :attr:`must_be_alone` says whether
    it has to be so.
    """

    def __init__(self, extents: Extents, known: dict[int, int], writer: Writer, organisation_id: int) -> None:
        self.extents, self.writer = extents, writer
        self._known = known
        self._before = np.array([known.get(meter, UNKNOWN) for meter in extents.meters.tolist()], dtype=np.int64)
        first_hour, self._hour = int(extents.first_ms.min()) // HOUR_MS, int(extents.last_ms.max()) // HOUR_MS
        # The reading before lies between this one and the one remembered, so their hours are all that can be changed.
        self._is_near = (self._before < extents.first_ms) & (self._before // HOUR_MS >= extents.first_ms // HOUR_MS - 1)
        newest = writer.newest_meter_reading(organisation_id, self._hour * HOUR_MS)
        self._newest_hour = -1 if newest is None else newest // HOUR_MS
        self.must_be_alone = not (
            self._newest_hour == self._hour == first_hour  # the first reading of an hour has to be seen by all others
            and self._is_near.all()
            and (extents.start_ms // HOUR_MS >= self._hour - 1).all()
        )

    def hours(self, extents: Extents) -> Int64Array:
        """The hours (since the epoch) that the batch changes, each once.

        ``extents``: of the readings that are new; a part of those the marks were made for.
        """
        place = np.searchsorted(self.extents.meters, extents.meters)
        before, after = self._before[place], extents.last_ms
        # Of a meter that has no later hour than the batch's, nothing after the batch lies in another hour.
        is_last = (self._newest_hour <= self._hour) & (extents.last_ms // HOUR_MS == self._hour)
        asked = np.flatnonzero(~(self._is_near[place] & is_last))
        if len(asked):
            found = self.writer.neighbours(
                extents.meters[asked], extents.first_ms[asked], extents.last_ms[asked], WITHIN_MS
            )
            before, after = before.copy(), after.copy()
            before[asked] = np.where(found.before_ms > 0, found.before_ms, extents.first_start_ms[asked])
            after[asked] = np.maximum(found.after_ms, extents.last_ms[asked])
        earlier, later = extents.pairs
        return _hours_of(
            np.concatenate([np.minimum(before, extents.start_ms), extents.last_ms, earlier]),
            np.concatenate([extents.first_ms, after, later]),
        )

    def fresh(self) -> dict[int, int]:
        """What to remember of the batch's meters, once it is committed."""
        seen = self.extents.in_last_hour_ms
        hour, known_hour = seen // HOUR_MS, self._before // HOUR_MS
        moved = (hour > known_hour) | ((hour == known_hour) & (seen < self._before))
        return dict(zip(self.extents.meters[moved].tolist(), seen[moved].tolist(), strict=True))


def _hours_of(first_ms: Int64Array, last_ms: Int64Array) -> Int64Array:
    """The hours of closed stretches; of one longer than 31 days those within 31 days of either end."""
    is_long = last_ms - first_ms > WITHIN_MS
    if is_long.any():
        long_first, long_last = first_ms[is_long], last_ms[is_long]
        first_ms = np.concatenate([first_ms[~is_long], long_first, long_last - WITHIN_MS])
        last_ms = np.concatenate([last_ms[~is_long], long_first + WITHIN_MS, long_last])
    first, last = first_ms // HOUR_MS, last_ms // HOUR_MS
    if (first == last).all():
        return np.unique(first)
    least = int(first.min())
    edges = np.zeros(int(last.max()) - least + 2, dtype=np.int64)
    np.add.at(edges, first - least, 1)
    np.add.at(edges, last - least + 1, -1)
    return np.flatnonzero(np.cumsum(edges)) + least
