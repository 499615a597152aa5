"""The Messages API of Anthropic (platform.claude.com/docs/en/api/messages)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from newsletter import allowance
from newsletter.scorers import Answer, Batcher, Call, Reading, Scorer
from newsletter.scorers.claude import answer, prices, prompt
from newsletter.scorers.claude.bulk import Bulk
from newsletter.scorers.claude.wire import Wire
from newsletter.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from newsletter.allowance import Allowance
    from newsletter.model import Rubric, Usage
    from newsletter.scorers import Request
    from newsletter.settings import Settings

LAST_RESORT = "claude-haiku-4-5"
"""It runs no classifiers, so it answers about papers that the others refuse to read."""
CAN_NOT_THINK = {"claude-haiku-5-5", LAST_RESORT}
"""Models whose thinking can be switched off; the others think, and are billed for it."""
HAS_NO_EFFORT = {LAST_RESORT}

BASE_TOKENS, SLOT_TOKENS, THINKING_TOKENS, SECOND_THINKING_TOKENS = 300, 90, 200, 400
FIRST_OUTPUT, SECOND_OUTPUT = 26, 370
"""Tokens a paper usually takes: a slot, a comment for one in ten, on the second reading thought."""
TIMEOUT_SECONDS = 180.0


class Claude:
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
        self.model = settings.model
        self.name = f"{settings.model}/{prompt.VERSION}"
        self.second_opinion = settings.second_opinion
        self._wire = Wire(key, settings.anthropic_base_url, timeout)
        self.batcher: Batcher | None = Bulk(self._wire)

    def prompt(self, rubric: Rubric) -> str:
        return f"{prompt.INSTRUCTIONS}\n\n{prompt.rubric_text(rubric)}"

    def call(self, request: Request, at: datetime) -> Call:
        model = LAST_RESORT if request.last_resort else self.model
        body = {
            "model": model,
            **_thinking(model, request),
            **prompt.messages(request),
        }
        tokens = prompt.most_tokens(body)
        upper = prices.upper_bound(model, at.date(), tokens, body["max_tokens"])
        return Call(request, model, body, upper, at, prompt.usual_tokens(body))

    def connect(self) -> None:
        """Load the library and make the client; sends nothing."""
        self._wire.client()

    def ask(self, call: Call) -> Answer:
        with self._wire.proving(call.at):
            response = self._wire.client().messages.with_raw_response.create(**call.body)
            raw = response.read()
        return Answer(raw, answer.usage_of(raw, call.model, call.at), _left(response.headers))

    def weigh(self, call: Call) -> Usage | None:
        body = {name: call.body[name] for name in ("model", "system", "messages", "output_config")}
        with self._wire.proving(call.at):
            counted = self._wire.client().messages.count_tokens(**body)
        each = SECOND_OUTPUT if call.request.reading > 1 else FIRST_OUTPUT
        output = each * len(call.request.papers)
        tokens = {"input_tokens": counted.input_tokens, "output_tokens": output}
        return prices.priced(call.model, call.at.date(), tokens)

    def read(self, request: Request, model: str, raw: bytes) -> Reading:
        return answer.read(request, model, raw)


def _left(headers: Mapping[str, str]) -> dict[str, Allowance]:
    """platform.claude.com/docs/en/api/rate-limits: cached tokens do not count."""
    found = {}
    for ours, theirs in (("requests", "requests"), ("tokens", "input-tokens")):
        names = (f"anthropic-ratelimit-{theirs}-{what}" for what in ("limit", "remaining", "reset"))
        if left := allowance.read(headers, *names):
            found[ours] = left
    return found


def _thinking(model: str, request: Request) -> dict[str, Any]:
    """How much the model may think, and room for exactly that and the answer."""
    size = len(request.papers)
    again = request.reading > 1 and model not in HAS_NO_EFFORT
    silent = model in CAN_NOT_THINK and not again
    thoughts = SECOND_THINKING_TOKENS if again else 0 if silent else THINKING_TOKENS
    output: dict[str, Any] = {"format": {"type": "json_schema", "schema": prompt.schema(size)}}
    if model not in HAS_NO_EFFORT:
        output["effort"] = "high" if again else "low"
    return {
        "max_tokens": BASE_TOKENS + (SLOT_TOKENS + thoughts) * size,
        "thinking": {"type": "disabled" if silent else "adaptive"},
        "output_config": output,
    }


_: type[Scorer] = Claude
