"""Energy between meter readings, as it stands in the accounts once the hours settle."""

from __future__ import annotations

import pytest

from apps.accounting import services
from apps.accounting.models import LedgerHour
from apps.accounting.queries import LedgerQuery, ledger_frame
from apps.organisations.models import Team
from apps.telemetry.models import (
    DERIVED,
    Attribution,
    Meter,
    MeterFinding,
    MeterKind,
    MeterReading,
    Quantity,
    Reading,
    Source,
)
from tests.accounting.readings import KWH, Q3, add, at, attribution_of, mark
from tests.telemetry.meters.making import WORK, gpu, meter_of, read, series_of

pytestmark = pytest.mark.django_db

J_PER_KWH = 3_600_000


def derived(organisation, *fields):
    rows = Reading.objects.filter(organisation=organisation, receipt_id=DERIVED).order_by("start_ms", "source_id")
    return list(rows.values_list(*(fields or ("start_ms", "end_ms", "energy_microwatt_hours"))))


def figure(organisation, by="team"):
    services.settle(organisation.pk)
    frame = ledger_frame(LedgerQuery(organisation.pk, Q3, (by,), scope="all"))
    return {name or "": value for name, value in zip(frame[by], frame["it_energy_milliwatt_hours"], strict=True)}


def findings(organisation):
    return list(MeterFinding.objects.of(organisation).order_by("at_ms").values_list("finding", flat=True))


def test_a_counter_gives_one_reading_an_hour_and_no_joule_is_lost(organisation):
    series = gpu(organisation)
    read(series, *((15 * i, 5_000_000 + 9_000.5 * i) for i in range(2, 11)))
    services.settle(organisation.pk)
    rows = derived(organisation)
    assert [row[:2] for row in rows] == [(at(0, 30), at(1)), (at(1), at(2)), (at(2), at(2, 30))]
    assert sum(row[2] for row in rows) == 8 * 9_000.5 * 2500 // 9
    assert LedgerHour.objects.count() == 3


def test_what_arrives_late_or_out_of_order_gives_the_same(organisation):
    series = gpu(organisation)
    points = [(7 * i, 1e9 + 1_234.567 * i * i) for i in range(30)]
    read(series, *points[20:], *points[3:9])
    services.settle(organisation.pk)
    read(series, *points[:3], *points[9:20])
    services.settle(organisation.pk)
    late = derived(organisation)
    MeterReading.objects.all().delete()
    read(series, *points)
    services.settle(organisation.pk)
    assert derived(organisation) == late
    services.settle(organisation.pk)
    assert derived(organisation) == late


def test_hours_derived_one_by_one_are_the_hours_derived_together(organisation):
    series = gpu(organisation)
    read(series, (50, 1_000), (200, 777_777.7), (500, 888_888.1), (501, 3.5))
    services.settle(organisation.pk)
    together = derived(organisation)
    for hour in (7, 2, 0, 5, 3, 8, 1, 4, 6):
        mark(organisation.pk, at(hour), at(hour + 1))
        services.settle(organisation.pk)
    assert derived(organisation) == together


def test_a_pod_that_moves_takes_its_part_and_no_interval_is_lost(organisation):
    read(gpu(organisation, team="red"), (0, 100), (10, 3_700), (20, None))
    read(gpu(organisation, team="blue"), (20, 10_900), (30, 14_500))
    assert figure(organisation, "source") == {"GPU-1": 4_000}
    assert derived(organisation, "attribution__team_name__name", "energy_microwatt_hours") == [
        ("red", 1_000_000),
        ("blue", 3_000_000),
    ]


def test_instances_of_one_gpu_count_once_in_equal_shares(organisation):
    for name in ("red", "blue"):
        Team.unscoped.create(organisation=organisation, slug=name, name=name)
    red, blue = gpu(organisation, team="red"), gpu(organisation, team="blue", label="i")
    twice = series_of(red.meter, red.attribution, "second slice of the same team")
    for series in (red, blue, twice):
        read(series, (0, 1_000), (30, 361_000))
    assert figure(organisation) == {"blue": 50_000, "red": 50_000}
    assert Attribution.objects.of(organisation).filter(has_shares=True).count() == 1
    read(red, (40, 397_000))
    assert figure(organisation) == {"blue": 50_000, "red": 60_000}


def test_a_restart_counts_what_stands_after_it(organisation):
    read(gpu(organisation), (0, 50_000), (1, 53_600), (2, 7_200))
    assert figure(organisation, "source") == {"GPU-1": 3_000}
    assert findings(organisation) == ["reset"]


def test_a_lifetime_is_never_counted(organisation):
    read(gpu(organisation), (1, 5_000_100, 0), (2, 5_003_700, 0))
    assert figure(organisation, "source") == {"GPU-1": 1_000}
    assert findings(organisation) == ["held_back"]
    held = MeterFinding.objects.of(organisation).get()
    assert held.energy_microwatt_hours == 1_388_916_667
    Meter.objects.of(organisation).update(start_policy=2)
    mark(organisation.pk, at(0), at(1))
    assert figure(organisation, "source") == {"GPU-1": 1_389_917}
    assert findings(organisation) == []


