"""Requests for many readers of which nobody knows whether they were taken: decided, once for all.

One that waits for its readers' hour is withdrawn: that is right whether it was taken, is under way
or never left. Any other is in doubt until an event of one of its mails, or the operator, tells.

A large audience in few requests: claim a group, send it, record what is known of it.

One request is for up to a thousand readers of one rendering. What it came to is decided for all
of them at once; the states are drawn in `store/mail_batches.py`. Where the readers' hour is far
enough,
the request is a scheduled one with a batch of its own: after an answer that was lost it is
withdrawn and sent anew, so that nobody has to wonder whether it had been taken.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from newsletter import process
from newsletter.delivery.limits import (
    CircuitBreaker,
    MailRateLimiter,
    complaint_reason,
    failures_in_a_row,
    too_many_hard_bounces,
)
from newsletter.delivery.sender import LONGEST_REST, SendLimits, Tally
from newsletter.domain.mail import DeliveryState
from newsletter.mailers import BatchMailer, RefusedReadersError, SendError, Verdict, name_of
from newsletter.store import Store, claims, deliveries, mail_batches
from newsletter.store.mail_batches import (
    LostBatch,
    MailBatch,
    MailBatchState,
    RenderingKey,
    SendHour,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from newsletter.domain.mail import BatchEmail
    from newsletter.domain.progress import Progress
    from newsletter.mailers import BatchMailer
    from newsletter.store import Store

log = logging.getLogger(__name__)

FENCE = timedelta(minutes=10)
"""SendGrid withdraws a batch not later than this before its time."""
SLACK = timedelta(seconds=10)
LAPSE = timedelta(minutes=10)
"""So long after its time no request can still be under way for a batch that was withdrawn."""


def recover_lost(store: Store, mailer: BatchMailer, clock: Callable[[], datetime]) -> int:
    """Decide on the groups whose processes are gone. How many there were. Safe to repeat."""
    with store.read() as tx:
        found = mail_batches.lost_batches(tx, clock(), process.is_dead)
        over = mail_batches.expired_cancelled(tx, clock() - LAPSE)
    for batch_id in over:
        with suppress(SendError):
            mailer.let_go(batch_id)
            with store.begin() as tx:
                mail_batches.release_batch(tx, batch_id)
    for one in found:
        recover(store, mailer, one, clock, mail_batches.LOST)
    return len(found)


def recover(
    store: Store, mailer: BatchMailer, one: LostBatch, clock: Callable[[], datetime], reason: str
) -> MailBatchState:
    """Withdraw a group of which nobody knows whether it was taken; else it is in doubt.

    It stays `started` where the provider cannot be asked and there is time to ask again.
    """
    if one.batch_id and one.send_at and one.send_at - clock() > FENCE + SLACK:
        try:
            withdrawn = mailer.withdraw(one.batch_id)
        except SendError as error:
            log.warning("a batch is not withdrawn yet: %s", error)
            return MailBatchState.STARTED
        if withdrawn:
            with store.begin() as tx:
                mail_batches.release(
                    tx, one.id, MailBatchState.CANCELLED, f"withdrawn: {reason}", clock()
                )
            return MailBatchState.CANCELLED
    with store.begin() as tx:
        mail_batches.mark_unknown(tx, one.id, reason, clock())
    return MailBatchState.UNKNOWN


AHEAD = timedelta(minutes=20)
"""So long before the readers' hour a group is handed over: long enough to withdraw what is in doubt
at a wake-up every five minutes, and not longer, for who leaves after that is mailed all the same.
"""
LEASE = timedelta(minutes=2)
"""Longer than a request may take, and short enough to withdraw what a dead machine has begun."""
STALE = timedelta(seconds=60)
"""Whoever was asleep so long since the claim sends nothing any more."""
LEAST_LEAD = FENCE + timedelta(minutes=1)
"""With less a mail is scheduled, and can't be withdrawn."""
NO_ROOM = 1.0
MOST_HOURS = 200
"""Hours of other names in one statement."""
FIRST_BACKOFF = 2.0


