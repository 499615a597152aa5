"""Scoring session: reserve a call, send it, store the answer, store the scores.

Every step is committed before the next.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING

from newsletter import process
from newsletter.domain.model import Score
from newsletter.scorers import (
    CallFailure,
    CallResponse,
    ScoredPapers,
    Scorer,
    ScorerError,
    ScoringCall,
    ScoringRequest,
)
from newsletter.scoring.rate_limit import RateLimited, ScoringRateLimiter
from newsletter.store import leases, ledger, scores
from newsletter.store.answer_file import AnswerFile, SavedAnswer
from newsletter.store.papers import by_ids
from newsletter.store.retry import retry_while_unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from sqlalchemy import Connection

    from newsletter.domain.model import Outcome, Paper, Rubric, Usage
    from newsletter.store import Store

log = logging.getLogger(__name__)

STORAGE_RETRY_SECONDS = 1.0
"""Seconds before calls are tried again while answers can't be stored."""
BATCH_LEASE = timedelta(hours=30)
"""Longer than the Batch API's limit of 24 hours."""
LEASE = timedelta(minutes=10)
"""Longer than any call may take: afterwards the process that sent it counts as dead."""


class AlreadyScored(Exception):
    """Some papers have scores by now, from another process or a rubric of the same fingerprint."""

    def __init__(self, found: Mapping[str, Score]) -> None:
        super().__init__(f"{len(found)} known")
        self.found = found


