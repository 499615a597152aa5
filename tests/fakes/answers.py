"""A server on loopback that gives prepared answers and notes what it was asked."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.fakes.loopback import HttpHandler, Loopback

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fakes.sendgrid_rules import Refusal


@dataclass
class Answers(Loopback):
    """`given` by (method, path): a status, or a status and a body, which may be JSON or bytes.

    All else is 404. With a `certificate` it speaks TLS. `refusal_of` is what a vendor would refuse.
    """

    given: dict[tuple[str, str], Any]
    certificate: Path | None = None
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    refusal_of: Callable[[HttpHandler, bytes], Refusal | None] = lambda *_: None

    def __post_init__(self) -> None:
        self.bind(_Handler)
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.url = f"https://127.0.0.1:{self.port}"


class _Handler(HttpHandler):
    def _answer(self) -> None:
        fake = self.server.fake
        path = self.path.partition("?")[0]
        raw = self.body()
        fake.asked.append((self.command, path, raw))
        fake.keys.add(self.headers.get("Authorization", ""))
        found = fake.given.get((self.command, path), 404)
        if wrong := fake.refusal_of(self, raw):
            found = wrong.status, wrong.body
        status, content = found if isinstance(found, tuple) else (found, b"")
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.answer(status, raw, {k: v for k, v in fake.headers.items() if k != "Date"})

    def send_header(self, keyword: str, value: str) -> None:
        # A Date of ours stands in the place of the server's own.
        if keyword == "Date" and "Date" in self.server.fake.headers:
            value = self.server.fake.headers["Date"]
        super().send_header(keyword, value)

    def get(self) -> None:
        self._answer()

    def post(self) -> None:
        self._answer()
