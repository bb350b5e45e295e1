"""Fixtures that start real processes beside the test: a Celery worker on the test's database and broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection

ROOT = Path(__file__).resolve().parent.parent
Until = Callable[..., None]


def database_url() -> str:
    """URL of the database that this test uses (the test database, not the one it was made from)."""
    fields = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{fields['NAME']}"
    user = quote(fields["USER"] or "", safe="")
    password = f":{quote(fields['PASSWORD'], safe='')}" if fields["PASSWORD"] else ""
    host, port = fields["HOST"] or "", f":{fields['PORT']}" if fields["PORT"] else ""
    # A folder is where the server's socket lies.
    address = quote(host, safe="") if host.startswith("/") else host
    return f"postgresql://{user}{password}@{address}{port}/{fields['NAME']}"


def child_settings() -> dict[str, str]:
    """Environment for a child process that shall work on the test's database, broker and data folder."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": database_url(),
        "ESGPORTAL_DATA_DIR": str(settings.DATA_DIR),
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture
def until() -> Until:
    """``until(condition, seconds=20)``: wait until the condition holds, else fail with ``why``."""

    def wait(condition: Callable[[], object], seconds: float = 20, why: str = "it did not happen") -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return
            time.sleep(0.05)
        pytest.fail(f"{why} within {seconds:.0f} s")

    return wait


class Worker:
    """A Celery worker process on the test's database."""

    def __init__(self) -> None:
        self.log = Path(settings.DATA_DIR, f"worker-{time.monotonic_ns()}.log")
        command = [sys.executable, "-m", "celery", "--app", "esgportal", "worker", "--concurrency", "1"]
        command += ["--loglevel", "INFO", "--without-gossip", "--without-mingle"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=child_settings(), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        deadline = time.monotonic() + 60
        while " ready." not in self.output:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                pytest.fail(f"the worker did not start:\n{self.output}")
            time.sleep(0.05)

    @property
    def output(self) -> str:
        """What it has logged so far."""
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """As a machine that loses power would: the worker and its pool at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Warm shutdown, then whatever is left of the group."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(15)
        self.kill()


@pytest.fixture
def empty_broker() -> None:
    """Nothing waits in the queue: messages of earlier tests are gone."""
    from esgportal.celery import app

    with app.connection_for_write() as broker:
        app.control.purge(connection=broker)


@pytest.fixture
def start_worker(transactional_db: None, empty_broker: None) -> Iterator[Callable[[], Worker]]:
    """A function that starts a real Celery worker on the test's database; all are stopped at the end of the test."""
    workers: list[Worker] = []

    def start() -> Worker:
        workers.append(Worker())
        return workers[-1]

    yield start
    for worker in workers:
        worker.stop()


@pytest.fixture
def celery_worker(start_worker: Callable[[], Worker]) -> Worker:
    """A real Celery worker process, ready to take tasks, on the test's database and broker.

    What a task does is seen by the test only once it is committed: the test's database is transactional.
    """
    return start_worker()
