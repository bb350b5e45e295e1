"""The Connect page through Django's client: the key is shown once, to whom it may be, and the answer is scoped."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.test import Client

from apps.audit.models import AuditEvent
from apps.organisations.authentication import key_digest
from apps.organisations.models import ApiKey, Organisation, Person, Role, Scope, Team

KEY = re.compile(r'<pre id="new-key">(esg_[\w-]+)</pre>')


def make(client: Client, form: dict[str, str]) -> tuple[ApiKey, str]:
    """The row and the key that the page makes and shows."""
    answer = client.post("/o/acme/connect/", form)
    assert answer.status_code == 200
    found = KEY.search(answer.content.decode())
    assert found, answer.content.decode()
    return ApiKey.unscoped.get(digest=key_digest(found[1])), found[1]


def test_it_makes_a_key_that_may_only_send_for_the_team(signed_in: Client, form: dict[str, str], engineer: Person):
    row, _ = make(signed_in, form)
    assert row.name == "trainer-17"
    assert row.scopes == [Scope.INGEST]
    assert row.team.slug == "vision"
    assert row.site_code == "fra1"
    assert row.created_by == engineer
    event = AuditEvent.objects.get(action="api_key.created")
    assert event.actor == engineer.email
    assert row.digest not in str(event.after)


def test_team_and_site_can_be_left_for_later(signed_in: Client, form: dict[str, str]):
    row, _ = make(signed_in, form | {"team": "", "site": ""})
    assert row.team is None
    assert row.site_code == ""


def test_every_snippet_has_the_key_and_the_address_in_it(signed_in: Client, form: dict[str, str]):
    page = signed_in.post("/o/acme/connect/", form).content.decode()
    key = KEY.search(page)[1]
    blocks = re.findall(r'<pre id="code-([\w-]+)"[^>]*>(.*?)</pre>', page, re.DOTALL)
    assert {name for name, _ in blocks} >= {"curl", "python", "csv", "prometheus", "opentelemetry", "codecarbon"}
    for _, text in blocks:
        assert key in text
        assert "http://testserver/api/" in text


def test_the_key_is_shown_once(signed_in: Client, form: dict[str, str]):
    row, key = make(signed_in, form)
    again = signed_in.get(f"/o/acme/connect/{row.pk}/").content.decode()
    assert key not in again
    assert "YOUR_KEY" in again
    assert row.prefix in again


def test_the_answer_with_the_key_is_not_stored_by_a_browser(signed_in: Client, form: dict[str, str]):
    answer = signed_in.post("/o/acme/connect/", form)
    assert "no-store" in answer["Cache-Control"]


def test_a_form_sent_again_makes_no_second_key(signed_in: Client, form: dict[str, str]):
    row, _ = make(signed_in, form)
    answer = signed_in.post("/o/acme/connect/", form)
    assert answer.status_code == 302
    assert answer["Location"] == f"/o/acme/connect/{row.pk}/?kind=training"
    assert ApiKey.unscoped.count() == 1


@pytest.mark.parametrize(("field", "value"), [("name", ""), ("kind", "mining"), ("team", "nobody"), ("site", "mars1")])
def test_a_wrong_field_is_named_and_no_key_is_made(signed_in: Client, form: dict[str, str], field: str, value: str):
    answer = signed_in.post("/o/acme/connect/", form | {field: value})
    assert answer.status_code == 200
    assert field in answer.context["form"].errors
    assert ApiKey.unscoped.count() == 0


@pytest.mark.parametrize("path", ["", "1/", "1/status/"])
@pytest.mark.parametrize("role", [Role.VIEWER, Role.APPROVER, Role.AUDITOR])
def test_who_only_reads_may_not_connect(client: Client, make_person: Callable[..., Person], path: str, role: str):
    client.force_login(make_person(role))
    assert client.get(f"/o/acme/connect/{path}").status_code == 403


def test_a_foreign_key_is_not_found(
    signed_in: Client, form: dict[str, str], make_key: Callable[..., str], other_organisation: Organisation
):
    foreign = ApiKey.unscoped.get(digest=key_digest(make_key(organisation=other_organisation)))
    assert signed_in.get(f"/o/acme/connect/{foreign.pk}/").status_code == 404
    assert signed_in.get(f"/o/acme/connect/{foreign.pk}/status/").status_code == 404


def test_keys_that_can_send_are_listed_to_go_on_with(signed_in: Client, make_key: Callable[..., str]):
    ApiKey.unscoped.filter(digest=key_digest(make_key(("ingest",)))).update(name="cluster-a")
    ApiKey.unscoped.filter(digest=key_digest(make_key(("read",)))).update(name="a spreadsheet")
    page = signed_in.get("/o/acme/connect/").content.decode()
    assert "cluster-a" in page
    assert "a spreadsheet" not in page


def test_a_foreign_team_is_not_offered(signed_in: Client, other_organisation: Organisation):
    Team.unscoped.create(organisation=other_organisation, slug="secret", name="Secret project")
    assert "Secret project" not in signed_in.get("/o/acme/connect/").content.decode()


def test_nothing_received_says_waiting(signed_in: Client, form: dict[str, str]):
    row, _ = make(signed_in, form)
    status = signed_in.get(f"/o/acme/connect/{row.pk}/status/").json()
    assert status["state"] == "waiting"
    assert status["location_kg"] is None
    assert "Waiting" in status["html"]


def test_the_page_works_without_a_script(signed_in: Client, form: dict[str, str]):
    page = signed_in.post("/o/acme/connect/", form).content.decode()
    row = ApiKey.unscoped.get()
    assert f'<noscript><p><a class="button" href="/o/acme/connect/{row.pk}/?kind=training">' in page
    assert "onclick" not in page
