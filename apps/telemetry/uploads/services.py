"""Files recorded offline: taken in at once, worked off by a worker, safe to be killed and to run twice."""

from __future__ import annotations

import hashlib
import logging
import time
import zlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import uuid4

import msgspec
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.db import transaction
from django.utils import timezone

from apps.audit.services import record
from apps.core.units import PPM, round_half_up
from apps.organisations.models import ApiKey, Team
from apps.sites.models import Site
from apps.telemetry import intake, receipts
from apps.telemetry.batch import RowError, SampleBatch
from apps.telemetry.intake import IntakeContext
from apps.telemetry.meters import intake as meters
from apps.telemetry.meters.batch import MeterBatch
from apps.telemetry.models import DeclaredEmissions, MeterReading, Reading, Receipt, Upload
from apps.telemetry.protocols.body import unpack
from apps.telemetry.protocols.errors import TooLargeError, UnreadableError
from apps.telemetry.uploads import formats
from apps.telemetry.uploads.formats import FileRefusedError, Found, Given, generic
from apps.telemetry.uploads.formats.base import DOOR, text_of, zone_of
from apps.telemetry.uploads.known import source_ids, what_came_since
from apps.workloads.models import Kind

logger = logging.getLogger(__name__)

ERRORS_KEPT = 5_000
State = Upload.State
IN_PROGRESS = (State.QUEUED, State.WORKING)
OPTIONS = ("site", "team", "timezone", "pue", "model", "kind", "overlap", "source")
MAPPING = ("reading", "unit", *generic.COLUMNS)
_UNHEARD_AFTER = timedelta(minutes=1)
_DEAD_AFTER = timedelta(minutes=5)  # since the last sign of life: one batch takes seconds
_GZIP_MARK = b"\x1f\x8b"


class TakenOverError(Exception):
    """Another worker has the file now."""


def unpacked(content: bytes) -> bytes:
    """The file itself, also where it was packed with gzip. Raises ``ValidationError`` beyond the limit."""
    if not content.startswith(_GZIP_MARK):
        return content
    try:
        return unpack(content, "gzip", settings.INGEST_MAX_BODY_BYTES)
    except TooLargeError:
        raise _too_large() from None
    except (UnreadableError, zlib.error) as fault:
        raise ValidationError({"file": f"The file is not whole: {fault}"}) from None


def _too_large() -> ValidationError:
    text = f"The file is larger than {settings.INGEST_MAX_BODY_BYTES // 2**20} MiB unpacked. Split it."
    return ValidationError({"file": ValidationError(text, code="too_large")})


def checked_options(organisation_id: int, given: Mapping[str, str], team_slug: str | None = None) -> dict[str, str]:
    """What the sender says besides the file, without what is empty. Raises ``ValidationError`` by name."""
    options = {name: value.strip() for name, value in given.items() if value and value.strip()}
    faults: dict[str, str] = {}
    codes = list(Site.objects.of(organisation_id).values_list("code", flat=True))
    if "site" in options and options["site"] not in codes:
        known = ", ".join(codes[:10]) or "none is set up yet"
        faults["site"] = f"Got {options['site']!r}, expected the code of a site: {known}."
    if "timezone" in options:
        try:
            zone_of(options["timezone"])
        except ValueError as fault:
            faults["timezone"] = f"Got {options['timezone']!r}, expected {fault}."
    if "pue" in options and _pue_ppm(options["pue"]) is None:
        faults["pue"] = f"Got {options['pue']!r}, expected the PUE that the energies include, from 1 to 10."
    kinds = [kind.label for kind in Kind]
    if "kind" in options and options["kind"] not in kinds:
        faults["kind"] = f"Got {options['kind']!r}, expected one of {', '.join(kinds)}."
    if options.get("overlap", "refuse") not in ("keep", "refuse"):
        faults["overlap"] = f"Got {options['overlap']!r}, expected keep or refuse."
    if team_slug and options.get("team", team_slug) != team_slug:
        faults["team"] = f"The key belongs to the team {team_slug}; leave the team out or name that one."
    if faults:
        raise ValidationError(faults)
    return options


def _pue_ppm(text: str) -> int | None:
    try:
        pue = Decimal(text)
    except InvalidOperation:
        return None
    return round_half_up(pue * PPM) if pue.is_finite() and 1 <= pue <= 10 else None


