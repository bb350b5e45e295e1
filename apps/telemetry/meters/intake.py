"""The one way in for meter readings: stored as they come, with a receipt and the hours to be derived anew.

As :mod:`apps.telemetry.intake` does for intervals: one transaction, and what it has answered is committed. A reading
is known by its series and its instant, so repeated, late and out-of-order batches need no special case.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from django.db import IntegrityError, transaction

from apps.telemetry import bulk, heard, names, receipts
from apps.telemetry import intake as intervals
from apps.telemetry.batch import BoolArray, Int64Array, RowError, shown
from apps.telemetry.bulk import MeterRows, StoredValues
from apps.telemetry.intake import IntakeContext
from apps.telemetry.meters import interning
from apps.telemetry.meters.batch import MeterBatch
from apps.telemetry.meters.interning import SeriesIds, SeriesResolution
from apps.telemetry.meters.marks import Extents, Marks, MeterColumns, extents_of
from apps.telemetry.meters.units import per_unit
from apps.telemetry.rules import iso
from apps.telemetry.wake import wake_worker

NO_VALUE = float(2**63 - 16)  # exporters that have no value send the largest integers there are
FUTURE_MS = 600_000
MOST_AMOUNT = 4e18  # microwatt-hours, or units of work, that fit the accounts (as in ``increments``)


@dataclass(frozen=True, slots=True)
class MeterAnswer:
    """What became of a batch, for the door to say in its protocol's way.

    ``conflicts`` (another value for an instant that has one) are among the ``rejected``, which counts readings;
    ``errors`` names at most a thousand of them. ``receipt`` is none after a dry run.
    """

    receipt: uuid.UUID | None
    accepted: int
    duplicates: int
    conflicts: int
    ignored: int
    rejected: int
    errors: list[RowError]


class _MustBeAloneError(Exception):
    """The batch reaches into hours that others may be storing readings of: again, with nobody else."""


class _DryRunOverError(Exception):
    def __init__(self, answer: MeterAnswer) -> None:
        self.answer = answer


@dataclass(slots=True)
class _Outcome:
    accepted: int = 0
    duplicates: int = 0
    conflicts: int = 0
    ignored: int = 0
    errors: list[RowError] = field(default_factory=list)
    repeats: heard.Repeats = field(default_factory=heard.Repeats)

    def answer(self, receipt: uuid.UUID | None) -> MeterAnswer:
        errors = sorted(self.errors, key=lambda error: error.index)[: receipts.MOST_ERRORS]
        rejected = len({error.index for error in self.errors})
        return MeterAnswer(receipt, self.accepted, self.duplicates, self.conflicts, self.ignored, rejected, errors)

    def result(self, answer: MeterAnswer, context: IntakeContext) -> receipts.Result:
        return receipts.Result(
            accepted=answer.accepted,
            duplicates=answer.duplicates,
            rejected=answer.rejected,
            ignored=answer.ignored,
            errors=answer.errors,
            # Kept to be given again where the client can ask for it.
            answer=msgspec.json.encode(answer).decode() if context.idempotency_key is not None else "",
        )


def remembered(context: IntakeContext) -> MeterAnswer | None:
    """The first answer to a request with this idempotency key, if there was one.

    Raises :class:`apps.telemetry.intake.OtherBodyError` when that was another request.
    """
    found = intervals.remembered(context)
    return None if found is None else msgspec.json.decode(found.body, type=MeterAnswer)


def store(batch: MeterBatch, context: IntakeContext) -> MeterAnswer:
    """Store meter readings; what became of them. Safe to repeat: the same readings again are duplicates.

    Raises :class:`apps.telemetry.intake.OtherBodyError` when another request took the idempotency key meanwhile, and
    Django's ``OperationalError`` when the database is away.
    """
    writer = bulk.writer()
    batch = _valid(batch, int(time.time() * 1000) + FUTURE_MS)
    writer.prepare_meters(batch.at_ms)
    alone, failed = False, False
    while True:
        resolution = interning.resolve(context.defaults, batch.protocol, batch.series)
        try:
            return _attempt(batch, resolution, context, writer, alone=alone or not resolution.is_complete)
        except _MustBeAloneError:
            alone = True
        except IntegrityError:
            # Somebody else used the idempotency key or a name first, or a row whose id was cached is gone: once more.
            names.drop_cache(context.organisation_id)
            answer = remembered(context)
            if answer is not None:
                return answer
            if failed:
                raise
            failed = True


def _valid(batch: MeterBatch, latest_ms: int) -> MeterBatch:
    """The batch without the readings that say no value, which are counted, and without those that are not valid."""
    if not len(batch):
        return batch
    at_ms, value = batch.at_ms, batch.value
    is_timely = (at_ms >= 0) & (at_ms <= latest_ms)
    is_said = ~(value >= NO_VALUE) | np.isinf(value)
    is_value = np.isnan(value) | (np.isfinite(value) & (value >= 0))
    # A start after the instant says nothing.
    start_ms = np.where((batch.start_ms > 0) & (batch.start_ms <= at_ms), batch.start_ms, 0)
    kept = is_timely & is_said & is_value
    errors = list(batch.errors)
    for i in np.flatnonzero(~is_timely).tolist():
        expected = "a time in the past, not before 1970"
        errors.append(RowError(int(batch.index[i]), "time", _time_of(int(at_ms[i])), expected))
    for i in np.flatnonzero(is_timely & ~is_value & is_said).tolist():
        errors.append(RowError(int(batch.index[i]), "value", shown(float(value[i])), "a finite number, 0 or more"))
    most_of = [_most(unit) for unit in {said.meter.unit for said in batch.series}]
    if float(np.max(value, where=kept, initial=0)) >= min(most_of, default=MOST_AMOUNT):
        most = np.array([_most(said.meter.unit) for said in batch.series])[batch.series_codes]
        is_much = kept & (value >= most)
        kept &= ~is_much
        for i in np.flatnonzero(is_much).tolist():
            expected = f"less than {most[i]:.3g} {batch.series[int(batch.series_codes[i])].meter.unit}"
            errors.append(RowError(int(batch.index[i]), "value", shown(float(value[i])), expected))
    ignored = batch.ignored + int((is_timely & ~is_said).sum())
    return MeterBatch(
        protocol=batch.protocol,
        index=batch.index[kept],
        series_codes=batch.series_codes[kept],
        at_ms=at_ms[kept],
        value=value[kept] + 0.0,  # there is no minus zero
        start_ms=start_ms[kept],
        series=batch.series,
        ignored=ignored,
        errors=errors,
    )


@cache
def _most(unit: str) -> float:
    """The value of a unit that is more than any device can have counted."""
    return MOST_AMOUNT / float(per_unit(unit))


def _time_of(milliseconds: int) -> Any:
    try:
        return iso(milliseconds)
    except (OverflowError, ValueError):
        return f"{milliseconds} ms"


def _attempt(
    batch: MeterBatch, resolution: SeriesResolution, context: IntakeContext, writer: bulk.Writer, *, alone: bool
) -> MeterAnswer:
    try:
        with writer.turn(), transaction.atomic():
            answer = _Writing(batch, resolution, context, writer).write(alone=alone)
            if context.dry_run:
                raise _DryRunOverError(answer)
            if answer.accepted:
                transaction.on_commit(lambda: wake_worker(context.organisation_id))
    except _DryRunOverError as over:
        return over.answer
    return answer


class _Writing:
    """One batch in one transaction."""

    def __init__(
        self, batch: MeterBatch, resolution: SeriesResolution, context: IntakeContext, writer: bulk.Writer
    ) -> None:
        self.batch, self.resolution, self.context, self.writer = batch, resolution, context, writer
        self.outcome = _Outcome(ignored=batch.ignored, errors=list(batch.errors))
        self.ids = np.empty((0, len(SeriesIds._fields)), np.int64)  # of each reading

    def write(self, *, alone: bool) -> MeterAnswer:
        marks = self._resolve(alone=alone)
        context, outcome = self.context, self.outcome
        outcome.accepted = len(self.batch)
        public_id = None if context.dry_run else uuid.uuid4()
        if context.receipt_id is not None:
            public_id = receipts.public_id_of(context)
        answer = outcome.answer(public_id)
        receipt_id = context.receipt_id or receipts.create(
            context, self.batch.protocol, public_id, outcome.result(answer, context)
        )
        sources = np.unique(self.ids[:, 2]).tolist()
        if len(self.batch) and context.receipt_id is not None:
            # Rows of an earlier batch carry the same receipt, so they are told apart before the insert.
            self._settle_known(self.writer.stored_values(self._rows(receipt_id), of_others=False))
        if len(self.batch) and self.writer.insert_meters(rows := self._rows(receipt_id)) < len(self.batch):
            self._settle_known(self.writer.stored_values(rows, of_others=True))
            answer = outcome.answer(public_id)
            if context.receipt_id is None:
                receipts.correct(context, receipt_id, outcome.result(answer, context))
        if context.receipt_id is not None:
            answer = outcome.answer(public_id)
            receipts.add(context, outcome.result(answer, context))
        outcome.repeats.write(context.organisation_id, sources)
        if marks is not None:
            self._finish(marks)
        return answer

    def _resolve(self, *, alone: bool) -> Marks | None:
        """Make what is missing, put the readings in the order of their key, and see which hours they reach into."""
        batch, context = self.batch, self.context
        if not len(batch):
            return None
        self.writer.take_meters(context.organisation_id, alone=alone)
        self.resolution.create_missing(np.unique(batch.series_codes).tolist())
        nobody = SeriesIds(0, 0, 0, 0, 0)  # series without a valid reading
        every = chain.from_iterable(ids or nobody for ids in self.resolution.ids)
        self.ids = np.fromiter(every, np.int64).reshape(-1, len(nobody))[batch.series_codes]
        marks = Marks(self._extents(), self.resolution.cache.meter_hours, self.writer, context.organisation_id)
        if marks.must_be_alone and not alone:
            raise _MustBeAloneError
        self._sort_and_distinguish()
        return marks

    def _extents(self) -> Extents:
        batch, ids = self.batch, self.ids
        return extents_of(
            MeterColumns(
                series=ids[:, 0],
                meter=ids[:, 1],
                kind=ids[:, 3],
                is_work=ids[:, 4] > 0,
                at_ms=batch.at_ms,
                value=batch.value,
                start_ms=batch.start_ms,
            )
        )

    def _rows(self, receipt_id: int) -> MeterRows:
        batch = self.batch
        return MeterRows(
            self.context.organisation_id, receipt_id, batch.at_ms, self.ids[:, 0], batch.value, batch.start_ms
        )

    def _take(self, rows: Int64Array | BoolArray) -> None:
        self.batch, self.ids = self.batch.take(rows), self.ids[rows]

    def _sort_and_distinguish(self) -> None:
        """The readings in the order of their key, each key once; of two with one key the first in the body is kept."""
        batch, series = self.batch, self.ids[:, 0]
        order = np.lexsort((batch.index, series, batch.at_ms))
        if not np.array_equal(order, np.arange(len(order))):
            self._take(order)
            batch, series = self.batch, self.ids[:, 0]
        again = np.r_[False, (batch.at_ms[1:] == batch.at_ms[:-1]) & (series[1:] == series[:-1])]
        if not again.any():
            return
        first = np.maximum.accumulate(np.where(again, 0, np.arange(len(batch))))
        value, kept = batch.value, batch.value[first]
        is_same = (value == kept) | (np.isnan(value) & np.isnan(kept))
        self._repeated(again & is_same)
        for i in np.flatnonzero(again & ~is_same).tolist():
            self._conflict(i, f"one value for an instant; the same request says {shown(float(kept[i]))} too")
        self._take(~again)

    def _repeated(self, is_repeated: BoolArray) -> None:
        self.outcome.duplicates += int(is_repeated.sum())
        self.outcome.repeats.duplicates.update(self.ids[is_repeated, 2].tolist())

    def _conflict(self, row: int, expected: str) -> None:
        batch, outcome = self.batch, self.outcome
        outcome.conflicts += 1
        outcome.repeats.conflicts[int(self.ids[row, 2])] += 1
        outcome.errors.append(RowError(int(batch.index[row]), "value", shown(float(batch.value[row])), expected))

    def _settle_known(self, stored: StoredValues) -> None:
        """Tell duplicates from conflicts, and go on with what was not stored before."""
        batch = self.batch
        is_new, is_same = np.ones(len(batch), np.bool_), np.zeros(len(batch), np.bool_)
        keys = zip(batch.at_ms.tolist(), self.ids[:, 0].tolist(), strict=True)
        for i, (key, value) in enumerate(zip(keys, batch.value.tolist(), strict=True)):
            if key not in stored:
                continue
            is_new[i] = False
            there = stored[key]
            is_same[i] = value == there or (there is None and value != value)
            if not is_same[i]:
                meter = batch.series[int(batch.series_codes[i])].meter
                said = "the end of the series" if there is None else f"{there:.17g} {meter.unit}"
                self._conflict(i, f"{said}, which is stored for {meter.name} at {iso(key[0])}; the first value stays")
        self._repeated(is_same)
        self._take(is_new)
        self.outcome.accepted = len(self.batch)

    def _finish(self, marks: Marks) -> None:
        """Mark the hours, and note that sources and series were heard of. Known readings change nothing."""
        cache, batch = self.resolution.cache, self.batch
        if len(batch):
            self.writer.mark_dirty(self.context.organisation_id, marks.hours(self._extents()))
            heard.touch(self.ids[:, 2], batch.at_ms, batch.at_ms, cache.ranges, self.writer.touch_sources)
            heard.touch(self.ids[:, 0], batch.at_ms, batch.at_ms, cache.series_ranges, self.writer.touch_series)
        fresh = marks.fresh()
        if fresh:
            transaction.on_commit(lambda: cache.meter_hours.update(fresh))
