"""The stand-in's Batch API: answers late, in another order, sometimes not everything."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.fakes.anthropic import FakeAnthropic

CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
PAPER = re.compile(r'<paper slot="(p\d+)">\n(.*?)\n(.*?)\n</paper>', re.DOTALL)
HITS_EVERY = 2
"""Every second request of a batch finds the cache: the vendor says 30 to 98 %."""


@dataclass
class Held:
    """A batch: its results are made when it is submitted, and shown after some looks."""

    id: str
    created: str
    results: list[dict[str, Any]]
    looks: int
    cancelled: bool = False


@dataclass
class Batches:
    """`spoil` names what becomes of the first result: errored, expired or canceled."""

    looks: int = 1
    spoil: str = ""
    statuses: list[int] = field(default_factory=list)
    """Answered to the next submissions."""
    trouble_while_looking: list[int] = field(default_factory=list)
    trouble_with_results: list[int] = field(default_factory=list)
    forget_reply: bool = False
    """Take the batch, but answer 500 as if it had not."""
    held: dict[str, Held] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def post(self, path: str, body: dict[str, Any], fake: FakeAnthropic) -> tuple[int, bytes]:
        if self.statuses:
            return _error(self.statuses.pop(0))
        if path.endswith("/cancel"):
            one = self.held[path.split("/")[-2]]
            one.cancelled, one.looks = True, 1
            return 200, json.dumps(self._shown(one)).encode()
        ids = [request["custom_id"] for request in body["requests"]]
        if len(set(ids)) != len(ids) or not all(CUSTOM_ID.fullmatch(one) for one in ids):
            return _error(400)
        with self.lock:
            one = Held(
                id=f"msgbatch_{len(self.held) + 1}",
                created=datetime.now(UTC).isoformat(),
                results=[
                    self._result(place, request, fake)
                    for place, request in enumerate(body["requests"])
                ],
                looks=self.looks,
            )
            self.held[one.id] = one
        if self.forget_reply:
            return 200, b"<html>gateway</html>"
        return 200, json.dumps(self._shown(one)).encode()

    def get(self, path: str) -> tuple[int, bytes]:
        if self.trouble_while_looking:
            return _error(self.trouble_while_looking.pop(0))
        parts = path.rstrip("/").split("/")
        if parts[-1] == "batches":
            return 200, json.dumps({"data": [self._shown(b) for b in self.held.values()]}).encode()
        if parts[-1] == "results" and self.trouble_with_results:
            return _error(self.trouble_with_results.pop(0))
        if parts[-1] == "results":
            lines = [json.dumps(result) for result in reversed(self.held[parts[-2]].results)]
            return 200, "\n".join(lines).encode()
        one = self.held[parts[-1]]
        one.looks -= 1
        return 200, json.dumps(self._shown(one)).encode()

    def _shown(self, one: Held) -> dict[str, Any]:
        ended = one.looks <= 0
        return {
            "id": one.id,
            "type": "message_batch",
            "created_at": one.created,
            "processing_status": "ended" if ended else "in_progress",
            "results_url": "http://127.0.0.1:9/elsewhere" if ended else None,
        }

    def _result(self, place: int, request: dict[str, Any], fake: FakeAnthropic) -> dict[str, Any]:
        from tests.fakes.anthropic import Seen, user_text

        body = request["params"]
        kind = self.spoil if place == 0 and self.spoil else "succeeded"
        if kind != "succeeded":
            return {"custom_id": request["custom_id"], "result": {"type": kind}}
        papers = {s: (t, a) for s, t, a in PAPER.findall(user_text(body))}
        titles = {slot: title for slot, (title, _) in papers.items()}
        seen = Seen(time.monotonic(), "/v1/messages/batches", {}, body, titles)
        if place % HITS_EVERY:
            fake.till.now_readable(body)
        message = fake.generate(seen, papers, half=True)
        fake.till.forget(body)
        return {
            "custom_id": request["custom_id"],
            "result": {"type": "succeeded", "message": message},
        }


def _error(status: int) -> tuple[int, bytes]:
    error = {"type": "error", "error": {"type": "api_error", "message": "on purpose"}}
    return status, json.dumps(error).encode()
