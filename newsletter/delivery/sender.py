"""Claim, send, record: each subscriber gets a digest once, and none is forgotten.

One thread talks to the database: it writes down what came back and claims as many rows as there
are free hands, in one transaction; then the hands send. So never more than `threads` mails are in
doubt when the process dies, and one commit serves many mails.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING
from uuid import uuid4

from newsletter import logs, process
from newsletter.delivery.limits import (
    CircuitBreaker,
    MailRateLimiter,
    SendLimits,
    Watch,
    complaint_reason,
    too_many_hard_bounces,
)
from newsletter.delivery.message import content_hash
from newsletter.domain.bounce_codes import DIAGNOSTIC_LENGTH, says_gone
from newsletter.domain.mail import Delivery, DeliveryState, Email, EventKind
from newsletter.mailers import Mailer, SendError, Verdict, name_of
from newsletter.store import Store, claims, deliveries, events
from newsletter.store.claims import SendOutcome
from newsletter.store.events import Event
from newsletter.store.retry import retry_while_unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from newsletter.domain.progress import Progress

__all__ = ["LONGEST_REST", "SendLimits", "Tally", "deliver"]

TRIES = 6
"""With pauses of 2, 4, 8, 16 and 32 s between them: longer than a mail server takes to restart."""
FIRST_BACKOFF = 2.0
GIVEN_UP = timedelta(minutes=15)
LONGEST_REST = timedelta(minutes=5)
GLANCE_SECONDS = 0.5
BLINK_SECONDS = 0.005
ENDS = {Verdict.UNKNOWN: DeliveryState.UNKNOWN, Verdict.REFUSED: DeliveryState.REJECTED}
"""What proves nothing to the contrary leaves the row pending."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How a digest's rows stand at the end. `sending` ones are in another process's hands.

    `sent` counts those of the accepted that this run sent itself.
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


