"""SendGrid's suppression lists on loopback: paged, changeable, and refusing on request."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

GLOBAL = "/v3/asm/suppressions/global"
ERASE = "/v3/recipients/erasejob"


class FakeLists:
    """`lists` by name; `faults` by the last part of a path: a status, "stall" or bytes."""

    def __init__(self) -> None:
        self.lists: dict[str, list[dict[str, Any]]] = {}
        self.faults: dict[str, int | str | bytes] = {}
        self.requests: list[str] = []
        self.erased: list[str] = []
        self.second = 1_758_600_000
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.fake = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def put(self, name: str, email: str, second: int | None = None, **told: str) -> None:
        row = {"email": email, "created": second or self.second, **told}
        self.lists.setdefault(name, []).append(row)

    def emails(self, name: str) -> list[str]:
        return [row["email"] for row in self.lists.get(name, [])]

    @property
    def changes(self) -> list[str]:
        return [request for request in self.requests if not request.startswith("GET")]


class _Server(ThreadingHTTPServer):
    fake: FakeLists

    def handle_error(self, *_: object) -> None:
        """A client that goes away is part of the play."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        name = asked.path.rpartition("/")[2]
        if self._noted(name):
            return
        given = {key: int(values[0]) for key, values in parse_qs(asked.query).items()}
        start = given.get("offset", 0)
        rows = self.server.fake.lists.get(name, [])
        self._answer(200, rows[start : start + given.get("limit", 50)])

    def do_POST(self) -> None:
        payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == ERASE:
            if not self._noted("erasejob"):
                self.server.fake.erased += payload["email_addresses"]
                self._answer(202, {"job_id": "1"})
            return
        if self._noted("add") or self.path != GLOBAL:
            return
        known = {email.lower() for email in self.server.fake.emails("unsubscribes")}
        for email in payload["recipient_emails"]:
            if email.lower() not in known:
                self.server.fake.put("unsubscribes", email)
        self._answer(201, payload)

    def do_DELETE(self) -> None:
        if self._noted("remove"):
            return
        email = unquote(self.path.removeprefix(f"{GLOBAL}/"))
        rows = self.server.fake.lists.get("unsubscribes", [])
        left = [row for row in rows if row["email"] != email]
        self.server.fake.lists["unsubscribes"] = left
        self._answer(204 if len(left) < len(rows) else 404, None)

    def _noted(self, name: str) -> bool:
        """Note the request; True when it was answered by a fault."""
        fake = self.server.fake
        fake.requests.append(f"{self.command} {self.path}")
        fault = fake.faults.get(name)
        if fault == "stall":
            fake.closing.wait(20)
            self.close_connection = True
        elif isinstance(fault, int):
            self._answer(fault, {"errors": [{"message": "no"}]})
        elif isinstance(fault, bytes):
            self._answer(200, fault)
        return fault is not None

    def _answer(self, status: int, body: object) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        raw = b"" if body is None else raw
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        """Tests say themselves what matters."""
