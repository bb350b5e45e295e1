"""What protects a signed-in person's browser: CSRF, cookies, framing, content policy, the limit on sign-in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib import admin
from django.test import Client
from pytest_django.fixtures import Settings

from apps.audit.models import AuditEvent
from apps.organisations.models import Organisation, Person, Role, Team
from apps.organisations.services import update_person

pytestmark = pytest.mark.django_db

PASSWORD = "a long enough password"


@pytest.fixture(autouse=True)
def no_attempts_yet(settings: Settings, tmp_path: Path) -> None:
    """A cache of this test's own: clearing the shared one would, with Redis, empty the broker too."""
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": tmp_path / "cache"}
    }


def sign_in(client: Client, email: str, password: str = PASSWORD) -> int:
    return client.post("/accounts/login/", {"login": email, "password": password}).status_code


def test_a_form_sent_from_elsewhere_is_refused(make_person: Callable[..., Person], organisation: Organisation) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_person(Role.ADMIN))
    answer = client.post("/o/acme/settings/teams/", {"name": "Evil", "slug": "evil"})
    assert answer.status_code == 403
    assert not Team.unscoped.exists()


def test_signing_in_needs_the_forms_own_token() -> None:
    assert sign_in(Client(enforce_csrf_checks=True), "a@example.org") == 403


def test_the_session_cookie_is_for_the_server_alone(client: Client, make_person: Callable[..., Person]) -> None:
    person = make_person(Role.VIEWER)
    assert sign_in(client, person.email) == 302
    cookie = client.cookies["sessionid"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


def test_a_session_ends_with_the_password_it_was_opened_with(
    client: Client, make_person: Callable[..., Person]
) -> None:
    person = make_person(Role.ADMIN)
    sign_in(client, person.email)
    assert client.get("/o/acme/settings/").status_code == 200
    person.set_password("another long password")
    person.save()
    assert client.get("/o/acme/settings/").status_code == 302


@pytest.mark.parametrize("path", ["/accounts/login/", "/o/acme/settings/", "/api/v1/teams", "/no/such/page"])
def test_every_answer_forbids_framing_foreign_code_and_sniffing(
    client: Client, make_person: Callable[..., Person], path: str
) -> None:
    client.force_login(make_person(Role.ADMIN))
    if path == "/accounts/login/":
        client.logout()
    headers = client.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["object-src"] == "'none'"
    assert policy["form-action"] == "'self'"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize(
    "path",
    [
        "settings/",
        "settings/people/",
        "settings/teams/",
        "settings/keys/",
        "sites/manage/",
        "sites/manage/add/",
        "audit/",
    ],
)
def test_no_page_holds_code_that_the_policy_would_stop(
    client: Client, make_person: Callable[..., Person], path: str
) -> None:
    client.force_login(make_person(Role.ADMIN))
    page = client.get(f"/o/acme/{path}").content.decode()
    assert "<script>" not in page
    assert " onclick=" not in page
    assert "javascript:" not in page


def test_guessing_passwords_is_slowed_down_for_the_address_guessed_at(make_person: Callable[..., Person]) -> None:
    person = make_person(Role.ADMIN)
    for _ in range(5):
        assert sign_in(Client(), person.email, "wrong") == 200
    refused = Client().post("/accounts/login/", {"login": person.email, "password": PASSWORD})
    assert refused.status_code in {200, 429}
    assert "sessionid" not in refused.cookies


def test_a_stranger_does_not_learn_which_addresses_have_an_account(make_person: Callable[..., Person]) -> None:
    person = make_person(Role.VIEWER)
    answers = [
        Client().post("/accounts/password/reset/", {"email": email}, follow=True).content
        for email in (person.email, "nobody@example.org")
    ]
    assert answers[0] == answers[1]
    failures = [
        Client().post("/accounts/login/", {"login": email, "password": "wrong"}).context["form"].non_field_errors()
        for email in (person.email, "nobody@example.org")
    ]
    assert failures[0] == failures[1]


def test_text_that_people_typed_is_shown_and_not_run(
    client: Client, make_person: Callable[..., Person], organisation: Organisation
) -> None:
    client.force_login(make_person(Role.ADMIN))
    client.post("/o/acme/settings/teams/", {"name": "<img src=x onerror=alert(1)>", "slug": "x"})
    for path in ("settings/teams/", "audit/"):
        page = client.get(f"/o/acme/{path}").content.decode()
        assert "<img src=x" not in page
        assert "&lt;img src=x" in page


@pytest.mark.parametrize("there", ["https://evil.example/", "//evil.example/"])
def test_signing_in_leads_nowhere_else(client: Client, make_person: Callable[..., Person], there: str) -> None:
    person = make_person(Role.VIEWER)
    answer = client.post("/accounts/login/", {"login": person.email, "password": PASSWORD, "next": there})
    assert answer["Location"] == "/"


def test_the_operators_site_is_closed_to_members(client: Client, make_person: Callable[..., Person]) -> None:
    client.force_login(make_person(Role.ADMIN))
    assert client.get("/admin/").status_code in {302, 403}
    assert client.get("/admin/audit/auditevent/").status_code in {302, 403}


def test_an_operator_reads_everything_and_writes_people_only(client: Client, organisation: Organisation) -> None:
    operator = Person.objects.create_superuser("operator@example.org", PASSWORD)
    client.force_login(operator)
    registered = {model._meta.label_lower for model in admin.site._registry}
    assert {"audit.auditevent", "organisations.apikey", "sites.site", "disclosures.disclosure"} <= registered
    for label in registered:
        path = f"/admin/{label.replace('.', '/')}/"
        assert client.get(path).status_code == 200, label
        assert client.get(f"{path}add/").status_code == 403, label
    assert client.get(f"/admin/organisations/organisation/{organisation.pk}/delete/").status_code == 403


def test_what_an_operator_changes_of_a_person_is_logged(client: Client, make_person: Callable[..., Person]) -> None:
    person = make_person(Role.VIEWER)
    client.force_login(Person.objects.create_superuser("operator@example.org", PASSWORD))
    changed = {"email": "New.Name@example.org", "name": "New Name", "is_active": "on"}
    assert client.post(f"/admin/organisations/person/{person.pk}/change/", changed).status_code == 302
    event = AuditEvent.objects.get(organisation_id=0, action="person.updated")
    assert event.actor == "operator@example.org"
    assert (event.before or {})["email"] == "viewer@example.org"
    assert (event.after or {})["email"] == "new.name@example.org"
    assert "password" not in (event.after or {})


def test_an_address_that_an_operator_replaced_opens_nothing(client: Client, make_person: Callable[..., Person]) -> None:
    person = make_person(Role.VIEWER)
    assert sign_in(client, person.email) == 302
    client.post("/accounts/password/reset/", {"email": person.email})
    person.email = "new@example.org"
    update_person(person=person, actor="operator@example.org")
    assert sign_in(Client(), "viewer@example.org") == 200
    assert sign_in(Client(), "new@example.org") == 302