def test_a_first_value_counts_into_the_hour_before(organisation):
    read(gpu(organisation), (60, 3_600, 60 - 1 / 60_000), (61, 7_200, 60 - 1 / 60_000))
    services.settle(organisation.pk)
    assert derived(organisation) == [(at(0, 59), at(1), 1_000_000), (at(1), at(1, 1), 1_000_000)]


def test_a_gauge_ends_with_its_series_and_is_not_carried_over_a_silence(organisation):
    series = gpu(organisation, kind=MeterKind.GAUGE, unit="W", longest_gap_s=300)
    read(series, (0, 100), (3, 200), (4, None), (6, 500), (20, 500), (21, 500))
    services.settle(organisation.pk)
    assert derived(organisation) == [(at(0), at(0, 3), 7_500_000), (at(0, 20), at(0, 21), 8_333_333)]
    assert findings(organisation) == ["silent"]


def test_work_and_energy_of_one_time_stand_in_one_reading(organisation):
    energy = gpu(organisation, "server")
    prompt = series_of(meter_of(organisation, energy.attribution, "prompt", **WORK), energy.attribution)
    given = series_of(meter_of(organisation, energy.attribution, "generation", **WORK), energy.attribution)
    asked = meter_of(organisation, energy.attribution, "requests", **WORK | {"quantity": Quantity.REQUESTS})
    read(energy, (0, 0), (10, 3_600))
    read(prompt, (0, 1e6), (10, 1e6 + 500))
    read(given, (0, 2e6), (10, 2e6 + 70))
    read(series_of(asked, energy.attribution), (0, 5), (10, 9))
    services.settle(organisation.pk)
    fields = ("energy_microwatt_hours", "tokens", "requests", "samples")
    assert derived(organisation, *fields) == [(1_000_000, 570, 4, None)]


def test_work_of_another_model_in_the_same_time_is_kept_apart(organisation):
    energy = gpu(organisation, "server", "red")
    other = attribution_of(organisation, "server", "blue")
    read(energy, (0, 0), (10, 3_600))
    read(series_of(meter_of(organisation, other, "prompt", **WORK), other), (0, 0), (10, 101))
    services.settle(organisation.pk)
    rows = derived(organisation, "attribution__team_name__name", "energy_microwatt_hours", "tokens")
    assert {(team, energy) for team, energy, tokens in rows if tokens is None} == {("red", 1_000_000)}
    assert sum(tokens or 0 for team, _, tokens in rows if team == "blue") == 101


def test_an_interval_that_was_sent_with_the_same_key_is_added_to(organisation):
    series = gpu(organisation)
    add(series.attribution, at(0), at(0, 10), KWH)
    read(series, (0, 0), (10, 3_600))
    assert figure(organisation, "source") == {"GPU-1": 1_001_000}


def test_increments_stay_single_where_another_source_measures_the_device(organisation):
    series = gpu(organisation)
    read(series, *((i, 60 * i) for i in range(5)))
    services.settle(organisation.pk)
    assert len(derived(organisation)) == 1
    add(attribution_of(organisation, "driver"), at(0), at(1), KWH)
    Source.objects.of(organisation).filter(name="driver").update(device="GPU-1")
    services.settle(organisation.pk)
    assert len(derived(organisation)) == 4


def test_readings_that_go_leave_nothing_behind(organisation):
    series = gpu(organisation)
    read(series, (0, 0), (10, 3_600))
    services.settle(organisation.pk)
    MeterReading.objects.all().delete()
    mark(organisation.pk, at(0), at(1))
    services.settle(organisation.pk)
    assert derived(organisation) == []
    assert not LedgerHour.objects.exists()


def test_a_silence_of_more_than_a_month_is_held_back(organisation):
    series = gpu(organisation)
    read(series, (0, 0), (32 * 1440, 3_600_000), (32 * 1440 + 1, 3_603_600))
    assert figure(organisation, "source") == {"GPU-1": 1_000}
    assert findings(organisation) == ["held_back"]


def test_a_gap_of_days_is_spread_over_all_of_it(organisation):
    series = gpu(organisation)
    read(series, (30, 0), (3 * 1440 + 30, 72 * 3_600))
    services.settle(organisation.pk)
    rows = derived(organisation)
    assert len(rows) == 73
    assert {row[2] for row in rows[1:-1]} == {1_000_000}
    assert sum(row[2] for row in rows) == 72 * 1_000_000


def test_nobody_else_is_touched(organisation, other_organisation):
    read(gpu(organisation), (0, 0), (10, 3_600))
    read(gpu(other_organisation), (0, 0), (10, 7_200))
    assert figure(organisation, "source") == {"GPU-1": 1_000}
    assert figure(other_organisation, "source") == {"GPU-1": 2_000}