@dataclass(slots=True)
class _Work:
    """One run over one digest's rows: one request at a time."""

    store: Store
    mailer: BatchMailer
    digest_id: int
    compose: Callable[[MailBatch], BatchEmail]
    due: Callable[[SendHour], datetime | None]
    clock: Callable[[], datetime]
    limits: SendLimits
    pace: MailRateLimiter
    patience: CircuitBreaker
    owner: str = field(default_factory=lambda: f"{process.process_id()}/{uuid4().hex}")
    hours: dict[SendHour, datetime | None] = field(default_factory=dict)
    sent: int = 0
    done: int = 0

    def step(self) -> float | None:
        """One request. Seconds to rest before the next; None when nothing is left for this run."""
        now = self.clock()
        with self.store.read() as tx:
            first = mail_batches.next_rendering_key(tx, self.digest_id, now)
            pause = self.pace.rest(tx, now)
        if pause := max(pause, self.patience.pause_left(now)):
            return pause
        if first is None:
            return self._idle(now)
        alike, send_at = self._of_one_instant(first, now)
        try:
            batch_id = self.mailer.new_batch() if send_at and send_at - now >= LEAST_LEAD else ""
        except SendError as error:
            self.patience.failed(error, now)
            self.pace.rest_all(self.patience.pause_left(now))
            with self.store.begin() as tx:
                self.pace.tell(tx, now)
            return FIRST_BACKOFF
        group, wait = self._claim(alike, batch_id, send_at)
        if group:
            self._send(group)
        return wait

    def _idle(self, now: datetime) -> float | None:
        """Nobody can be mailed now; perhaps somebody soon."""
        with self.store.read() as tx:
            later = claims.next_attempt_at(tx, self.digest_id, now)
        if later is None or later > now + LONGEST_REST:
            return None
        # What is due but was not found is in another process's hands.
        return max((later - now).total_seconds(), NO_ROOM)

    def _of_one_instant(
        self, first: RenderingKey, now: datetime
    ) -> tuple[RenderingKey, datetime | None]:
        """Whoever can be mailed with the first reader, and when; None is now."""
        [hour] = first.hours
        if hour not in self.hours:
            with self.store.read() as tx:
                known = mail_batches.pending_hours(tx, self.digest_id)[:MOST_HOURS]
            self.hours = {one: self.due(one) for one in {*known, hour}}

        def instant(one: SendHour) -> datetime | None:
            at = self.hours[one]
            return at if at and at > now else None

        send_at = instant(hour)
        alike = tuple(one for one in self.hours if instant(one) == send_at)
        return first._replace(hours=alike), send_at

    def _claim(
        self, alike: RenderingKey, batch_id: str, send_at: datetime | None
    ) -> tuple[MailBatch | None, float]:
        with self.store.begin() as tx:
            now = self.clock()
            if reason := too_many_hard_bounces(tx, self.digest_id):
                self.patience.halted = reason
                return None, 0.0
            if not mail_batches.has_room(tx, fenced=bool(batch_id)):
                return None, NO_ROOM
            if not self.pace.grant(tx, now, 1):
                return None, min(NO_ROOM, 1 / (self.limits.per_second or 1.0))
            group, skipped = mail_batches.begin(
                tx,
                uuid4().hex,
                self.digest_id,
                alike,
                self.owner,
                now=now,
                until=now + LEASE,
                most=self.mailer.most,
                batch_id=batch_id,
                send_at=send_at,
                mailer=name_of(self.mailer),
            )
        self.done += skipped
        return group, 0.0

    def _send(self, group: MailBatch) -> None:
        """Raises what is a fault of the program; then the group is free again, or in doubt."""
        left = False
        try:
            mail = self._fitted(group, self.compose(group))
            if mail is None:
                return
            left = True
            provider_id = self.mailer.send_group(mail)
        except SendError as error:
            self._failed(group, error)
            return
        finally:
            if not left:
                self._end(group, "not composed, or too late to be sent")
        with self.store.begin() as tx:
            taken = mail_batches.accept(
                tx,
                group.id,
                self.clock(),
                provider_id=provider_id,
                content_hash=mail.content_hash,
            )
        self.patience.taken()
        self.sent += len(mail.readers) if taken else 0
        self.done += len(mail.readers)

    def _fitted(self, group: MailBatch, mail: BatchEmail) -> BatchEmail | None:
        """As many of its readers as one request takes; None where it must not leave any more."""
        fitting = self.mailer.fitting(mail)
        if not fitting:
            message = "a reader's links are longer than the provider takes in a group"
            self.patience.failed(SendError(Verdict.HALT, message), self.clock())
            return None
        if surplus := [one.delivery_id for one in mail.readers[fitting:]]:
            with self.store.begin() as tx:
                mail_batches.remove_deliveries(
                    tx, group.id, surplus, DeliveryState.PENDING, "", self.clock()
                )
        # Whoever slept here may have been taken for dead, and its group for lost.
        awake = self.clock() - (group.until - LEASE) < STALE
        return replace(mail, readers=mail.readers[:fitting]) if awake else None

    def _failed(self, group: MailBatch, error: SendError) -> None:
        """What an answer other than "taken" means for the group, and for the run."""
        now = self.clock()
        if error.verdict is Verdict.UNKNOWN:
            lost = LostBatch(group.id, group.batch_id, group.send_at)
            state = recover(self.store, self.mailer, lost, self.clock, str(error))
            if state is MailBatchState.CANCELLED:
                error = SendError(Verdict.UNSENT, f"withdrawn: {error}")
            self.patience.failed(error, now)
            return
        self.patience.failed(error, now)
        self.pace.rest_all(self.patience.pause_left(now))
        if isinstance(error, RefusedReadersError):
            refused = [
                one.id for place, one in enumerate(group.deliveries) if place in error.places
            ]
            with self.store.begin() as tx:
                mail_batches.remove_deliveries(
                    tx, group.id, refused, DeliveryState.REJECTED, str(error), now
                )
        wait = FIRST_BACKOFF if error.verdict is Verdict.UNSENT else 0.0
        self._end(group, str(error), wait)

    def _end(self, group: MailBatch, reason: str, wait: float = 0.0) -> None:
        now = self.clock()
        later = now + timedelta(seconds=wait) if wait else None
        with self.store.begin() as tx:
            self.pace.tell(tx, now)
            mail_batches.release(tx, group.id, MailBatchState.UNSENT, reason, now, not_before=later)


