"""The one way in: a batch of readings to the database, in one transaction with its receipt and its dirty hours.

What :func:`store` has answered with 200 is committed. The receipt is written first and says what is expected to
happen; only when rows turn out to be there already is it corrected, so that the usual batch costs one statement each
for receipt, readings and dirty hours.
"""

from __future__ import annotations

import dataclasses
import uuid
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from apps.core.windows import HOUR_MS
from apps.telemetry import bulk, heard, names, receipts
from apps.telemetry.batch import ABSENT, Int64Array, Naming, RowError, SampleBatch
from apps.telemetry.bulk import Key, ReadingRows, Stored
from apps.telemetry.models import Reading, ReadingNote, Receipt, SupersededReading
from apps.telemetry.receipts import MOST_ERRORS, Result
from apps.telemetry.rules import iso
from apps.telemetry.wake import wake_worker


@dataclass(frozen=True, slots=True)
class IntakeContext:
    """Who sends, and how the batch is to be treated."""

    organisation_id: int
    key_id: int | None = None
    team_id: int | None = None
    team_slug: str | None = None
    site_code: str = ""
    body_digest: str = ""
    idempotency_key: str | None = None
    replace: bool = False
    dry_run: bool = False
    receipt_id: int | None = None  # of a request that takes several batches: its receipt, made before, adds them up

    @property
    def defaults(self) -> names.Defaults:
        return names.Defaults(self.organisation_id, self.team_id, self.team_slug, self.site_code)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client is told: the HTTP status and the body's bytes."""

    status: int
    body: bytes


class OtherBodyError(ValueError):
    """The idempotency key was used before, with another request."""


@dataclass(slots=True)
class _Outcome:
    accepted: int = 0
    duplicates: int = 0
    replaced: int = 0
    errors: list[RowError] = field(default_factory=list)
    repeats: heard.Repeats = field(default_factory=heard.Repeats)

    @property
    def rejected(self) -> int:
        return len({error.index for error in self.errors})

    def answer(self, receipt: uuid.UUID | None) -> Answer:
        content: dict[str, Any] = {
            "receipt": None if receipt is None else str(receipt),
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "rejected": self.rejected,
            "errors": receipts.named(self.errors),
        }
        if len(self.errors) > MOST_ERRORS:
            content["errors_not_shown"] = len(self.errors) - MOST_ERRORS
        if self.accepted or self.duplicates or not self.errors:
            return Answer(200, msgspec.json.encode(content))
        for error in content["errors"]:
            error["pointer"] = "/" + "/".join([str(error["index"]), *error["field"].replace("[", ".").split(".")])
        problem = {
            "type": "about:blank",
            "title": "No row is valid",
            "status": 422,
            "detail": "Nothing was stored. Each error names its row (from 0), the field and what is expected.",
        }
        return Answer(422, msgspec.json.encode(problem | content))

    def result(self, answer: Answer) -> Result:
        return Result(
            accepted=self.accepted,
            duplicates=self.duplicates,
            rejected=self.rejected,
            replaced=self.replaced,
            errors=self.errors,
            answer=answer.body.decode(),
            answer_status=answer.status,
        )


def remembered(context: IntakeContext) -> Answer | None:
    """The first answer to a request with this idempotency key, if there was one.

    Raises :class:`OtherBodyError` when that was another request.
    """
    if context.idempotency_key is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT body_digest, answer_status, answer FROM telemetry_receipt"
            " WHERE organisation_id = %s AND idempotency_key = %s",
            [context.organisation_id, context.idempotency_key],
        )
        found = cursor.fetchone()
    if found is None:
        return None
    digest, status, answer = found
    if digest != context.body_digest:
        raise OtherBodyError(context.idempotency_key)
    return Answer(status, answer.encode())


