"""Periods and documents over the API."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.core.windows import Quarter
from apps.disclosures import services
from apps.disclosures.models import Disclosure
from apps.organisations.models import Organisation


@pytest.fixture
def get(client: Client, make_key: Callable[..., str]) -> Callable[..., Any]:
    key = make_key(scopes=("read",))

    def ask(path: str, with_key: str = key) -> Any:
        return client.get(f"/api/v1/{path}", headers={"Authorization": f"Bearer {with_key}"})

    return ask


def test_periods_with_their_figures(get: Callable[..., Any], quarter: Quarter) -> None:
    rows = {row["label"]: row for row in get("periods").json()["results"]}
    row = rows["2026-Q3"]
    assert (row["start"], row["end"]) == ("2026-07-01", "2026-10-01")
    assert row["facility_energy_kwh"] > row["it_energy_kwh"] > 0
    assert row["location_kg"] > 0
    assert row["market_kg"] > 0
    assert row["latest_disclosure"] is None
    present = max(rows)
    if present != "2026-Q3":
        assert rows[present]["location_kg"] is None  # absent, not zero


def test_every_receipt_in_the_evidence_is_the_one_that_its_call_gives(
    get: Callable[..., Any], requested: Disclosure, fast_pdf: None
) -> None:
    services.render(requested.pk)
    evidence = get(f"disclosures/{requested.public_id}/evidence.json").json()
    receipts = {one["of"]: one for one in evidence["receipts"]}
    assert receipts.keys() == {"quarter", "by_site", "by_team", "by_model", "scope_3", "year_to_date"}
    for one in receipts.values():
        head = get(one["path"].removeprefix("/api/v1/")).json()["head"]
        assert head["digest"] == one["sha256"]
        if one["of"] == "quarter":
            total = evidence["totals"]["quarter"]["figures"]
            assert head["figures"][0]["location_mg"] == total["location_mg"]
            assert head["figures"][0]["market_mg"] == total["market_mg"]


def test_a_document_from_queue_to_download(get: Callable[..., Any], requested: Disclosure, fast_pdf: None) -> None:
    waiting = get(f"disclosures/{requested.public_id}").json()
    assert (waiting["state"], waiting["pdf"], waiting["pdf_sha256"]) == ("queued", None, "")
    assert get(f"disclosures/{requested.public_id}/pdf").status_code == 404
    services.render(requested.pk)
    ready = get(f"disclosures/{requested.public_id}").json()
    assert (ready["state"], ready["progress_percent"], ready["period"], ready["version"]) == (
        "ready",
        100,
        "2026-Q3",
        1,
    )
    pdf = b"".join(get(f"disclosures/{requested.public_id}/pdf").streaming_content)
    assert hashlib.sha256(pdf).hexdigest() == ready["pdf_sha256"]
    evidence = get(f"disclosures/{requested.public_id}/evidence.json")
    assert hashlib.sha256(evidence.content).hexdigest() == ready["snapshot_sha256"]
    assert evidence.json()["organisation"]["slug"] == "acme"
    assert get("periods").json()["results"][0]["latest_disclosure"] == str(requested.public_id)
    assert [row["id"] for row in get("disclosures").json()["results"]] == [str(requested.public_id)]


def test_a_trailing_slash_makes_no_difference(get: Callable[..., Any], organisation: Organisation) -> None:
    assert get("periods/").status_code == get("disclosures/").status_code == 200


def test_a_key_without_the_read_scope_is_refused(get: Callable[..., Any], make_key: Callable[..., str]) -> None:
    ingest = make_key(scopes=("ingest",))
    assert get("periods", ingest).status_code == 403
    assert get("disclosures", ingest).status_code == 403


def test_a_foreign_key_sees_nothing(
    get: Callable[..., Any], requested: Disclosure, other_organisation: Organisation, make_key: Callable[..., str]
) -> None:
    foreign = make_key(scopes=("read",), organisation=other_organisation)
    assert get("disclosures", foreign).json()["results"] == []
    for path in ("", "/pdf", "/xlsx", "/evidence.json"):
        answer = get(f"disclosures/{requested.public_id}{path}", foreign)
        assert answer.status_code == 404
        assert answer["Content-Type"].startswith("application/problem+json")


def test_an_unknown_parameter_is_named(get: Callable[..., Any], organisation: Organisation) -> None:
    answer = get("disclosures?stat=ready")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/query/stat"
