"""People: invited by mail, given roles, removed; through the settings pages that administrators use."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.core import mail
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client

from apps.audit.models import AuditEvent
from apps.organisations.models import Membership, Organisation, Person, Role
from apps.organisations.services import remove_member

pytestmark = pytest.mark.django_db

MakePerson = Callable[..., Person]


@pytest.fixture
def admin(make_person: MakePerson, client: Client) -> Person:
    person = make_person(Role.ADMIN)
    client.force_login(person)
    return person


def events(organisation: Organisation) -> list[str]:
    return list(AuditEvent.objects.filter(organisation_id=organisation.pk).values_list("action", flat=True))


def test_an_invited_person_sets_a_password_by_mail_and_signs_in(
    admin: Person, client: Client, organisation: Organisation, django_capture_on_commit_callbacks: Callable
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post(
            "/o/acme/settings/people/", {"email": "New@Example.org", "name": "Nora New", "role": Role.OFFICER}
        )
    assert answer.status_code == 302
    assert mail.outbox[0].to == ["new@example.org"]
    link = re.search(r"http://testserver(\S+)", mail.outbox[0].body)
    assert link

    visitor = Client()
    form = visitor.get(link[1], follow=True)
    assert b"Set your password" in form.content
    visitor.post(
        form.request["PATH_INFO"], {"password1": "kilowatts are counted", "password2": "kilowatts are counted"}
    )
    signed_in = visitor.post("/accounts/login/", {"login": "new@example.org", "password": "kilowatts are counted"})
    assert signed_in.status_code == 302
    assert visitor.get("/o/acme/audit/").status_code == 200

    used_again = Client().get(link[1], follow=True)
    assert b"This link no longer works" in used_again.content
    created = AuditEvent.objects.get(organisation_id=organisation.pk, action="membership.created")
    assert (created.actor, created.after) == ("admin@example.org", {"email": "new@example.org", "role": "officer"})


def test_somebody_with_an_account_keeps_it_and_gets_no_password_link(
    admin: Person,
    client: Client,
    make_person: MakePerson,
    other_organisation: Organisation,
    django_capture_on_commit_callbacks: Callable,
) -> None:
    person = make_person(Role.VIEWER, "guest@example.org", member_of=other_organisation)
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/o/acme/settings/people/", {"email": "guest@example.org", "role": Role.VIEWER})
    assert person.memberships.count() == 2
    assert "password" not in mail.outbox[0].body.lower()


def test_inviting_a_member_again_is_told_at_the_field(admin: Person, client: Client) -> None:
    answer = client.post("/o/acme/settings/people/", {"email": admin.email, "role": Role.VIEWER})
    assert b"is a member already" in answer.content


def test_a_mail_server_that_is_away_loses_no_membership(
    admin: Person,
    client: Client,
    organisation: Organisation,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Callable,
) -> None:
    def away(**_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("apps.organisations.services.send_invitation", away)
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/o/acme/settings/people/", {"email": "new@example.org", "role": Role.VIEWER})
    assert Membership.objects.of(organisation).filter(person__email="new@example.org").exists()


def test_a_changed_role_holds_from_the_next_request(
    admin: Person, client: Client, organisation: Organisation, make_person: MakePerson
) -> None:
    viewer = make_person(Role.VIEWER)
    visitor = Client()
    visitor.force_login(viewer)
    assert visitor.get("/o/acme/audit/").status_code == 403
    membership = Membership.objects.of(organisation).get(person=viewer)
    client.post(f"/o/acme/settings/people/{membership.pk}/role/", {"role": Role.AUDITOR})
    assert visitor.get("/o/acme/audit/").status_code == 200
    event = AuditEvent.objects.get(action="membership.role_changed")
    assert (event.before or {})["role"] == "viewer"
    assert (event.after or {})["role"] == "auditor"


@pytest.mark.parametrize("path", ["role", "remove"])
def test_the_last_administrator_stays(
    admin: Person, client: Client, organisation: Organisation, make_person: MakePerson, path: str
) -> None:
    make_person(Role.OFFICER)
    membership = Membership.objects.of(organisation).get(person=admin)
    answer = client.post(f"/o/acme/settings/people/{membership.pk}/{path}/", {"role": Role.VIEWER}, follow=True)
    assert b"last administrator" in answer.content
    membership.refresh_from_db()
    assert membership.role == Role.ADMIN
    assert events(organisation) == []


@pytest.mark.django_db(transaction=True)
def test_two_administrators_who_remove_each_other_at_once_leave_one(
    organisation: Organisation, make_person: MakePerson
) -> None:
    for number in range(2):
        make_person(Role.ADMIN, f"admin{number}@example.org")
    meet = Barrier(2)

    def remove(membership: Membership) -> bool:
        meet.wait()
        try:
            remove_member(membership=membership, actor="test@example.org")
        except ValidationError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(2) as threads:
        removed = list(threads.map(remove, Membership.objects.of(organisation).order_by("pk")))
    assert sorted(removed) == [False, True]
    assert Membership.objects.of(organisation).get().role == Role.ADMIN


def test_a_removed_member_is_out_at_once_and_stays_in_the_log(
    admin: Person, client: Client, organisation: Organisation, make_person: MakePerson
) -> None:
    officer = make_person(Role.OFFICER)
    visitor = Client()
    visitor.force_login(officer)
    membership = Membership.objects.of(organisation).get(person=officer)
    client.post(f"/o/acme/settings/people/{membership.pk}/remove/")
    assert visitor.get("/o/acme/audit/").status_code == 404
    assert Person.objects.filter(pk=officer.pk).exists()
    assert events(organisation) == ["membership.removed"]


def test_nobody_signs_up_alone(client: Client, db: None) -> None:
    assert b"By invitation" in client.get("/accounts/signup/").content
    answer = client.post(
        "/accounts/signup/", {"email": "me@example.org", "password1": "a long password", "password2": "a long password"}
    )
    assert not Person.objects.exists()
    assert b"By invitation" in answer.content


def test_nobody_changes_the_address_that_the_audit_log_knows_them_by(admin: Person, client: Client) -> None:
    assert client.get("/accounts/email/").status_code == 404
