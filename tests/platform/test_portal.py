"""The process tree that ``make run`` starts: it serves, it aggregates, and nothing of it stays behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.conf import settings
from django.db import connection

from tests.backends import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
NOT_OURS = {"ESGPORTAL_TEST_PROCESS", "STATICFILES_BACKEND", "DJANGO_SETTINGS_MODULE", "ESGPORTAL_DEMO", "HOST"}


class Portal:
    """A running portal with its own data folder and database."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.port = free_port()
        self.log = folder / "portal.log"
        self.settings = {key: value for key, value in os.environ.items() if key not in NOT_OURS} | {
            "ESGPORTAL_DATA_DIR": str(folder / "data"),
            "SECRET_KEY": "a key for this portal only",
            "DATABASE_URL": database_url,
            "PORT": str(self.port),
        }
        if redis_url := self.settings.get("REDIS_URL"):
            # A database of its own: the worker must not take what other tests sent.
            self.settings["REDIS_URL"] = re.sub(r"/\d+$", "/15", redis_url)
        with self.log.open("wb") as log:
            self.process = psutil.Popen(
                [sys.executable, "-m", "esgportal.run"],
                cwd=ROOT,
                env=self.settings,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.tree: list[psutil.Process] = []

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, text: str, seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.output:
            assert self.process.poll() is None, f"the portal ended:\n{self.output}"
            assert time.monotonic() < deadline, f"{text!r} did not appear within {seconds} s:\n{self.output}"
            time.sleep(0.05)
        self.tree = self.process.children(recursive=True)

    def manage(self, *arguments: str) -> str:
        """What a management command beside the running portal printed."""
        command = [sys.executable, "manage.py", *arguments]
        answer = subprocess.run(command, cwd=ROOT, env=self.settings, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.strip()

    def ask(self, path: str, key: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            pytest.fail(f"{path}: {error.code} {error.read().decode(errors='replace')}\n{self.output}")

    def end(self, number: int, seconds: float = 20) -> int:
        """Send a signal to the parent alone and wait for it. Returns its exit status."""
        self.tree = self.tree or self.process.children(recursive=True)
        self.process.send_signal(number)
        return int(self.process.wait(seconds))

    def left_over(self, seconds: float = 10) -> list[str]:
        """Command lines of the tree's members that still run, after giving them time to go."""
        _, alive = psutil.wait_procs(self.tree, timeout=seconds)
        return [" ".join(one.cmdline()) for one in alive if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]

    def destroy(self) -> None:
        for one in [*self.tree, self.process]:
            if one.is_running():
                one.kill()


@pytest.fixture
def database_url(tmp_path: Path) -> Iterator[str]:
    """URL of an empty database on the backend that this run of the suite is about."""
    if connection.vendor == "sqlite":
        yield f"sqlite:///{tmp_path / 'portal.sqlite3'}"
        return
    import psycopg

    fields = settings.DATABASES["default"]
    name = f"portal_{os.getpid()}_{time.monotonic_ns()}"
    where = {"host": fields["HOST"], "port": fields["PORT"] or None, "user": fields["USER"], "dbname": "postgres"}
    with psycopg.connect(**where, password=fields["PASSWORD"] or None, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        yield re.sub(r"/\w+(\?|$)", rf"/{name}\1", os.environ["DATABASE_URL"], count=1)
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def portal(tmp_path: Path, database_url: str) -> Iterator[Portal]:
    running = Portal(tmp_path, database_url)
    yield running
    running.destroy()


def test_it_serves_a_posted_reading_as_energy_and_stops_without_a_trace(portal: Portal, until: Any) -> None:
    portal.wait_for("Serving on")
    portal.manage("create_organisation", "acme", "--name", "Acme AI", "--admin-email", "admin@example.org")
    scopes = ("--scope", "ingest", "--scope", "read")
    key = portal.manage("create_api_key", "--organisation", "acme", "--name", "test", *scopes)
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    reading = {
        "source": "node-1/gpu0",
        "start": (end - timedelta(minutes=30)).isoformat(),
        "end": end.isoformat(),
        "energy_wh": 350,
    }

    assert portal.ask("/api/v1/samples", key, [reading])["accepted"] == 1
    # Only the worker of the tree can settle: this process does not.
    until(lambda: portal.ask("/api/v1/status", key)["last_settled_at"], seconds=30, why="the worker did not settle")
    until(lambda: portal.ask("/api/v1/status", key)["pending_hours"] == 0, seconds=30, why="hours stay pending")
    window = f"from={(end - timedelta(days=1)).date()}&to={(end + timedelta(days=1)).date()}"
    rows = portal.ask(f"/api/v1/energy?{window}&scope=all&group_by=source", key)["results"]
    assert [(row["source"], row["it_energy_kwh"]) for row in rows] == [("node-1/gpu0", 0.35)]

    portal.tree = portal.process.children(recursive=True)
    assert len(portal.tree) >= 5  # web and its two workers, worker and its pool, beat
    assert portal.end(signal.SIGINT) == 0
    assert portal.left_over() == []


def test_sigterm_during_the_preparation_leaves_nothing_behind(portal: Portal) -> None:
    portal.wait_for("Preparing")
    assert portal.end(signal.SIGTERM) == 0
    assert portal.left_over() == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child its parent died")
def test_when_the_parent_is_killed_its_children_follow(portal: Portal) -> None:
    portal.wait_for("Serving on")
    time.sleep(1)
    assert portal.end(signal.SIGKILL) == -signal.SIGKILL
    assert portal.left_over(20) == []


def test_a_taken_port_is_said_so_with_the_line_that_helps(tmp_path: Path) -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        answer = subprocess.run(
            [sys.executable, "-m", "esgportal.run"],
            cwd=ROOT,
            env={**os.environ, "PORT": str(port), "ESGPORTAL_DATA_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert answer.returncode == 1
    assert f"PORT={port + 1} make run" in answer.stderr
