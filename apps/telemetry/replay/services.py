"""What was rejected, kept so that it can be mended and sent again without the client.

Of ``POST /api/v1/samples`` only: what other protocols refuse is binary, and their clients send it again themselves.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import msgspec
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from apps.audit.services import record
from apps.telemetry import intake
from apps.telemetry.models import KeptBody, Receipt
from apps.telemetry.protocols import samples
from apps.telemetry.protocols.body import unpack
from apps.telemetry.protocols.errors import TooLargeError, UnreadableError, UnsupportedError

KEPT_FOR = timedelta(days=30)
MOST_BYTES = 1024 * 1024  # as sent; a larger body is named by its digest only
MOST_CHARACTERS = 400_000  # of what is offered for mending


def keep(*, receipt: UUID, body: bytes, media_type: str, encoding: str, query: str) -> bool:
    """Keep the body of a request of which something was rejected; whether it was small enough."""
    if not body or len(body) > MOST_BYTES:
        return False
    found = Receipt.unscoped.filter(public_id=receipt).values_list("pk", flat=True).first()
    if found is None:
        return False
    KeptBody.objects.update_or_create(
        receipt_id=found,
        defaults={
            "body": body,
            "content_type": media_type[:120],
            "content_encoding": encoding[:40],
            "query": query[:500],
            "kept_until": timezone.now() + KEPT_FOR,
        },
    )
    return True


def forget_old() -> int:
    """Drop bodies that have been kept long enough; how many."""
    return KeptBody.objects.filter(kept_until__lt=timezone.now()).delete()[0]


def to_mend(receipt: Receipt) -> tuple[str, str] | None:
    """What of a request was rejected, as text, and its media type; None where it was not kept.

    The rejected rows alone where the body can be read, and the whole body where it cannot.
    """
    kept = KeptBody.objects.filter(receipt=receipt).first()
    if kept is None:
        return None
    try:
        body = unpack(bytes(kept.body), kept.content_encoding, settings.INGEST_MAX_BODY_BYTES).decode("utf-8-sig")
    except (UnreadableError, TooLargeError, UnsupportedError, UnicodeDecodeError):
        return None
    wanted = sorted({int(error["index"]) for error in receipt.errors})
    text = body if receipt.is_refused else _rows(body, kept.content_type, wanted)
    if len(text) > MOST_CHARACTERS:
        return None
    return text, kept.content_type


def _rows(body: str, media_type: str, wanted: Sequence[int]) -> str:
    """Some rows of a body, counted from 0 as errors count them, in the form it has."""
    if media_type == samples.CSV:
        lines = list(csv.reader(io.StringIO(body)))
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(lines[0])
        rows = [line for line in lines[1:] if line]
        writer.writerows(rows[i] for i in wanted if i < len(rows))
        return out.getvalue()
    if media_type == samples.NDJSON:
        rows_of_text = [line for line in body.splitlines() if line.strip()]
        return "\n".join(rows_of_text[i] for i in wanted if i < len(rows_of_text)) + "\n"
    content = json.loads(body)
    if isinstance(content, dict):
        content = content.get("samples", [])
    return json.dumps([content[i] for i in wanted if i < len(content)], indent=2, ensure_ascii=False)


def replay(*, receipt: Receipt, text: str, actor: str, dry_run: bool = False) -> intake.Answer:
    """Send mended rows again, for the key, team and site of the first request; what became of them.

    The new receipt names the one it replays. Rows that are stored already are duplicates. Raises ``ValidationError``
    when the text cannot be read.
    """
    kept = KeptBody.objects.filter(receipt=receipt).first()
    if kept is None:
        raise ValidationError("The body of this request is no longer kept. Send it again with a client.")
    body = text.encode()
    try:
        batch = samples.decode(
            body, kept.content_type, now_ms=int(time.time() * 1000), max_rows=settings.INGEST_MAX_SAMPLES
        )
    except (UnreadableError, TooLargeError) as fault:
        raise ValidationError(str(fault)) from None
    key = receipt.api_key
    context = intake.IntakeContext(
        organisation_id=receipt.organisation_id,
        key_id=key.pk if key else None,
        team_id=key.team_id if key else None,
        team_slug=key.team.slug if key and key.team else None,
        site_code=key.site_code if key else "",
        body_digest=hashlib.sha256(body).hexdigest(),
        replace="replace=true" in kept.query,
        dry_run=dry_run,
    )
    answer = intake.store(batch, context)
    said = msgspec.json.decode(answer.body)
    if not dry_run and said.get("receipt"):
        _note(receipt, UUID(said["receipt"]), body, kept, actor, is_whole=not said["rejected"])
    return answer


@transaction.atomic
def _note(receipt: Receipt, public_id: UUID, body: bytes, kept: KeptBody, actor: str, *, is_whole: bool) -> None:
    made = Receipt.objects.of(receipt.organisation_id).get(public_id=public_id)
    Receipt.unscoped.filter(pk=made.pk).update(replay_of=receipt)
    if not is_whole:
        keep(receipt=public_id, body=body, media_type=kept.content_type, encoding="", query=kept.query)
    record(
        organisation_id=receipt.organisation_id,
        actor=actor,
        action="receipt.replayed",
        instance=made,
        after={"receipt": str(public_id), "replay_of": str(receipt.public_id), "accepted": made.accepted},
    )
