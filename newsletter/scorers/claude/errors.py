"""Map errors of the Messages API to ScorerError, with the fix for the operator (pure).

The status decides and, where given, the error code. The message text decides only where one status
has several causes: platform.claude.com/docs/en/api/errors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from newsletter.domain.http_headers import retry_after
from newsletter.domain.sanitize import strip_invisible
from newsletter.scorers import CallFailure, ScorerError

if TYPE_CHECKING:
    from datetime import datetime

MALFORMED, NO_CREDIT, NOT_FOUND, TOO_LARGE, TOO_MANY, SERVER_FAULTS = 400, 402, 404, 413, 429, 500
BUSY = {408, 409, TOO_MANY}
FIXES = {
    MALFORMED: "the request was refused as malformed",
    401: "the key was refused; set ANTHROPIC_API_KEY to a valid key",
    NO_CREDIT: "no credit; add some in the console or raise the limit that is reached, "
    "then run again",
    403: "the key may not do this; use one with access to the Messages API in ANTHROPIC_API_KEY",
    TOO_LARGE: "the request is too large",
}
SPEND_LIMIT_CODE = "enforced_spend_limit_reached"
OUT_OF_CREDIT = re.compile(
    r"credit balance|usage (limit|cap)|\bspend|monthly (limit|cap)|billing|regain access",
    re.IGNORECASE,
)
TOO_BIG = re.compile(r"too (long|large|complex)", re.IGNORECASE)
"""Of a prompt, a compiled grammar or a schema; a call with fewer papers has smaller ones."""
MAX_MESSAGE = 200


class RequestTarget(StrEnum):
    """What the request was about; a 404 says that this does not exist."""

    MODEL = "the model or address is unknown there; check NEWSLETTER_MODEL and ANTHROPIC_BASE_URL"
    LAST_RESORT = "last_resort in prices.toml names a model that is not there"
    BATCH = (
        "the batch is unknown there: it was deleted, or created by a key of another workspace; "
        "check ANTHROPIC_API_KEY and ANTHROPIC_BASE_URL"
    )


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """A response with an error status. `from_api`: its body is an error object of the API."""

    status: int
    said: str
    request_id: str = ""
    code: str = ""
    retry_after: str = ""
    from_api: bool = False

    @property
    def is_out_of_credit(self) -> bool:
        """Whether the balance or the account's limit (400) or the tier's cap (429) is used up."""
        if self.status == NO_CREDIT or self.code == SPEND_LIMIT_CODE:
            return True
        without_wait = self.status == MALFORMED or (
            self.status == TOO_MANY and not self.retry_after
        )
        return without_wait and bool(OUT_OF_CREDIT.search(self.said))


def to_scorer_error(refused: ErrorResponse, about: RequestTarget, at: datetime) -> ScorerError:
    status = refused.status
    words = _vendor_message(refused)
    if refused.is_out_of_credit:
        reason = f"Anthropic answered {status}: {FIXES[NO_CREDIT]} ({words})"
        return ScorerError(CallFailure.FATAL, reason)
    if status in BUSY or status >= SERVER_FAULTS:
        wait = retry_after(refused.retry_after, at)
        reason = f"Anthropic answered {status}: {words}"
        return ScorerError(CallFailure.BUSY, reason, wait, throttled=status == TOO_MANY)
    fix = about if status == NOT_FOUND else FIXES.get(status, "the request was refused")
    return ScorerError(_failure(refused, about), f"Anthropic answered {status}: {fix} ({words})")


def _failure(refused: ErrorResponse, about: RequestTarget) -> CallFailure:
    if refused.status == TOO_LARGE or _is_too_big(refused):
        return CallFailure.TOO_LARGE
    # A wrong base URL may answer 404 to everything.
    if refused.status == NOT_FOUND and refused.from_api:
        return CallFailure.GONE
    # The last-resort model may reject a request that other models accept; not fatal.
    if refused.status == MALFORMED and about is RequestTarget.LAST_RESORT:
        return CallFailure.GONE
    return CallFailure.FATAL


def _is_too_big(refused: ErrorResponse) -> bool:
    return refused.status == MALFORMED and bool(TOO_BIG.search(refused.said))


def _vendor_message(refused: ErrorResponse) -> str:
    """The API's message, truncated, with the request id for the vendor's support."""
    said = strip_invisible(refused.said)[:MAX_MESSAGE] or "no words"
    return f"{said}; request {strip_invisible(refused.request_id)}" if refused.request_id else said