@transaction.atomic
def take_in(
    *,
    organisation_id: int,
    actor: str,
    content: bytes,
    file_name: str,
    layout: str,
    given: Mapping[str, str],
    key_id: int | None = None,
    team_slug: str | None = None,
    ask: bool = False,
) -> Upload:
    """Keep a file with its pending receipt and queue it. With ``ask`` it waits for :func:`answer` first.

    Raises ``ValidationError`` for an empty or too large file, for options that do not hold, and where the format is
    not said and cannot be told from the header.
    """
    options = checked_options(organisation_id, given, team_slug)
    content = unpacked(content)
    if len(content) > settings.INGEST_MAX_BODY_BYTES:
        raise _too_large()
    try:
        text = text_of(content)
        layout = layout or formats.recognise(text)
    except FileRefusedError as fault:
        raise ValidationError({"file": str(fault)}) from None
    if layout not in Upload.Format.values and not ask:
        known = ", ".join(Upload.Format.values)
        raise ValidationError({"format": f"The format cannot be told from the file. Name one: {known}."})
    if layout == Upload.Format.GENERIC and not ask:
        _check_mapping(options)
    digest = hashlib.sha256(content).hexdigest()
    receipt = Receipt.unscoped.create(
        organisation_id=organisation_id,
        public_id=uuid4(),
        api_key_id=key_id,
        protocol=DOOR,
        received_at=timezone.now(),
        accepted=0,
        duplicates=0,
        rejected=0,
        is_pending=True,
        body_digest=digest,
        answer_status=202,
    )
    upload = Upload(
        organisation_id=organisation_id,
        receipt=receipt,
        api_key_id=key_id,
        team_slug=team_slug or "",
        file_name=file_name.replace("\0", "")[-200:] or "upload",
        file_digest=digest,
        file_bytes=len(content),
        format=layout or Upload.Format.GENERIC,
        given=options,
        state=State.ASKED if ask else State.QUEUED,
        step="Waiting for your answers" if ask else "Waiting for a worker",
        requested_by=actor,
    )
    # Named by its content: what a client calls a file has no place in a path.
    upload.file.save(f"{organisation_id}-{digest[:16]}", ContentFile(content), save=False)
    upload.save()
    record(
        organisation_id=organisation_id,
        actor=actor,
        action="upload.taken_in",
        instance=upload,
        after={"file": upload.file_name, "sha256": digest, "format": upload.format},
    )
    if not ask:
        transaction.on_commit(lambda: wake(upload.pk))
    return upload


def _check_mapping(options: Mapping[str, str]) -> None:
    if fault := generic.fault_of({name: options[name] for name in MAPPING if name in options}):
        name, got, expected = fault
        raise ValidationError({name: f"Got {got!r}, expected {expected}." if got else f"Missing: {expected}."})


@transaction.atomic
def answer(*, upload: Upload, actor: str, layout: str, given: Mapping[str, str]) -> None:
    """Queue a file that waited for its answers. Raises ``ValidationError`` when they do not hold, or it is queued."""
    options = checked_options(upload.organisation_id, given, upload.team_slug or None)
    if layout not in Upload.Format.values:
        raise ValidationError({"format": "Choose the format of the file."})
    if layout == Upload.Format.GENERIC:
        _check_mapping(options)
    changed = Upload.unscoped.filter(pk=upload.pk, state=State.ASKED).update(
        state=State.QUEUED, format=layout, given=options, step="Waiting for a worker", requested_at=timezone.now()
    )
    if not changed:
        raise ValidationError(f"{upload.file_name} does not wait for answers any more.")
    record(
        organisation_id=upload.organisation_id,
        actor=actor,
        action="upload.queued",
        instance=upload,
        after={"format": layout, **options},
    )
    transaction.on_commit(lambda: wake(upload.pk))


def wake(upload_id: int) -> None:
    """Tell a worker of a queued file. Without a broker nothing is lost: the sweep finds it."""
    from apps.telemetry.uploads.tasks import read_upload as task  # the task calls this module

    try:
        task.apply_async(args=(upload_id,), retry=False)
    except Exception:
        logger.warning("The broker is not available; the sweep will find upload %s.", upload_id, exc_info=True)


def sweep() -> list[int]:
    """Queued files that nobody was heard of, and those whose worker stopped, which start again."""
    now = timezone.now()
    dead = Upload.unscoped.filter(state=State.WORKING, heard_at__lt=now - _DEAD_AFTER)
    dead.update(state=State.QUEUED, step="Starting again: the worker stopped", progress_percent=0)
    waiting = Upload.unscoped.filter(state=State.QUEUED, requested_at__lt=now - _UNHEARD_AFTER)
    return list(waiting.values_list("pk", flat=True))


