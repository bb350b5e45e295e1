"""Factor files that an organisation brings in: taken in, read by a worker, reviewed, imported as its own datasets."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils import timezone

from apps.accounting.models import FactorImport
from apps.audit.services import record
from apps.factors import queries as factors
from apps.factors.comparison import Change, Comparison
from apps.factors.formats.table import FactorFileError, Table
from apps.factors.services import comparison_of, faults_of, import_tables, read_tables
from apps.organisations.models import Organisation

logger = logging.getLogger(__name__)

MOST_BYTES = 64 * 1024 * 1024
CHANGES_KEPT = 500
FAULTS_KEPT = 5_000
State = FactorImport.State
_WORK_OF = {State.QUEUED: State.WORKING, State.CONFIRMED: State.IMPORTING}
_TELL_EVERY_S = 0.4
_UNHEARD_AFTER = timedelta(minutes=1)
_DEAD_AFTER = timedelta(minutes=15)


class TakenOverError(Exception):
    """Another worker has the import now."""


@transaction.atomic
def take_in(
    *, organisation: Organisation, actor: str, file: UploadedFile[Any], layout: str, given: Mapping[str, str]
) -> FactorImport:
    """Keep an uploaded file and queue its reading. Raises ``ValidationError`` when it is empty or too large."""
    if not file.size or file.size > MOST_BYTES:
        raise ValidationError({"file": f"The file must hold something and at most {MOST_BYTES // 2**20} MiB."})
    content = file.read()
    digest = hashlib.sha256(content).hexdigest()
    taken = FactorImport(
        organisation=organisation,
        file_name=(file.name or "factors")[-200:],
        file_digest=digest,
        format=layout,
        given={name: value for name, value in given.items() if value},
        step="Waiting for a worker",
        requested_by=actor,
    )
    # Named by its content: what a browser calls a file has no place in a path.
    taken.file.save(f"{organisation.pk}-{digest[:16]}", ContentFile(content), save=False)
    taken.save()
    record(
        organisation_id=organisation.pk,
        actor=actor,
        action="factor_import.uploaded",
        instance=taken,
        after={"file": taken.file_name, "sha256": digest},
    )
    transaction.on_commit(lambda: wake(taken.pk))
    return taken


@transaction.atomic
def confirm(*, taken: FactorImport, actor: str) -> None:
    """Queue the import of a reviewed file. Raises ``ValidationError`` when it is not there to be reviewed."""
    changed = FactorImport.unscoped.filter(pk=taken.pk, state=State.REVIEW).update(
        state=State.CONFIRMED, step="Waiting for a worker", progress_percent=0, requested_at=timezone.now()
    )
    if not changed:
        raise ValidationError(f"{taken.file_name} is not waiting for a review any more.")
    record(
        organisation_id=taken.organisation_id,
        actor=actor,
        action="factor_import.confirmed",
        instance=taken,
        after={"sha256": taken.file_digest},
    )
    transaction.on_commit(lambda: wake(taken.pk))


@transaction.atomic
def cancel(*, taken: FactorImport, actor: str) -> None:
    """Drop a file that is not imported. Raises ``ValidationError`` when it is imported or under way."""
    open_states = (State.REVIEW, State.FAULTY, State.FAILED, State.QUEUED)
    changed = FactorImport.unscoped.filter(pk=taken.pk, state__in=open_states).update(
        state=State.CANCELLED, step="Cancelled", finished_at=timezone.now()
    )
    if not changed:
        raise ValidationError(f"{taken.file_name} cannot be cancelled: {taken.get_state_display().lower()}.")
    record(
        organisation_id=taken.organisation_id,
        actor=actor,
        action="factor_import.cancelled",
        instance=taken,
        after={"sha256": taken.file_digest},
    )


def wake(import_id: int) -> None:
    """Tell a worker of a queued file. Without a broker nothing is lost: the sweep finds it."""
    from apps.accounting.imports.tasks import read_factor_file as task  # the task calls this module

    try:
        task.apply_async(args=(import_id,), retry=False)
    except Exception:
        logger.warning("The broker is not available; the sweep will find factor import %s.", import_id, exc_info=True)


def sweep() -> list[int]:
    """Queued files that nobody was heard of, and those whose worker stopped, which start again."""
    now = timezone.now()
    for queued, working in _WORK_OF.items():
        dead = FactorImport.unscoped.filter(state=working, started_at__lt=now - _DEAD_AFTER)
        dead.update(state=queued, step="Starting again: the worker stopped", progress_percent=0)
    waiting = FactorImport.unscoped.filter(state__in=list(_WORK_OF), requested_at__lt=now - _UNHEARD_AFTER)
    return list(waiting.values_list("pk", flat=True))


def work(import_id: int) -> bool:
    """Read, or import, a queued file; whether this call did. Safe to run twice, at once, and to be killed.

    What is wrong with the file is kept on the row, and is not raised.
    """
    started = timezone.now()
    for queued, working in _WORK_OF.items():
        mine = FactorImport.unscoped.filter(pk=import_id, state=queued)
        if mine.update(state=working, started_at=started, step="Reading the file", progress_percent=2, error=""):
            break
    else:
        return False
    taken = FactorImport.unscoped.get(pk=import_id)
    job = _Job(taken, started)
    try:
        if taken.state == State.WORKING:
            job.read()
        else:
            job.store()
    except TakenOverError:
        logger.warning("Factor import %s was taken over by another worker.", import_id)
        return False
    except FactorFileError as error:
        job.finish(State.FAULTY, "Refused", faults=[asdict(fault) for fault in error.faults[:FAULTS_KEPT]])
    except FileNotFoundError:
        job.finish(State.FAILED, "Failed", error="The file is missing from the store. Upload it again.")
    except Exception:
        logger.exception("Factor import %s failed.", import_id)
        job.finish(
            State.FAILED,
            "Failed",
            error="The portal could not read this file; the log of the worker has the details."
            " Check that it is the file as the publisher gives it, choose the format yourself, or upload it again.",
        )
    return True


class _Job:
    """One reading or importing of a file, with its progress."""

    def __init__(self, taken: FactorImport, started: datetime) -> None:
        self.taken, self.started = taken, started
        self.rows_read = self.rows_checked = 0
        self._told = time.monotonic()

    def read(self) -> None:
        tables = self._tables()
        faults = faults_of(tables)
        organisation_id = self.taken.organisation_id
        outcome = [_outcome(table, None if faults else comparison_of(table, organisation_id)) for table in tables]
        for one in () if faults else outcome:
            facts = one["facts"]
            one["held"] = factors.dataset(facts["slug"], facts["edition"], organisation_id) is not None
        kept = [asdict(fault) for fault in faults[:FAULTS_KEPT]]
        if faults:
            self.finish(State.FAULTY, "Refused", outcome=outcome, faults=kept)
        else:
            self.finish(State.REVIEW, "Read: to be reviewed", outcome=outcome)

    def store(self) -> None:
        tables = self._tables()
        self.tell("Storing the factors", 90)
        taken = self.taken
        with transaction.atomic():
            results = import_tables(
                tables=tables,
                actor=taken.requested_by,
                organisation_id=taken.organisation_id,
                source={"file": taken.file_name, "file_sha256": taken.file_digest},
            )
            outcome = [_outcome(table, result.comparison) for table, result in zip(tables, results, strict=True)]
            for one, result in zip(outcome, results, strict=True):
                one["unchanged"] = result.unchanged
                one["dataset"] = result.dataset.pk
            self.finish(State.IMPORTED, "Imported", outcome=outcome)

    def _tables(self) -> Sequence[Table]:
        with self.taken.file.open("rb") as file:
            content = file.read()
        layout, tables = read_tables(
            content,
            layout=self.taken.format,
            given=self.taken.given,
            organisation_id=self.taken.organisation_id,
            progress=self._read,
            checked=self._checked,
        )
        self.taken.format = layout
        return tables

    def _read(self, rows: int) -> None:
        self.rows_read += rows
        if time.monotonic() - self._told > _TELL_EVERY_S:
            # How many rows there will be is not known before the end: the bar slows down and never arrives early.
            self.tell(f"{self.rows_read:,} rows read", 5 + 60 * self.rows_read // (self.rows_read + 2_000))

    def _checked(self, rows: int) -> None:
        self.rows_checked += rows
        self.tell(f"{self.rows_checked:,} rows checked", 80)

    def tell(self, step: str, percent: int) -> None:
        self._told = time.monotonic()
        self._own(step=step, progress_percent=percent)

    def finish(self, state: str, step: str, **values: Any) -> None:
        values.setdefault("faults", [])
        self._own(
            state=state,
            step=step,
            progress_percent=100,
            format=self.taken.format,
            finished_at=timezone.now(),
            **values,
        )

    def _own(self, **values: Any) -> None:
        mine = FactorImport.unscoped.filter(
            pk=self.taken.pk, state__in=list(_WORK_OF.values()), started_at=self.started
        )
        if not mine.update(rows_read=self.rows_read, rows_checked=self.rows_checked, **values):
            raise TakenOverError


def _outcome(table: Table, comparison: Comparison | None) -> dict[str, Any]:
    """A dataset of the file and what it changes, as it is kept for the review."""
    kept: dict[str, Any] = {"facts": table.facts, "rows": len(table), "digest": "" if table.faults else table.digest}
    if comparison is not None:
        kept["comparison"] = {
            "previous": comparison.previous,
            "added": comparison.added_count,
            "removed": comparison.removed_count,
            "changed": comparison.changed_count,
            "unchanged": comparison.unchanged,
            "added_keys": comparison.added[:CHANGES_KEPT],
            "removed_keys": comparison.removed[:CHANGES_KEPT],
            "changes": [_change(change) for change in comparison.changed[:CHANGES_KEPT]],
        }
    return kept


def _change(change: Change) -> dict[str, Any]:
    def text(value: Decimal | None) -> str | None:
        return None if value is None else f"{value.normalize() + 0:f}"

    when = change.when or str(change.year)
    if not change.when and change.year != change.old_year:
        when = f"{change.old_year} → {change.year}"
    return {
        "zone": change.zone,
        "when": when,
        "old": text(change.old),
        "new": text(change.new),
        "percent": change.percent,
    }
