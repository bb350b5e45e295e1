"""``python -m bench [NAME ...]``: run every benchmark, or those named (I1 A3 ...).

Each group runs in a process of its own, with a database of its own, so that nothing warm or large is left over.
"""

from __future__ import annotations

import os
import subprocess
import sys

from bench.harness import ROOT, folder, note, postgresql

# group module, database, the names it prints
GROUPS = [
    ("ingest", "postgresql", {"I1", "I2", "I3", "I4", "I9", "I10"}),
    ("ingest", "sqlite", {"I7"}),
    ("remote_write", "postgresql", {"M1", "M2"}),
    ("storage", "postgresql", {"S1", "S2"}),
    ("storage", "sqlite", {"S1", "S2"}),
    ("aggregation", "postgresql", {"A1", "A3", "A4", "A5"}),
    ("repricing", "postgresql", {"A7"}),
    ("reading", "postgresql", {"R1"}),
    ("reading", "sqlite", {"R1"}),
    ("matching", "sqlite", {"H1", "H2"}),
    ("document", "sqlite", {"P1", "P2", "P3"}),
    ("startup", "sqlite", {"E1"}),
]


def main() -> int:
    wanted = {name.upper() for name in sys.argv[1:]}
    known = set().union(*(names for _, _, names in GROUPS))
    if unknown := wanted - known:
        print(f"unknown: {' '.join(sorted(unknown))}; known: {' '.join(sorted(known))}")
        return 2
    failed = 0
    for group, database, names in GROUPS:
        if wanted and not wanted & names:
            continue
        note(f"{group} on {database}")
        with folder() as path:
            environment = {
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "bench.settings",
                "ESGPORTAL_DATA_DIR": str(path / "data"),
                "ESGPORTAL_DEMO": "1",
                "LOG_LEVEL": "WARNING",
                "BENCH_ONLY": " ".join(sorted(wanted & names)),
            }
            command = [sys.executable, "-m", f"bench.{group}"]
            if database == "postgresql":
                with postgresql(path) as url:
                    failed |= subprocess.run(command, cwd=ROOT, env={**environment, "DATABASE_URL": url}).returncode
            else:
                environment.pop("DATABASE_URL", None)
                failed |= subprocess.run(command, cwd=ROOT, env=environment).returncode
    return 1 if failed else 0


sys.exit(main())
