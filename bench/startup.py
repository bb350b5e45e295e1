"""E1: from starting the portal's process tree to its first answered request, embedded (SQLite, no server installed)."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys

from bench.harness import ROOT, Goal, free_port, note, report, wait_for

E1 = Goal("E1", "embedded default, start to the first answered request [s]", 5, 3, False)


def start_once() -> float:
    port = free_port()
    environment = {**os.environ, "PORT": str(port), "DJANGO_SETTINGS_MODULE": "esgportal.settings"}
    environment["ESGPORTAL_DEMO"] = "0"  # the demo organisation is made once, beside the served portal
    environment.setdefault("SECRET_KEY", "bench")
    with subprocess.Popen(
        [sys.executable, "-m", "esgportal.run"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    ) as process:
        try:
            return wait_for(port, process, limit=180, path="/accounts/login/")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def main() -> None:
    note("first start: makes the tables, loads the reference data, collects the static files")
    first = start_once()
    again = [start_once() for _ in range(5)]
    report(E1, statistics.median(again), with_an_empty_data_folder=f"{first:.1f} s", worst=f"{max(again):.1f} s")


if __name__ == "__main__":
    main()
