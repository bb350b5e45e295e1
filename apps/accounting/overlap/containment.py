"""What a device that contains others used besides them: a host its GPUs, a package its cores.

What is counted of the devices within is set aside of the container's own energy of the same time, never more than it
has: per hour and source of the container, so that readings taken at slightly different moments even out within the
hour. A device within counts with what it measured itself, with what lies within it where it was silent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from apps.accounting.overlap.intervals import NOBODY, Int64Array, Kept, Part, Readings, split, up_to
from apps.core.windows import HOUR_MS


class _Pieces(NamedTuple):
    """Stretches of readings on the axis of a device: the reading's place, the device, from when to when [ms]."""

    row: Int64Array
    device: Int64Array
    since_ms: Int64Array
    upto_ms: Int64Array

    def take(self, rows: Int64Array) -> _Pieces:
        return _Pieces(*(column[rows] for column in self))


def parts_contained(readings: Readings, kept: Kept, within: Int64Array, first_hour: int, end_hour: int) -> list[Part]:
    """What of containers' counted stretches is set aside for what they contain, in ``[first_hour, end_hour)``.

    ``within``: of each device the number of the one that contains it, or :data:`NOBODY`. The source named as counted
    is the one with the largest part of what lies within.
    """
    device = readings.device[kept.row]
    holds = np.zeros(len(within), np.bool_)
    holds[within[within != NOBODY]] = True
    whole = _Pieces(kept.row, device, kept.since_ms, kept.upto_ms)
    outer, inner = whole.take(np.flatnonzero(holds[device])), whole.take(np.flatnonzero(within[device] != NOBODY))
    if not len(outer.row) or not len(inner.row):
        return []
    axis = _Axis(readings, outer, first_hour, end_hour)
    inner = axis.placed(inner._replace(device=within[inner.device]), within)
    if not len(inner.row):
        return []
    return list(axis.parts(inner))


class _Axis:
    """One axis of time for all containers, with the source of each that counts."""

    def __init__(self, readings: Readings, outer: _Pieces, first_hour: int, end_hour: int) -> None:
        self.readings, self.outer = readings, outer
        self.first_ms, self.hours = first_hour * HOUR_MS, end_hour - first_hour
        self.span = self.hours * HOUR_MS
        devices = int(readings.device.max(initial=-1)) + 1
        self.every_hour = np.arange(devices * self.hours + 1, dtype=np.int64) * HOUR_MS

    def _places(self, pieces: _Pieces) -> tuple[Int64Array, Int64Array]:
        shift = pieces.device * self.span - self.first_ms
        return pieces.since_ms + shift, pieces.upto_ms + shift

    def _covered(self, pieces: _Pieces, others: _Pieces, value: Int64Array) -> tuple[Int64Array, Int64Array]:
        """Cuts of the axis at both, and on each piece between them the value of the first, or :data:`NOBODY`."""
        start, end = self._places(pieces)
        cuts = np.unique(np.concatenate([start, end, *self._places(others), self.every_hour]))
        count, total = np.zeros(len(cuts), np.int64), np.zeros(len(cuts), np.int64)
        for edge, sign in ((start, 1), (end, -1)):
            place = np.searchsorted(cuts, edge)
            np.add.at(count, place, sign)
            np.add.at(total, place, sign * value)
        count, total = np.cumsum(count)[:-1], np.cumsum(total)[:-1]
        return cuts, np.where(count > 0, total // np.maximum(count, 1), NOBODY)

    def placed(self, inner: _Pieces, within: Int64Array) -> _Pieces:
        """Where each stretch counts: in the first of its containers that measured at that time."""
        found = []
        everywhere = np.zeros(len(self.outer.row), np.int64)
        while len(inner.row):
            cuts, covered = self._covered(self.outer, inner, everywhere)
            start, end = self._places(inner)
            row, piece, since, upto = split(cuts, covered, start, end)
            shift = inner.device[row] * self.span - self.first_ms
            parts = _Pieces(inner.row[row], inner.device[row], since - shift, upto - shift)
            is_in = covered[piece] != NOBODY
            found.append(parts.take(np.flatnonzero(is_in)))
            outside = parts.take(np.flatnonzero(~is_in & (within[parts.device] != NOBODY)))
            inner = outside._replace(device=within[outside.device])
        return _Pieces(*(np.concatenate(columns) for columns in zip(*found, strict=True)))

    def parts(self, inner: _Pieces) -> Iterator[Part]:
        """What is set aside, once it is known what lies within."""
        readings, outer = self.readings, self.outer
        cuts, source = self._covered(outer, inner, readings.source[outer.row])
        row, piece, since, upto = split(cuts, source, *self._places(inner))
        given = self._energy(inner, row, since, upto)
        contained = _summed(self._hour(cuts, piece), source[piece], readings.source[inner.row[row]], given)
        cuts, covered = self._covered(inner, outer, np.zeros(len(inner.row), np.int64))
        row, piece, since, upto = split(cuts, covered, *self._places(outer))
        is_in = covered[piece] != NOBODY
        row, piece, since, upto = row[is_in], piece[is_in], since[is_in], upto[is_in]
        own = outer.row[row]
        had = self._energy(outer, row, since, upto)
        containing = _summed(self._hour(cuts, piece), readings.source[own], readings.attribution[own], had)
        for key, attributions in containing.items():
            within = contained.get(key)
            if within:
                # Of equal parts the source that was known first.
                largest = min(within, key=lambda pk: (-within[pk], pk))
                yield from _fitted(key[0], attributions, sum(within.values()), largest)

    def _hour(self, cuts: Int64Array, piece: Int64Array) -> Int64Array:
        return cuts[piece] // HOUR_MS % self.hours + self.first_ms // HOUR_MS

    def _energy(self, pieces: _Pieces, row: Int64Array, since: Int64Array, upto: Int64Array) -> Int64Array:
        reading = pieces.row[row]
        start = self.readings.start_ms[reading]
        begin = pieces.device[row] * self.span - self.first_ms + start
        energy, span = self.readings.energy_microwatt_hours[reading], self.readings.end_ms[reading] - start
        return up_to(energy, upto - begin, span) - up_to(energy, since - begin, span)


def _summed(
    hour: Int64Array, container: Int64Array, of: Int64Array, energy: Int64Array
) -> dict[tuple[int, int], dict[int, int]]:
    """Energy by (hour, source of the container), and in it by what the third column says."""
    keys, place = np.unique(np.stack([hour, container, of], axis=1), axis=0, return_inverse=True)
    sums = np.zeros(len(keys), np.int64)
    np.add.at(sums, place.ravel(), energy)
    found: dict[tuple[int, int], dict[int, int]] = {}
    for (at, source, one), total in zip(keys.tolist(), sums.tolist(), strict=True):
        found.setdefault((at, source), {})[one] = total
    return found


def _fitted(hour: int, attributions: dict[int, int], contained: int, counted_source: int) -> Iterator[Part]:
    """What lies within, shared among the container's attributions by what each has, and no more than that."""
    had = sum(attributions.values())
    aside = min(contained, had)
    before = 0
    for attribution, energy in sorted(attributions.items()):
        part = aside * (before + energy) // had - aside * before // had if had else 0
        before += energy
        if part:
            yield Part(hour, attribution, counted_source, part, 0)
