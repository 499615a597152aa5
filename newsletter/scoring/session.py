"""One call, from the intent to the stored scores. Every step is committed before the next."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
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
from newsletter.store import ledger, scores
from newsletter.store.answer_file import AnswerFile, SavedAnswer
from newsletter.store.retry import retry_while_unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import date

    from sqlalchemy import Connection

    from newsletter.domain.model import Outcome, Paper, Rubric, Usage
    from newsletter.store import Store

log = logging.getLogger(__name__)

ASK_AGAIN = 1.0
"""Seconds between looks at whether answers can be stored again."""
BATCH_LEASE = timedelta(hours=30)
"""A batch ends after a day at the latest."""
LEASE = timedelta(minutes=10)
"""Longer than any call may take: after it the process that sent it counts as dead."""


class AlreadyScored(Exception):
    """Some of the papers were scored meanwhile, by another process or for a rubric just alike."""

    def __init__(self, found: Mapping[str, Score]) -> None:
        super().__init__(f"{len(found)} known")
        self.found = found


@dataclass(frozen=True)
class ScoringSession:
    """Where one rubric's day is worked on."""

    store: Store
    scorer: Scorer
    rubric: Rubric
    day: date
    budget: ledger.Budget
    clock: Callable[[], datetime]
    pace: ScoringRateLimiter = field(default_factory=ScoringRateLimiter)
    turn: threading.Lock = field(default_factory=threading.Lock)
    """Threads write one after the other: SQLite lets whoever polls at the right moment in, and a
    thread that waited too long would lose an answer that was paid for."""
    stop: Callable[[], bool] = lambda: False
    unstored: threading.Event = field(default_factory=threading.Event)
    """Set while an answer that was paid for can't be stored: no other call is made meanwhile."""

    @property
    def account(self) -> ledger.Account:
        return ledger.Account(
            self.rubric.slug,
            self.rubric.fingerprint,
            self.scorer.name,
            self.day,
            process.process_id(),
        )

    @property
    def named(self) -> dict[str, str]:
        """What a line of the log bears that is about this desk's work."""
        return {"edition": self.day.isoformat(), "rubric": self.rubric.slug}

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self.turn, self.store.begin() as tx:
            yield tx

    def recover(self, papers: Sequence[Paper]) -> scores.KnownScores:
        """Take up what an earlier life left: parse the stored answers, give up the unanswered."""
        by_id = {paper.id: paper for paper in papers}
        self._take_up_spared()
        with self._writing() as tx:
            ledger.mark_dead_calls_lost(tx, self.account, self.clock(), process.is_dead)
            for row in ledger.unparsed_answers(tx, self.account):
                if all(paper_id in by_id for paper_id in row.papers.values()):
                    request = self.as_asked(row.papers, by_id, row.reading)
                    reading = self.scorer.read(request, row.model, row.raw)
                    self._keep(tx, request, reading, row.call_id, trusting=True)
            return scores.known(tx, self.account, list(by_id))

    def _take_up_spared(self) -> None:
        """Store the answers that a full disk kept out of the database."""
        spare = self._spare()
        if spare and (held := spare.held()):
            with self._writing() as tx:
                for one in held:
                    ledger.recover_answer(tx, one.call_id, one.raw, one.usage, self.clock())
            spare.clear(len(held))

    def _spare(self) -> AnswerFile | None:
        if not self.store.is_sqlite:
            return None
        return AnswerFile(self.store.file.with_name(f"{self.store.file.name}.answers"))

    def set_room_aside(self) -> None:
        """Be ready for a disk that is full when an answer comes."""
        if spare := self._spare():
            spare.allocate()

    def reserve(self, call: ScoringCall, *, batch: bool = False) -> str:
        """Commit the intent. Raises ReservationRefused, RateLimited, or Known when others were
        first.
        """
        lease = BATCH_LEASE if batch else LEASE
        batch_id = ledger.SUBMITTING if batch else None
        if self.unstored.is_set():
            raise RateLimited(ASK_AGAIN)
        with self._writing() as tx:
            ids = [paper.id for paper in call.request.papers]
            known = scores.known(tx, self.account, ids)[call.request.reading]
            if found := {k: v for k, v in known.items() if isinstance(v, Score)}:
                raise AlreadyScored(found)
            if not batch:
                self.pace.take(tx, call, self.clock())
            until = self.clock() + lease
            return ledger.reserve(tx, self.account, call, self.budget, until, batch_id)

    def ask(self, call: ScoringCall, call_id: str, *, trusting: bool) -> ScoredPapers:
        """Send the call, store the answer, then parse it and store its scores.

        Unless `trusting`, doubtful scores are handed back without being stored. Raises ScorerError.
        """
        ended = False
        try:
            self._refuse_late(call)
            answer = self.scorer.ask(call)
            reading = self.store_answer(
                call.request, call.model, call_id, answer, trusting=trusting, asked=call
            )
            ended = True
        except ScorerError as error:
            self._settle(call_id, call, error)
            ended = True
            raise
        finally:
            # A fault of the program must not keep these papers waiting until the lease ends.
            if not ended:
                self._abandon(call_id)
        return reading

    def _refuse_late(self, call: ScoringCall) -> None:
        """After a sleep of this process others may have given the call up, and made another."""
        if self.clock() >= call.at + LEASE:
            raise ScorerError(
                CallFailure.UNREACHABLE, "the lease ended before the call could leave"
            )

    def store_answer(
        self,
        request: ScoringRequest,
        model: str,
        call_id: str,
        answer: CallResponse,
        *,
        trusting: bool,
        asked: ScoringCall | None = None,
    ) -> ScoredPapers:
        """The raw answer and its cost are committed before anybody parses it.

        `asked` is the call where it was made by itself and not in bulk.
        """
        set_aside = partial(self._set_aside, call_id, answer)
        retry_while_unavailable(
            partial(self._store, call_id, answer, asked), self.stop, failed=set_aside
        )
        self.unstored.clear()
        if answer.usage is None:
            raise ScorerError(CallFailure.LOST, "the answer was not one of the Messages API")
        reading = self.scorer.read(request, model, answer.raw)
        with self._writing() as tx:
            self._keep(tx, request, reading, call_id, trusting=trusting)
        return reading

    def _set_aside(self, call_id: str, answer: CallResponse) -> None:
        """Buy nothing more, and keep what was bought where it needs no room."""
        self.unstored.set()
        spare = self._spare()
        if spare and spare.put(SavedAnswer(call_id, answer.raw, answer.usage)):
            log.warning("an answer is set aside; it is taken up when scoring begins again")

    def _store(self, call_id: str, answer: CallResponse, asked: ScoringCall | None) -> None:
        with self._writing() as tx:
            ledger.answered(tx, call_id, answer.raw, answer.usage, self.clock())
            if asked:
                self.pace.answered(tx, asked, answer, self.clock())

    def in_batches(self) -> list[ledger.BatchedCall]:
        with self.store.read() as tx:
            return ledger.batched_calls(tx, self.account)

    def submitted(self, call_ids: Sequence[str], batch_id: str) -> None:
        with self._writing() as tx:
            ledger.set_batch_id(tx, call_ids, batch_id)

    def free(self, call_ids: Sequence[str], reason: str) -> None:
        with self._writing() as tx:
            for call_id in call_ids:
                ledger.free(tx, call_id, reason, self.clock())

    def lose(self, call_ids: Sequence[str], reason: str) -> None:
        with self._writing() as tx:
            for call_id in call_ids:
                ledger.lost(tx, call_id, reason, self.clock())

    def batches(self, since: datetime) -> set[str]:
        """The ids of all batches from then on that the ledger knows."""
        with self.store.read() as tx:
            return ledger.known_batch_ids(tx, since)

    def believe(self, reading: int, found: Mapping[str, Score]) -> None:
        """Store scores that were doubted, when asking again brought nothing better."""
        with self._writing() as tx:
            scores.keep(tx, self.account, reading, found.values(), None)

    def refuse(self, reading: int, paper: Paper, outcome: Outcome) -> None:
        with self._writing() as tx:
            scores.keep_outcome(tx, self.account, reading, paper.id, outcome, self.scorer.name)

    def usage(self) -> tuple[Usage, ...]:
        with self.store.read() as tx:
            return ledger.usage(tx, self.rubric.slug, self.day)

    def left(self) -> int:
        with self.store.read() as tx:
            return self.budget.day_nanos - ledger.spent(tx, self.rubric.slug, self.day)

    def _abandon(self, call_id: str) -> None:
        with self._writing() as tx:
            ledger.abandon(tx, call_id, "the program failed", self.clock())

    def _settle(self, call_id: str, call: ScoringCall, error: ScorerError) -> None:
        settle = ledger.lost if error.failure is CallFailure.LOST else ledger.free
        with self._writing() as tx:
            settle(tx, call_id, str(error), self.clock())
            self.pace.failed(tx, call, error, self.clock())

    def _keep(
        self,
        tx: Connection,
        request: ScoringRequest,
        reading: ScoredPapers,
        call_id: str,
        *,
        trusting: bool,
    ) -> None:
        found = [
            score
            for paper_id, score in reading.scores.items()
            if trusting or paper_id not in reading.doubtful
        ]
        scores.keep(tx, self.account, request.reading, found, call_id)
        ledger.done(tx, call_id)

    def as_asked(
        self, slots: Mapping[str, str], by_id: Mapping[str, Paper], reading: int
    ) -> ScoringRequest:
        papers = tuple(by_id[slots[slot]] for slot in sorted(slots, key=_place))
        return ScoringRequest(self.rubric, papers, reading)


def _place(slot: str) -> int:
    return int(slot[1:])
