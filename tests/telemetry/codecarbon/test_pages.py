"""The page of experiments: seen ones are shown, registering one holds for its runs, declared CO2 stands beside."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.organisations.models import Organisation, Person, Role, Team
from apps.telemetry.models import DeclaredEmissions, Experiment, Run, Source
from apps.telemetry.protocols.codecarbon import PUBLIC_EXPERIMENT


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


def test_a_pue_below_1_is_refused(engineer: Client, seen: Experiment):
    answer = engineer.post(f"/o/acme/codecarbon/{seen.pk}/", {"name": "x", "kind": "1", "pue": "0.5"})
    assert answer.status_code == 422
    seen.refresh_from_db()
    assert not seen.is_registered


def test_declared_co2_shows_the_factor_it_means(engineer: Client, organisation: Organisation):
    source = Source.unscoped.create(organisation=organisation, name="codecarbon/llm/1")
    for at, is_total in ((1, False), (2, False)):
        DeclaredEmissions.unscoped.create(
            organisation=organisation,
            source=source,
            run="r",
            at_ms=at,
            is_running_total=is_total,
            emissions_mg=50_000,
            energy_microwatt_hours=10**9,
            said={"country_iso_code": "CAN"},
        )
    page = engineer.get("/o/acme/codecarbon/").content.decode()
    assert '<td class="num">50</td>' in page
    assert "its fallback" in page
