"""What a provider says is left of its limits, in the headers of its answers (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LITTLE = 0.2
"""Below this share of its limit we go no faster than what is left lasts."""


@dataclass(frozen=True, slots=True)
class RateLimitStatus:
    """So many units are left of `limit` until `reset` (Unix time)."""

    limit: float
    remaining: float
    reset: float

    @property
    def is_low(self) -> bool:
        return self.remaining < LITTLE * self.limit


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
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
