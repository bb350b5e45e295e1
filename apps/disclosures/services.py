"""Making a disclosure: asked for by a person, made by a worker, never made twice.

A message to the worker only wakes it. What is to be made stands in the table, and a rendering belongs to the process
that moved its row from *queued* to *working*: a repeated message finds nothing to do, and a process that lost its row
to the sweep (because it was thought dead) stores nothing.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from apps.audit.services import canonical_json, record
from apps.core.windows import Quarter
from apps.disclosures.models import Disclosure, ReportingPeriod
from apps.disclosures.queries import has_figures
from apps.organisations.models import Organisation, Person

logger = logging.getLogger(__name__)

DEAD_AFTER = timedelta(minutes=10)  # a rendering takes seconds
LOST_AFTER = timedelta(minutes=1)  # a message that has not been picked up by then may never be
MAX_ATTEMPTS = 3
IN_PROGRESS = (Disclosure.State.QUEUED, Disclosure.State.WORKING)


class TakenOverError(Exception):
    """The row of this rendering belongs to another process now."""


@transaction.atomic
def request_disclosure(*, organisation: Organisation, quarter: Quarter, person: Person) -> Disclosure:
    """A new version of the quarter's disclosure, queued for a worker after commit.

    While a version is being made, that one is returned: a second click asks for nothing new. Opens the reporting
    period if it is the first. Raises ``ValueError`` for a quarter that has not begun or has nothing to disclose.
    """
    if quarter.window.start > timezone.now():
        raise ValueError(f"{quarter} has not begun; there is nothing to disclose yet")
    if not has_figures(organisation, quarter):
        raise ValueError(f"No reading of a Scope 2 site lies in {quarter}; there is nothing to disclose")
    period, opened = (
        ReportingPeriod.objects.of(organisation)
        .select_for_update()
        .get_or_create(
            organisation=organisation,
            label=str(quarter),
            defaults={"start": quarter.first_day, "end": quarter.next().first_day},
        )
    )
    if opened:
        record(
            organisation_id=organisation.pk,
            actor=person.email,
            action="period.opened",
            instance=period,
            after={"label": period.label, "start": period.start, "end": period.end},
        )
    versions = Disclosure.objects.of(organisation).filter(period=period)
    if under_way := versions.filter(state__in=IN_PROGRESS).first():
        return under_way
    last = versions.order_by("-version").first()
    disclosure = Disclosure.unscoped.create(
        organisation=organisation,
        period=period,
        version=last.version + 1 if last else 1,
        step="Waiting for a worker",
        requested_by=person,
    )
    record(
        organisation_id=organisation.pk,
        actor=person.email,
        action="disclosure.requested",
        instance=disclosure,
        after={"period": period.label, "version": disclosure.version, "id": disclosure.public_id},
    )
    transaction.on_commit(lambda: wake(disclosure.pk))
    return disclosure


def wake(disclosure_id: int) -> None:
    """Tell a worker of a queued disclosure. Without a broker nothing is lost: the sweep finds it."""
    from apps.disclosures.tasks import render as task  # the task calls this module

    try:
        task.apply_async(args=(disclosure_id,), retry=False)
    except Exception:
        logger.warning("The broker is not available; the sweep will find disclosure %s.", disclosure_id, exc_info=True)


def render(disclosure_id: int) -> bool:
    """Make a queued disclosure; whether this call made it. Safe to run twice, at once, and to be killed.

    A failure is kept on the row with what to do about it, and is not raised.
    """
    started = timezone.now()
    mine = Disclosure.unscoped.filter(pk=disclosure_id, state=Disclosure.State.QUEUED)
    if not mine.update(
        state=Disclosure.State.WORKING,
        started_at=started,
        attempts=F("attempts") + 1,
        step="Collecting figures",
        progress_percent=5,
        error="",
    ):
        return False
    try:
        _make(disclosure_id, started)
    except TakenOverError:
        logger.warning("Disclosure %s was taken over by another worker.", disclosure_id)
        return False
    except Exception as error:
        logger.exception("Disclosure %s failed.", disclosure_id)
        _update(disclosure_id, started, **_failed(_what_to_do(error)))
        return False
    return True


def _make(disclosure_id: int, started: datetime) -> None:
    from apps.disclosures import snapshot as snapshots

    disclosure = Disclosure.unscoped.select_related("organisation", "period", "requested_by").get(pk=disclosure_id)
    if disclosure.snapshot is None:
        # Once frozen it stays: a second attempt at the same version prints the same figures.
        snapshot = snapshots.collect(disclosure)
        digest = hashlib.sha256(canonical_json(snapshot).encode()).hexdigest()
        _own(disclosure_id, started, snapshot=snapshot, snapshot_digest=digest)
    else:
        snapshot, digest = disclosure.snapshot, disclosure.snapshot_digest
    pdf = pdf_of(
        snapshot, digest, lambda step, percent: _own(disclosure_id, started, step=step, progress_percent=percent)
    )
    _own(disclosure_id, started, step="Storing the document", progress_percent=95)
    folder = f"disclosures/{disclosure.organisation.slug}/{disclosure.period.label}"
    name = default_storage.save(f"{folder}/v{disclosure.version}-{disclosure.public_id}.pdf", ContentFile(pdf))
    try:
        _finish(disclosure, started, name, hashlib.sha256(pdf).hexdigest(), digest)
    except Exception:
        default_storage.delete(name)
        raise


def pdf_of(
    snapshot: dict[str, Any], digest: str, progress: Callable[[str, int], None] = lambda step, percent: None
) -> bytes:
    """The PDF of a snapshot. The same snapshot and versions give the same bytes."""
    from apps.disclosures.pdf import render_apart
    from apps.disclosures.report.document import html

    progress("Drawing charts", 30)
    text = html(snapshot, digest)
    progress("Setting pages", 45)
    return render_apart(text, canonical_json(snapshot), datetime.fromisoformat(snapshot["document"]["collected_at"]))


@transaction.atomic
def _finish(disclosure: Disclosure, started: datetime, name: str, pdf_digest: str, snapshot_digest: str) -> None:
    _own(
        disclosure.pk,
        started,
        state=Disclosure.State.READY,
        step="Ready",
        progress_percent=100,
        pdf=name,
        pdf_digest=pdf_digest,
        finished_at=timezone.now(),
    )
    record(
        organisation_id=disclosure.organisation_id,
        actor="system",
        action="disclosure.made",
        instance=disclosure,
        after={"snapshot_sha256": snapshot_digest, "pdf_sha256": pdf_digest},
    )


def _update(disclosure_id: int, started: datetime, **values: Any) -> int:
    return Disclosure.unscoped.filter(pk=disclosure_id, state=Disclosure.State.WORKING, started_at=started).update(
        **values
    )


def _own(disclosure_id: int, started: datetime, **values: Any) -> None:
    """Write to the row if it is still this process's. Raises ``TakenOverError``."""
    if not _update(disclosure_id, started, **values):
        raise TakenOverError


