"""Writing to the event log and checking its chain."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models, transaction
from django.utils import timezone

from apps.audit.models import AuditEvent


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, dates and decimals as Django writes them."""
    return json.dumps(
        value,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        cls=DjangoJSONEncoder,
    )


def _whole(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number


def plain(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A mapping as the JSON that both databases give back unchanged: PostgreSQL writes the float 1e22 as an integer."""
    return None if value is None else json.loads(canonical_json(value), parse_float=_whole)


def state_of(instance: models.Model, exclude: tuple[str, ...] = ()) -> dict[str, Any]:
    """The stored fields of a model instance, for ``before`` and ``after``."""
    return {
        field.attname: json.loads(canonical_json(field.value_from_object(instance)))
        for field in instance._meta.concrete_fields
        if field.name not in exclude and not isinstance(field, models.FileField)
    }


def event_digest(event: AuditEvent) -> str:
    """SHA-256 over the canonical JSON of an event and the digest before it."""
    content = {
        "organisation": event.organisation_id,
        "sequence": event.sequence,
        "at": event.at.isoformat(),
        "actor": event.actor,
        "action": event.action,
        "object": [event.object_type, event.object_id, event.object_label],
        "before": event.before,
        "after": event.after,
        "reason": event.reason,
        "previous": event.previous_digest,
    }
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def _lock_chain(organisation_id: int) -> None:
    """Hold the organisation's chain until commit, so that two writers cannot both be the next link."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(%s, %s)",
                [0x61756474, organisation_id % 2**31],
            )
    # SQLite: the transaction began IMMEDIATE and is the only writer.


@transaction.atomic
def record(
    *,
    organisation_id: int,
    actor: str,
    action: str,
    instance: models.Model,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
) -> AuditEvent:
    """Append one event, inside the transaction of the write it tells of.

    ``organisation_id`` 0 is the installation itself. ``actor`` is an e-mail address, ``key:PREFIX`` or ``system``;
    ``action`` is ``object.verb`` such as ``site.created``. ``before`` and ``after`` hold JSON values; secrets never
    belong in them.
    """
    _lock_chain(organisation_id)
    last = AuditEvent.objects.filter(organisation_id=organisation_id).order_by("-sequence").first()
    event = AuditEvent(
        organisation_id=organisation_id,
        sequence=last.sequence + 1 if last else 1,
        at=timezone.now(),
        actor=actor,
        action=action,
        object_type=instance._meta.label_lower,
        object_id=str(instance.pk),
        object_label=str(instance)[:200],
        before=plain(before),
        after=plain(after),
        reason=reason,
        previous_digest=last.digest if last else "",
    )
    event.digest = event_digest(event)
    event.save(force_insert=True)
    return event


@transaction.atomic
def audited(
    instance: models.Model,
    change: Callable[[], object],
    *,
    organisation_id: int,
    actor: str,
    action: str,
    reason: str = "",
) -> bool:
    """Let ``change`` alter and save the instance, and record what it was before and after. Returns whether it differs.

    A new instance has no before. The after is read back, so that a value which is stored alike is no change.
    """
    before = None if instance.pk is None else state_of(instance)
    change()
    instance.refresh_from_db()
    after = state_of(instance)
    if after == before:
        return False
    record(
        organisation_id=organisation_id,
        actor=actor,
        action=action,
        instance=instance,
        before=before,
        after=after,
        reason=reason,
    )
    return True


def verify_chain(organisation_id: int) -> list[str]:
    """Every break in the chain as a sentence; an empty list when it holds."""
    faults: list[str] = []
    previous = ""
    expected = 1
    for event in AuditEvent.objects.filter(organisation_id=organisation_id).order_by("sequence").iterator():
        if event.sequence != expected:
            faults.append(f"event {expected} is missing; the next one found is {event.sequence}")
        if event.previous_digest != previous:
            faults.append(f"event {event.sequence} does not follow from the event before it")
        if event.digest != event_digest(event):
            faults.append(f"event {event.sequence} was changed after it was written")
        previous, expected = event.digest, event.sequence + 1
    return faults
