"""A Messages API on loopback: answers by a function, counts, caches and bills by itself."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.fakes.anthropic_answers import Ending, whole, written
from tests.fakes.anthropic_batches import Batches
from tests.fakes.anthropic_money import RATES, Till
from tests.fakes.anthropic_rules import (
    body_complaint,
    build_adapters,
    header_complaint,
    message_complaint,
)
from tests.fakes.loopback import HttpHandler, Loopback

if TYPE_CHECKING:
    from collections.abc import Callable

    ScoresOf = Callable[[str, str], dict[str, Any]]

PAPER = re.compile(r'<paper slot="(p\d+)">\n(.*?)\n(.*?)\n</paper>', re.DOTALL)

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


@dataclass
class Fault:
    """Goes wrong `times` times, for requests whose body holds `match`.

    `do` is a status (429), or a word: html, truncated, drop before, drop after, or an Ending.
    `headers`, `delay` (seconds) and what an error `said`, with which `code`, come on top.
    """

    do: int | str
    match: str = ""
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    said: str = "on purpose"
    code: str = ""


@dataclass(frozen=True)
class Seen:
    """One request as it came: when, where, its headers and body, the papers' titles by slot."""

    at: float
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    titles: dict[str, str]


class FakeAnthropic(Loopback):
    """`with FakeAnthropic(scores_of) as fake:` serves at `fake.url` until the end of the block.

    `wait_for_turn` is called before a message is answered, and may wait; False makes it a 429.
    An answer begins after `latency` seconds; its output then takes time at `tokens_per_second`, or
    none without it. Prompts are free of time.
    """

    def __init__(
        self, scores_of: ScoresOf, *, latency: float = 0.0, tokens_per_second: float | None = None
    ) -> None:
        self.scores_of = scores_of
        self.latency = latency
        self.tokens_per_second = tokens_per_second
        self.wait_for_turn: Callable[[], bool] = lambda: True
        self.faults: list[Fault] = []
        self.reply_headers: dict[str, str] = {}
        self.gone: set[str] = set()
        """Models that are not there (any more)."""
        self.record: dict[str, Any] | None = None
        """The answer to any request, in place of scored slots."""
        self.requests: list[Seen] = []
        self.answered: list[Seen] = []
        self.till = Till()
        self.lock = threading.Lock()
        self.batches = Batches()
        # Loaded now: with the first request, a slow machine would let a client time out.
        build_adapters()
        self.bind(_Handler)

    @property
    def bill_nanos(self) -> int:
        """What all generated answers cost, delivered or not."""
        return self.till.bill_nanos

    @property
    def papers_paid(self) -> list[str]:
        """The title of every paper in every billed answer."""
        return [title for seen in self.answered for title in seen.titles.values()]

    def fault(self, do: int | str, match: str = "", **more: Any) -> None:
        self.faults.append(Fault(do, match, **more))

    def generate(
        self,
        seen: Seen,
        papers: dict[str, tuple[str, str]],
        ending: Ending = Ending.WHOLE,
        *,
        half: bool = False,
        finds_cache: bool = True,
    ) -> dict[str, Any]:
        """One answer, counted and billed."""
        slots = seen.body["output_config"]["format"]["schema"]["required"]
        scored = {slot: self.scores_of(*papers[slot]) for slot in slots if slot in papers}
        if self.till.thinking(seen.body) >= seen.body["max_tokens"]:
            ending = Ending.THOUGHT
        message = written(scored, ending) if self.record is None else whole(self.record)
        usage = self.till.ring_up(seen.body, message, half=half, finds_cache=finds_cache)
        if ending is not Ending.REFUSED:
            with self.lock:
                self.answered.append(seen)
        return {
            "id": f"msg_{len(self.requests)}",
            "type": "message",
            "role": "assistant",
            "model": seen.body["model"],
            **message,
            "stop_sequence": None,
            "usage": usage,
        }

    def output_seconds(self, message: dict[str, Any]) -> float:
        """How long the output of a message takes, thinking included."""
        if self.tokens_per_second is None:
            return 0.0
        return float(message["usage"]["output_tokens"]) / self.tokens_per_second

    def complaint(self, path: str, body: Any) -> tuple[int, str]:
        """Status and words with which this request is refused; no words when it is not."""
        if said := body_complaint(path, body) or message_complaint(body):
            return 400, said
        if body["model"] in self.gone or body["model"] not in RATES:
            return 404, f"model: {body['model']}"
        return 200, ""

    def take_fault(self, body: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.match in body:
                    fault.times -= 1
                    return fault
        return None


class _Handler(HttpHandler):
    protocol_version = "HTTP/1.1"

    def get(self) -> None:
        fake = self.server.fake
        if self._refused():
            return
        if "/batches" in self.path:
            self._send(*fake.batches.get(self.path))
        else:
            self._error(404, {}, "not found")

    def post(self) -> None:
        fake = self.server.fake
        text = self.body().decode()
        body = json.loads(text or "{}")
        if self._refused():
            return
        if "/batches" in self.path:
            self._send(*fake.batches.post(self.path, body, fake))
            return
        papers = papers_in(body)
        titles = {slot: title for slot, (title, _) in papers.items()}
        seen = Seen(time.monotonic(), self.path, dict(self.headers), body, titles)
        with fake.lock:
            fake.requests.append(seen)
        fault = fake.take_fault(text) or Fault("")
        if fault.do == "drop before":
            self._hang_up()
        elif isinstance(fault.do, int):
            self._error(fault.do, fault.headers, fault.said, fault.code)
        elif (refused := fake.complaint(self.path, body))[1]:
            self._error(refused[0], {}, refused[1])
        elif self.path.endswith("/count_tokens"):
            self._send(200, json.dumps({"input_tokens": fake.till.prompt_tokens(body)}).encode())
        elif not fake.wait_for_turn():
            self._error(429, {"retry-after": "1"}, "too many requests")
        else:
            self._answer(seen, papers, fault)

    def _answer(self, seen: Seen, papers: dict[str, tuple[str, str]], fault: Fault) -> None:
        fake = self.server.fake
        ending = Ending(fault.do) if fault.do in set(Ending) else Ending.WHOLE
        message = fake.generate(seen, papers, ending)
        raw = json.dumps(message).encode()
        time.sleep(fake.latency + fault.delay)
        # The vendor's rule: a cache entry can be read once the answer that writes it has begun.
        fake.till.now_readable(seen.body)
        time.sleep(fake.output_seconds(message))
        if fault.do == "drop after":
            self._hang_up()
        elif fault.do == "html":
            self._send(200, b"<html><body>busy</body></html>", kind="text/html")
        elif fault.do == "truncated":
            self._send(200, raw[: len(raw) // 2])
        else:
            self._send(200, raw)

    def _refused(self) -> bool:
        """Without a key or a version nothing is looked at, but for paths that are no vendor's."""
        complaint = header_complaint(self.headers) if self.path.startswith("/v1/") else None
        if complaint:
            self._error(complaint[0], {}, complaint[2])
        return complaint is not None

    def _error(self, status: int, headers: dict[str, str], said: str, code: str = "") -> None:
        self._send(status, error_body(status, said, code), headers)

    def _send(
        self,
        status: int,
        raw: bytes,
        headers: dict[str, str] | None = None,
        kind: str = "application/json",
    ) -> None:
        try:
            given = {"content-type": kind, "request-id": "req_1"}
            given |= self.server.fake.reply_headers
            self.answer(status, raw, given | (headers or {}))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.close()


def error_body(status: int, said: str, code: str = "") -> bytes:
    error: dict[str, Any] = {"type": ERROR_TYPES.get(status, "api_error"), "message": said}
    if code:
        error["details"] = {"error_code": code}
    return json.dumps({"type": "error", "error": error, "request_id": "req_1"}).encode()


def papers_in(body: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Title and abstract by slot."""
    return {slot: (title, said) for slot, title, said in PAPER.findall(user_text(body))}


def user_text(body: dict[str, Any]) -> str:
    """All text of the user's messages."""
    texts = []
    for message in body.get("messages", []):
        content = message["content"]
        blocks = [{"text": content}] if isinstance(content, str) else content
        texts += [block["text"] for block in blocks]
    return "\n".join(texts)
