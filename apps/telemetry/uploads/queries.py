"""Reads of the files recorded offline."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.organisations.models import Organisation
from apps.telemetry.models import Upload
from apps.telemetry.uploads.services import IN_PROGRESS

SHOWN_UPLOADS = 50
SHOWN_ERRORS = 100


def uploads(organisation: Organisation | int) -> QuerySet[Upload]:
    """The files of an organisation, newest first."""
    return Upload.objects.of(organisation).select_related("receipt")


def upload(organisation: Organisation | int, public_id: UUID) -> Upload | None:
    """One file of an organisation."""
    return uploads(organisation).filter(public_id=public_id).first()


def is_under_way(taken: Upload) -> bool:
    return taken.state in IN_PROGRESS


def pending_uploads(organisation_id: int) -> int:
    """Files that wait for a worker or are being read."""
    return Upload.objects.of(organisation_id).filter(state__in=IN_PROGRESS).count()


def errors(taken: Upload) -> list[dict[str, Any]]:
    """What is wrong with the file, by line."""
    return list(taken.report.get("errors", []))


def as_answer(taken: Upload) -> dict[str, Any]:
    """An upload as the API says it."""
    report = {name: value for name, value in taken.report.items() if name != "attempts"}
    return {
        "upload": str(taken.public_id),
        "receipt": str(taken.receipt.public_id),
        "file": taken.file_name,
        "sha256": taken.file_digest,
        "bytes": taken.file_bytes,
        "format": taken.format,
        "state": taken.state,
        "step": taken.step,
        "progress_percent": taken.progress_percent,
        "requested_at": taken.requested_at,
        "finished_at": taken.finished_at,
        "error": taken.error,
        "report": report,
    }
