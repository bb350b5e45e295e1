"""Energy and work between the readings of meters. Pure functions on whole columns: no Django, nothing kept.

Every rule looks at a reading and the one before it, so that an hour can be derived from its own readings and one
neighbour on either side, in whatever order and however often they came.

[1] OpenTelemetry, metrics data model: temporality, resets and gaps, unknown start (start equals time: adds nothing).
[2] Prometheus, "Metric types": a counter that is lower than before has begun again at zero; remote write 1.0:
    staleness marker. Its counters state no start, so that the first value says nothing about energy.
[3] OpenTelemetry SDKs stamp the start of a counter at its first measurement: a first window of microseconds may hold
    the energy of one interval or the whole life of a device. Told apart by what the device can draw in an interval.
[4] Linux powercap (RAPL): a register that wraps is no restart; its energy goes on from ``max_energy_range_uj``.
[5] dcgm-exporter: every MIG instance, and every pod of a time-sliced GPU, repeats the counter of the whole GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np

from apps.core.windows import DAY_MS, HOUR_MS
from apps.telemetry.batch import BoolArray, Float64Array, Int64Array
from apps.telemetry.meters.units import amounts, mean_power_amounts

# The values of ``models.MeterKind`` and ``models.StartPolicy``, and those of ``models.MeterFinding.Finding`` by place.
COUNTER, DELTA, GAUGE = 1, 2, 3
AUTOMATIC, FROM_ZERO, BASELINE = 1, 2, 3
HELD_BACK, RESET, WRAP, SILENT, IMPLAUSIBLE = range(5)
FINDINGS = ("held_back", "reset", "wrap", "silent", "implausible")

NO_VALUE_FROM = 2.0**63 - 1024  # counters say "no value" by 2**63 - 2 and its neighbours (DCGM): no double lies between
LONGEST_MS = 31 * DAY_MS  # as for readings that come as intervals
MOST_POWER_W = 100_000_000  # no single feed carries more: see ``telemetry.rules``
_MOST_AMOUNT = 4e18  # what still is an integer of 64 bits, with room
_SHORTEST_MS = 1_000  # a window in which no device can have measured anything
ALL = -1  # in ``Increments.series``: whichever series report the meter at that instant


@dataclass(frozen=True, slots=True)
class _Columns:
    """Columns of equal length."""

    def take(self, rows: BoolArray | Int64Array) -> Self:
        return replace(self, **{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


@dataclass(frozen=True, slots=True)
class Meters(_Columns):
    """What is known of meters, one row each; ``Readings.meter`` counts them from 0.

    ``numerator / denominator``: microwatt-hours (of work: units) that one unit of the value stands for, less the PUE
    it includes (:func:`units.per_unit`). ``power_cap_w`` [W], ``wraps_at`` in the meter's unit, NaN where unknown.
    """

    kind: Int64Array
    is_work: BoolArray
    numerator: Int64Array
    denominator: Int64Array
    start_policy: Int64Array
    power_cap_w: Int64Array
    interval_ms: Int64Array
    longest_gap_ms: Int64Array
    wraps_at: Float64Array
    start_tolerance_ms: Int64Array


@dataclass(frozen=True, slots=True)
class Readings(_Columns):
    """Values at instants, in the unit of the meter; in any order, each (series, instant) once.

    ``value`` NaN: the series ends here. ``start_ms``: since when the value counts, 0 where nothing was stated; a start
    less than a millisecond before the reading is a millisecond before it, for the same instant means "unknown" [1].
    """

    meter: Int64Array
    series: Int64Array
    at_ms: Int64Array
    value: Float64Array
    start_ms: Int64Array

    def __len__(self) -> int:
        return len(self.meter)


@dataclass(frozen=True, slots=True)
class Increments(_Columns):
    """What a meter counted in ``[from_ms, to_ms)``: uWh, or units of work. ``to_ms`` is the instant of a reading.

    ``series``: the one that said it, or :data:`ALL`.
    """

    meter: Int64Array
    series: Int64Array
    from_ms: Int64Array
    to_ms: Int64Array
    amount: Int64Array

    def __len__(self) -> int:
        return len(self.meter)


@dataclass(frozen=True, slots=True)
class Findings(_Columns):
    """What a person should look at: place in :data:`FINDINGS`, with the energy [uWh] held back or concerned."""

    meter: Int64Array
    at_ms: Int64Array
    finding: Int64Array
    amount: Int64Array

    def __len__(self) -> int:
        return len(self.meter)


def increments(readings: Readings, meters: Meters) -> tuple[Increments, Findings]:
    """What the readings say was used between them, and what is held back or worth a look.

    Of several series of one meter at an instant the largest value counts, once [5]. Of units of work every series
    counts by itself: there is no device whose one value they would repeat.
    """
    readings = _valid(readings, meters)
    kind = meters.kind[readings.meter]
    made = [
        rule(readings.take(kind == one), meters)
        for one, rule in ((COUNTER, _counters), (DELTA, _deltas), (GAUGE, _gauges))
    ]
    found = Increments.joined([part for part, _ in made])
    # The largest of what the series of a device say of one instant; each series' own of work.
    order = np.lexsort((found.from_ms, -found.amount, found.series, found.to_ms, found.meter))
    found = found.take(order)
    found = found.take(changes(found.meter, found.to_ms, found.series))
    findings = Findings.joined([part for _, part in made])
    findings = findings.take(np.lexsort((-findings.amount, findings.finding, findings.at_ms, findings.meter)))
    return found, findings.take(changes(findings.meter, findings.at_ms, findings.finding))


def in_hours(increments: Increments, first_hour: int, end_hour: int) -> tuple[Int64Array, Increments]:
    """The parts that lie in ``[first_hour, end_hour)``, cut at the hours: place of each part's increment, the part.

    Up to a moment an increment has counted ``floor(amount x elapsed / duration)``, and a part is the difference of two
    such: parts of all hours add up to the increment, whichever hours are asked for together.
    """
    since = np.maximum(increments.from_ms, first_hour * HOUR_MS)
    until = np.minimum(increments.to_ms, end_hour * HOUR_MS)
    rows = np.flatnonzero(since < until)
    hours = (until[rows] - 1) // HOUR_MS - since[rows] // HOUR_MS + 1
    place = np.repeat(rows, hours)
    before = np.repeat(np.cumsum(hours) - hours, hours)
    hour = since[place] // HOUR_MS + np.arange(len(place)) - before
    start, stop = np.maximum(hour * HOUR_MS, since[place]), np.minimum((hour + 1) * HOUR_MS, until[place])
    begin = increments.from_ms[place]
    duration = increments.to_ms[place] - begin
    amount = increments.amount[place]
    part = _up_to(amount, stop - begin, duration) - _up_to(amount, start - begin, duration)
    return place, replace(increments.take(place), from_ms=start, to_ms=stop, amount=part)


def changes(*columns: Int64Array) -> BoolArray:
    """Where a row differs from the one before it in any of the columns; True for the first."""
    changed = np.zeros(len(columns[0]), np.bool_)
    changed[:1] = True
    for column in columns:
        changed[1:] |= column[1:] != column[:-1]
    return changed


def _up_to(amount: Int64Array, elapsed: Int64Array, duration: Int64Array) -> Int64Array:
    """``floor(amount x elapsed / duration)``, within 64 bits for durations of up to 31 days."""
    return amount // duration * elapsed + amount % duration * elapsed // duration


def _valid(readings: Readings, meters: Meters) -> Readings:
    """Without what says "no value"; an end of series is kept for gauges, which alone it ends."""
    ratio = (meters.numerator / meters.denominator)[readings.meter]
    with np.errstate(invalid="ignore", over="ignore"):
        says = (readings.value >= 0) & (readings.value < NO_VALUE_FROM) & (readings.value * ratio < _MOST_AMOUNT)
    ends = np.isnan(readings.value) & (meters.kind[readings.meter] == GAUGE)
    return readings.take(says | ends)


def _amounts(readings: Readings, meters: Meters) -> Int64Array:
    return amounts(readings.value, meters.numerator[readings.meter], meters.denominator[readings.meter])


def _usable(amount: Int64Array, watts: Int64Array | int, lasting_ms: Int64Array) -> BoolArray:
    """Whether so much energy [uWh] can be used in a time [ms] at a power [W]: uWh = W ms / 3.6, in integers."""
    can: BoolArray = np.minimum(amount, 2**58) * 18 <= 5 * watts * np.minimum(lasting_ms, 2 * LONGEST_MS)
    return can


@dataclass(frozen=True, slots=True)
class _Said:
    """Readings in order, with the place of the one before each (``prior``) and of the one it goes on from; or -1."""

    readings: Readings
    meters: Meters
    amount: Int64Array
    stated: BoolArray  # a start that lies before the reading
    prior: Int64Array
    follows: Int64Array

    @property
    def before_ms(self) -> Int64Array:
        """The instant of the reading before; 0 without one."""
        return np.where(self.prior >= 0, self.readings.at_ms[self.prior], 0)

    def of(self, column: Int64Array) -> Int64Array:
        return column[self.readings.meter]

    @property
    def is_work(self) -> BoolArray:
        return self.meters.is_work[self.readings.meter]

    def first_from(self) -> tuple[Int64Array, BoolArray]:
        """Of values that go on from none: since when they are spread [ms], and whether the device can have used them.

        A window that is stated and long enough for the energy is taken as it is. One of microseconds is widened
        backwards by the meter's interval, but not over the meter's reading before, whatever series told that [3].
        """
        meter_before = _earlier(self.readings.meter, self.readings.at_ms)
        before_ms = np.where(meter_before >= 0, self.readings.at_ms[meter_before], 0)
        at, start = self.readings.at_ms, self.readings.start_ms
        interval, cap = self.of(self.meters.interval_ms), self.of(self.meters.power_cap_w)
        window = np.where(self.stated, at - start, 0)
        fits = self.is_work | _usable(self.amount, cap, np.maximum(window, interval))
        as_stated = (window >= _SHORTEST_MS) & (self.is_work | _usable(self.amount, cap, window))
        widened = np.maximum(at - interval, before_ms)
        since = np.where(as_stated, start, np.where(self.stated, np.minimum(widened, start), widened))
        return np.maximum(since, at - LONGEST_MS), fits & (window <= LONGEST_MS)

    def result(
        self, counted: BoolArray, since: Int64Array, amount: Int64Array, findings: dict[int, BoolArray]
    ) -> tuple[Increments, Findings]:
        """Increments where ``counted``, and findings where each is True; without what no device can have used."""
        readings = self.readings
        lasting = np.maximum(readings.at_ms - since, self.of(self.meters.interval_ms))
        absurd = counted & ~self.is_work & ~_usable(amount, MOST_POWER_W, lasting)
        series = np.where(self.is_work, readings.series, ALL)
        parts = Increments(readings.meter, series, since, readings.at_ms, amount).take(counted & ~absurd)
        named = {name: rows & ~absurd for name, rows in findings.items()} | {IMPLAUSIBLE: absurd}
        every = [
            Findings(readings.meter, readings.at_ms, np.full(len(readings), name), amount).take(rows)
            for name, rows in named.items()
        ]
        return parts, Findings.joined(every)


def _counters(readings: Readings, meters: Meters) -> tuple[Increments, Findings]:
    """Totals since a start: the difference to the reading before of the same start, which telescopes.

    A lower value, or another start, begins anew: what stands there counts in full where the device can have used it
    in that time [1, 2], after a wrap together with what was left to the known maximum [4].
    """
    said, taken_until = _continued(readings, meters)
    readings, amount, at = said.readings, said.amount, said.readings.at_ms
    policy = said.of(meters.start_policy)
    goes_on = said.follows >= 0
    before = np.where(goes_on, said.follows, 0)
    lasting = at - at[before]
    lower = goes_on & (readings.value < readings.value[before])
    too_long = goes_on & (lasting > LONGEST_MS)
    goes_on &= ~too_long
    lower &= ~too_long

    cap, time = said.of(meters.power_cap_w), np.maximum(lasting, said.of(meters.interval_ms))
    with_rest = amount - amount[before]
    wraps_at = meters.wraps_at[readings.meter]
    wrapped = lower & ~said.is_work & (wraps_at >= readings.value[before])
    with_rest[wrapped] += _amounts(replace(readings, value=wraps_at).take(wrapped), meters)
    wrapped &= _usable(with_rest, cap, time)
    begun = lower & ~wrapped
    fits = (policy == FROM_ZERO) | ((policy == AUTOMATIC) & (said.is_work | _usable(amount, cap, time)))

    first_from, first_fits = said.first_from()
    fresh = ~goes_on & ~too_long
    first = fresh & ((policy == FROM_ZERO) | ((policy == AUTOMATIC) & said.stated & first_fits))
    held = (begun & ~fits & (policy == AUTOMATIC)) | (fresh & ~first & said.stated & (policy == AUTOMATIC))
    counted = (goes_on & (~begun | fits)) | first
    value = np.where(goes_on & ~begun, with_rest, amount)
    since = np.where(goes_on, at[before], np.maximum(first_from, said.before_ms))
    # Another process that counts the same device at the same time says it once more, from the end of the first on.
    late = counted & (since < taken_until)
    value[late] = _up_to(value[late], np.maximum(at - taken_until, 0)[late], (at - since)[late])
    since = np.maximum(since, taken_until)
    counted &= since < at
    findings = {
        HELD_BACK: held | too_long,
        RESET: (begun & ~held) | (first & (said.prior >= 0)),
        WRAP: wrapped,
    }
    return said.result(counted, since, value, findings)


def _continued(readings: Readings, meters: Meters) -> tuple[_Said, Int64Array]:
    """Counters in the order of their streams, one per meter (of work, per series) and start.

    With the instant up to which streams of an earlier start have counted the same device; 0 where none has.
    """
    baseline = meters.start_policy[readings.meter] == BASELINE
    start = np.where(baseline | (readings.start_ms > readings.at_ms), 0, readings.start_ms)
    is_work = meters.is_work[readings.meter]
    thing = np.where(is_work, readings.series + len(meters.kind), readings.meter)
    # Starts no further apart than the tolerance are one; what states none is one stream too.
    order = np.lexsort((start, thing))
    begins = changes(thing[order])
    begins[1:] |= np.diff(start[order]) > meters.start_tolerance_ms[readings.meter[order]][1:]
    stream = np.empty(len(readings), np.int64)
    stream[order] = np.cumsum(begins)

    order = np.lexsort((-readings.value, readings.at_ms, stream))
    once = order[changes(stream[order], readings.at_ms[order])]
    readings, stream, thing = replace(readings, start_ms=start).take(once), stream[once], thing[once]
    at, start = readings.at_ms, readings.start_ms

    own = np.where(changes(stream), -1, np.arange(len(readings)) - 1)
    prior = _earlier(thing, at)
    # A protocol that begins, or ceases, to state starts goes on with the same counter.
    joined = (prior >= 0) & ((start == 0) | ((start[prior] == 0) & (start <= at[prior])))
    follows = np.where(own >= 0, own, np.where(joined, prior, -1))
    said = _Said(readings, meters, _amounts(readings, meters), (start > 0) & (start < at), prior, follows)
    return said, np.where(is_work[once] | (start == 0), 0, _taken_until(thing, stream, at))


def _taken_until(thing: Int64Array, stream: Int64Array, at_ms: Int64Array) -> Int64Array:
    """The latest instant of the streams before each row's own, of the same thing; 0 where it is the first."""
    first = np.flatnonzero(changes(stream))
    if len(first) == len(stream) == 0:
        return at_ms
    last = np.maximum.reduceat(at_ms, first)
    begins = changes(thing[first])
    # Later things lie higher by more than any instant, so that one running maximum serves all.
    step = (np.cumsum(begins) - 1) * 2**43
    before = np.maximum.accumulate(np.concatenate([[0], last + step]))[:-1] - step
    until = np.where(begins, 0, before)
    return until[np.cumsum(changes(stream)) - 1]