class _DryRunOverError(Exception):
    """Carries the answer out of the transaction that is to leave nothing behind."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


def store(batch: SampleBatch, context: IntakeContext) -> Answer:
    """Store a batch; what became of each row. Safe to repeat: the same rows again are duplicates.

    Raises :class:`OtherBodyError` when another request took the idempotency key meanwhile, and Django's
    ``OperationalError`` when the database is away.
    """
    writer = bulk.writer()
    writer.prepare(batch.start_ms)
    for attempt in range(2):
        try:
            return _attempt(batch, context, writer)
        except IntegrityError:
            # Somebody else used the idempotency key first, or a row whose id was cached is gone: look again, once.
            names.drop_cache(context.organisation_id)
            answer = remembered(context)
            if answer is not None:
                return answer
            if attempt:
                raise
    raise AssertionError("unreachable")


def _attempt(batch: SampleBatch, context: IntakeContext, writer: bulk.Writer) -> Answer:
    if batch.places is not None:
        batch = _under_own_names(batch, context.organisation_id)
    resolution = names.resolve(context.defaults, batch.namings, batch.protocol, batch.places)
    outcome = _Outcome(errors=list(batch.errors))
    batch = _without_faulty_namings(batch, resolution, outcome)
    try:
        with writer.turn(), transaction.atomic():
            answer = _write(batch, resolution, context, writer, outcome)
            if context.dry_run:
                raise _DryRunOverError(answer)
            if outcome.accepted:
                transaction.on_commit(lambda: wake_worker(context.organisation_id))
    except _DryRunOverError as over:
        return over.answer
    return answer


def _under_own_names(batch: SampleBatch, organisation_id: int) -> SampleBatch:
    """The batch with a suffix to source names that another door uses, as two doors may know one host by one name."""
    namings = [Naming._make(naming) for naming in batch.namings]
    taken = names.taken_by_others(organisation_id, batch.protocol, {naming.source for naming in namings})
    if not taken:
        return batch
    own = {name: names.suffixed(name, batch.protocol) for name in taken}
    places = {own.get(name, name): place for name, place in (batch.places or {}).items()}
    renamed = [naming._replace(source=own.get(naming.source, naming.source)) for naming in namings]
    return dataclasses.replace(batch, namings=renamed, places=places)


def _without_faulty_namings(batch: SampleBatch, resolution: names.Resolution, outcome: _Outcome) -> SampleBatch:
    if not resolution.faults:
        return batch
    faulty = np.isin(batch.naming_codes, list(resolution.faults))
    for row, code in zip(batch.index[faulty].tolist(), batch.naming_codes[faulty].tolist(), strict=True):
        outcome.errors += [RowError(row, *fault) for fault in resolution.faults[code]]
    return batch.take(~faulty)


def _write(
    batch: SampleBatch,
    resolution: names.Resolution,
    context: IntakeContext,
    writer: bulk.Writer,
    outcome: _Outcome,
) -> Answer:
    resolution.create_missing(batch.naming_codes)
    ids = np.array([pair or (0, 0) for pair in resolution.ids], dtype=np.int64).reshape(-1, 2)[batch.naming_codes]
    batch, ids = _sorted_and_distinct(batch, ids, outcome)
    outcome.accepted = len(batch)
    public_id = None if context.dry_run else uuid.uuid4()
    if context.receipt_id is not None:
        public_id = receipts.public_id_of(context)
    answer = outcome.answer(public_id)
    receipt_id = context.receipt_id or receipts.create(context, batch.protocol, public_id, outcome.result(answer))
    rows = ReadingRows(
        context.organisation_id,
        receipt_id,
        batch.start_ms,
        ids[:, 1],
        batch.end_ms,
        ids[:, 0],
        batch.energy_microwatt_hours,
        *batch.work,
    )
    if len(batch) and context.receipt_id is not None:
        # Rows of an earlier batch carry the same receipt, so they are told apart before the insert.
        batch, rows = _settle_known_rows(batch, rows, writer.stored(rows), context, outcome)
    if len(batch) and writer.insert(rows) < len(batch) - outcome.replaced:
        batch, rows = _settle_known_rows(batch, rows, writer.stored_by_others(rows), context, outcome)
        answer = outcome.answer(public_id)
        if context.receipt_id is None:
            receipts.correct(context, receipt_id, outcome.result(answer))
    if context.receipt_id is not None:
        answer = outcome.answer(public_id)
        receipts.add(context, outcome.result(answer))
    outcome.repeats.write(context.organisation_id, np.unique(rows.source_id).tolist())
    if len(batch):
        _store_notes(batch, rows)
        writer.mark_dirty(context.organisation_id, touched_hours(rows.start_ms, rows.end_ms))
        heard.touch(rows.source_id, rows.start_ms, rows.end_ms, resolution.cache.ranges, writer.touch_sources)
    return answer


def _sorted_and_distinct(batch: SampleBatch, ids: Int64Array, outcome: _Outcome) -> tuple[SampleBatch, Int64Array]:
    """The rows in the order of their key, each key once.

    The order keeps the index's pages together and lets transactions that store the same rows wait in line instead of
    in a circle. Of two rows with one key the first in the body is kept.
    """
    source = ids[:, 1]
    order = np.lexsort((batch.index, batch.end_ms, source, batch.start_ms))
    if not np.array_equal(order, np.arange(len(order))):
        batch, ids = batch.take(order), ids[order]
        source = ids[:, 1]
    repeats = np.zeros(len(batch), dtype=np.bool_)
    if len(batch) > 1:
        repeats[1:] = (
            (batch.start_ms[1:] == batch.start_ms[:-1])
            & (batch.end_ms[1:] == batch.end_ms[:-1])
            & (source[1:] == source[:-1])
        )
    if not repeats.any():
        return batch, ids
    first = np.maximum.accumulate(np.where(repeats, 0, np.arange(len(batch))))
    same_energy = batch.energy_microwatt_hours == batch.energy_microwatt_hours[first]
    outcome.duplicates += int((repeats & same_energy).sum())
    outcome.repeats.duplicates.update(source[repeats & same_energy].tolist())
    outcome.repeats.conflicts.update(source[repeats & ~same_energy].tolist())
    for i in np.flatnonzero(repeats & ~same_energy).tolist():
        kept = int(first[i])
        outcome.errors.append(
            RowError(
                int(batch.index[i]),
                "energy_wh",
                int(batch.energy_microwatt_hours[i]) / 1e6,
                f"one energy for one source, start and end; row {int(batch.index[kept])} of the same request says"
                f" {int(batch.energy_microwatt_hours[kept]) / 1e6} Wh",
            )
        )
    return batch.take(~repeats), ids[~repeats]


def note_refusal(context: IntakeContext, *, protocol: str, status: int, got: str, expected: str) -> uuid.UUID:
    """Leave a receipt of a request that was refused as a whole, so that the pages can say what became of it.

    Its idempotency key stays free: the mended request may use it. Returns the receipt's public id.
    """
    receipt = Receipt.unscoped.create(
        organisation_id=context.organisation_id,
        public_id=uuid.uuid4(),
        api_key_id=context.key_id,
        protocol=protocol,
        received_at=timezone.now(),
        accepted=0,
        duplicates=0,
        rejected=0,
        errors=[RowError(0, "", got, expected).as_dict()],
        answer_status=status,
    )
    return receipt.public_id


def _keys(rows: ReadingRows) -> list[Key]:
    return list(zip(rows.start_ms.tolist(), rows.source_id.tolist(), rows.end_ms.tolist(), strict=True))


def _settle_known_rows(
    batch: SampleBatch,
    rows: ReadingRows,
    stored: Stored,
    context: IntakeContext,
    outcome: _Outcome,
) -> tuple[SampleBatch, ReadingRows]:
    """Tell duplicates, conflicts and replacements apart; the batch of the rows that changed something."""
    changed = np.ones(len(batch), dtype=np.bool_)
    work = [column.tolist() if column is not None else None for column in batch.work]
    replaced: list[int] = []
    for i, key in enumerate(_keys(rows)):
        there = stored.get(key)
        if there is None:
            continue
        energy = int(rows.energy_microwatt_hours[i])
        said = [None if column is None or column[i] == ABSENT else column[i] for column in work]
        differs = there != (int(rows.attribution_id[i]), energy, *said)
        if context.replace and differs:
            replaced.append(i)
            continue
        changed[i] = False
        if there[1] == energy:
            outcome.duplicates += 1
            outcome.repeats.duplicates[key[1]] += 1
            continue
        outcome.repeats.conflicts[key[1]] += 1
        outcome.errors.append(
            RowError(
                int(batch.index[i]),
                "energy_wh",
                energy / 1e6,
                f"{(there[1] or 0) / 1e6} Wh, which is stored for {batch.naming_of(i).source} from"
                f" {iso(key[0])} to {iso(key[2])}; send ?replace=true to supersede it",
            )
        )
    if replaced:
        _replace(rows, replaced, work)
    outcome.replaced += len(replaced)
    outcome.accepted = int(changed.sum())
    kept = batch.take(changed)
    return kept, ReadingRows(
        rows.organisation_id,
        rows.receipt_id,
        kept.start_ms,
        rows.source_id[changed],
        kept.end_ms,
        rows.attribution_id[changed],
        kept.energy_microwatt_hours,
        *kept.work,
    )


def _replace(rows: ReadingRows, places: list[int], work: list[list[int] | None]) -> None:
    """Move the stored rows to the history and put what is said now in their place."""
    now = timezone.now()
    keys = _keys(rows)
    for i in places:
        start_ms, source_id, end_ms = keys[i]
        old = Reading.objects.get(pk=(rows.organisation_id, start_ms, source_id, end_ms))
        SupersededReading.objects.create(
            organisation_id=rows.organisation_id,
            start_ms=start_ms,
            source_id=source_id,
            end_ms=end_ms,
            attribution_id=old.attribution_id,
            energy_microwatt_hours=old.energy_microwatt_hours,
            tokens=old.tokens,
            requests=old.requests,
            samples=old.samples,
            milli_epochs=old.milli_epochs,
            receipt_id=old.receipt_id,
            replaced_at=now,
            replaced_by_id=rows.receipt_id,
        )
        said = dict(zip(bulk.WORK_COLUMNS, (None if c is None or c[i] == ABSENT else c[i] for c in work), strict=True))
        Reading.objects.filter(pk=old.pk).update(
            attribution_id=int(rows.attribution_id[i]),
            energy_microwatt_hours=int(rows.energy_microwatt_hours[i]),
            receipt_id=rows.receipt_id,
            **said,
        )
        ReadingNote.objects.filter(pk=old.pk).delete()


def touched_hours(start_ms: Int64Array, end_ms: Int64Array) -> Int64Array:
    """The hours (since the epoch) that half-open intervals reach into, each once."""
    first, last = start_ms // HOUR_MS, (end_ms - 1) // HOUR_MS
    if (first == last).all():
        return np.unique(first)
    least = int(first.min())
    edges = np.zeros(int(last.max()) - least + 2, dtype=np.int64)
    np.add.at(edges, first - least, 1)
    np.add.at(edges, last - least + 1, -1)
    return np.flatnonzero(np.cumsum(edges)) + least


def _store_notes(batch: SampleBatch, rows: ReadingRows) -> None:
    if batch.external_ids is None and batch.tags is None:
        return
    external_ids = batch.external_ids or [None] * len(batch)
    tags = batch.tags or [None] * len(batch)
    notes = [
        ReadingNote(
            organisation_id=rows.organisation_id,
            start_ms=start_ms,
            source_id=source_id,
            end_ms=end_ms,
            external_id=external_id or "",
            tags=said or {},
        )
        for (start_ms, source_id, end_ms), external_id, said in zip(_keys(rows), external_ids, tags, strict=True)
        if external_id or said
    ]
    ReadingNote.objects.bulk_create(notes, ignore_conflicts=True)
