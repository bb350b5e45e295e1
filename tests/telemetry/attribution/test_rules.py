"""Attribution rules: tried in order, seen beforehand against unassigned energy, and holding for what has arrived."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.accounting.services import settle
from apps.audit.models import AuditEvent
from apps.organisations.models import Organisation, Person, Role, Team
from apps.telemetry.attribution import services
from apps.telemetry.attribution.models import AttributionRule
from apps.telemetry.attribution.queries import rules_of
from apps.telemetry.attribution.rules import STANDARD, apply
from apps.telemetry.batch import Naming
from tests.telemetry.prometheus.writing import DCGM, DCGM_LABELS, body, named

Energy = Callable[..., dict[str, dict[str, Any]]]


def rule(label: str, target: str, value: str = "", pattern: str = "", **more: Any) -> AttributionRule:
    return AttributionRule(label=label, target=target, value=value, pattern=pattern, **more)


def test_the_first_rule_that_matches_a_target_decides():
    rules = [
        rule("namespace", "team", "search", "search-*"),
        rule("namespace", "team"),
        rule("namespace", "model", "ranker"),
    ]
    said = apply(rules, "prometheus", [("namespace", "search-prod")], Naming("a"))
    assert (said.team, said.model) == ("search", "ranker")
    assert apply(rules, "prometheus", [("namespace", "vision")], Naming("a")).team == "vision"


def test_a_pattern_means_itself_but_for_the_star():
    rules = [rule("pod", "team", "a", "x[1]?")]
    assert apply(rules, "", [("pod", "x[1]?")], Naming("a")).team == "a"
    assert apply(rules, "", [("pod", "x1y")], Naming("a")).team is None


def test_what_the_protocol_says_stays_against_a_standard_rule_and_gives_way_to_an_own_one():
    said = Naming("a", model="from-the-metric")
    assert apply([rule("m", "model", is_standard=True)], "", [("m", "x")], said).model == "from-the-metric"
    assert apply([rule("m", "model")], "", [("m", "x")], said).model == "x"


def test_a_rule_for_one_door_is_not_tried_at_another():
    assert apply([rule("m", "team", door="otlp")], "prometheus", [("m", "x")], Naming("a")).team is None


def test_standard_rules_are_there_before_anything_came_and_stay_removed(organisation: Organisation, officer: Person):
    rules = rules_of(organisation.pk)
    assert len(rules) == len(STANDARD)
    services.delete_rule(rule=rules[0], actor=officer.email)
    assert len(rules_of(organisation.pk)) == len(STANDARD) - 1


@pytest.fixture
def officer(make_person: Callable[..., Person]) -> Person:
    return make_person(Role.OFFICER)


@pytest.fixture
def engineer(client: Client, make_person: Callable[..., Person]) -> Client:
    client.force_login(make_person(Role.ENGINEER, "engineer@example.org"))
    return client


@pytest.fixture
def gpu(client: Client, make_key: Callable[..., str], site: Any, organisation: Organisation) -> str:
    """A GPU of a namespace that no team is called by: 100 Wh in the last minutes. The day it counted on."""
    key = make_key(site_code=site.code)
    now = int(time.time() * 1000)
    sent = named(DCGM, DCGM_LABELS | {"namespace": "ns-7"}, (now - 600_000, 0), (now - 60_000, 360_000_000))
    answer = client.generic(
        "POST",
        "/api/prometheus/write",
        body(sent),
        content_type="application/x-protobuf",
        headers={
            "Authorization": "Basic " + base64.b64encode(f"x:{key}".encode()).decode(),
            "Content-Encoding": "snappy",
        },
    )
    assert answer.status_code == 204
    settle(organisation.pk)
    return key


@pytest.fixture
def today(energy_by: Energy) -> Callable[[], dict[str, dict[str, Any]]]:
    since = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86_400))
    until = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 86_400))
    return lambda: energy_by("team", since, until)


def test_energy_of_nobody_is_a_visible_row_and_the_page_shows_its_labels(engineer: Client, gpu: str, today: Any):
    assert sum(row["it_energy_kwh"] for row in today().values()) == 0.1
    page = engineer.get("/o/acme/attribution/").content.decode()
    assert "namespace=ns-7" in page
    assert "Unassigned" in page


def test_a_preview_says_what_a_rule_would_assign_and_saves_nothing(
    engineer: Client, gpu: str, team: Team, organisation: Organisation
):
    count = len(rules_of(organisation.pk))
    form = {"label": "namespace", "pattern": "ns-*", "target": "team", "value": "Vision", "door": "", "preview": "1"}
    page = engineer.post("/o/acme/attribution/add/", form).content.decode()
    assert "would give a team to" in page
    assert 'Unassigned → <span class="chip ok">Vision</span>' in page
    assert len(rules_of(organisation.pk)) == count


def test_a_new_rule_holds_for_what_has_arrived_already(engineer: Client, gpu: str, team: Team, today: Any):
    form = {"label": "namespace", "pattern": "ns-*", "target": "team", "value": "Vision", "door": ""}
    assert engineer.post("/o/acme/attribution/add/", form).status_code == 302
    assert today()["vision"]["it_energy_kwh"] == 0.1
    assert AuditEvent.objects.filter(action="attribution_rule.created").count() == 1
    made = AttributionRule.objects.of(Organisation.objects.get(slug="acme")).get(pattern="ns-*")
    engineer.post(f"/o/acme/attribution/{made.pk}/delete/")
    assert "vision" not in today()


def test_the_order_can_be_changed(engineer: Client, organisation: Organisation):
    rules = rules_of(organisation.pk)
    engineer.post(f"/o/acme/attribution/{rules[1].pk}/move/", {"to": "up"})
    assert [one.pk for one in rules_of(organisation.pk)][:2] == [rules[1].pk, rules[0].pk]


@pytest.mark.parametrize(("target", "value"), [("team", "Nobody"), ("site", "nowhere"), ("kind", "cooking")])
def test_a_rule_to_what_does_not_exist_is_refused_at_its_field(engineer: Client, target: str, value: str):
    answer = engineer.post("/o/acme/attribution/add/", {"label": "namespace", "target": target, "value": value})
    assert answer.status_code == 422
    assert "Expected" in answer.content.decode()


def test_a_key_of_a_team_goes_before_every_rule(
    client: Client, make_key: Callable[..., str], team: Team, organisation: Organisation, energy_by: Energy
):
    key = make_key(team=team)
    AttributionRule.unscoped.create(organisation=organisation, position=0, label="namespace", target="team", value="x")
    sent = named(DCGM, DCGM_LABELS | {"namespace": "other"}, (1782900000000, 0), (1782900600000, 36_000_000))
    client.generic(
        "POST",
        "/api/prometheus/write",
        body(sent),
        content_type="application/x-protobuf",
        headers={"Authorization": f"Bearer {key}", "Content-Encoding": "snappy"},
    )
    assert energy_by("team", "2026-07-01", "2026-07-02")["vision"]["it_energy_kwh"] == 0.01


def test_a_preview_says_which_energy_gets_a_site(
    engineer: Client, client: Client, make_key: Callable[..., str], site: Any, organisation: Organisation
):
    now = int(time.time() * 1000)
    labels = DCGM_LABELS | {"rack": f"{site.code}-row-3"}
    client.generic(
        "POST",
        "/api/prometheus/write",
        body(named(DCGM, labels, (now - 600_000, 0), (now - 60_000, 360_000_000))),
        content_type="application/x-protobuf",
        headers={"Authorization": f"Bearer {make_key()}", "Content-Encoding": "snappy"},
    )
    settle(organisation.pk)
    form = {"label": "rack", "pattern": "*", "target": "site", "value": site.code, "door": "", "preview": "1"}
    page = engineer.post("/o/acme/attribution/add/", form).content.decode()
    assert f'none → <span class="chip ok">{site.code}</span>' in page
    unknown = engineer.post("/o/acme/attribution/add/", form | {"value": ""}).content.decode()
    assert "none →" not in unknown
