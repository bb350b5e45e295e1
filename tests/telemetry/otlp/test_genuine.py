"""OpenTelemetry's own SDK and exporter against the portal on a real server; and bodies as other exporters send them."""

from __future__ import annotations

import gzip
import http.client
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.rpc import status_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service

from apps.organisations.models import Team
from apps.telemetry.meters.services import change_meter
from apps.telemetry.models import Meter, MeterFinding, MeterReading, Receipt, StartPolicy
from tests.processes import ROOT
from tests.telemetry.live import Portal

pytestmark = pytest.mark.django_db(transaction=True)
PATH = "/api/otlp/v1/metrics"
Energy = Callable[..., dict[str, dict[str, Any]]]
GPUS = {name: f"GPU-00000000-0000-4000-8000-00000000000{i}" for i, name in enumerate(("CUMULATIVE", "DELTA"))}


def run(portal: Portal, key: str, **plan: Any) -> None:
    """Run the program to its end; it must not fail, nor say that anything failed."""
    plan = {"url": portal.url + PATH, "key": key, "device": [], "power": []} | plan
    command = [sys.executable, "-m", "tests.telemetry.otlp.exporting", json.dumps(plan)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def energy(energy_by: Energy) -> Energy:
    """Settled rows of today, with a day on either side: the test may run at midnight."""
    today = datetime.now(UTC).date()
    return lambda group_by: energy_by(group_by, str(today - timedelta(days=1)), str(today + timedelta(days=2)))


def test_the_sdk_by_either_temporality_packed_either_way_and_through_a_restart(
    portal: Portal, key: str, energy: Energy, team: Team
) -> None:
    for temporality, compression in (("CUMULATIVE", "Gzip"), ("DELTA", "Deflate")):
        how = {"temporality": temporality, "compression": compression, "gpu": GPUS[temporality]}
        how["host"] = f"host-{temporality.lower()}"
        run(
            portal,
            key,
            **how,
            used=[3_600, 1_800, 900],
            device=[5_000_100, 5_000_460, 5_001_180],  # has counted long before the program
            power=[360, 360, 360],
            tokens=[(700, 300), (70, 30), (7, 3)],
        )
        # Again, as a process of its own: the counter begins at zero, the device's has run on.
        run(portal, key, **how, used=[7_200, 360], device=[5_001_900, 5_002_260], tokens=[(1_000, 0), (0, 1)])

    found = energy("source")
    for temporality in GPUS:
        # 6,300 J and 7,560 J: both processes are counted in full, the export at shutdown adds nothing.
        assert found[GPUS[temporality]]["it_energy_kwh"] == 0.00385
    # The life of a device is not counted, only what came since; each process begins again: 1,080 J and 360 J.
    assert found["host-cumulative/package0"]["it_energy_kwh"] == 0.0004
    assert found["host-delta/package0"]["it_energy_kwh"] == 0.0004
    held = MeterFinding.unscoped.filter(finding=MeterFinding.Finding.HELD_BACK)
    assert set(held.values_list("meter__source__name", flat=True)) == {
        "host-cumulative/package0",
        "host-delta/package0",
    }
    for temporality in GPUS:
        dimm = f"host-{temporality.lower()}/dimm0"
        at = list(MeterReading.objects.filter(series__meter__source__name=dimm).values_list("at_ms", flat=True))
        assert found[dimm]["it_energy_kwh"] == pytest.approx(360 * (max(at) - min(at)) / 3.6e9, abs=1e-6)
    work = sum(row.get("tokens") or 0 for row in _samples(portal, key))
    assert work == 2 * (1_110 + 1_001)
    assert energy("team")[team.slug]["it_energy_kwh"] > 0
    assert not Receipt.unscoped.filter(rejected__gt=0).exists()

    # Once a person says that it is the device's own counter, it goes on through the restart: 2,160 J.
    meter = Meter.unscoped.get(name="hw.energy host-cumulative/package0")
    change_meter(meter=meter, actor="test", start_policy=StartPolicy.BASELINE)
    assert energy("source")["host-cumulative/package0"]["it_energy_kwh"] == 0.0006


def _samples(portal: Portal, key: str) -> Iterator[dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", portal.port, timeout=60)
    connection.request("GET", "/api/v1/samples?limit=1000", headers={"Authorization": f"Bearer {key}"})
    for row in json.loads(connection.getresponse().read())["results"]:
        yield row["work"]


def test_bodies_without_a_length_arrive_and_no_answer_redirects(portal: Portal, key: str) -> None:
    message = service.ExportMetricsServiceRequest()
    metric = message.resource_metrics.add().scope_metrics.add().metrics.add(name="hw.power", unit="W")
    for i in range(300):
        metric.gauge.data_points.add(time_unix_nano=1_780_000_000_000_000_000 + i * 10**10, as_int=i)
    body = message.SerializeToString()

    def post(content: Any, path: str = PATH, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", portal.port, timeout=60)
        sent = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-protobuf"} | headers
        chunked = not isinstance(content, bytes)
        if chunked:
            sent["Transfer-Encoding"] = "chunked"
        connection.request("POST", path, content, sent, encode_chunked=chunked)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def chunks(content: bytes) -> Iterator[bytes]:
        return (content[i : i + 500] for i in range(0, len(content), 500))

    assert post(chunks(body)) == (200, b"")
    assert MeterReading.objects.count() == 300
    assert post(chunks(gzip.compress(body)), **{"Content-Encoding": "gzip"}) == (200, b"")
    assert post(body, PATH + "/") == (200, b"")
    # A message without content is valid; a body that was lost on the way must not be taken for one.
    for status, content in (post(chunks(b"")), post(b"")):
        assert (status, status_pb2.Status.FromString(content).code) == (400, 3)
    assert post(gzip.compress(b""), **{"Content-Encoding": "gzip"}) == (200, b"")
    assert [receipt.duplicates for receipt in Receipt.unscoped.filter(accepted=0, answer_status=200)] == [300, 300]
    assert MeterReading.objects.count() == 300
