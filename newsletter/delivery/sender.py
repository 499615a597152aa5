"""Send one mail per request: claim a row, send the mail, record the outcome.

Each subscriber gets a digest once, and none is left out. One thread talks to the database: in one
transaction it records the outcomes of completed requests and claims as many rows as the thread
pool has free threads. The pool then sends. So at most `threads` mails have an unknown outcome when
the process dies, and one commit serves many mails.
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
    HardBounceGuard,
    MailRateLimiter,
    SendLimits,
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

__all__ = ["LONGEST_WAIT", "SendLimits", "Tally", "deliver"]

QUICK_TRIES = 6
"""With pauses of 2, 4, 8, 16 and 32 s between them: longer than a mail server takes to restart.
Later tries are `LAST_BACKOFF` apart."""
FIRST_BACKOFF = 2.0
LAST_BACKOFF = timedelta(minutes=15)
LONGEST_WAIT = timedelta(minutes=5)
POLL_SECONDS = 0.5
COLLECT_SECONDS = 0.005
FINAL_STATES = {Verdict.UNKNOWN: DeliveryState.UNKNOWN, Verdict.REFUSED: DeliveryState.REJECTED}
"""The final state of a row by verdict. After any other failure the row stays pending."""


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
    """Send the pending deliveries of a digest. Idempotent; several processes may run it at once.

    `stop` is called between claims: once it returns True no new request starts, requests under
    way are completed, and the other rows stay pending. Raises StoreError when the database fails:
    no request is sent unless its claim was committed before.
    """
    limits = limits or SendLimits()
    with store.begin() as tx:
        claims.expire_leases(tx, clock(), process.is_dead)
        deliveries.resume(tx, digest_id)
        counts = deliveries.count(tx, digest_id)
        halt_reason = complaint_reason(tx, clock()) or too_many_hard_bounces(tx, digest_id)
    owner = f"{process.process_id()}/{uuid4().hex}"
    run = _SendRun(store, mailer, digest_id, compose, clock, limits, owner)
    run.breaker = CircuitBreaker(limits.failure_limits, halt_reason)
    run.rate_limiter = MailRateLimiter(mailer, limits.per_second)
    run.bounce_guard = HardBounceGuard(digest_id)
    run.remaining = counts.get(DeliveryState.PENDING, 0)
    run.total = sum(counts.values())
    if run.remaining:
        _send_all(run, sleep, progress, stop)
    with store.begin() as tx:
        if run.remaining and run.breaker.halted:
            deliveries.halt(tx, digest_id, run.breaker.halted)
        counts = deliveries.count(tx, digest_id)
    halted = run.breaker.halted if run.remaining else ""
    states = {state.value: number for state, number in counts.items()}
    return Tally(**states, halted_reason=halted, sent=run.sent)


def _send_all(
    run: _SendRun, sleep: Callable[[float], None], progress: Progress, stop: Callable[[], bool]
) -> None:
    with ThreadPoolExecutor(run.limits.threads, thread_name_prefix="send") as pool:
        try:
            while True:
                progressed = run.step(pool, claiming=not stop())
                progress(run.total - run.remaining, run.total)
                if run.in_flight:
                    continue
                if run.breaker.halted or stop():
                    return
                delay = 0.0 if progressed else run.wait_time()
                if delay is None:
                    return
                if delay:
                    sleep(delay)
        finally:
            retry_while_unavailable(run.finish, stop, sleep)


@dataclass(slots=True)
class _Attempt:
    """One attempt. Until `started` is set no request can have left, whatever went wrong."""

    delivery: Delivery
    until: datetime
    content_hash: str = ""
    started: bool = False


@dataclass(slots=True)
class _SendRun:
    """One run over the deliveries of one digest."""

    store: Store
    mailer: Mailer
    digest_id: int
    compose: Callable[[Delivery], Email]
    clock: Callable[[], datetime]
    limits: SendLimits
    owner: str
    in_flight: dict[Future[str], _Attempt] = field(default_factory=dict)
    results: SimpleQueue[Future[str]] = field(default_factory=SimpleQueue)
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    rate_limiter: MailRateLimiter = field(default_factory=MailRateLimiter)
    bounce_guard: HardBounceGuard = field(default_factory=partial(HardBounceGuard, 0))
    remaining: int = 0
    sent: int = 0
    total: int = 0

    def step(self, pool: ThreadPoolExecutor, *, claiming: bool) -> bool:
        """Record completed requests; claim and start as many new ones as threads are free."""
        completed = self._collect()
        now = self.clock()
        outcomes = [self._outcome(future, now) for future in completed]
        free = self.limits.threads - len(self.in_flight) + len(completed)
        if not claiming or self.breaker.halted or self.breaker.pause_left(now):
            free = 0
        if not outcomes and not free:
            return False
        claimed, skipped = self._commit(outcomes, free, now)
        for future in completed:
            del self.in_flight[future]
        self._start(pool, claimed, now + self.limits.lease)
        settled = [o for o in outcomes if o.state is not DeliveryState.PENDING]
        self.remaining = max(0, self.remaining - skipped - len(settled))
        return bool(claimed or skipped)

    def wait_time(self) -> float | None:
        """Seconds until a mail may be sent again; None when nothing is left for this run."""
        now = self.clock()
        if pause := self.breaker.pause_left(now):
            return pause
        with self.store.read() as tx:
            due = claims.next_attempt_at(tx, self.digest_id, now)
            pause = self.rate_limiter.wait_time(tx, now)
        if due is None or due > now + LONGEST_WAIT:
            return None
        # A row that is due and unclaimed waits for the rate limit, or another process holds it.
        return max((due - now).total_seconds(), pause, 1 / (self.limits.per_second or 20))

    def finish(self) -> None:
        """Wait for requests under way and record their outcomes, whatever ended the run.

        A row whose outcome is hidden by a program error stays `sending`; when its lease expires
        it becomes `unknown`. May be called again after StoreError.
        """
        wait(self.in_flight)
        now = self.clock()
        outcomes = []
        for future, attempt in self.in_flight.items():
            if isinstance(future.exception(), SendError | None):
                outcomes.append(self._outcome(future, now))
            elif not attempt.started:
                reason = f"not composed: {future.exception()!r}"
                outcomes.append(SendOutcome(attempt.delivery, DeliveryState.PENDING, reason))
        if outcomes:
            self._commit(outcomes, 0, now)
        self.in_flight.clear()

    def _collect(self) -> list[Future[str]]:
        """The requests completed by now; waits up to `POLL_SECONDS` for the first.

        Then waits up to `COLLECT_SECONDS` for more: one commit for half the threads costs as much
        as a commit for one.
        """
        completed: list[Future[str]] = []
        timeout = POLL_SECONDS
        with suppress(Empty):
            while len(completed) < len(self.in_flight):
                completed.append(self.results.get(timeout=timeout))
                timeout = COLLECT_SECONDS if len(completed) * 2 < self.limits.threads else 0.0
        return completed

    def _commit(
        self, outcomes: list[SendOutcome], free: int, now: datetime
    ) -> tuple[list[Delivery], int]:
        with self.store.begin() as tx:
            claims.record(tx, outcomes, now)
            # A rejection during the SMTP dialogue counts as the same bounce reported by mail.
            refused = [_bounced(one, now) for one in outcomes if one.diagnostic]
            events.apply(tx, refused, now)
            if reason := self.bounce_guard.check(tx, now, at_once=bool(refused)):
                self.breaker.halted = self.breaker.halted or reason
                return [], 0
            free = self.rate_limiter.acquire(tx, now, free)
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

    def _start(self, pool: ThreadPoolExecutor, claimed: list[Delivery], until: datetime) -> None:
        for delivery in claimed:
            attempt = _Attempt(delivery, until)
            future = pool.submit(logs.carried(self._send_one), attempt)
            self.in_flight[future] = attempt
            future.add_done_callback(self.results.put)

    def _send_one(self, attempt: _Attempt) -> str:
        email = self.compose(attempt.delivery)
        attempt.content_hash = content_hash(email.subject, email.text, email.html)
        if self.clock() >= attempt.until:
            # The process was suspended: another one may have expired the row and alerted.
            raise SendError(Verdict.UNSENT, "the lease ended before the mail could leave")
        attempt.started = True
        return self.mailer.send(email)

    def _outcome(self, future: Future[str], now: datetime) -> SendOutcome:
        """The outcome of one completed request. Any exception other than SendError is a program
        error: it propagates and ends the run.
        """
        attempt = self.in_flight[future]
        try:
            provider_id = future.result()
        except SendError as error:
            return self._failure_outcome(attempt.delivery, attempt.content_hash, error, now)
        self.breaker.record_success()
        self.sent += 1
        return SendOutcome(
            attempt.delivery, DeliveryState.ACCEPTED, "", provider_id, attempt.content_hash
        )

    def _failure_outcome(
        self, delivery: Delivery, content: str, error: SendError, now: datetime
    ) -> SendOutcome:
        self.breaker.record_failure(error, now)
        self.rate_limiter.pause_all(self.breaker.pause_left(now))
        state = FINAL_STATES.get(error.verdict, DeliveryState.PENDING)
        outcome = SendOutcome(
            delivery, state, str(error), content_hash=content, diagnostic=error.diagnostic
        )
        return self._retry_later(outcome, now) if error.verdict is Verdict.UNSENT else outcome

    def _retry_later(self, outcome: SendOutcome, now: datetime) -> SendOutcome:
        with self.store.read() as tx:
            tried = claims.failures(tx, outcome.delivery.id) + 1
        delay = timedelta(seconds=FIRST_BACKOFF**tried) if tried < QUICK_TRIES else LAST_BACKOFF
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
