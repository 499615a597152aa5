"""What an error of the Messages API proves, and what to do about it (pure).

By status and, where the vendor gives one, by the error's code. The words decide only where one
status stands for several causes: platform.claude.com/docs/en/api/errors.
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
CAPPED = "enforced_spend_limit_reached"
SPENT = re.compile(
    r"credit balance|usage (limit|cap)|\bspend|monthly (limit|cap)|billing|regain access",
    re.IGNORECASE,
)
TOO_BIG = re.compile(r"too (long|large|complex)", re.IGNORECASE)
"""A prompt, a compiled grammar or a schema; fewer papers make each of them smaller."""
MOST_WORDS = 200


class About(StrEnum):
    """What was asked for; a 404 says that this is not there."""

    MODEL = "the model or address is unknown there; check NEWSLETTER_MODEL and ANTHROPIC_BASE_URL"
    LAST_RESORT = "last_resort in prices.toml names a model that is not there"
    BATCH = (
        "the batch is unknown there: it was deleted, or created by a key of another workspace; "
        "check ANTHROPIC_API_KEY and ANTHROPIC_BASE_URL"
    )


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer with an error status. `from_api`: its body is one of the vendor's errors."""

    status: int
    said: str
    request_id: str = ""
    code: str = ""
    retry_after: str = ""
    from_api: bool = False

    @property
    def is_poor(self) -> bool:
        """No money: the balance or a limit of the account's own (400), or the tier's cap (429)."""
        if self.status == NO_CREDIT or self.code == CAPPED:
            return True
        without_wait = self.status == MALFORMED or (
            self.status == TOO_MANY and not self.retry_after
        )
        return without_wait and bool(SPENT.search(self.said))


def proves(refused: Refused, about: About, at: datetime) -> ScorerError:
    status = refused.status
    words = _words(refused)
    if refused.is_poor:
        reason = f"Anthropic answered {status}: {FIXES[NO_CREDIT]} ({words})"
        return ScorerError(CallFailure.FATAL, reason)
    if status in BUSY or status >= SERVER_FAULTS:
        wait = retry_after(refused.retry_after, at)
        reason = f"Anthropic answered {status}: {words}"
        return ScorerError(CallFailure.BUSY, reason, wait, throttled=status == TOO_MANY)
    fix = about if status == NOT_FOUND else FIXES.get(status, "the request was refused")
    return ScorerError(_failure(refused, about), f"Anthropic answered {status}: {fix} ({words})")


def _failure(refused: Refused, about: About) -> CallFailure:
    if refused.status == TOO_LARGE or _is_too_big(refused):
        return CallFailure.TOO_LARGE
    # The address of something else than the vendor may say 404 to everything.
    if refused.status == NOT_FOUND and refused.from_api:
        return CallFailure.GONE
    # What another model takes the last resort may not take: that is no fault of the account.
    if refused.status == MALFORMED and about is About.LAST_RESORT:
        return CallFailure.GONE
    return CallFailure.FATAL


def _is_too_big(refused: Refused) -> bool:
    return refused.status == MALFORMED and bool(TOO_BIG.search(refused.said))


def _words(refused: Refused) -> str:
    """The vendor's own, cut, with the id by which its support finds the request."""
    said = strip_invisible(refused.said)[:MOST_WORDS] or "no words"
    return f"{said}; request {strip_invisible(refused.request_id)}" if refused.request_id else said
