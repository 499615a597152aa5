"""Send mail in batches: one request for up to a thousand readers of one rendering.

Claim a batch, send it, record its outcome for all its readers at once. The states are drawn in
`store/mail_batches.py`. Each request is scheduled under a provider batch id: at the readers' send
time, or twelve minutes ahead if that is sooner. If its response is lost, the batch is cancelled and
sent again: that is right whether the request was accepted, is under way or never left. Where there
is no time left to cancel, it stays `unknown` until an event of one of its mails, or the operator,
resolves it.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from newsletter.delivery.limits import SendLimits, too_many_hard_bounces
from newsletter.delivery.send_run import SendRun
from newsletter.domain.mail import DeliveryState
from newsletter.mailers import RejectedReadersError, SendError, SendFailure, name_of
from newsletter.store import claims, leases, mail_batches
from newsletter.store.mail_batches import (
    LostBatch,
    MailBatch,
    MailBatchState,
    RenderingKey,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from newsletter.delivery.send_run import Tally
    from newsletter.domain.mail import BatchEmail
    from newsletter.domain.progress import Progress
    from newsletter.domain.segments import DeliverySchedule
    from newsletter.mailers import BatchMailer
    from newsletter.store import Store

log = logging.getLogger(__name__)

CANCEL_DEADLINE = timedelta(minutes=10)
"""SendGrid cancels a batch no later than this before its send time."""
CLOCK_MARGIN = timedelta(seconds=10)
RELEASE_AFTER = timedelta(minutes=10)
"""So long after its send time no request can still be under way for a cancelled batch."""


def recover_lost(store: Store, mailer: BatchMailer, clock: Callable[[], datetime]) -> int:
    """Recover the batches of dead processes; return how many there were. Idempotent."""
    with store.read() as tx:
        now = clock()
        found = mail_batches.lost_batches(tx, now, leases.dead_owner_test(tx, now))
        over = mail_batches.expired_cancelled(tx, clock() - RELEASE_AFTER)
    for batch_id in over:
        with suppress(SendError):
            mailer.release(batch_id)
            with store.begin() as tx:
                mail_batches.release_batch(tx, batch_id)
    for one in found:
        recover(store, mailer, one, clock, claims.SENDER_LOST)
    return len(found)


def recover(
    store: Store, mailer: BatchMailer, lost: LostBatch, clock: Callable[[], datetime], reason: str
) -> MailBatchState:
    """Cancel a batch whose request has no known outcome; mark it `unknown` if that is impossible.

    It stays `started` when the provider does not answer and there is time to try again.
    """
    if lost.batch_id and lost.send_at and lost.send_at - clock() > CANCEL_DEADLINE + CLOCK_MARGIN:
        try:
            cancelled = mailer.cancel(lost.batch_id)
        except SendError as error:
            log.warning("batch not cancelled yet: %s", error)
            return MailBatchState.STARTED
        if cancelled:
            with store.begin() as tx:
                mail_batches.release(
                    tx, lost.id, MailBatchState.CANCELLED, f"cancelled: {reason}", clock()
                )
            return MailBatchState.CANCELLED
    with store.begin() as tx:
        mail_batches.mark_unknown(tx, lost.id, reason, clock())
    return MailBatchState.UNKNOWN


SCHEDULE_AHEAD = timedelta(minutes=20)
"""A batch is sent to the provider so long before its send time: long enough to cancel it at one of
the wake-ups every five minutes. Not longer: readers who unsubscribe later still get that mail.
"""
LEASE = timedelta(minutes=2)
"""Longer than a request may take; short enough to cancel in time what a dead machine started."""
STALE_AFTER = timedelta(seconds=60)
"""A process suspended for so long since the claim must not send the batch."""
MIN_LEAD = CANCEL_DEADLINE + timedelta(minutes=1)
"""With less lead time a scheduled mail could not be cancelled."""
DUE_NOW_LEAD = timedelta(minutes=12)
"""Mail that is due now is scheduled so far ahead: a request fails within a minute."""
BUSY_WAIT_SECONDS = 1.0
MAX_SCHEDULES = 200
"""Schedules named in one statement."""
FIRST_BACKOFF = 2.0
MAX_UNKNOWN = 3
"""Batches without an answer in a row that end a run: each may be a thousand mails."""


@dataclass(slots=True)
class _BatchSender:
    """Sends the batches of one run, one request at a time."""

    run: SendRun
    mailer: BatchMailer
    compose: Callable[[MailBatch], BatchEmail]
    due: Callable[[DeliverySchedule], datetime | None]
    due_at: dict[DeliverySchedule, datetime | None] = field(default_factory=dict)

    def step(self) -> float | None:
        """Send one request. Seconds to wait before the next; None when nothing is left to do."""
        now = self.run.clock()
        with self.run.store.read() as tx:
            first = mail_batches.next_rendering_key(tx, self.run.digest_id, now)
            pause = self.run.rate_limiter.wait_time(tx, now)
        if pause := max(pause, self.run.breaker.pause_left(now)):
            return pause
        if first is None:
            with self.run.store.read() as tx:
                delay = self.run.next_attempt_in(tx, now)
            return None if delay is None else max(delay, BUSY_WAIT_SECONDS)
        key, send_at = self._same_send_time(first, now)
        try:
            batch_id = self.mailer.new_batch_id()
        except SendError as error:
            self.run.record_failure(error, now)
            with self.run.store.begin() as tx:
                self.run.rate_limiter.publish(tx, now)
            return FIRST_BACKOFF
        batch, wait = self._claim(key, batch_id, send_at)
        if batch:
            self._send(batch)
        return wait

    def _same_send_time(self, first: RenderingKey, now: datetime) -> tuple[RenderingKey, datetime]:
        """The readers with the send time of the first one, and when the provider is to send."""
        [schedule] = first.schedules
        if schedule not in self.due_at:
            with self.run.store.read() as tx:
                known = mail_batches.pending_schedules(tx, self.run.digest_id)[:MAX_SCHEDULES]
            self.due_at = {one: self.due(one) for one in {*known, schedule}}

        def instant(one: DeliverySchedule) -> datetime | None:
            at = self.due_at[one]
            return at if at and at > now else None

        send_at = instant(schedule)
        alike = tuple(one for one in self.due_at if instant(one) == send_at)
        if send_at is None or send_at - now < MIN_LEAD:
            send_at = now + DUE_NOW_LEAD
        return first._replace(schedules=alike), send_at

    def _claim(
        self, key: RenderingKey, batch_id: str, send_at: datetime
    ) -> tuple[MailBatch | None, float]:
        with self.run.store.begin() as tx:
            now = self.run.clock()
            if reason := too_many_hard_bounces(tx, self.run.digest_id):
                self.run.breaker.halted = reason
                return None, 0.0
            if not mail_batches.has_room(tx):
                return None, BUSY_WAIT_SECONDS
            if not self.run.rate_limiter.acquire(tx, now, 1):
                return None, min(BUSY_WAIT_SECONDS, 1 / (self.run.limits.per_second or 1.0))
            batch, skipped = mail_batches.begin(
                tx,
                uuid4().hex,
                self.run.digest_id,
                key,
                self.run.owner,
                now=now,
                until=now + LEASE,
                limit=self.mailer.max_readers,
                batch_id=batch_id,
                send_at=send_at,
                mailer=name_of(self.mailer),
            )
        self.run.settle(skipped)
        return batch, 0.0

    def _send(self, batch: MailBatch) -> None:
        """Send a claimed batch. After a program error the batch is released or marked `unknown`."""
        left = False
        try:
            mail = self._fit_request(batch, self.compose(batch))
            if mail is None:
                return
            left = True
            provider_id = self.mailer.send_batch(mail)
        except SendError as error:
            self._handle_failure(batch, error)
            return
        finally:
            if not left:
                self._release(batch, "not composed, or too late to be sent")
        with self.run.store.begin() as tx:
            taken = mail_batches.accept(
                tx,
                batch.id,
                self.run.clock(),
                provider_id=provider_id,
                content_hash=mail.content_hash,
            )
        self.run.breaker.record_success()
        self.run.sent += len(mail.readers) if taken else 0
        self.run.settle(len(mail.readers))

    def _fit_request(self, batch: MailBatch, mail: BatchEmail) -> BatchEmail | None:
        """The mail cut to the readers that fit one request; None when it must not be sent."""
        fitting = self.mailer.fitting(mail)
        if not fitting:
            message = "the links of one reader are longer than a batch allows"
            self.run.record_failure(SendError(SendFailure.HALT, message), self.run.clock())
            return None
        if surplus := [one.delivery_id for one in mail.readers[fitting:]]:
            with self.run.store.begin() as tx:
                mail_batches.remove_deliveries(
                    tx, batch.id, surplus, DeliveryState.PENDING, "", self.run.clock()
                )
        # Another process may have recovered the batch while this one was suspended.
        is_fresh = self.run.clock() - (batch.until - LEASE) < STALE_AFTER
        return replace(mail, readers=mail.readers[:fitting]) if is_fresh else None

    def _handle_failure(self, batch: MailBatch, error: SendError) -> None:
        """Record a failed request for the batch and for the run."""
        now = self.run.clock()
        if error.failure is SendFailure.UNKNOWN:
            lost = LostBatch(batch.id, batch.batch_id, batch.send_at)
            state = recover(self.run.store, self.mailer, lost, self.run.clock, str(error))
            if state is MailBatchState.CANCELLED:
                error = SendError(SendFailure.UNSENT, f"cancelled: {error}")
            self.run.record_failure(error, now)
            return
        self.run.record_failure(error, now)
        if isinstance(error, RejectedReadersError):
            refused = [
                one.id for place, one in enumerate(batch.deliveries) if place in error.positions
            ]
            with self.run.store.begin() as tx:
                mail_batches.remove_deliveries(
                    tx, batch.id, refused, DeliveryState.REJECTED, str(error), now
                )
        wait = FIRST_BACKOFF if error.failure is SendFailure.UNSENT else 0.0
        self._release(batch, str(error), wait)

    def _release(self, batch: MailBatch, reason: str, wait: float = 0.0) -> None:
        now = self.run.clock()
        later = now + timedelta(seconds=wait) if wait else None
        with self.run.store.begin() as tx:
            self.run.rate_limiter.publish(tx, now)
            mail_batches.release(tx, batch.id, MailBatchState.UNSENT, reason, now, not_before=later)


def deliver_batches(
    store: Store,
    mailer: BatchMailer,
    digest_id: int,
    compose: Callable[[MailBatch], BatchEmail],
    *,
    due: Callable[[DeliverySchedule], datetime | None],
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
    progress: Progress = lambda _done, _total: None,
    limits: SendLimits | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Tally:
    """Send the pending deliveries of a digest in batches; otherwise like `deliver`.

    `due` returns the send time of a schedule: mail due later than now is scheduled, None is now.
    Idempotent; several processes may run it at once. Raises StoreError when the database fails.
    """
    recover_lost(store, mailer, clock)
    limits = limits or SendLimits()
    limits = replace(
        limits, failure_limits={**limits.failure_limits, SendFailure.UNKNOWN: MAX_UNKNOWN}
    )
    run = SendRun.begin(store, mailer, digest_id, clock, limits)
    sender = _BatchSender(run, mailer, compose, due)
    while not (run.breaker.halted or stop()):
        delay = sender.step()
        progress(run.done, run.total)
        if delay is None:
            break
        if delay:
            sleep(delay)
            recover_lost(store, mailer, clock)
    return run.tally()
