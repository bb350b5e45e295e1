"""Meter readings in: stored once as they come, named by rules, refused with reasons."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from apps.organisations.models import Organisation
from apps.sites.models import Site
from apps.telemetry.batch import Naming, Place
from apps.telemetry.intake import IntakeContext
from apps.telemetry.meters import intake
from apps.telemetry.meters.batch import DEVICE_COUNTER, MeterBatch, MeterSaid, SeriesSaid
from apps.telemetry.models import (
    DirtyHour,
    Meter,
    MeterKind,
    MeterReading,
    Receipt,
    Series,
    Source,
)

pytestmark = pytest.mark.django_db

HOUR = 3_600_000
NINE = 1_782_896_400_000  # 2026-07-01T09:00:00Z
HALF_PAST = NINE + HOUR // 2


def counter(gpu: str = "GPU-1", **labels: str) -> SeriesSaid:
    """The energy counter of a GPU, as an exporter's label set tells it."""
    meter = MeterSaid(f"energy {gpu}", "energy", MeterKind.COUNTER, "mJ", place=Place(gpu, DEVICE_COUNTER, "node-1"))
    return SeriesSaid(meter, Naming(gpu, boundary="accelerator"), tuple(sorted({"UUID": gpu, **labels}.items())))


def batch_of(*readings: tuple[SeriesSaid, int, float], door: str = "prometheus", **fields: Any) -> MeterBatch:
    """A request's readings: (series, time [ms], value) or (series, time, value, stated start)."""
    series = list(dict.fromkeys(reading[0] for reading in readings))
    return MeterBatch(
        protocol=door,
        index=np.arange(len(readings)),
        series_codes=np.array([series.index(reading[0]) for reading in readings], dtype=np.int64),
        at_ms=np.array([reading[1] for reading in readings], dtype=np.int64),
        value=np.array([reading[2] for reading in readings], dtype=np.float64),
        start_ms=np.array([reading[3] if len(reading) > 3 else 0 for reading in readings], dtype=np.int64),
        series=series,
        **fields,
    )


@pytest.fixture
def context(organisation: Organisation) -> IntakeContext:
    return IntakeContext(organisation.pk)


def stored() -> list[tuple[int, float | None]]:
    return list(MeterReading.objects.order_by("at_ms", "series_id").values_list("at_ms", "value"))


def marked() -> list[int]:
    return sorted(set(DirtyHour.objects.values_list("hour", flat=True)))


def test_a_reading_is_stored_with_all_that_it_needs(context: IntakeContext, site: Site) -> None:
    answer = intake.store(batch_of((counter(), HALF_PAST, 5.5), ignored=3), context)
    assert (answer.accepted, answer.ignored, answer.rejected) == (1, 3, 0)
    assert stored() == [(HALF_PAST, 5.5)]
    source = Source.unscoped.get()
    assert (source.name, source.device, source.precedence) == ("GPU-1", "GPU-1", DEVICE_COUNTER)
    assert (source.within, source.door) == ("node-1", "prometheus")
    meter = Meter.unscoped.get()
    assert (meter.name, meter.unit, meter.kind, meter.source) == ("energy GPU-1", "mJ", MeterKind.COUNTER, source)
    series = Series.unscoped.get()
    assert (series.labels, series.said) == ({"UUID": "GPU-1"}, {"source": "GPU-1", "boundary": "accelerator"})
    assert series.first_at == series.last_at == source.last_reading_at
    receipt = Receipt.unscoped.get(public_id=answer.receipt)
    assert (receipt.protocol, receipt.accepted, receipt.ignored) == ("prometheus", 1, 3)
    assert marked() == [NINE // HOUR]