def work(upload_id: int) -> bool:
    """Read a queued file and store what is in it; whether this call did. Safe to run twice, at once, to be killed.

    What is wrong with the file is kept on the row and its receipt, and is not raised.
    """
    started = timezone.now()
    mine = Upload.unscoped.filter(pk=upload_id, state=State.QUEUED)
    if not mine.update(
        state=State.WORKING, started_at=started, heard_at=started, step="Reading the file", progress_percent=2, error=""
    ):
        return False
    job = _Job(Upload.unscoped.select_related("receipt", "api_key").get(pk=upload_id), started)
    try:
        job.run()
    except TakenOverError:
        logger.warning("Upload %s was taken over by another worker.", upload_id)
        return False
    except FileRefusedError as fault:
        job.finish(State.REFUSED, "Refused", error=str(fault))
    except FileNotFoundError:
        job.finish(State.FAILED, "Failed", error="The file is missing from the store. Upload it again.")
    except Exception:
        logger.exception("Upload %s failed.", upload_id)
        job.finish(
            State.FAILED,
            "Failed",
            error="The portal could not read this file; the log of the worker has the details. Check the format and"
            " upload it again: what is stored already counts once.",
        )
    return True


class _Job:
    """One reading of a file, with its progress."""

    def __init__(self, upload: Upload, started: datetime) -> None:
        self.upload, self.started = upload, started
        self.found = Found()
        self.errors: list[dict[str, Any]] = []
        self.counts = {"accepted": 0, "duplicates": 0, "rejected": 0, "ignored": 0}
        self.is_again = bool(upload.report.get("attempts"))
        self.attempts = int(upload.report.get("attempts", 0)) + 1
        self.zone = ""

    def run(self) -> None:
        upload = self.upload
        self._own(report={"attempts": self.attempts})
        Receipt.unscoped.filter(pk=upload.receipt_id).update(accepted=0, duplicates=0, rejected=0, ignored=0, errors=[])
        with upload.file.open("rb") as file:
            text = text_of(file.read())
        given, context = self._given(), self._context()
        self.zone = given.zone_name
        expected = max(1, text.count("\n"))
        for batch in formats.read(upload.format, text, given, self.found):
            self._store(batch, context)
            latest = int(batch.index.max()) if len(batch) else 0
            self._own(step=f"{latest:,} of {expected:,} lines stored", progress_percent=5 + 90 * latest // expected)
        self._last(context)
        self._declare()
        if self.is_again:
            self._settle_counts()
        if self.errors and not self.counts["accepted"] and not self.counts["duplicates"]:
            self.finish(State.REFUSED, "Refused", error="No line of the file could be stored; each says why below.")
        else:
            self.finish(State.DONE, "Stored")

    def _given(self) -> Given:
        upload = self.upload
        said: dict[str, str] = upload.given
        key_site = upload.api_key.site_code if upload.api_key else ""
        site = Site.objects.of(upload.organisation_id).filter(code=said.get("site") or key_site).first()
        name = said.get("timezone") or (site.time_zone if site else "UTC")
        if "timezone" not in said:
            of = f"that of the site {site.code}" if site else "assumed, as none was given"
            self.found.notes.append(f"Times without an offset are taken as {name}, {of}.")
        return Given(
            zone=zone_of(name),
            zone_name=name,
            now_ms=int(time.time() * 1000),
            is_zone_assumed="timezone" not in said and site is None,
            site=said.get("site"),
            team=None if upload.team_slug else said.get("team"),
            model=said.get("model"),
            kind=said.get("kind"),
            source=said.get("source"),
            pue_ppm=_pue_ppm(said["pue"]) if "pue" in said else None,
            keep_overlaps=said.get("overlap") == "keep",
            has_own_team=bool(upload.team_slug),
            columns={column: said[column] for column in MAPPING if column in said},
            since_stored=lambda intervals, found: what_came_since(upload.organisation_id, intervals, found),
        )

    def _context(self) -> IntakeContext:
        upload = self.upload
        team = Team.objects.of(upload.organisation_id).filter(slug=upload.team_slug).first()
        key: ApiKey | None = upload.api_key
        return IntakeContext(
            organisation_id=upload.organisation_id,
            key_id=upload.api_key_id,
            team_id=team.pk if team and upload.team_slug else None,
            team_slug=upload.team_slug or None,
            site_code=key.site_code if key else "",
            body_digest=upload.file_digest,
            receipt_id=upload.receipt_id,
        )

    def _store(self, batch: SampleBatch | MeterBatch, context: IntakeContext) -> None:
        if isinstance(batch, MeterBatch):
            answered = meters.store(batch, context)
            counts = {name: getattr(answered, name) for name in self.counts}
            errors = [error.as_dict() for error in answered.errors]
        else:
            content = msgspec.json.decode(intake.store(batch, context).body)
            counts = {name: content.get(name, 0) for name in self.counts}
            errors = content["errors"]
        for name, count in counts.items():
            self.counts[name] += count
        self._keep(errors)

    def _keep(self, errors: list[dict[str, Any]]) -> None:
        room = ERRORS_KEPT - len(self.errors)
        self.errors += [
            {name: error[name] for name in ("index", "field", "got", "expected")} for error in errors[: max(room, 0)]
        ]

    def _last(self, context: IntakeContext) -> None:
        """What was found and belongs to no batch: faults after the last one, lines left out, runs known already."""
        errors: list[RowError] = self.found.take_errors()
        rejected = len({error.index for error in errors})
        ignored, duplicates = self.found.ignored, self.found.duplicates
        self.counts["rejected"] += rejected
        self.counts["ignored"] += ignored
        self.counts["duplicates"] += duplicates
        self._keep([error.as_dict() for error in errors])
        with transaction.atomic():
            receipts.add(context, receipts.Result(0, duplicates, rejected, errors, ignored=ignored))

    def _declare(self) -> None:
        """Keep what the client worked out itself, once per run and time."""
        declared = self.found.declared
        ids = source_ids(self.upload.organisation_id, {one.source for one in declared})
        DeclaredEmissions.unscoped.bulk_create(
            [
                DeclaredEmissions(
                    organisation_id=self.upload.organisation_id,
                    source_id=ids[one.source],
                    run=one.run,
                    at_ms=one.at_ms,
                    start_ms=one.start_ms,
                    is_running_total=True,
                    emissions_mg=one.emissions_mg,
                    energy_microwatt_hours=one.energy_microwatt_hours,
                    said=one.said,
                )
                for one in declared
                if one.source in ids
            ],
            ignore_conflicts=True,
        )

    def _settle_counts(self) -> None:
        """Rows that a worker stored before it was killed came back as duplicates of this very file: say accepted."""
        receipt_id, organisation_id = self.upload.receipt_id, self.upload.organisation_id
        own = Reading.objects.filter(organisation_id=organisation_id, receipt_id=receipt_id).count()
        own += MeterReading.objects.filter(organisation_id=organisation_id, receipt_id=receipt_id).count()
        before = own - self.counts["accepted"]
        self.counts["accepted"] = own
        self.counts["duplicates"] = max(0, self.counts["duplicates"] - before)
        Receipt.unscoped.filter(pk=receipt_id).update(
            accepted=self.counts["accepted"], duplicates=self.counts["duplicates"]
        )

    @transaction.atomic
    def finish(self, state: str, step: str, *, error: str = "") -> None:
        found = self.found
        receipt: dict[str, Any] = {"is_pending": False, "answer_status": 200}
        if error and not self.errors:
            refusal = RowError(0, "", "The file was refused", error)
            receipt |= {"answer_status": 422, "errors": [refusal.as_dict()]}
        self._own(
            state=state,
            step=step,
            error=error,
            progress_percent=100,
            finished_at=timezone.now(),
            report={
                "attempts": self.attempts,
                "lines": found.lines,
                "entries": found.entries,
                "timezone": self.zone,
                "counts": self.counts,
                "errors": [
                    {
                        "line": one["index"],
                        "field": one["field"],
                        "got": one["got"],
                        "expected": one["expected"],
                    }
                    for one in self.errors
                ],
                "notes": found.notes[:100],
                "warnings": found.warnings[:100],
                "overlaps": found.overlaps,
            },
        )
        Receipt.unscoped.filter(pk=self.upload.receipt_id).update(**receipt)
        record(
            organisation_id=self.upload.organisation_id,
            actor=self.upload.requested_by,
            action="upload.finished",
            instance=self.upload,
            after={"state": state, **self.counts},
        )

    def _own(self, **values: Any) -> None:
        mine = Upload.unscoped.filter(pk=self.upload.pk, state=State.WORKING, started_at=self.started)
        if not mine.update(heard_at=timezone.now(), **values):
            raise TakenOverError
