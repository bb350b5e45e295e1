"""Readings put straight into the database, as the intake leaves them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import numpy as np

from apps.core.windows import HOUR_MS, Window, epoch_ms
from apps.organisations.models import Organisation, Team
from apps.telemetry.bulk import writer
from apps.telemetry.models import (
    Attribution,
    AttributionShare,
    Boundary,
    DirtyHour,
    Method,
    Reading,
    Source,
    TeamName,
)

JULY = datetime(2026, 7, 1, tzinfo=UTC)
Q3 = Window(JULY, datetime(2026, 10, 1, tzinfo=UTC))
MINUTE = 60_000
KWH = 1_000_000_000  # in microwatt-hours


def at(hours: float = 0, minutes: float = 0) -> int:
    """Milliseconds since the epoch, so many hours and minutes into July 2026."""
    return epoch_ms(JULY) + int(hours * HOUR_MS) + int(minutes * MINUTE)


def source_of(organisation: Organisation, name: str = "node-1/gpu0", **fields: Any) -> Source:
    source, _ = Source.unscoped.get_or_create(organisation=organisation, name=name, defaults=fields)
    return source


def attribution_of(
    organisation: Organisation,
    source: str = "node-1/gpu0",
    team: str = "",
    shares: tuple[tuple[str, int], ...] = (),
    **fields: Any,
) -> Attribution:
    """An attribution; ``team`` is a name as a client spelled it, ``shares`` are (team name, ppm)."""
    fields.setdefault("boundary", Boundary.ACCELERATOR)
    fields.setdefault("method", Method.MEASURED)
    words = repr((source, team, shares, sorted((key, str(value)) for key, value in fields.items())))
    row, made = Attribution.unscoped.get_or_create(
        organisation=organisation,
        digest=hashlib.sha256(words.encode()).hexdigest(),
        defaults={
            "source": source_of(organisation, source),
            "team_name": team_name_of(organisation, team),
            "has_shares": bool(shares),
            **fields,
        },
    )
    if made:
        for position, (name, weight) in enumerate(shares):
            AttributionShare.objects.create(
                attribution=row, position=position, team_name=team_name_of(organisation, name), weight_ppm=weight
            )
    return row


def team_name_of(organisation: Organisation, name: str) -> TeamName | None:
    if not name:
        return None
    team = Team.objects.of(organisation).filter(slug=name).first()
    row, _ = TeamName.unscoped.get_or_create(organisation=organisation, name=name, defaults={"team": team})
    return row


def add(attribution: Attribution, start_ms: int, end_ms: int, microwatt_hours: int, **work: int | None) -> Reading:
    """Store one reading and mark the hours it touches, as the intake does."""
    writer().prepare(np.array([start_ms]))
    reading = Reading.objects.create(
        organisation_id=attribution.organisation_id,
        start_ms=start_ms,
        end_ms=end_ms,
        source_id=attribution.source_id,
        attribution=attribution,
        energy_microwatt_hours=microwatt_hours,
        receipt_id=1,
        **work,
    )
    mark(attribution.organisation_id, start_ms, end_ms)
    return reading


def mark(organisation_id: int, start_ms: int, end_ms: int) -> None:
    DirtyHour.objects.bulk_create(
        DirtyHour(organisation_id=organisation_id, hour=hour)
        for hour in range(start_ms // HOUR_MS, -(-end_ms // HOUR_MS))
    )
