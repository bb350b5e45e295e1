"""Reading the ledger: groups, filters, scopes, windows, coverage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.accounting import services
from apps.accounting.queries import (
    DIMENSIONS,
    LedgerQuery,
    ledger_extent,
    ledger_frame,
    ledger_total,
    location_rates,
    source_coverage,
)
from apps.core.windows import HOUR_MS, Window, epoch_ms
from apps.organisations.models import Team
from apps.sites.models import Site
from apps.telemetry.models import Boundary, Method, Source
from apps.workloads.models import AIModel, HardwareProfile, Kind, Study, Workload
from tests.accounting.readings import JULY, KWH, Q3, add, at, attribution_of

pytestmark = pytest.mark.django_db

ENERGIES = ("it_energy_milliwatt_hours", "facility_energy_milliwatt_hours")
ADDED = (*ENERGIES, "location_mg", "market_mg", "tokens")


@pytest.fixture
def sites(organisation, publish):
    publish("DE", "350.5")
    publish("SE", "20.123456")
    publish("US", "400")

    def make(code, control, zone):
        return Site.unscoped.create(
            organisation=organisation, code=code, name=code.upper(), control=control, country=zone, grid_zone=zone,
            market=zone,
        )  # fmt: skip

    return {
        "owned": make("owned", "owned", "DE"),
        "colo": make("colo", "colocation", "SE"),
        "cloud": make("cloud", "cloud", "US"),
        "bare": make("bare", "leased", "XX"),
    }


@pytest.fixture
def teams(organisation):
    return [Team.unscoped.create(organisation=organisation, slug=name, name=name.title()) for name in ("nlp", "vision")]


def test_cloud_sites_stay_out_of_scope_2(organisation, sites):
    for i, code in enumerate(("owned", "colo", "cloud")):
        add(attribution_of(organisation, f"gpu{i}", site=sites[code]), at(i), at(i + 1), KWH * 10**i)
    add(attribution_of(organisation, "stray"), at(1), at(2), 5 * KWH)
    services.settle(organisation.pk)
    assert ledger_total(LedgerQuery(organisation.pk, Q3))["it_energy_milliwatt_hours"] == 11_000_000
    cloud = ledger_total(LedgerQuery(organisation.pk, Q3, scope="3"))
    assert (cloud["it_energy_milliwatt_hours"], cloud["location_mg"]) == (100_000_000, 40_000_000)
    assert str(cloud["market_mg"]) == "<NA>"
    stray = ledger_total(LedgerQuery(organisation.pk, Q3, scope="unassigned"))
    assert (stray["it_energy_milliwatt_hours"], str(stray["location_mg"])) == (5_000_000, "<NA>")
    frame = ledger_frame(LedgerQuery(organisation.pk, Q3, ("site",), scope="all"))
    assert list(zip(frame["site"], frame["scope"], strict=True)) == [
        ("cloud", "3"), ("colo", "2"), ("owned", "2"), (None, "unassigned"),
    ]  # fmt: skip


def test_filters_take_several_values_and_none(organisation, sites, teams):
    for i, team in enumerate(("nlp", "vision", "", "someone new")):
        add(attribution_of(organisation, f"gpu{i}", team=team, site=sites["owned"]), at(i), at(i + 1), KWH * 10**i)
    services.settle(organisation.pk)

    def energy(**filters):
        total = ledger_total(LedgerQuery(organisation.pk, Q3, filters=filters))
        return total["it_energy_milliwatt_hours"] // 1_000_000

    assert energy() == 1111
    assert energy(team=("nlp",)) == 1
    assert energy(team=("nlp", "vision")) == 11
    assert energy(team=("",)) == 1100
    assert energy(team=("", "nlp")) == 1101
    assert energy(team=("nobody",)) == 0
    assert energy(team=()) == 0
    assert energy(source=("gpu0", "gpu3"), team=("nlp", "")) == 1001
    assert energy(site=("owned", "colo"), market=("DE", "SE")) == 1111


def test_filters_go_by_every_dimension(organisation, sites, teams):
    model = AIModel.unscoped.create(organisation=organisation, slug="resnet", name="ResNet")
    run = Workload.unscoped.create(organisation=organisation, name="run 1")
    sweep = Study.unscoped.create(organisation=organisation, name="sweep")
    card = HardwareProfile.objects.create(
        code="h100", name="H100", vendor="NVIDIA", kind="GPU", scope="one device", source_title="t", licence="l"
    )
    add(
        attribution_of(organisation, "a", team="nlp", site=sites["owned"], model=model, workload=run, hardware=card,
                       kind=Kind.TRAINING, study=sweep, boundary=Boundary.NODE),
        at(30), at(31), KWH,
    )  # fmt: skip
    add(attribution_of(organisation, "b", site=sites["colo"]), at(24 * 40), at(24 * 40 + 1), 2 * KWH)
    services.settle(organisation.pk)
    wanted = {
        "team": "nlp", "model": "resnet", "workload": "run 1", "kind": "training", "site": "owned", "market": "DE",
        "hardware": "h100", "source": "a", "hour": "2026-07-02T06:00:00Z", "day": "2026-07-02", "month": "2026-07",
        "quarter": "2026-Q3", "study": "sweep", "boundary": "node",
    }  # fmt: skip
    assert set(wanted) == set(DIMENSIONS)
    for name, value in wanted.items():
        frame = ledger_frame(LedgerQuery(organisation.pk, Q3, (name,), filters={name: (value,)}))
        assert frame[name].tolist() == [value]
        assert frame["it_energy_milliwatt_hours"].sum() == (3_000_000 if name == "quarter" else 1_000_000)
        assert ledger_frame(LedgerQuery(organisation.pk, Q3, (name,), filters={name: ("x",)})).empty
    full = ledger_frame(LedgerQuery(organisation.pk, Q3, DIMENSIONS))
    assert full["team_name"].tolist() == ["Nlp", None]
    assert full["model_name"].tolist() == ["ResNet", None]


def test_a_window_may_start_and_end_inside_a_day(organisation, sites):
    row = attribution_of(organisation, site=sites["owned"])
    for hour in range(24 * 4):
        add(row, at(hour), at(hour + 1), KWH)
    services.settle(organisation.pk)

    def energy(first, end, *group_by):
        window = Window(JULY + timedelta(hours=first), JULY + timedelta(hours=end))
        frame = ledger_frame(LedgerQuery(organisation.pk, window, group_by))
        return [value // 1_000_000 for value in frame["it_energy_milliwatt_hours"]]

    assert energy(0, 96) == [96]
    assert energy(5, 7) == [2]
    assert energy(20, 30) == [10]
    assert energy(5, 90) == [85]
    assert energy(5, 72) == [67]
    assert energy(24, 50, "day") == [24, 2]
    assert energy(5, 90, "month") == [85]
    assert energy(22, 26, "hour") == [1, 1, 1, 1]
    assert energy(5.5, 6.5) == [1]  # an hour that is cut counts whole, where it begins


def test_windows_that_meet_inside_an_hour_count_it_once(organisation, sites):
    add(attribution_of(organisation, site=sites["owned"]), at(0, 5), at(0, 25), KWH)
    services.settle(organisation.pk)
    half = JULY + timedelta(minutes=30)
    first, second = Window(JULY, half), Window(half, JULY + timedelta(hours=1))
    energies = [ledger_total(LedgerQuery(organisation.pk, w))["it_energy_milliwatt_hours"] for w in (first, second)]
    assert energies == [1_000_000, 0]
    for group in ("hour", "day", "month"):
        assert ledger_frame(LedgerQuery(organisation.pk, second, (group,))).empty


def test_an_empty_ledger_has_a_total(organisation):
    assert ledger_frame(LedgerQuery(organisation.pk, Q3, ("team", "hour"))).empty
    total = ledger_total(LedgerQuery(organisation.pk, Q3, ("team",)))
    assert total["facility_energy_milliwatt_hours"] == 0
    assert str(total["location_mg"]) == "<NA>"
    assert total["quality"] is None
    assert ledger_extent(organisation.pk) is None


def test_the_weakest_tier_of_five_percent_gives_the_letter(organisation, sites):
    def add_energy(method, kwh):
        row = attribution_of(organisation, method.label, site=sites["owned"], method=method)
        add(row, at(1), at(2), kwh * KWH)

    add_energy(Method.METERED, 900)
    add_energy(Method.MEASURED, 55)
    add_energy(Method.ESTIMATED, 45)
    services.settle(organisation.pk)
    total = ledger_total(LedgerQuery(organisation.pk, Q3))
    assert total["quality"] == "B"
    assert total["tier_d_milliwatt_hours"] == 45_000_000


def test_simulated_and_published_energy_is_told_apart(organisation, sites):
    model = AIModel.unscoped.create(organisation=organisation, slug="bloom", name="BLOOM", provenance="published")
    run = Workload.unscoped.create(organisation=organisation, name="fleet", provenance="simulated")
    add(attribution_of(organisation, "a", site=sites["owned"], model=model), at(1), at(2), KWH)
    add(attribution_of(organisation, "b", site=sites["owned"], workload=run), at(1), at(2), 2 * KWH)
    add(attribution_of(organisation, "c", site=sites["owned"]), at(1), at(2), 4 * KWH)
    services.settle(organisation.pk)
    total = ledger_total(LedgerQuery(organisation.pk, Q3))
    assert (total["published_milliwatt_hours"], total["simulated_milliwatt_hours"]) == (1_000_000, 2_000_000)


def test_nobody_reads_another_organisation(organisation, other_organisation, sites):
    add(attribution_of(organisation, site=sites["owned"]), at(1), at(2), KWH)
    services.settle()
    for scope in ("2", "all"):
        assert ledger_frame(LedgerQuery(other_organisation.pk, Q3, ("team",), scope=scope)).empty
    assert location_rates(other_organisation.pk, Q3) == []
    assert source_coverage(other_organisation.pk, Q3).empty


def test_unknown_dimensions_and_scopes_are_refused(organisation):
    with pytest.raises(ValueError, match="planet"):
        LedgerQuery(organisation.pk, Q3, ("planet",))
    with pytest.raises(ValueError, match="scope"):
        LedgerQuery(organisation.pk, Q3, scope="1")


def test_coverage_tells_gaps_silence_and_overlap(organisation):
    now = JULY + timedelta(days=10)
    for name, last in (("whole", 240), ("silent", 24), ("double", 240)):
        Source.unscoped.create(
            organisation=organisation, name=name, first_reading_at=JULY, last_reading_at=JULY + timedelta(hours=last)
        )
        row = attribution_of(organisation, name)
        for hour in range(0, last, 24):
            add(row, at(hour), at(hour + 24), KWH)
    add(attribution_of(organisation, "double"), at(5), at(7), KWH)
    Source.unscoped.create(organisation=organisation, name="never")
    services.settle(organisation.pk)
    frame = source_coverage(organisation.pk, Q3, now=now).set_index("source")
    assert frame["coverage"].to_dict() == {"whole": 1.0, "silent": 0.1, "double": 1.0, "never": 0.0}
    assert frame["silent"].to_dict() == {"whole": False, "silent": True, "double": False, "never": True}
    assert frame["overlap_ms"].to_dict() == {"whole": 0, "silent": 0, "double": 2 * HOUR_MS, "never": 0}
    assert frame["window_ms"].tolist() == [10 * 24 * HOUR_MS] * 4


groupings = st.lists(st.sampled_from(DIMENSIONS), unique=True, max_size=4).map(tuple)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    readings=st.lists(
        st.tuples(
            st.sampled_from(["owned", "colo", "cloud", "bare", ""]),
            st.sampled_from(["nlp", "vision", ""]),
            st.integers(0, 24 * 91),
            st.integers(1, 600),
            st.integers(0, 10**12),
        ),
        min_size=1,
        max_size=8,
        unique_by=lambda reading: (reading[0], reading[1], reading[2]),
    ),
    group_by=groupings,
    scope=st.sampled_from(["2", "all"]),
    hours=st.tuples(st.integers(0, 1_000), st.integers(1, 2_000)),
)
def test_any_grouping_adds_up_to_the_total(organisation, sites, teams, readings, group_by, scope, hours):
    with transaction.atomic():
        for site, team, start, minutes, energy in readings:
            place = {"site": sites[site]} if site else {}
            row = attribution_of(organisation, f"{site}-{team}", team=team, **place)
            add(row, at(start), at(start, minutes), energy, tokens=energy % 1000)
        services.settle(organisation.pk)
        for window in (Q3, Window(JULY + timedelta(hours=hours[0]), JULY + timedelta(hours=sum(hours)))):
            query = LedgerQuery(organisation.pk, window, group_by, scope=scope)
            frame, total = ledger_frame(query), ledger_total(query)
            for name in ADDED:
                known = frame[name].dropna()
                assert sum(known) == (0 if pd.isna(total[name]) else total[name])
                assert pd.isna(total[name]) == (known.empty and name not in ENERGIES)
        transaction.set_rollback(True)


def test_the_ledger_knows_its_extent(organisation):
    add(attribution_of(organisation), at(5), at(7), KWH)
    services.settle(organisation.pk)
    extent = ledger_extent(organisation.pk)
    assert (epoch_ms(extent.start), epoch_ms(extent.end)) == (at(5), at(7))
    assert extent.start == datetime(2026, 7, 1, 5, tzinfo=UTC)
