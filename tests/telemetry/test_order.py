"""However a set of readings is cut into batches, ordered and repeated, the same rows are stored."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.core.units import round_half_up
from apps.core.windows import HOUR_MS, epoch_ms
from apps.organisations.models import Organisation
from apps.telemetry import rules, times
from apps.telemetry.intake import IntakeContext, store, touched_hours
from apps.telemetry.models import DirtyHour, Reading
from apps.telemetry.protocols import samples

START = datetime(2026, 7, 1, tzinfo=UTC)
KEYS = st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.integers(1, 200))
SETS = st.dictionaries(KEYS, st.integers(0, 10**9), min_size=1, max_size=12)


def send(rows: Sequence[dict[str, object]], context: IntakeContext) -> None:
    batch = samples.decode(json.dumps(rows).encode(), samples.JSON, now_ms=int(time.time() * 1000), max_rows=50_000)
    store(batch, context)


def stored() -> set[tuple[object, ...]]:
    return set(Reading.objects.values_list("source__name", "start_ms", "end_ms", "energy_microwatt_hours"))


@pytest.mark.django_db
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=SETS, seed=st.integers(0, 2**32))
def test_batching_order_and_repetition_change_nothing(
    organisation: Organisation, wanted: dict[tuple[str, int, int], int], seed: int
) -> None:
    Reading.objects.all().delete()
    DirtyHour.objects.all().delete()
    chance = random.Random(seed)
    rows, expected, hours = [], set(), set()
    for (source, hour, minutes), energy in wanted.items():
        start, end = START + timedelta(hours=hour), START + timedelta(hours=hour, minutes=minutes)
        rows.append({"source": source, "start": start.isoformat(), "end": end.isoformat(), "energy_wh": energy / 1e6})
        expected.add((source, epoch_ms(start), epoch_ms(end), energy))
        hours |= set(range(epoch_ms(start) // HOUR_MS, (epoch_ms(end) - 1) // HOUR_MS + 1))
    sent = rows + chance.choices(rows, k=len(rows))
    chance.shuffle(sent)
    while sent:
        size = chance.randint(1, len(sent))
        send(sent[:size], IntakeContext(organisation.pk))
        sent = sent[size:]
    assert stored() == expected
    assert set(DirtyHour.objects.values_list("hour", flat=True)) == hours


@given(st.lists(st.decimals(0, 10**9, places=8), min_size=1, max_size=30))
def test_energy_is_rounded_as_its_decimals_say(energies: list[Decimal]) -> None:
    values = np.array([float(energy) for energy in energies])
    exact = [int((Decimal(repr(float(v))) * 10**6).quantize(Decimal(1), ROUND_HALF_UP)) for v in values]
    assert rules.energy_from_wh(values).tolist() == exact


@given(st.lists(st.tuples(st.floats(0, 1e8), st.integers(1, 31 * 86_400_000)), min_size=1, max_size=30))
def test_mean_power_is_energy_exactly(pairs: list[tuple[float, int]]) -> None:
    power, interval = np.array([p for p, _ in pairs]), np.array([i for _, i in pairs])
    exact = [round_half_up(Fraction(repr(p)) * i * 10 / 36) for p, i in pairs]
    assert rules.energy_from_power(power, interval).tolist() == exact


@given(
    st.lists(st.datetimes(datetime(1, 1, 2), datetime(9998, 12, 30)), min_size=1, max_size=20),
    st.sampled_from(["Z", "+00:00", "+05:30"]),
    st.sampled_from(["seconds", "milliseconds", "microseconds"]),
)
def test_times_are_the_same_by_column_and_one_by_one(moments: list[datetime], offset: str, precision: str) -> None:
    texts = [moment.isoformat(timespec=precision) + offset for moment in moments]
    assert times.column_of_milliseconds(texts).tolist() == [times.milliseconds(text) for text in texts]


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 31 * 86_400_000)), min_size=1, max_size=20))
def test_touched_hours_are_those_an_interval_has_a_part_in(pairs: list[tuple[int, int]]) -> None:
    start = np.array([s for s, _ in pairs])
    end = start + np.array([length for _, length in pairs])
    expected = {hour for s, e in zip(start, end, strict=True) for hour in range(s // HOUR_MS, (e - 1) // HOUR_MS + 1)}
    assert touched_hours(start, end).tolist() == sorted(expected)
