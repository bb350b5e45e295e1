"""Prometheus itself: it scrapes an exporter of ours, writes to the portal on loopback, and outlives a restart of it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from apps.organisations.models import Team
from apps.telemetry.models import MeterReading, Receipt
from tests.processes import Until
from tests.telemetry.live import Portal
from tests.telemetry.prometheus.writing import UUID

PROMETHEUS = shutil.which("prometheus")
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not PROMETHEUS, reason="no prometheus here: run `python requirements/system.py prometheus`"),
]
LIFETIME_MJ = 900_000_000_000  # what the device had used before anybody looked
WH = 3_600_000  # in mJ


class Exporter:
    """A GPU that uses 1 Wh a step and a server that writes 100 tokens a step; the test says when a step is taken."""

    def __init__(self) -> None:
        self.step = 0
        self.scrapes: list[int] = []  # the step that each scrape saw
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                step = exporter.step
                content = exporter.text(step).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                exporter.scrapes.append(step)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def text(self, step: int) -> str:
        gpu = f'UUID="{UUID}",gpu="0",Hostname="node-17"'
        energy = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"
        lines = [f"# HELP {energy} Total energy consumption since boot (in mJ).", f"# TYPE {energy} counter"]
        lines += [
            f'{energy}{{{gpu},GPU_I_ID="{i}",namespace="{team}",pod="{team}-0",container="train"}}'
            f" {LIFETIME_MJ + step * WH}"
            for i, team in enumerate(("vision", "speech"))
        ]
        lines += [
            "# TYPE vllm:generation_tokens_total counter",
            f'vllm:generation_tokens_total{{model_name="my-llm",engine="0"}} {step * 100}',
            "# TYPE DCGM_FI_DEV_GPU_TEMP gauge",
            f"DCGM_FI_DEV_GPU_TEMP{{{gpu}}} 61",
        ]
        return "\n".join(lines) + "\n"


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    running = Exporter()
    yield running
    running.server.shutdown()
    running.server.server_close()


@pytest.fixture
def prometheus(portal: Portal, exporter: Exporter, key: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    configuration = tmp_path / "prometheus.yml"
    configuration.write_text(
        f"""
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: dcgm
    static_configs:
      - targets: ["127.0.0.1:{exporter.port}"]
        labels: {{namespace: monitoring, pod: dcgm-exporter-x, container: exporter}}
remote_write:
  - url: {portal.url}/api/prometheus/write
    authorization: {{credentials: {key}}}
    queue_config: {{batch_send_deadline: 500ms, max_backoff: 500ms}}
    metadata_config: {{send_interval: 2s}}
"""
    )
    log = tmp_path / "prometheus.log"
    command = [str(PROMETHEUS), f"--config.file={configuration}", f"--storage.tsdb.path={tmp_path / 'tsdb'}"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=output, stderr=output, cwd=tmp_path
        )
    yield process
    process.kill()
    process.wait()


def test_prometheus_scrapes_writes_and_outlives_a_restart_of_the_portal(
    prometheus: subprocess.Popen[bytes],
    portal: Portal,
    exporter: Exporter,
    client: Client,
    team: Team,
    key: str,
    energy_by: Callable[..., Any],
    until: Until,
):
    def last_value() -> float:
        reading = MeterReading.objects.filter(value__gt=LIFETIME_MJ - 1).order_by("-at_ms").first()
        return -1.0 if reading is None or reading.value is None else (reading.value - LIFETIME_MJ) / WH

    until(lambda: last_value() == 0, 30, "the first reading did not arrive")
    exporter.step = 3
    until(lambda: last_value() == 3, 30, "the third step did not arrive")
    portal.stop()
    exporter.step = 5
    until(lambda: exporter.scrapes.count(5) >= 2, 10, "nobody scraped")
    exporter.step = 6
    portal.start()
    until(lambda: last_value() == 6, 30, "what was measured while the portal was away did not arrive")
    until(lambda: MeterReading.objects.filter(value=LIFETIME_MJ + 5 * WH).exists(), 10, "a reading was lost")
    time.sleep(1)

    today = datetime.now(UTC).date()
    window = (str(today - timedelta(days=1)), str(today + timedelta(days=2)))
    by_source = energy_by("source", *window)
    assert by_source[UUID]["it_energy_kwh"] == 0.006
    assert sum(row["it_energy_kwh"] for row in by_source.values()) == 0.006
    by_team = energy_by("team", *window)
    # "speech" is a namespace that nobody has mapped to a team: kept, and shown as unassigned.
    assert {name: row["it_energy_kwh"] for name, row in by_team.items()} == {"vision": 0.003, "": 0.003}
    rows = client.get(
        f"/api/v1/samples?from={window[0]}&to={window[1]}", headers={"Authorization": f"Bearer {key}"}
    ).json()["results"]
    assert sum(row["work"].get("tokens", 0) for row in rows) == 600
    ignored = Receipt.unscoped.filter(protocol="prometheus").values_list("ignored", "rejected")
    assert sum(count for count, _ in ignored) > 0
    assert sum(count for _, count in ignored) == 0
