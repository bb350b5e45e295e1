"""A device that contains others, a host its GPUs: what is counted within it is not counted of it once more."""

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
from apps.telemetry.models import DirtyHour, Source
from tests.accounting.readings import KWH, Q3, add, at, attribution_of, source_of

pytestmark = pytest.mark.django_db


def by_source(organisation):
    services.settle(organisation.pk)
    frame = ledger_frame(LedgerQuery(organisation.pk, Q3, ("source",), scope="all"))
    return dict(zip(frame["source"], frame["it_energy_milliwatt_hours"], strict=True))


def place(organisation, name, **fields):
    assert Source.objects.of(organisation).filter(name=name).update(**fields)


def host_with(organisation, *gpus, kwh=10, each=3):
    add(attribution_of(organisation, "host"), at(5), at(6), kwh * KWH)
    for name in gpus:
        add(attribution_of(organisation, name), at(5), at(6), each * KWH)
        place(organisation, name, within="host")


def aside(organisation):
    rows = SetAside.objects.filter(organisation=organisation).order_by("hour", "attribution__source__name")
    return list(rows.values_list("attribution__source__name", "counted_source__name", "energy_microwatt_hours"))


def test_of_a_host_counts_what_its_gpus_did_not_use(organisation):
    host_with(organisation, "gpu0", "gpu1")
    assert by_source(organisation) == {"gpu0": 3_000_000, "gpu1": 3_000_000, "host": 4_000_000}
    assert aside(organisation) == [("host", "gpu0", 6 * KWH)]


def test_never_less_than_nothing(organisation):
    host_with(organisation, "gpu0", "gpu1", kwh=5)
    assert by_source(organisation) == {"gpu0": 3_000_000, "gpu1": 3_000_000, "host": 0}


def test_only_the_time_in_which_both_measured(organisation):
    add(attribution_of(organisation, "host"), at(5), at(7), 8 * KWH)
    add(attribution_of(organisation, "gpu0"), at(4), at(5, 30), 3 * KWH)
    place(organisation, "gpu0", within="host")
    assert by_source(organisation) == {"gpu0": 3_000_000, "host": 7_000_000}
    # More in half an hour than the host had in it: not taken from the other half.
    add(attribution_of(organisation, "gpu0"), at(6), at(6, 30), 9 * KWH)
    assert by_source(organisation) == {"gpu0": 12_000_000, "host": 5_000_000}


def test_a_host_that_says_which_device_it_is(organisation):
    host_with(organisation, "gpu0")
    place(organisation, "host", device="node-17")
    place(organisation, "gpu0", within="node-17")
    assert by_source(organisation) == {"gpu0": 3_000_000, "host": 7_000_000}


def test_two_sources_of_one_gpu_are_taken_from_the_host_once(organisation):
    host_with(organisation, "dcgm", "kepler")
    for name, precedence in (("dcgm", 10), ("kepler", 30)):
        place(organisation, name, device="GPU-1", precedence=precedence)
    assert by_source(organisation) == {"dcgm": 3_000_000, "host": 7_000_000, "kepler": 0}
    # It lies within the host whichever of its sources says so.
    place(organisation, "dcgm", within="")
    assert by_source(organisation) == {"dcgm": 3_000_000, "host": 7_000_000, "kepler": 0}


def test_two_sources_of_one_host_of_which_one_is_counted(organisation):
    host_with(organisation, "gpu0")
    add(attribution_of(organisation, "bmc"), at(5), at(6), 12 * KWH)
    for name, precedence in (("host", 30), ("bmc", 10)):
        place(organisation, name, device="host", precedence=precedence)
    assert by_source(organisation) == {"bmc": 9_000_000, "gpu0": 3_000_000, "host": 0}


def test_a_chain_takes_off_what_the_part_measured_and_not_what_is_left_of_it(organisation):
    for name, kwh, within in (("core", 2, "package"), ("package", 5, "host"), ("host", 9, "")):
        add(attribution_of(organisation, name), at(5), at(6), kwh * KWH)
        place(organisation, name, within=within)
    assert by_source(organisation) == {"core": 2_000_000, "host": 4_000_000, "package": 3_000_000}
    assert aside(organisation) == [("host", "package", 5 * KWH), ("package", "core", 2 * KWH)]


def test_a_part_that_was_silent_leaves_its_own_parts_to_the_whole(organisation):
    add(attribution_of(organisation, "host"), at(5), at(7), 10 * KWH)
    add(attribution_of(organisation, "package"), at(5), at(6), 3 * KWH)
    add(attribution_of(organisation, "core"), at(5), at(7), 4 * KWH)
    place(organisation, "core", within="package")
    place(organisation, "package", within="host")
    assert by_source(organisation) == {"core": 4_000_000, "host": 5_000_000, "package": 1_000_000}


def test_devices_that_contain_each_other_are_counted_as_they_are(organisation):
    host_with(organisation, "gpu0")
    place(organisation, "host", within="gpu0")
    assert by_source(organisation) == {"gpu0": 3_000_000, "host": 10_000_000}
    place(organisation, "gpu0", within="gpu0")
    place(organisation, "host", within="")
    assert by_source(organisation) == {"gpu0": 3_000_000, "host": 10_000_000}


def test_a_container_that_nobody_measures_changes_nothing(organisation):
    add(attribution_of(organisation, "gpu0"), at(5), at(6), 3 * KWH)
    place(organisation, "gpu0", within="host")
    assert by_source(organisation) == {"gpu0": 3_000_000}
    add(attribution_of(organisation, "host"), at(5), at(6), 4 * KWH)
    assert by_source(organisation) == {"gpu0": 3_000_000, "host": 1_000_000}


