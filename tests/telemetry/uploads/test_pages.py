"""The uploads pages: a file in two steps, its progress, its report."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.organisations.models import Organisation, Person
from apps.telemetry.models import Upload
from apps.telemetry.uploads import services
from tests.telemetry.uploads.test_formats import EMISSIONS, run_row, total


@pytest.fixture
def engineer(client: Client, make_person: Callable[..., Person]) -> Client:
    client.force_login(make_person("engineer"))
    return client


def drop(client: Client, organisation: Organisation, text: str) -> Upload:
    answer = client.post(f"/o/{organisation.slug}/uploads/", {"file": SimpleUploadedFile("log <b>.csv", text.encode())})
    assert answer.status_code == 302, answer.content.decode()
    return Upload.unscoped.latest("pk")


def page(taken: Upload, name: str = "") -> str:
    return f"/o/{taken.organisation.slug}/uploads/{taken.public_id}/{name}"


def test_an_emissions_file_is_recognised_asked_about_and_reported(engineer: Client, organisation: Organisation) -> None:
    assert "No file yet" in engineer.get(f"/o/{organisation.slug}/uploads/").content.decode()
    body = (
        EMISSIONS
        + run_row("2026-07-01T11:00:00", "a", 3600, 1)
        + run_row("2026-07-01T11:00:00", "b", 3600, 2)
        + run_row("never", "c", 3600, 2)
    )
    taken = drop(engineer, organisation, body)
    asked = engineer.get(page(taken)).content.decode()
    assert "CodeCarbon emissions.csv" in asked
    assert "2026-07-01T11:00:00" in asked
    assert not services.work(taken.pk)  # nothing is read before the answers
    refused = engineer.post(page(taken), {"format": "codecarbon", "timezone": "Moon"})
    assert "expected a time zone such as Europe/Berlin" in refused.content.decode()
    assert engineer.post(page(taken), {"format": "codecarbon", "timezone": "Europe/Berlin"}).status_code == 302
    assert "data-progress" in engineer.get(page(taken)).content.decode()
    assert json.loads(engineer.get(page(taken, "status/")).content)["state"] == "queued"
    assert services.work(taken.pk)
    assert json.loads(engineer.get(page(taken, "status/")).content)["state"] == "ready"
    report = engineer.get(page(taken)).content.decode()
    assert "Possible overlaps" in report
    assert "log &lt;b&gt;.csv" in report
    assert engineer.get(page(taken, "errors.csv")).content.decode().splitlines()[1].startswith("4,timestamp,never,")
    assert total(organisation) == 3_000_000_000


def test_any_csv_with_its_columns_chosen(engineer: Client, organisation: Organisation) -> None:
    taken = drop(engineer, organisation, "when;until;wh\n2026-07-01T09:00:00Z;2026-07-01T10:00:00Z;5\n")
    missing = engineer.post(page(taken), {"format": "generic"}).content.decode()
    assert "expected one of interval, power, counter" in missing or "one of interval, power, counter" in missing
    given = {"format": "generic", "reading": "interval", "unit": "Wh", "start": "when", "end": "until", "value": "wh"}
    assert engineer.post(page(taken), given).status_code == 302
    assert services.work(taken.pk)
    assert total(organisation) == 5_000_000


def test_a_viewer_may_not(client: Client, make_person: Callable[..., Person], organisation: Organisation) -> None:
    client.force_login(make_person("viewer"))
    assert client.get(f"/o/{organisation.slug}/uploads/").status_code == 403
