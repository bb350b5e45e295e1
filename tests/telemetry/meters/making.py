"""Meters, series and their readings put straight into the database, as the intake leaves them."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import numpy as np
from django.db import connection
from django.utils import timezone

from apps.core.windows import HOUR_MS
from apps.organisations.models import Organisation
from apps.telemetry.models import (
    Attribution,
    DirtyHour,
    Meter,
    MeterKind,
    MeterReading,
    Quantity,
    Receipt,
    Series,
)
from tests.accounting.readings import at, attribution_of


def meter_of(organisation: Organisation, attribution: Attribution, name: str = "energy", **fields: Any) -> Meter:
    fields = {"kind": MeterKind.COUNTER, "unit": "J", "power_cap_w": 3_000, "interval_s": 60} | fields
    meter, _ = Meter.unscoped.get_or_create(
        organisation=organisation,
        name=f"{name} {attribution.source_id}",
        defaults={"source_id": attribution.source_id, "metric": name, **fields},
    )
    return meter


def series_of(meter: Meter, attribution: Attribution, label: str = "") -> Series:
    digest = hashlib.sha256(f"{meter.pk} {attribution.pk} {label}".encode()).hexdigest()
    series, _ = Series.unscoped.get_or_create(
        organisation_id=meter.organisation_id,
        digest=digest,
        defaults={"meter": meter, "attribution": attribution, "door": "prometheus"},
    )
    return series


def receipt_of(organisation: Organisation) -> Receipt:
    return Receipt.unscoped.create(
        organisation=organisation,
        public_id=uuid.uuid4(),
        protocol="prometheus",
        received_at=timezone.now(),
        accepted=1,
        duplicates=0,
        rejected=0,
        body_digest="ab" * 32,
    )


def read(series: Series, *points: tuple[Any, ...], receipt: Receipt | None = None) -> None:
    """Store readings (minute, value, start minute or nothing) and mark every hour they reach into."""
    moments = [at(0, minute) for minute, *_ in points]
    for moment in moments:
        _make_room(moment)
    receipt = receipt or receipt_of(Organisation.objects.get(pk=series.organisation_id))
    MeterReading.objects.bulk_create(
        MeterReading(
            organisation_id=series.organisation_id,
            at_ms=at(0, minute),
            series=series,
            value=value,
            start_ms=at(0, start[0]) if start else 0,
            receipt=receipt,
        )
        for minute, value, *start in points
    )
    own = MeterReading.objects.filter(series__in=Series.objects.of(series.organisation_id).filter(meter=series.meter))
    extent = sorted(own.values_list("at_ms", flat=True))
    first = min(extent[0] - HOUR_MS, *(at(0, start[0]) for _, _, *start in points if start), extent[0])
    DirtyHour.objects.bulk_create(
        DirtyHour(organisation_id=series.organisation_id, hour=hour)
        for hour in np.arange(first // HOUR_MS, extent[-1] // HOUR_MS + 1).tolist()
    )


def _make_room(moment_ms: int) -> None:
    """The partition of the month, where the database wants one."""
    if connection.vendor != "postgresql":
        return
    month = np.datetime64(moment_ms, "ms").astype("datetime64[M]")
    bounds = [int(edge.astype("datetime64[ms]").astype(np.int64)) for edge in (month, month + 1)]
    name = f"telemetry_meterreading_{str(month).replace('-', '_')}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [name])
        if cursor.fetchone()[0] is None:
            values = f"FOR VALUES FROM ({bounds[0]}) TO ({bounds[1]})"
            cursor.execute(f"CREATE TABLE {name} PARTITION OF telemetry_meterreading {values}")


def gpu(
    organisation: Organisation, source: str = "GPU-1", team: str = "", label: str = "", said: Any = None, **fields: Any
) -> Series:
    """A series of a meter of a source's own, with an attribution to a team."""
    attribution = attribution_of(organisation, source, team, **(said or {}))
    return series_of(meter_of(organisation, attribution, **fields), attribution, label)


WORK = {"unit": "1", "quantity": Quantity.TOKENS}
