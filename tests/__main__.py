"""``make test``: the whole suite twice, on SQLite with the embedded broker and on PostgreSQL with Redis.

``python -m tests [--backend embedded|production] [pytest arguments]``. Every test runs on both, browser tests too.
What could not run on this machine is listed by name with its reason at the end. A backend that cannot be had at all is
a failure.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.backends import UnavailableError, postgresql, redis, runtime_folder

ROOT = Path(__file__).resolve().parent.parent
CHOSEN_BY_THE_TESTS = {"SECRET_KEY", "ESGPORTAL_DEMO", "ESGPORTAL_DATA_DIR", "DATABASE_URL", "REDIS_URL", "DEBUG"}


@dataclass
class Outcome:
    """What one run of the suite came to."""

    backend: str
    status: int
    seconds: float
    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def embedded() -> Iterator[dict[str, str]]:
    yield {}


@contextmanager
def production() -> Iterator[dict[str, str]]:
    with ExitStack() as stack:
        stack.enter_context(runtime_folder())
        yield {
            "DATABASE_URL": stack.enter_context(postgresql()),
            "REDIS_URL": stack.enter_context(redis()),
            "XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"],
        }


BACKENDS = {"embedded": embedded, "production": production}


def read_report(path: Path, outcome: Outcome) -> None:
    for case in ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname', '').replace('.', '/')}::{case.get('name')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            outcome.failed.append(name)
        elif skipped is not None:
            outcome.skipped.append((name, skipped.get("message", "").removeprefix("Skipped: ")))
        else:
            outcome.passed += 1


def run(backend: str, arguments: list[str]) -> Outcome:
    """One run of pytest on ``backend``."""
    print(
        f"\n=== {backend}: {'SQLite, embedded broker' if backend == 'embedded' else 'PostgreSQL, Redis'} ===",
        flush=True,
    )
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="esgportal-report-") as folder:
        report = Path(folder, "report.xml")
        try:
            with BACKENDS[backend]() as settings:
                command = [sys.executable, "-m", "pytest", f"--junit-xml={report}", *arguments]
                kept = {key: value for key, value in os.environ.items() if key not in CHOSEN_BY_THE_TESTS}
                status = subprocess.run(command, cwd=ROOT, env={**kept, **settings}, check=False).returncode
        except UnavailableError as reason:
            return Outcome(backend, 1, time.monotonic() - started, skipped=[("the whole suite", str(reason))])
        outcome = Outcome(backend, status, time.monotonic() - started)
        if report.exists():
            read_report(report, outcome)
    return outcome


def summary(outcomes: list[Outcome]) -> int:
    """Print what ran and what did not. Returns the exit status."""
    print("\n=== Summary ===")
    for outcome in outcomes:
        print(
            f"{outcome.backend:11}{outcome.passed:5} passed {len(outcome.failed):4} failed"
            f" {len(outcome.skipped):4} could not run {outcome.seconds:6.0f} s"
        )
        for name in outcome.failed:
            print(f"    failed: {name}")
        for name, reason in outcome.skipped:
            print(f"    could not run: {name}: {reason}")
    return 1 if any(outcome.status or outcome.failed for outcome in outcomes) else 0


def main(arguments: list[str]) -> int:
    chosen = list(BACKENDS)
    if "--backend" in arguments:
        place = arguments.index("--backend")
        chosen = [arguments[place + 1]]
        del arguments[place : place + 2]
    if not any(argument.startswith(("-n", "--numprocesses")) for argument in arguments):
        arguments = ["-n", str(min(2, os.cpu_count() or 1)), "--dist", "loadfile", *arguments]
    return summary([run(backend, list(arguments)) for backend in chosen])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
