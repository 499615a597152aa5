"""Claude scorer: the Messages API of Anthropic (platform.claude.com/docs/en/api/messages)."""

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
from newsletter.scorers.claude.errors import RequestTarget
from newsletter.scorers.claude.instructions import INSTRUCTIONS
from newsletter.scorers.claude.response import parse_token_count, parse_usage, read
from newsletter.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from newsletter.domain.http_headers import RateLimitStatus
    from newsletter.domain.model import Rubric, Usage
    from newsletter.scorers import ScoringRequest
    from newsletter.scorers.claude.prices import ModelFeatures
    from newsletter.settings import Settings

BASE_TOKENS, SLOT_TOKENS, THINKING_TOKENS, SECOND_THINKING_TOKENS = 300, 90, 200, 400
FIRST_OUTPUT, SECOND_OUTPUT = 26, 370
"""Usual output tokens a paper: a slot, a comment for one in ten; thinking in the second pass."""
TIMEOUT_SECONDS = 180.0


class TokenCount(NamedTuple):
    tokens: int
    date: str
    """The HTTP Date of the answer."""


class ClaudeScorer:
    """Scores abstracts against the rubric, sixteen papers a call."""

    judges = True
    sizes: tuple[int, ...] = (16, 4, 1)
    second_pass_sizes: tuple[int, ...] = (8, 4, 1)
    """Half as many: with thinking, the output of 16 papers takes about a minute. Eight calls of
    eight papers, as many as run at once by default, end together after half of that."""

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
        self.version = settings.prompt_version
        self.name = f"{settings.model}/{self.version}"
        self.second_opinion = settings.second_opinion
        self._connection = AnthropicClient(key, settings.anthropic_base_url, timeout)
        self.batcher: BatchScorer | None = ClaudeBatches(self._connection)

    def prompt(self, rubric: Rubric) -> str:
        return f"{INSTRUCTIONS[self.version]}\n\n{prompt.rubric_text(rubric)}"

    def call(self, request: ScoringRequest, at: datetime) -> ScoringCall:
        model = prices.last_resort() if request.last_resort else self.model
        features = prices.features(model)
        body = {
            "model": model,
            **_thinking(features, request, self.version),
            **prompt.messages(request, features.min_cached_tokens, self.version),
        }
        tokens, most = prompt.prompt_tokens(body), body["max_tokens"]
        hour = request.cache_for_an_hour
        upper = prices.upper_bound(model, at.date(), tokens.most, most, hour=hour)
        return ScoringCall(request, model, body, upper, at, tokens.estimated)

    def connect(self) -> None:
        """Load the library and create the client; sends nothing."""
        self._connection.client()

    def ask(self, call: ScoringCall) -> CallResponse:
        about = RequestTarget.LAST_RESORT if call.request.last_resort else RequestTarget.MODEL
        with self._connection.translated_errors(call.at, about):
            response = self._connection.client().messages.with_raw_response.create(**call.body)
            raw = response.read()
        usage = parse_usage(raw, call.model, call.at, hour=call.request.cache_for_an_hour)
        return CallResponse(raw, usage, _left(response.headers))

    def estimate_usage(self, call: ScoringCall) -> Usage | None:
        each = SECOND_OUTPUT if call.request.pass_number > 1 else FIRST_OUTPUT
        output = each * len(call.request.papers)
        tokens = {"input_tokens": self.count(call).tokens, "output_tokens": output}
        return prices.price_usage(call.model, call.at.date(), tokens)

    def count(self, call: ScoringCall) -> TokenCount:
        """Count the prompt tokens of the call, free of charge. Raises ScorerError.

        Sends every field that the counting endpoint accepts.
        """
        body = {name: value for name, value in call.body.items() if name != "max_tokens"}
        about = RequestTarget.LAST_RESORT if call.request.last_resort else RequestTarget.MODEL
        response = self._connection.count_tokens(body, call.at, about)
        tokens = parse_token_count(response.content)
        if tokens is None:
            raise ScorerError(CallFailure.LOST, "the count of tokens was answered without a number")
        return TokenCount(tokens, response.headers.get("date", ""))

    def read(self, request: ScoringRequest, model: str, raw: bytes) -> ScoredPapers:
        return read(request, model, raw)


def _left(headers: Mapping[str, str]) -> dict[str, RateLimitStatus]:
    """Remaining limits: platform.claude.com/docs/en/api/rate-limits. Cached tokens do not count."""
    found = {}
    for ours, theirs in (("requests", "requests"), ("tokens", "input-tokens")):
        names = (f"anthropic-ratelimit-{theirs}-{what}" for what in ("limit", "remaining", "reset"))
        if left := http_headers.read_rate_limit(headers, *names):
            found[ours] = left
    return found


def _thinking(features: ModelFeatures, request: ScoringRequest, version: str) -> dict[str, Any]:
    """Parameters for thinking, effort and `max_tokens`.

    `extended_output` lowers the effort and doubles the room for thinking.
    """
    size = len(request.papers)
    is_second = request.pass_number > 1 and features.has_effort
    disabled = features.can_disable_thinking and not is_second
    thinking_tokens = SECOND_THINKING_TOKENS if is_second else 0 if disabled else THINKING_TOKENS
    if request.extended_output:
        thinking_tokens *= 2
    output: dict[str, Any] = {
        "format": {"type": "json_schema", "schema": prompt.schema(size, version)}
    }
    if features.has_effort:
        output["effort"] = "high" if is_second and not request.extended_output else "low"
    return {
        "max_tokens": BASE_TOKENS + (SLOT_TOKENS + thinking_tokens) * size,
        "thinking": {"type": "disabled" if disabled else "adaptive"},
        "output_config": output,
    }


_: type[Scorer] = ClaudeScorer
