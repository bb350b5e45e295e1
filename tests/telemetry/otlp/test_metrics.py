"""OTLP as exporters use it: what counts as energy, what is held back, and which answers make an exporter retry."""

from __future__ import annotations

import base64
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
from apps.telemetry.models import MeterFinding, MeterReading, Receipt, Series, Source

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


def test_a_start_microseconds_before_the_first_point_is_one_start_and_no_reset(export: Post, energy: Any):
    # As SDKs stamp it: within the millisecond of the first point, and the same with every later one.
    for base, name in ((100, "0001"), (999_900, "0002"), (0, "0003")):
        start = ns("10:00:00") + base
        for at, value in ((start + 40, 3_600), (start + 15 * 10**9, 5_400), (start + 30 * 10**9, 7_200)):
            said = gpu_point("10:00:00", value) | {"startTimeUnixNano": str(start), "timeUnixNano": str(at)}
            said["attributes"] = attributes(hw__id=GPU[:-4] + name, hw__type="gpu")
            export(request(energy_sum(said)))
        assert energy()[GPU[:-4] + name]["it_energy_kwh"] == 0.002
    assert not MeterFinding.unscoped.exists()


def test_a_start_equal_to_the_time_says_that_the_start_is_unknown(export: Post, energy: Any):
    at = ns("10:00:00") + 123_456
    first = gpu_point("10:00:00", 5_000_100) | {"startTimeUnixNano": str(at), "timeUnixNano": str(at)}
    later = gpu_point("10:01:00", 5_003_700) | {"startTimeUnixNano": str(at)}
    export(request(energy_sum(first, later)))
    assert energy()[GPU]["it_energy_kwh"] == 0.001
    assert not MeterFinding.unscoped.exists()


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


@pytest.mark.parametrize("shape", ["histogram", "exponentialHistogram"])
@pytest.mark.parametrize("temporality", [CUMULATIVE, DELTA])
def test_work_follows_the_temporality_of_its_histogram(
    export: Post, energy: Any, client: Client, key: str, shape: str, temporality: int
):
    said = attributes(gen_ai__token__type="output", gen_ai__response__model="my-llm", gen_ai__request__model="alias")

    def point_of(clock: str, start: str, total: float | None, count: int) -> dict[str, Any]:
        times = {"timeUnixNano": str(ns(clock)), "startTimeUnixNano": str(ns(start))}
        return {"attributes": said, "count": str(count)} | times | ({} if total is None else {"sum": total})

    start = "10:00:00" if temporality == CUMULATIVE else "10:01:00"
    points = [point_of("10:01:00", "10:00:00", 700, 3), point_of("10:02:00", start, 900, 5)]
    points.append(point_of("10:03:00", start, None, 5))  # the sum is optional; without it nothing is said of tokens
    for name in ("gen_ai.client.token.usage", "gen_ai.client.operation.duration", "gen_ai.server.request.duration"):
        export(request({"name": name, shape: {"aggregationTemporality": temporality, "dataPoints": points[:2]}}))
    export(
        request({"name": "gen_ai.client.token.usage", shape: {"aggregationTemporality": 2, "dataPoints": points[2:]}})
    )
    energy()
    rows = client.get("/api/v1/samples?from=2026-07-01", headers={"Authorization": f"Bearer {key}"}).json()["results"]
    is_total = temporality == CUMULATIVE
    assert sum(row["work"].get("tokens") or 0 for row in rows) == (900 if is_total else 1_600)
    # Of calls that client and server both report, the client's are counted.
    assert sum(row["work"].get("requests") or 0 for row in rows) == (5 if is_total else 8)
    assert {row["model"] for row in rows} == {"my-llm"}


