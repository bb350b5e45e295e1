"""What holds for any readings, through the live door: intake, settling, reading; overlap, pools, earmarks on."""

from __future__ import annotations

import json
import random
import time
from contextlib import contextmanager
from datetime import date, timedelta

import pandas as pd
import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.accounting import services
from apps.accounting.models import LedgerHour, MarketRate, SetAside
from apps.accounting.queries import DIMENSIONS, LedgerQuery, ledger_frame, ledger_total
from apps.core.windows import HOUR_MS, Window, epoch_ms
from apps.organisations.models import Organisation, Team
from apps.sites.models import PuePeriod, Site
from apps.telemetry import names
from apps.telemetry.intake import IntakeContext, store
from apps.telemetry.models import Boundary, DirtyHour, Method, Source
from apps.telemetry.protocols import samples
from tests.accounting.readings import JULY, Q3, add, at, attribution_of
from tests.accounting.test_market import buy

pytestmark = pytest.mark.django_db

ENERGIES = ("it_energy_milliwatt_hours", "facility_energy_milliwatt_hours")
ADDED = (*ENERGIES, "location_mg", "market_mg", "tokens", "accelerator_ms", "without_factor_milliwatt_hours")
# Two sources of one device, a source at another site, one in a cloud, one without a site, one that is idle.
SOURCES = {"bmc": "owned", "nvml": "owned", "gpu": "colo", "vm": "cloud", "stray": None, "spare": "owned"}


@pytest.fixture
def estate(organisation, publish):
    for zone, kg in {"DE": "371.234567", "SE": "20.123456", "US": "400"}.items():
        publish(zone, kg)
    publish("DE", "701.234567", kind="residual")
    sites = {}
    for code, control, zone in (("owned", "owned", "DE"), ("colo", "colocation", "SE"), ("cloud", "cloud", "US")):
        sites[code] = Site.unscoped.create(
            organisation=organisation, code=code, name=code, control=control, country=zone, grid_zone=zone, market=zone
        )
    PuePeriod.unscoped.create(
        organisation=organisation, site=sites["owned"], start=date(2026, 1, 1), pue_ppm=1_234_567, source="meter"
    )
    teams = [Team.unscoped.create(organisation=organisation, slug=name, name=name) for name in ("a", "b")]
    for name, site in SOURCES.items():
        device = {"device": "node", "precedence": 10 if name == "bmc" else 20} if name in ("bmc", "nvml") else {}
        Source.unscoped.create(organisation=organisation, name=name, site=sites[site] if site else None, **device)
    buy(organisation, 2, earmark_team=teams[0], co2e="12.345678")
    buy(organisation, 3, market="SE", reference="GO-2", earmark_team=teams[1])
    Organisation.objects.filter(pk=organisation.pk).update(
        market_allocation="earmarked", idle_policy="by_energy", difference_policy="by_accelerator_hours"
    )
    services.settle(organisation.pk)
    return organisation


readings = st.lists(
    st.tuples(
        st.sampled_from(list(SOURCES)),
        st.sampled_from(["a", "b", "nobody", None]),
        st.sampled_from(["m", None]),
        st.integers(0, 3 * 24 * 60),
        st.integers(1, 2_000),
        st.integers(0, 10**10),
    ),
    min_size=1,
    max_size=9,
    unique_by=lambda reading: (reading[0], *reading[3:5]),
)
ANY = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def row(reading):
    source, team, model, minute, minutes, microwatt_hours = reading
    start = JULY + timedelta(minutes=minute)
    said = {
        "source": source,
        "start": start.isoformat(),
        "end": (start + timedelta(minutes=minutes)).isoformat(),
        "energy_wh": microwatt_hours / 1e6,
        "work": {"tokens": microwatt_hours % 1_000},
        "kind": "idle" if source == "spare" else "inference",
        "accelerators": 8 if source == "gpu" else 1,
    }
    return said | ({"team": team} if team and source != "spare" else {}) | ({"model": model} if model else {})


def send(organisation, rows):
    batch = samples.decode(json.dumps(rows).encode(), samples.JSON, now_ms=int(time.time() * 1000), max_rows=50_000)
    store(batch, IntakeContext(organisation.pk))


@contextmanager
def undone():
    """Everything inside is taken back, and what the intake had remembered of it."""
    names.forget()
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
    names.forget()


def ledger(organisation):
    """The ledger, its set-asides and its market rates, by names: ids depend on the order of arrival."""
    rows = LedgerHour.objects.filter(organisation=organisation)
    who = ("account__source__name", "account__team__slug", "account__model__slug", "account__kind")
    figures = ("it_energy_milliwatt_hours", "facility_energy_milliwatt_hours", "location_mg", "tokens", "covered_ms")
    aside = SetAside.objects.filter(organisation=organisation)
    rates = MarketRate.objects.of(organisation).order_by("market")
    return (
        sorted(rows.values_list("hour", *who, *figures, "readings"), key=str),
        sorted(aside.values_list("hour", "attribution__source__name", "energy_microwatt_hours", "covered_ms")),
        list(rates.values_list("market", "covered_milliwatt_hours", "market_mg", "parts")),
    )


