"""``/api/v1/uploads``: what is taken in and what is refused, the receipt, the worker that is killed."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from apps.organisations.models import Organisation, Team
from apps.telemetry import intake
from apps.telemetry.models import Receipt, Upload
from apps.telemetry.uploads import services
from tests.telemetry.uploads.test_formats import EMISSIONS, ZEUS, run_row, total

FILE = EMISSIONS + run_row("2026-07-01T11:00:00", "r1", 3600, 1)


def read(client: Client, key: str, path: str) -> Any:
    return client.get(f"/api/v1/{path}", headers={"Authorization": f"Bearer {key}"}).json()


def test_a_file_waits_with_a_receipt_until_it_is_worked_off(
    client: Client,
    key: str,
    send: Callable[..., Any],
    organisation: Organisation,
    woken: list[int],
    django_capture_on_commit_callbacks: Any,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        answer = send(FILE, timezone="UTC")
    assert answer.status_code == 202
    taken = answer.json()
    assert set(taken) == {"receipt", "upload", "status_url"}
    assert read(client, key, f"receipts/{taken['receipt']}")["pending"] is True
    assert read(client, key, "status")["pending_uploads"] == 1
    assert services.work(woken[0])
    assert not services.work(woken[0])
    receipt = read(client, key, f"receipts/{taken['receipt']}")
    assert (receipt["pending"], receipt["accepted"], receipt["protocol"]) == (False, 1, "upload")
    assert read(client, key, "status")["pending_uploads"] == 0
    assert read(client, key, f"uploads/{taken['upload']}")["state"] == "done"
    assert [one["upload"] for one in read(client, key, "uploads")["results"]] == [taken["upload"]]


def test_the_same_file_again_counts_nothing_twice(worked: Callable[..., Any], organisation: Organisation) -> None:
    first = worked(ZEUS, timezone="UTC")
    again = worked(ZEUS, timezone="UTC")
    assert first["report"]["counts"]["accepted"] == again["report"]["counts"]["duplicates"] == 3
    assert total(organisation) == 3_500_000


@pytest.mark.parametrize("packing", ["encoded", "file"])
def test_gzip(send: Callable[..., Any], packing: str) -> None:
    headers = {"Content-Encoding": "gzip"} if packing == "encoded" else {}
    assert send(gzip.compress(FILE.encode()), headers=headers).status_code == 202
    assert bytes(Upload.unscoped.get().file.read()) == FILE.encode()


def test_multipart(client: Client, key: str) -> None:
    answer = client.post(
        "/api/v1/uploads",
        {"file": SimpleUploadedFile("../emissions.csv", FILE.encode()), "timezone": "UTC", "format": "codecarbon"},
        headers={"Authorization": f"Bearer {key}"},
    )
    assert answer.status_code == 202, answer.content
    upload = Upload.unscoped.get()
    assert (upload.file_name, upload.given, upload.format) == ("emissions.csv", {"timezone": "UTC"}, "codecarbon")


@pytest.mark.parametrize(
    ("body", "parameters", "said"),
    [
        ("a,b\n1,2\n", {}, "codecarbon, eco2ai, zeus, slurm, nvidia-smi, generic"),
        (FILE, {"format": "excel"}, "codecarbon, eco2ai, zeus, slurm, nvidia-smi, generic"),
        (FILE, {"site": "nowhere"}, "the code of a site"),
        (FILE, {"timezone": "Mars/Base"}, "Europe/Berlin"),
        (FILE, {"pue": "0.5"}, "from 1 to 10"),
        (FILE, {"kind": "dreaming"}, "training"),
        ("a,b\n1,2\n", {"format": "generic"}, "interval, power, counter"),
        ("", {}, "empty"),
        (" \n", {}, "empty"),
        (b"PK\x03\x04\0\0\0\0", {}, "no text file"),
        ("#Entity   POWER\nID   W\nGPU 0   71.1\n", {}, "prints no times"),
    ],
)
def test_what_cannot_be_taken_in_is_refused_with_the_reason(
    send: Callable[..., Any], body: Any, parameters: dict[str, str], said: str
) -> None:
    answer = send(body, **parameters)
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert said in answer.json()["detail"]
    assert not Upload.unscoped.exists()
    assert Receipt.unscoped.get().answer_status == 400


def test_too_large_also_unpacked(send: Callable[..., Any], settings: Settings) -> None:
    settings.INGEST_MAX_BODY_BYTES = 100_000
    assert send(gzip.compress(b"0" * 300_000), headers={"Content-Encoding": "gzip"}).status_code == 413
    assert send(gzip.compress(b"0" * 300_000)).status_code == 413
    assert send(b"0" * 300_000).status_code == 413


def test_only_a_header_is_refused_by_the_worker_with_a_message(worked: Callable[..., Any]) -> None:
    done = worked(EMISSIONS)
    assert (done["state"], done["error"]) == (
        "refused",
        "The file has a header and no rows: nothing was recorded.",
    )
    receipt = Receipt.unscoped.get()
    assert receipt.is_refused
    assert not receipt.is_pending


def test_the_team_of_a_key_wins(
    send: Callable[..., Any], make_key: Callable[..., str], team: Team, organisation: Organisation
) -> None:
    other = Team.unscoped.create(organisation=organisation, slug="speech", name="Speech")
    own = make_key(team=team)
    assert send(FILE, key=own, team=other.slug).status_code == 403
    assert send(FILE, key=own, team=team.slug, timezone="UTC").status_code == 202
    services.work(Upload.unscoped.get().pk)
    from apps.telemetry.models import Reading

    assert Reading.objects.get().attribution.team_name.name == team.slug


def test_a_key_without_the_scope_is_refused(send: Callable[..., Any], make_key: Callable[..., str]) -> None:
    assert send(FILE, key=make_key(scopes=("read",))).status_code == 403


def test_a_killed_workers_file_is_worked_off_once(
    send: Callable[..., Any], organisation: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.telemetry.uploads.formats.base.CHUNK", 1)
    send(ZEUS, timezone="UTC")
    upload = Upload.unscoped.get()
    store, stored = intake.store, []

    def killed_at_the_second(*args: Any) -> Any:
        if stored:
            raise SystemExit
        stored.append(1)
        return store(*args)

    monkeypatch.setattr(intake, "store", killed_at_the_second)
    with pytest.raises(SystemExit):
        services.work(upload.pk)
    monkeypatch.setattr(intake, "store", store)
    assert services.sweep() == []
    Upload.unscoped.update(heard_at=timezone.now() - timedelta(minutes=6))
    Upload.unscoped.update(requested_at=timezone.now() - timedelta(minutes=6))
    assert services.sweep() == [upload.pk]
    assert services.work(upload.pk)
    upload.refresh_from_db()
    assert upload.report["counts"] == {"accepted": 3, "duplicates": 0, "rejected": 1, "ignored": 0}
    assert Receipt.unscoped.get().accepted == 3
    assert total(organisation) == 3_500_000
