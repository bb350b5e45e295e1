"""A provider on loopback: answers that are set beforehand, and the requests it got."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from apps.factors.providers import PROVIDERS

Answer = Callable[[str, dict[str, str]], tuple[int, Any]]


class Recorder:
    """What was asked: path with query, headers in lower case."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []


@contextmanager
def provider(monkeypatch: pytest.MonkeyPatch, name: str, answer: Answer) -> Iterator[Recorder]:
    """Let a provider of the portal ask this server; ``answer`` gives status and JSON (or bytes) for a request."""
    recorder = Recorder()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {key.lower(): value for key, value in self.headers.items()}
            recorder.requests.append((self.path, headers))
            status, content = answer(self.path, headers)
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setattr(PROVIDERS[name], "base_url", f"http://127.0.0.1:{server.server_port}")
    try:
        yield recorder
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
