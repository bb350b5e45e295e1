"""Snippets for clients that know the portal's doors: used as pasted, by the programs they are for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from apps.dashboards.client_snippets import SENT_METRICS
from apps.dashboards.snippets import ORDER, SourceKind, snippets
from apps.telemetry.models import MeterReading, Receipt

BASE = "https://portal.example"


def texts(key: str = "esg_key", kind: SourceKind = SourceKind.NODE, base: str = BASE) -> dict[str, str]:
    return {made.id: made.text for made in snippets(url=f"{base}/api/v1/samples", key=key, name="node 17", kind=kind)}


@pytest.mark.parametrize("kind", SourceKind)
def test_every_kind_offers_every_client_and_its_usual_ones_first(kind: SourceKind):
    made = [snippet.id for snippet in snippets(url=f"{BASE}/api/v1/samples", key="k", name="x", kind=kind)]
    assert tuple(made[: len(ORDER[kind])]) == ORDER[kind]
    assert len(made) == len(set(made)) == 10


def test_the_key_and_the_address_stand_in_every_one():
    for text in texts().values():
        assert "esg_key" in text
        assert f"{BASE}/api/" in text


def test_prometheus_takes_its_snippet_as_it_stands(tmp_path: Path):
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("Prometheus is not installed here: promtool checks the snippet")
    config = tmp_path / "prometheus.yml"
    config.write_text(texts()["prometheus"])
    done = subprocess.run([tool, "check", "config", str(config)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_prometheus_is_asked_to_send_is_what_the_table_knows():
    for name in ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "vllm:prompt_tokens_total", "ray_vllm:prompt_tokens_total"):
        assert re.fullmatch(SENT_METRICS, name)
    for name in ("up", "go_goroutines", "DCGM_FI_DEV_GPU_TEMP"):
        assert not re.fullmatch(SENT_METRICS, name)


PROGRAM = """
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=600_000)])
provider.get_meter("job").create_counter("hw.energy", unit="J").add(3600, {"hw.id": "gpu0", "hw.type": "gpu"})
provider.shutdown()
"""


def test_an_opentelemetry_program_sends_with_its_environment_as_pasted(
    live_server, transactional_db: None, make_key: Callable[..., str], tmp_path: Path
):
    lines = texts(make_key(("ingest",)), base=live_server.url)["opentelemetry"]
    (tmp_path / "job.py").write_text(PROGRAM)
    done = subprocess.run(
        ["sh", "-c", f"{lines}\nexec {sys.executable} job.py"],
        cwd=tmp_path,
        env={**os.environ, "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert MeterReading.objects.get().value == 3600
    assert Receipt.unscoped.get().protocol == "otlp"
