"""State machine of one rubric's day: what to do after each answer or failure."""

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

MAX_TRIES_ALONE = 2
MAX_UNCACHED = 2
"""Calls that may write the cache again instead of waiting: each adds about 0.7 % to a day."""


@dataclass(frozen=True, slots=True)
class RubricScores:
    """An outcome for each paper, and the scores.

    `usage` is the cost of the rubric's day so far, over all runs. `cause` is why papers failed.
    """

    scores: dict[str, Score]
    outcomes: dict[str, Outcome]
    usage: tuple[Usage, ...]
    cause: str = ""


@dataclass
class RubricJob:
    """The papers of one rubric's day, from queueing to scores.

    A different `salt` gives a different order and other chunks.
    """

    session: ScoringSession
    papers: list[Paper]
    salt: str = ""
    first: dict[str, Score] = field(default_factory=dict)
    second: dict[str, Score] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    open_calls: int = 0
    passes: int = 1
    second_pass_in_batch: bool = False
    in_batch: bool = False
    shared_in_batch: list[chunks.Chunk] = field(default_factory=list)
    """Chunks of the first pass that the batch asks about with the papers first."""
    second_pass_done: set[str] = field(default_factory=set)
    queued: set[str] = field(default_factory=set)
    wanted: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.wanted = {paper.id for paper in self.papers}

    @property
    def known(self) -> int:
        return len(self.wanted & (self.first.keys() | self.outcomes.keys()))

    def recover(self) -> None:
        """Load stored scores, and parse answers that an earlier process paid for."""
        known = self.session.recover(self.papers)
        for paper_id, found in known[1].items():
            if isinstance(found, Score):
                self.first[paper_id] = found
            else:
                self.outcomes[paper_id] = found
        self.second = {k: found for k, found in known[2].items() if isinstance(found, Score)}
        self.second_pass_done = set(known[2])

    def missing(self) -> list[Paper]:
        """The papers without a score that are not queued yet."""
        done = self.first.keys() | self.outcomes.keys() | self.queued
        return [paper for paper in self.papers if paper.id not in done]

    def can_afford_all(self) -> bool:
        missing = self.missing()
        return self._affordable_calls(missing) * self.session.scorer.sizes[0] >= len(missing)

    def queue_shared_chunk(
        self, executor: CallExecutor, chunk: chunks.SharedChunk, *, cache_for_an_hour: bool = False
    ) -> None:
        """Queue the first pass over a shared chunk."""
        self.queued |= {paper.id for paper in chunk.papers}
        pending = replace(
            self._pending_call(chunk.papers, pass_number=1),
            prefix=chunk.name,
            shared=True,
            cache_for_an_hour=cache_for_an_hour,
        )
        self._queue(executor, [pending])

    def queue_first_pass(self, executor: CallExecutor) -> None:
        """Queue the first pass over the papers that are in no shared chunk."""
        can_afford_all = self.can_afford_all()
        pieces = self._first_pass_chunks(self.missing())
        calls = [self._pending_call(piece, pass_number=1) for piece in pieces]
        if can_afford_all:
            calls = self._let_some_skip_cache(calls, executor.concurrency)
        self._queue(executor, calls)
        self._start_second_pass_if_ready(executor)

    def _let_some_skip_cache(self, calls: list[PendingCall], concurrency: int) -> list[PendingCall]:
        """Let a few calls skip the cache warm-up where that saves a whole round of calls.

        Small calls have another prefix anyway. Of the large ones, those that would be left over for
        a last round. Not under a tight budget: these calls overtake likelier papers.
        """
        largest = self.session.scorer.sizes[0]
        waiting = [pending for pending in calls if len(pending.papers) == largest]
        spare = (len(waiting) - 1) % concurrency if len(waiting) > concurrency else 0
        uncached = waiting[: spare if spare <= MAX_UNCACHED else 0]
        return [
            replace(pending, prefix="")
            if pending in uncached or len(pending.papers) < largest
            else pending
            for pending in calls
        ]

    def queue_second_pass(self, executor: CallExecutor) -> None:
        """Queue the second opinion, in smaller calls than the first pass: they end sooner."""
        pieces = self._second_pass_chunks(self.session.scorer.second_pass_sizes)
        self._queue(executor, [self._pending_call(piece, pass_number=2) for piece in pieces])

    def requests(self, pass_number: int) -> list[ScoringRequest]:
        """The requests of a pass, for a batch, where nobody waits for the single call."""
        rubric = self.session.rubric
        if pass_number > 1:
            pieces = self._second_pass_chunks(self.session.scorer.sizes)
            return [ScoringRequest(rubric, piece, pass_number) for piece in pieces]
        shared = {paper.id for piece in self.shared_in_batch for paper in piece}
        own = self._first_pass_chunks([one for one in self.missing() if one.id not in shared])
        return [
            *(ScoringRequest(rubric, piece, shared=True) for piece in self.shared_in_batch),
            *(ScoringRequest(rubric, piece) for piece in own),
        ]

    def on_result(
        self, executor: CallExecutor, pending: PendingCall, result: ScoredPapers | Outcome
    ) -> None:
        """Handle an answer, or the final outcome of a call without one."""
        if isinstance(result, Outcome):
            self._give_up(pending, result)
        elif result.refused:
            self._handle_refusal(executor, pending)
        elif result.cut_short and not pending.extended_output:
            # In smaller chunks the model would think as long about each paper.
            self._queue(
                executor, [replace(pending, extended_output=True, attempt=0, not_before=None)]
            )
        elif result.cut_short and pending.pass_number > 1:
            self._give_up(pending, Outcome.FAILED)
        else:
            self._handle_answer(executor, pending, result)
        self.open_calls -= 1
        self._start_second_pass_if_ready(executor)

    def result(self) -> RubricScores:
        scores = second_opinion.merge_all_scores(self.papers, self.first, self.second)
        outcomes = {
            paper.id: Outcome.SCORED
            if paper.id in scores
            else self.outcomes.get(paper.id, Outcome.FAILED)
            for paper in self.papers
        }
        return RubricScores(scores, outcomes, self.session.usage())

    def _affordable_calls(self, missing: Sequence[Paper]) -> int:
        """How many calls of the largest size fit into the budget by their upper bounds."""
        largest = tuple(missing[: self.session.scorer.sizes[0]])
        if not largest:
            return 1
        request = ScoringRequest(self.session.rubric, largest)
        upper = self.session.scorer.call(request, self.session.clock()).upper_nanos
        return max(1, self.session.remaining_budget() // upper) if upper else len(missing)

    def _first_pass_chunks(self, missing: Sequence[Paper]) -> list[chunks.Chunk]:
        if not missing:
            return []
        affordable = self._affordable_calls(missing)
        sizes = self.session.scorer.sizes
        return chunks.first_pass_chunks(missing, sizes, self.session.day, affordable, self.salt)

    def _second_pass_chunks(self, sizes: Sequence[int]) -> list[chunks.Chunk]:
        if not self.session.scorer.second_opinion:
            return []
        band = second_opinion.select_for_second_pass(self.session.rubric, self.papers, self.first)
        unread = [paper for paper in band if paper.id not in self.second_pass_done]
        return chunks.shuffled_chunks(
            unread, sizes, self.session.day, pass_number=2, salt=self.salt
        )

    def _start_second_pass_if_ready(self, executor: CallExecutor) -> None:
        """Start the second pass once the first has ended."""
        if self.open_calls or self.passes > 1 or self.second_pass_in_batch:
            return
        self.passes = 2
        self.queue_second_pass(executor)

    def _handle_answer(
        self, executor: CallExecutor, pending: PendingCall, scored: ScoredPapers
    ) -> None:
        """Record certain scores; ask about the other papers in smaller chunks."""
        sure = dict(scored.scores)
        held = {k: sure.pop(k) for k in scored.doubtful if k in sure} if not pending.held else {}
        self._record_scores(pending.pass_number, sure)
        missing = [p for p in pending.papers if p.id not in sure and p.id in self.wanted]
        if not missing:
            return
        if len(pending.papers) == 1 and pending.tries + 1 >= MAX_TRIES_ALONE and not held:
            self._give_up(pending, Outcome.FAILED)
            return
        self._ask_in_smaller_chunks(executor, pending, missing, held or dict(pending.held))

    def _ask_in_smaller_chunks(
        self,
        executor: CallExecutor,
        pending: PendingCall,
        papers: Sequence[Paper],
        held: dict[str, Score],
    ) -> None:
        sizes = [size for size in self.session.scorer.sizes if size < len(pending.papers)] or [1]
        tries = pending.tries + 1 if len(pending.papers) == 1 else 0
        pieces = chunks.split(papers, sizes)
        ids = [{paper.id for paper in piece} for piece in pieces]
        self._queue(
            executor,
            [
                replace(
                    self._pending_call(
                        piece,
                        pass_number=pending.pass_number,
                        tries=tries,
                        last_resort=pending.last_resort,
                        held={k: v for k, v in held.items() if k in own},
                    ),
                    extended_output=pending.extended_output,
                )
                for piece, own in zip(pieces, ids, strict=True)
            ],
        )

    def _handle_refusal(self, executor: CallExecutor, pending: PendingCall) -> None:
        """Narrow a refusal down to one paper; ask the last-resort model about it, once."""
        if len(pending.papers) > 1:
            own = [paper for paper in pending.papers if paper.id in self.wanted]
            self._ask_in_smaller_chunks(executor, pending, own, dict(pending.held))
            return
        if not pending.last_resort:
            again = self._pending_call(
                pending.papers, pass_number=pending.pass_number, last_resort=True, held=pending.held
            )
            self._queue(executor, [again])
            return
        self.session.store_outcome(pending.pass_number, pending.papers[0], Outcome.REFUSED)
        self._give_up(pending, Outcome.REFUSED)

    def _give_up(self, pending: PendingCall, outcome: Outcome) -> None:
        """End a call: doubtful scores are kept; a missing second pass is no failure."""
        if pending.held:
            self.session.store_scores(pending.pass_number, pending.held)
            self._record_scores(pending.pass_number, pending.held)
        if pending.pass_number == 1:
            self.outcomes |= {
                p.id: outcome for p in pending.papers if p.id in self.wanted - self.first.keys()
            }

    def _record_scores(self, pass_number: int, found: Mapping[str, Score]) -> None:
        (self.first if pass_number == 1 else self.second).update(found)

    def _pending_call(
        self,
        papers: Sequence[Paper],
        *,
        pass_number: int,
        tries: int = 0,
        last_resort: bool = False,
        held: Mapping[str, Score] | None = None,
    ) -> PendingCall:
        return PendingCall(
            session=self.session,
            papers=tuple(papers),
            pass_number=pass_number,
            tries=tries,
            last_resort=last_resort,
            held=held or {},
            prefix=self._prefix(pass_number),
        )

    def _prefix(self, pass_number: int) -> str:
        """The name of the cached prefix, which includes the output schema of the largest size.

        Smaller calls have another schema, but bear the same name: none overtakes a larger one.
        """
        scorer = self.session.scorer
        sizes = scorer.sizes if pass_number == 1 else scorer.second_pass_sizes
        return f"{self.session.rubric.fingerprint}/{sizes[0]}"

    def _queue(self, executor: CallExecutor, calls: Sequence[PendingCall]) -> None:
        self.open_calls += len(calls)
        executor.add(calls)
