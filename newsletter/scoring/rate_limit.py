"""How fast calls go to the model's provider, over all processes and machines.

Calls that cost nothing (`tokens` is 0) are made here and pass freely; batches have limits of
their own.
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
"""After a 429 that names no time; whoever meets the next one waits longer by itself."""


class RateLimited(Exception):
    """The limits allow no call for so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not for {seconds:.1f} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class ScoringRateLimiter:
    """The limits that the operator set; None where none is set."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    longest_pause: float = 60.0

    def take(self, tx: Connection, call: ScoringCall, now: datetime) -> None:
        """Raises RateLimited: then nothing was written."""
        if call.tokens and (wait := rate_limits.acquire_all(tx, self._costs(call), now)):
            raise RateLimited(wait)

    def answered(
        self, tx: Connection, call: ScoringCall, answer: CallResponse, now: datetime
    ) -> None:
        """Put the guess right, and heed what is left. Prompt tokens read from a cache are free."""
        if call.tokens and answer.usage:
            used = answer.usage.input_tokens + answer.usage.cache_write_tokens
            rate_limits.reconcile(tx, self._costs(call)[1], used)
        for name, left in answer.left.items():
            rate_limits.apply_provider_limit(tx, NAMES[name], now, left)

    def failed(self, tx: Connection, call: ScoringCall, error: ScorerError, now: datetime) -> None:
        if call.tokens:
            rate_limits.reconcile(tx, self._costs(call)[1], 0)
        if error.throttled:
            seconds = min(error.retry_after or PAUSE, self.longest_pause)
            rate_limits.pause(tx, NAMES["requests"], now, seconds)

    def _costs(self, call: ScoringCall) -> tuple[TokenCost, TokenCost]:
        return (
            TokenCost(NAMES["requests"], _per_second(self.requests_per_minute)),
            TokenCost(NAMES["tokens"], _per_second(self.tokens_per_minute), call.tokens),
        )


def _per_second(per_minute: int | None) -> float | None:
    return per_minute / MINUTE if per_minute else None
