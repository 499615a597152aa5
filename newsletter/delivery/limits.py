"""Limits of sending: rate limit, circuit breaker, complaints and hard bounces.

The rate limit is shared by all processes and machines: when one gets a 429 or is told that little
of the allowance is left, all slow down. A batch of mails is one request. The circuit breaker
pauses or ends a run after failures. Complaints and hard bounces stop sending.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from statistics import median
from typing import TYPE_CHECKING

from newsletter.domain.alerts import MAX_COMPLAINT_SHARE, stops_mail
from newsletter.domain.bounce_codes import FIRST, GONE_SHARE
from newsletter.mailers import Metered, SendFailure
from newsletter.store import deliveries, events, rate_limits

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.domain.http_headers import RateLimitStatus
    from newsletter.mailers import SendError

BUCKET = "mail"
SAFETY_FACTOR = 0.9
"""Share of the limit that is used: requests sent evenly arrive in bursts, and the busiest second
must keep the limit, too."""


class MailRateLimiter:
    """One run's access to the shared rate limit. `per_second` is None if the operator set none."""

    def __init__(self, mailer: object = None, per_second: float | None = None) -> None:
        self._mailer = mailer
        self._per_second = per_second and per_second * SAFETY_FACTOR
        self._pause_seconds = 0.0
        self._last_limit: RateLimitStatus | None = None

    def pause_all(self, seconds: float) -> None:
        """Pause all processes for so long; stored by the next `publish`."""
        self._pause_seconds = max(self._pause_seconds, seconds)

    def acquire(self, tx: Connection, now: datetime, wanted: int) -> int:
        """How many of `wanted` requests may leave now."""
        self.publish(tx, now)
        return rate_limits.acquire(tx, BUCKET, now, self._per_second, wanted) if wanted else 0

    def publish(self, tx: Connection, now: datetime) -> None:
        """Store the provider's limits for the other processes."""
        if self._pause_seconds:
            rate_limits.pause(tx, BUCKET, now, self._pause_seconds)
            self._pause_seconds = 0.0
        self._apply_provider_limit(tx, now)

    def wait_time(self, tx: Connection, now: datetime) -> float:
        """Seconds until a request may leave, by the limit or a pause that any process caused."""
        return rate_limits.wait_time(tx, BUCKET, now, self._per_second)

    def _apply_provider_limit(self, tx: Connection, now: datetime) -> None:
        left = self._mailer.allowance if isinstance(self._mailer, Metered) else None
        if left is None or left == self._last_limit:
            return
        # A sufficient allowance is stored only after a low one.
        if left.is_low or (self._last_limit and self._last_limit.is_low):
            rate_limits.apply_provider_limit(tx, BUCKET, now, left)
        self._last_limit = left


FIRST_PAUSE = 2.0
MIN_PAUSE = 1.0
MAX_PAUSE = 300.0


def default_failure_limits() -> dict[SendFailure, int]:
    """How many equal failures in a row end a run: the fault is then not with a single mail."""
    return {
        SendFailure.UNSENT: 10,
        SendFailure.THROTTLED: 10,
        SendFailure.UNKNOWN: 5,
        SendFailure.REFUSED: 20,
    }


MIN_DURATION = {
    SendFailure.UNSENT: timedelta(seconds=60),
    SendFailure.THROTTLED: timedelta(seconds=60),
}
"""How long such failures must last before they end a run: a server may be restarting."""


@dataclass(slots=True)
class _Streak:
    """Equal failures in a row."""

    failure: SendFailure
    since: datetime
    length: int = 0
    pauses: int = 0


