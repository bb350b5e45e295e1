"""Reads of the files recorded offline."""

from __future__ import annotations

import csv
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.organisations.models import Organisation
from apps.telemetry.models import Upload
from apps.telemetry.uploads.formats.base import FileRefusedError, delimiter_of, header_of, text_of
from apps.telemetry.uploads.services import IN_PROGRESS

SHOWN_UPLOADS = 50
SHOWN_ERRORS = 100
PREVIEW_BYTES = 64 * 1024
PREVIEW_ROWS = 5


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


def preview(taken: Upload) -> tuple[list[str], list[list[str]]]:
    """The columns of a file and its first rows, to choose from; nothing where it is no CSV or is gone."""
    try:
        with taken.file.open("rb") as file:
            text = text_of(file.read(PREVIEW_BYTES))
    except (FileNotFoundError, FileRefusedError, ValueError):
        return [], []
    columns = header_of(text)
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines or lines[0].lstrip().startswith(("{", "[")):
        return [], []
    reader = csv.reader(lines[1 : PREVIEW_ROWS + 1], delimiter=delimiter_of(lines[0]), skipinitialspace=True)
    return columns, [row for row in reader if len(row) == len(columns)]
