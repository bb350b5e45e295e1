"""Whatever the order, the batches and the senders: the accounts are those of all readings stored at once."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise
from typing import Any

import pytest
from django.db import connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.accounting import services
from apps.accounting.models import LedgerHour
from apps.organisations.models import Organisation
from apps.telemetry import heard, names
from apps.telemetry.intake import IntakeContext
from apps.telemetry.meters import intake
from apps.telemetry.models import DERIVED, DirtyHour, MeterFinding, MeterKind, MeterReading, Quantity, Reading
from tests.telemetry.meters.sending import HOUR, NINE, batch_of, counter

pytestmark = pytest.mark.django_db(transaction=True)

GAUGE = {"name": "power GPU-3", "metric": "power", "kind": MeterKind.GAUGE, "unit": "W", "longest_gap_s": 4_000}
SERIES = [
    counter(pod="a"),
    counter(pod="b"),
    counter("GPU-2", meter={"kind": MeterKind.DELTA, "unit": "J"}, pod="a"),
    counter("GPU-2", meter={"kind": MeterKind.DELTA, "unit": "J"}, pod="b"),
    counter("GPU-3", meter=GAUGE, pod="a"),
    counter("GPU-3", meter=GAUGE, pod="b"),
    counter("vllm", meter={"unit": "1", "quantity": Quantity.TOKENS}),
]
# Minutes from nine o'clock: on, just before and just after the hours, and in between.
MINUTES = [0, 1, 20, 40, 59, 60, 61, 100, 119, 120, 150, 179, 180, 200]


def derived(organisation: Organisation) -> list[tuple[Any, ...]]:
    """What the accounts hold of the organisation: derived readings, ledger, findings."""
    readings = Reading.objects.filter(organisation=organisation, receipt_id=DERIVED)
    ledger = LedgerHour.objects.filter(organisation=organisation)
    found = MeterFinding.objects.of(organisation).values_list("meter__name", "at_ms", "finding")
    return [
        *sorted(
            readings.values_list("source__name", "start_ms", "end_ms", "energy_microwatt_hours", "tokens"), key=str
        ),
        *sorted(ledger.values_list("hour", "it_energy_milliwatt_hours", "tokens"), key=str),
        *sorted(found),
    ]


@st.composite
def histories(draw: st.DrawFn) -> list[list[tuple[int, int, float]]]:
    """Readings (series, minute, value) in batches of any order."""
    keys = draw(
        st.lists(
            st.tuples(st.integers(0, len(SERIES) - 1), st.sampled_from(MINUTES)), min_size=2, max_size=24, unique=True
        )
    )
    value = st.one_of(st.integers(0, 10_000_000).map(float), st.sampled_from([math.nan, 5e5]))
    readings = [(series, minute, draw(value)) for series, minute in keys]
    cuts = draw(st.sets(st.integers(1, len(readings) - 1), max_size=6))
    edges = [0, *sorted(cuts), len(readings)]
    return [readings[first:end] for first, end in pairwise(edges)]


@pytest.fixture
def organisations() -> Callable[[], Organisation]:
    count = iter(range(1_000_000))
    return lambda: Organisation.objects.create(slug=f"o{next(count)}", name="Acme")


def send(organisation: Organisation, readings: list[tuple[int, int, float]]) -> None:
    batch = batch_of(*((SERIES[series], NINE + minute * 60_000, value) for series, minute, value in readings))
    assert intake.store(batch, IntakeContext(organisation.pk)).accepted == len(readings)


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories(), data=st.data())
def test_any_order_and_any_batches_give_the_same_accounts(
    organisations: Callable[[], Organisation], history: list[list[tuple[int, int, float]]], data: st.DataObject
) -> None:
    bit_by_bit, at_once = organisations(), organisations()
    processes: list[dict[Any, Any]] = [{}, {}]  # two web processes with caches of their own
    for readings in history:
        names._caches = processes[data.draw(st.integers(0, 1))]
        send(bit_by_bit, readings)
        if data.draw(st.booleans()):
            services.settle(bit_by_bit.pk)
    send(at_once, [reading for readings in history for reading in readings])
    for organisation in (bit_by_bit, at_once):
        services.settle(organisation.pk)
    assert derived(bit_by_bit) == derived(at_once)


def test_two_senders_that_do_not_see_each_other_leave_no_stale_hour(
    organisations: Callable[[], Organisation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One has stored a reading and not committed when the other stores the next, in another hour.

    The readings are so close together that neither writes to a row of the other, which would make it wait anyway.
    """
    organisation, whole = organisations(), organisations()
    before, early, late = [(0, 58, 0.0), (4, 58, 100.0)], [(0, 59, 9e6), (4, 59, 300.0)], [(0, 61, 2e7), (4, 61, 9.0)]
    send(organisation, before)
    services.settle(organisation.pk)
    stored, may_commit = threading.Event(), threading.Event()
    touch = heard.touch

    def touch_and_wait(*arguments: Any) -> None:
        touch(*arguments)
        if threading.current_thread().name.startswith("slow"):
            stored.set()
            may_commit.wait(20)

    monkeypatch.setattr(heard, "touch", touch_and_wait)

    def store(readings: list[tuple[int, int, float]]) -> None:
        try:
            send(organisation, readings)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1, "slow") as slow, ThreadPoolExecutor(1, "quick") as quick:
        first = slow.submit(store, early)
        assert stored.wait(20)
        second = quick.submit(store, late)
        wait([second], 1)
        if second.done():
            services.settle(organisation.pk)
        may_commit.set()
        first.result(20)
        second.result(20)
    services.settle(organisation.pk)
    send(whole, before + early + late)
    services.settle(whole.pk)
    assert derived(organisation) == derived(whole)


def test_many_senders_at_once_beside_a_settling_worker(organisations: Callable[[], Organisation]) -> None:
    organisation, whole = organisations(), organisations()
    readings = [(series, minute, 1e5 * minute) for minute in range(0, 240, 3) for series in (0, 2, 4)]
    done = threading.Event()

    def store(part: int) -> None:
        try:
            for place in range(part, len(readings), 40):
                send(organisation, readings[place : place + 10])
        finally:
            connections.close_all()

    def settle() -> None:
        try:
            while not done.is_set():
                services.settle(organisation.pk)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(5) as pool:
        settling = pool.submit(settle)
        senders = [pool.submit(store, part) for part in range(0, 40, 10)]
        for sender in senders:
            sender.result(60)
        done.set()
        settling.result(60)
    assert MeterReading.objects.filter(organisation=organisation).count() == len(readings)
    send(whole, readings)
    for one in (organisation, whole):
        services.settle(one.pk)
    assert not DirtyHour.objects.exists()
    assert derived(organisation) == derived(whole)


def test_a_stream_in_order_marks_its_own_hour_only(organisations: Callable[[], Organisation]) -> None:
    organisation = organisations()
    for minute in range(0, 300, 10):
        send(organisation, [(0, minute, 1e6 * minute), (2, minute, 5.0), (4, minute, 100.0)])
        marked = {hour - NINE // HOUR for hour in DirtyHour.objects.values_list("hour", flat=True)}
        DirtyHour.objects.all().delete()
        own = minute // 60
        assert marked == ({own - 1, own} if minute % 60 == 0 else {own})
