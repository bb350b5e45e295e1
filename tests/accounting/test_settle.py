"""From readings to ledger rows, through the door that tasks and the command use."""

from __future__ import annotations

import threading
from collections import defaultdict
from datetime import date
from fractions import Fraction
from io import StringIO
from math import floor

import pytest
from django.core.management import call_command
from django.db import close_old_connections, connection, connections, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.accounting import rollup, services, tasks
from apps.accounting.models import LedgerDay, LedgerHour, MarketRate, Posting, RebuiltDay
from apps.accounting.queries import LedgerQuery, ledger_frame, ledger_status, ledger_total
from apps.core.units import round_half_up
from apps.core.windows import HOUR_MS
from apps.organisations.models import Team
from apps.sites.models import PuePeriod, Site
from apps.telemetry.models import Boundary, DirtyHour, Reading, Source, TeamName
from tests.accounting.readings import KWH, Q3, add, at, attribution_of, mark, team_name_of

pytestmark = pytest.mark.django_db

STORED = (
    "hour",
    "account_id",
    "it_energy_milliwatt_hours",
    "facility_energy_milliwatt_hours",
    "location_mg",
    "tokens",
    "requests",
    "readings",
    "covered_ms",
)


def hours(organisation):
    rows = LedgerHour.objects.filter(organisation=organisation).order_by("hour", "account_id")
    return list(rows.values(*STORED))


def days(organisation):
    rows = LedgerDay.objects.filter(organisation=organisation).order_by("day", "account_id")
    return list(rows.values("day", "month", *STORED[1:]))


def set_pue(site, ppm, start=date(2026, 1, 1), end=None):
    return PuePeriod.unscoped.create(
        organisation=site.organisation, site=site, start=start, end=end, pue_ppm=ppm, source="meter"
    )


