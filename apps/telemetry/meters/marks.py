"""Which hours a batch of meter readings changes.

A reading changes what its meter did from the value before it to the value after it. In the stream of a running client
both lie in the hour of the batch, and this process knows it: nothing is looked up. Otherwise the neighbours are looked
up while no other intake of the organisation runs, so that of two transactions one always sees what the other stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.core.windows import HOUR_MS
from apps.telemetry.batch import BoolArray, Float64Array, Int64Array
from apps.telemetry.bulk import Writer
from apps.telemetry.meters.models import Meter, MeterKind

WITHIN_MS = 31 * 24 * HOUR_MS  # readings further apart are no neighbours
UNKNOWN, LATEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class MeterColumns:
    """A batch's readings, in any order. ``start_ms`` 0: none was stated."""

    series: Int64Array
    meter: Int64Array
    kind: Int64Array
    is_work: BoolArray
    at_ms: Int64Array
    value: Float64Array
    start_ms: Int64Array

    @property
    def thing(self) -> Int64Array:
        """What a reading has its neighbours among: its meter, or (less than 0) its series.

        The series' own readings it is for differences, for units of work, and for counters that state a start, as
        two processes may count the same device from starts of their own.
        """
        has_start = (self.kind == MeterKind.COUNTER) & (self.start_ms > 0)
        return np.where((self.kind == MeterKind.DELTA) | self.is_work | has_start, -self.series, self.meter)


@dataclass(frozen=True, slots=True)
class Extents:
    """Of each thing of a batch, in order, what its readings span [ms].

    ``start_ms``: the earliest stated start of a difference (never after ``first_ms``, at most 31 days before);
    ``first_start_ms``: the stated start of the first reading, or its time; ``in_last_hour_ms``: the first value in the
    hour of the last reading, or the largest integer. ``pairs``: consecutive readings, as (earlier, later).
    """

    things: Int64Array
    meters: Int64Array
    first_ms: Int64Array
    last_ms: Int64Array
    start_ms: Int64Array
    first_start_ms: Int64Array
    in_last_hour_ms: Int64Array
    pairs: tuple[Int64Array, Int64Array]


def extents_of(readings: MeterColumns) -> Extents:
    """The extents of a batch of at least one reading."""
    thing = readings.thing
    order = np.lexsort((readings.at_ms, thing))
    thing, at_ms, start_ms = thing[order], readings.at_ms[order], readings.start_ms[order]
    is_delta, says = readings.kind[order] == MeterKind.DELTA, ~np.isnan(readings.value[order])
    stated = np.where(start_ms > 0, np.clip(start_ms, at_ms - WITHIN_MS, at_ms), at_ms)
    begins = np.flatnonzero(np.r_[True, thing[1:] != thing[:-1]])
    ends = np.r_[begins[1:], len(thing)] - 1
    hour = at_ms // HOUR_MS
    place = np.repeat(np.arange(len(begins)), np.diff(np.r_[begins, len(thing)]))
    in_last_hour = np.where(says & (hour == hour[ends][place]), at_ms, LATEST)
    within = np.flatnonzero(thing[1:] == thing[:-1])
    return Extents(
        things=thing[begins],
        meters=readings.meter[order][begins],
        first_ms=at_ms[begins],
        last_ms=at_ms[ends],
        start_ms=np.minimum.reduceat(np.where(is_delta, stated, at_ms), begins),
        first_start_ms=stated[begins],
        in_last_hour_ms=np.minimum.reduceat(in_last_hour, begins),
        pairs=(at_ms[within], at_ms[within + 1]),
    )


class Marks:
    """The hours of one batch. ``known``: of things, a committed value early in the latest hour this process saw.

    Made with the intake lock of the organisation held. :attr:`must_be_alone` says whether no other intake of the
    organisation may run until the commit.
    """

    def __init__(self, extents: Extents, known: dict[int, int], writer: Writer, organisation_id: int) -> None:
        self.extents, self.writer, self.organisation_id = extents, writer, organisation_id
        self._before = np.array([known.get(thing, UNKNOWN) for thing in extents.things.tolist()], dtype=np.int64)
        first_hour, self._hour = int(extents.first_ms.min()) // HOUR_MS, int(extents.last_ms.max()) // HOUR_MS
        # The value before lies between the one remembered and the batch, so their hours are all that can be changed.
        self._is_near = (self._before < extents.first_ms) & (self._before // HOUR_MS >= extents.first_ms // HOUR_MS - 1)
        newest = writer.newest_meter_reading(organisation_id, self._hour * HOUR_MS)
        self._newest_hour = -1 if newest is None else newest // HOUR_MS
        self.must_be_alone = not (
            self._newest_hour == self._hour == first_hour  # the first reading of an hour has to be seen by all others
            and self._is_near.all()
        )

    def hours(self, extents: Extents) -> Int64Array:
        """The hours (since the epoch) that the batch changes, each once.

        ``extents``: of the readings that are new; a part of those the marks were made for.
        """
        place = np.searchsorted(self.extents.things, extents.things)
        before, after = self._before[place], extents.last_ms
        # Of a thing that has no later hour than the batch's, nothing after the batch lies in another hour.
        is_last = (self._newest_hour <= self._hour) & (extents.last_ms // HOUR_MS == self._hour)
        asked = np.flatnonzero(~(self._is_near[place] & is_last))
        if len(asked):
            before, after = before.copy(), after.copy()
            before[asked], after[asked] = self._looked_up(extents, asked)
        earlier, later = extents.pairs
        return _hours_of(
            np.concatenate([np.minimum(before, extents.start_ms), extents.last_ms, earlier]),
            np.concatenate([extents.first_ms, after, later]),
        )

    def _looked_up(self, extents: Extents, asked: Int64Array) -> tuple[Int64Array, Int64Array]:
        """From where to where the readings of some things (places in the extents) change something [ms]."""
        meters, first, last = extents.meters[asked], extents.first_ms[asked], extents.last_ms[asked]
        series = np.maximum(-extents.things[asked], 0)
        before, after = self.writer.neighbours(meters, series, first, last, WITHIN_MS)
        alone = np.flatnonzero((series > 0) & ((before == 0) | (after == 0)))
        if len(alone):  # a series that begins or ends where another of its meter goes on
            of_meter = self.writer.neighbours(meters[alone], np.zeros_like(alone), first[alone], last[alone], WITHIN_MS)
            before[alone] = np.where(before[alone] == 0, of_meter.before_ms, before[alone])
            after[alone] = np.where(after[alone] == 0, of_meter.after_ms, after[alone])
        none = np.flatnonzero(before == 0)
        if len(none):  # a first value counts from its start, or from one interval before it
            meters_of = Meter.objects.of(self.organisation_id).filter(pk__in=meters[none].tolist())
            interval_s = dict(meters_of.values_list("pk", "interval_s"))
            interval_ms = np.array([interval_s[meter] for meter in meters[none].tolist()], dtype=np.int64) * 1_000
            before[none] = np.minimum(extents.first_start_ms[asked][none], first[none] - interval_ms)
        return before, np.maximum(after, last)

    def fresh(self) -> dict[int, int]:
        """What to remember of the batch's things, once it is committed."""
        seen = self.extents.in_last_hour_ms
        hour, known_hour = seen // HOUR_MS, self._before // HOUR_MS
        moved = ((hour > known_hour) | ((hour == known_hour) & (seen < self._before))) & (seen < LATEST)
        return dict(zip(self.extents.things[moved].tolist(), seen[moved].tolist(), strict=True))


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
