"""Receipts and samples through the API; the ingest log and the sources through their pages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.core.signals import inputs_changed
from apps.organisations.models import Organisation, Person, Role, Team
from apps.sites.models import Site
from apps.telemetry.models import Attribution, Receipt, Source, TeamName
from apps.telemetry.services import assign_source_site, map_team_name
from apps.telemetry.tasks import expire
from tests.telemetry.conftest import Post, row

pytestmark = pytest.mark.django_db


@pytest.fixture
def get(client: Client, key: str) -> Callable[..., Any]:
    def fetch(path: str, key: str = key) -> Any:
        url = path if path.startswith("http") else f"/api/v1/{path}"
        return client.get(url, headers={"Authorization": f"Bearer {key}"})

    return fetch


def test_a_receipt_says_what_became_of_a_batch(post: Post, get: Callable[..., Any]) -> None:
    said = post([row(), row(kind="x")]).json()
    receipt = get(f"receipts/{said['receipt']}").json()
    assert {name: receipt[name] for name in said} == said
    assert get(f"receipts/{said['receipt']}/").status_code == 200
    assert get(f"receipts/{uuid4()}").status_code == 404


def test_a_foreign_receipt_and_foreign_samples_do_not_exist(
    post: Post, get: Callable[..., Any], make_key: Callable[..., str], other_organisation: Organisation
) -> None:
    receipt = post([row()]).json()["receipt"]
    foreign = make_key(organisation=other_organisation)
    assert get(f"receipts/{receipt}", key=foreign).status_code == 404
    assert get("samples", key=foreign).json()["results"] == []


def test_samples_come_back_as_they_were_sent(post: Post, get: Callable[..., Any], team: Team, site: Site) -> None:
    sent = row(
        team="Vision", site="fra1", model="m", workload="w", study="s", kind="training", boundary="node",
        method="metered", accelerators=8, work={"tokens": 3, "epochs": 0.5}, external_id="job", tags={"a": [1]},
        shares=[{"weight": 1}, {"team": "b", "weight": 3}],
    )  # fmt: skip
    post([sent])
    back = get("samples").json()["results"][0]
    assert back["shares"] == [
        {"team": "vision", "model": "m", "workload": "w", "weight": 0.25},
        {"team": None, "model": "m", "workload": "w", "weight": 0.75},
    ]
    same = {**sent, "team": "vision", "shares": ...}
    assert {name: back[name] for name in sent} | {"shares": ...} == same
    assert back["team_name"] == "Vision"


def test_samples_are_paged_and_filtered(post: Post, get: Callable[..., Any]) -> None:
    post([row(source=f"s{i}", start=f"2026-07-01T0{i}:00:00Z") for i in range(9)])
    found: list[str] = []
    url: str | None = "samples?limit=4"
    while url:
        page = get(url).json()
        found += [sample["source"] for sample in page["results"]]
        url = page["next"]
    assert found == [f"s{i}" for i in range(9)]
    some = get("samples?from=2026-07-01T03:00:00Z&to=2026-07-01T06:00:00Z&source=s1,s4,s5").json()["results"]
    assert [sample["source"] for sample in some] == ["s4", "s5"]
    assert get("samples?form=2026-07-01").status_code == 400


# --- Pages ---------------------------------------------------------------------------------------------------------


def enter(client: Client, make_person: Callable[..., Person], role: str) -> None:
    client.force_login(make_person(role))


def test_the_ingest_log_shows_receipts_and_their_errors(
    post: Post, client: Client, make_person: Callable[..., Person]
) -> None:
    enter(client, make_person, Role.ENGINEER)
    assert "Nothing received yet" in client.get("/o/acme/ingest/").text
    receipt = post([row(), row(kind="trainig")]).json()["receipt"]
    assert receipt in client.get("/o/acme/ingest/").text
    page = client.get(f"/o/acme/ingest/{receipt}/").text
    assert "trainig" in page
    assert "one of training" in page
    assert client.get(f"/o/acme/ingest/{uuid4()}/").status_code == 404


def test_an_officer_assigns_a_site_and_maps_a_name(
    post: Post, client: Client, make_person: Callable[..., Person], site: Site, team: Team
) -> None:
    post([row(team="visoin")])
    enter(client, make_person, Role.OFFICER)
    source, name = Source.unscoped.get(), TeamName.unscoped.get()
    page = client.get("/o/acme/sources/?without_site=1").text
    assert "node-17/gpu0" in page
    assert "visoin" in page
    client.post(f"/o/acme/sources/{source.pk}/site/", {"site": "fra1"})
    client.post(f"/o/acme/sources/names/{name.pk}/", {"team": "vision"})
    source.refresh_from_db()
    name.refresh_from_db()
    assert (source.site, name.team) == (site, team)
    events = AuditEvent.objects.order_by("sequence").values_list("action", "actor")
    assert list(events) == [
        ("source.site_assigned", "officer@example.org"),
        ("team_name.mapped", "officer@example.org"),
    ]
    assert "No source matches" in client.get("/o/acme/sources/?without_site=1").text
    assert client.post(f"/o/acme/sources/{source.pk}/site/", {"site": "nowhere"}).status_code == 404


def test_a_viewer_reads_and_changes_nothing(post: Post, client: Client, make_person: Callable[..., Person]) -> None:
    post([row(team="visoin")])
    enter(client, make_person, Role.VIEWER)
    page = client.get("/o/acme/sources/")
    assert page.status_code == 200
    assert "Assign</button>" not in page.text
    assert client.post(f"/o/acme/sources/{Source.unscoped.get().pk}/site/", {"site": ""}).status_code == 403
    assert client.post(f"/o/acme/sources/names/{TeamName.unscoped.get().pk}/", {"team": ""}).status_code == 403


# --- Services ------------------------------------------------------------------------------------------------------


def test_a_mapping_tells_the_accounts_and_holds_for_the_next_reading(
    post: Post, organisation: Organisation, site: Site, team: Team, django_capture_on_commit_callbacks: Any
) -> None:
    heard: list[int] = []

    def listen(organisation_id: int, **_: Any) -> None:
        heard.append(organisation_id)

    with django_capture_on_commit_callbacks(execute=True):
        post([row(team="visoin")])
    inputs_changed.connect(listen)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            assign_source_site(source=Source.unscoped.get(), site=site, actor="a@example.org")
            map_team_name(team_name=TeamName.unscoped.get(), team=team, actor="a@example.org")
    finally:
        inputs_changed.disconnect(listen)
    assert heard == [organisation.pk, organisation.pk]
    post([row(team="visoin", start="2026-07-01T08:00:00Z")])
    assert set(Attribution.unscoped.values_list("site__code", flat=True)) == {None, "fra1"}


def test_a_mapping_stays_inside_the_organisation(
    post: Post, other_organisation: Organisation, site: Site, team: Team
) -> None:
    post([row(team="x")])
    foreign_site = Site.unscoped.create(
        organisation=other_organisation, code="x", name="X", control="owned", country="DE", grid_zone="DE", market="DE"
    )
    foreign_team = Team.unscoped.create(organisation=other_organisation, slug="x", name="X")
    with pytest.raises(ValidationError):
        assign_source_site(source=Source.unscoped.get(), site=foreign_site, actor="a@example.org")
    with pytest.raises(ValidationError):
        map_team_name(team_name=TeamName.unscoped.get(), team=foreign_team, actor="a@example.org")
    assert TeamName.unscoped.get().team is None


def test_idempotency_keys_expire_and_receipts_stay(post: Post) -> None:
    post([row()], Idempotency_Key="old")
    Receipt.unscoped.update(received_at=timezone.now() - timedelta(days=8))
    post([row()], Idempotency_Key="new")
    assert expire() == 1
    assert sorted(Receipt.unscoped.values_list("idempotency_key", flat=True), key=str) == [None, "new"]
