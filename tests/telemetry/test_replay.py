"""What was rejected is kept, mended on the page of its receipt and sent again; nothing counts twice."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from django.test import Client

from apps.audit.models import AuditEvent
from apps.organisations.models import Person, Role, Team
from apps.telemetry.models import KeptBody, Reading, Receipt
from tests.telemetry.conftest import Post, row


@pytest.fixture
def engineer(client: Client, make_person: Callable[..., Person]) -> Client:
    client.force_login(make_person(Role.ENGINEER))
    return client


def page_of(client: Client, receipt: str) -> str:
    return client.get(f"/o/acme/ingest/{receipt}/").content.decode()


def test_the_rejected_rows_alone_are_offered_for_mending(post: Post, engineer: Client):
    answer = post([row(source="good"), row(source="bad", energy_wh=-3)]).json()
    page = page_of(engineer, answer["receipt"])
    assert "Mend and replay" in page
    assert "&quot;bad&quot;" in page
    assert "&quot;good&quot;" not in page


def test_a_mended_batch_is_stored_once_and_its_receipt_names_the_first(post: Post, engineer: Client):
    first = post([row(source="good"), row(source="bad", energy_wh=-3)]).json()["receipt"]
    mended = json.dumps([row(source="good"), row(source="bad", energy_wh=3)])
    url = f"/o/acme/ingest/{first}/replay/"
    answer = engineer.post(url, {"rows": mended})
    assert answer.status_code == 302
    made = Receipt.unscoped.get(replay_of__public_id=first)
    assert (made.accepted, made.duplicates, made.rejected) == (1, 1, 0)
    assert made.api_key == Receipt.unscoped.get(public_id=first).api_key
    assert Reading.objects.count() == 2
    assert AuditEvent.objects.get(action="receipt.replayed").after["replay_of"] == first
    assert "Replay of" in page_of(engineer, str(made.public_id))
    engineer.post(url, {"rows": mended})
    assert Reading.objects.count() == 2


def test_a_check_says_what_would_happen_and_stores_nothing(post: Post, engineer: Client):
    first = post([row(source="bad", energy_wh=-3)]).json()
    receipt = Receipt.unscoped.get().public_id
    assert first["status"] == 422
    answer = engineer.post(
        f"/o/acme/ingest/{receipt}/replay/", {"rows": json.dumps([row(source="bad", energy_wh=3)]), "check": "1"}
    )
    assert "1 accepted" in answer.content.decode()
    assert Reading.objects.count() == 0


def test_what_is_still_wrong_stays_in_the_editor_with_its_reason(post: Post, engineer: Client):
    post([row(source="bad", energy_wh=-3)])
    receipt = Receipt.unscoped.get().public_id
    answer = engineer.post(f"/o/acme/ingest/{receipt}/replay/", {"rows": json.dumps([row(energy_wh=-4)])})
    assert answer.status_code == 422
    assert "-4" in answer.content.decode()
    answer = engineer.post(f"/o/acme/ingest/{receipt}/replay/", {"rows": "[{"})
    assert answer.status_code == 422
    assert "[{" in answer.content.decode()


def test_a_body_that_could_not_be_read_is_offered_whole(post: Post, engineer: Client):
    assert post(b'[{"source": "a",').status_code == 400
    receipt = Receipt.unscoped.get().public_id
    assert "&quot;source&quot;: &quot;a&quot;," in page_of(engineer, str(receipt))


def test_csv_keeps_its_header(post: Post, engineer: Client):
    body = "source,start,end,energy_wh\na,2026-07-01T09:00:00Z,2026-07-01T09:30:00Z,1\nb,2026-07-01T09:00:00Z,soon,1\n"
    answer = post(body.encode(), media="text/csv").json()
    page = page_of(engineer, answer["receipt"])
    assert "source,start,end,energy_wh" in page
    assert "b,2026-07-01T09:00:00Z,soon,1" in page
    assert "a,2026-07-01" not in page


def test_a_batch_without_errors_is_not_kept(post: Post):
    post([row()])
    assert not KeptBody.objects.exists()


def test_a_viewer_is_offered_nothing_and_may_not_replay(
    post: Post, client: Client, make_person: Callable[..., Person], team: Team
):
    answer = post([row(), row(source="bad", energy_wh=-3)]).json()
    client.force_login(make_person(Role.VIEWER))
    assert "Mend and replay" not in page_of(client, answer["receipt"])
    assert client.post(f"/o/acme/ingest/{answer['receipt']}/replay/", {"rows": "[]"}).status_code == 403
