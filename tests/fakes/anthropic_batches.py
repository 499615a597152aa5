"""The stand-in's Batch API: answers late, in another order, sometimes not everything."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.anthropic_rules import body_complaint, message_complaint

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fakes.anthropic import FakeAnthropic

CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
LISTED = 20
"""So many batches on a page of the list, where the request names no limit."""
DATED = {"claude-haiku-5-5": "claude-haiku-5-5-20261007"}


@dataclass
class Held:
    """A batch: its results are made when it is submitted, and shown after some looks."""

    id: str
    created: datetime
    results: list[dict[str, Any]]
    looks: int
    cancelled: bool = False


@dataclass
class Batches:
    """`spoil` names what becomes of the first result: errored, expired or canceled.

    Of the requests a share of `hits` finds a cache entry that was written before, in a batch or
    not: the vendor says that 30 to 98 % do. `unknown` looks
    at a new batch are answered with 404; `dated` answers bear the dated name of the model; with
    `forget_reply` a batch is taken, and the reply to it is nonsense; with `drop` it is not taken,
    and the reply is nonsense as well.
    """

    looks: int = 1
    hits: float = 0.5
    unknown: int = 0
    spoil: str = ""
    dated: bool = False
    forget_reply: bool = False
    drop: bool = False
    statuses: list[int] = field(default_factory=list)
    """Answered to the next submissions."""
    trouble_while_looking: list[int] = field(default_factory=list)
    trouble_with_results: list[int] = field(default_factory=list)
    on_arrival: Callable[[], object] = lambda: None
    """Called for each submission before anything is taken, or can be seen."""
    after_submission: Callable[[], object] = lambda: None
    made: int = 0
    """Answers, of all batches."""
    looked: int = 0
    """Looks at a batch or at the list of all."""
    fetched: Counter[str] = field(default_factory=Counter)
    """How often each batch's results were."""
    held: dict[str, Held] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def post(self, path: str, body: dict[str, Any], fake: FakeAnthropic) -> tuple[int, bytes]:
        if self.statuses:
            return _error(self.statuses.pop(0))
        if path.endswith("/cancel"):
            return self._cancelled(path.split("/")[-2])
        self.on_arrival()
        if self.drop:
            return 200, b"<html>gateway</html>"
        if said := body_complaint(path, body) or _ids_complaint(body):
            return _error(400, said)
        with self.lock:
            results = [
                self._result(request, fake, spoil=self.spoil if place == 0 else "")
                for place, request in enumerate(body["requests"])
            ]
            one = self.hold(results)
        self.after_submission()
        if self.forget_reply:
            return 200, b"<html>gateway</html>"
        return 200, json.dumps(self._shown(one)).encode()

    def _cancelled(self, batch_id: str) -> tuple[int, bytes]:
        one = self.held.get(batch_id)
        if one is None:
            return _error(404)
        one.cancelled, one.looks = True, 1
        return 200, json.dumps(self._shown(one)).encode()

    def hold(
        self, results: list[dict[str, Any]], looks: int | None = None, age: float = 0.0
    ) -> Held:
        """Put a batch there, as if it had been created `age` seconds ago, by whomever."""
        one = Held(
            id=f"msgbatch_{len(self.held) + 1}",
            created=datetime.now(UTC) - timedelta(seconds=age),
            results=results,
            looks=self.looks if looks is None else looks,
        )
        self.held[one.id] = one
        return one

    def get(self, path: str) -> tuple[int, bytes]:
        if self.trouble_while_looking:
            return _error(self.trouble_while_looking.pop(0))
        where = urlsplit(path)
        parts = where.path.rstrip("/").split("/")
        if parts[-1] == "batches":
            return self._listed(parse_qs(where.query))
        self.looked += parts[-1] != "results"
        one = self.held.get(parts[-2] if parts[-1] == "results" else parts[-1])
        if one is None:
            return _error(404)
        return self._results(one) if parts[-1] == "results" else self._state(one)

    def _results(self, one: Held) -> tuple[int, bytes]:
        if self.trouble_with_results:
            return _error(self.trouble_with_results.pop(0))
        self.fetched[one.id] += 1
        lines = [json.dumps(result) for result in reversed(one.results)]
        return 200, "\n".join(lines).encode()

    def _state(self, one: Held) -> tuple[int, bytes]:
        if self.unknown:
            self.unknown -= 1
            return _error(404)
        one.looks -= 1
        return 200, json.dumps(self._shown(one)).encode()

    def _listed(self, query: dict[str, list[str]]) -> tuple[int, bytes]:
        """The newest first, page by page. Every batch that is shown comes nearer to its end."""
        self.looked += 1
        newest = sorted(self.held.values(), key=lambda one: one.created, reverse=True)
        ids = [one.id for one in newest]
        start = ids.index(query["after_id"][0]) + 1 if "after_id" in query else 0
        page = newest[start : start + int(query.get("limit", [str(LISTED)])[0])]
        for one in page:
            one.looks -= 1
        answer = {
            "data": [self._shown(one) for one in page],
            "has_more": start + len(page) < len(newest),
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
        }
        return 200, json.dumps(answer).encode()

    def _shown(self, one: Held) -> dict[str, Any]:
        ended = one.looks <= 0
        kinds = ("processing", "succeeded", "errored", "canceled", "expired")
        counts = dict.fromkeys(kinds, 0)
        for result in one.results:
            counts[result["result"]["type"] if ended else "processing"] += 1
        return {
            "id": one.id,
            "type": "message_batch",
            "created_at": one.created.isoformat(),
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": counts,
            "results_url": "http://127.0.0.1:9/elsewhere" if ended else None,
        }

    def _result(
        self, request: dict[str, Any], fake: FakeAnthropic, *, spoil: str
    ) -> dict[str, Any]:
        from tests.fakes.anthropic import Seen, papers_in

        body, key = request["params"], request["custom_id"]
        if said := message_complaint(body):
            # The vendor looks at the single requests later, and refuses each by itself.
            error = {"type": "invalid_request_error", "message": said}
            return {"custom_id": key, "result": {"type": "errored", "error": error}}
        if spoil:
            return {"custom_id": key, "result": {"type": spoil}}
        papers = papers_in(body)
        titles = {slot: title for slot, (title, _) in papers.items()}
        seen = Seen(time.monotonic(), "/v1/messages/batches", {}, body, titles)
        self.made += 1
        hit = int(self.made * self.hits) > int((self.made - 1) * self.hits)
        message = fake.generate(seen, papers, half=True, finds_cache=hit)
        fake.till.now_readable(body)
        if self.dated:
            message["model"] = DATED[message["model"]]
        return {"custom_id": key, "result": {"type": "succeeded", "message": message}}


def _ids_complaint(body: dict[str, Any]) -> str:
    ids = [request["custom_id"] for request in body["requests"]]
    if len(set(ids)) == len(ids) and all(CUSTOM_ID.fullmatch(one) for one in ids):
        return ""
    return "custom_id: must be unique and match ^[a-zA-Z0-9_-]{1,64}$"


def _error(status: int, said: str = "on purpose") -> tuple[int, bytes]:
    from tests.fakes.anthropic import error_body

    return status, error_body(status, said)
