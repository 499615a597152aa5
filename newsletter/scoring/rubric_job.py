"""One rubric's day on its way from papers to scores: what follows from each answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from newsletter.domain.model import Outcome, Score
from newsletter.scorers import ScoringRequest
from newsletter.scoring import chunks, second_opinion
from newsletter.scoring.executor import PendingCall

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from newsletter.domain.model import Paper, Usage
    from newsletter.scorers import ScoredPapers
    from newsletter.scoring.executor import CallExecutor
    from newsletter.scoring.session import ScoringSession

TRIES_ALONE = 2
MOST_COLD = 2
"""Calls that may write the rubric's cache once more: each adds about 0.7 % to a day."""


@dataclass(frozen=True, slots=True)
class RubricScores:
    """What is known of the papers given: an outcome for each, a score for the scored.

    `usage` is what the rubric's day cost so far, over all runs. `cause` is why papers failed.
    """

    scores: dict[str, Score]
    outcomes: dict[str, Outcome]
    usage: tuple[Usage, ...]
    cause: str = ""


@dataclass
class RubricJob:
    """One rubric's day on its way from papers to scores.

    With another `salt` the papers stand in another order and company.
    """

    desk: ScoringSession
    papers: list[Paper]
    salt: str = ""
    first: dict[str, Score] = field(default_factory=dict)
    second: dict[str, Score] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    open_tasks: int = 0
    passes: int = 1
    waits_for_second: bool = False
    in_bulk: bool = False
    read_again: set[str] = field(default_factory=set)
    queued: set[str] = field(default_factory=set)
    wanted: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.wanted = {paper.id for paper in self.papers}

    @property
    def known(self) -> int:
        return len(self.wanted & (self.first.keys() | self.outcomes.keys()))

    def recover(self) -> None:
        """Load what is known, and read what an earlier life paid for."""
        known = self.desk.recover(self.papers)
        for paper_id, found in known[1].items():
            if isinstance(found, Score):
                self.first[paper_id] = found
            else:
                self.outcomes[paper_id] = found
        self.second = {k: found for k, found in known[2].items() if isinstance(found, Score)}
        self.read_again = set(known[2])

    def missing(self) -> list[Paper]:
        """The papers that nobody has been asked about yet in this life."""
        done = self.first.keys() | self.outcomes.keys() | self.queued
        return [paper for paper in self.papers if paper.id not in done]

    def can_afford_all(self) -> bool:
        missing = self.missing()
        return self._affordable(missing) * self.desk.scorer.sizes[0] >= len(missing)

    def join(self, crew: CallExecutor, chunk: chunks.Shared) -> None:
        """Have the first pass over a shared chunk."""
        self.queued |= {paper.id for paper in chunk.papers}
        task = self._task(chunk.papers, reading=1)
        self._queue(crew, [replace(task, prefix=chunk.name, shared=True)])

    def begin(self, crew: CallExecutor) -> None:
        """Queue the first pass over what no shared chunk holds."""
        unhurried = self.can_afford_all()
        tasks = [self._task(piece, reading=1) for piece in self._first_pieces()]
        self._queue(crew, self._in_rounds(tasks, crew.concurrency) if unhurried else tasks)
        self._pass_on(crew)

    def _in_rounds(self, tasks: list[PendingCall], concurrency: int) -> list[PendingCall]:
        """Let a few calls not wait for the cache where that saves a whole round of waiting.

        Small calls have a beginning of their own; of the large ones as many as would be left over
        for a last round. Only where money is no matter of order: they overtake others.
        """
        largest = self.desk.scorer.sizes[0]
        waiting = [task for task in tasks if len(task.papers) == largest]
        spare = (len(waiting) - 1) % concurrency if len(waiting) > concurrency else 0
        cold = waiting[: spare if spare <= MOST_COLD else 0]
        return [
            replace(task, prefix="") if task in cold or len(task.papers) < largest else task
            for task in tasks
        ]

    def second_pass(self, crew: CallExecutor) -> None:
        """Queue the second opinion."""
        self._queue(crew, [self._task(piece, reading=2) for piece in self._second_pieces()])

    def requests(self, reading: int) -> list[ScoringRequest]:
        """A pass as calls that wait for nothing, in bulk."""
        pieces = self._first_pieces() if reading == 1 else self._second_pieces()
        return [ScoringRequest(self.desk.rubric, piece, reading) for piece in pieces]

    def follow(self, crew: CallExecutor, task: PendingCall, ending: ScoredPapers | Outcome) -> None:
        """What an answer, or the lack of one, leads to."""
        if isinstance(ending, Outcome):
            self._give_up(task, ending)
        elif ending.refused:
            self._refused(crew, task)
        elif ending.cut_short and not task.roomier:
            # In smaller company the model would think as long about each of them.
            self._queue(crew, [replace(task, roomier=True, attempt=0, not_before=None)])
        elif ending.cut_short and task.reading > 1:
            self._give_up(task, Outcome.FAILED)
        else:
            self._answered(crew, task, ending)
        self.open_tasks -= 1
        self._pass_on(crew)

    def result(self) -> RubricScores:
        scores = second_opinion.merge_all_scores(self.papers, self.first, self.second)
        outcomes = {
            paper.id: Outcome.SCORED
            if paper.id in scores
            else self.outcomes.get(paper.id, Outcome.FAILED)
            for paper in self.papers
        }
        return RubricScores(scores, outcomes, self.desk.usage())

    def _affordable(self, missing: Sequence[Paper]) -> int:
        """How many calls of the largest size the budget certainly covers."""
        largest = tuple(missing[: self.desk.scorer.sizes[0]])
        if not largest:
            return 1
        request = ScoringRequest(self.desk.rubric, largest)
        upper = self.desk.scorer.call(request, self.desk.clock()).upper_nanos
        return max(1, self.desk.left() // upper) if upper else len(missing)

    def _first_pieces(self) -> list[chunks.Chunk]:
        missing = self.missing()
        if not missing:
            return []
        affordable = self._affordable(missing)
        sizes = self.desk.scorer.sizes
        return chunks.first_pass(missing, sizes, self.desk.day, affordable, self.salt)

    def _second_pieces(self) -> list[chunks.Chunk]:
        if not self.desk.scorer.second_opinion:
            return []
        band = second_opinion.select_for_second_pass(self.desk.rubric, self.papers, self.first)
        unread = [paper for paper in band if paper.id not in self.read_again]
        sizes = self.desk.scorer.sizes
        return chunks.pass_over(unread, sizes, self.desk.day, reading=2, salt=self.salt)

    def _pass_on(self, crew: CallExecutor) -> None:
        """Once the first pass has ended, go on to the second."""
        if self.open_tasks or self.passes > 1 or self.waits_for_second:
            return
        self.passes = 2
        self.second_pass(crew)

    def _answered(self, crew: CallExecutor, task: PendingCall, reading: ScoredPapers) -> None:
        """Believe what is sure; ask about the rest in smaller company."""
        sure = dict(reading.scores)
        held = {k: sure.pop(k) for k in reading.doubtful if k in sure} if not task.held else {}
        self._believe(task.reading, sure)
        missing = [p for p in task.papers if p.id not in sure and p.id in self.wanted]
        if not missing:
            return
        if len(task.papers) == 1 and task.tries + 1 >= TRIES_ALONE and not held:
            self._give_up(task, Outcome.FAILED)
            return
        self._smaller(crew, task, missing, held or dict(task.held))

    def _smaller(
        self, crew: CallExecutor, task: PendingCall, papers: Sequence[Paper], held: dict[str, Score]
    ) -> None:
        sizes = [size for size in self.desk.scorer.sizes if size < len(task.papers)] or [1]
        tries = task.tries + 1 if len(task.papers) == 1 else 0
        pieces = chunks.cut(papers, sizes)
        ids = [{paper.id for paper in piece} for piece in pieces]
        self._queue(
            crew,
            [
                replace(
                    self._task(
                        piece,
                        reading=task.reading,
                        tries=tries,
                        last_resort=task.last_resort,
                        held={k: v for k, v in held.items() if k in own},
                    ),
                    roomier=task.roomier,
                )
                for piece, own in zip(pieces, ids, strict=True)
            ],
        )

    def _refused(self, crew: CallExecutor, task: PendingCall) -> None:
        """Find the paper that is refused; ask another model about it, once."""
        if len(task.papers) > 1:
            own = [paper for paper in task.papers if paper.id in self.wanted]
            self._smaller(crew, task, own, dict(task.held))
            return
        if not task.last_resort:
            again = self._task(task.papers, reading=task.reading, last_resort=True, held=task.held)
            self._queue(crew, [again])
            return
        self.desk.refuse(task.reading, task.papers[0], Outcome.REFUSED)
        self._give_up(task, Outcome.REFUSED)

    def _give_up(self, task: PendingCall, outcome: Outcome) -> None:
        """Doubted scores are better than none; a second opinion may be missing."""
        if task.held:
            self.desk.believe(task.reading, task.held)
            self._believe(task.reading, task.held)
        if task.reading == 1:
            self.outcomes |= {
                p.id: outcome for p in task.papers if p.id in self.wanted - self.first.keys()
            }

    def _believe(self, reading: int, found: Mapping[str, Score]) -> None:
        (self.first if reading == 1 else self.second).update(found)

    def _task(
        self,
        papers: Sequence[Paper],
        *,
        reading: int,
        tries: int = 0,
        last_resort: bool = False,
        held: Mapping[str, Score] | None = None,
    ) -> PendingCall:
        return PendingCall(
            desk=self.desk,
            papers=tuple(papers),
            reading=reading,
            tries=tries,
            last_resort=last_resort,
            held=held or {},
            prefix=self.desk.rubric.fingerprint,
        )

    def _queue(self, crew: CallExecutor, tasks: Sequence[PendingCall]) -> None:
        self.open_tasks += len(tasks)
        crew.add(tasks)
