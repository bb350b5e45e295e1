"""The page of experiments: seen ones are shown, registering one holds for its runs, declared CO2 stands beside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounting.services import settle
from apps.audit.models import AuditEvent
from apps.organisations.models import Organisation, Person, Role, Team
from apps.sites.models import Site
from apps.telemetry.models import DeclaredEmissions, Experiment, Run, Source
from apps.telemetry.protocols.codecarbon import PUBLIC_EXPERIMENT
from tests.accounting.conftest import publish_factor
from tests.telemetry.codecarbon.posts import emission


@pytest.fixture
def engineer(client: Client, make_person: Callable[..., Person]) -> Client:
    client.force_login(make_person(Role.ENGINEER))
    return client


@pytest.fixture
def seen(organisation: Organisation) -> Experiment:
    experiment = Experiment.unscoped.create(organisation=organisation, experiment_id=PUBLIC_EXPERIMENT)
    Run.unscoped.create(organisation=organisation, experiment=experiment, started_at=timezone.now())
    return experiment


def test_an_experiment_that_ran_is_listed_and_the_public_id_flagged(engineer: Client, seen: Experiment):
    page = engineer.get("/o/acme/codecarbon/").content.decode()
    assert PUBLIC_EXPERIMENT in page
    assert "default id" in page
    assert "not stated, taken as 1" in page


def test_registering_says_who_it_is(engineer: Client, seen: Experiment, team: Team):
    form = {"name": "llm", "team": team.pk, "model": "my-llm", "site": "", "kind": "1", "device": "", "pue": "1.2"}
    answer = engineer.post(f"/o/acme/codecarbon/{seen.pk}/", form)
    assert answer.status_code == 302, answer.content.decode()
    seen.refresh_from_db()
    assert (seen.name, seen.team, seen.pue_ppm, seen.is_registered) == ("llm", team, 1_200_000, True)
    assert AuditEvent.objects.filter(action="experiment.registered").count() == 1


def test_a_new_experiment_gets_an_id(engineer: Client, organisation: Organisation):
    engineer.post("/o/acme/codecarbon/new/", {"name": "new one", "kind": "1"})
    made = Experiment.objects.of(organisation).get()
    assert len(made.experiment_id) == 36
    assert made.experiment_id in engineer.get("/o/acme/codecarbon/").content.decode()
    page = engineer.get(f"/o/acme/codecarbon/{made.pk}/").content.decode()
    for settings in (
        f"experiment_id = {made.experiment_id}",
        f"CODECARBON_EXPERIMENT_ID={made.experiment_id}",
        "api_endpoint = http://testserver/api/codecarbon",
    ):
        assert settings in page


def test_the_default_id_is_nothing_to_paste(engineer: Client, seen: Experiment):
    page = engineer.get(f"/o/acme/codecarbon/{seen.pk}/").content.decode()
    assert "Every tracker without" in page
    assert f"experiment_id = {PUBLIC_EXPERIMENT}" not in page


def test_time_between_posts_that_were_lost_is_shown(
    engineer: Client, seen: Experiment, send: Callable[..., Any], make_key: Callable[..., str]
):
    run = Run.objects.of(seen.organisation).get()
    now = timezone.now().replace(microsecond=0)
    for minutes in (60, 58, 56, 30, 28, 26):  # two minutes apart, and 26 once
        post = emission(str(run.run_id), "10:00:00", 0.01, timestamp=(now - timedelta(minutes=minutes)).isoformat())
        assert send("emissions", post).status_code == 201
    page = engineer.get(f"/o/acme/codecarbon/{seen.pk}/").content.decode()
    assert '<td class="num">6</td>' in page
    assert '<td class="num">120 s</td>' in page
    assert '<span class="chip bad">1,440 s</span>' in page


def test_a_pue_below_1_is_refused(engineer: Client, seen: Experiment):
    answer = engineer.post(f"/o/acme/codecarbon/{seen.pk}/", {"name": "x", "kind": "1", "pue": "0.5"})
    assert answer.status_code == 422
    seen.refresh_from_db()
    assert not seen.is_registered


def declare(organisation: Organisation, source: Source, at_ms: int, *, is_total: bool, country: str) -> None:
    DeclaredEmissions.unscoped.create(
        organisation=organisation,
        source=source,
        run="r",
        at_ms=at_ms,
        is_running_total=is_total,
        emissions_mg=50_000,
        energy_microwatt_hours=10**9,
        said={"country_iso_code": country},
    )


def test_declared_co2_shows_the_factor_it_means(engineer: Client, organisation: Organisation, site: Site):
    """Canada's is the client's fallback when it cannot tell where it is; the site is in Germany."""
    source = Source.unscoped.create(organisation=organisation, name="codecarbon/llm/1", site=site)
    for at_ms in (1, 2):
        declare(organisation, source, at_ms, is_total=False, country="CAN")
    (row,) = engineer.get("/o/acme/codecarbon/").context["compared"]
    assert (row.declared.energy_milliwatt_hours, row.declared.emissions_mg) == (2_000_000, 100_000)
    assert row.declared.grams_per_kwh == 50
    assert "its fallback: the site is in DE" in engineer.get("/o/acme/codecarbon/").content.decode()


def test_declared_running_totals_are_not_summed(engineer: Client, organisation: Organisation):
    source = Source.unscoped.create(organisation=organisation, name="codecarbon/llm")
    for at_ms in (1, 2):
        declare(organisation, source, at_ms, is_total=True, country="FRA")
    (row,) = engineer.get("/o/acme/codecarbon/").context["compared"]
    assert (row.declared.energy_milliwatt_hours, row.declared.is_fallback) == (1_000_000, False)


def test_the_portals_own_figure_stands_beside_it(
    engineer: Client, send: Callable[..., Any], announce: Callable[..., str], organisation: Organisation
):
    publish_factor("DE", "400")
    run = announce()
    for clock in ("10:02:00", "10:04:00"):
        assert send("emissions", emission(run, clock, 2, emissions_sum=7)).status_code == 201
    settle(organisation.pk)
    (row,) = engineer.get("/o/acme/codecarbon/").context["compared"]
    assert row.declared.grams_per_kwh == 3_500
    assert row.location_mg is not None
    assert row.facility_milliwatt_hours == 4_000_000
    assert row.grams_per_kwh == 400
    lines = engineer.get("/o/acme/codecarbon/?export=csv").content.decode().splitlines()
    assert lines[1].split(",")[2:5] == ["4.000000", "14.000000", "3500.0"]
