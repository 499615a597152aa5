"""SendGrid's suppression lists on loopback: paged, changeable, and refusing on request."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fakes import sendgrid_rules
from tests.fakes.loopback import HttpHandler, Loopback

GLOBAL = "/v3/asm/suppressions/global"
ERASE = "/v3/recipients/erasejob"


class FakeLists(Loopback):
    """`lists` by name; `faults` by the last part of a path: a status, "stall" or bytes."""

    def __init__(self) -> None:
        self.lists: dict[str, list[dict[str, Any]]] = {}
        self.faults: dict[str, int | str | bytes] = {}
        self.requests: list[str] = []
        self.erased: list[str] = []
        self.second = 1_758_600_000
        self.bind(_Handler)

    def put(self, name: str, email: str, second: int | None = None, **told: str) -> None:
        row = {"email": email, "created": second or self.second, **told}
        self.lists.setdefault(name, []).append(row)

    def emails(self, name: str) -> list[str]:
        return [row["email"] for row in self.lists.get(name, [])]

    @property
    def changes(self) -> list[str]:
        return [request for request in self.requests if not request.startswith("GET")]


class _Handler(HttpHandler):
    def get(self) -> None:
        asked = urlsplit(self.path)
        name = asked.path.rpartition("/")[2]
        if self._refused() or self._noted(name):
            return
        given = {key: int(values[0]) for key, values in parse_qs(asked.query).items()}
        start = given.get("offset", 0)
        rows = self.server.fake.lists.get(name, [])
        self._answer(200, rows[start : start + given.get("limit", 50)])

    def post(self) -> None:
        raw = self.body()
        if self._refused(raw):
            return
        payload = json.loads(raw)
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

    def delete(self) -> None:
        if self._refused() or self._noted("remove"):
            return
        path, _, address = self.path.rpartition("/")
        name = "unsubscribes" if path == GLOBAL else path.rpartition("/")[2]
        if path not in {GLOBAL, f"/v3/suppression/{name}"}:
            self._answer(405, {"errors": [{"message": "no"}]})
            return
        email = unquote(address)
        rows = self.server.fake.lists.get(name, [])
        left = [row for row in rows if row["email"] != email]
        self.server.fake.lists[name] = left
        self._answer(204 if len(left) < len(rows) else 404, None)

    def _refused(self, raw: bytes = b"") -> bool:
        """True when it was answered by the rules."""
        if wrong := sendgrid_rules.refusal_of(self, raw):
            self._answer(wrong.status, wrong.body)
        return bool(wrong)

    def _noted(self, name: str) -> bool:
        """Note the request; True when it was answered by a fault."""
        fake = self.server.fake
        fake.requests.append(f"{self.command} {self.path}")
        fault = fake.faults.get(name)
        if fault == "stall":
            fake.closing.wait(300)
            self.close_connection = True
        elif isinstance(fault, int):
            self._answer(fault, {"errors": [{"message": "no"}]})
        elif isinstance(fault, bytes):
            self._answer(200, fault)
        return fault is not None

    def _answer(self, status: int, body: object) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answer(status, b"" if body is None else raw)
