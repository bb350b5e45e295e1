"""What an engineer pastes to send a first reading: shell and Python, with the key and the address filled in.

Each snippet takes its time from the clock of the machine that runs it, so that it still works when it is pasted
tomorrow, and always names the whole minute it runs in: pasted twice in a minute, the second is a duplicate and not a
second reading. The shell ones use nothing that POSIX ``sh``, ``date`` and ``curl`` lack, on Linux and macOS alike; the
Python one needs the standard library only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

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


def source_name(name: str) -> str:
    """A name for the source that is the same text in a shell, in JSON and in CSV: letters, digits and ``._/-``."""
    return re.sub(r"[^A-Za-z0-9._/-]+", "-", name).strip("-./")[:100] or "my-source"


def snippets(*, url: str, key: str, name: str, kind: SourceKind) -> list[Snippet]:
    """The tabs of the Connect page, in their order. ``url`` is the address of ``/api/v1/samples``."""
    source = source_name(name)
    return [
        Snippet("curl", "curl", _curl(url, key, source, kind), "Paste it into a terminal."),
        Snippet("python", "Python", _python(url, key, source, kind), "Standard library only, Python 3.8 or newer."),
        Snippet("csv", "CSV", _csv(url, key, source, kind), "Any file with such a header line can be sent like this."),
    ]


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
