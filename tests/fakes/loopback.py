"""What every server of a test has: a port of its own on loopback, for as long as a block lasts."""

from __future__ import annotations

import random
import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import ThreadingTCPServer, ThreadingUDPServer
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from socketserver import BaseRequestHandler


def free_port() -> int:
    """A port for a server that is started later, or again.

    It is below the ports that the system gives to clients: one of those might be taken meanwhile.
    """
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311 - no secret
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


class _Patient:
    """Its handlers find the stand-in that they serve in `fake`."""

    daemon_threads = True
    request_queue_size = 256
    fake: Any

    def handle_error(self, *_: object) -> None:
        """A client that goes away, or refuses our certificate, is part of the play."""


class HttpServer(_Patient, ThreadingHTTPServer):
    pass


class TcpServer(_Patient, ThreadingTCPServer):
    allow_reuse_address = True


class UdpServer(_Patient, ThreadingUDPServer):
    pass


class Loopback:
    """`with fake:` serves at `port` until the block ends; then `closing` is set.

    `violations` are requests that broke the vendor's own description: one is enough to fail.
    """

    kind: ClassVar[Any] = HttpServer

    def bind(self, handler: type[BaseRequestHandler]) -> None:
        """Take a port. Who asks before the block begins waits for it."""
        self.closing = threading.Event()
        self.violations: list[str] = []
        self._server = self.kind(("127.0.0.1", 0), handler)
        self._server.fake = self
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def speak_tls(self, context: ssl.SSLContext) -> None:
        """From now on. A handshake is made in the thread of its connection."""
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = self.url.replace("http:", "https:")

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        assert not self.violations, f"{self.violations[0]} ({len(self.violations)} in all)"


class HttpHandler(BaseHTTPRequestHandler):
    server: HttpServer

    def do_GET(self) -> None:
        self.get()

    def do_POST(self) -> None:
        self.post()

    def do_DELETE(self) -> None:
        self.delete()

    def get(self) -> None:
        self.answer(501)

    def post(self) -> None:
        self.answer(501)

    def delete(self) -> None:
        self.answer(501)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"] or 0))

    def answer(
        self, status: int, raw: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        """Tests say themselves what matters."""
