"""Meter readings as the doors hand them to the intake."""

from __future__ import annotations

from typing import Any

import numpy as np

from apps.telemetry.batch import Naming, Place
from apps.telemetry.meters.batch import DEVICE_COUNTER, MeterBatch, MeterSaid, SeriesSaid
from apps.telemetry.models import DirtyHour, MeterKind, MeterReading

HOUR = 3_600_000
NINE = 1_782_896_400_000  # 2026-07-01T09:00:00Z
HALF_PAST = NINE + HOUR // 2


def counter(gpu: str = "GPU-1", *, said: dict[str, Any] | None = None, meter: Any = None, **labels: str) -> SeriesSaid:
    """The energy counter of a GPU, as an exporter's label set tells it. ``said``: of the naming; ``meter``: changes."""
    place = Place(gpu, DEVICE_COUNTER, "node-1")
    known = MeterSaid(f"energy {gpu}", "energy", MeterKind.COUNTER, "mJ", place=place)._replace(**(meter or {}))
    naming = Naming(**{"source": gpu, "boundary": "accelerator", **(said or {})})
    return SeriesSaid(known, naming, tuple(sorted({"UUID": gpu, **labels}.items())))


def batch_of(*readings: Any, door: str = "prometheus", **fields: Any) -> MeterBatch:
    """A request's readings: (series, time [ms], value) or (series, time, value, stated start)."""
    series = list(dict.fromkeys(reading[0] for reading in readings))
    place = {one: i for i, one in enumerate(series)}
    return MeterBatch(
        protocol=door,
        index=np.arange(len(readings)),
        series_codes=np.array([place[reading[0]] for reading in readings], dtype=np.int64),
        at_ms=np.array([reading[1] for reading in readings], dtype=np.int64),
        value=np.array([reading[2] for reading in readings], dtype=np.float64),
        start_ms=np.array([reading[3] if len(reading) > 3 else 0 for reading in readings], dtype=np.int64),
        series=series,
        **fields,
    )


def stored() -> list[tuple[int, float | None]]:
    """Everything stored, as (time, value)."""
    return list(MeterReading.objects.order_by("at_ms", "series_id").values_list("at_ms", "value"))


def marked() -> list[int]:
    """The hours to be derived anew, counted from nine o'clock; and nothing marked from here on."""
    hours = sorted(set(DirtyHour.objects.values_list("hour", flat=True)))
    DirtyHour.objects.all().delete()
    return [hour - NINE // HOUR for hour in hours]
