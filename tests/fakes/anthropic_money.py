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

from tests.fakes.anthropic_rules import blocks

# Nano-dollars a token: input, output, write for five minutes, for an hour, read.
RATES = {
    "claude-haiku-5-5": (100, 500, 125, 200, 10),
    "claude-sonnet-5-5": (2_000, 10_000, 2_500, 4_000, 100),
    "claude-haiku-4-5": (1_000, 5_000, 1_250, 2_000, 100),
}
DEAR_ABOVE = 100_000
LEAST_CACHED = {"claude-haiku-5-5": 512, "claude-sonnet-5-5": 512, "claude-haiku-4-5": 4_096}
CACHED_SECONDS = {"5m": 300, "1h": 3_600}
SHORT, LONG = re.compile(r"\b\w{1,3}\b"), re.compile(r"\w{4,}")
SIGNS = re.compile(r"[^\w\s]+")


def tokens(text: str) -> int:
    """About what the vendor's tokenizer makes: 1 for a short word or a run of signs, else 2.2.

    Set so that the abstracts of a real day take 375 tokens (3.4 characters each), 1.5 times what a
    public tokenizer counts; a comment then takes 47 and an answer's slot 21.
    """
    short, long, signs = (len(kind.findall(text)) for kind in (SHORT, LONG, SIGNS))
    return ceil(short + signs + 2.2 * long)


class Till:
    """Counts and bills. Cached beginnings are readable once their first answer has begun.

    The answer's schema is billed as prompt text. Whether that stands inside the cached beginning
    or behind it no page says: `schema_cached` sets it.
    """

    def __init__(self, *, schema_cached: bool = True) -> None:
        self.schema_cached = schema_cached
        self.bill_nanos = 0
        self.kinds: Counter[str] = Counter()
        self.thoughts = {"high": 300}
        """Tokens a paper, by effort; a model that is asked for less does not think here."""
        self._cached: dict[str, float] = {}
        """When each entry expires."""
        self._lengths: dict[str, int] = {}
        self._lock = threading.Lock()

    def prompt_tokens(self, body: dict[str, Any]) -> int:
        return sum(tokens(part) for part in self._parts(body))

    def ring_up(
        self,
        body: dict[str, Any],
        message: dict[str, Any],
        *,
        half: bool = False,
        finds_cache: bool = True,
    ) -> dict[str, Any]:
        """Bill one generated answer and return its `usage`."""
        before, after = self._parts(body)
        cached, fresh = self._counted(before), tokens(after)
        if cached < LEAST_CACHED[body["model"]]:
            cached, fresh = 0, cached + fresh
        life = _life(body)
        with self._lock:
            read = finds_cache and time.monotonic() < self._cached.get(self._key(body), 0.0)
        text = "".join(b.get("text", "") for b in message["content"])
        thinking = self.thinking(body) if message["content"] else 0
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
                price = _price(body["model"], counts, life)
                self.bill_nanos += -(-price // 2) if half else price
        tier = "batch" if half else "standard"
        return {
            **counts,
            "cache_creation": {
                f"ephemeral_{kind}_input_tokens": counts["cache_creation_input_tokens"]
                * (kind == life)
                for kind in CACHED_SECONDS
            },
            "service_tier": tier,
            "output_tokens_details": {"thinking_tokens": thinking},
        }

    def thinking(self, body: dict[str, Any]) -> int:
        """Tokens of thought: about every paper so many, and no more than there is room."""
        if body.get("thinking", {}).get("type") != "adaptive":
            return 0
        config = body.get("output_config", {})
        slots = config.get("format", {}).get("schema", {}).get("required", [])
        wanted = self.thoughts.get(config.get("effort", "high"), 0) * len(slots)
        return min(wanted, body["max_tokens"])

    def _parts(self, body: dict[str, Any]) -> tuple[str, str]:
        """The cached beginning and the rest, with the schema in one of them."""
        if "_parts" not in body:
            schema = json.dumps(body.get("output_config", {}).get("format", ""))
            before, after = _cut(body)
            body["_parts"] = (
                (f"{schema}\n{before}", after)
                if before and self.schema_cached
                else (before, f"{schema}\n{after}")
            )
        parts: tuple[str, str] = body["_parts"]
        return parts

    def _key(self, body: dict[str, Any]) -> str:
        return sha256(f"{body['model']}\n{self._parts(body)[0]}".encode()).hexdigest()

    def _counted(self, beginning: str) -> int:
        """Beginnings come again and again: each is counted once."""
        if beginning not in self._lengths:
            self._lengths[beginning] = tokens(beginning)
        return self._lengths[beginning]

    def now_readable(self, body: dict[str, Any]) -> None:
        """The entry lives as long as its writer asked; a reader renews it."""
        until, key = time.monotonic() + CACHED_SECONDS[_life(body)], self._key(body)
        with self._lock:
            self._cached[key] = max(until, self._cached.get(key, 0.0))


def _price(model: str, counts: dict[str, int], life: str) -> int:
    fresh, output, write, write_1h, read = RATES[model]
    prompt = sum(count for kind, count in counts.items() if kind != "output_tokens")
    dear = 5 if model == "claude-haiku-5-5" and prompt > DEAR_ABOVE else 1
    return dear * (
        counts["input_tokens"] * fresh
        + counts["output_tokens"] * output
        + counts["cache_creation_input_tokens"] * (write_1h if life == "1h" else write)
        + counts["cache_read_input_tokens"] * read
    )


def _life(body: dict[str, Any]) -> str:
    """How long the cached beginning is kept, as the request asks."""
    marks = [block["cache_control"] for block in blocks(body) if "cache_control" in block]
    return "1h" if any(mark.get("ttl") == "1h" for mark in marks) else "5m"


def _cut(body: dict[str, Any]) -> tuple[str, str]:
    """The prompt up to the last cache mark, and the rest."""
    pieces = [(block["text"], "cache_control" in block) for block in blocks(body)]
    marks = [place for place, (_, marked) in enumerate(pieces) if marked]
    end = marks[-1] + 1 if marks else 0
    return "\n".join(t for t, _ in pieces[:end]), "\n".join(t for t, _ in pieces[end:])