def test_metrics_of_exporters_come_through_a_collector_too(export: Post, energy: Any):
    dcgm = {"UUID": GPU, "gpu": "0", "Hostname": "node-17", "modelName": "NVIDIA H100"}
    points = [point(clock, value, **dcgm) for clock, value in (("10:00:00", 9e9), ("10:30:00", 9e9 + 36e6))]
    named = {"name": "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "unit": ""}
    export(request(energy_sum(*points) | named, host__name="collector-1"))
    window = {"window": "epoch", "index": "0"}
    zeus = [
        {"timeUnixNano": str(ns(clock)), "attributes": attributes(**window), "count": "9", "sum": total}
        for clock, total in (("10:00:00", 3_600), ("10:10:00", 7_200))
    ]
    histogram = {"aggregationTemporality": CUMULATIVE, "dataPoints": zeus}
    export(request({"name": "energy_monitor_gpu_energy_joules", "histogram": histogram}, service__name="train"))
    found = energy()
    assert found[GPU]["it_energy_kwh"] == 0.01
    assert sum(row["it_energy_kwh"] for row in found.values()) == 0.011


@pytest.mark.parametrize(
    ("unit", "value", "joules"),
    [
        ("J", 3_600, 3_600),
        ("kJ", 3.6, 3_600),
        ("Wh", 1, 3_600),
        ("kWh", 0.001, 3_600),
        ("mJ", 3.6e6, 3_600),
        ("", 36, 36),
    ],
)
def test_the_unit_of_the_metric_holds(export: Post, energy: Any, unit: str, value: float, joules: int):
    export(request(energy_sum(gpu_point("10:00:00", 0), gpu_point("10:30:00", value)) | {"unit": unit}))
    assert energy()[GPU]["it_energy_kwh"] == joules / 3.6e6


def test_machines_that_do_not_say_their_host_are_told_apart_by_their_instance(export: Post, energy: Any):
    for instance in ("one", "two"):
        points = [point("10:00:00", 0, hw__id="0"), point("10:30:00", 3_600, hw__id="0")]
        said = request(energy_sum(*points), service__name="node-agent", service__instance__id=instance, host__name="")
        export(said)
    assert sum(row["it_energy_kwh"] for row in energy().values()) == 0.002


def test_attributes_in_another_order_are_the_same_series(export: Post):
    one = gpu_point("10:00:00", 1)
    other = gpu_point("10:01:00", 2)
    other["attributes"].reverse()
    export(request(energy_sum(one)))
    export(request(energy_sum(other)))
    series = Series.unscoped.get()
    assert (series.labels["hw.id"], series.labels["host.name"]) == (GPU, "node-17")


def test_labels_of_any_type_are_kept_as_text(export: Post):
    said = gpu_point("10:00:00", 1)
    said["attributes"] += [
        {"key": "racks", "value": {"arrayValue": {"values": [{"intValue": "3"}, {"stringValue": "b"}]}}},
        {"key": "shelf", "value": {"kvlistValue": {"values": [{"key": "row", "value": {"doubleValue": 1.5}}]}}},
        {"key": "spare", "value": {"boolValue": False}},
        {"key": "a\0b", "value": {"stringValue": "c\0d"}},
        {"key": "nothing"},
    ]
    body = request(energy_sum(said))
    body["resourceMetrics"][0]["scopeMetrics"][0]["scope"] = {"name": "agent", "version": "2"}
    assert export(body).status_code == 200
    labels = Series.unscoped.get().labels
    assert (labels["racks"], labels["shelf"], labels["spare"], labels["nothing"]) == (
        '[3, "b"]',
        '{"row": 1.5}',
        "false",
        "",
    )
    assert (labels["otel.scope.name"], labels["otel.scope.version"]) == ("agent", "2")
    assert not any("\0" in text for pair in labels.items() for text in pair)


@pytest.mark.parametrize(
    ("metric", "field"),
    [
        (energy_sum(gpu_point("10:00:00", 1), temporality=0), "aggregation_temporality"),
        (energy_sum(gpu_point("10:00:00", 1) | {"timeUnixNano": "0"}), "time_unix_nano"),
        (energy_sum(gpu_point("10:00:00", 1) | {"timeUnixNano": str(2**64 - 1)}), "time"),
        (energy_sum(gpu_point("10:00:00", -1)), "value"),
        (energy_sum(gpu_point("10:00:00", 1)) | {"name": "hw.power", "unit": "W"}, "data"),
        ({"name": "hw.energy", "unit": "J", "gauge": {"dataPoints": [gpu_point("10:00:00", 1)]}}, "data"),
        ({"name": "hw.power", "unit": "J", "gauge": {"dataPoints": [gpu_point("10:00:00", 1)]}}, "unit"),
    ],
)
def test_a_point_that_cannot_be_counted_says_why(export: Post, metric: dict[str, Any], field: str):
    answer = export(request(metric))
    assert answer.status_code == 200
    partial = answer.json()["partialSuccess"]
    assert (partial["rejectedDataPoints"], partial["errorMessage"].split(" ")[3]) == ("1", field)
    assert not MeterReading.objects.exists()


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


def bare_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", bare_deflate), ("identity", bytes)],
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
    for body in (b'{"resourceMetrics": [', b"[]", b"null", b'{"resourceMetrics": 5}', b"[" * 100_000, b"\xff"):
        answer = export(body, "application/json; charset=utf-8")
        assert (answer.status_code, answer.json()["code"]) == (400, 3)


def test_another_type_or_encoding_is_415_and_too_much_is_413(export: Post, settings: Any):
    body = request(energy_sum(gpu_point("10:00:00", 1)))
    assert export(body, "text/plain").status_code == 415
    assert export(body, Content_Encoding="br").status_code == 415
    settings.INGEST_MAX_BODY_BYTES = 10_000
    for encoding, pack in (("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", bare_deflate)):
        assert export(pack(b" " * 100_000), Content_Encoding=encoding).status_code == 413
        for damaged in (pack(json.dumps(body).encode())[:-5], b"nothing of the sort"):
            assert export(damaged, Content_Encoding=encoding).status_code == 400


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


def test_a_key_that_may_not_send_is_403_and_leaves_a_receipt(export: Post, make_key: Callable[..., str]):
    reading = make_key(scopes=("read",))
    answer = export(request(energy_sum(gpu_point("10:00:00", 1))), Authorization=f"Bearer {reading}")
    assert (answer.status_code, answer.json()["code"]) == (403, 7)
    assert Receipt.unscoped.get().answer_status == 403


def test_the_key_may_be_the_password_of_basic_authentication(export: Post, key: str):
    basic = base64.b64encode(f"anybody:{key}".encode()).decode()
    assert export(request(energy_sum(gpu_point("10:00:00", 1))), Authorization=f"Basic {basic}").status_code == 200
    assert MeterReading.objects.count() == 1


def test_whose_energy_it_is_follows_from_the_resource(export: Post, energy: Any, team: Any):
    points = [gpu_point("10:00:00", 0), gpu_point("10:30:00", 36_000)]
    export(request(energy_sum(*points), service__namespace="vision", service__name="my-llm"))
    assert energy("team")["vision"]["it_energy_kwh"] == 0.01
    assert energy("model")["my-llm"]["it_energy_kwh"] == 0.01


@pytest.mark.parametrize("name", ["meter/fra1", "METER/fra1", "gpu0 (gap filled)"])
def test_names_that_the_portal_books_under_are_never_a_meters(export: Post, name: str):
    assert export(request(energy_sum(point("10:00:00", 1), name="hw.host.energy"), host__name=name)).status_code == 200
    assert Source.unscoped.get().name == f"[{name}]"
