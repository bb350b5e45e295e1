"""Which part of which reading is set aside, because another source of the same device measured the same time.

Exact integers throughout: a reading's energy up to a moment is ``floor(E t / T)``, as in the roll-up, and what is set
aside between two moments is the difference of two of these. What is kept and what is set aside add up to the reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from apps.core.windows import HOUR_MS

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
NOBODY = -1


@dataclass(frozen=True, slots=True)
class Readings:
    """Readings of shared devices, one column each.

    ``device``: a number per device, from 0. ``level``: how late the reading's source stands in the order of its
    device; the readings of one device and level are of one source, and level 0 is counted in any case.
    """

    start_ms: Int64Array
    end_ms: Int64Array
    energy_microwatt_hours: Int64Array
    attribution: Int64Array
    source: Int64Array
    device: Int64Array
    level: Int64Array


class Kept(NamedTuple):
    """Stretches of readings that count, each within an hour: the reading's place, and from when to when."""

    row: Int64Array
    since_ms: Int64Array
    upto_ms: Int64Array


class Part(NamedTuple):
    """What is set aside of an attribution in an hour, in favour of another source [microwatt-hours, ms]."""

    hour: int
    attribution: int
    counted_source: int
    energy_microwatt_hours: int
    covered_ms: int


def parts_set_aside(readings: Readings, first_hour: int, end_hour: int) -> list[Part]:
    """The parts of ``[first_hour, end_hour)`` (hours since the epoch) that a source of a lower level covers too.

    Readings of one source never set each other aside. Of several sources that cover a moment, the one of the lowest
    level is named as counted.
    """
    return aside_and_kept(readings, first_hour, end_hour)[0]


def aside_and_kept(readings: Readings, first_hour: int, end_hour: int) -> tuple[list[Part], Kept]:
    """The same, and the stretches that are left and count."""
    sweep = _Sweep(readings, first_hour, end_hour)
    found = [sweep.take(level) for level in range(int(readings.level.max(initial=-1)) + 1)]
    keys = np.concatenate([keys for keys, _, _ in found]) if found else np.empty((0, 3), np.int64)
    if not len(keys):
        return [], sweep.kept()
    once, place = np.unique(keys, axis=0, return_inverse=True)
    energy, covered = np.zeros(len(once), np.int64), np.zeros(len(once), np.int64)
    np.add.at(energy, place.ravel(), np.concatenate([values for _, values, _ in found]))
    np.add.at(covered, place.ravel(), np.concatenate([values for _, _, values in found]))
    columns = (*(once[:, i].tolist() for i in range(3)), energy.tolist(), covered.tolist())
    return [Part(*row) for row in zip(*columns, strict=True)], sweep.kept()


class _Sweep:
    """One axis of time for all devices, one stretch after the other, cut wherever a reading or an hour begins or ends.

    Between two cuts it is always the same sources that cover; ``best`` and ``other`` are the first of them, and the
    first one that is another source than that.
    """

    def __init__(self, readings: Readings, first_hour: int, end_hour: int) -> None:
        self.readings = readings
        self.first_hour, self.hours = first_hour, end_hour - first_hour
        first_ms, self.span = first_hour * HOUR_MS, (end_hour - first_hour) * HOUR_MS
        self.shift = readings.device * self.span - first_ms
        self.start = np.maximum(readings.start_ms, first_ms) + self.shift
        self.end = np.minimum(readings.end_ms, end_hour * HOUR_MS) + self.shift
        devices = int(readings.device.max(initial=-1)) + 1
        every_hour = np.arange(devices * self.hours + 1, dtype=np.int64) * HOUR_MS
        self.cuts = np.unique(np.concatenate([self.start, self.end, every_hour]))
        self.first_cut, self.end_cut = np.searchsorted(self.cuts, self.start), np.searchsorted(self.cuts, self.end)
        pieces = len(self.cuts) - 1
        self.piece_device = self.cuts[:-1] // self.span if pieces else np.empty(0, np.int64)
        self.best, self.other = np.full(pieces, NOBODY, np.int64), np.full(pieces, NOBODY, np.int64)

    def take(self, level: int) -> tuple[Int64Array, Int64Array, Int64Array]:
        """Set aside what lower levels cover of this one, then let it cover too: keys, energies and times."""
        rows = np.flatnonzero(self.readings.level == level)
        own = np.full(int(self.readings.device.max(initial=-1)) + 1, NOBODY - 1, np.int64)
        own[self.readings.device[rows]] = self.readings.source[rows]
        source = own[self.piece_device]
        counted = np.where(self.best == source, self.other, self.best)
        parts = self._parts(rows, counted)
        edges = np.zeros(len(self.cuts), np.int64)
        np.add.at(edges, self.first_cut[rows], 1)
        np.add.at(edges, self.end_cut[rows], -1)
        covers = np.cumsum(edges)[:-1] > 0
        second = covers & (self.best != NOBODY) & (self.best != source) & (self.other == NOBODY)
        self.other[second] = source[second]
        first = covers & (self.best == NOBODY)
        self.best[first] = source[first]
        return parts

    def kept(self) -> Kept:
        """What counts, once every level was taken: in each stretch the readings of its first source."""
        row, piece, since, upto = split(self.cuts, self.best, self.start, self.end)
        counts = self.best[piece] == self.readings.source[row]
        row = row[counts]
        return Kept(row, since[counts] - self.shift[row], upto[counts] - self.shift[row])

    def _parts(self, rows: Int64Array, counted: Int64Array) -> tuple[Int64Array, Int64Array, Int64Array]:
        readings = self.readings
        place, piece, since, upto = split(self.cuts, counted, self.start[rows], self.end[rows])
        taken = counted[piece] != NOBODY
        row, piece = rows[place[taken]], piece[taken]
        begin = self.shift[row] + readings.start_ms[row]
        since, upto = since[taken] - begin, upto[taken] - begin
        energy, span = readings.energy_microwatt_hours[row], readings.end_ms[row] - readings.start_ms[row]
        hours = self.cuts[piece] // HOUR_MS % self.hours + self.first_hour
        keys = np.stack([hours, readings.attribution[row], counted[piece]], axis=1)
        return keys, up_to(energy, upto, span) - up_to(energy, since, span), upto - since


def split(
    cuts: Int64Array, label: Int64Array, start: Int64Array, end: Int64Array
) -> tuple[Int64Array, Int64Array, Int64Array, Int64Array]:
    """Stretches of an axis parted where the label of its pieces, or the hour, changes.

    ``cuts`` hold every start, end and hour; ``label`` is one of each piece between two. Place of each part's stretch,
    the first piece of the part, and where it begins and ends.
    """
    hour = cuts[:-1] // HOUR_MS
    changes = np.ones(len(label), np.bool_)
    changes[1:] = (label[1:] != label[:-1]) | (hour[1:] != hour[:-1])
    run = np.flatnonzero(changes)
    run_start, run_end = cuts[run], cuts[np.append(run[1:], len(label))]
    first = np.searchsorted(run_start, start, "right") - 1
    count = np.searchsorted(run_start, end, "left") - first
    row = np.repeat(np.arange(len(start)), count)
    place = np.repeat(first - np.concatenate([[0], np.cumsum(count)[:-1]]), count) + np.arange(int(count.sum()))
    return row, run[place], np.maximum(run_start[place], start[row]), np.minimum(run_end[place], end[row])


def up_to(energy: Int64Array, moment: Int64Array, span: Int64Array) -> Int64Array:
    """``floor(energy * moment / span)``: the SQL of ``sql.part_up_to``, digit for digit."""
    return energy // span * moment + energy % span * moment // span