def deliver_batches(
    store: Store,
    mailer: BatchMailer,
    digest_id: int,
    compose: Callable[[MailBatch], BatchEmail],
    *,
    due: Callable[[SendHour], datetime | None],
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
    progress: Progress = lambda _done, _total: None,
    limits: SendLimits | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Tally:
    """Send what a frozen audience is still owed, as `deliver` does, in groups.

    Whose hour is `due` later than now gets a scheduled mail; None is now. Safe to repeat, and to
    run in several processes. Raises StoreError when the database fails.
    """
    limits = limits or SendLimits()
    recover_lost(store, mailer, clock)
    with store.begin() as tx:
        obstacle = complaint_reason(tx, clock()) or too_many_hard_bounces(tx, digest_id)
        deliveries.resume(tx, digest_id)
        counts = deliveries.count(tx, digest_id)
    total = sum(counts.values())
    before = total - counts.get(DeliveryState.PENDING, 0)
    patience = CircuitBreaker({**failures_in_a_row(), Verdict.UNKNOWN: 3}, obstacle)
    pace = MailRateLimiter(mailer, limits.per_second)
    work = _Work(store, mailer, digest_id, compose, due, clock, limits, pace, patience)
    while not (patience.halted or stop()):
        rest = work.step()
        progress(min(before + work.done, total), total)
        if rest is None:
            break
        if rest:
            sleep(rest)
            recover_lost(store, mailer, clock)
    return _tally(work)


def _tally(work: _Work) -> Tally:
    with work.store.begin() as tx:
        counts = deliveries.count(tx, work.digest_id)
        if halted := work.patience.halted if counts.get(DeliveryState.PENDING) else "":
            deliveries.halt(tx, work.digest_id, halted)
    states = {state.value: number for state, number in counts.items()}
    return Tally(**states, halted_reason=halted, sent=work.sent)