def test_a_change_of_what_contains_what_is_noticed(organisation):
    host_with(organisation, "gpu0", "gpu1")
    by_source(organisation)
    place(organisation, "gpu1", within="")
    services.inputs.refresh(organisation.pk)
    assert set(DirtyHour.objects.values_list("hour", flat=True)) == {at(5) // HOUR_MS}
    assert by_source(organisation) == {"gpu0": 3_000_000, "gpu1": 3_000_000, "host": 7_000_000}


def test_what_is_left_belongs_to_whom_the_container_belongs(organisation):
    add(attribution_of(organisation, "host"), at(5), at(5, 30), 2 * KWH)
    add(attribution_of(organisation, "host", team="red"), at(5, 30), at(6), 6 * KWH)
    add(attribution_of(organisation, "gpu0"), at(5), at(6), 3 * KWH)
    place(organisation, "gpu0", within="host")
    by_source(organisation)
    rows = SetAside.objects.order_by("attribution").values_list("energy_microwatt_hours", flat=True)
    assert list(rows) == [750_000_000, 2_250_000_000]


def test_the_container_was_there_all_the_time(organisation):
    host_with(organisation, "gpu0", each=10)
    assert by_source(organisation)["host"] == 0
    Source.objects.of(organisation).update(first_reading_at=Q3.start)
    covered = source_coverage(organisation.pk, Q3).set_index("source")["covered_ms"]
    assert covered.to_dict() == {"gpu0": HOUR_MS, "host": HOUR_MS}
    assert ledger_total(LedgerQuery(organisation.pk, Q3, scope="unassigned"))["covered_ms"] == 2 * HOUR_MS


def test_the_page_says_which_kind_it_was(organisation, client, make_person):
    from apps.organisations.models import Role

    host_with(organisation, "dcgm", "kepler")
    for name, precedence in (("dcgm", 10), ("kepler", 30)):
        place(organisation, name, device="GPU-1", precedence=precedence)
    by_source(organisation)
    client.force_login(make_person(Role.VIEWER))
    lines = client.get("/o/acme/sources/set-aside.csv?period=2026-Q3").content.decode().splitlines()
    assert lines == [
        "source,counted_source,energy_kwh,hours,kind",
        "host,dcgm,3.000000,0.0,part of it",
        "kepler,dcgm,3.000000,1.0,same device",
    ]
    page = client.get("/o/acme/sources/set-aside/?period=2026-Q3").content.decode()
    assert page.count("part of it") == 1
    assert page.count("same device") == 1
    assert set_aside_frame(organisation.pk, Q3)["kind"].tolist() == ["part of it", "same device"]


# Worked out minute by minute

WITHIN = {"gpu": "host", "board": "host", "core": "package", "package": "host", "host": ""}
DEVICE = {"gpu": "G", "board": "G", "core": "core", "package": "package", "host": "host"}
PRECEDENCE = {"gpu": 1, "board": 2}


def expected(readings):
    """What is set aside, {(hour, source): energy}: what a source of the device precedes, and what lies within."""
    energy, covers = defaultdict(int), set()
    for source, start, minutes, amount in readings:
        for minute in range(start, start + minutes):
            since = minute - start
            energy[source, minute] += floor(Fraction(amount * (since + 1), minutes)) - floor(
                Fraction(amount * since, minutes)
            )
            covers.add((source, minute))
    aside = defaultdict(int)
    for source, minute in covers:
        if source == "board" and ("gpu", minute) in covers:
            aside[at(0, minute) // HOUR_MS, "board"] += energy[source, minute]
    had, inside = defaultdict(int), defaultdict(int)
    for minute in {minute for _, minute in covers}:
        hour = at(0, minute) // HOUR_MS
        graphics = next((name for name in ("gpu", "board") if (name, minute) in covers), None)
        parts = {"package": ["core"], "host": [graphics, "package"]}
        if ("package", minute) not in covers:
            parts["host"].append("core")
        for container, within in parts.items():
            found = [name for name in within if (name, minute) in covers]
            if (container, minute) in covers and found:
                had[hour, container] += energy[container, minute]
                inside[hour, container] += sum(energy[name, minute] for name in found)
    for key, most in had.items():
        aside[key] += min(most, inside[key])
    return {key: value for key, value in aside.items() if value}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    readings=st.lists(
        st.tuples(st.sampled_from(sorted(WITHIN)), st.integers(0, 400), st.integers(1, 400), st.integers(0, 10**10)),
        min_size=1,
        max_size=10,
        unique_by=lambda reading: reading[:3],
    ),
)
def test_kept_and_set_aside_add_up_to_the_readings(organisation, readings):
    with transaction.atomic():
        for source, start, minutes, energy in readings:
            add(attribution_of(organisation, source), at(0, start), at(0, start + minutes), energy)
        for source in WITHIN:
            source_of(organisation, source)
            place(
                organisation,
                source,
                within=WITHIN[source],
                device=DEVICE[source],
                precedence=PRECEDENCE.get(source, 100),
            )
        services.settle(organisation.pk)
        stored: dict[tuple[int, str], int] = defaultdict(int)
        for hour, name, energy in SetAside.objects.values_list(
            "hour", "attribution__source__name", "energy_microwatt_hours"
        ):
            stored[hour, name] += energy
        assert {key: value for key, value in stored.items() if value} == expected(readings)
        kept = sum(LedgerHour.objects.values_list("it_energy_milliwatt_hours", flat=True))
        whole = sum(energy for *_, energy in readings)
        assert abs(kept * 1000 + sum(stored.values()) - whole) <= 500 * LedgerHour.objects.count()
        assert all(value >= 0 for value in LedgerHour.objects.values_list("it_energy_milliwatt_hours", flat=True))
        transaction.set_rollback(True)
