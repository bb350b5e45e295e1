"""The stock ``codecarbon`` of the package index against the portal on a real server, energies compared exactly."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apps.accounting.services import settle
from apps.core.units import round_half_up
from apps.organisations.models import Organisation
from apps.telemetry.models import DERIVED, Experiment, MeterReading, Reading
from apps.telemetry.protocols.codecarbon import PUBLIC_EXPERIMENT
from tests.telemetry.codecarbon.recorder import Post, Recorder
from tests.telemetry.live import Portal

pytestmark = pytest.mark.django_db(transaction=True)
EXPERIMENT = "0f0f0f0f-1111-4222-8333-444444444444"
# Posts of about two seconds each: the client throws an interval of less than one away.
PACE = {"CODECARBON_MEASURE_POWER_SECS": "1", "CODECARBON_API_CALL_INTERVAL": "2"}
TRACKER = """
import time
from codecarbon import OfflineEmissionsTracker
tracker = OfflineEmissionsTracker(country_iso_code="FRA", log_level="error", allow_multiple_runs=True, {arguments})
tracker.start()
time.sleep({seconds})
{meanwhile}
tracker.stop()
"""


@pytest.fixture
def key(make_key: Callable[..., str], site: Any, team: Any) -> str:
    return make_key(site_code=site.code, team=team)


@pytest.fixture
def recorder(portal: Portal) -> Iterator[Recorder]:
    between = Recorder(portal.port)
    yield between
    between.stop()


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    """``run(command, **settings)``: run a program with ``CODECARBON_*`` settings in a folder of its own."""

    def start(command: list[str], **settings: str) -> str:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CODECARBON_")}
        environment = {**kept, "HOME": str(tmp_path), **PACE, **settings}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return start


def tracker(seconds: float, arguments: str = "", meanwhile: str = "") -> list[str]:
    return [sys.executable, "-c", TRACKER.format(seconds=seconds, arguments=arguments, meanwhile=meanwhile)]


def microwatt_hours(kwh: float) -> int:
    return round_half_up(Decimal(repr(kwh)) * 10**9)


def derived(organisation: Organisation) -> int:
    """What the accounts hold of it [uWh]."""
    settle(organisation.pk)
    rows = Reading.objects.filter(organisation_id=organisation.pk, receipt_id=DERIVED)
    return sum(rows.values_list("energy_microwatt_hours", flat=True))


def sum_of(posts: list[Post]) -> int:
    return sum(microwatt_hours(post.body["energy_consumed"]) for post in posts)


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_tracker_with_three_settings(
    recorder: Recorder, run: Callable[..., str], key: str, organisation: Organisation, tmp_path: Path, energy_by: Any
) -> None:
    """``api_endpoint``, ``api_key`` and ``experiment_id``, and nothing else that is ours."""
    said = run(
        tracker(4.2, 'output_methods=["api", "csv"]'),
        CODECARBON_API_ENDPOINT=f"http://127.0.0.1:{recorder.port}/api/codecarbon",
        CODECARBON_API_KEY=key,
        CODECARBON_EXPERIMENT_ID=EXPERIMENT,
    )
    assert "Error" not in said, said
    announced, posts = recorder.sent("/runs"), recorder.sent("/emissions")
    assert [post.status for post in recorder.posts] == [201] * len(recorder.posts)
    assert (len(announced), len(posts) >= 2) == (1, True)
    assert all(post.body["energy_consumed"] > 0 for post in posts)
    assert derived(organisation) == sum_of(posts)
    # What the client threw away is in its file alone: an interval that lasted less than a second.
    (row,) = csv_rows(tmp_path / "emissions.csv")
    assert sum_of(posts) <= microwatt_hours(float(row["energy_consumed"]))
    assert row["run_id"] == "None"
    assert not Experiment.objects.of(organisation).get(experiment_id=EXPERIMENT).is_registered
    now = datetime.now(UTC)
    window = (now - timedelta(days=1)).date().isoformat(), (now + timedelta(days=1)).date().isoformat()
    assert list(energy_by("team", *window)) == ["vision"]


def test_posts_that_were_lost_are_not_sent_again(
    recorder: Recorder, run: Callable[..., str], key: str, organisation: Organisation, tmp_path: Path
) -> None:
    """The client notices nothing and retries nothing; what it lost is in its file alone."""
    recorder.refusing = {"/api/codecarbon/emissions"}
    run(
        tracker(2.2, 'output_methods=["api", "csv"]'),
        CODECARBON_API_ENDPOINT=f"http://127.0.0.1:{recorder.port}/api/codecarbon",
        CODECARBON_API_KEY=key,
    )
    posts = recorder.sent("/emissions")
    assert posts
    assert {post.status for post in posts} == {503}
    stamps = [post.body["timestamp"] for post in posts]
    assert len(set(stamps)) == len(stamps)
    assert derived(organisation) == 0
    assert float(csv_rows(tmp_path / "emissions.csv")[-1]["energy_consumed"]) > 0
    # Nobody had set an experiment: it is the one that every careless user of the client shares.
    assert Experiment.objects.of(organisation).get().experiment_id == PUBLIC_EXPERIMENT


def test_codecarbon_monitor(recorder: Recorder, run: Callable[..., str], key: str, organisation: Organisation) -> None:
    command = [str(Path(sys.executable).parent / "codecarbon"), "monitor", "--offline", "--country-iso-code", "FRA"]
    run(
        [*command, "--measure-power-secs", "1", "--api-call-interval", "2", "--", "sleep", "4.2"],
        CODECARBON_API_ENDPOINT=f"http://127.0.0.1:{recorder.port}/api/codecarbon",
        CODECARBON_API_KEY=key,
        CODECARBON_EXPERIMENT_ID=EXPERIMENT,
        CODECARBON_OUTPUT_METHODS="api",
    )
    posts = recorder.sent("/emissions")
    assert posts
    assert {post.status for post in recorder.posts} == {201}
    assert derived(organisation) == sum_of(posts)
    assert recorder.sent("/runs")[0].body["tracking_mode"] == "process"


def test_the_http_output_is_a_running_total(
    portal: Portal,
    recorder: Recorder,
    run: Callable[..., str],
    key: str,
    organisation: Organisation,
    tmp_path: Path,
) -> None:
    """Two posts, of which the second includes the first; by password, and with the key in the address."""
    addresses = (
        f"http://anything:{key}@127.0.0.1:{recorder.port}/api/codecarbon/http",
        f"http://127.0.0.1:{recorder.port}/api/codecarbon/http?token={key}",
    )
    trackers = [
        tracker(
            1.2,
            f'output_methods=["csv"], output_file="{pue}.csv", emissions_endpoint="{address}", pue={pue}',
            "tracker.flush(); time.sleep(1.2)",
        )
        for pue, address in zip((1, 1.5), addresses, strict=True)
    ]
    with ThreadPoolExecutor() as at_once:
        list(at_once.map(run, trackers))
    posts = sorted(recorder.sent("/http"), key=lambda post: (post.body["pue"], post.body["duration"]))
    assert [(post.status, post.body["pue"]) for post in posts] == [(201, 1), (201, 1), (201, 1.5), (201, 1.5)]
    totals = [post.body["energy_consumed"] for post in posts]
    assert totals[0] < totals[1]
    without_pue = [microwatt_hours(totals[1]), round_half_up(Decimal(repr(totals[3])) * 10**9 / Decimal("1.5"))]
    assert derived(organisation) == sum(without_pue)
    assert MeterReading.objects.count() == 4
    rows = csv_rows(tmp_path / "1.csv") + csv_rows(tmp_path / "1.5.csv")
    assert [float(row["energy_consumed"]) for row in rows] == totals
    portal.stop()
    assert key not in portal.log.read_text()
