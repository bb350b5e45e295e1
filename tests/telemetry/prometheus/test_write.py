"""Remote write as senders use it: what is stored, what is ignored, and what each answer makes the sender do."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from apps.organisations.models import Team
from apps.telemetry.models import MeterReading, Receipt, Series, Source
from tests.telemetry.prometheus.conftest import Write, at, snappy
from tests.telemetry.prometheus.writing import DCGM, DCGM_LABELS, STALE, UUID, field, named, request, series

Energy = Callable[..., dict[str, dict[str, Any]]]
MINUTE_MS = 60_000


def gpu(*samples: tuple[int, float], **labels: str) -> Any:
    return named(DCGM, DCGM_LABELS | labels, *samples)


def test_a_counter_becomes_energy_of_the_device(write: Write, energy: Energy):
    for minute in range(3):
        answer = write(gpu((at("10:00:00") + minute * MINUTE_MS, 1e9 + minute * 18_000_000)))
        assert (answer.status_code, answer.content) == (204, b"")
    assert energy()[UUID]["it_energy_kwh"] == 0.01
    source = Source.unscoped.get()
    assert (source.name, source.device, source.within, source.door) == (UUID, UUID, "node-17", "prometheus")


def test_a_batch_sent_again_counts_once_and_late_ones_fall_into_place(write: Write, energy: Energy):
    first = gpu((at("10:00:00"), 0), (at("10:01:00"), 3_600_000))
    second = gpu((at("10:02:00"), 7_200_000))
    third = gpu((at("10:03:00"), 10_800_000))
    # The slow original is through last: copy and newer samples were stored before it.
    for batch in (third, first, second, first, third):
        assert write(batch).status_code == 204
    assert MeterReading.objects.count() == 4
    assert energy()[UUID]["it_energy_kwh"] == 0.003
    assert Receipt.unscoped.order_by("-pk").first().duplicates == 1


def test_one_series_with_samples_quick_slow_and_zero_is_read_the_same(write: Write):
    moments = [at("10:00:00") + i * 15_000 for i in range(4)]
    write(gpu((moments[0], 0.0)))  # learns the labels
    write(gpu((moments[1], 5.0)))  # the quick way
    write(gpu((moments[2], 0.0)))  # a zero, whose double is omitted
    write(gpu((moments[3], 7.0), (moments[3] + 1, 8.0)))  # two samples
    stored = MeterReading.objects.order_by("at_ms").values_list("at_ms", "value")
    assert list(stored) == [*zip(moments, [0.0, 5.0, 0.0, 7.0], strict=True), (moments[3] + 1, 8.0)]


def test_what_is_no_energy_and_no_work_is_accepted_and_ignored(write: Write):
    answer = write(
        named("up", {"instance": "node-17:9400"}, (at("10:00:00"), 1)),
        named("scrape_duration_seconds", {"instance": "node-17:9400"}, (at("10:00:00"), 0.2)),
        gpu((at("10:00:00"), 5)),
    )
    assert answer.status_code == 204
    receipt = Receipt.unscoped.get()
    assert (receipt.accepted, receipt.ignored, receipt.rejected) == (1, 2, 0)


def test_metadata_alone_is_a_success(write: Write):
    metadata = field(3, b"\x08\x01" + field(2, DCGM.encode()) + field(4, b"Total energy"))
    assert write(raw=snappy(metadata)).status_code == 204
    assert not Receipt.unscoped.exists()


def test_values_that_say_no_value_are_no_readings(write: Write, energy: Energy):
    blank = float(9223372036854775794)
    samples = [(at("10:00:00"), 1e6), (at("10:01:00"), blank), (at("10:02:00"), 1e6 + 3_600_000)]
    write(gpu(*samples, (at("10:03:00"), math.nan), (at("10:04:00"), math.inf)))
    assert energy()[UUID]["it_energy_kwh"] == 0.001
    assert Receipt.unscoped.get().ignored == 3


def test_the_staleness_marker_ends_a_gauge_and_no_counter(write: Write, energy: Energy):
    power = named("DCGM_FI_DEV_POWER_USAGE", DCGM_LABELS, (at("10:00:00"), 360), (at("10:01:00"), 360))
    write(power)
    write(named("DCGM_FI_DEV_POWER_USAGE", DCGM_LABELS, (at("10:01:30"), STALE), (at("10:02:00"), 360)))
    assert energy()[UUID]["it_energy_kwh"] == 0.006
    assert MeterReading.objects.filter(value=None).count() == 1


def test_the_counter_of_a_device_goes_before_its_gauge(write: Write, energy: Energy):
    write(
        gpu((at("10:00:00"), 0), (at("10:30:00"), 360e6)),
        named("DCGM_FI_DEV_POWER_USAGE", DCGM_LABELS, *((at("10:00:00") + i * MINUTE_MS, 500) for i in range(31))),
    )
    found = energy()
    assert sum(row["it_energy_kwh"] for row in found.values()) == 0.1
    assert found[UUID]["it_energy_kwh"] == 0.1


def test_mig_slices_repeat_one_counter_and_share_it(write: Write, energy: Energy):
    slices = [
        named(DCGM, DCGM_LABELS | {"GPU_I_ID": str(i), "exported_namespace": f"team-{i}"}, (moment, value))
        for moment, value in ((at("10:00:00"), 1e9), (at("11:00:00"), 1e9 + 1.44e9))
        for i in range(4)
    ]
    write(*slices)
    assert sum(row["it_energy_kwh"] for row in energy().values()) == 0.4


def test_a_pod_that_moves_loses_nothing_and_counts_no_lifetime(write: Write, energy: Energy):
    write(gpu((at("10:00:00"), 9e11), (at("10:10:00"), 9e11 + 36e6), exported_pod="a"))
    write(gpu((at("10:20:00"), 9e11 + 72e6), (at("10:30:00"), 9e11 + 108e6), exported_pod="b"))
    assert energy()[UUID]["it_energy_kwh"] == 0.03


def test_kepler_and_dcgm_of_one_gpu_count_once(write: Write, energy: Energy):
    kepler = {"gpu_uuid": UUID, "node_name": "node-17", "instance": "kepler:9102"}
    write(
        gpu((at("10:00:00"), 0), (at("10:30:00"), 360e6)),
        named("kepler_node_gpu_joules_total", kepler, (at("10:00:00"), 0), (at("10:30:00"), 361e3)),
    )
    found = energy()
    assert sum(row["it_energy_kwh"] for row in found.values()) == 0.1


def test_cores_lie_within_their_package_and_both_within_the_host(write: Write, energy: Energy):
    labels = {"instance": "node-9:9100", "index": "0", "path": "intel-rapl:0"}
    write(
        named("node_rapl_package_joules_total", labels, (at("10:00:00"), 0), (at("10:30:00"), 36_000)),
        named("node_rapl_core_joules_total", labels, (at("10:00:00"), 0), (at("10:30:00"), 18_000)),
    )
    assert sum(row["it_energy_kwh"] for row in energy().values()) == 0.01


def test_pods_share_the_energy_of_their_node(write: Write, energy: Energy, make_key: Any):
    node = {"node_name": "node-9", "zone": "package"}
    write(
        named("kepler_node_cpu_joules_total", node, (at("10:00:00"), 0), (at("10:30:00"), 360_000)),
        *(
            named(
                "kepler_pod_cpu_joules_total",
                node | {"pod_id": name, "pod_name": name, "pod_namespace": name},
                (at("10:00:00"), 0),
                (at("10:30:00"), joules),
            )
            for name, joules in (("red", 180_000), ("blue", 90_000))
        ),
    )
    found = energy()
    assert found["node-9/package"]["it_energy_kwh"] == 0.025
    assert found["node-9/package/red"]["it_energy_kwh"] == 0.05
    assert sum(row["it_energy_kwh"] for row in found.values()) == 0.1


def test_tokens_and_requests_of_a_server_reach_its_model(write: Write, client: Client, key: str, energy: Energy):
    labels = {"model_name": "my-llm", "engine": "0", "instance": "gpu-1:8000", "job": "vllm"}
    for moment, factor in ((at("10:00:00"), 1), (at("10:30:00"), 2)):
        write(
            named("vllm:prompt_tokens_total", labels, (moment, 1000 * factor)),
            named("vllm:generation_tokens_total", labels, (moment, 500 * factor)),
            named("vllm:request_success_total", labels | {"finished_reason": "stop"}, (moment, 7 * factor)),
            named("vllm:request_success_total", labels | {"finished_reason": "length"}, (moment, 3 * factor)),
        )
    energy()
    rows = client.get(
        "/api/v1/samples?from=2026-07-01&to=2026-07-02", headers={"Authorization": f"Bearer {key}"}
    ).json()["results"]
    assert sum(row["work"].get("tokens", 0) for row in rows) == 1500
    assert sum(row["work"].get("requests", 0) for row in rows) == 10
    assert {row["model"] for row in rows} == {"my-llm"}


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Content_Type": "application/json"}, "application/json"),
        ({"Content_Type": "image/png"}, "image/png"),
        ({"Content_Encoding": "gzip"}, "gzip"),
        ({"Content_Encoding": "deflate"}, "deflate"),
        ({"Content_Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}, "2.0"),
        ({"X_Prometheus_Remote_Write_Version": "2.0.0"}, "2.0"),
    ],
)
def test_another_type_encoding_or_version_is_415(write: Write, headers: dict[str, str], said: str):
    answer = write(gpu((at("10:00:00"), 1)), **headers)
    assert answer.status_code == 415
    assert said in answer.content.decode()
    assert Receipt.unscoped.get().answer_status == 415


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not snappy at all",
        snappy(b"\x0a\xff\xff\xff\xff\x0f"),
        snappy(b"\x07"),
        snappy(field(1, series({"instance": "a"}, [(1, 1.0)]))),
        snappy(request(named(DCGM, DCGM_LABELS, (1, 1.0)))[:-3]),
        snappy(field(1, field(1, field(1, b"__name__") + field(2, b"\xff\xfe")))),
    ],
)
def test_what_cannot_be_read_is_400_with_a_reason_and_stores_nothing(write: Write, raw: bytes):
    answer = write(raw=raw)
    assert answer.status_code == 400
    assert len(answer.content) > 20
    assert MeterReading.objects.count() == 0


def test_a_snappy_bomb_is_413_before_it_is_unpacked(write: Write, settings: Any):
    settings.INGEST_MAX_BODY_BYTES = 1_000_000
    bomb = snappy(b"\0" * 5_000_000)
    assert len(bomb) < 1_000_000
    assert write(raw=bomb).status_code == 413


def test_samples_from_the_future_are_refused_and_the_others_kept(write: Write):
    ahead = int(time.time() * 1000) + 3_600_000
    answer = write(gpu((at("10:00:00"), 1)), gpu((ahead, 2)))
    assert answer.status_code == 400
    assert "1 samples were stored" in answer.content.decode()
    assert MeterReading.objects.count() == 1


def test_a_database_that_is_away_is_503_with_a_time_to_come_back(write: Write, monkeypatch: pytest.MonkeyPatch):
    def away(*_: object) -> None:
        raise OperationalError("the database system is shutting down")

    monkeypatch.setattr("apps.telemetry.meters.intake.store", away)
    answer = write(gpu((at("10:00:00"), 1)))
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


def test_the_key_may_be_the_password_of_basic_authentication(write: Write, key: str):
    import base64

    basic = "Basic " + base64.b64encode(f"anybody:{key}".encode()).decode()
    assert write(gpu((at("10:00:00"), 1)), Authorization=basic).status_code == 204
    assert write(gpu((at("10:01:00"), 1)), Authorization="Bearer nonsense").status_code == 401


@pytest.mark.parametrize("path", ["/api/prometheus/write", "/api/prometheus/write/"])
def test_neither_path_redirects(client: Client, key: str, path: str):
    answer = client.generic(
        "POST",
        path,
        snappy(request(gpu((at("10:00:00"), 1)))),
        content_type="application/x-protobuf",
        headers={"Authorization": f"Bearer {key}", "Content-Encoding": "snappy"},
    )
    assert answer.status_code == 204


def test_the_workloads_own_labels_go_before_the_exporters(write: Write, team: Team, energy: Energy):
    exporter = {"namespace": "monitoring", "pod": "dcgm-exporter-x", "container": "exporter"}
    for name, value in (("exported_namespace", team.slug), ("pod_namespace", team.slug)):
        device = f"GPU-{name}"
        write(gpu((at("10:00:00"), 0), (at("10:30:00"), 3_600_000), UUID=device, **exporter, **{name: value}))
    assert energy("team")["vision"]["it_energy_kwh"] == 0.002
    labels = Series.unscoped.first().labels
    assert (labels["namespace"], labels["exporter_namespace"]) == (team.slug, "monitoring")


def test_packages_dram_and_cores_within_psys_count_once(write: Write, energy: Energy):
    labels = {"instance": "node-9:9100", "index": "0"}
    for zone, joules in (("psys", 36_000), ("package", 18_000), ("core", 9_000), ("dram", 3_600)):
        write(named(f"node_rapl_{zone}_joules_total", labels, (at("10:00:00"), 0), (at("10:30:00"), joules)))
    assert sum(row["it_energy_kwh"] for row in energy().values()) == 0.01


@pytest.mark.parametrize(
    "name",
    [
        "kepler_node_cpu_active_joules_total",
        "kepler_node_cpu_watts",
        "kepler_container_cpu_joules_total",
        "kepler_process_cpu_joules_total",
        "DCGM_FI_DEV_GPU_TEMP",
    ],
)
def test_what_repeats_another_metric_is_ignored(write: Write, name: str):
    labels = {"node_name": "node-9", "zone": "package", "instance": "kepler:9102", "container_id": "a", "pid": "1"}
    assert write(named(name, labels | {"UUID": UUID}, (at("10:00:00"), 1))).status_code == 204
    assert MeterReading.objects.count() == 0
    assert Receipt.unscoped.get().ignored == 1


@pytest.mark.parametrize(
    ("name", "labels", "value", "kwh"),
    [
        ("nv_energy_consumption", {"gpu_uuid": UUID}, 3_600, 0.001),
        ("scaph_host_energy_microjoules", {"instance": "node-9:8080"}, 3.6e9, 0.001),
        ("scaph_socket_energy_microjoules", {"instance": "node-9:8080", "socket_id": "0"}, 3.6e9, 0.001),
        ("node_rapl_joules_total", {"instance": "node-9:9100", "rapl_zone": "package-0"}, 3_600, 0.001),
        ("energy_monitor_gpu_energy_joules", {"window": "epoch", "index": "0", "job": "zeus"}, 3_600, 0.001),
        ("codecarbon_energy_total", {"project_name": "llm"}, 0.001, 0.001),
    ],
)
def test_units_of_the_exporters(
    write: Write, energy: Energy, name: str, labels: dict[str, str], value: float, kwh: float
):
    write(named(name, labels, (at("10:00:00"), 0), (at("10:30:00"), value)))
    assert sum(row["it_energy_kwh"] for row in energy().values()) == kwh


@pytest.mark.parametrize(
    ("name", "work"),
    [
        ("ray_vllm_generation_tokens_total", "tokens"),
        ("vllm_prompt_tokens_total", "tokens"),
        ("tgi_request_generated_tokens_sum", "tokens"),
        ("tgi_request_success", "requests"),
        ("nv_inference_request_success", "requests"),
        ("nv_inference_count", "samples"),
        ("ts_inference_requests_total", "requests"),
    ],
)
def test_work_of_inference_servers(write: Write, client: Client, key: str, energy: Energy, name: str, work: str):
    labels = {"model_name": "my-llm", "instance": "gpu-1:8000"}
    write(named(name, labels, (at("10:00:00"), 100), (at("10:30:00"), 350)))
    energy()
    rows = client.get(
        "/api/v1/samples?from=2026-07-01&to=2026-07-02", headers={"Authorization": f"Bearer {key}"}
    ).json()["results"]
    assert sum(row["work"].get(work, 0) for row in rows) == 250


def test_a_body_of_nothing_but_other_series_is_accepted(write: Write):
    assert write(named("up", {"instance": "node-17:9400"}, (at("10:00:00"), 1))).status_code == 204
    assert Receipt.unscoped.get().ignored == 1
