"""Teams, keys and the organisation's own settings, through their pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from apps.audit.models import AuditEvent
from apps.core.signals import inputs_changed
from apps.organisations.models import ApiKey, Membership, Organisation, Person, Role, Team
from apps.sites.models import Site

pytestmark = pytest.mark.django_db

MakePerson = Callable[..., Person]


@pytest.fixture
def sign_in(make_person: MakePerson, client: Client) -> Callable[[str], Person]:
    def sign_in_as(role: str) -> Person:
        person = make_person(role)
        client.force_login(person)
        return person

    return sign_in_as


def test_a_team_is_added_and_renamed_and_keeps_its_slug(
    sign_in: Callable, client: Client, organisation: Organisation
) -> None:
    sign_in(Role.OFFICER)
    client.post("/o/acme/settings/teams/", {"name": "Vision", "slug": "vision"})
    client.post("/o/acme/settings/teams/vision/", {"name": "Vision and video"})
    team = Team.objects.of(organisation).get()
    assert (team.slug, team.name) == ("vision", "Vision and video")
    assert b"Vision and video" in client.get("/o/acme/settings/teams/").content
    renamed = AuditEvent.objects.get(action="team.renamed")
    assert (renamed.before, renamed.after) == ({"name": "Vision"}, {"name": "Vision and video"})


def test_a_taken_team_slug_is_told_and_nothing_is_written(
    sign_in: Callable, client: Client, organisation: Organisation, team: Team
) -> None:
    sign_in(Role.OFFICER)
    answer = client.post("/o/acme/settings/teams/", {"name": "Other", "slug": "vision"})
    assert answer.status_code == 200
    assert Team.objects.of(organisation).count() == 1
    assert not AuditEvent.objects.exists()


def test_a_key_is_shown_once_works_and_is_stored_hashed(
    sign_in: Callable, client: Client, organisation: Organisation, team: Team, site: Site
) -> None:
    person = sign_in(Role.ENGINEER)
    answer = client.post(
        "/o/acme/settings/keys/",
        {"name": "cluster", "scopes": ["ingest", "read"], "team": "vision", "site_code": "fra1"},
    )
    found = re.search(r"esg_[\w-]{43}", answer.content.decode())
    assert found
    key = found[0]
    assert "no-store" in answer["Cache-Control"]
    assert key not in client.get("/o/acme/settings/keys/").content.decode()
    row = ApiKey.objects.of(organisation).get()
    assert (row.team, row.site_code, row.created_by) == (team, "fra1", person)
    assert key not in str(vars(row))
    assert client.get("/api/v1/teams", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    event = AuditEvent.objects.get(action="api_key.created")
    assert key not in str(event.after)
    assert row.digest not in str(event.after)


def test_a_revoked_key_is_refused_and_says_since_when(
    sign_in: Callable, client: Client, organisation: Organisation, make_key: Callable[..., str]
) -> None:
    sign_in(Role.ADMIN)
    key = make_key()
    row = ApiKey.objects.of(organisation).get()
    client.post(f"/o/acme/settings/keys/{row.pk}/revoke/")
    client.post(f"/o/acme/settings/keys/{row.pk}/revoke/")
    answer = client.get("/api/v1/teams", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 401
    assert "was revoked on" in answer.json()["detail"]
    assert AuditEvent.objects.filter(action="api_key.revoked").count() == 1


def test_an_engineer_revokes_own_keys_only(
    sign_in: Callable, client: Client, organisation: Organisation, make_key: Callable[..., str]
) -> None:
    engineer = sign_in(Role.ENGINEER)
    make_key()
    make_key(created_by=engineer)
    foreign, own = ApiKey.objects.of(organisation).order_by("created_by__email", "pk")
    if foreign.created_by is not None:
        foreign, own = own, foreign
    assert client.post(f"/o/acme/settings/keys/{foreign.pk}/revoke/").status_code == 403
    assert client.post(f"/o/acme/settings/keys/{own.pk}/revoke/").status_code == 302


def test_a_key_that_would_expire_in_the_past_is_told_at_its_field(sign_in: Callable, client: Client) -> None:
    sign_in(Role.ENGINEER)
    yesterday = (timezone.now() - timedelta(days=2)).date()
    answer = client.post(
        "/o/acme/settings/keys/", {"name": "late", "scopes": ["ingest"], "expires_on": yesterday.isoformat()}
    )
    assert b"Expected a time in the future" in answer.content
    assert not ApiKey.unscoped.exists()


def test_settings_that_change_figures_make_the_accounts_look_again(
    sign_in: Callable, client: Client, organisation: Organisation, django_capture_on_commit_callbacks: Callable
) -> None:
    sign_in(Role.ADMIN)
    heard: list[object] = []

    def listen(organisation_id: int, **_: object) -> None:
        heard.append(organisation_id)

    inputs_changed.connect(listen)
    chosen = {
        "name": "Acme AI",
        "claim_period": "year",
        "vintage_window_months": "12",
        "market_allocation": "earmarked",
        "idle_policy": "by_energy",
        "difference_policy": "by_accelerator_hours",
    }
    try:
        with django_capture_on_commit_callbacks(execute=True):
            client.post("/o/acme/settings/", chosen)
            client.post("/o/acme/settings/", chosen)
    finally:
        inputs_changed.disconnect(listen)
    assert heard == [organisation.pk]
    event = AuditEvent.objects.get(action="organisation.updated")
    assert (event.before or {})["claim_period"] == "quarter"
    assert (event.after or {})["claim_period"] == "year"
    policies = ("market_allocation", "idle_policy", "difference_policy")
    assert [(event.before or {})[name] for name in policies] == ["pro_rata", "unallocated", "unallocated"]
    assert [(event.after or {})[name] for name in policies] == ["earmarked", "by_energy", "by_accelerator_hours"]
    organisation.refresh_from_db()
    assert organisation.idle_policy == "by_energy"


def test_a_policy_that_there_is_not_is_told_and_changes_nothing(
    sign_in: Callable, client: Client, organisation: Organisation
) -> None:
    sign_in(Role.ADMIN)
    chosen = {"name": "Acme AI", "claim_period": "quarter", "vintage_window_months": "12", "idle_policy": "by_luck"}
    answer = client.post("/o/acme/settings/", chosen)
    assert b"by_luck is not one of the available choices" in answer.content
    assert not AuditEvent.objects.exists()


def test_the_switcher_offers_a_persons_own_organisations_only(
    sign_in: Callable,
    client: Client,
    make_person: MakePerson,
    other_organisation: Organisation,
) -> None:
    person = sign_in(Role.ADMIN)
    Organisation.objects.create(slug="third", name="Third Party")
    assert b"Rival Labs" not in client.get("/o/acme/settings/").content
    Membership.unscoped.create(organisation=other_organisation, person=person, role=Role.VIEWER)
    page = client.get("/o/acme/settings/").content.decode()
    assert 'href="/o/rival/"' in page
    assert "Third Party" not in page


@pytest.mark.parametrize("demo", [True, False])
def test_it_lets_the_demos_people_in_only_where_the_portal_is_a_demonstration(
    demo: bool, client: Client, make_person: MakePerson, organisation: Organisation, settings: Settings
) -> None:
    settings.DEMO = demo
    Organisation.objects.filter(pk=organisation.pk).update(is_demo=True)
    person = make_person(Role.OFFICER)
    client.post("/accounts/login/", {"login": person.email, "password": "a long enough password"})
    assert ("_auth_user_id" in client.session) is demo