def _failed(error: str) -> dict[str, Any]:
    return {"state": Disclosure.State.FAILED, "step": "Failed", "error": error, "finished_at": timezone.now()}


def _what_to_do(error: Exception) -> str:
    from apps.disclosures.snapshot import NothingToDiscloseError

    if isinstance(error, NothingToDiscloseError):
        return str(error)
    return (
        "Making the document failed; your data are unchanged. Make the disclosure again. If it fails again, give the"
        f" operator this line: {type(error).__name__}: {error}"
    )


def sweep() -> list[int]:
    """Put back what a dead worker left and name what waits for a worker: primary keys, to be queued again."""
    now = timezone.now()
    dead = Disclosure.unscoped.filter(state=Disclosure.State.WORKING, started_at__lt=now - DEAD_AFTER)
    dead.filter(attempts__gte=MAX_ATTEMPTS).update(
        **_failed(
            f"The worker died {MAX_ATTEMPTS} times while making this document, most likely for want of memory."
            " Ask the operator to look at the worker’s log, then make the disclosure again."
        )
    )
    restarted = list(dead.values_list("pk", flat=True))
    for pk in restarted:
        dead.filter(pk=pk).update(
            state=Disclosure.State.QUEUED, step="Starting again: the worker stopped", progress_percent=0
        )
    lost = Disclosure.unscoped.filter(state=Disclosure.State.QUEUED, requested_at__lt=now - LOST_AFTER)
    return sorted({*restarted, *lost.values_list("pk", flat=True)})
