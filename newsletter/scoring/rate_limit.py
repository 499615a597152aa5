"""Rate limits of model calls, shared by all processes and machines.

Calls of free scorers (`tokens` is 0) are not limited. The Batch API has limits of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from newsletter.store import rate_limits
from newsletter.store.rate_limits import TokenCost

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.scorers import CallResponse, ScorerError, ScoringCall

MINUTE = 60.0
NAMES = {"requests": "scoring requests", "tokens": "scoring tokens"}
PAUSE = 1.0
"""Seconds after a 429 without Retry-After; further ones back off in the executor."""


class RateLimited(Exception):
    """The limits allow no call for `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not for {seconds:.1f} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class ScoringRateLimiter:
    """Token buckets with the operator's limits; None: no limit set."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_backoff: float = 60.0

    def acquire(self, tx: Connection, call: ScoringCall, now: datetime) -> None:
        """Take tokens for a call. Raises RateLimited, and then writes nothing."""
        if call.tokens and (wait := rate_limits.acquire_all(tx, self._costs(call), now)):
            raise RateLimited(wait)

    def record_answer(
        self, tx: Connection, call: ScoringCall, answer: CallResponse, now: datetime
    ) -> None:
        """Correct the estimate by the actual usage and apply the provider's remaining limits.

        Prompt tokens read from a cache do not count.
        """
        if call.tokens and answer.usage:
            used = answer.usage.input_tokens + answer.usage.cache_write_tokens
            rate_limits.reconcile(tx, self._costs(call)[1], used)
        for name, left in answer.rate_limits.items():
            rate_limits.apply_provider_limit(tx, NAMES[name], now, left)

    def record_failure(
        self, tx: Connection, call: ScoringCall, error: ScorerError, now: datetime
    ) -> None:
        if call.tokens:
            rate_limits.reconcile(tx, self._costs(call)[1], 0)
        if error.throttled:
            seconds = min(error.retry_after or PAUSE, self.max_backoff)
            rate_limits.pause(tx, NAMES["requests"], now, seconds)

    def _costs(self, call: ScoringCall) -> tuple[TokenCost, TokenCost]:
        return (
            TokenCost(NAMES["requests"], _per_second(self.requests_per_minute)),
            TokenCost(NAMES["tokens"], _per_second(self.tokens_per_minute), call.tokens),
        )


def _per_second(per_minute: int | None) -> float | None:
    return per_minute / MINUTE if per_minute else None
