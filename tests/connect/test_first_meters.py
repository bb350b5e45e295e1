"""The panel of the first reading, for clients that read meters, and for files: what has come and what is missing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.accounting.services import settle
from apps.organisations.authentication import key_digest
from apps.organisations.models import ApiKey, Organisation
from apps.sites.models import Site
from apps.telemetry.models import Upload
from apps.telemetry.uploads import services as uploads
from tests.telemetry.prometheus.writing import DCGM, DCGM_LABELS, Series, body, named

NOW_MS = int(time.time() * 1000)


@pytest.fixture
def key(make_key: Callable[..., str], site: Site) -> str:
    return make_key(("ingest",), site_code=site.code)


@pytest.fixture
def write(client: Client, key: str) -> Callable[..., None]:
    """Send series as Prometheus does."""

    def write(*series: Series) -> None:
        answer = client.generic(
            "POST",
            "/api/prometheus/write",
            body(*series),
            content_type="application/x-protobuf",
            headers={"Authorization": f"Bearer {key}", "Content-Encoding": "snappy"},
        )
        assert answer.status_code == 204

    return write


@pytest.fixture
def status(signed_in: Client, key: str) -> Callable[[], dict[str, Any]]:
    row = ApiKey.unscoped.get(digest=key_digest(key))
    return lambda: signed_in.get(f"/o/acme/connect/{row.pk}/status/").json()


def gpu(number: int, *samples: tuple[int, float]) -> Series:
    return named(DCGM, DCGM_LABELS | {"UUID": f"GPU-{number}", "gpu": str(number)}, *samples)


def test_one_reading_of_each_meter_says_that_energy_comes_with_the_second(
    write: Callable[..., None], status: Callable[[], dict[str, Any]], organisation: Organisation
):
    write(gpu(1, (NOW_MS - 60_000, 5e9)), gpu(2, (NOW_MS - 60_000, 7e9)))
    for _ in range(2):
        said = status()
        assert said["state"] == "baseline"
        assert said["it_energy_kwh"] is None
        assert "First reading of 2 meters received" in said["html"]
        assert "Energy appears with the second" in said["html"]
        assert "GPU-1, GPU-2" in said["html"]
        settle(organisation.pk)


def test_with_the_second_reading_figures_of_all_its_meters_appear(
    write: Callable[..., None], status: Callable[[], dict[str, Any]], organisation: Organisation
):
    hour_ms = NOW_MS // 3_600_000 * 3_600_000 - 7_200_000
    write(gpu(1, (hour_ms, 5e9)), gpu(2, (hour_ms, 7e9)))
    write(gpu(1, (hour_ms + 60_000, 5e9 + 36e6)), gpu(2, (hour_ms + 60_000, 7e9 + 18e6)))
    assert status()["state"] == "calculating"
    settle(organisation.pk)
    said = status()
    assert said["state"] == "settled"
    assert said["it_energy_kwh"] == 0.015
    assert "GPU-1 and 1 more" in said["html"]
    assert "Received and booked" in said["html"]


def test_energy_of_the_hour_before_is_found_when_the_second_reading_comes_after_the_turn_of_the_hour(
    write: Callable[..., None], status: Callable[[], dict[str, Any]], organisation: Organisation
):
    hour_ms = NOW_MS // 3_600_000 * 3_600_000
    write(gpu(1, (hour_ms - 30_000, 0)))
    write(gpu(1, (hour_ms, 36e6)))
    settle(organisation.pk)
    assert status()["it_energy_kwh"] == 0.01


def test_a_meter_that_does_not_move_is_not_waited_for_without_a_word(
    write: Callable[..., None], status: Callable[[], dict[str, Any]], organisation: Organisation
):
    write(gpu(1, (NOW_MS - 120_000, 5e9), (NOW_MS - 60_000, 5e9)))
    settle(organisation.pk)
    said = status()
    assert said["state"] in ("baseline", "settled")
    assert said["it_energy_kwh"] in (None, 0)
    assert "Energy appears with the second" not in said["html"]


def test_readings_of_nothing_that_counts_are_said_to_have_arrived(
    write: Callable[..., None], status: Callable[[], dict[str, Any]]
):
    write(named("up", {"job": "dcgm"}, (NOW_MS, 1.0)))
    said = status()
    assert said["state"] == "waiting"
    assert "none is of energy or work" in said["html"]
    assert "Nothing has been received" not in said["html"]


def test_tokens_are_no_energy(
    write: Callable[..., None], status: Callable[[], dict[str, Any]], organisation: Organisation
):
    labels = {"model_name": "m", "instance": "node-17:8000", "job": "vllm"}
    write(named("vllm:generation_tokens_total", labels, (NOW_MS - 60_000, 10.0)))
    assert "Work appears with the second" in status()["html"]


CSV = "source,start,end,energy_wh\nrack-1,2026-07-01T10:00:00Z,2026-07-01T11:00:00Z,250\n"


def test_a_file_is_shown_while_it_waits_and_leads_to_its_report_when_it_is_read(
    client: Client, key: str, status: Callable[[], dict[str, Any]], organisation: Organisation
):
    answer = client.post(
        "/api/v1/uploads?format=generic&reading=interval&value=energy_wh&unit=Wh&start=start&end=end&source_column=source",
        CSV,
        content_type="text/csv",
        headers={"Authorization": f"Bearer {key}"},
    )
    assert answer.status_code == 202, answer.content
    upload = Upload.objects.of(organisation).get()
    said = status()
    if upload.state == Upload.State.QUEUED:
        assert said["state"] == "pending"
        assert f"/o/acme/uploads/{upload.public_id}/" in said["html"]
        assert uploads.work(upload.pk)
    settle(organisation.pk)
    said = status()
    assert said["state"] == "settled"
    assert f"/o/acme/uploads/{upload.public_id}/" in said["html"]
    assert "1 reading accepted" in said["html"]


def test_a_claim_of_energy_that_no_device_can_have_used_is_named(
    client: Client, key: str, status: Callable[[], dict[str, Any]], organisation: Organisation
):
    at = NOW_MS - 60_000
    points = [{"asDouble": 5_000_100.0, "startTimeUnixNano": str(at * 10**6), "timeUnixNano": str(at * 10**6 + 1000)}]
    metric = {"name": "hw.energy", "unit": "J", "sum": {"aggregationTemporality": 2, "isMonotonic": True}}
    attributes = [
        {"key": name, "value": {"stringValue": value}} for name, value in {"hw.id": "g", "hw.type": "gpu"}.items()
    ]
    metric["sum"]["dataPoints"] = [{**points[0], "attributes": attributes}]  # type: ignore[index]
    sent = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}
    answer = client.post(
        "/api/otlp/v1/metrics",
        json.dumps(sent),
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}"},
    )
    assert answer.status_code == 200, answer.content
    settle(organisation.pk)
    said = status()
    assert said["it_energy_kwh"] is None
    assert "held back" in said["html"]
