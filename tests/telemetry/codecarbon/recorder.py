"""A proxy that forwards the client's bytes unchanged and keeps them: what the client itself says that it sent."""

from __future__ import annotations

import http.client
import http.server
import json
import threading
from typing import Any, NamedTuple


class Post(NamedTuple):
    path: str
    body: dict[str, Any]
    status: int


class Recorder:
    """Stands before a server on loopback. ``refusing``: paths that are answered 503 here, as if the server was away."""

    def __init__(self, port: int) -> None:
        self.posts: list[Post] = []
        self.refusing: set[str] = set()
        recorder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path in recorder.refusing:
                    status, headers, answer = 503, [], b""
                else:
                    server = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                    server.request("POST", self.path, body, dict(self.headers))
                    response = server.getresponse()
                    status, headers, answer = response.status, response.getheaders(), response.read()
                recorder.posts.append(Post(self.path.partition("?")[0], json.loads(body), status))
                self.send_response(status)
                for name, value in headers:
                    if name.lower() == "content-type":
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def sent(self, path: str) -> list[Post]:
        return [post for post in self.posts if post.path.endswith(path)]

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
