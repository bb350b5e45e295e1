"""Bodies as a real server hands them over: of a known length, chunked, packed, too large, cut off."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from apps.telemetry.models import Reading
from tests.processes import ROOT, child_settings
from tests.telemetry.conftest import row

pytestmark = pytest.mark.django_db(transaction=True)
MIB = 2**20


class Server:
    """Granian with one worker on the test's database."""

    def __init__(self, key: str, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.key, self.log = key, log
        command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--workers", "1", "esgportal.wsgi:application"]
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, cwd=ROOT, env=child_settings(), stdout=output, stderr=output)
        deadline = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                http.client.HTTPConnection("127.0.0.1", self.port, timeout=5).request("GET", "/api/v1/samples")
                return
            except OSError:
                time.sleep(0.05)
        pytest.fail(f"the server did not start:\n{log.read_text()}")

    def post(self, body: Any, **headers: str) -> tuple[int, dict[str, Any]]:
        """Status and answer. An iterator is sent chunked, bytes with their length."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json", **headers}
        chunked = not isinstance(body, bytes)
        if chunked:
            headers["Transfer-Encoding"] = "chunked"
        # A server that has answered may hang up before the end: the answer is there to be read.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.request("POST", "/api/v1/samples", body, headers, encode_chunked=chunked)
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    def peak_mib(self) -> float:
        """The largest resident size that any process of the server has had."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        peaks = [Path(f"/proc/{pid}/status").read_text() for pid in (str(self.process.pid), *children)]
        return max(int(re.search(r"VmHWM:\s+(\d+)", text)[1]) for text in peaks) / 1024  # type: ignore[index]


@pytest.fixture
def server(key: str, tmp_path: Path) -> Iterator[Server]:
    running = Server(key, tmp_path / "server.log")
    yield running
    running.process.terminate()
    running.process.wait(20)


def pieces(data: bytes, size: int = 700) -> Iterator[bytes]:
    return (data[i : i + size] for i in range(0, len(data), size))


def test_bodies_as_a_server_hands_them_over(server: Server) -> None:
    rows = [row(source=f"s{i}") for i in range(300)]
    body = json.dumps(rows).encode()
    assert server.post(body)[1]["accepted"] == 300
    assert server.post(pieces(body))[1]["duplicates"] == 300
    assert server.post(pieces(gzip.compress(body), 100), **{"Content-Encoding": "gzip"})[1]["duplicates"] == 300
    assert server.post(pieces(b""))[0] == 400
    before = server.peak_mib()
    status, answer = server.post(b" " * MIB for _ in range(80))
    assert (status, answer["title"]) == (413, "The request is too large")
    assert server.post(b" " * (80 * MIB))[0] == 413
    assert server.peak_mib() - before < 100
    assert server.post(body)[1]["duplicates"] == 300
    assert Reading.objects.count() == 300