def deliver(
    store: Store,
    mailer: Mailer,
    digest_id: int,
    compose: Callable[[Delivery], Email],
    *,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
    progress: Progress = lambda _done, _total: None,
    limits: SendLimits | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Tally:
    """Send what a frozen audience is still owed. Safe to repeat, and to run in several processes.

    `stop` is asked between claims: once it says True nothing new starts, what is under way is
    brought to its end, and the rest stays pending. Raises StoreError when the database fails:
    then no request leaves that was not written down before.
    """
    limits = limits or SendLimits()
    with store.begin() as tx:
        claims.expire_leases(tx, clock(), process.is_dead)
        deliveries.resume(tx, digest_id)
        counts = deliveries.count(tx, digest_id)
        obstacle = complaint_reason(tx, clock()) or too_many_hard_bounces(tx, digest_id)
    owner = f"{process.process_id()}/{uuid4().hex}"
    work = _Work(store, mailer, digest_id, compose, clock, limits, owner)
    work.patience = CircuitBreaker(limits.in_a_row, obstacle)
    work.pace = MailRateLimiter(mailer, limits.per_second)
    work.watch = Watch(digest_id)
    work.todo = counts.get(DeliveryState.PENDING, 0)
    work.total = sum(counts.values())
    if work.todo:
        _run(work, sleep, progress, stop)
    with store.begin() as tx:
        if work.todo and work.patience.halted:
            deliveries.halt(tx, digest_id, work.patience.halted)
        counts = deliveries.count(tx, digest_id)
    halted = work.patience.halted if work.todo else ""
    states = {state.value: number for state, number in counts.items()}
    return Tally(**states, halted_reason=halted, sent=work.sent)


def _run(
    work: _Work, sleep: Callable[[float], None], progress: Progress, stop: Callable[[], bool]
) -> None:
    with ThreadPoolExecutor(work.limits.threads, thread_name_prefix="send") as hands:
        try:
            while True:
                moved = work.step(hands, claiming=not stop())
                progress(work.total - work.todo, work.total)
                if work.in_flight:
                    continue
                if work.patience.halted or stop():
                    return
                rest = 0.0 if moved else work.rest()
                if rest is None:
                    return
                if rest:
                    sleep(rest)
        finally:
            retry_while_unavailable(work.finish, stop, sleep)


@dataclass(slots=True)
class _Attempt:
    """One try. Until `left` is set no request can have left, whatever went wrong."""

    delivery: Delivery
    until: datetime
    content_hash: str = ""
    left: bool = False


@dataclass(slots=True)
class _Work:
    """One run over one digest's rows."""

    store: Store
    mailer: Mailer
    digest_id: int
    compose: Callable[[Delivery], Email]
    clock: Callable[[], datetime]
    limits: SendLimits
    owner: str
    in_flight: dict[Future[str], _Attempt] = field(default_factory=dict)
    back: SimpleQueue[Future[str]] = field(default_factory=SimpleQueue)
    patience: CircuitBreaker = field(default_factory=CircuitBreaker)
    pace: MailRateLimiter = field(default_factory=MailRateLimiter)
    watch: Watch = field(default_factory=partial(Watch, 0))
    todo: int = 0
    sent: int = 0
    total: int = 0

    def step(self, hands: ThreadPoolExecutor, *, claiming: bool) -> bool:
        """Write down what came back, claim and start what there are free hands for."""
        ended = self._ended()
        now = self.clock()
        outcomes = [self._judge(future, now) for future in ended]
        free = self.limits.threads - len(self.in_flight) + len(ended)
        if not claiming or self.patience.halted or self.patience.pause_left(now):
            free = 0
        if not outcomes and not free:
            return False
        claimed, skipped = self._commit(outcomes, free, now)
        for future in ended:
            del self.in_flight[future]
        self._start(hands, claimed, now + self.limits.lease)
        settled = [o for o in outcomes if o.state is not DeliveryState.PENDING]
        self.todo = max(0, self.todo - skipped - len(settled))
        return bool(claimed or skipped)

    def rest(self) -> float | None:
        """Seconds until something may be sent again; None when nothing is left for this run."""
        now = self.clock()
        if pause := self.patience.pause_left(now):
            return pause
        with self.store.read() as tx:
            due = claims.next_attempt_at(tx, self.digest_id, now)
            pause = self.pace.rest(tx, now)
        if due is None or due > now + LONGEST_REST:
            return None
        # What is due but was not claimed waits for the pace, or is in another process's hands.
        return max((due - now).total_seconds(), pause, 1 / (self.limits.per_second or 20))

    def finish(self) -> None:
        """Bring what is under way to its end, whatever ended the run, and write it down.

        A row whose fate a fault of the program hides stays `sending`: its lease makes it `unknown`.
        Where it raises StoreError it may be asked again.
        """
        wait(self.in_flight)
        now = self.clock()
        outcomes = []
        for future, attempt in self.in_flight.items():
            if isinstance(future.exception(), SendError | None):
                outcomes.append(self._judge(future, now))
            elif not attempt.left:
                reason = f"not composed: {future.exception()!r}"
                outcomes.append(SendOutcome(attempt.delivery, DeliveryState.PENDING, reason))
        if outcomes:
            self._commit(outcomes, 0, now)
        self.in_flight.clear()

    def _ended(self) -> list[Future[str]]:
        """What has come back by now; waits a moment when nothing has.

        It also waits a blink for company: one commit for half the hands costs as much as for one.
        """
        ended: list[Future[str]] = []
        patience = GLANCE_SECONDS
        with suppress(Empty):
            while len(ended) < len(self.in_flight):
                ended.append(self.back.get(timeout=patience))
                patience = BLINK_SECONDS if len(ended) * 2 < self.limits.threads else 0.0
        return ended

    def _commit(
        self, outcomes: list[SendOutcome], free: int, now: datetime
    ) -> tuple[list[Delivery], int]:
        with self.store.begin() as tx:
            claims.record(tx, outcomes, now)
            # A refusal in the dialogue is the same news as a report that comes by mail.
            refused = [_bounced(one, now) for one in outcomes if one.diagnostic]
            events.apply(tx, refused, now)
            if reason := self.watch.look(tx, now, at_once=bool(refused)):
                self.patience.halted = self.patience.halted or reason
                return [], 0
            free = self.pace.grant(tx, now, free)
            if not free:
                return [], 0
            until = now + self.limits.lease
            return claims.claim(
                tx,
                self.digest_id,
                self.owner,
                now=now,
                until=until,
                limit=free,
                mailer=name_of(self.mailer),
                slowly=self.limits.first_mails_slowly,
            )

    def _start(self, hands: ThreadPoolExecutor, claimed: list[Delivery], until: datetime) -> None:
        for delivery in claimed:
            attempt = _Attempt(delivery, until)
            future = hands.submit(logs.carried(self._hand_over), attempt)
            self.in_flight[future] = attempt
            future.add_done_callback(self.back.put)

    def _hand_over(self, attempt: _Attempt) -> str:
        email = self.compose(attempt.delivery)
        attempt.content_hash = content_hash(email.subject, email.text, email.html)
        if self.clock() >= attempt.until:
            # This process was asleep: others may have given the row up, and told the operator.
            raise SendError(Verdict.UNSENT, "the lease ended before the mail could leave")
        attempt.left = True
        return self.mailer.send(email)

    def _judge(self, future: Future[str], now: datetime) -> SendOutcome:
        """What one answer means for its row, and for the run. An error that is no SendError is a
        fault of the program: it goes on to the caller and so ends the run.
        """
        attempt = self.in_flight[future]
        try:
            provider_id = future.result()
        except SendError as error:
            return self._failed(attempt.delivery, attempt.content_hash, error, now)
        self.patience.taken()
        self.sent += 1
        return SendOutcome(
            attempt.delivery, DeliveryState.ACCEPTED, "", provider_id, attempt.content_hash
        )

    def _failed(
        self, delivery: Delivery, content: str, error: SendError, now: datetime
    ) -> SendOutcome:
        self.patience.failed(error, now)
        self.pace.rest_all(self.patience.pause_left(now))
        state = ENDS.get(error.verdict, DeliveryState.PENDING)
        outcome = SendOutcome(
            delivery, state, str(error), content_hash=content, diagnostic=error.diagnostic
        )
        return self._later(outcome, now) if error.verdict is Verdict.UNSENT else outcome

    def _later(self, outcome: SendOutcome, now: datetime) -> SendOutcome:
        with self.store.read() as tx:
            tried = claims.failures(tx, outcome.delivery.id) + 1
        delay = timedelta(seconds=FIRST_BACKOFF**tried) if tried < TRIES else GIVEN_UP
        return replace(outcome, not_before=now + delay, failed=True)


def _bounced(outcome: SendOutcome, now: datetime) -> Event:
    gone = says_gone("", outcome.diagnostic)
    return Event(
        EventKind.HARD_BOUNCE if gone else EventKind.SOFT_BOUNCE,
        outcome.delivery.subscriber.email,
        now,
        outcome.delivery.id,
        reason=outcome.diagnostic[:DIAGNOSTIC_LENGTH],
    )