def _earlier(thing: Int64Array, at_ms: Int64Array) -> Int64Array:
    """For each row the place of the latest of its thing at an earlier instant, or -1."""
    order = np.lexsort((at_ms, thing))
    row = np.arange(len(order))
    before = np.maximum.accumulate(np.where(changes(thing[order], at_ms[order]), row, 0)) - 1
    has_one = before >= np.maximum.accumulate(np.where(changes(thing[order]), row, 0))
    earlier = np.empty(len(order), np.int64)
    earlier[order] = np.where(has_one, order[before], -1)
    return earlier


def _deltas(readings: Readings, meters: Meters) -> tuple[Increments, Findings]:
    """What came since the stated start, or since the reading before of the series; the first one like a first value."""
    readings = readings.take(np.lexsort((readings.at_ms, readings.series)))
    at = readings.at_ms
    start = np.where(readings.start_ms > at, 0, readings.start_ms)
    readings = replace(readings, start_ms=start)
    prior = np.where(changes(readings.series), -1, np.arange(len(readings)) - 1)
    said = _Said(readings, meters, _amounts(readings, meters), (start > 0) & (start < at), prior, prior)
    policy, follows = said.of(meters.start_policy), prior >= 0
    first_from, fits = said.first_from()
    since_before = follows & (start == 0)
    too_long = follows & (at - np.where(since_before, said.before_ms, np.where(start > 0, start, at)) > LONGEST_MS)
    first = ~follows & ((policy == FROM_ZERO) | ((policy == AUTOMATIC) & fits))
    held = too_long | (~follows & ~first & (policy == AUTOMATIC))
    since = np.where(since_before, said.before_ms, first_from)
    return said.result(first | (follows & ~too_long), since, said.amount, {HELD_BACK: held})


def _gauges(readings: Readings, meters: Meters) -> tuple[Increments, Findings]:
    """Power between two readings by the trapezoidal rule, where they are no further apart than it is carried over.

    An end of series ends it [2]; a longer silence is a finding.
    """
    value = np.where(np.isnan(readings.value), -1.0, readings.value)
    order = np.lexsort((-value, readings.at_ms, readings.meter))
    once = order[changes(readings.meter[order], readings.at_ms[order])]
    readings, value = readings.take(once), value[once]
    at, meter, ends = readings.at_ms, readings.meter, value < 0
    prior = np.where(changes(meter), -1, np.arange(len(readings)) - 1)
    runs = (prior >= 0) & ~ends & ~ends[prior]
    lasting = at - at[prior]
    silent = runs & (lasting > meters.longest_gap_ms[meter])
    runs &= ~silent
    amount = np.zeros(len(readings), np.int64)
    ratio = meters.numerator[meter[runs]], meters.denominator[meter[runs]]
    amount[runs] = mean_power_amounts(value[prior][runs], value[runs], lasting[runs], *ratio)
    said = _Said(readings, meters, amount, ends, prior, prior)
    return said.result(runs, said.before_ms, amount, {SILENT: silent})
