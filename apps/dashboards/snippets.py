"""What an engineer pastes to send a first reading: shell and Python, with the key and the address filled in.

Each snippet takes its time from the clock of the machine that runs it, so that it still works when it is pasted
tomorrow, and always names the whole minute it runs in: pasted twice in a minute, the second is a duplicate and not a
second reading. The shell ones use nothing that POSIX ``sh``, ``date`` and ``curl`` lack, on Linux and macOS alike; the
Python one needs the standard library only.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from enum import StrEnum

from apps.dashboards import client_snippets as clients

EXAMPLE_POWER_W = 350
KEY_PLACEHOLDER = "YOUR_KEY"


class SourceKind(StrEnum):
    """What is being connected; decides what the snippet says about the reading."""

    TRAINING = "training"
    INFERENCE = "inference"
    NODE = "node"

    @property
    def label(self) -> str:
        return {
            SourceKind.TRAINING: "Training job",
            SourceKind.INFERENCE: "Inference server",
            SourceKind.NODE: "Node or cluster exporter",
        }[self]

    @property
    def fields(self) -> dict[str, str]:
        """The fields that this kind of source would send beside time and power."""
        return {
            SourceKind.TRAINING: {"kind": "training", "model": "my-model", "boundary": "accelerator"},
            SourceKind.INFERENCE: {"kind": "inference", "model": "my-model", "boundary": "accelerator"},
            SourceKind.NODE: {"kind": "other", "boundary": "node"},
        }[self]


@dataclass(frozen=True, slots=True)
class Snippet:
    id: str
    label: str
    text: str
    hint: str
    is_reading: bool = False  # sends one reading at once; the others set up a client


def source_name(name: str) -> str:
    """A name for the source that is the same text in a shell, in JSON and in CSV: letters, digits and ``._/-``."""
    return re.sub(r"[^A-Za-z0-9._/-]+", "-", name).strip("-./")[:100] or "my-source"


def snippets(*, url: str, key: str, name: str, kind: SourceKind) -> list[Snippet]:
    """The tabs of the Connect page, in their order. ``url`` is the address of ``/api/v1/samples``."""
    source = source_name(name)
    base = url.removesuffix("/api/v1/samples")
    made = [
        Snippet("curl", "curl", _curl(url, key, source, kind), "Paste it into a terminal.", is_reading=True),
        Snippet(
            "python",
            "Python",
            _python(url, key, source, kind),
            "Standard library only, Python 3.8 or newer.",
            is_reading=True,
        ),
        Snippet(
            "csv",
            "CSV",
            _csv(url, key, source, kind),
            "Any file with such a header line can be sent like this.",
            is_reading=True,
        ),
        Snippet(
            "prometheus",
            "Prometheus",
            clients.prometheus(base, key),
            "Into prometheus.yml. Only energy and work are sent; energy appears with the second sample of a counter.",
        ),
        Snippet(
            "opentelemetry",
            "OpenTelemetry",
            clients.opentelemetry(base, key),
            "Environment of a program with an OpenTelemetry SDK. The namespace names the team, the service the model.",
        ),
        Snippet(
            "collector",
            "OTel Collector",
            clients.collector(base, key),
            "Into the Collector's configuration, beside the receivers that you have.",
        ),
        Snippet(
            "codecarbon",
            "CodeCarbon",
            clients.codecarbon(base, key, experiment_id(name)),
            "Into .codecarbon.config of the folder that the job runs in.",
        ),
        Snippet(
            "slurm",
            "Slurm",
            clients.slurm(base, key),
            "Into an epilog or a nightly job. Right for exclusive allocations; jobs sent before are duplicates.",
        ),
        Snippet(
            "nvidia-smi",
            "nvidia-smi",
            clients.nvidia_smi(base, key),
            "A minute of power of every GPU, sent as a file.",
        ),
        Snippet(
            "kubernetes",
            "Kubernetes",
            clients.kubernetes(base, key),
            "A secret, and remote write for a Prometheus of the operator. Energy from the DCGM exporter or Kepler.",
        ),
    ]
    order = ORDER[kind]
    return sorted(made, key=lambda snippet: order.index(snippet.id) if snippet.id in order else len(order))


# What usually measures such a thing comes first; the rest follows.
ORDER = {
    SourceKind.TRAINING: ("curl", "python", "codecarbon", "opentelemetry", "slurm", "nvidia-smi", "csv"),
    SourceKind.INFERENCE: ("curl", "prometheus", "opentelemetry", "kubernetes", "python", "csv"),
    SourceKind.NODE: ("curl", "prometheus", "collector", "kubernetes", "nvidia-smi", "slurm", "python", "csv"),
}


def experiment_id(name: str) -> str:
    """An id for a CodeCarbon experiment, the same for the same name."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"esgportal:{source_name(name)}"))


def _curl(url: str, key: str, source: str, kind: SourceKind) -> str:
    fields = "".join(f',\n  "{name}": "{value}"' for name, value in kind.fields.items())
    work = ',\n  "work": {"tokens": 48000, "requests": 120}' if kind is SourceKind.INFERENCE else ""
    return f"""\
MINUTE=$(date -u +%Y-%m-%dT%H:%M)
curl -sS "{url}" \\
  -H "Authorization: Bearer {key}" \\
  -H "Content-Type: application/json" \\
  --data-binary @- <<JSON
[{{
  "source": "{source}",
  "start": "${{MINUTE}}:00Z",
  "end": "${{MINUTE}}:59Z",
  "power_w": {EXAMPLE_POWER_W}{fields}{work}
}}]
JSON
"""


def _python(url: str, key: str, source: str, kind: SourceKind) -> str:
    fields = "".join(f'\n    "{name}": "{value}",' for name, value in kind.fields.items())
    work = '\n    "work": {"tokens": 48000, "requests": 120},' if kind is SourceKind.INFERENCE else ""
    return f"""\
import datetime
import json
import urllib.error
import urllib.request

minute = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M")
reading = {{
    "source": "{source}",
    "start": minute + ":00Z",
    "end": minute + ":59Z",
    "power_w": {EXAMPLE_POWER_W},{fields}{work}
}}
request = urllib.request.Request(
    "{url}",
    data=json.dumps([reading]).encode(),
    headers={{"Authorization": "Bearer {key}", "Content-Type": "application/json"}},
)
try:
    with urllib.request.urlopen(request, timeout=30) as answer:
        print(answer.read().decode())
except urllib.error.HTTPError as error:
    raise SystemExit(str(error.code) + " " + error.read().decode())
"""


def _csv(url: str, key: str, source: str, kind: SourceKind) -> str:
    work = {"tokens": "48000", "requests": "120"} if kind is SourceKind.INFERENCE else {}
    cells = {"power_w": str(EXAMPLE_POWER_W), **kind.fields, **work}
    header = ",".join(["source", "start", "end", *cells])
    row = ",".join([source, "${MINUTE}:00Z", "${MINUTE}:59Z", *cells.values()])
    return f"""\
MINUTE=$(date -u +%Y-%m-%dT%H:%M)
cat > readings.csv <<CSV
{header}
{row}
CSV
curl -sS "{url}" \\
  -H "Authorization: Bearer {key}" \\
  -H "Content-Type: text/csv" \\
  --data-binary @readings.csv
"""
