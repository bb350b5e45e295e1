"""A server killed between write and answer: the sender resends the same bytes, and they count once."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from apps.telemetry.models import MeterReading, Receipt
from tests.processes import ROOT, child_settings
from tests.telemetry.prometheus.conftest import at
from tests.telemetry.prometheus.writing import DCGM, DCGM_LABELS, UUID, body, named

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 200
SOMETIME = 30
STEP_MS = 15_000


class Mortal:
    """The server of ``mortal.py`` on the test's database."""

    def __init__(self, key: str, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.headers = {
            "Authorization": f"Bearer {key}",
            "Content-Encoding": "snappy",
            "Content-Type": "application/x-protobuf",
        }
        command = [sys.executable, "-m", "tests.telemetry.prometheus.mortal", str(self.port)]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=child_settings(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output
            )
        deadline = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < deadline:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 5).close()
                return
            time.sleep(0.05)
        pytest.fail(f"the server did not start:\n{log.read_text()}")

    def become(self, mode: str) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{mode}\n".encode())
        self.process.stdin.flush()
        assert self.process.stdout.readline().decode().strip() == mode

    def post(self, content: bytes) -> int | None:
        """The status, or None where the server died before it answered."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", "/api/prometheus/write", content, self.headers)
            return connection.getresponse().status
        except (ConnectionError, http.client.BadStatusLine):
            return None
        finally:
            connection.close()


@pytest.fixture
def mortal(key: str, tmp_path: Path) -> Iterator[Mortal]:
    server = Mortal(key, tmp_path / "mortal.log")
    yield server
    server.process.kill()
    server.process.communicate()


def batch(step: int) -> bytes:
    return body(named(DCGM, DCGM_LABELS, (at("08:00:00") + step * STEP_MS, 9e11 + step * 3_600_000)))


def test_batches_whose_answer_was_lost_count_once(mortal: Mortal, energy: Callable[..., Any]):
    assert mortal.post(batch(0)) == 204
    mortal.become("killed")
    for step in range(1, ROUNDS + 1):
        assert mortal.post(batch(step)) is None
        assert MeterReading.objects.count() == step + 1, "what the killed server had committed is there"
        assert mortal.post(batch(step)) == 204
    assert MeterReading.objects.count() == ROUNDS + 1
    assert Receipt.unscoped.filter(accepted=1, duplicates=0).count() == ROUNDS + 1
    assert Receipt.unscoped.filter(accepted=0, duplicates=1).count() == ROUNDS
    assert energy()[UUID]["it_energy_kwh"] == ROUNDS / 1000


def test_batches_of_a_server_killed_at_any_moment_count_once(mortal: Mortal, energy: Callable[..., Any]):
    assert mortal.post(batch(0)) == 204
    mortal.become("sometime")
    killed = 0
    for step in range(1, SOMETIME + 1):
        answer = mortal.post(batch(step))
        killed += answer is None
        assert answer in (None, 204)
        assert mortal.post(batch(step)) == 204
    assert killed > 0
    assert MeterReading.objects.count() == SOMETIME + 1
    assert energy()[UUID]["it_energy_kwh"] == SOMETIME / 1000
