"""The management commands that operators and scripts use."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import Client

from apps.organisations.models import ApiKey, Membership, Organisation, Person, Role, Team
from apps.sites.models import Site

pytestmark = pytest.mark.django_db


def output_of(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_create_api_key_prints_the_key_and_nothing_else(
    client: Client, organisation: Organisation, team: Team, site: Site
) -> None:
    bound = ["--organisation", "acme", "--team", "vision", "--site", "fra1"]
    lines = output_of("create_api_key", *bound, "--name", "ci", "--scope", "ingest", "--scope", "read").splitlines()
    assert len(lines) == 1
    assert client.get("/api/v1/teams", headers={"Authorization": f"Bearer {lines[0]}"}).status_code == 200
    row = ApiKey.objects.of(organisation).get()
    assert (row.team, row.site_code, row.scopes) == (team, "fra1", ["ingest", "read"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--organisation nobody --name x --scope read", "No organisation"),
        ("--organisation acme --team ghosts --name x --scope read", "has no team ghosts"),
        ("--organisation acme --site moon --name x --scope read", "no site with the code moon"),
    ],
)
def test_create_api_key_says_what_does_not_exist(organisation: Organisation, arguments: str, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        output_of("create_api_key", *arguments.split())
    assert not ApiKey.unscoped.exists()


@pytest.fixture
def standard_input(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_create_organisation_takes_the_password_from_standard_input(
    client: Client, standard_input: Callable[[str], None]
) -> None:
    standard_input("ten kilowatt hours\n")
    output_of("create_organisation", "nova", "--name", "Nova", "--admin-email", "Boss@Example.org")
    membership = Membership.unscoped.get()
    assert (membership.organisation.slug, membership.role) == ("nova", Role.ADMIN)
    answer = client.post("/accounts/login/", {"login": "boss@example.org", "password": "ten kilowatt hours"})
    assert answer.status_code == 302


def test_create_organisation_without_a_password_mails_a_link(
    standard_input: Callable[[str], None], django_capture_on_commit_callbacks: Callable
) -> None:
    standard_input("")
    with django_capture_on_commit_callbacks(execute=True):
        output_of("create_organisation", "nova", "--name", "Nova", "--admin-email", "boss@example.org")
    assert "/accounts/password/reset/key/" in mail.outbox[0].body


def test_create_organisation_refuses_a_weak_password_and_leaves_nothing(
    standard_input: Callable[[str], None],
) -> None:
    standard_input("1234\n")
    with pytest.raises(CommandError, match="too short"):
        output_of("create_organisation", "nova", "--name", "Nova", "--admin-email", "boss@example.org")
    assert not Organisation.objects.exists()
    assert not Person.objects.exists()


def test_create_organisation_refuses_a_taken_slug(
    organisation: Organisation, standard_input: Callable[[str], None]
) -> None:
    standard_input("ten kilowatt hours\n")
    with pytest.raises(CommandError, match="already exists"):
        output_of("create_organisation", "acme", "--name", "Again", "--admin-email", "boss@example.org")
