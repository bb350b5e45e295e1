"""``make test``: the whole suite on both backends, on SQLite with the embedded broker and on PostgreSQL with Redis.

``python -m tests [--backend embedded|production] [pytest arguments]``. Both run at the same time, each with half of the
processors; what the second one prints follows when it has ended. Every test that may meet a backend runs on both,
browser tests too. A test that can reach neither database nor broker (``tests.once``) gives the same
answer on both and runs once, with the embedded one. What could not run on this machine is listed by name with its
reason at the end. A backend that cannot be had at all is a failure.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.backends import UnavailableError, postgresql, redis, runtime_folder
from tests.once import ONCE

ROOT = Path(__file__).resolve().parent.parent
CHOSEN_BY_THE_TESTS = {
    *("SECRET_KEY", "ESGPORTAL_DEMO", "ESGPORTAL_DATA_DIR", "DATABASE_URL", "REDIS_URL", "DEBUG", ONCE),
    # Every process of the run would compile the portal and rewrite the tests' assertions again.
    "PYTHONDONTWRITEBYTECODE",
}


@dataclass
class Outcome:
    """What one run of the suite came to."""

    backend: str
    status: int
    seconds: float
    passed: int = 0
    failed: list[str] = field(default_factory=list)
    ran: set[str] = field(default_factory=set)
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
        outcome.ran.add(name)
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            outcome.failed.append(name)
        elif skipped is not None:
            outcome.skipped.append((name, skipped.get("message", "").removeprefix("Skipped: ")))
        else:
            outcome.passed += 1


def run(backend: str, arguments: list[str], output: IO[bytes] | None = None) -> Outcome:
    """One run of pytest on ``backend``, which prints to ``output``."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="esgportal-report-") as folder:
        report = Path(folder, "report.xml")
        try:
            with BACKENDS[backend]() as settings:
                command = [sys.executable, "-m", "pytest", f"--junit-xml={report}", *arguments]
                kept = {key: value for key, value in os.environ.items() if key not in CHOSEN_BY_THE_TESTS}
                if output:
                    settings = {**settings, ONCE: "elsewhere"}
                status = subprocess.run(
                    command, cwd=ROOT, env={**kept, **settings}, check=False, stdout=output, stderr=output
                ).returncode
        except UnavailableError as reason:
            return Outcome(backend, 1, time.monotonic() - started, skipped=[("the whole suite", str(reason))])
        outcome = Outcome(backend, status, time.monotonic() - started)
        if report.exists():
            read_report(report, outcome)
    return outcome


def heading(backend: str) -> str:
    return f"\n=== {backend}: {'SQLite, embedded broker' if backend == 'embedded' else 'PostgreSQL, Redis'} ==="


def run_both(arguments: list[str]) -> list[Outcome]:
    """Both backends at the same time; the second one's output is shown after the first one's."""
    outcomes: list[Outcome] = []
    with tempfile.TemporaryFile() as output:
        beside = threading.Thread(target=lambda: outcomes.append(run("production", arguments, output)))
        beside.start()
        print(heading("embedded"), flush=True)
        first = run("embedded", arguments)
        beside.join()
        output.seek(0)
        print(heading("production"), output.read().decode(errors="replace"), sep="\n", flush=True)
    return [first, *outcomes]


def summary(outcomes: list[Outcome]) -> int:
    """Print what ran and what did not. Returns the exit status."""
    print("\n=== Summary ===")
    for outcome in outcomes:
        once = len(outcomes[0].ran - outcome.ran) if outcome.ran else 0
        print(
            f"{outcome.backend:11}{outcome.passed:5} passed {len(outcome.failed):4} failed"
            f" {len(outcome.skipped):4} could not run {outcome.seconds:6.0f} s"
            + (f"   ({once} that can reach no backend ran with {outcomes[0].backend})" if once else "")
        )
        for name in outcome.failed:
            print(f"    failed: {name}")
        for name, reason in outcome.skipped:
            print(f"    could not run: {name}: {reason}")
    return 1 if any(outcome.status or outcome.failed for outcome in outcomes) else 0


def workers(backends: int) -> list[str]:
    """Arguments that give each run its share of the processors; a single process needs no pytest-xdist."""
    share = min(2, (os.cpu_count() or 1) // backends)
    return ["-n", str(share), "--dist", "loadfile"] if share > 1 else ["-n", "0"]


def main(arguments: list[str]) -> int:
    chosen = list(BACKENDS)
    if "--backend" in arguments:
        place = arguments.index("--backend")
        chosen = [arguments[place + 1]]
        del arguments[place : place + 2]
    if not any(argument.startswith(("-n", "--numprocesses")) for argument in arguments):
        arguments = [*workers(len(chosen)), *arguments]
    if len(chosen) > 1:
        return summary(run_both(arguments))
    print(heading(chosen[0]), flush=True)
    return summary([run(chosen[0], arguments)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