@ANY
@given(
    sent=readings,
    group_by=st.lists(st.sampled_from(DIMENSIONS), unique=True, max_size=3).map(tuple),
    hours=st.tuples(st.integers(0, 80), st.integers(1, 60)),
    asked=st.sampled_from(
        [{}, {"team": ("a",)}, {"team": ("", "b"), "kind": ("idle", "inference")}, {"model": ("m",)}]
    ),
)
def test_every_grouping_adds_up_and_the_scopes_hold_all_energy(estate, sent, group_by, hours, asked):
    with undone():
        send(estate, [row(reading) for reading in sent])
        owned = Site.objects.of(estate).get(code="owned")
        unmetered = attribution_of(estate, "meter/owned", site=owned, boundary=Boundary.FACILITY, method=Method.METERED)
        add(unmetered, at(0), at(72), 7_654_321_987)
        services.settle(estate.pk)
        for window in (Q3, Window(JULY + timedelta(hours=hours[0]), JULY + timedelta(hours=sum(hours)))):
            query = LedgerQuery(estate.pk, window, group_by, scope="all", filters=asked)
            frame, total = ledger_frame(query), ledger_total(query)
            for name in ADDED:
                known = frame[name].dropna()
                assert sum(known) == (0 if pd.isna(total[name]) else total[name]), name
                assert all(value >= 0 for value in known), name
            scopes = [ledger_total(LedgerQuery(estate.pk, window, scope=scope)) for scope in ("2", "3", "unassigned")]
            everything = ledger_total(LedgerQuery(estate.pk, window, scope="all"))
            for name in ENERGIES:
                assert sum(scope[name] for scope in scopes) == everything[name]
        for rate in MarketRate.objects.of(estate):
            assert rate.market_mg >= 0
            quarter = ledger_frame(LedgerQuery(estate.pk, Q3, ("market", "team", "model")))
            assert quarter[quarter["market"] == rate.market]["market_mg"].sum() == rate.market_mg


@ANY
@given(sent=readings, seed=st.integers(0, 2**32))
def test_order_batches_repetition_and_settling_again_change_nothing(estate, sent, seed):
    rows = [row(reading) for reading in sent]
    with undone():
        send(estate, rows)
        services.settle(estate.pk)
        once = ledger(estate)
    chance = random.Random(seed)
    arriving = rows + chance.choices(rows, k=len(rows))
    chance.shuffle(arriving)
    with undone():
        while arriving:
            size = chance.randint(1, len(arriving))
            send(estate, arriving[:size])
            arriving = arriving[size:]
            if chance.random() < 0.5:
                services.settle(estate.pk)
        services.settle(estate.pk)
        assert ledger(estate) == once
        touched = {hour for hour, *_ in once[0]}
        DirtyHour.objects.bulk_create(DirtyHour(organisation=estate, hour=hour) for hour in touched)
        services.settle(estate.pk)
        assert ledger(estate) == once


@ANY
@given(
    sent=st.lists(
        st.tuples(
            st.sampled_from(list(SOURCES)),
            st.sampled_from(["a", None]),
            st.just(None),
            st.integers(0, 2 * 24 * 60),
            st.integers(2, 1_000),
            st.integers(0, 10**5),
        ),
        min_size=1,
        max_size=6,
        unique_by=lambda reading: (reading[0], *reading[3:5]),
    ),
    cut_at=st.integers(1, 999),
)
def test_cutting_intervals_of_constant_power_changes_no_figure(estate, sent, cut_at):
    """A whole number of microwatt-hours a minute: then every part of every cut is whole, and nothing is rounded."""
    whole, halves = [], []
    for source, team, model, minute, minutes, rate in sent:
        cut = cut_at % (minutes - 1) + 1
        whole.append(row((source, team, model, minute, minutes, rate * minutes)))
        halves.append(row((source, team, model, minute, cut, rate * cut)))
        halves.append(row((source, team, model, minute + cut, minutes - cut, rate * (minutes - cut))))
    found = []
    for rows in (whole, halves):
        distinct = {(said["source"], said["start"], said["end"]) for said in rows}
        if len(distinct) < len(rows):
            return  # two readings of one source over one interval are one reading
        for said in rows:
            said.pop("work")
        with undone():
            send(estate, rows)
            services.settle(estate.pk)
            hours, aside, rates = ledger(estate)
            found.append(([figures[:-1] for figures in hours], aside, rates))
    assert found[0] == found[1]


@ANY
@given(
    reading=st.tuples(st.integers(0, 3_000), st.integers(2, 3_000), st.integers(0, 10**12)), cut=st.integers(1, 2_999)
)
def test_cutting_any_interval_moves_no_hour_by_more_than_one_milliwatt_hour(estate, reading, cut):
    minute, minutes, energy = reading
    cut = cut % (minutes - 1) + 1
    first = energy * cut // minutes
    parts = [(minute, minutes, energy)], [(minute, cut, first), (minute + cut, minutes - cut, energy - first)]
    found = []
    for readings_of in parts:
        with undone():
            send(estate, [row(("gpu", "a", None, *each)) for each in readings_of])
            services.settle(estate.pk)
            found.append(dict(LedgerHour.objects.values_list("hour", "it_energy_milliwatt_hours")))
    assert found[0].keys() == found[1].keys()
    assert all(abs(found[0][hour] - found[1][hour]) <= 1 for hour in found[0])
    one_hour = (epoch_ms(JULY) + minute * 60_000) // HOUR_MS == (
        epoch_ms(JULY) + (minute + minutes) * 60_000 - 1
    ) // HOUR_MS
    if one_hour:
        assert found[0] == found[1]
