"""A server on loopback that gives prepared answers and notes what it was asked."""

from __future__ import annotations

import json
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Answers:
    """`given` by (method, path): a status, or a status and a body, which may be JSON or bytes.

    All else is 404. With a `certificate` it speaks TLS.
    """

    given: dict[tuple[str, str], Any]
    certificate: Path | None = None
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake = self
        scheme = "http"
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    fake: Answers

    def handle_error(self, *_: object) -> None:
        """A client that goes away is part of the play."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def _answer(self) -> None:
        fake = self.server.fake
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        fake.asked.append((self.command, path, body))
        fake.keys.add(self.headers.get("Authorization", ""))
        found = fake.given.get((self.command, path), 404)
        status, content = found if isinstance(found, tuple) else (found, b"")
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in fake.headers.items() - {("Date", fake.headers.get("Date", ""))}:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def send_header(self, keyword: str, value: str) -> None:
        # A Date of ours stands in the place of the server's own.
        if keyword == "Date" and "Date" in self.server.fake.headers:
            value = self.server.fake.headers["Date"]
        super().send_header(keyword, value)

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Tests say themselves what matters."""
