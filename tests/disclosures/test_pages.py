"""The pages of periods and documents, as each role and a stranger see them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from apps.core.windows import Quarter
from apps.disclosures import services
from apps.disclosures.models import Disclosure
from apps.organisations.models import Organisation, Person, Role

State = Disclosure.State


@pytest.fixture
def ready(requested: Disclosure, fast_pdf: None) -> Disclosure:
    services.render(requested.pk)
    return Disclosure.unscoped.get(pk=requested.pk)


def url(name: str, organisation: Organisation, *arguments: object) -> str:
    return reverse(name, args=[organisation.slug, *map(str, arguments)])


def test_the_list_shows_both_methods_and_the_documents(client: Client, ready: Disclosure, officer: Person) -> None:
    client.force_login(officer)
    page = client.get(url("periods", ready.organisation)).content.decode()
    assert "2026-Q3" in page
    assert "Location-based" in page
    assert "Market-based" in page
    assert "Disclosed" in page
    assert url("disclosure-pdf", ready.organisation, ready.public_id) in page


def test_a_period_says_what_is_missing_and_what_is_in_force(
    client: Client, organisation: Organisation, quarter: Quarter, officer: Person
) -> None:
    client.force_login(officer)
    page = client.get(url("period", organisation, quarter)).content.decode()
    assert "came from sources without a site" in page
    assert "No residual mix is known for IE" in page
    assert "National agency" in page
    assert "Frankfurt hall" in page
    assert "Make the disclosure" in page


def test_a_period_without_data_offers_the_next_step(
    client: Client, organisation: Organisation, officer: Person
) -> None:
    client.force_login(officer)
    from django.utils import timezone

    now = Quarter.of(timezone.now().date())
    page = client.get(url("period", organisation, now)).content.decode()
    assert "No Scope 2 reading lies in this quarter" in page
    assert "Make the disclosure" not in page


@pytest.mark.parametrize("label", ["2019-Q1", "2026-Q5", "nonsense"])
def test_a_period_that_is_not_offered_is_not_found(
    client: Client, organisation: Organisation, officer: Person, label: str
) -> None:
    client.force_login(officer)
    assert client.get(url("period", organisation, label)).status_code == 404


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.usefixtures("quarter")
def test_only_those_who_disclose_may_make_a_document(
    client: Client, organisation: Organisation, make_person: Callable[..., Person], no_broker: list[int], role: Role
) -> None:
    client.force_login(make_person(role))
    answer = client.post(url("disclosure-create", organisation, "2026-Q3"))
    allowed = role in (Role.OFFICER, Role.ADMIN)
    assert answer.status_code == (302 if allowed else 403)
    assert Disclosure.objects.of(organisation).exists() == allowed


def test_making_leads_back_to_the_quarter_with_the_progress_shown(
    client: Client, organisation: Organisation, quarter: Quarter, officer: Person, no_broker: list[int]
) -> None:
    client.force_login(officer)
    answer = client.post(url("disclosure-create", organisation, quarter), follow=True)
    page = answer.content.decode()
    assert answer.redirect_chain[0][0].endswith("#documents")
    assert "Waiting for a worker" in page
    assert "<progress" in page
    assert '<noscript><meta http-equiv="refresh"' in page  # works by reload
    assert "js/disclosure.js" in page


def test_a_quarter_to_come_is_refused_with_the_reason(
    client: Client, organisation: Organisation, officer: Person, no_broker: list[int]
) -> None:
    client.force_login(officer)
    page = client.post(url("disclosure-create", organisation, "2099-Q1"), follow=True).content.decode()
    assert "has not begun" in page


def test_the_status_is_told_and_never_cached(client: Client, requested: Disclosure, officer: Person) -> None:
    client.force_login(officer)
    answer = client.get(url("disclosure-status", requested.organisation, requested.public_id))
    assert answer.json() == {"state": "queued", "step": "Waiting for a worker", "progress_percent": 0, "error": ""}
    assert answer["Cache-Control"] == "no-store"


def test_a_failure_is_shown_with_what_to_do(client: Client, requested: Disclosure, officer: Person) -> None:
    Disclosure.unscoped.filter(pk=requested.pk).update(state=State.FAILED, error="Assign the sources to sites.")
    client.force_login(officer)
    page = client.get(url("period", requested.organisation, "2026-Q3")).content.decode()
    assert "Failed" in page
    assert "Assign the sources to sites." in page


@pytest.mark.parametrize("role", [Role.VIEWER, Role.AUDITOR])
def test_readers_download_the_document_and_its_evidence(
    client: Client, ready: Disclosure, make_person: Callable[..., Person], role: Role
) -> None:
    client.force_login(make_person(role))
    answer = client.get(url("disclosure-pdf", ready.organisation, ready.public_id))
    body = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert hashlib.sha256(body).hexdigest() == ready.pdf_digest
    assert answer["Content-Type"] == "application/pdf"
    assert 'filename="acme-2026-Q3-v1.pdf"' in answer["Content-Disposition"]
    evidence = client.get(url("disclosure-evidence", ready.organisation, ready.public_id))
    assert hashlib.sha256(evidence.content).hexdigest() == ready.snapshot_digest


def test_a_document_that_is_not_ready_is_not_found(client: Client, requested: Disclosure, officer: Person) -> None:
    client.force_login(officer)
    assert client.get(url("disclosure-pdf", requested.organisation, requested.public_id)).status_code == 404
    assert client.get(url("disclosure-evidence", requested.organisation, requested.public_id)).status_code == 404


@pytest.mark.parametrize("name", ["disclosure-status", "disclosure-pdf", "disclosure-evidence"])
def test_a_foreign_document_is_not_found_under_ones_own_address(
    client: Client,
    ready: Disclosure,
    other_organisation: Organisation,
    make_person: Callable[..., Person],
    name: str,
) -> None:
    client.force_login(make_person(Role.ADMIN, email="rival@example.org", member_of=other_organisation))
    assert client.get(url(name, other_organisation, ready.public_id)).status_code == 404
    assert client.get(url(name, ready.organisation, ready.public_id)).status_code == 404


def test_a_stranger_is_sent_to_the_login(client: Client, ready: Disclosure) -> None:
    answer = client.get(url("disclosure-pdf", ready.organisation, ready.public_id))
    assert answer.status_code == 302
    assert "/accounts/login/" in answer["Location"]
