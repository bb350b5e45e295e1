"""The whole portal in one process tree: what ``make run`` starts (``python -m esgportal.run``).

One parent, which imports nothing of Django, starts and watches the children: the preparation (migrations, reference
data, static files), then the web server and the Celery worker with beat inside it, then, in demo mode, the demo
organisation. Where nothing has changed since the last start, the web server does not wait for the preparation.
SIGINT and SIGTERM stop everything; a second one stops it at once.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
STOP_SECONDS = 10.0
# A child that dies sooner than this after its start would die again: the portal stops instead of spinning.
SHORT_LIFE_SECONDS = 10.0

ERROR = 1


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def follow_parent() -> Callable[[], None] | None:
    """What a new child runs first so that it is told to stop when this process dies without saying so (Linux)."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    set_parent_death_signal = 1  # PR_SET_PDEATHSIG

    def follow() -> None:
        libc.prctl(set_parent_death_signal, signal.SIGTERM)

    return follow


@dataclass(eq=False)
class Child:
    """One member of the tree, in a process group of its own, so that Ctrl-C in a terminal reaches only the parent."""

    name: str
    command: list[str]
    settings: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    started: float = field(default=0.0)

    def start(self) -> None:
        self.started = time.monotonic()
        # follow() makes one system call and the parent has no threads yet: preexec_fn is safe here.
        self.process = subprocess.Popen(
            self.command, env={**os.environ, **self.settings}, start_new_session=True, preexec_fn=follow_parent()
        )

    @property
    def code(self) -> int | None:
        """Exit status, or None while it runs."""
        return self.process.poll() if self.process else None

    def ask_to_stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()

    def end(self) -> None:
        """Kill what is left of the group, grandchildren too."""
        if self.process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Portal:
    """The process tree and its life."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.stopping = False
        self.children: list[Child] = []

    @property
    def url(self) -> str:
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::", ""} else self.host  # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    # --- signals --------------------------------------------------------------------------------------------------

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.stopping:
            for child in self.children:
                child.end()
            os._exit(128 + number)
        self.stopping = True

    def listen(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self.on_signal)

    # --- steps ----------------------------------------------------------------------------------------------------

    def prepare(self, *steps: str, aside: bool = False) -> str | None:
        """Run steps of ``esgportal.prepare`` side by side to their end; ``aside``: yielding to the web server.

        Returns what failed, or None.
        """
        settings = {"ESGPORTAL_URL": self.url, "ESGPORTAL_ASIDE": "1" if aside else ""}
        running = [self.launch(step, [sys.executable, "-m", "esgportal.prepare", step], settings) for step in steps]
        while any(child.code is None for child in running) and not self.stopping:
            self.watch(except_for=running)
            time.sleep(0.05)
        if self.stopping:
            return None
        for child in running:
            self.children.remove(child)
        failed = [child.name for child in running if child.code]
        return f"The preparation failed ({', '.join(failed)}); the reason stands above." if failed else None

    def launch(self, name: str, command: list[str], settings: dict[str, str] | None = None) -> Child:
        child = Child(name, command, settings or {})
        self.children.append(child)
        child.start()
        return child

    def start_web(self) -> None:
        server = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", self.host, "--port", str(self.port)]
        server += ["--workers", "2", "--blocking-threads", "2", "--no-ws", "--log-level", "warning"]
        server += ["--workers-kill-timeout", "5", "--respawn-failed-workers", "esgportal.wsgi:application"]
        self.launch("web", server)

    def start_worker(self) -> None:
        # Gossip and mingle look for other workers; beat inside the worker is right because there is exactly one.
        worker = [sys.executable, "-W", "ignore:You're running the worker with superuser", "-m", "celery", "--quiet"]
        worker += ["--app", "esgportal", "worker", "--beat", "--concurrency", "2", "--loglevel", "WARNING"]
        worker += ["--without-gossip", "--without-mingle", "--max-tasks-per-child", "200"]
        self.launch("worker", worker)

    def wait_until_served(self) -> None:
        """Block until the web server answers a request, whatever it answers."""
        request = f"HEAD /accounts/login/ HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nConnection: close\r\n\r\n".encode()
        host = "127.0.0.1" if self.host in {"0.0.0.0", ""} else "::1" if self.host == "::" else self.host  # noqa: S104
        while not self.stopping:
            self.watch()
            try:
                with socket.create_connection((host, self.port), timeout=30) as connection:
                    connection.sendall(request)
                    if connection.recv(64).startswith(b"HTTP/"):
                        return
            except OSError:
                pass
            time.sleep(0.05)

    def watch(self, except_for: Sequence[Child] = ()) -> None:
        """Start again what died after a useful life; stop the portal when something dies at once."""
        for child in self.children:
            if child in except_for or child.code is None:
                continue
            if time.monotonic() - child.started < SHORT_LIFE_SECONDS:
                raise SystemExit(f"{child.name} ended with status {child.code} right after its start; stopping.")
            say(f"{child.name} ended with status {child.code}; starting it again.")
            child.end()
            child.start()

    def stop(self) -> None:
        """Ask every child to end, last started first; kill after ``STOP_SECONDS`` what has not."""
        self.stopping = True
        for child in reversed(self.children):
            child.ask_to_stop()
        deadline = time.monotonic() + STOP_SECONDS
        while any(child.code is None for child in self.children) and time.monotonic() < deadline:
            time.sleep(0.05)
        for child in self.children:
            child.end()

    def run(self) -> int:
        """The whole life of the portal. Returns the exit status."""
        self.listen()
        problem: str | None = None
        try:
            problem = self.live()
        except SystemExit as end:
            problem = str(end.code)
        finally:
            self.stop()
        if problem:
            sys.stderr.write(f"{problem}\n")
            return ERROR
        return 0

    def live(self) -> str | None:
        if taken := port_problem(self.host, self.port):
            return taken
        data_folder = Path(os.environ.get("ESGPORTAL_DATA_DIR") or ROOT / "var")
        stamp, now = data_folder / "prepared.sha256", fingerprint()
        prepared = stamp.exists() and stamp.read_text() == now
        if prepared:
            self.start_web()
        else:
            say("Preparing the database, the reference data and the static files.")
        if failure := self.prepare("data", "static", aside=prepared):
            return failure
        if self.stopping:
            return None
        if not prepared:
            stamp.write_text(now)
            self.start_web()
        self.wait_until_served()
        if self.stopping:
            return None
        say(f"\nServing on {self.url}")
        self.start_worker()
        demo = os.environ.get("ESGPORTAL_DEMO", "").lower() in {"1", "true", "yes", "on"}
        if demo and (failure := self.prepare("demo")):
            return failure
        if not self.stopping:
            say("Ctrl-C stops everything.")
        while not self.stopping:
            self.watch()
            time.sleep(0.2)
        say("Stopping.")
        return None


def fingerprint() -> str:
    """Hash of what the preparation depends on: the database's name, and names, sizes and times of our own files."""
    digest = hashlib.sha256(f"{sys.version} {os.environ.get('DATABASE_URL')} {os.environ.get('STATIC_ROOT')}".encode())
    for folder in ("apps", "esgportal", "static", "requirements"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                status = path.stat()
                digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def port_problem(host: str, port: int) -> str | None:
    """Why the address cannot be served on, or None."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return f"Cannot serve on {host}:{port}: {error.strerror}. Choose another: PORT={port + 1} make run"
    return None


def main() -> int:
    host = os.environ.get("HOST") or "127.0.0.1"
    given = os.environ.get("PORT") or "8000"
    if not given.isdigit() or not 0 < int(given) < 65536:
        sys.stderr.write(f"PORT: got {given!r}, expected a number from 1 to 65535.\n")
        return ERROR
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "esgportal.settings")
    # Homebrew's libraries lie outside the dynamic linker's usual path.
    if sys.platform == "darwin":
        os.environ.setdefault("DYLD_FALLBACK_LIBRARY_PATH", "/opt/homebrew/lib:/usr/local/lib:/usr/lib")
    return Portal(host, int(given)).run()


if __name__ == "__main__":
    sys.exit(main())
