"""The Messages API of Anthropic (platform.claude.com/docs/en/api/messages)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from newsletter.domain import http_headers
from newsletter.scorers import (
    BatchScorer,
    CallFailure,
    CallResponse,
    ScoredPapers,
    Scorer,
    ScorerError,
    ScoringCall,
)
from newsletter.scorers.claude import prices, prompt
from newsletter.scorers.claude.batch import ClaudeBatches
from newsletter.scorers.claude.client import AnthropicClient
from newsletter.scorers.claude.errors import About
from newsletter.scorers.claude.response import counted, read, usage_of
from newsletter.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from newsletter.domain.http_headers import RateLimitStatus
    from newsletter.domain.model import Rubric, Usage
    from newsletter.scorers import ScoringRequest
    from newsletter.scorers.claude.prices import Facts
    from newsletter.settings import Settings

BASE_TOKENS, SLOT_TOKENS, THINKING_TOKENS, SECOND_THINKING_TOKENS = 300, 90, 200, 400
FIRST_OUTPUT, SECOND_OUTPUT = 26, 370
"""Tokens a paper usually takes: a slot, a comment for one in ten, on the second reading thought."""
TIMEOUT_SECONDS = 180.0


class Count(NamedTuple):
    tokens: int
    date: str
    """The HTTP Date of the answer."""


class ClaudeScorer:
    """Reads abstracts, sixteen a call, and judges each by the rubric."""

    judges = True
    sizes: tuple[int, ...] = (16, 4, 1)

    def __init__(self, settings: Settings, *, timeout: float = TIMEOUT_SECONDS) -> None:
        key = settings.anthropic_api_key.get_secret_value()
        if not key:
            message = "ANTHROPIC_API_KEY is not set: set it, or use NEWSLETTER_SCORER=local"
            raise SettingsError(message)
        known = prices.models()
        if settings.model not in known:
            message = (
                f"NEWSLETTER_MODEL: no price is known for {settings.model}; "
                f"use one of {', '.join(known)}"
            )
            raise SettingsError(message)
        if prices.last_resort() not in known:
            message = f"prices.toml: last_resort names {prices.last_resort()}, which is not in it"
            raise SettingsError(message)
        self.model = settings.model
        self.name = f"{settings.model}/{prompt.VERSION}"
        self.second_opinion = settings.second_opinion
        self._wire = AnthropicClient(key, settings.anthropic_base_url, timeout)
        self.batcher: BatchScorer | None = ClaudeBatches(self._wire)

    def prompt(self, rubric: Rubric) -> str:
        return f"{prompt.INSTRUCTIONS}\n\n{prompt.rubric_text(rubric)}"

    def call(self, request: ScoringRequest, at: datetime) -> ScoringCall:
        model = prices.last_resort() if request.last_resort else self.model
        facts = prices.facts(model)
        body = {
            "model": model,
            **_thinking(facts, request),
            **prompt.messages(request, facts.least_cached),
        }
        tokens, most = prompt.most_tokens(body), body["max_tokens"]
        upper = prices.upper_bound(model, at.date(), tokens, most, batch=request.in_bulk)
        return ScoringCall(request, model, body, upper, at, prompt.usual_tokens(body))

    def connect(self) -> None:
        """Load the library and make the client; sends nothing."""
        self._wire.client()

    def ask(self, call: ScoringCall) -> CallResponse:
        about = About.LAST_RESORT if call.request.last_resort else About.MODEL
        with self._wire.proving(call.at, about):
            response = self._wire.client().messages.with_raw_response.create(**call.body)
            raw = response.read()
        return CallResponse(raw, usage_of(raw, call.model, call.at), _left(response.headers))

    def weigh(self, call: ScoringCall) -> Usage | None:
        each = SECOND_OUTPUT if call.request.reading > 1 else FIRST_OUTPUT
        output = each * len(call.request.papers)
        tokens = {"input_tokens": self.count(call).tokens, "output_tokens": output}
        return prices.priced(call.model, call.at.date(), tokens)

    def count(self, call: ScoringCall) -> Count:
        """How many tokens the prompt of the call has, for nothing. Raises ScorerError.

        All of the request is sent that counting takes.
        """
        body = {name: value for name, value in call.body.items() if name != "max_tokens"}
        about = About.LAST_RESORT if call.request.last_resort else About.MODEL
        with self._wire.proving(call.at, about):
            response = self._wire.client().messages.with_raw_response.count_tokens(**body)
            raw = response.read()
        tokens = counted(raw)
        if tokens is None:
            raise ScorerError(CallFailure.LOST, "the count of tokens was answered without a number")
        return Count(tokens, response.headers.get("date", ""))

    def read(self, request: ScoringRequest, model: str, raw: bytes) -> ScoredPapers:
        return read(request, model, raw)


def _left(headers: Mapping[str, str]) -> dict[str, RateLimitStatus]:
    """platform.claude.com/docs/en/api/rate-limits: cached tokens do not count."""
    found = {}
    for ours, theirs in (("requests", "requests"), ("tokens", "input-tokens")):
        names = (f"anthropic-ratelimit-{theirs}-{what}" for what in ("limit", "remaining", "reset"))
        if left := http_headers.read_rate_limit(headers, *names):
            found[ours] = left
    return found


def _thinking(facts: Facts, request: ScoringRequest) -> dict[str, Any]:
    """How much the model may think, and room for exactly that and the answer.

    After an answer that never began the model thinks less and has twice the room.
    """
    size = len(request.papers)
    again = request.reading > 1 and facts.has_effort
    silent = facts.can_be_silent and not again
    thoughts = SECOND_THINKING_TOKENS if again else 0 if silent else THINKING_TOKENS
    if request.roomier:
        thoughts *= 2
    output: dict[str, Any] = {"format": {"type": "json_schema", "schema": prompt.schema(size)}}
    if facts.has_effort:
        output["effort"] = "high" if again and not request.roomier else "low"
    return {
        "max_tokens": BASE_TOKENS + (SLOT_TOKENS + thoughts) * size,
        "thinking": {"type": "disabled" if silent else "adaptive"},
        "output_config": output,
    }


_: type[Scorer] = ClaudeScorer