@dataclass(frozen=True)
class ScoringSession:
    """Store, scorer and budget for scoring one rubric's day."""

    store: Store
    scorer: Scorer
    rubric: Rubric
    day: date
    budget: ledger.Budget
    clock: Callable[[], datetime]
    rate_limiter: ScoringRateLimiter = field(default_factory=ScoringRateLimiter)
    write_lock: threading.Lock = field(default_factory=threading.Lock)
    """Serializes writes: SQLite's lock is not fair, and a thread that times out waiting for it
    would lose a paid answer."""
    stop: Callable[[], bool] = lambda: False
    storage_failed: threading.Event = field(default_factory=threading.Event)
    """Set while a paid answer can't be stored: no further call is made."""

    @cached_property
    def account(self) -> ledger.Account:
        return ledger.Account(
            self.rubric.slug,
            self.rubric.fingerprint,
            self.scorer.name,
            self.day,
            process.process_id(),
        )

    @property
    def log_context(self) -> dict[str, str]:
        """Context fields of log lines about this session."""
        return {"edition": self.day.isoformat(), "rubric": self.rubric.slug}

    @contextmanager
    def _write_tx(self) -> Iterator[Connection]:
        with self.write_lock, self.store.begin() as tx:
            yield tx

    def recover(self, papers: Sequence[Paper]) -> scores.KnownScores:
        """Recover from an earlier process: parse stored answers, end calls of dead processes."""
        ids = {paper.id for paper in papers}
        self._store_answers_of_file()
        with self._write_tx() as tx:
            now = self.clock()
            is_dead = leases.dead_owner_test(tx, now)
            ledger.mark_dead_calls_lost(tx, self.account, now, is_dead)
            for row in ledger.unparsed_answers(tx, self.account):
                asked = set(row.papers.values())
                by_id = find_papers(tx, asked, papers)
                if ids & asked and by_id.keys() >= asked:
                    request = self.rebuild_request(row.papers, by_id, row.reading)
                    scored = self.scorer.read(request, row.model, row.raw)
                    self._store_scores(tx, request, scored, row.call_id, keep_doubtful=True)
            return scores.known(tx, self.account, list(ids))

    def _store_answers_of_file(self) -> None:
        """Move answers from the answer file into the database, after a full disk."""
        answer_file = self._answer_file()
        if answer_file and (held := answer_file.held()):
            with self._write_tx() as tx:
                for one in held:
                    ledger.recover_answer(tx, one.call_id, one.raw, one.usage, self.clock())
            answer_file.clear(len(held))

    def _answer_file(self) -> AnswerFile | None:
        if not self.store.is_sqlite:
            return None
        return AnswerFile(self.store.file.with_name(f"{self.store.file.name}.answers"))

    def preallocate_answer_file(self) -> None:
        """Preallocate the file that takes answers when the disk is full."""
        if answer_file := self._answer_file():
            answer_file.allocate()

    def reserve(self, call: ScoringCall, *, batch: bool = False) -> str:
        """Commit the reservation of a call; returns its ledger id.

        Raises ReservationRefused, RateLimited, or AlreadyScored when other processes were first.
        """
        lease = BATCH_LEASE if batch else LEASE
        batch_id = ledger.SUBMITTING if batch else None
        if self.storage_failed.is_set():
            raise RateLimited(STORAGE_RETRY_SECONDS)
        with self._write_tx() as tx:
            ids = [paper.id for paper in call.request.papers]
            known = scores.known(tx, self.account, ids)[call.request.pass_number]
            if found := {k: v for k, v in known.items() if isinstance(v, Score)}:
                raise AlreadyScored(found)
            if not batch:
                self.rate_limiter.acquire(tx, call, self.clock())
            until = self.clock() + lease
            return ledger.reserve(tx, self.account, call, self.budget, until, batch_id)

    def ask(self, call: ScoringCall, call_id: str, *, keep_doubtful: bool) -> ScoredPapers:
        """Send the call, store the answer, then parse it and store its scores.

        Unless `keep_doubtful`, doubtful scores are returned but not stored. Raises ScorerError.
        """
        ended = False
        try:
            self._reject_if_lease_ended(call)
            answer = self.scorer.ask(call)
            scored = self.store_answer(
                call.request, call.model, call_id, answer, keep_doubtful=keep_doubtful, asked=call
            )
            ended = True
        except ScorerError as error:
            self._record_failure(call_id, call, error)
            ended = True
            raise
        finally:
            # After an unexpected error these papers must not wait until the lease ends.
            if not ended:
                self._abandon(call_id)
        return scored

    def _reject_if_lease_ended(self, call: ScoringCall) -> None:
        """Raise if the lease ended, e.g. during system sleep: another process may have retried."""
        if self.clock() >= call.at + LEASE:
            raise ScorerError(CallFailure.UNREACHABLE, "the lease ended before the call was sent")

    def store_answer(
        self,
        request: ScoringRequest,
        model: str,
        call_id: str,
        answer: CallResponse,
        *,
        keep_doubtful: bool,
        asked: ScoringCall | None = None,
    ) -> ScoredPapers:
        """Commit the raw answer and its cost, then parse it and store its scores.

        `asked` is the call; None for answers of a batch.
        """
        spare_answer = partial(self._write_to_answer_file, call_id, answer)
        retry_while_unavailable(
            partial(self._store_answer, call_id, answer, asked), self.stop, failed=spare_answer
        )
        self.storage_failed.clear()
        if answer.usage is None:
            raise ScorerError(CallFailure.LOST, "the answer is not a Messages API response")
        scored = self.scorer.read(request, model, answer.raw)
        with self._write_tx() as tx:
            self._store_scores(tx, request, scored, call_id, keep_doubtful=keep_doubtful)
        return scored

    def _write_to_answer_file(self, call_id: str, answer: CallResponse) -> None:
        """Stop further calls and write the answer to the preallocated file."""
        self.storage_failed.set()
        answer_file = self._answer_file()
        if answer_file and answer_file.put(SavedAnswer(call_id, answer.raw, answer.usage)):
            log.warning("answer written to the answer file; the next run stores it in the database")

    def _store_answer(self, call_id: str, answer: CallResponse, asked: ScoringCall | None) -> None:
        with self._write_tx() as tx:
            # In the order of `reserve`, or two transactions could wait for each other.
            if asked:
                self.rate_limiter.record_answer(tx, asked, answer, self.clock())
            ledger.store_answer(tx, call_id, answer.raw, answer.usage, self.clock())

    def batched_calls(self) -> list[ledger.BatchedCall]:
        with self.store.read() as tx:
            return ledger.batched_calls(tx, self.account)

    def find_papers(self, ids: Collection[str], given: Iterable[Paper]) -> dict[str, Paper]:
        with self.store.read() as tx:
            return find_papers(tx, ids, given)

    def set_batch_id(self, call_ids: Sequence[str], batch_id: str) -> None:
        with self._write_tx() as tx:
            ledger.set_batch_id(tx, call_ids, batch_id)

    def release_calls(self, call_ids: Sequence[str], reason: str) -> None:
        with self._write_tx() as tx:
            for call_id in call_ids:
                ledger.mark_free(tx, call_id, reason, self.clock())

    def mark_lost(self, call_ids: Sequence[str], reason: str) -> None:
        with self._write_tx() as tx:
            for call_id in call_ids:
                ledger.mark_lost(tx, call_id, reason, self.clock())

    def known_batch_ids(self, since: datetime) -> set[str]:
        """Ids of all batches in the ledger since `since`."""
        with self.store.read() as tx:
            return ledger.known_batch_ids(tx, since)

    def store_scores(self, pass_number: int, found: Mapping[str, Score]) -> None:
        """Store doubtful scores that another call did not replace."""
        with self._write_tx() as tx:
            scores.keep(tx, self.account, pass_number, found.values(), None)

    def store_outcome(self, pass_number: int, paper: Paper, outcome: Outcome) -> None:
        with self._write_tx() as tx:
            scores.keep_outcome(tx, self.account, pass_number, paper.id, outcome, self.scorer.name)

    def usage(self) -> tuple[Usage, ...]:
        with self.store.read() as tx:
            return ledger.usage(tx, self.rubric.slug, self.day)

    def remaining_budget(self) -> int:
        with self.store.read() as tx:
            return self.budget.day_nanos - ledger.spent(tx, self.rubric.slug, self.day)

    def _abandon(self, call_id: str) -> None:
        with self._write_tx() as tx:
            ledger.abandon(tx, call_id, "the program failed", self.clock())

    def _record_failure(self, call_id: str, call: ScoringCall, error: ScorerError) -> None:
        record = ledger.mark_lost if error.failure is CallFailure.LOST else ledger.mark_free
        with self._write_tx() as tx:
            self.rate_limiter.record_failure(tx, call, error, self.clock())
            record(tx, call_id, str(error), self.clock())

    def _store_scores(
        self,
        tx: Connection,
        request: ScoringRequest,
        scored: ScoredPapers,
        call_id: str,
        *,
        keep_doubtful: bool,
    ) -> None:
        found = [
            score
            for paper_id, score in scored.scores.items()
            if keep_doubtful or paper_id not in scored.doubtful
        ]
        scores.keep(tx, self.account, request.pass_number, found, call_id)
        ledger.mark_done(tx, call_id)

    def rebuild_request(
        self, slots: Mapping[str, str], by_id: Mapping[str, Paper], pass_number: int
    ) -> ScoringRequest:
        papers = tuple(by_id[slots[slot]] for slot in sorted(slots, key=_slot_number))
        return ScoringRequest(self.rubric, papers, pass_number)


def find_papers(tx: Connection, ids: Collection[str], given: Iterable[Paper]) -> dict[str, Paper]:
    """The papers by id: those that are given, the others from the store.

    A call about a chunk that rubrics share may be about papers that are not the rubric's.
    """
    found = {paper.id: paper for paper in given}
    others = [paper_id for paper_id in ids if paper_id not in found]
    return found | {paper.id: paper for paper in by_ids(tx, others)}


def _slot_number(slot: str) -> int:
    return int(slot[1:])
