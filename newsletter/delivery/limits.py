"""How fast requests go to the mail provider, over all processes and machines.

A group of mails is one request. What one process hears, a 429 or that little is left, all heed.

When a run of sending pauses, and when it ends before its time.

How fast a run may send, and when it must not: what readers say of the mail before.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from newsletter.domain.alerts import MAX_COMPLAINT_SHARE, stops_mail
from newsletter.domain.bounce_codes import FIRST, GONE_SHARE
from newsletter.mailers import Metered, Verdict
from newsletter.store import deliveries, events, rate_limits

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.domain.http_headers import RateLimitStatus
    from newsletter.mailers import SendError

NAME = "mail"
EVEN = 0.9
"""Of the limit. What is let go evenly arrives in heaps; the fullest second is to keep it, too."""


class MailRateLimiter:
    """One run's share in the common pace. `per_second` is None where the operator set none."""

    def __init__(self, mailer: object = None, per_second: float | None = None) -> None:
        self._mailer = mailer
        self._per_second = per_second and per_second * EVEN
        self._complaint = 0.0
        self._told: RateLimitStatus | None = None

    def rest_all(self, seconds: float) -> None:
        """The provider takes no more for so long: written down by the next `tell`."""
        self._complaint = max(self._complaint, seconds)

    def grant(self, tx: Connection, now: datetime, wanted: int) -> int:
        """How many of `wanted` requests may leave now."""
        self.tell(tx, now)
        return rate_limits.acquire(tx, NAME, now, self._per_second, wanted) if wanted else 0

    def tell(self, tx: Connection, now: datetime) -> None:
        """Let the others know what the provider said."""
        if self._complaint:
            rate_limits.pause(tx, NAME, now, self._complaint)
            self._complaint = 0.0
        self._heed(tx, now)

    def rest(self, tx: Connection, now: datetime) -> float:
        """Seconds until a request may leave, by the limit or a pause that any process caused."""
        return rate_limits.wait_time(tx, NAME, now, self._per_second)

    def _heed(self, tx: Connection, now: datetime) -> None:
        left = self._mailer.allowance if isinstance(self._mailer, Metered) else None
        if left is None or left == self._told:
            return
        # Good news needs writing only after bad news.
        if left.is_low or (self._told and self._told.is_low):
            rate_limits.apply_provider_limit(tx, NAME, now, left)
        self._told = left


FIRST_PAUSE = 2.0
SHORTEST_PAUSE = 1.0
LONGEST_PAUSE = 300.0


def failures_in_a_row() -> dict[Verdict, int]:
    """How many equal failures end a run: then it is not the single mail that is wrong."""
    return {
        Verdict.UNSENT: 10,
        Verdict.THROTTLED: 10,
        Verdict.UNKNOWN: 5,
        Verdict.REFUSED: 20,
    }


AT_LEAST = {Verdict.UNSENT: timedelta(seconds=60), Verdict.THROTTLED: timedelta(seconds=60)}
"""For how long such failures must go on before they end a run: a server may be starting anew."""


@dataclass(slots=True)
class _Streak:
    """Equal failures without a success between them."""

    verdict: Verdict
    since: datetime
    length: int = 0
    pauses: int = 0


@dataclass(slots=True)
class CircuitBreaker:
    """What the answers so far mean for the run as a whole; `halted` says why it must end."""

    bounds: dict[Verdict, int] = field(default_factory=failures_in_a_row)
    halted: str = ""
    _streak: _Streak | None = None
    _paused_until: datetime | None = None

    def taken(self) -> None:
        self._streak = None

    def failed(self, error: SendError, now: datetime) -> None:
        verdict = error.verdict
        if self._streak is None or self._streak.verdict is not verdict:
            self._streak = _Streak(verdict, now)
        streak = self._streak
        streak.length += 1
        if verdict is Verdict.HALT:
            self.halted = self.halted or str(error)
            return
        many = streak.length >= self.bounds[verdict]
        if many and now - streak.since >= AT_LEAST.get(verdict, timedelta()):
            self.halted = self.halted or f"stopped after {streak.length} in a row: {error}"
        elif verdict is Verdict.THROTTLED or (many and verdict is Verdict.UNSENT):
            self._pause(streak, now, error.retry_after)

    def pause_left(self, now: datetime) -> float:
        """Seconds that all hands still rest."""
        return max(0.0, (self._paused_until - now).total_seconds()) if self._paused_until else 0.0

    def _pause(self, streak: _Streak, now: datetime, asked: float | None) -> None:
        """As long as asked, within bounds; else longer each time; never all at one instant.

        What fails in a pause left before it, and does not make it longer by itself.
        """
        if not self.pause_left(now):
            streak.pauses += 1
        seconds = asked or FIRST_PAUSE * 2.0**streak.pauses
        seconds = min(max(seconds, SHORTEST_PAUSE), LONGEST_PAUSE)
        until = now + timedelta(seconds=seconds * (1 + random.random() / 10))  # noqa: S311 - jitter
        self._paused_until = max(until, self._paused_until or until)


MONTH = timedelta(days=30)
LOOK_EVERY = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class SendLimits:
    """How fast, and when not to go on."""

    threads: int = 8
    per_second: float | None = None
    lease: timedelta = timedelta(minutes=10)
    first_mails_slowly: bool = True
    in_a_row: dict[Verdict, int] = field(default_factory=failures_in_a_row)


def complaint_reason(tx: Connection, now: datetime) -> str:
    """Why nothing more should be sent for now; empty where readers are content."""
    complained, accepted = events.complaints(tx, now - MONTH)
    if not stops_mail(complained, accepted):
        return ""
    return (
        f"{complained} readers complained on {accepted} mails in 30 days, more than "
        f"{MAX_COMPLAINT_SHARE:.1%}: mailbox providers block such senders; find out why first"
    )


def too_many_hard_bounces(tx: Connection, digest_id: int) -> str:
    """Why a run ends: an old list ruins the sender's name. Empty where it may go on."""
    if not (gone := deliveries.hard_bounces(tx, digest_id)):
        return ""
    return (
        f"{gone} of the first {FIRST} mails went to addresses that do not exist, more than "
        f"{GONE_SHARE:.0%}: mailbox providers block such senders; find out how old the list is"
    )


@dataclass(slots=True)
class Watch:
    """Looks at the first mails of a digest while it is sent, every few seconds."""

    digest_id: int
    next_look: datetime | None = None

    def look(self, tx: Connection, now: datetime, *, at_once: bool = False) -> str:
        if self.next_look and now < self.next_look and not at_once:
            return ""
        self.next_look = now + LOOK_EVERY
        return too_many_hard_bounces(tx, self.digest_id)
