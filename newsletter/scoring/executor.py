"""Run model calls concurrently: queue, retry with back-off, cache warm-up, budget and deadline.

The calling thread reserves money, starts calls and takes all decisions. A pool thread only sends
one request and stores its answer.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from newsletter import logs
from newsletter.domain.model import Outcome
from newsletter.errors import OperatorError, Stopped
from newsletter.scorers import CallFailure, ScoredPapers, ScorerError, ScoringRequest
from newsletter.scoring.rate_limit import RateLimited, ScoringRateLimiter
from newsletter.scoring.session import AlreadyScored
from newsletter.store.ledger import ReservationRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from newsletter.domain.model import Paper, Score
    from newsletter.scoring.session import ScoringSession

    ResultHandler = Callable[["CallExecutor", "PendingCall", ScoredPapers | Outcome], None]


log = logging.getLogger(__name__)


CACHE_WRITE_SECONDS = 3.0
"""A cache entry can be read once the answer of the call that writes it has begun, by the API docs.
Only streaming would show when. A call that starts too early writes the entry again."""


class ScoringFailed(OperatorError):
    """The day can't be scored now. Paid answers are stored; a rerun continues from them."""


@dataclass(frozen=True, slots=True)
class ScoringLimits:
    """Money in nano-dollars, waiting in seconds.

    `max_attempts` limits the unanswered calls for one chunk. After `outage_after` consecutive
    failed chunks the service counts as down. `mode` is auto, now or batch. After `deadline` no
    call is made; `wanted_by` only limits how long a batch may take. `stop` is set on shutdown.
    `rate_limiter` holds the provider's limits, shared by all processes. `cache_write_seconds` is
    how long calls wait for the first call of their prompt prefix.
    """

    budget_nanos: int
    month_budget_nanos: int | None = None
    concurrency: int = 8
    deadline: datetime | None = None
    max_attempts: int = 6
    first_backoff: float = 1.0
    max_backoff: float = 60.0
    outage_after: int = 3
    mode: str = "auto"
    batch_poll_seconds: float = 60.0
    cache_write_seconds: float = CACHE_WRITE_SECONDS
    wanted_by: datetime | None = None
    rate_limiter: ScoringRateLimiter = field(default_factory=ScoringRateLimiter)
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True, eq=False)
class PendingCall:
    """Papers queued for one call.

    `tries` counts answers about a single paper that did not score it, `attempt` calls without an
    answer. `held` are doubtful scores of an earlier answer. `prefix` names a cached prompt
    prefix: the others wait for its first call, or each would pay the cache write.
    """

    session: ScoringSession
    papers: tuple[Paper, ...]
    pass_number: int
    tries: int = 0
    last_resort: bool = False
    extended_output: bool = False
    held: Mapping[str, Score] = field(default_factory=dict)
    prefix: str = ""
    shared: bool = False
    cache_for_an_hour: bool = False
    attempt: int = 0
    not_before: datetime | None = None


STOPPED = "scoring was stopped on request; paid answers are stored, a rerun continues from them"
IN_FLIGHT_POLL_SECONDS = 1.0
"""Seconds until papers in flight in another process are checked again."""
FATAL_FAILURES = {CallFailure.FATAL, CallFailure.GONE}
"""Failures that stop all calls; GONE of the last-resort model concerns one paper only."""
MAX_ATTEMPTS = {CallFailure.LOST: 3}
"""Lower limits for failures that may have been billed."""


