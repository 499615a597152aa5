"""Calls in parallel: a queue, a few threads, and when to wait, go on or stop.

The calling thread alone reserves money, starts calls and decides what follows; a thread of the
pool does nothing but one request and the storing of its answer.
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

    Follow = Callable[["CallExecutor", "PendingCall", ScoredPapers | Outcome], None]


log = logging.getLogger(__name__)


class ScoringFailed(OperatorError):
    """The whole day can't be scored now. All that was paid for is stored; a rerun goes on there."""


@dataclass(frozen=True, slots=True)
class ScoringLimits:
    """Money in nano-dollars, waiting in seconds.

    `attempts` counts the calls about one chunk that bring nothing; `outage` is after how many
    chunks given up in a row the service counts as down. `mode` is auto, now or batch.
    After `deadline` nothing more is asked; `wanted_by` only says until when a batch may take.
    `stop` is set when somebody asks us to end. `pace` is the provider's limits, for all processes.
    """

    budget_nanos: int
    month_budget_nanos: int | None = None
    concurrency: int = 8
    deadline: datetime | None = None
    attempts: int = 6
    first_pause: float = 1.0
    longest_pause: float = 60.0
    outage: int = 3
    mode: str = "auto"
    batch_pause: float = 60.0
    wanted_by: datetime | None = None
    pace: ScoringRateLimiter = field(default_factory=ScoringRateLimiter)
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class PendingCall:
    """Papers to be asked about in one call.

    `tries` counts answers about this one paper that did not judge it, `attempt` calls without an
    answer. `held` are scores that were doubted once. `prefix` names a cached beginning: its first
    call is awaited before the others start, or each would pay for writing it.
    """

    desk: ScoringSession
    papers: tuple[Paper, ...]
    reading: int
    tries: int = 0
    last_resort: bool = False
    roomier: bool = False
    held: Mapping[str, Score] = field(default_factory=dict)
    prefix: str = ""
    shared: bool = False
    attempt: int = 0
    not_before: datetime | None = None


STOPPED = "scoring was stopped on request; what was paid for is stored, a rerun goes on there"
ELSEWHERE = 1.0
"""Seconds between looks at papers that another process is being answered about."""
STOPS = {CallFailure.FATAL, CallFailure.GONE}
"""No other call can succeed; GONE of the last resort concerns one paper only."""
PATIENCE = {CallFailure.LOST: 3}
"""Fewer attempts where each may have been billed."""


