"""OTLP as exporters use it: what counts as energy, what is held back, and which answers make an exporter retry."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from google.rpc import status_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service

from apps.core.windows import epoch_ms
from apps.telemetry.models import MeterFinding, MeterReading, Receipt, Source

Post = Callable[..., Any]
GPU = "GPU-5f0c8f8e-0000-4000-8000-000000000001"
CUMULATIVE, DELTA = 2, 1
PROTOBUF = "application/x-protobuf"


def ns(clock: str) -> int:
    return epoch_ms(datetime.fromisoformat(f"2026-07-01T{clock}+00:00")) * 1_000_000


def attributes(**named: Any) -> list[dict[str, Any]]:
    return [{"key": key.replace("__", "."), "value": {"stringValue": value}} for key, value in named.items()]


def point(clock: str, value: float, start: str = "", **named: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"timeUnixNano": str(ns(clock)), "asDouble": value, "attributes": attributes(**named)}
    if start:
        said["startTimeUnixNano"] = str(ns(start))
    return said


def energy_sum(*points: Any, temporality: int = CUMULATIVE, name: str = "hw.energy", **more: Any) -> dict[str, Any]:
    shape = {"aggregationTemporality": temporality, "isMonotonic": True, "dataPoints": list(points)}
    return {"name": name, "unit": "J", "sum": shape | more}


def gpu_point(clock: str, value: float, start: str = "") -> dict[str, Any]:
    return point(clock, value, start, hw__id=GPU, hw__type="gpu")


def request(*metrics: Any, **resource: str) -> dict[str, Any]:
    said = attributes(**({"host__name": "node-17"} | resource))
    return {"resourceMetrics": [{"resource": {"attributes": said}, "scopeMetrics": [{"metrics": list(metrics)}]}]}


@pytest.fixture
def key(make_key: Callable[..., str], site: Any) -> str:
    return make_key(site_code=site.code)


@pytest.fixture
def export(client: Client, key: str) -> Post:
    def send(body: Any, media: str = "application/json", **headers: str) -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return client.generic(
            "POST",
            "/api/otlp/v1/metrics",
            content,
            content_type=media,
            headers={"Authorization": f"Bearer {key}"} | {k.replace("_", "-"): v for k, v in headers.items()},
            CONTENT_TYPE=media,
        )

    return send


@pytest.fixture
def energy(energy_by: Callable[..., Any]) -> Callable[..., Any]:
    return lambda group_by="source": energy_by(group_by, "2026-07-01", "2026-07-03")


def test_a_cumulative_counter_counts_from_its_start(export: Post, energy: Any):
    points = [gpu_point("10:01:00", 9_000, "10:00:00"), gpu_point("10:02:00", 18_000, "10:00:00")]
    answer = export(request(energy_sum(*points)))
    assert (answer.status_code, answer.json()) == (200, {})
    assert energy()[GPU]["it_energy_kwh"] == 0.005
    source = Source.unscoped.get()
    assert (source.device, source.within, source.door) == (GPU, "node-17", "otlp")


def test_the_last_value_exported_again_at_shutdown_is_no_new_energy(export: Post, energy: Any):
    body = request(energy_sum(gpu_point("10:01:00", 9_000, "10:00:00")))
    export(body)
    assert export(body).json() == {}
    export(request(energy_sum(gpu_point("10:01:30", 9_000, "10:00:00"))))
    assert energy()[GPU]["it_energy_kwh"] == 0.0025


def test_the_life_of_a_device_in_the_first_point_is_held_back(export: Post, energy: Any):
    export(
        request(energy_sum(gpu_point("10:01:00", 5_000_100, "10:00:59"), gpu_point("10:02:00", 5_009_100, "10:00:59")))
    )
    assert energy()[GPU]["it_energy_kwh"] == 0.0025
    assert MeterFinding.unscoped.get().finding == MeterFinding.Finding.HELD_BACK


def test_the_same_as_a_first_delta(export: Post, energy: Any):
    export(request(energy_sum(gpu_point("10:01:00", 5_000_100, "10:00:59"), temporality=DELTA)))
    export(request(energy_sum(gpu_point("10:02:00", 9_000, "10:01:00"), temporality=DELTA)))
    export(request(energy_sum(gpu_point("10:03:00", 9_000, "10:02:00"), temporality=DELTA)))
    assert energy()[GPU]["it_energy_kwh"] == 0.005


def test_a_new_start_counts_what_stands_after_it(export: Post, energy: Any):
    export(request(energy_sum(gpu_point("10:01:00", 18_000, "10:00:00")), service__instance__id="one"))
    export(request(energy_sum(gpu_point("10:06:00", 36_000, "10:05:00")), service__instance__id="two"))
    assert energy()[GPU]["it_energy_kwh"] == 0.015


def test_power_is_integrated_and_never_added_to_the_energy_of_its_device(export: Post, energy: Any):
    power = {
        "name": "hw.power",
        "unit": "W",
        "gauge": {"dataPoints": [gpu_point(f"10:0{i}:00", 360) for i in range(6)]},
    }
    export(request(power))
    assert sum(row["it_energy_kwh"] for row in energy().values()) == 0.03
    export(request(energy_sum(gpu_point("10:00:00", 0), gpu_point("10:05:00", 36_000))))
    assert sum(row["it_energy_kwh"] for row in energy().values()) == 0.01


def test_a_whole_host_is_not_added_to_its_parts(export: Post, energy: Any):
    export(
        request(
            energy_sum(gpu_point("10:00:00", 0), gpu_point("10:30:00", 180_000)),
            energy_sum(point("10:00:00", 0), point("10:30:00", 360_000), name="hw.host.energy"),
        )
    )
    found = energy()
    assert found[GPU]["it_energy_kwh"] == 0.05
    assert found["node-17"]["it_energy_kwh"] == 0.05


def test_tokens_are_the_sum_of_the_histogram(export: Post, energy: Any, client: Client, key: str):
    def usage(clock: str, kind: str, total: float) -> dict[str, Any]:
        said = attributes(gen_ai__token__type=kind, gen_ai__request__model="my-llm", gen_ai__operation__name="chat")
        return {
            "timeUnixNano": str(ns(clock)),
            "startTimeUnixNano": str(ns("10:00:00")),
            "count": "3",
            "sum": total,
            "attributes": said,
        }

    histogram = {
        "aggregationTemporality": CUMULATIVE,
        "dataPoints": [usage("10:01:00", "input", 700), usage("10:01:00", "output", 300)],
    }
    export(request({"name": "gen_ai.client.token.usage", "unit": "{token}", "histogram": histogram}))
    energy()
    rows = client.get("/api/v1/samples?from=2026-07-01", headers={"Authorization": f"Bearer {key}"}).json()["results"]
    assert sum(row["work"].get("tokens", 0) for row in rows) == 1000
    assert {row["model"] for row in rows} == {"my-llm"}


def test_points_that_cannot_be_counted_are_told_and_the_others_kept(export: Post):
    export_body = request(
        energy_sum(gpu_point("10:00:00", 1)),
        {"name": "hw.energy", "unit": "BTU", "sum": energy_sum(gpu_point("10:00:00", 1))["sum"]},
        energy_sum(gpu_point("10:00:00", 1), isMonotonic=False),
        {"name": "http.server.duration", "unit": "s", "gauge": {"dataPoints": [point("10:00:00", 1)]}},
    )
    answer = export(export_body)
    assert answer.status_code == 200
    partial = answer.json()["partialSuccess"]
    assert partial["rejectedDataPoints"] == "2"
    assert "BTU" in partial["errorMessage"]
    receipt = Receipt.unscoped.get()
    assert (receipt.accepted, receipt.rejected, receipt.ignored) == (1, 2, 1)


def test_json_takes_numbers_as_strings_or_numbers_and_unknown_fields(export: Post):
    body = request(energy_sum(gpu_point("10:00:00", 1)))
    body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["sum"]["dataPoints"][0] |= {
        "timeUnixNano": ns("10:00:00"),
        "asInt": "7",
        "aFieldOfTheFuture": {"x": 1},
    }
    del body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["sum"]["dataPoints"][0]["asDouble"]
    assert export(body).status_code == 200
    assert MeterReading.objects.get().value == 7


def test_no_recorded_value_ends_the_series(export: Post, energy: Any):
    power = [gpu_point("10:00:00", 360), gpu_point("10:01:00", 360), gpu_point("10:01:30", 0) | {"flags": 1}]
    power.append(gpu_point("10:02:00", 360))
    export(request({"name": "hw.power", "unit": "W", "gauge": {"dataPoints": power}}))
    assert energy()[GPU]["it_energy_kwh"] == 0.006


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)]
)
def test_protobuf_packed_or_not_is_answered_in_protobuf(export: Post, encoding: str, pack: Callable[[bytes], bytes]):
    message = service.ExportMetricsServiceRequest()
    metric = message.resource_metrics.add().scope_metrics.add().metrics.add(name="hw.energy", unit="J")
    metric.sum.aggregation_temporality = CUMULATIVE
    metric.sum.is_monotonic = True
    metric.sum.data_points.add(time_unix_nano=ns("10:00:00"), as_int=5)
    answer = export(pack(message.SerializeToString()), PROTOBUF, Content_Encoding=encoding)
    assert (answer.status_code, answer.headers["Content-Type"], answer.content) == (200, PROTOBUF, b"")
    assert MeterReading.objects.get().value == 5


def test_an_empty_list_is_a_success_and_an_empty_body_is_not(export: Post):
    assert export({"resourceMetrics": []}).status_code == 200
    assert export(b"", PROTOBUF).status_code == 400


def test_what_cannot_be_read_is_400_with_a_status_in_the_type_of_the_request(export: Post):
    answer = export(b"\xff\xff\xff", PROTOBUF)
    assert answer.status_code == 400
    status = status_pb2.Status()
    status.ParseFromString(answer.content)
    assert (status.code, "ExportMetricsServiceRequest" in status.message) == (3, True)
    answer = export(b'{"resourceMetrics": [', "application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, 3)


def test_another_type_or_encoding_is_415_and_too_much_is_413(export: Post, settings: Any):
    body = request(energy_sum(gpu_point("10:00:00", 1)))
    assert export(body, "text/plain").status_code == 415
    assert export(body, Content_Encoding="br").status_code == 415
    settings.INGEST_MAX_BODY_BYTES = 10_000
    assert export(gzip.compress(b" " * 100_000), Content_Encoding="gzip").status_code == 413


def test_a_database_that_is_away_is_503_with_a_time_to_come_back(export: Post, monkeypatch: pytest.MonkeyPatch):
    def away(*_: object) -> None:
        raise OperationalError("the database system is shutting down")

    monkeypatch.setattr("apps.telemetry.meters.intake.store", away)
    answer = export(request(energy_sum(gpu_point("10:00:00", 1))))
    assert (answer.status_code, answer.json()["code"]) == (503, 14)
    assert int(answer.headers["Retry-After"]) > 0


def test_a_wrong_key_is_401_as_a_status(export: Post):
    answer = export(request(energy_sum(gpu_point("10:00:00", 1))), Authorization="Bearer nonsense")
    assert (answer.status_code, answer.json()["code"]) == (401, 16)


def test_whose_energy_it_is_follows_from_the_resource(export: Post, energy: Any, team: Any):
    points = [gpu_point("10:00:00", 0), gpu_point("10:30:00", 36_000)]
    export(request(energy_sum(*points), service__namespace="vision", service__name="my-llm"))
    assert energy("team")["vision"]["it_energy_kwh"] == 0.01
    assert energy("model")["my-llm"]["it_energy_kwh"] == 0.01
