"""Everything that reads the event log for a page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet

from apps.audit.models import AuditEvent


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What to show; empty fields do not narrow."""

    action: str = ""
    actor: str = ""
    object_type: str = ""
    search: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One field that an event changed; ``None`` where it was not set."""

    field: str
    before: str | None
    after: str | None


def events(organisation_id: int, chosen: EventFilter) -> QuerySet[AuditEvent]:
    """The organisation's events that match, newest first."""
    rows = AuditEvent.objects.filter(organisation_id=organisation_id).order_by("-sequence")
    if chosen.action:
        rows = rows.filter(action=chosen.action)
    if chosen.actor:
        rows = rows.filter(actor=chosen.actor)
    if chosen.object_type:
        rows = rows.filter(object_type=chosen.object_type)
    if chosen.search:
        rows = rows.filter(
            Q(object_label__icontains=chosen.search)
            | Q(object_id=chosen.search)
            | Q(reason__icontains=chosen.search)
            | Q(actor__icontains=chosen.search)
        )
    return rows


def choices(organisation_id: int) -> dict[str, list[str]]:
    """What the filters offer: actions, actors and kinds of object that occur in the organisation's log."""
    rows = AuditEvent.objects.filter(organisation_id=organisation_id).order_by()
    return {name: sorted(rows.values_list(name, flat=True).distinct()) for name in ("action", "actor", "object_type")}


def _text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def changes(event: AuditEvent) -> list[Change]:
    """The fields whose value an event changed, in the order they were recorded."""
    before, after = event.before or {}, event.after or {}
    pairs = [(name, _text(before.get(name)), _text(after.get(name))) for name in {**before, **after}]
    return [Change(name, old, new) for name, old, new in pairs if old != new]


CSV_COLUMNS = (
    "organisation",
    "sequence",
    "at",
    "actor",
    "action",
    "object_type",
    "object_id",
    "object_label",
    "before",
    "after",
    "reason",
    "previous_digest",
    "digest",
)


def csv_rows(rows: QuerySet[AuditEvent]) -> Iterator[list[str]]:
    """Header and events, oldest first, complete enough to check the chain outside the portal."""
    yield list(CSV_COLUMNS)
    for event in rows.order_by("sequence").iterator():
        yield [
            str(event.organisation_id),
            str(event.sequence),
            event.at.isoformat(),
            event.actor,
            event.action,
            event.object_type,
            event.object_id,
            event.object_label,
            "" if event.before is None else json.dumps(event.before, sort_keys=True, ensure_ascii=False),
            "" if event.after is None else json.dumps(event.after, sort_keys=True, ensure_ascii=False),
            event.reason,
            event.previous_digest,
            event.digest,
        ]