def test_it_books_a_reading_in_its_hour(organisation, site, publish):
    publish("DE", "400")
    set_pue(site, 1_250_000)
    add(attribution_of(organisation, site=site), at(5), at(5, 30), 2 * KWH, tokens=10)

    assert services.settle(organisation.pk) == 1

    [row] = hours(organisation)
    assert row["hour"] == at(5) // HOUR_MS
    assert row["it_energy_milliwatt_hours"] == 2_000_000
    assert row["facility_energy_milliwatt_hours"] == 2_500_000
    assert row["location_mg"] == 1_000_000  # 2.5 kWh at 400 g
    assert (row["tokens"], row["requests"]) == (10, None)
    assert (row["readings"], row["covered_ms"]) == (1, HOUR_MS // 2)
    assert days(organisation)[0]["location_mg"] == 1_000_000
    assert ledger_status(organisation.pk).pending_hours == 0
    assert ledger_status(organisation.pk).last_settled_at is not None


def test_it_rounds_once_per_account_and_hour(organisation, site):
    row = attribution_of(organisation, site=site)
    for minute in range(10):
        add(row, at(5, minute), at(5, minute + 1), 450)  # 0.45 mWh each
    services.settle(organisation.pk)
    assert [row["it_energy_milliwatt_hours"] for row in hours(organisation)] == [5]  # 4.5, half up


def test_it_gives_the_same_rows_again(organisation, site):
    row = attribution_of(organisation, site=site)
    for minute in range(0, 180, 7):
        add(row, at(0, minute), at(0, minute + 7), 123_457 * (minute + 1), tokens=minute)
    services.settle(organisation.pk)
    before = hours(organisation), days(organisation)
    mark(organisation.pk, at(0), at(4))
    services.settle(organisation.pk)
    assert (hours(organisation), days(organisation)) == before


def test_late_readings_and_another_order_change_nothing(organisation, other_organisation):
    spans = [(at(1), at(1, 20)), (at(1, 20), at(3, 10)), (at(23, 50), at(25)), (at(2), at(2, 30))]
    for owner, order, settle_between in ((organisation, spans, False), (other_organisation, spans[::-1], True)):
        row = attribution_of(owner)
        for start, end in order:
            add(row, start, end, (end - start) * 1_000 + 1)
            if settle_between:
                services.settle(owner.pk)
        services.settle(owner.pk)
    one = [{**row, "account_id": 0} for row in hours(organisation)]
    assert one == [{**row, "account_id": 0} for row in hours(other_organisation)]


def test_a_reading_across_hours_is_split_by_time(organisation):
    add(attribution_of(organisation), at(1, 45), at(3, 15), 90_000, tokens=9)
    services.settle(organisation.pk)
    rows = hours(organisation)
    assert [row["it_energy_milliwatt_hours"] for row in rows] == [15, 60, 15]
    assert [row["tokens"] for row in rows] == [1, 6, 2]
    assert [row["requests"] for row in rows] == [None, None, None]
    assert [row["covered_ms"] for row in rows] == [HOUR_MS // 4, HOUR_MS, HOUR_MS // 4]


def test_a_reading_of_31_days_loses_nothing(organisation):
    energy = 987_654_321_987_654_000
    add(attribution_of(organisation), at(0) + 1, at(31 * 24) + 1, energy, tokens=10**15 + 7)
    services.settle(organisation.pk)
    total = ledger_total(LedgerQuery(organisation.pk, Q3, scope="unassigned"))
    rows = LedgerHour.objects.count()
    assert rows == 31 * 24 + 1
    assert abs(total["it_energy_milliwatt_hours"] - energy // 1000) <= rows / 2
    assert total["tokens"] == 10**15 + 7
    assert total["covered_ms"] == 31 * 24 * HOUR_MS


def test_one_dirty_hour_inside_a_long_reading_is_rebuilt_alone(organisation):
    add(attribution_of(organisation), at(1, 30), at(30), 999_999)
    services.settle(organisation.pk)
    before = hours(organisation)
    mark(organisation.pk, at(26), at(27))
    services.settle(organisation.pk)
    assert hours(organisation) == before


def test_facility_energy_is_not_multiplied_again(organisation, site):
    set_pue(site, 1_250_000)
    add(attribution_of(organisation, site=site, boundary=Boundary.FACILITY), at(5), at(6), 10 * KWH)
    services.settle(organisation.pk)
    [row] = hours(organisation)
    assert row["facility_energy_milliwatt_hours"] == 10_000_000
    assert row["it_energy_milliwatt_hours"] == 8_000_000


def test_without_a_factor_emissions_are_absent_and_not_zero(organisation, site):
    add(attribution_of(organisation, site=site), at(5), at(6), KWH)
    services.settle(organisation.pk)
    total = ledger_total(LedgerQuery(organisation.pk, Q3))
    assert hours(organisation)[0]["location_mg"] is None
    assert str(total["location_mg"]) == "<NA>"
    assert total["without_factor_milliwatt_hours"] == total["facility_energy_milliwatt_hours"] == 1_000_000


def test_energy_without_a_site_is_kept_without_emissions_until_its_source_gets_one(organisation, site, publish):
    publish("DE", "400")
    set_pue(site, 1_500_000)
    add(attribution_of(organisation, "rack-9"), at(5), at(6), KWH)
    services.settle(organisation.pk)
    unassigned = LedgerQuery(organisation.pk, Q3, scope="unassigned")
    assert ledger_total(unassigned)["facility_energy_milliwatt_hours"] == 1_000_000

    Source.objects.of(organisation).update(site=site)
    services.settle(organisation.pk)

    assert ledger_total(unassigned)["facility_energy_milliwatt_hours"] == 0
    total = ledger_total(LedgerQuery(organisation.pk, Q3))
    assert (total["facility_energy_milliwatt_hours"], total["location_mg"]) == (1_500_000, 600_000)


def test_a_team_name_mapped_afterwards_moves_its_energy(organisation, site):
    add(attribution_of(organisation, team="Computer Vision", site=site), at(5), at(6), KWH)
    services.settle(organisation.pk)
    query = LedgerQuery(organisation.pk, Q3, ("team",))
    assert ledger_frame(query)["team"].tolist() == [None]

    team = Team.unscoped.create(organisation=organisation, slug="vision", name="Vision")
    TeamName.objects.of(organisation).update(team=team)
    services.settle(organisation.pk)

    assert ledger_frame(query)["team"].tolist() == ["vision"]
    assert ledger_frame(query)["it_energy_milliwatt_hours"].tolist() == [1_000_000]


def test_a_changed_pue_changes_the_hours_it_holds_for(organisation, site, publish):
    publish("DE", "400")
    row = attribution_of(organisation, site=site)
    add(row, at(5), at(6), KWH)
    add(row, at(24 * 40), at(24 * 40 + 1), KWH)
    set_pue(site, 1_200_000)
    services.settle(organisation.pk)
    set_pue(site, 1_100_000, start=date(2026, 8, 1))

    assert services.settle(organisation.pk) == 1

    assert [row["facility_energy_milliwatt_hours"] for row in hours(organisation)] == [1_200_000, 1_100_000]
    assert [row["location_mg"] for row in hours(organisation)] == [480_000, 440_000]


def test_a_factor_published_later_fills_in_emissions(organisation, site, publish):
    add(attribution_of(organisation, site=site), at(5), at(6), KWH)
    services.settle(organisation.pk)
    publish("DE", "333.333333")
    services.settle(organisation.pk)
    assert hours(organisation)[0]["location_mg"] == 333_333


def test_a_replaced_reading_leaves_nothing_behind(organisation):
    row = attribution_of(organisation)
    add(row, at(5), at(6), 5 * KWH)
    services.settle(organisation.pk)
    Reading.objects.filter(organisation=organisation).delete()
    add(row, at(5), at(6), 3 * KWH)
    services.settle(organisation.pk)
    assert [row["it_energy_milliwatt_hours"] for row in hours(organisation)] == [3_000_000]
    Reading.objects.filter(organisation=organisation).delete()
    mark(organisation.pk, at(5), at(6))
    services.settle(organisation.pk)
    assert hours(organisation) == days(organisation) == []


def test_shares_add_up_to_the_reading(organisation, site):
    for name in ("a", "b", "c"):
        Team.unscoped.create(organisation=organisation, slug=name, name=name)
    row = attribution_of(organisation, site=site, shares=(("c", 333_334), ("a", 333_333), ("b", 333_333)))
    add(row, at(5), at(5, 30), 100_000_000, tokens=100, requests=None)
    add(row, at(5, 30), at(6, 30), 99_999_000, tokens=None)
    services.settle(organisation.pk)
    frame = ledger_frame(LedgerQuery(organisation.pk, Q3, ("team",)))
    assert frame["team"].tolist() == ["a", "b", "c"]
    assert frame["it_energy_milliwatt_hours"].sum() == 199_999
    assert frame["tokens"].tolist() == [33, 33, 34]
    assert frame["requests"].isna().all()
    assert frame["covered_ms"].sum() == 90 * 60_000


def test_shares_that_are_equal_go_by_name(organisation):
    row = attribution_of(organisation, shares=(("zeta", 500_000), ("alpha", 500_000)))
    for name in ("zeta", "alpha"):
        team = Team.unscoped.create(organisation=organisation, slug=name, name=name)
        TeamName.objects.of(organisation).filter(name=name).update(team=team)
    add(row, at(5), at(6), 1_001, tokens=1)
    services.settle(organisation.pk)
    frame = ledger_frame(LedgerQuery(organisation.pk, Q3, ("team",), scope="unassigned"))
    assert dict(zip(frame["team"], frame["tokens"], strict=True)) == {"alpha": 1, "zeta": 0}


def test_shares_mapped_to_one_team_are_one_account(organisation, team):
    row = attribution_of(organisation, shares=(("x", 400_000), ("y", 600_000)))
    add(row, at(5), at(6), 1_000_000)
    services.settle(organisation.pk)
    assert Posting.objects.count() == 1
    TeamName.objects.of(organisation).filter(name="y").update(team=team)
    services.settle(organisation.pk)
    frame = ledger_frame(LedgerQuery(organisation.pk, Q3, ("team",), scope="unassigned"))
    assert dict(zip(frame["team"], frame["it_energy_milliwatt_hours"], strict=True)) == {"vision": 600, None: 400}


def test_an_attribution_that_appears_during_a_rebuild_is_posted(organisation, monkeypatch):
    add(attribution_of(organisation, "late"), at(5), at(6), KWH)
    looked = []

    def looks_too_early(organisation_id):
        looked.append(organisation_id)
        return 0 if len(looked) == 1 else post_new(organisation_id)

    post_new = services.accounts.post_new
    monkeypatch.setattr(services.accounts, "post_new", looks_too_early)
    services.settle(organisation.pk)
    assert len(looked) == 2
    assert [row["it_energy_milliwatt_hours"] for row in hours(organisation)] == [1_000_000]


def test_a_mark_that_arrives_during_a_rebuild_survives(organisation, monkeypatch):
    row = attribution_of(organisation)
    add(row, at(5), at(6), KWH)
    write = rollup._write_hours

    def write_and_receive(organisation_id, first, end):
        write(organisation_id, first, end)
        monkeypatch.setattr(rollup, "_write_hours", write)
        add(row, at(5, 10), at(5, 20), KWH)

    monkeypatch.setattr(rollup, "_write_hours", write_and_receive)
    services.settle(organisation.pk)
    assert [row["it_energy_milliwatt_hours"] for row in hours(organisation)] == [2_000_000]


def test_a_worker_killed_half_way_leaves_everything_to_the_next(organisation, monkeypatch):
    add(attribution_of(organisation), at(5), at(6), KWH)
    write = rollup._write_hours

    def die(organisation_id, first, end):
        write(organisation_id, first, end)
        raise KeyboardInterrupt

    monkeypatch.setattr(rollup, "_write_hours", die)
    with pytest.raises(KeyboardInterrupt):
        services.settle(organisation.pk)
    assert ledger_status(organisation.pk).pending_hours == 1
    assert hours(organisation) == []
    monkeypatch.setattr(rollup, "_write_hours", write)
    tasks.settle(organisation.pk)
    assert len(hours(organisation)) == 1


def test_a_worker_killed_before_the_market_rates_leaves_them_to_the_next(organisation, site, publish, monkeypatch):
    publish("DE", "400")
    add(attribution_of(organisation, site=site), at(5), at(6), KWH)

    def die(organisation_id):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(services.market, "refresh_rebuilt", die)
        with pytest.raises(KeyboardInterrupt):
            services.settle(organisation.pk)
    assert not MarketRate.objects.of(organisation).exists()
    assert organisation.pk in services.organisations_to_settle()
    tasks.settle(organisation.pk)
    assert MarketRate.objects.of(organisation).get().market_mg == 400_000
    assert not RebuiltDay.objects.exists()


def test_other_organisations_are_left_alone(organisation, other_organisation):
    add(attribution_of(organisation), at(5), at(6), KWH)
    add(attribution_of(other_organisation), at(5), at(6), 7 * KWH)
    services.settle(organisation.pk)
    assert ledger_status(other_organisation.pk).pending_hours == 1
    assert hours(other_organisation) == []
    services.settle()
    assert [row["it_energy_milliwatt_hours"] for row in hours(other_organisation)] == [7_000_000]
    assert [row["it_energy_milliwatt_hours"] for row in hours(organisation)] == [1_000_000]


def test_the_sweep_queues_who_has_something_pending(organisation, other_organisation, monkeypatch):
    queued = []
    monkeypatch.setattr(tasks.settle, "delay", queued.append)
    services.settle()
    tasks.sweep()
    assert queued == []
    add(attribution_of(organisation), at(5), at(6), KWH)
    Site.unscoped.create(
        organisation=other_organisation, code="x", name="X", control="owned", country="FR", grid_zone="FR", market="FR"
    )
    tasks.sweep()
    assert queued == [organisation.pk, other_organisation.pk]


def test_the_command_says_what_is_pending(organisation):
    add(attribution_of(organisation), at(5), at(6), KWH)
    out = StringIO()
    call_command("settle", "--organisation", "acme", stdout=out, stderr=StringIO())
    assert out.getvalue() == "0 hours pending\n"
    assert not DirtyHour.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_give_the_rows_of_one(organisation, site, team):
    team_name_of(organisation, "vision")
    rows = [attribution_of(organisation, f"gpu{i}", team="vision", site=site) for i in range(4)]
    for row in rows:
        for hour in range(0, 24 * 4, 3):
            add(row, at(hour), at(hour + 1.5), 1_234_567 * (hour + 1))
    failures = []

    def work():
        try:
            services.settle(organisation.pk)
        except Exception as error:
            failures.append(error)
        finally:
            connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    close_old_connections()
    assert failures == []
    assert ledger_status(organisation.pk).pending_hours == 0
    before = hours(organisation), days(organisation)
    assert len(before[0]) == 4 * 24 * 4 * 2 // 3
    mark(organisation.pk, at(0), at(24 * 4))
    services.settle(organisation.pk)
    assert (hours(organisation), days(organisation)) == before


@pytest.mark.django_db(transaction=True)
def test_a_day_that_another_worker_holds_is_left_to_it(organisation):
    if connection.vendor != "postgresql":
        return  # SQLite has one writer: nobody else can hold a day
    add(attribution_of(organisation), at(5), at(6), KWH)
    services.inputs.refresh(organisation.pk)
    held, done = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            rollup.locks.lock(organisation.pk, at(5) // HOUR_MS // 24)
            held.set()
            done.wait(30)
        connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    assert services.settle(organisation.pk, wait=False) == 0
    assert ledger_status(organisation.pk).pending_hours == 1
    done.set()
    holder.join(30)
    assert services.settle(organisation.pk) == 1


def expected_rows(readings, pue, factor):
    """The ledger's (hour, account) rows worked out with exact fractions, reading by reading."""
    energy = defaultdict(int)
    covered = defaultdict(int)
    for device, boundary, start, end, microwatt_hours in readings:
        for hour in range(start // HOUR_MS, -(-end // HOUR_MS)):
            since, upto = max(start, hour * HOUR_MS) - start, min(end, (hour + 1) * HOUR_MS) - start
            part = [floor(Fraction(microwatt_hours * t, end - start)) for t in (since, upto)]
            energy[hour, device, boundary] += part[1] - part[0]
            covered[hour, device, boundary] += upto - since
    rows = {}
    for key, microwatt_hours in energy.items():
        measured = round_half_up(Fraction(microwatt_hours, 1000))
        if key[2] == Boundary.FACILITY:
            it, facility = round_half_up(Fraction(measured * 10**6, pue)), measured
        else:
            it, facility = measured, round_half_up(Fraction(measured * pue, 10**6))
        rows[key] = (it, facility, round_half_up(Fraction(facility * factor, 10**9)), covered[key])
    return rows


readings_of_devices = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([Boundary.ACCELERATOR, Boundary.FACILITY]),
        st.integers(0, 3 * 24 * 60),
        st.integers(1, 4_000),
        st.integers(0, 10**13),
    ),
    min_size=1,
    max_size=10,
    unique_by=lambda reading: (reading[0], reading[2], reading[3]),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(readings=readings_of_devices, pue=st.integers(1_000_000, 2_000_000))
def test_every_row_is_what_exact_fractions_give(organisation, site, publish, readings, pue):
    with transaction.atomic():
        publish("DE", "371.234567")
        set_pue(site, pue)
        placed = [(d, b, at(0, start), at(0, start + minutes), energy) for d, b, start, minutes, energy in readings]
        for device, boundary, start, end, energy in placed:
            add(attribution_of(organisation, f"gpu{device}", site=site, boundary=boundary), start, end, energy)
        services.settle(organisation.pk)
        rows = {
            (hour, int(name.removeprefix("gpu")), boundary): tuple(figures)
            for hour, name, boundary, *figures in LedgerHour.objects.values_list(
                "hour", "account__source__name", "account__boundary",
                "it_energy_milliwatt_hours", "facility_energy_milliwatt_hours", "location_mg", "covered_ms",
            )
        }  # fmt: skip
        assert rows == expected_rows(placed, pue, 371_234_567)
        transaction.set_rollback(True)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    readings=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 200), st.integers(1, 4_000), st.integers(0, 10**13)),
        min_size=1,
        max_size=12,
        unique_by=lambda reading: reading[:3],
    )
)
def test_no_energy_is_lost_or_made(organisation, readings):
    with transaction.atomic():
        for device, start, minutes, energy in readings:
            add(attribution_of(organisation, f"gpu{device}"), at(start), at(start, minutes), energy)
        services.settle(organisation.pk)
        total = ledger_total(LedgerQuery(organisation.pk, Q3, scope="unassigned"))
        assert (
            abs(total["it_energy_milliwatt_hours"] * 1000 - sum(energy for *_, energy in readings))
            <= 500 * LedgerHour.objects.count()
        )
        assert total["covered_ms"] == sum(minutes for _, _, minutes, _ in readings) * 60_000
        transaction.set_rollback(True)
