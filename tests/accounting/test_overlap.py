"""Two sources that measure one device: one is counted, what the other said of the same time is set aside."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from math import floor

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.accounting import services
from apps.accounting.models import LedgerHour, SetAside
from apps.accounting.overlap.queries import set_aside_frame
from apps.accounting.queries import LedgerQuery, ledger_frame, ledger_total, source_coverage
from apps.core.windows import HOUR_MS
from apps.organisations.models import Team
from apps.telemetry.models import DirtyHour, Method, Reading, Source
from tests.accounting.readings import KWH, Q3, add, at, attribution_of, mark

pytestmark = pytest.mark.django_db

UNASSIGNED = {"scope": "unassigned"}


def by_source(organisation):
    frame = ledger_frame(LedgerQuery(organisation.pk, Q3, ("source",), scope="all"))
    return dict(zip(frame["source"], frame["it_energy_milliwatt_hours"], strict=True))


def set_aside(organisation):
    frame = set_aside_frame(organisation.pk, Q3)
    return [tuple(row) for row in frame.drop(columns="kind").itertuples(index=False)]


def share(organisation, *names, device="node-1", precedence=None):
    for name in names:
        Source.objects.of(organisation).filter(name=name).update(device=device)
    for name, number in (precedence or {}).items():
        Source.objects.of(organisation).filter(name=name).update(precedence=number)


@pytest.fixture
def twice(organisation):
    """A board's counter over hours 5 to 7, and the driver's over 6 to 8, of one device: 2 and 4 kWh."""
    add(attribution_of(organisation, "bmc"), at(5), at(7), 2 * KWH, tokens=10)
    add(attribution_of(organisation, "nvml"), at(6), at(8), 4 * KWH, tokens=20)
    share(organisation, "bmc", "nvml", precedence={"bmc": 10})
    services.settle(organisation.pk)
    return organisation


def test_the_lower_precedence_is_counted_and_the_rest_set_aside(twice):
    assert by_source(twice) == {"bmc": 2_000_000, "nvml": 2_000_000}
    assert set_aside(twice) == [("nvml", "bmc", 2_000_000, HOUR_MS)]
    total = ledger_total(LedgerQuery(twice.pk, Q3, scope="unassigned"))
    assert (total["tokens"], total["covered_ms"]) == (30, 3 * HOUR_MS)
    assert Reading.objects.filter(organisation=twice).count() == 2


def test_another_precedence_counts_the_other_source(twice):
    share(twice, precedence={"nvml": 1})
    services.settle(twice.pk)
    assert by_source(twice) == {"bmc": 1_000_000, "nvml": 4_000_000}
    assert set_aside(twice) == [("bmc", "nvml", 1_000_000, HOUR_MS)]


def test_a_source_that_leaves_its_device_is_counted_in_full_again(twice):
    share(twice, "nvml", device="")
    services.settle(twice.pk)
    assert by_source(twice) == {"bmc": 2_000_000, "nvml": 4_000_000}
    assert not SetAside.objects.exists()


def test_only_hours_of_the_sources_that_changed_are_rebuilt(twice):
    add(attribution_of(twice, "elsewhere"), at(100), at(101), KWH)
    services.settle(twice.pk)
    share(twice, precedence={"nvml": 1})
    services.inputs.refresh(twice.pk)
    assert sorted(DirtyHour.objects.values_list("hour", flat=True).distinct()) == [
        at(hour) // HOUR_MS for hour in (6, 7)
    ]


def test_of_equal_precedence_the_better_method_counts_then_the_name(organisation):
    add(attribution_of(organisation, "a", method=Method.MEASURED), at(5), at(6), KWH)
    add(attribution_of(organisation, "b", method=Method.METERED), at(5), at(6), 2 * KWH)
    add(attribution_of(organisation, "c", method=Method.METERED), at(5), at(6), 4 * KWH)
    share(organisation, "a", "b", "c")
    services.settle(organisation.pk)
    assert by_source(organisation) == {"a": 0, "b": 2_000_000, "c": 0}
    assert set_aside(organisation) == [("a", "b", 1_000_000, HOUR_MS), ("c", "b", 4_000_000, HOUR_MS)]


def test_a_source_may_name_another_one_as_its_device(organisation):
    add(attribution_of(organisation, "gpu0"), at(5), at(6), KWH)
    add(attribution_of(organisation, "estimate of gpu0", method=Method.ESTIMATED), at(5), at(7), 2 * KWH)
    share(organisation, "estimate of gpu0", device="gpu0")
    services.settle(organisation.pk)
    assert by_source(organisation) == {"gpu0": 1_000_000, "estimate of gpu0": 1_000_000}


def test_the_true_reading_that_arrives_late_takes_the_place_of_the_other(organisation):
    add(attribution_of(organisation, "guess", method=Method.ESTIMATED), at(0), at(48), 48 * KWH)
    add(attribution_of(organisation, "true"), at(60), at(61), KWH)
    share(organisation, "guess", "true")
    services.settle(organisation.pk)
    assert set_aside(organisation) == []
    add(attribution_of(organisation, "true"), at(23, 30), at(25, 30), 7 * KWH)
    services.settle(organisation.pk)
    assert by_source(organisation) == {"guess": 46_000_000, "true": 8_000_000}
    assert set_aside(organisation) == [("guess", "true", 2_000_000, 2 * HOUR_MS)]
    Reading.objects.filter(source__name="true", start_ms=at(23, 30)).delete()
    mark(organisation.pk, at(23, 30), at(25, 30))
    services.settle(organisation.pk)
    assert by_source(organisation) == {"guess": 48_000_000, "true": 1_000_000}


def test_readings_of_one_source_do_not_set_each_other_aside(organisation):
    row = attribution_of(organisation, "a")
    add(row, at(5), at(6), KWH)
    add(row, at(5, 30), at(6, 30), KWH)
    add(attribution_of(organisation, "b"), at(5), at(6), KWH)
    share(organisation, "a", "b")
    services.settle(organisation.pk)
    assert by_source(organisation) == {"a": 2_000_000, "b": 0}
    assert source_coverage(organisation.pk, Q3).set_index("source")["overlap_ms"].to_dict() == {
        "a": HOUR_MS // 2, "b": 0,
    }  # fmt: skip


def test_coverage_is_of_what_was_received_and_not_of_what_was_counted(twice):
    Source.objects.of(twice).update(first_reading_at=Q3.start)
    covered = source_coverage(twice.pk, Q3).set_index("source")["covered_ms"]
    assert covered.to_dict() == {"bmc": 2 * HOUR_MS, "nvml": 2 * HOUR_MS}


def test_what_is_left_of_a_shared_reading_is_shared(organisation):
    for name in ("x", "y"):
        Team.unscoped.create(organisation=organisation, slug=name, name=name)
    shared = attribution_of(organisation, "nvml", shares=(("x", 500_000), ("y", 500_000)))
    add(shared, at(5), at(6), 100_001)
    add(attribution_of(organisation, "bmc"), at(5, 15), at(5, 45), KWH)
    share(organisation, "bmc", "nvml", precedence={"bmc": 1})
    services.settle(organisation.pk)
    frame = ledger_frame(LedgerQuery(organisation.pk, Q3, ("team",), scope="all"))
    assert frame["it_energy_milliwatt_hours"].tolist() == [25, 25, 1_000_000]


def test_other_organisations_and_other_devices_are_left_alone(organisation, other_organisation):
    for owner in (organisation, other_organisation):
        add(attribution_of(owner, "a"), at(5), at(6), KWH)
        add(attribution_of(owner, "b"), at(5), at(6), KWH)
    share(organisation, "a", "b")
    share(other_organisation, "a", device="one")
    share(other_organisation, "b", device="two")
    services.settle()
    assert by_source(other_organisation) == {"a": 1_000_000, "b": 1_000_000}
    assert set_aside(other_organisation) == []
    assert by_source(organisation) == {"a": 1_000_000, "b": 0}


def expected(readings, order):
    """What is set aside, worked out minute by minute: {(hour, source): (energy, ms)}."""
    covers = defaultdict(set)
    for source, start, minutes, _ in readings:
        for minute in range(start, start + minutes):
            covers[minute].add(source)
    aside = defaultdict(lambda: [0, 0])
    for source, start, minutes, energy in readings:
        for minute in range(start, start + minutes):
            if any(order.index(other) < order.index(source) for other in covers[minute]):
                since = minute - start
                part = floor(Fraction(energy * (since + 1), minutes)) - floor(Fraction(energy * since, minutes))
                found = aside[(at(0, minute)) // HOUR_MS, source]
                found[0] += part
                found[1] += 60_000
    return {key: tuple(values) for key, values in aside.items()}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    readings=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 3_000), st.integers(1, 3_000), st.integers(0, 10**12)),
        min_size=1,
        max_size=8,
        unique_by=lambda reading: reading[:3],
    ),
    precedence=st.permutations("abc"),
)
def test_kept_and_set_aside_add_up_to_the_readings(organisation, readings, precedence):
    with transaction.atomic():
        for source, start, minutes, energy in readings:
            add(attribution_of(organisation, source), at(0, start), at(0, start + minutes), energy)
        share(organisation, *"abc", precedence={name: place for place, name in enumerate(precedence)})
        services.settle(organisation.pk)
        stored = {
            (hour, name): (energy, covered)
            for hour, name, energy, covered in _summed(
                SetAside.objects.values_list(
                    "hour", "attribution__source__name", "energy_microwatt_hours", "covered_ms"
                )
            )
        }
        assert stored == expected(readings, precedence)
        kept = sum(LedgerHour.objects.values_list("it_energy_milliwatt_hours", flat=True))
        whole = sum(energy for *_, energy in readings)
        aside = sum(energy for energy, _ in stored.values())
        assert abs(kept * 1000 + aside - whole) <= 500 * LedgerHour.objects.count()
        transaction.set_rollback(True)


def _summed(rows):
    sums = defaultdict(lambda: [0, 0])
    for hour, name, energy, covered in rows:
        sums[hour, name][0] += energy
        sums[hour, name][1] += covered
    return [(*key, *values) for key, values in sums.items()]
