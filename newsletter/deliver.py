"""Claim, send, record: each subscriber gets a digest once, and none is forgotten.

One thread talks to the database: it writes down what came back and claims as many rows as there
are free hands, in one transaction; then the hands send. So never more than `threads` mails are in
doubt when the process dies, and one commit serves many mails.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from uuid import uuid4

from newsletter import lives
from newsletter.mailers import Mailer, SendError, Verdict
from newsletter.model import Delivery, DeliveryState, Email
from newsletter.store import Store, claims, deliveries, pace
from newsletter.store.claims import Outcome

Progress = Callable[[int, int], None]
"""Called with (rows settled so far, rows in all)."""

TRIES = 5
FIRST_BACKOFF = 2.0
GIVEN_UP = timedelta(minutes=15)
PATIENCE = timedelta(minutes=5)
SHORTEST_PAUSE = 1.0
LONGEST_PAUSE = 300.0
GLANCE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Limits:
    """How fast, and when to stop: `in_a_row` is how many equal failures end a run."""

    threads: int = 8
    per_second: float | None = None
    lease: timedelta = timedelta(minutes=10)
    in_a_row: dict[Verdict, int] = field(
        default_factory=lambda: {
            Verdict.UNSENT: 10,
            Verdict.THROTTLED: 10,
            Verdict.UNKNOWN: 5,
            Verdict.REFUSED: 20,
        }
    )


@dataclass(frozen=True, slots=True)
class Tally:
    """How a digest's rows stand at the end. `sending` ones are in another process's hands."""

    accepted: int = 0
    skipped: int = 0
    rejected: int = 0
    unknown: int = 0
    pending: int = 0
    sending: int = 0
    halted_reason: str = ""

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
    limits: Limits | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Tally:
    """Send what a frozen audience is still owed. Safe to repeat, and to run in several processes.

    `stop` is asked between claims: once it says True nothing new starts, what is under way is
    brought to its end, and the rest stays pending. Raises StoreError when the database fails:
    then no request leaves that was not written down before.
    """
    with store.begin() as tx:
        claims.expire(tx, clock(), lives.is_gone)
        deliveries.resume(tx, digest_id)
        counts = deliveries.count(tx, digest_id)
    work = _Work(
        store, mailer, digest_id, compose, clock, limits or Limits(), f"{lives.me()}/{uuid4().hex}"
    )
    work.todo = counts.get(DeliveryState.PENDING, 0)
    work.total = sum(counts.values())
    if work.todo:
        _run(work, sleep, progress, stop)
    with store.begin() as tx:
        if work.halted:
            deliveries.halt(tx, digest_id, work.halted)
        counts = deliveries.count(tx, digest_id)
    return Tally(**{state.value: n for state, n in counts.items()}, halted_reason=work.halted)


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
                if work.halted or stop():
                    return
                rest = 0.0 if moved else work.rest()
                if rest is None:
                    return
                if rest:
                    sleep(rest)
        finally:
            work.finish()


@dataclass(slots=True)
class _Attempt:
    """One try. Until `left` is set no request can have left, whatever went wrong."""

    delivery: Delivery
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
    limits: Limits
    owner: str
    in_flight: dict[Future[str], _Attempt] = field(default_factory=dict)
    back: SimpleQueue[Future[str]] = field(default_factory=SimpleQueue)
    streak: tuple[Verdict | None, int] = (None, 0)
    paused_until: datetime | None = None
    halted: str = ""
    todo: int = 0
    total: int = 0

    def step(self, hands: ThreadPoolExecutor, *, claiming: bool) -> bool:
        """Write down what came back, claim and start what there are free hands for."""
        ended = self._ended()
        now = self.clock()
        outcomes = [self._judge(future, now) for future in ended]
        free = self.limits.threads - len(self.in_flight) + len(ended)
        if not claiming or self.halted or (self.paused_until and now < self.paused_until):
            free = 0
        if not outcomes and not free:
            return False
        claimed, skipped = self._commit(outcomes, free, now)
        for future in ended:
            del self.in_flight[future]
        self._start(hands, claimed)
        settled = [o for o in outcomes if o.state is not DeliveryState.PENDING]
        self.todo = max(0, self.todo - skipped - len(settled))
        return bool(claimed or skipped)

    def rest(self) -> float | None:
        """Seconds until something may be sent again; None when nothing is left for this run."""
        now = self.clock()
        if self.paused_until and now < self.paused_until:
            return (self.paused_until - now).total_seconds()
        with self.store.read() as tx:
            due = claims.next_try(tx, self.digest_id, now)
        if due is None or due > now + PATIENCE:
            return None
        # What is due but was not claimed waits for the pace, or is in another process's hands.
        return max((due - now).total_seconds(), 1 / (self.limits.per_second or 20))

    def finish(self) -> None:
        """Bring what is under way to its end, whatever ended the run, and write it down.

        A row whose fate a fault of the program hides stays `sending`: its lease makes it `unknown`.
        """
        wait(self.in_flight)
        now = self.clock()
        outcomes = []
        for future, attempt in self.in_flight.items():
            if isinstance(future.exception(), SendError | None):
                outcomes.append(self._judge(future, now))
            elif not attempt.left:
                reason = f"not composed: {future.exception()!r}"
                outcomes.append(Outcome(attempt.delivery, DeliveryState.PENDING, reason))
        self.in_flight.clear()
        if outcomes:
            self._commit(outcomes, 0, now)

    def _ended(self) -> list[Future[str]]:
        """What has come back by now; waits a moment when nothing has."""
        if not self.in_flight:
            return []
        ended = []
        with suppress(Empty):
            ended.append(self.back.get(timeout=GLANCE_SECONDS))
            while True:
                ended.append(self.back.get_nowait())
        return ended

    def _commit(
        self, outcomes: list[Outcome], free: int, now: datetime
    ) -> tuple[list[Delivery], int]:
        with self.store.begin() as tx:
            claims.record(tx, outcomes, now)
            if free and self.limits.per_second:
                free = pace.take(tx, "mail", now, self.limits.per_second, free)
            if not free:
                return [], 0
            until = now + self.limits.lease
            return claims.claim(tx, self.digest_id, self.owner, now=now, until=until, limit=free)

    def _start(self, hands: ThreadPoolExecutor, claimed: list[Delivery]) -> None:
        for delivery in claimed:
            attempt = _Attempt(delivery)
            future = hands.submit(self._hand_over, attempt)
            self.in_flight[future] = attempt
            future.add_done_callback(self.back.put)

    def _hand_over(self, attempt: _Attempt) -> str:
        email = self.compose(attempt.delivery)
        attempt.content_hash = _content_hash(email)
        attempt.left = True
        return self.mailer.send(email)

    def _judge(self, future: Future[str], now: datetime) -> Outcome:
        """What one answer means for its row, and for the run. An error that is no SendError is a
        fault of the program: it goes on to the caller and so ends the run.
        """
        attempt = self.in_flight[future]
        try:
            provider_id = future.result()
        except SendError as error:
            return self._failed(attempt.delivery, attempt.content_hash, error, now)
        self.streak = (None, 0)
        return Outcome(
            attempt.delivery, DeliveryState.ACCEPTED, "", provider_id, attempt.content_hash
        )

    def _failed(self, delivery: Delivery, content: str, error: SendError, now: datetime) -> Outcome:
        reason = str(error)
        before, length = self.streak
        length = length + 1 if before is error.verdict else 1
        self.streak = (error.verdict, length)
        if error.verdict is Verdict.HALT:
            self.halted = self.halted or reason
        elif length >= self.limits.in_a_row[error.verdict]:
            self.halted = self.halted or f"stopped after {length} in a row: {reason}"
        if error.verdict is Verdict.UNKNOWN:
            return Outcome(delivery, DeliveryState.UNKNOWN, reason, content_hash=content)
        if error.verdict is Verdict.REFUSED:
            return Outcome(delivery, DeliveryState.REJECTED, reason, content_hash=content)
        pending = Outcome(delivery, DeliveryState.PENDING, reason, content_hash=content)
        if error.verdict is Verdict.THROTTLED:
            self._pause(now, error.retry_after, length)
        if error.verdict is Verdict.UNSENT:
            return self._later(pending, now)
        return pending

    def _pause(self, now: datetime, asked: float | None, length: int) -> None:
        """All hands rest: as long as asked, within bounds, else longer each time."""
        seconds = asked or FIRST_BACKOFF * 2.0**length
        seconds = min(max(seconds, SHORTEST_PAUSE), LONGEST_PAUSE)
        until = now + timedelta(seconds=seconds * (1 + random.random() / 10))  # noqa: S311 - jitter
        self.paused_until = max(until, self.paused_until or until)

    def _later(self, outcome: Outcome, now: datetime) -> Outcome:
        with self.store.read() as tx:
            tried = claims.failures(tx, outcome.delivery.id) + 1
        delay = timedelta(seconds=FIRST_BACKOFF**tried) if tried < TRIES else GIVEN_UP
        return Outcome(
            outcome.delivery,
            outcome.state,
            outcome.reason,
            content_hash=outcome.content_hash,
            not_before=now + delay,
            failed=True,
        )


def _content_hash(email: Email) -> str:
    content = f"{email.subject}\x00{email.text}\x00{email.html}"
    return hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()
