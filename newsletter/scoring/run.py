"""Score what is not scored yet, within a budget, and say what became of every paper.

    recover     what an earlier life paid for is read first
    first pass  every paper, the likeliest first where the money may not reach
    again       only what an answer left open, in smaller company, in the end alone
    second      the papers around the cut, by a reading of its own
    settle      both readings become one score

All decisions are taken in the calling thread, `scoring/executor.py`; the others only wait for
answers.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from newsletter.domain.model import Outcome
from newsletter.scoring import batches, chunks
from newsletter.scoring.executor import CallExecutor, ScoringFailed, ScoringLimits
from newsletter.scoring.rubric_job import RubricJob, RubricScores
from newsletter.scoring.session import ScoringSession
from newsletter.scoring.triage import LATEST, order
from newsletter.store import ledger
from newsletter.store.ledger import Account, Budget
from newsletter.store.scores import known, training_papers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date, datetime

    from newsletter.domain.model import Paper, Rubric
    from newsletter.scorers import ScoredPapers, Scorer
    from newsletter.scoring.executor import PendingCall
    from newsletter.store import Store

__all__ = [
    "RubricScores",
    "ScoringFailed",
    "ScoringLimits",
    "ScoringWant",
    "likeliest_first",
    "score",
    "score_all",
]


UNUSABLE = "the model answered, and what it answered does not score them"


@dataclass(frozen=True, slots=True)
class ScoringWant:
    """The papers to be scored for one rubric, likeliest first."""

    rubric: Rubric
    papers: Sequence[Paper]


def likeliest_first(
    store: Store, scorer: Scorer, rubric: Rubric, day: date, papers: Sequence[Paper]
) -> list[Paper]:
    """The order in which to read the papers, learnt from the rubric's past scores.

    Learning takes seconds; where all were read already their order is no matter.
    """
    account = Account(rubric.slug, rubric.fingerprint, scorer.name, day, "")
    with store.read() as tx:
        read = known(tx, account, [paper.id for paper in papers])[1]
        if all(paper.id in read for paper in papers):
            return list(papers)
        past, wanted = training_papers(tx, account, rubric.relevance, rubric.novelty, LATEST)
    today = {paper.id for paper in papers}
    return order(rubric, papers, [paper for paper in past if paper.id not in today], wanted)


def score(
    store: Store,
    scorer: Scorer,
    rubric: Rubric,
    day: date,
    papers: Sequence[Paper],
    limits: ScoringLimits,
    *,
    clock: Callable[[], datetime],
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    salt: str = "",
) -> RubricScores:
    """Score `papers`, given likeliest first. Raises ScoringFailed, after storing what was paid.

    With another `salt` they are asked about in another order and company.
    """
    [done] = score_all(
        store,
        scorer,
        day,
        [ScoringWant(rubric, papers)],
        limits,
        clock=clock,
        progress=progress,
        salt=salt,
    )
    return done


def score_all(
    store: Store,
    scorer: Scorer,
    day: date,
    wants: Sequence[ScoringWant],
    limits: ScoringLimits,
    *,
    clock: Callable[[], datetime],
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    salt: str = "",
) -> list[RubricScores]:
    """Score for several rubrics, which then share the cost of the papers they have in common.

    One result for each want, in their order. `limits.budget_nanos` is for each rubric. Raises
    ScoringFailed as `score` does: what stops one rubric's calls stops all.
    """
    budget = Budget(limits.budget_nanos, limits.month_budget_nanos)
    pace = replace(limits.pace, longest_pause=limits.longest_pause)
    shared = (threading.Lock(), limits.stop.is_set, threading.Event())
    jobs = [
        RubricJob(
            ScoringSession(store, scorer, want.rubric, day, budget, clock, pace, *shared),
            list(want.papers),
            salt,
        )
        for want in wants
    ]
    crew = CallExecutor(limits, clock)
    batching = batches.wanted(limits, scorer.batcher, len(jobs), clock())
    for job in jobs:
        job.desk.set_room_aside()
        job.recover()
        job.waits_for_second = batching
    kept = _in_bulk(jobs, limits, reading=1, batching=batching)
    _begin(crew, jobs, scorer.sizes, day, sharing=not batching)
    by_desk = {id(job.desk): job for job in jobs}
    total = sum(len(job.papers) for job in jobs)
    progress(sum(job.known for job in jobs), total)

    def follow(crew: CallExecutor, task: PendingCall, ending: ScoredPapers | Outcome) -> None:
        by_desk[id(task.desk)].follow(crew, task, ending)
        progress(sum(job.known for job in jobs), total)

    crew.work(follow)
    if batching:
        # What the first batch left of the time may be too short for another, or it was lost.
        still = kept and batches.wanted(limits, scorer.batcher, len(jobs), clock())
        _in_bulk(jobs, limits, reading=2, batching=still)
        for job in jobs:
            job.second_pass(crew)
        crew.work(follow)
    return [_with_cause(store, job) for job in jobs]


def _with_cause(store: Store, job: RubricJob) -> RubricScores:
    """What became of the papers, and why some of them failed: what was said of them last."""
    result = job.result()
    failed = {key for key, outcome in result.outcomes.items() if outcome is Outcome.FAILED}
    if not failed:
        return result
    with store.read() as tx:
        return replace(result, cause=ledger.last_reason(tx, job.desk.account, failed) or UNUSABLE)


def _in_bulk(
    jobs: Sequence[RubricJob], limits: ScoringLimits, *, reading: int, batching: bool
) -> bool:
    """Hand a pass over in bulk and wait for it; or only for what an earlier life handed over.

    False when something of it had to be given up.
    """
    kept = True
    for job in jobs:
        left_over = job.desk.in_batches()
        if batching and not left_over:
            batches.submit(job.desk, job.requests(reading))
            left_over = job.desk.in_batches()
        job.in_bulk = bool(left_over)
    for job in [job for job in jobs if job.in_bulk]:
        kept = batches.collect(job.desk, job.papers, limits) and kept
        job.recover()
    return kept


def _begin(
    crew: CallExecutor, jobs: Sequence[RubricJob], sizes: Sequence[int], day: date, *, sharing: bool
) -> None:
    """Queue the first pass: what is worth sharing by chunk, the rest by rubric."""
    # Under a tight budget the likeliest papers go first, and that order is each rubric's own.
    together = [job for job in jobs if sharing and job.can_afford_all()]
    for chunk in chunks.shared([job.missing() for job in together], sizes, day):
        for place in chunk.rubrics:
            together[place].join(crew, chunk)
    for job in jobs:
        job.begin(crew)
