"""Send one mail per request: claim a row, send the mail, record the outcome.

Each subscriber gets a digest once, and none is left out. One thread talks to the database: in one
transaction it records the outcomes of completed requests and claims as many rows as the thread
pool has free threads. The pool then sends. So at most as many mails have an unknown outcome when
the process dies as are sent at once, and one commit serves many mails.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from newsletter import logs
from newsletter.delivery.limits import Concurrency, HardBounceGuard, SendLimits
from newsletter.delivery.message import content_hash
from newsletter.delivery.send_run import SendRun, Tally
from newsletter.domain.bounce_codes import DIAGNOSTIC_LENGTH, is_address_gone
from newsletter.domain.mail import Delivery, DeliveryState, Email, EventKind
from newsletter.mailers import Mailer, SendError, SendFailure, connections_kept, name_of
from newsletter.store import claims, events
from newsletter.store.claims import SendOutcome
from newsletter.store.events import Event
from newsletter.store.retry import retry_while_unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from newsletter.domain.progress import Progress
    from newsletter.store import Store

__all__ = ["SendLimits", "Tally", "deliver"]

QUICK_TRIES = 6
"""With pauses of 2, 4, 8, 16 and 32 s between them: longer than a mail server takes to restart.
Later tries are `LAST_BACKOFF` apart."""
FIRST_BACKOFF = 2.0
LAST_BACKOFF = timedelta(minutes=15)
POLL_SECONDS = 0.5
COLLECT_SECONDS = 0.005
FINAL_STATES = {
    SendFailure.UNKNOWN: DeliveryState.UNKNOWN,
    SendFailure.REFUSED: DeliveryState.REJECTED,
}
"""The final state of a row by failure. After any other failure the row stays pending."""


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
    run = SendRun.begin(store, mailer, digest_id, clock, limits or SendLimits())
    if run.remaining:
        _send_all(_Sender(run, mailer, compose), sleep, progress, stop)
    return run.tally()


def _send_all(
    sender: _Sender, sleep: Callable[[float], None], progress: Progress, stop: Callable[[], bool]
) -> None:
    run = sender.run
    with (
        connections_kept(sender.mailer),
        ThreadPoolExecutor(sender.concurrency.most, thread_name_prefix="send") as pool,
    ):
        try:
            while True:
                progressed = sender.step(pool, claiming=not stop())
                progress(run.done, run.total)
                if sender.in_flight:
                    continue
                if run.breaker.halted or stop():
                    return
                delay = 0.0 if progressed else sender.wait_time()
                if delay is None:
                    return
                if delay:
                    sleep(delay)
        finally:
            retry_while_unavailable(sender.finish, stop, sleep)


@dataclass(slots=True)
class _Attempt:
    """One attempt. Until `started` is set no request can have left, whatever went wrong."""

    delivery: Delivery
    until: datetime
    content_hash: str = ""
    started: bool = False
    seconds: float = 0.0


@dataclass(slots=True)
class _Sender:
    """Sends the mails of one run, several at once."""

    run: SendRun
    mailer: Mailer
    compose: Callable[[Delivery], Email]
    in_flight: dict[Future[str], _Attempt] = field(default_factory=dict)
    results: SimpleQueue[Future[str]] = field(default_factory=SimpleQueue)
    bounce_guard: HardBounceGuard = field(init=False)
    concurrency: Concurrency = field(init=False)

    def __post_init__(self) -> None:
        self.bounce_guard = HardBounceGuard(self.run.digest_id)
        self.concurrency = Concurrency(self.run.limits)

    def step(self, pool: ThreadPoolExecutor, *, claiming: bool) -> bool:
        """Record completed requests; claim and start as many new ones as threads are free."""
        completed = self._collect()
        now = self.run.clock()
        outcomes = [self._outcome(future, now) for future in completed]
        free = max(0, self.concurrency.now() - len(self.in_flight) + len(completed))
        if not claiming or self.run.breaker.halted or self.run.breaker.pause_left(now):
            free = 0
        if not outcomes and not free:
            return False
        claimed, skipped = self._commit(outcomes, free, now)
        for future in completed:
            del self.in_flight[future]
        self._start(pool, claimed, now + self.run.limits.lease)
        settled = [o for o in outcomes if o.state is not DeliveryState.PENDING]
        self.run.settle(skipped + len(settled))
        return bool(claimed or skipped)

    def wait_time(self) -> float | None:
        """Seconds until a mail may be sent again; None when nothing is left for this run."""
        now = self.run.clock()
        if pause := self.run.breaker.pause_left(now):
            return pause
        with self.run.store.read() as tx:
            delay = self.run.next_attempt_in(tx, now)
            pause = self.run.rate_limiter.wait_time(tx, now)
        return None if delay is None else max(delay, pause, 1 / (self.run.limits.per_second or 20))

    def finish(self) -> None:
        """Wait for requests under way and record their outcomes, whatever ended the run.

        A row whose outcome is hidden by a program error stays `sending`; when its lease expires
        it becomes `unknown`. May be called again after StoreError.
        """
        wait(self.in_flight)
        now = self.run.clock()
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

        Then waits up to `COLLECT_SECONDS` for more: one commit for half of them costs as much as a
        commit for one.
        """
        completed: list[Future[str]] = []
        timeout = POLL_SECONDS
        with suppress(Empty):
            while len(completed) < len(self.in_flight):
                completed.append(self.results.get(timeout=timeout))
                few = len(completed) * 2 < len(self.in_flight)
                timeout = COLLECT_SECONDS if few else 0.0
        return completed

    def _commit(
        self, outcomes: list[SendOutcome], free: int, now: datetime
    ) -> tuple[list[Delivery], int]:
        with self.run.store.begin() as tx:
            claims.record(tx, outcomes, now)
            # A rejection during the SMTP dialogue counts as the same bounce reported by mail.
            refused = [_bounced(one, now) for one in outcomes if one.diagnostic]
            events.apply(tx, refused, now)
            if reason := self.bounce_guard.check(tx, now, at_once=bool(refused)):
                self.run.breaker.halted = self.run.breaker.halted or reason
                return [], 0
            free = self.run.rate_limiter.acquire(tx, now, free)
            if not free:
                return [], 0
            until = now + self.run.limits.lease
            return claims.claim(
                tx,
                self.run.digest_id,
                self.run.owner,
                now=now,
                until=until,
                limit=free,
                mailer=name_of(self.mailer),
                slowly=self.run.limits.first_mails_slowly,
            )

    def _start(self, pool: ThreadPoolExecutor, claimed: list[Delivery], until: datetime) -> None:
        for delivery in claimed:
            attempt = _Attempt(delivery, until)
            future = pool.submit(logs.with_log_context(self._send_one), attempt)
            self.in_flight[future] = attempt
            future.add_done_callback(self.results.put)

    def _send_one(self, attempt: _Attempt) -> str:
        email = self.compose(attempt.delivery)
        attempt.content_hash = content_hash(email.subject, email.text, email.html)
        if self.run.clock() >= attempt.until:
            # The process was suspended: another one may have expired the row and alerted.
            raise SendError(SendFailure.UNSENT, "the lease ended before the mail could leave")
        attempt.started = True
        began = self.run.clock()
        provider_id = self.mailer.send(email)
        attempt.seconds = (self.run.clock() - began).total_seconds()
        return provider_id

    def _outcome(self, future: Future[str], now: datetime) -> SendOutcome:
        """The outcome of one completed request. Any exception other than SendError is a program
        error: it propagates and ends the run.
        """
        attempt = self.in_flight[future]
        try:
            provider_id = future.result()
        except SendError as error:
            return self._failure_outcome(attempt.delivery, attempt.content_hash, error, now)
        self.run.breaker.record_success()
        self.concurrency.record_success(attempt.seconds)
        self.run.sent += 1
        return SendOutcome(
            attempt.delivery, DeliveryState.ACCEPTED, "", provider_id, attempt.content_hash
        )

    def _failure_outcome(
        self, delivery: Delivery, content: str, error: SendError, now: datetime
    ) -> SendOutcome:
        self.run.record_failure(error, now)
        if error.failure is not SendFailure.REFUSED:
            self.concurrency.record_failure()
        state = FINAL_STATES.get(error.failure, DeliveryState.PENDING)
        outcome = SendOutcome(
            delivery, state, str(error), content_hash=content, diagnostic=error.diagnostic
        )
        return self._retry_later(outcome, now) if error.failure is SendFailure.UNSENT else outcome

    def _retry_later(self, outcome: SendOutcome, now: datetime) -> SendOutcome:
        with self.run.store.read() as tx:
            tried = claims.failures(tx, outcome.delivery.id) + 1
        delay = timedelta(seconds=FIRST_BACKOFF**tried) if tried < QUICK_TRIES else LAST_BACKOFF
        return replace(outcome, not_before=now + delay, failed=True)


def _bounced(outcome: SendOutcome, now: datetime) -> Event:
    gone = is_address_gone("", outcome.diagnostic)
    return Event(
        EventKind.HARD_BOUNCE if gone else EventKind.SOFT_BOUNCE,
        outcome.delivery.subscription.email,
        now,
        outcome.delivery.id,
        reason=outcome.diagnostic[:DIAGNOSTIC_LENGTH],
    )
