"""The Messages API of Anthropic (platform.claude.com/docs/en/api/messages)."""

from __future__ import annotations

import re
import threading
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from newsletter.model import Usage
from newsletter.scorers import Answer, Call, Failure, Reading, Scorer, ScorerError
from newsletter.scorers.claude import answer, prices, prompt
from newsletter.settings import SettingsError

if TYPE_CHECKING:
    from datetime import datetime

    import anthropic

    from newsletter.model import Rubric
    from newsletter.scorers import Request
    from newsletter.settings import Settings

LAST_RESORT = "claude-haiku-4-5"
"""It runs no classifiers, so it answers about papers that the others refuse to read."""
CAN_NOT_THINK = {"claude-haiku-5-5", LAST_RESORT}
"""Models whose thinking can be switched off; the others think, and are billed for it."""
HAS_NO_EFFORT = {LAST_RESORT}

BASE_TOKENS, SLOT_TOKENS, THINKING_TOKENS, SECOND_THINKING_TOKENS = 300, 90, 200, 400
TIMEOUT_SECONDS = 180.0

FIXES = {
    400: "the request was refused as malformed",
    401: "the key was refused; set ANTHROPIC_API_KEY to a valid key",
    402: "no credit; add some in the console, then run again",
    403: "the key may not do this; use one with access to the Messages API in ANTHROPIC_API_KEY",
    404: "the model or address is unknown there; check NEWSLETTER_MODEL and ANTHROPIC_BASE_URL",
    413: "the request is too large",
}
BUSY = {408, 409, 429}


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
        self._key = key
        self._base_url = settings.anthropic_base_url
        self._timeout = timeout
        self._client: anthropic.Anthropic | None = None
        self._lock = threading.Lock()

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
        return Call(request, model, body, upper, at)

    def ask(self, call: Call) -> Answer:
        import anthropic
        import httpx2

        try:
            response = self.connect().messages.with_raw_response.create(**call.body)
            raw = response.read()
        except anthropic.APIStatusError as error:
            raise self._refused(error, call.at) from None
        except anthropic.APIConnectionError as error:
            raise _broken(error.__cause__) from None
        except httpx2.HTTPError as error:
            raise _broken(error) from None
        return Answer(raw, usage_of(raw, call.model, call.at))

    def read(self, request: Request, model: str, raw: bytes) -> Reading:
        return answer.read(request, model, raw)

    def connect(self) -> anthropic.Anthropic:
        """Load the library and make the client; sends nothing."""
        import anthropic
        import httpx2

        with self._lock:
            if self._client is None:
                # Retries of the library are invisible to the ledger. A proxy would be another party
                # that sees key and papers. A connection kept open may be closed by the other side
                # just as a request leaves, and that looks like a paid answer that was lost.
                self._client = anthropic.Anthropic(
                    api_key=self._key,
                    base_url=self._base_url,
                    max_retries=0,
                    timeout=self._timeout,
                    http_client=httpx2.Client(
                        trust_env=False,
                        timeout=self._timeout,
                        limits=httpx2.Limits(max_keepalive_connections=0),
                    ),
                )
            return self._client

    def _refused(self, error: anthropic.APIStatusError, at: datetime) -> ScorerError:
        status = error.status_code
        said = " ".join(error.message.replace(self._key, "***").split())[:200]
        if status in BUSY or status >= 500:  # noqa: PLR2004 - server errors
            wait = _retry_after(error.response.headers.get("retry-after", ""), at)
            return ScorerError(Failure.BUSY, f"Anthropic answered {status}: {said}", wait)
        too_large = status == 413 or (status == 400 and "too long" in said)  # noqa: PLR2004
        trouble = Failure.TOO_LARGE if too_large else Failure.FATAL
        fix = FIXES.get(status, "the request was refused")
        return ScorerError(trouble, f"Anthropic answered {status}: {fix} ({said})")


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


def usage_of(raw: bytes, model: str, at: datetime, *, batch: bool = False) -> Usage | None:
    """What an answer cost; None when it does not say."""
    message = answer.envelope(raw)
    counted = message.get("usage")
    if answer.is_free_refusal(message):
        return Usage(model)
    if not isinstance(counted, dict):
        return None
    try:
        return prices.priced(model, at.date(), counted, batch=batch)
    except ValueError:
        return None


def _broken(cause: BaseException | None) -> ScorerError:
    import httpx2

    what = f"{type(cause).__name__}: {cause}" if cause else "no connection"
    if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
        return ScorerError(Failure.UNREACHABLE, f"Anthropic cannot be reached ({what})")
    return ScorerError(Failure.LOST, f"the connection to Anthropic broke ({what})")


def _retry_after(value: str, now: datetime) -> float | None:
    """Seconds, from a number or a date (RFC 9110, section 10.2.3)."""
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())


_: type[Scorer] = Claude
