"""From meter readings to readings with energy, when an hour settles: what stands in between is worked out anew.

Derived readings are deleted and written again, never changed: late, repeated and out-of-order readings of a meter need
no special case. They carry no receipt (:data:`apps.telemetry.models.DERIVED`); each meter reading carries its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np
from django.db import connection, transaction
from django.db.models import Q

from apps.core.windows import HOUR_MS, from_epoch_hour
from apps.telemetry import bulk
from apps.telemetry.batch import ABSENT, BoolArray, Int64Array
from apps.telemetry.bulk import ReadingRows
from apps.telemetry.meters import reading_sql
from apps.telemetry.meters.increments import (
    ALL,
    FINDINGS,
    LONGEST_MS,
    Findings,
    Increments,
    Meters,
    Readings,
    changes,
    in_hours,
    increments,
)
from apps.telemetry.meters.models import Meter, MeterFinding, Quantity, Series
from apps.telemetry.meters.places import compared_sources
from apps.telemetry.meters.sharing import shared
from apps.telemetry.meters.units import per_unit
from apps.telemetry.models import DERIVED

# Hours of series looked at together: bounds memory (15 s readings of as many are 250,000 rows of four numbers).
_SERIES_HOURS = 1_000
_TOUCHED_LATE = timedelta(minutes=10)  # a series' last reading is kept to five minutes
_WORK = {Quantity.TOKENS: "tokens", Quantity.REQUESTS: "requests", Quantity.SAMPLES: "samples"}
_INSTANTS = 2**42  # more milliseconds than any instant has
_DELETE = (
    "DELETE FROM telemetry_reading WHERE organisation_id = %s AND start_ms >= %s AND start_ms < %s AND receipt_id = %s"
)


def write_derived(
    organisation_id: int, first_hour: int, end_hour: int, *, before_new: Callable[[], None] = lambda: None
) -> bool:
    """Derive ``[first_hour, end_hour)`` (hours since the epoch) anew from the meter readings in it and beside it.

    Inside the transaction that rebuilds these hours. ``before_new`` is called before an attribution is made, for a
    device that serves several at once; returns whether any was, so that it can be given its accounts.
    """
    with connection.cursor() as cursor:
        cursor.execute(_DELETE, [organisation_id, first_hour * HOUR_MS, end_hour * HOUR_MS, DERIVED])
    findings = MeterFinding.objects.of(organisation_id)
    findings.filter(at_ms__gte=first_hour * HOUR_MS, at_ms__lt=end_hour * HOUR_MS).delete()
    known = _known(organisation_id, first_hour, end_hour)
    if known is None:
        return False
    step = max(1, _SERIES_HOURS // len(known.series))
    made = [
        _derive(organisation_id, known, first, min(first + step, end_hour), before_new)
        for first in range(first_hour, end_hour, step)
    ]
    return any(made)


class _Known(NamedTuple):
    """Meters and series with a reading in some hours or on either side. Places are those of the columns."""

    meter_ids: Int64Array
    meters: Meters
    quantity: Int64Array
    series: Int64Array  # ids, in order
    meter_of: Int64Array  # of each series the place of its meter
    attribution_of: Int64Array
    source_of: dict[int, int]  # of attributions
    compared: Int64Array  # sources whose increments are held against those of others


def _known(organisation_id: int, first_hour: int, end_hour: int) -> _Known | None:
    """The meters that read in the hours, or both before and after them."""
    reaching = from_epoch_hour(end_hour) + timedelta(milliseconds=LONGEST_MS)
    near = Series.objects.of(organisation_id).filter(
        Q(last_at__isnull=True) | Q(last_at__gte=from_epoch_hour(first_hour) - _TOUCHED_LATE),
        Q(first_at__isnull=True) | Q(first_at__lt=reaching),
    )
    meters = list(
        Meter.objects.of(organisation_id).filter(pk__in=near.order_by().values("meter")).order_by("pk").values()
    )
    if not meters:
        return None
    rows = np.array(
        Series.objects.of(organisation_id)
        .filter(meter__in=near.order_by().values("meter"))
        .order_by("pk")
        .values_list("pk", "meter_id", "attribution_id", "attribution__source_id"),
        dtype=np.int64,
    )
    meter_ids = np.array([meter["id"] for meter in meters], dtype=np.int64)
    return _Known(
        meter_ids=meter_ids,
        meters=columns_of(meters),
        quantity=np.array([meter["quantity"] for meter in meters], dtype=np.int64),
        series=rows[:, 0],
        meter_of=np.searchsorted(meter_ids, rows[:, 1]),
        attribution_of=rows[:, 2],
        source_of=dict(rows[:, 2:4].tolist()),
        compared=compared_sources(organisation_id),
    )


def columns_of(meters: Sequence[Mapping[str, Any]]) -> Meters:
    """Rows of :class:`Meter` as the columns that :func:`increments` takes."""

    def column(name: str, scale: int = 1) -> Int64Array:
        return np.array([meter[name] * scale for meter in meters], dtype=np.int64)

    ratios = [per_unit(meter["unit"], meter["pue_included_ppm"]) for meter in meters]
    wraps = [np.nan if meter["wraps_at"] is None else meter["wraps_at"] for meter in meters]
    return Meters(
        kind=column("kind"),
        is_work=column("quantity") != Quantity.ENERGY,
        numerator=np.array([ratio.numerator for ratio in ratios], dtype=np.int64),
        denominator=np.array([ratio.denominator for ratio in ratios], dtype=np.int64),
        start_policy=column("start_policy"),
        power_cap_w=column("power_cap_w"),
        interval_ms=column("interval_s", 1_000),
        longest_gap_ms=column("longest_gap_s", 1_000),
        wraps_at=np.array(wraps, dtype=np.float64),
        start_tolerance_ms=column("start_tolerance_ms"),
    )


def _derive(
    organisation_id: int, known: _Known, first_hour: int, end_hour: int, before_new: Callable[[], None]
) -> bool:
    readings = _readings(organisation_id, known, first_hour * HOUR_MS, end_hour * HOUR_MS)
    found, findings = increments(readings, known.meters)
    place, parts = in_hours(found, first_hour, end_hour)
    attribution, sets = _attributions(known, readings, found)
    _note(organisation_id, known, findings, first_hour * HOUR_MS, end_hour * HOUR_MS)
    if not len(parts):
        return False
    used = np.unique(attribution[place])
    ids, is_new = shared(organisation_id, [sets[-1 - i] for i in used[used < 0].tolist()], before_new=before_new)
    attribution = attribution[place]
    source_of = dict(known.source_of)
    for number, pk in zip(used[used < 0].tolist(), ids, strict=True):
        source_of[pk] = known.source_of[sets[-1 - number][0]]
        attribution[attribution == number] = pk
    once, same = np.unique(attribution, return_inverse=True)
    source = np.array([source_of[pk] for pk in once.tolist()], dtype=np.int64)[same.ravel()]
    _store(organisation_id, _rows(known, parts, source, attribution))
    return is_new


def _readings(organisation_id: int, known: _Known, first_ms: int, end_ms: int) -> Readings:
    """The readings of a stretch of time, with the last before it and the first after it of every series."""
    series, at_ms, value, start_ms = reading_sql.between(organisation_id, first_ms, end_ms)
    beside = reading_sql.beside(organisation_id, known.series, first_ms, end_ms, end_ms + LONGEST_MS)
    series, at_ms = np.concatenate([series, beside[0]]), np.concatenate([at_ms, beside[1]])
    value, start_ms = np.concatenate([value, beside[2]]), np.concatenate([start_ms, beside[3]])
    place = np.minimum(np.searchsorted(known.series, series), len(known.series) - 1)
    ours = known.series[place] == series
    return Readings(known.meter_of[place], series, at_ms, value, start_ms).take(ours)


def _attributions(known: _Known, readings: Readings, found: Increments) -> tuple[Int64Array, list[tuple[int, ...]]]:
    """Whose each increment is: an attribution, or -1 less the place of a set of several among which it is shared."""
    said = readings.take(~np.isnan(readings.value))
    attribution = known.attribution_of[np.searchsorted(known.series, said.series)]
    order = np.lexsort((attribution, said.at_ms, said.meter))
    meter, at_ms, attribution = said.meter[order], said.at_ms[order], attribution[order]
    once = changes(meter, at_ms, attribution)
    meter, at_ms, attribution = meter[once], at_ms[once], attribution[once]
    first = np.flatnonzero(changes(meter, at_ms))
    count = np.diff(np.append(first, len(meter)))
    whose = attribution[first]
    sets: list[tuple[int, ...]] = []
    several = np.flatnonzero(count > 1)
    if len(several):
        # A set is known by the sum of its members' mixed numbers, so that no set is made twice or row by row.
        key = np.add.reduceat(_mixed(attribution), first)[several]
        _, example, same = np.unique(key, return_index=True, return_inverse=True)
        for i in several[example].tolist():
            sets.append(tuple(attribution[first[i] : first[i] + count[i]].tolist()))
        whose[several] = -1 - same.ravel()
    instants = meter[first] * _INSTANTS + at_ms[first]
    result = whose[np.searchsorted(instants, found.meter * _INSTANTS + found.to_ms)]
    own = found.series != ALL
    result[own] = known.attribution_of[np.searchsorted(known.series, found.series[own])]
    return result, sets


def _mixed(numbers: Int64Array) -> Int64Array:
    """Numbers spread over 64 bits (splitmix64), so that sums of different sets differ."""
    with np.errstate(over="ignore"):
        mixed = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return (mixed ^ (mixed >> np.uint64(31))).astype(np.int64)


class _Rows(NamedTuple):
    """Readings to store: the key, whose, and amounts by quantity (:data:`ABSENT` where a meter says none)."""

    start_ms: Int64Array
    source: Int64Array
    end_ms: Int64Array
    attribution: Int64Array
    amounts: dict[int, Int64Array]

    def take(self, rows: BoolArray | Int64Array) -> _Rows:
        amounts = {quantity: column[rows] for quantity, column in self.amounts.items()}
        return _Rows(self.start_ms[rows], self.source[rows], self.end_ms[rows], self.attribution[rows], amounts)


def _rows(known: _Known, parts: Increments, source: Int64Array, attribution: Int64Array) -> _Rows:
    """One reading for each stretch of an hour in which a meter went on counting for the same; for each increment alone
    where it is held against another source's. What a source's meters say of the same time stands in one reading."""
    order = np.lexsort((parts.from_ms, parts.series, parts.meter))
    parts, source, attribution = parts.take(order), source[order], attribution[order]
    begins = changes(parts.meter, parts.series, attribution, parts.from_ms // HOUR_MS)
    begins[1:] |= (parts.from_ms[1:] != parts.to_ms[:-1]) | np.isin(source[1:], known.compared)
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(parts)) - 1
    amount, quantity = np.add.reduceat(parts.amount, first), known.quantity[parts.meter[first]]
    amounts = {one: np.where(quantity == one, amount, ABSENT) for one in np.unique(quantity).tolist()}
    rows = _Rows(parts.from_ms[first], source[first], parts.to_ms[last], attribution[first], amounts)
    return _apart(_summed(rows, by_attribution=True))


def _summed(rows: _Rows, *, by_attribution: bool) -> _Rows:
    """Rows of one key (and attribution) put together, in the order of their key."""
    order = np.lexsort((rows.attribution, rows.end_ms, rows.source, rows.start_ms))
    rows = rows.take(order)
    key = (rows.start_ms, rows.source, rows.end_ms, *((rows.attribution,) if by_attribution else ()))
    first = np.flatnonzero(changes(*key))
    said = {}
    for quantity, column in rows.amounts.items():
        is_said = np.maximum.reduceat(column, first) != ABSENT
        said[quantity] = np.where(is_said, np.add.reduceat(np.maximum(column, 0), first), ABSENT)
    return rows.take(first)._replace(amounts=said)


def _apart(rows: _Rows) -> _Rows:
    """Rows of one source and time that belong to several: all but the first cut in two, for a key stands once."""
    for part in range(2, 10):
        again = ~changes(rows.start_ms, rows.source, rows.end_ms)
        cut = rows.start_ms + (rows.end_ms - rows.start_ms) // part
        again &= cut > rows.start_ms
        if not again.any():
            break
        rows = _cut(rows, again, cut)
    return _summed(rows, by_attribution=False)


def _cut(rows: _Rows, where: BoolArray, moment: Int64Array) -> _Rows:
    """Some rows cut at a moment inside, in proportion to time; in the order of their key."""
    whole, old, cut = rows.take(~where), rows.take(where), moment[where]
    elapsed, duration = cut - old.start_ms, old.end_ms - old.start_ms
    left, right = {}, {}
    for quantity, amount in old.amounts.items():
        part = amount // duration * elapsed + amount % duration * elapsed // duration
        left[quantity] = np.where(amount == ABSENT, ABSENT, part)
        right[quantity] = np.where(amount == ABSENT, ABSENT, amount - part)
    halves = [whole, old._replace(end_ms=cut, amounts=left), old._replace(start_ms=cut, amounts=right)]
    start, source, end, attribution = (np.concatenate([half[i] for half in halves]) for i in range(4))
    amounts = {quantity: np.concatenate([half.amounts[quantity] for half in halves]) for quantity in old.amounts}
    return _summed(_Rows(start, source, end, attribution, amounts), by_attribution=True)


def _store(organisation_id: int, rows: _Rows) -> None:
    """Write the rows. Where an interval that was sent has the same key, in two halves beside it."""
    ready = _ready(organisation_id, rows)
    writer = bulk.writer()
    writer.prepare(rows.start_ms[[0, -1]])
    with transaction.atomic():  # a savepoint, so that the writer's stage is emptied for each block of hours
        if writer.insert(ready) == len(ready):
            return
        stored = writer.stored_by_others(ready)
    keys = zip(rows.start_ms.tolist(), rows.source.tolist(), rows.end_ms.tolist(), strict=True)
    taken = np.array([key in stored for key in keys], dtype=np.bool_)
    halves = _cut(rows.take(taken), np.ones(int(taken.sum()), np.bool_), ((rows.start_ms + rows.end_ms) // 2)[taken])
    with transaction.atomic():
        writer.insert(_ready(organisation_id, halves))


def _ready(organisation_id: int, rows: _Rows) -> ReadingRows:
    energy = rows.amounts.get(Quantity.ENERGY, np.zeros(len(rows.start_ms), np.int64))
    work = {name: rows.amounts.get(quantity) for quantity, name in _WORK.items()}
    return ReadingRows(
        organisation_id=organisation_id,
        receipt_id=DERIVED,
        start_ms=rows.start_ms,
        source_id=rows.source,
        end_ms=rows.end_ms,
        attribution_id=rows.attribution,
        energy_microwatt_hours=np.maximum(energy, 0),
        milli_epochs=None,
        **work,
    )


def _note(organisation_id: int, known: _Known, findings: Findings, first_ms: int, end_ms: int) -> None:
    findings = findings.take((findings.at_ms >= first_ms) & (findings.at_ms < end_ms))
    is_energy = ~known.meters.is_work[findings.meter]
    columns = (known.meter_ids[findings.meter], findings.at_ms, findings.finding, findings.amount * is_energy)
    MeterFinding.unscoped.bulk_create(
        (
            MeterFinding(
                organisation_id=organisation_id,
                meter_id=meter,
                at_ms=at_ms,
                finding=FINDINGS[finding],
                energy_microwatt_hours=amount,
            )
            for meter, at_ms, finding, amount in zip(*(column.tolist() for column in columns), strict=True)
        ),
        batch_size=1_000,
    )
