"""Receipts: what became of a request, written in the transaction that stored its readings."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import connection
from django.db.models import F
from django.utils import timezone

from apps.telemetry.batch import RowError
from apps.telemetry.models import Receipt

if TYPE_CHECKING:
    from apps.telemetry.intake import IntakeContext

MOST_ERRORS = 1_000  # named in an answer and kept with the receipt; the rest are counted


class Result(NamedTuple):
    """What became of a batch. ``rejected`` counts rows, ``errors`` may say several things of one."""

    accepted: int
    duplicates: int
    rejected: int
    errors: list[RowError]
    replaced: int = 0
    ignored: int = 0
    answer: str = ""
    answer_status: int = 200

    def columns(self) -> dict[str, Any]:
        """The columns of a receipt that say it."""
        return self._asdict() | {"errors": named(self.errors)}


def named(errors: Iterable[RowError]) -> list[dict[str, Any]]:
    """The errors that are named, in the order of the rows."""
    return [error.as_dict() for error in sorted(errors, key=lambda error: error.index)[:MOST_ERRORS]]


def create(context: IntakeContext, protocol: str, public_id: uuid.UUID | None, result: Result) -> int:
    """Write a receipt; its primary key. By hand, because the ORM would take as long as 200 readings do."""
    public_id = public_id or uuid.uuid4()
    columns = result.columns()
    columns["errors"] = json.dumps(columns["errors"])
    values = {
        "organisation_id": context.organisation_id,
        "public_id": public_id if connection.features.has_native_uuid_field else public_id.hex,
        "api_key_id": context.key_id,
        "protocol": protocol,
        "received_at": connection.ops.adapt_datetimefield_value(timezone.now()),
        "body_digest": context.body_digest,
        "idempotency_key": None if context.dry_run else context.idempotency_key,
        "is_pending": False,
        **columns,
    }
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO telemetry_receipt ({', '.join(values)}) VALUES ({', '.join(['%s'] * len(values))})"  # noqa: S608
            " RETURNING id",
            list(values.values()),
        )
        return int(cursor.fetchone()[0])


def correct(context: IntakeContext, receipt_id: int, result: Result) -> None:
    """Say instead what became of a batch whose rows turned out to be there already."""
    Receipt.objects.of(context.organisation_id).filter(pk=receipt_id).update(**result.columns())


def public_id_of(context: IntakeContext) -> uuid.UUID:
    """The public id of the receipt that the batch is stored into. Raises ``Receipt.DoesNotExist``."""
    found = Receipt.objects.of(context.organisation_id).values_list("public_id", flat=True)
    return found.get(pk=context.receipt_id or 0)


def add(context: IntakeContext, result: Result) -> None:
    """Add up what became of one more batch of a request that takes several."""
    receipts = Receipt.objects.of(context.organisation_id).filter(pk=context.receipt_id or 0)
    receipt = receipts.select_for_update().only("errors").get()
    receipts.update(
        accepted=F("accepted") + result.accepted,
        duplicates=F("duplicates") + result.duplicates,
        rejected=F("rejected") + result.rejected,
        replaced=F("replaced") + result.replaced,
        ignored=F("ignored") + result.ignored,
        errors=(receipt.errors + named(result.errors))[:MOST_ERRORS],
    )