class CallExecutor:
    """Queue of calls with a thread pool. `run` returns when nothing is queued or running."""

    def __init__(self, limits: ScoringLimits, clock: Callable[[], datetime]) -> None:
        self._limits = limits
        self._clock = clock
        self._queue: deque[PendingCall] = deque()
        self._running: dict[Future[ScoredPapers], PendingCall] = {}
        self._cached_prefixes: set[str] = set()
        self._prefix_writes: dict[str, datetime] = {}
        """Start of the first call of each prefix that is not known to be cached yet."""
        self._over_budget: set[int] = set()
        self._fatal_reason = ""
        self._consecutive_failures = 0

    @property
    def concurrency(self) -> int:
        return self._limits.concurrency

    def add(self, calls: Sequence[PendingCall]) -> None:
        self._queue.extend(calls)

    def run(self, on_result: ResultHandler) -> None:
        """Run the queue. Raises ScoringFailed after a fatal failure, and Stopped."""
        with ThreadPoolExecutor(self._limits.concurrency, "scorer") as pool:
            while self._queue or self._running:
                self._start_ready(pool, on_result)
                self._collect(on_result)
        if self._fatal_reason:
            raise ScoringFailed(self._fatal_reason)
        if self._limits.stop.is_set():
            raise Stopped(STOPPED)

    def _start_ready(self, pool: ThreadPoolExecutor, on_result: ResultHandler) -> None:
        """Start calls up to the concurrency limit."""
        while len(self._running) < self._limits.concurrency:
            if self._fatal_reason or self._limits.stop.is_set():
                self._queue.clear()
            pending = self._next_ready()
            if pending is None:
                return
            if reason := self._unscored_reason(pending):
                on_result(self, pending, reason)
            elif not self._start(pool, pending, on_result):
                return

    def _next_ready(self) -> PendingCall | None:
        """Remove and return the first call that need not wait for its time or a cache write."""
        now = self._clock()
        for pending in self._queue:
            waits = pending.not_before is not None and pending.not_before > now
            uncached = pending.prefix in self._prefix_writes and (
                self._is_written_at(pending.prefix) > now
            )
            if self._unscored_reason(pending) or not (waits or uncached):
                self._queue.remove(pending)
                return pending
        return None

    def _is_written_at(self, prefix: str) -> datetime:
        """When the cache entry that a running call writes is expected to be readable."""
        return self._prefix_writes[prefix] + timedelta(seconds=self._limits.cache_write_seconds)

    def _unscored_reason(self, pending: PendingCall) -> Outcome | None:
        deadline = self._limits.deadline
        if deadline is not None and max(self._clock(), pending.not_before or deadline) > deadline:
            return Outcome.UNSCORED_DEADLINE
        return Outcome.UNSCORED_BUDGET if id(pending.session) in self._over_budget else None

    def _start(
        self, pool: ThreadPoolExecutor, pending: PendingCall, on_result: ResultHandler
    ) -> bool:
        """Reserve and send. False when it has to wait until another call has ended."""
        request = ScoringRequest(
            pending.session.rubric,
            pending.papers,
            pending.pass_number,
            pending.shared,
            pending.last_resort,
            pending.extended_output,
            pending.cache_for_an_hour,
        )
        call = pending.session.scorer.call(request, self._clock())
        try:
            call_id = pending.session.reserve(call)
        except AlreadyScored as known:
            on_result(self, pending, ScoredPapers(known.found))
            return True
        except ReservationRefused as refusal:
            return self._postpone(pending, refusal)
        except RateLimited as wait:
            later = self._clock() + timedelta(seconds=wait.seconds)
            self._queue.appendleft(postponed := replace(pending, not_before=later))
            # The other calls would wait as well; a call past its deadline is ended at once.
            return self._unscored_reason(postponed) is not None
        if pending.prefix and pending.prefix not in self._cached_prefixes:
            self._prefix_writes.setdefault(pending.prefix, self._clock())
        ask = logs.with_log_context(pending.session.ask, **pending.session.log_context)
        future = pool.submit(ask, call, call_id, keep_doubtful=bool(pending.held))
        self._running[future] = pending
        return True

    def _postpone(self, pending: PendingCall, refusal: ReservationRefused) -> bool:
        if refusal.taken:
            # The process that scores them may have died meanwhile.
            pending.session.recover(pending.papers)
            later = self._clock() + timedelta(seconds=IN_FLIGHT_POLL_SECONDS)
            self._queue.append(replace(pending, not_before=later))
            return True
        self._queue.appendleft(pending)
        if self._running:
            return False
        self._over_budget.add(id(pending.session))
        return True

    def _collect(self, on_result: ResultHandler) -> None:
        """Wait for an answer, or until the next waiting call may start."""
        if not self._running:
            if self._queue:
                self._limits.stop.wait(self._seconds_to_next() or 0.0)
            return
        done, _ = wait(self._running, timeout=self._seconds_to_next(), return_when=FIRST_COMPLETED)
        for future in done:
            pending = self._running.pop(future)
            try:
                scored = future.result()
            except ScorerError as error:
                self._prefix_writes.pop(pending.prefix, None)
                self._handle_failure(pending, error, on_result)
                continue
            self._prefix_writes.pop(pending.prefix, None)
            self._cached_prefixes.add(pending.prefix)
            self._consecutive_failures = 0
            on_result(self, pending, scored)

    def _seconds_to_next(self) -> float | None:
        """Seconds until the next waiting call may start; None when only an answer can tell."""
        if not self._queue:
            return None
        now = self._clock()
        times = [pending.not_before for pending in self._queue if pending.not_before]
        times += [at for at in map(self._is_written_at, self._prefix_writes) if at > now]
        return max(0.01, (min(times) - now).total_seconds()) if times else None

    def _handle_failure(
        self,
        pending: PendingCall,
        error: ScorerError,
        on_result: ResultHandler,
    ) -> None:
        if error.failure is CallFailure.GONE and pending.last_resort:
            log.warning("one paper counts as refused: %s", error)
            on_result(self, pending, ScoredPapers(refused=True))
            return
        if error.failure in FATAL_FAILURES:
            self._fatal_reason = self._fatal_reason or str(error)
            return
        if error.failure is CallFailure.TOO_LARGE and len(pending.papers) > 1:
            # Handled like an answer without scores: the papers are asked about in smaller chunks.
            on_result(self, pending, ScoredPapers())
            return
        if error.failure is CallFailure.TOO_LARGE:
            self._give_up(pending, error, on_result)
            return
        attempt = pending.attempt + 1
        if attempt < min(self._limits.max_attempts, MAX_ATTEMPTS.get(error.failure, attempt + 1)):
            wanted = error.retry_after or self._limits.first_backoff * 2**pending.attempt
            pause = timedelta(seconds=min(wanted, self._limits.max_backoff))
            self._queue.append(replace(pending, attempt=attempt, not_before=self._clock() + pause))
            return
        self._give_up(pending, error, on_result)

    def _give_up(self, pending: PendingCall, error: ScorerError, on_result: ResultHandler) -> None:
        self._consecutive_failures += 1
        if self._consecutive_failures >= self._limits.outage_after:
            self._fatal_reason = (
                self._fatal_reason or f"{error}; paid answers are stored, run again later"
            )
            return
        on_result(self, pending, Outcome.FAILED)
