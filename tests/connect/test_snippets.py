"""The snippets, run for real: in a shell and by Python, against a real server, as an engineer would paste them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from apps.dashboards.snippets import SourceKind, snippets, source_name
from apps.organisations.models import Organisation, Team
from apps.sites.models import Site
from apps.telemetry.models import Attribution, Reading, Source


def run(snippet_id: str, text: str, folder: Path) -> dict:
    """Paste the text where it belongs and give back the portal's answer."""
    command = [sys.executable, "-c", text] if snippet_id == "python" else ["sh", "-c", text]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def texts(live_server, transactional_db: None, make_key: Callable[..., str]) -> Callable[..., dict[str, str]]:
    """A function that gives the snippets for this server and a fresh key, by id."""

    def make(kind: SourceKind = SourceKind.TRAINING, name: str = "trainer-17", **fields: object) -> dict[str, str]:
        key = make_key(("ingest",), **fields)
        made = snippets(url=f"{live_server.url}/api/v1/samples", key=key, name=name, kind=kind)
        return {snippet.id: snippet.text for snippet in made}

    return make


def test_the_machine_has_what_the_snippets_use():
    assert shutil.which("curl")
    assert shutil.which("sh")


@pytest.mark.parametrize("kind", SourceKind)
@pytest.mark.parametrize("snippet_id", ["curl", "python", "csv"])
def test_a_pasted_snippet_stores_a_reading(
    texts: Callable[..., dict[str, str]],
    organisation: Organisation,
    site: Site,
    team: Team,
    tmp_path: Path,
    kind: SourceKind,
    snippet_id: str,
):
    answer = run(snippet_id, texts(kind, team=team, site_code="fra1")[snippet_id], tmp_path)
    assert answer["accepted"] == 1
    assert answer["errors"] == []
    reading = Reading.objects.get()
    said = Attribution.objects.of(organisation).get()
    assert reading.end_ms - reading.start_ms == 59_000
    assert reading.energy_microwatt_hours == pytest.approx(350 * 59 / 3600 * 1e6, abs=1)
    assert Source.objects.of(organisation).get().name == "trainer-17"
    assert said.site == site
    assert said.team_name.team == team
    assert said.get_kind_display() == kind.fields["kind"].replace("_", " ")
    assert said.get_boundary_display() == kind.fields["boundary"]
    if kind is SourceKind.INFERENCE:
        assert (reading.tokens, reading.requests) == (48_000, 120)


def test_pasted_twice_in_a_minute_it_counts_once(
    texts: Callable[..., dict[str, str]], site: Site, tmp_path: Path, organisation: Organisation
):
    made = texts()
    answers = [
        run("curl", made["curl"], tmp_path),
        run("csv", made["csv"], tmp_path),
        run("curl", made["curl"], tmp_path),
    ]
    # The minute may turn once while the three are run, and not twice.
    assert sum(answer["accepted"] for answer in answers) in (1, 2)
    assert sum(answer["accepted"] + answer["duplicates"] for answer in answers) == 3


def test_python_says_why_it_was_refused(texts: Callable[..., dict[str, str]], tmp_path: Path):
    text = texts()["python"].replace("Bearer esg_", "Bearer not_")
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("401 ")


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("trainer-17", "trainer-17"),
        ("node 17 / GPU 0", "node-17-/-GPU-0"),
        ('$(rm -rf ~) `id` "; drop', "rm--rf-id-drop"),
        ("Größe,1\n2", "Gr-e-1-2"),
        ("…", "my-source"),
    ],
)
def test_a_name_cannot_break_out_of_a_shell_json_or_csv(name: str, source: str):
    assert source_name(name) == source