@dataclass(slots=True)
class CircuitBreaker:
    """Pauses or ends a run after failures. `halted` is the reason for ending, or empty."""

    failure_limits: dict[SendFailure, int] = field(default_factory=default_failure_limits)
    halted: str = ""
    _streak: _Streak | None = None
    _paused_until: datetime | None = None

    def record_success(self) -> None:
        self._streak = None

    def record_failure(self, error: SendError, now: datetime) -> None:
        failure = error.failure
        if self._streak is None or self._streak.failure is not failure:
            self._streak = _Streak(failure, now)
        streak = self._streak
        streak.length += 1
        if failure is SendFailure.HALT:
            self.halted = self.halted or str(error)
            return
        many = streak.length >= self.failure_limits[failure]
        if many and now - streak.since >= MIN_DURATION.get(failure, timedelta()):
            self.halted = self.halted or f"stopped after {streak.length} in a row: {error}"
        elif failure is SendFailure.THROTTLED or (many and failure is SendFailure.UNSENT):
            self._pause(streak, now, error.retry_after)

    def pause_left(self, now: datetime) -> float:
        """Seconds left of the current pause."""
        return max(0.0, (self._paused_until - now).total_seconds()) if self._paused_until else 0.0

    def _pause(self, streak: _Streak, now: datetime, asked: float | None) -> None:
        """Pause for Retry-After within bounds, else with exponential back-off; add jitter.

        A failure during a pause comes from a request sent before it and does not extend it.
        """
        if not self.pause_left(now):
            streak.pauses += 1
        seconds = asked or FIRST_PAUSE * 2.0**streak.pauses
        seconds = min(max(seconds, MIN_PAUSE), MAX_PAUSE)
        until = now + timedelta(seconds=seconds * (1 + random.random() / 10))  # noqa: S311 - jitter
        self._paused_until = max(until, self._paused_until or until)


MONTH = timedelta(days=30)
CHECK_INTERVAL = timedelta(seconds=5)


TARGET_PER_SECOND = 200.0
"""Mails per second that a run aims at if no limit is set: as 8 at once where each takes 40 ms."""
RECENT_MAILS = 32


@dataclass(frozen=True, slots=True)
class SendLimits:
    """Limits of one run.

    It sends `threads` mails at once, and up to `max_threads` if the provider answers slowly.
    """

    threads: int = 8
    max_threads: int = 0
    per_second: float | None = None
    lease: timedelta = timedelta(minutes=10)
    first_mails_slowly: bool = True
    failure_limits: dict[SendFailure, int] = field(default_factory=default_failure_limits)


@dataclass(slots=True)
class Concurrency:
    """How many mails to send at once: the target rate times the seconds that a mail takes.

    Starts with `threads`, and again after each failure that may be the provider's.
    """

    limits: SendLimits
    _seconds: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT_MAILS))

    @property
    def most(self) -> int:
        return max(self.limits.threads, self.limits.max_threads)

    def record_success(self, seconds: float) -> None:
        self._seconds.append(seconds)

    def record_failure(self) -> None:
        self._seconds.clear()

    def now(self) -> int:
        threads = self.limits.threads
        if len(self._seconds) < threads:
            return threads
        rate = min(self.limits.per_second or TARGET_PER_SECOND, TARGET_PER_SECOND)
        return min(max(threads, ceil(rate * median(self._seconds))), self.most)


def complaint_reason(tx: Connection, now: datetime) -> str:
    """Why nothing may be sent for now; empty when complaints are below the limit."""
    complained, accepted = events.complaints(tx, now - MONTH)
    if not stops_mail(complained, accepted):
        return ""
    return (
        f"{complained} readers complained on {accepted} mails in 30 days, more than "
        f"{MAX_COMPLAINT_SHARE:.1%}: mailbox providers block such senders; find out why first"
    )


def too_many_hard_bounces(tx: Connection, digest_id: int) -> str:
    """Why a run must end: too many addresses do not exist. Empty if it may go on."""
    if not (gone := deliveries.hard_bounces(tx, digest_id)):
        return ""
    return (
        f"{gone} of the first {FIRST} mails went to addresses that do not exist, more than "
        f"{GONE_SHARE:.0%}: mailbox providers block such senders; find out how old the list is"
    )


@dataclass(slots=True)
class HardBounceGuard:
    """Checks the hard bounces of a digest's first mails every few seconds while it is sent."""

    digest_id: int
    next_check: datetime | None = None

    def check(self, tx: Connection, now: datetime, *, at_once: bool = False) -> str:
        if self.next_check and now < self.next_check and not at_once:
            return ""
        self.next_check = now + CHECK_INTERVAL
        return too_many_hard_bounces(tx, self.digest_id)
