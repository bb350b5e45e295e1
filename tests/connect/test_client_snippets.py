"""Snippets for clients that know the portal's doors: used as pasted, by the programs they are for."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from apps.dashboards.client_snippets import SENT_METRICS
from apps.dashboards.snippets import ORDER, SourceKind, experiment_id, snippets
from apps.organisations.models import Organisation
from apps.telemetry.models import Experiment, MeterReading, Reading, Receipt, Upload
from apps.telemetry.uploads import services as uploads

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


def paste(text: str, folder: Path, **programs: str) -> subprocess.CompletedProcess[str]:
    """Paste into a shell that has these programs, given as what they print."""
    for name, printed in programs.items():
        program = folder / name.replace("_", "-")
        (folder / f"{name}.txt").write_text(printed)
        program.write_text(f'#!/bin/sh\ncat "{folder}/{name}.txt"\n')
        program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder), "NO_PROXY": "*"}
    return subprocess.run(
        ["sh", "-c", text], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def stored(text: str, folder: Path, organisation: Organisation, **programs: str) -> Upload:
    """The upload that a pasted snippet leaves, worked off."""
    done = paste(text, folder, **programs)
    assert done.returncode == 0, done.stderr
    upload = Upload.objects.of(organisation).get()
    assert json.loads(done.stdout)["upload"] == str(upload.public_id)
    uploads.work(upload.pk)
    upload.refresh_from_db()
    assert upload.state == Upload.State.DONE, (upload.error, upload.report)
    return upload


SACCT = """\
JobIDRaw|User|Account|Cluster|Partition|NodeList|Start|End|ElapsedRaw|ConsumedEnergyRaw|AllocTRES
4711|ada|vision|hpc|gpu|node17|2026-07-01T10:00:00|2026-07-01T11:00:00|3600|3600000|cpu=8,gres/gpu=2,node=1
"""
SMI = """\
timestamp, uuid, power.draw [W]
2026/07/01 10:00:00.000, GPU-1, 300.00 W
2026/07/01 10:00:01.000, GPU-1, 300.00 W
"""


def test_a_slurm_epilog_sends_what_sacct_says(
    live_server, transactional_db: None, make_key: Callable[..., str], organisation: Organisation, tmp_path: Path
):
    text = texts(make_key(("ingest",)), base=live_server.url)["slurm"]
    upload = stored(text, tmp_path, organisation, sacct=SACCT)
    assert (upload.format, upload.receipt.accepted) == ("slurm", 1)
    assert Reading.objects.get().energy_microwatt_hours == 10**9


def test_power_of_every_gpu_is_recorded_and_sent(
    live_server, transactional_db: None, make_key: Callable[..., str], organisation: Organisation, tmp_path: Path
):
    text = texts(make_key(("ingest",)), base=live_server.url)["nvidia-smi"]
    upload = stored(text, tmp_path, organisation, nvidia_smi=SMI)
    assert (upload.format, upload.receipt.accepted) == ("nvidia-smi", 2)
    assert sorted(MeterReading.objects.values_list("value", flat=True)) == [300.0, 300.0]


TRACKED = """
import time
from codecarbon import OfflineEmissionsTracker

tracker = OfflineEmissionsTracker(country_iso_code="FRA", measure_power_secs=1, log_level="error")
tracker.start()
time.sleep(2.5)
tracker.stop()
"""


def test_codecarbon_sends_with_its_settings_as_pasted(
    live_server, transactional_db: None, make_key: Callable[..., str], organisation: Organisation, tmp_path: Path
):
    key = make_key(("ingest",))
    (tmp_path / ".codecarbon.config").write_text(texts(key, base=live_server.url)["codecarbon"])
    done = paste(f"{sys.executable} - <<'PY'{TRACKED}PY\n", tmp_path)
    assert done.returncode == 0, done.stderr
    assert MeterReading.objects.count() >= 1, done.stderr
    known = Experiment.objects.of(organisation).get()
    assert known.experiment_id == experiment_id("node 17")


@pytest.mark.parametrize("snippet_id", ["prometheus", "collector", "kubernetes"])
def test_no_key_or_address_can_end_a_quotation(snippet_id: str):
    key, base = 'a"b\\c: #d', "https://[2001:db8::1]:8443"
    documents = list(yaml.safe_load_all(texts(key, base=base)[snippet_id]))
    said = [value for document in documents for value in strings(document)]
    assert key in said or f"Bearer {key}" in said
    assert any(value.startswith(f"{base}/api/") for value in said)


def strings(node: object) -> Iterator[str]:
    """Every text in a YAML document."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for inner in node.values() if isinstance(node, dict) else node:
            yield from strings(inner)
