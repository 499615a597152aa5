"""Parse Retry-After, HTTP dates and rate-limit headers of responses (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import inf, isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")
LOW_SHARE = 0.2
"""Below this share of the limit, what remains is spread over the time until the reset."""


@dataclass(frozen=True, slots=True)
class RateLimitStatus:
    """`remaining` units of `limit` are left until `reset` (Unix time)."""

    limit: float
    remaining: float
    reset: float

    @property
    def is_low(self) -> bool:
        return self.remaining < LOW_SHARE * self.limit


def read_rate_limit(
    headers: Mapping[str, str], limit: str, remaining: str, reset: str
) -> RateLimitStatus | None:
    """By the names of three headers; None unless all are there and make sense.

    A reset is a Unix time or an RFC 3339 moment.
    """
    try:
        numbers = float(headers[limit]), float(headers[remaining])
        left = RateLimitStatus(*numbers, _moment(headers[reset]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    possible = 0 <= left.remaining <= left.limit < inf and 0 < left.reset < inf
    return left if possible else None


def _moment(said: str) -> float:
    if said.strip().isdigit():
        return float(said)
    found = datetime.fromisoformat(said.strip())
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def http_date(text: str | None) -> datetime | None:
    """The moment in a Date header (RFC 9110, 6.6.1), or None for none and nonsense."""
    try:
        found = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait by Retry-After (RFC 9110, 10.2.3: a number or a date).

    None where the header is missing or unusable. Callers limit the wait.
    """
    text = (value or "").strip()
    if SECONDS.fullmatch(text):
        seconds = float(text)
        return seconds if isfinite(seconds) else None
    moment = http_date(text)
    return None if moment is None else max(0.0, (moment - now).total_seconds())


def reset_after(value: str | None, now: datetime) -> float | None:
    """Seconds until the moment in a rate-limit reset header; None if it is unusable or past."""
    try:
        seconds = _moment(value or "") - now.timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < inf else None
