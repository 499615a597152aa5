"""SendGrid on loopback: takes mail over real HTTP, and misbehaves on request."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.fakes import sendgrid_rules
from tests.fakes.loopback import HttpHandler, Loopback
from tests.fakes.sendgrid_groups import Batches, Received, received

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Fault:
    """What happens to one request instead of a plain 202.

    `act`: "" answers with status, body and headers; "stall" never answers; "reset" cuts the
    connection after reading; "garbage" answers no HTTP; "truncate" cuts a 202 short. `accepts`
    says whether the message counts as taken all the same.
    """

    status: int = 202
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)
    act: str = ""
    accepts: bool = False


def refusal(status: int, message: str, where: str | None = None, **headers: str) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(status, {"errors": [{"message": message, "field": where}]}, named)


class FakeSendGrid(Loopback):
    """`messages` are those taken, `requests` all that came: (path, headers, payload).

    Each is answered after `delay` seconds; who waits is let go by `hurry`, and nobody waits then.
    `wait_for_turn` is called before a mail is taken, and may wait; False makes it a 429.
    """

    def __init__(self, delay: float = 0.0) -> None:
        self.messages: list[dict[str, Any]] = []
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.faults: deque[Fault] = deque()
        self.fault_for: Callable[[Any], Fault | None] = lambda _payload: None
        self.batch_fault: Callable[[str], Fault | None] = lambda _path: None
        self.batches = Batches()
        self.wait_for_turn: Callable[[], bool] = lambda: True
        self.delay = delay
        self.lock = threading.Lock()
        self.hurried = threading.Event()
        self.bind(_Handler)

    def __exit__(self, *_: object) -> None:
        self.hurry()
        super().__exit__()

    def hurry(self) -> None:
        self.hurried.set()

    @property
    def addresses(self) -> list[str]:
        """Who gets mail, in the order it was taken; twice where it came twice."""
        return [
            person["to"][0]["email"]
            for message in self._going_out
            for person in message["personalizations"]
        ]

    @property
    def received(self) -> list[Received]:
        """What each of them gets."""
        return [one for message in self._going_out for one in received(message)]

    @property
    def _going_out(self) -> list[Any]:
        return [message for message in self.messages if not self.batches.is_withdrawn(message)]

    def next_fault(self, payload: Any) -> Fault:
        with self.lock:
            fault = self.fault_for(payload)
            if fault is None:
                fault = self.faults.popleft() if self.faults else Fault()
            if payload.get("mail_settings", {}).get("sandbox_mode", {}).get("enable"):
                return Fault(200) if fault.status == 202 and not fault.act else fault
            taken = (fault.status == 202 and not fault.act) or fault.accepts
            if taken and (wrong := self.batches.complaint(payload)):
                return refusal(400, *wrong)
            if taken:
                self.batches.take(payload)
                self.messages.append(payload)
            return fault


class _Handler(HttpHandler):
    def post(self) -> None:
        fake = self.server.fake
        payload = self._noted()
        if payload is None:
            return
        if not self.path.endswith("/mail/send"):
            self._answer(self._about_batches(payload))
            return
        if not fake.wait_for_turn():
            self._answer(refusal(429, "too many requests", Retry_After="1"))
            return
        fault = fake.next_fault(payload)
        fake.hurried.wait(fake.delay)
        if fault.act == "stall":
            fake.closing.wait(300)
            self.close_connection = True
        elif fault.act == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            self.close_connection = True
        elif fault.act == "garbage":
            self.wfile.write(b"\x00\x01 nothing that HTTP knows\r\n\r\n")
        elif fault.act == "truncate":
            self.wfile.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\n{")
        else:
            self._answer(fault)

    def _noted(self) -> Any:
        """What came; None where it was refused already, by the rules."""
        raw = self.body()
        wrong = sendgrid_rules.refusal_of(self, raw)
        payload = {} if wrong or not raw else json.loads(raw)
        with self.server.fake.lock:
            self.server.fake.requests.append((self.path, dict(self.headers), payload))
        if wrong:
            self._answer(Fault(wrong.status, wrong.body))
            return None
        return payload

    def _about_batches(self, payload: Any) -> Fault:
        fake = self.server.fake
        with fake.lock:
            if fault := fake.batch_fault(self.path):
                return fault
            if self.path.endswith("/mail/batch"):
                return Fault(*fake.batches.new())
            return Fault(*fake.batches.cancel(payload))

    def get(self) -> None:
        fake = self.server.fake
        if self._noted() is None:
            return
        with fake.lock:
            looks = "/user/scheduled_sends/" in self.path
            found = fake.batches.look(self.path.rpartition("/")[2]) if looks else (200, {})
        self._answer(Fault(*found))

    def delete(self) -> None:
        fake = self.server.fake
        if self._noted() is None:
            return
        with fake.lock:
            found = fake.batches.let_go(self.path.rpartition("/")[2], fake.messages)
        self._answer(Fault(*found))

    def _answer(self, fault: Fault) -> None:
        body = fault.body if isinstance(fault.body, bytes) else json.dumps(fault.body).encode()
        body = b"" if fault.body is None else body
        number = {"X-Message-Id": f"fake-{len(self.server.fake.requests)}"}
        self.answer(fault.status, body, number | fault.headers)
