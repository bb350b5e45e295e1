"""A server that is killed between write and answer: ``python -m tests.telemetry.prometheus.mortal PORT``.

The portal's own application, unchanged, as a prefork server has it: one process that lives on, and processes forked
from it with a database connection of their own. The mode is set by a line on standard input:

- ``answer``: every request is answered.
- ``killed``: every first request of two is served by a fork that is killed with SIGKILL once the application has given
  its answer (so the database has committed), before a byte of it is sent.
- ``sometime``: every first of two is served by a fork that a timer of the kernel kills, wherever it stands.
"""

from __future__ import annotations

import gc
import io
import os
import random
import select
import signal
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import django


def read_request(connection: socket.socket) -> dict[str, Any]:
    stream = connection.makefile("rb")
    method, path, _ = stream.readline().decode().split()
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": True,
    }
    while line := stream.readline().strip().decode():
        name, _, value = line.partition(":")
        name = name.upper().replace("-", "_")
        environ[name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"] = value.strip()
    environ["wsgi.input"] = io.BytesIO(stream.read(int(environ.get("CONTENT_LENGTH", 0))))
    return environ


def serve(application: Any, connection: socket.socket, *, dies_before_answer: bool) -> None:
    status = ""

    def start_response(line: str, _: list[tuple[str, str]], *__: Any) -> None:
        nonlocal status
        status = line

    body: Iterable[bytes] = application(read_request(connection), start_response)
    content = b"".join(body)
    if dies_before_answer:
        os.kill(os.getpid(), signal.SIGKILL)
    connection.sendall(f"HTTP/1.1 {status}\r\nConnection: close\r\n".encode())
    if not status.startswith("204"):
        connection.sendall(f"Content-Length: {len(content)}\r\n".encode())
    connection.sendall(b"\r\n" + (b"" if status.startswith("204") else content))


def main(port: int) -> None:
    django.setup()
    from django.db import connections

    from esgportal.wsgi import application

    gc.freeze()  # a fork's collector would copy every page of what they share
    random.seed(4)
    listener = socket.create_server(("127.0.0.1", port), backlog=64)
    mode, number = "answer", 0
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            line = sys.stdin.readline()
            if not line:
                return
            mode, number = line.strip(), 0
            sys.stdout.write(f"{mode}\n")
            sys.stdout.flush()
            continue
        connection, _ = listener.accept()
        is_victim, number = mode != "answer" and number % 2 == 0, number + 1
        if not is_victim:
            with suppress(ValueError):  # a connection that says nothing asks whether the server is there
                serve(application, connection, dies_before_answer=False)
            connection.close()
            connections.close_all()  # a fork must not inherit one
            continue
        limit = random.uniform(0.001, 0.04)
        child = os.fork()
        if not child:
            if mode == "sometime":
                signal.setitimer(signal.ITIMER_REAL, limit)  # SIGALRM's default action ends the process
            serve(application, connection, dies_before_answer=mode == "killed")
            os._exit(0)
        connection.close()
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
