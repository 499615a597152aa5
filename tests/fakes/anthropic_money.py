"""What the stand-in counts, caches and bills, after the published rules and by its own table."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from hashlib import sha256
from math import ceil
from typing import Any

# Nano-dollars a token: input, output, write for five minutes, read.
RATES = {
    "claude-haiku-5-5": (100, 500, 125, 10),
    "claude-sonnet-5-5": (2_000, 10_000, 2_500, 100),
    "claude-haiku-4-5": (1_000, 5_000, 1_250, 100),
}
DEAR_ABOVE = 100_000
LEAST_CACHED = 512
CACHED_SECONDS = 300
SHORT, LONG = re.compile(r"\b\w{1,3}\b"), re.compile(r"\w{4,}")
SIGNS = re.compile(r"[^\w\s]+")
THINKING_A_PAPER = 300


def tokens(text: str) -> int:
    """About what the vendor's tokenizer makes: 1 for a short word or a run of signs, else 2.2.

    Set so that the abstracts of a real day take 375 tokens (3.4 characters each), 1.5 times what a
    public tokenizer counts; a comment then takes 47 and an answer's slot 21.
    """
    short, long, signs = (len(kind.findall(text)) for kind in (SHORT, LONG, SIGNS))
    return ceil(short + signs + 2.2 * long)


class Till:
    """Counts and bills. Cached beginnings are readable once their first answer has begun."""

    def __init__(self) -> None:
        self.bill_nanos = 0
        self.kinds: Counter[str] = Counter()
        self._cached: dict[str, float] = {}
        self._lengths: dict[str, int] = {}
        self._lock = threading.Lock()

    def prompt_tokens(self, body: dict[str, Any]) -> int:
        before, after = _parts(body)
        return tokens(before) + tokens(after)

    def ring_up(
        self, body: dict[str, Any], message: dict[str, Any], *, half: bool = False
    ) -> dict[str, Any]:
        """Bill one generated answer and return its `usage`."""
        before, after = _parts(body)
        cached, fresh = self._counted(before), tokens(after)
        if cached < LEAST_CACHED:
            cached, fresh = 0, cached + fresh
        with self._lock:
            read = time.monotonic() - self._cached.get(_key(body), -1e9) < CACHED_SECONDS
        text = "".join(b.get("text", "") for b in message["content"])
        thinking = _thinking(body) if message["content"] else 0
        counts = {
            "input_tokens": fresh,
            "cache_creation_input_tokens": 0 if read else cached,
            "cache_read_input_tokens": cached if read else 0,
            "output_tokens": tokens(text) + thinking,
        }
        refused = message["stop_reason"] == "refusal" and not message["content"]
        with self._lock:
            if not refused:
                self.kinds.update(counts)
                self.kinds["calls"] += 1
                price = _price(body["model"], counts)
                self.bill_nanos += -(-price // 2) if half else price
        tier = "batch" if half else "standard"
        return {
            **counts,
            "service_tier": tier,
            "output_tokens_details": {"thinking_tokens": thinking},
        }

    def forget(self, body: dict[str, Any]) -> None:
        with self._lock:
            self._cached.pop(_key(body), None)

    def _counted(self, beginning: str) -> int:
        """Beginnings come again and again: each is counted once."""
        if beginning not in self._lengths:
            self._lengths[beginning] = tokens(beginning)
        return self._lengths[beginning]

    def now_readable(self, body: dict[str, Any]) -> None:
        with self._lock:
            self._cached[_key(body)] = time.monotonic()


def _price(model: str, counts: dict[str, int]) -> int:
    fresh, output, write, read = RATES[model]
    prompt = sum(count for kind, count in counts.items() if kind != "output_tokens")
    dear = 5 if model == "claude-haiku-5-5" and prompt > DEAR_ABOVE else 1
    return dear * (
        counts["input_tokens"] * fresh
        + counts["output_tokens"] * output
        + counts["cache_creation_input_tokens"] * write
        + counts["cache_read_input_tokens"] * read
    )


def _thinking(body: dict[str, Any]) -> int:
    """High effort thinks about every paper; low effort or none does not."""
    thinks = body.get("thinking", {}).get("type") == "adaptive"
    high = body.get("output_config", {}).get("effort") == "high"
    slots = body.get("output_config", {}).get("format", {}).get("schema", {}).get("required", [])
    return THINKING_A_PAPER * len(slots) if thinks and high else 0


def _parts(body: dict[str, Any]) -> tuple[str, str]:
    if "_parts" not in body:
        body["_parts"] = _cut(body)
    parts: tuple[str, str] = body["_parts"]
    return parts


def _cut(body: dict[str, Any]) -> tuple[str, str]:
    """The prompt up to the last cache mark, and the rest. The answer's schema stands before all."""
    pieces = [(json.dumps(body.get("output_config", {}).get("format", "")), False)]
    blocks = [body.get("system", [])] + [message["content"] for message in body["messages"]]
    for content in blocks:
        listed = [{"text": content}] if isinstance(content, str) else content
        pieces += [(block["text"], "cache_control" in block) for block in listed]
    marks = [place for place, (_, marked) in enumerate(pieces) if marked]
    end = marks[-1] + 1 if marks else 0
    return "\n".join(t for t, _ in pieces[:end]), "\n".join(t for t, _ in pieces[end:])


def _key(body: dict[str, Any]) -> str:
    return sha256(f"{body['model']}\n{_parts(body)[0]}".encode()).hexdigest()