class CallExecutor:
    """Works a queue of tasks off. `work` returns when nothing is queued or running."""

    def __init__(self, limits: ScoringLimits, clock: Callable[[], datetime]) -> None:
        self._limits = limits
        self._clock = clock
        self._queue: deque[PendingCall] = deque()
        self._running: dict[Future[ScoredPapers], PendingCall] = {}
        self._warm: set[str] = set()
        self._warming: set[str] = set()
        self._broke: set[int] = set()
        self._fatal = ""
        self._given_up_in_a_row = 0

    @property
    def concurrency(self) -> int:
        return self._limits.concurrency

    def add(self, tasks: Sequence[PendingCall]) -> None:
        self._queue.extend(tasks)

    def work(self, follow: Follow) -> None:
        """Raises ScoringFailed once a call shows that no other can succeed, and Stopped."""
        with ThreadPoolExecutor(self._limits.concurrency, "scorer") as pool:
            while self._queue or self._running:
                self._fill(pool, follow)
                self._collect(follow)
        if self._fatal:
            raise ScoringFailed(self._fatal)
        if self._limits.stop.is_set():
            raise Stopped(STOPPED)

    def _fill(self, pool: ThreadPoolExecutor, follow: Follow) -> None:
        """Start what can be started."""
        while len(self._running) < self._limits.concurrency:
            if self._fatal or self._limits.stop.is_set():
                self._queue.clear()
            task = self._next()
            if task is None:
                return
            if reason := self._hopeless(task):
                follow(self, task, reason)
            elif not self._start(pool, task, follow):
                return

    def _next(self) -> PendingCall | None:
        """The first task that need not wait, for its time or for a cache to be written."""
        now = self._clock()
        for task in self._queue:
            waits = task.not_before is not None and task.not_before > now
            cold = task.prefix in self._warming and task.prefix not in self._warm
            if self._hopeless(task) or not (waits or cold):
                self._queue.remove(task)
                return task
        return None

    def _hopeless(self, task: PendingCall) -> Outcome | None:
        deadline = self._limits.deadline
        if deadline is not None and max(self._clock(), task.not_before or deadline) > deadline:
            return Outcome.UNSCORED_DEADLINE
        return Outcome.UNSCORED_BUDGET if id(task.desk) in self._broke else None

    def _start(self, pool: ThreadPoolExecutor, task: PendingCall, follow: Follow) -> bool:
        """Reserve and send. False when it has to wait until another call has settled."""
        request = ScoringRequest(
            task.desk.rubric,
            task.papers,
            task.reading,
            task.shared,
            task.last_resort,
            task.roomier,
        )
        call = task.desk.scorer.call(request, self._clock())
        try:
            call_id = task.desk.reserve(call)
        except AlreadyScored as known:
            follow(self, task, ScoredPapers(known.found))
            return True
        except ReservationRefused as refusal:
            return self._postpone(task, refusal)
        except RateLimited as wait:
            later = self._clock() + timedelta(seconds=wait.seconds)
            self._queue.appendleft(put_off := replace(task, not_before=later))
            # The others would have to wait as well; but what comes too late is said so at once.
            return self._hopeless(put_off) is not None
        if task.prefix:
            self._warming.add(task.prefix)
        ask = logs.carried(task.desk.ask, **task.desk.named)
        future = pool.submit(ask, call, call_id, trusting=bool(task.held))
        self._running[future] = task
        return True

    def _postpone(self, task: PendingCall, refusal: ReservationRefused) -> bool:
        if refusal.taken:
            later = self._clock() + timedelta(seconds=ELSEWHERE)
            self._queue.append(replace(task, not_before=later))
            return True
        self._queue.appendleft(task)
        if self._running:
            return False
        self._broke.add(id(task.desk))
        return True

    def _collect(self, follow: Follow) -> None:
        """Wait for an answer, or for the next task's time."""
        if not self._running:
            if self._queue:
                self._limits.stop.wait(self._pause() or 0.0)
            return
        done, _ = wait(self._running, timeout=self._pause(), return_when=FIRST_COMPLETED)
        for future in done:
            task = self._running.pop(future)
            try:
                reading = future.result()
            except ScorerError as error:
                self._warming.discard(task.prefix)
                self._unanswered(task, error, follow)
                continue
            self._warm.add(task.prefix)
            self._given_up_in_a_row = 0
            follow(self, task, reading)

    def _pause(self) -> float | None:
        """Seconds until the next delayed task; None when there is none."""
        now = self._clock()
        times = [(task.not_before - now).total_seconds() for task in self._queue if task.not_before]
        return max(0.01, min(times)) if times else None

    def _unanswered(
        self,
        task: PendingCall,
        error: ScorerError,
        follow: Follow,
    ) -> None:
        if error.failure is CallFailure.GONE and task.last_resort:
            log.warning("one paper counts as refused: %s", error)
            follow(self, task, ScoredPapers(refused=True))
            return
        if error.failure in STOPS:
            self._fatal = self._fatal or str(error)
            return
        if error.failure is CallFailure.TOO_LARGE and len(task.papers) > 1:
            # As if the answer had left all of them open: each is asked about in smaller company.
            follow(self, task, ScoredPapers())
            return
        if error.failure is CallFailure.TOO_LARGE:
            self._give_up(task, error, follow)
            return
        attempt = task.attempt + 1
        if attempt < min(self._limits.attempts, PATIENCE.get(error.failure, attempt + 1)):
            wanted = error.retry_after or self._limits.first_pause * 2**task.attempt
            pause = timedelta(seconds=min(wanted, self._limits.longest_pause))
            self._queue.append(replace(task, attempt=attempt, not_before=self._clock() + pause))
            return
        self._give_up(task, error, follow)

    def _give_up(self, task: PendingCall, error: ScorerError, follow: Follow) -> None:
        self._given_up_in_a_row += 1
        if self._given_up_in_a_row >= self._limits.outage:
            self._fatal = self._fatal or f"{error}; nothing is lost, run again later"
            return
        follow(self, task, Outcome.FAILED)
