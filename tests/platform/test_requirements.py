"""What the set-up says when the machine lacks something that it may not install."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
NOBODY = 65534


def fake(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def require(need: str, folder: Path, *, as_root: bool) -> subprocess.CompletedProcess[str]:
    """Ask for ``need`` on a machine whose only programs are those in ``folder``."""
    user = None if as_root or os.geteuid() != 0 else NOBODY
    folder.chmod(0o755)
    for parent in folder.parents:
        if parent == Path("/tmp"):
            break
        if parent.stat().st_uid == os.geteuid():
            parent.chmod(parent.stat().st_mode | 0o055)
    script = folder / "system.py"
    script.write_text((ROOT / "requirements" / "system.py").read_text())
    script.chmod(0o644)
    # Debian's interpreter: the one of the environment may lie where this user cannot read.
    interpreter = "/usr/bin/python3" if user and Path("/usr/bin/python3").exists() else sys.executable
    return subprocess.run(
        [interpreter, str(script), need],
        env={"PATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        user=user,
    )


@pytest.mark.parametrize(
    ("manager", "line"),
    [
        ("apt-get", "sudo apt-get install redis-server"),
        ("dnf", "sudo dnf install redis"),
        ("apk", "sudo apk add redis"),
    ],
)
def test_it_names_the_line_to_run_when_the_user_may_not_install(tmp_path: Path, manager: str, line: str) -> None:
    fake(tmp_path, manager, "exit 1")
    answer = require("redis", tmp_path, as_root=False)
    assert answer.returncode == 1, answer
    assert line in answer.stdout


def test_it_says_so_when_no_package_manager_is_known(tmp_path: Path) -> None:
    answer = require("redis", tmp_path, as_root=False)
    assert answer.returncode == 1
    assert "no known package manager" in answer.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs packages without asking")
def test_root_gets_what_is_missing_installed_after_fetching_the_package_lists(tmp_path: Path) -> None:
    server, lists = tmp_path / "redis-server", tmp_path / "lists"
    fake(
        tmp_path,
        "apt-get",
        f'if [ "$1" = update ]; then : > {lists}; exit 0; fi\n'
        f"[ -e {lists} ] || exit 100\n: > {server}; /bin/chmod 755 {server}",
    )
    answer = require("redis", tmp_path, as_root=True)
    assert answer.returncode == 0, answer
    assert server.exists()
