"""One run over the deliveries of a digest: what sending singly and in batches share.

A run begins with the rows that are pending, asks the limits before each request, counts, and ends
with a tally.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from newsletter import process
from newsletter.delivery.limits import (
    CircuitBreaker,
    MailRateLimiter,
    complaint_reason,
    too_many_hard_bounces,
)
from newsletter.domain.mail import DeliveryState
from newsletter.store import claims, deliveries, leases

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.delivery.limits import SendLimits
    from newsletter.mailers import BatchMailer, Mailer, SendError
    from newsletter.store import Store

MAX_WAIT = timedelta(minutes=5)
"""A retry that is due later is left to a later run."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Deliveries of a digest by state, after a run. Another process holds those in `sending`.

    `sent` counts the accepted mails that this run sent itself.
    """

    accepted: int = 0
    skipped: int = 0
    rejected: int = 0
    unknown: int = 0
    pending: int = 0
    sending: int = 0
    halted_reason: str = ""
    sent: int = field(default=0, compare=False)

    @property
    def total(self) -> int:
        settled = self.accepted + self.skipped + self.rejected + self.unknown
        return settled + self.pending + self.sending


@dataclass(slots=True)
class SendRun:
    """Limits and counters of one run. `remaining` of `total` rows still need a request."""

    store: Store
    digest_id: int
    clock: Callable[[], datetime]
    limits: SendLimits
    breaker: CircuitBreaker
    rate_limiter: MailRateLimiter
    total: int
    remaining: int
    sent: int = 0
    owner: str = field(default_factory=lambda: f"{process.process_id()}/{uuid4().hex}")

    @classmethod
    def begin(
        cls,
        store: Store,
        mailer: Mailer | BatchMailer,
        digest_id: int,
        clock: Callable[[], datetime],
        limits: SendLimits,
    ) -> Self:
        """Expire the leases of dead processes, resume the digest and count its rows."""
        with store.begin() as tx:
            now = clock()
            claims.expire_leases(tx, now, leases.dead_owner_test(tx, now))
            deliveries.resume(tx, digest_id)
            counts = deliveries.count(tx, digest_id)
            halt_reason = complaint_reason(tx, clock()) or too_many_hard_bounces(tx, digest_id)
        return cls(
            store=store,
            digest_id=digest_id,
            clock=clock,
            limits=limits,
            breaker=CircuitBreaker(limits.failure_limits, halt_reason),
            rate_limiter=MailRateLimiter(mailer, limits.per_second),
            total=sum(counts.values()),
            remaining=counts.get(DeliveryState.PENDING, 0),
        )

    @property
    def done(self) -> int:
        return self.total - self.remaining

    def settle(self, rows: int) -> None:
        """Count rows that need no further request."""
        self.remaining = max(0, self.remaining - rows)

    def record_failure(self, error: SendError, now: datetime) -> None:
        """Count a failure; if it pauses this run, pause all processes with the next commit."""
        self.breaker.record_failure(error, now)
        self.rate_limiter.pause_all(self.breaker.pause_left(now))

    def next_attempt_in(self, tx: Connection, now: datetime) -> float | None:
        """Seconds until a pending row may be tried; None when this run must not wait for any.

        A row that is due and unclaimed waits for the rate limit, or another process holds it.
        """
        due = claims.next_attempt_at(tx, self.digest_id, now)
        if due is None or due > now + MAX_WAIT:
            return None
        return (due - now).total_seconds()

    def tally(self) -> Tally:
        """Count the rows by state. If rows are pending, store why the run was halted."""
        with self.store.begin() as tx:
            counts = deliveries.count(tx, self.digest_id)
            halted = self.breaker.halted if counts.get(DeliveryState.PENDING) else ""
            if halted:
                deliveries.halt(tx, self.digest_id, halted)
        states = {state.value: number for state, number in counts.items()}
        return Tally(**states, halted_reason=halted, sent=self.sent)
