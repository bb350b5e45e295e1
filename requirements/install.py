"""Makes or brings up to date the virtual environment: ``python requirements/install.py base|dev``.

Standard library only, because it runs before anything is installed. A lock file that has not changed since it was
last installed costs nothing: its hash is kept in the environment. Package indexes, proxies and certificates are
those of the machine's own pip configuration.
"""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

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
    """Major and minor version of the environment's interpreter, or None when there is none that runs."""
    if not INTERPRETER.exists():
        return None
    probe = [str(INTERPRETER), "-c", "import pip, sys; print(*sys.version_info[:2])"]
    answer = subprocess.run(probe, capture_output=True, text=True, check=False)
    return tuple(int(part) for part in answer.stdout.split()) if answer.returncode == 0 else None


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
    if len(sys.argv) != 2 or sys.argv[1] not in COVERED_BY:
        sys.exit("usage: python requirements/install.py base|dev")
    install(sys.argv[1])
