"""Score the unscored papers of one or several rubrics within a budget; give each paper an outcome.

    recover      parse the answers that an earlier process paid for
    first pass   every paper; the likeliest first where the budget may not cover all
    retry        papers that an answer left open, in smaller chunks, in the end alone
    second pass  the papers near the cut-off
    merge        both passes become one score

All decisions are taken in the calling thread (`scoring/executor.py`); pool threads only wait for
answers.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from newsletter.domain.model import Outcome
from newsletter.domain.similarity import count_words
from newsletter.scoring import batches, shared_pass
from newsletter.scoring.executor import CallExecutor, ScoringFailed, ScoringLimits
from newsletter.scoring.rubric_job import RubricJob, RubricScores
from newsletter.scoring.session import ScoringSession
from newsletter.scoring.triage import order
from newsletter.store import ledger
from newsletter.store.ledger import Account, Budget
from newsletter.store.papers import by_ids
from newsletter.store.scores import known, training_papers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date, datetime

    from newsletter.domain.model import Paper, Rubric
    from newsletter.domain.tfidf import WordCounts
    from newsletter.scorers import ScoredPapers, Scorer
    from newsletter.scoring.executor import PendingCall, ResultHandler
    from newsletter.store import Store

__all__ = [
    "RubricScores",
    "ScoringFailed",
    "ScoringLimits",
    "ScoringTarget",
    "score",
    "score_all",
    "sort_by_likelihood",
]


MAX_EXAMPLES = 12_000
"""Only the latest papers are learned from: interests drift, and training takes time."""
UNUSABLE = "the model answered without usable scores for them"


@dataclass(frozen=True, slots=True)
class ScoringTarget:
    """The papers to be scored for one rubric, likeliest first."""

    rubric: Rubric
    papers: Sequence[Paper]


def sort_by_likelihood(
    store: Store,
    scorer: Scorer,
    rubric: Rubric,
    day: date,
    papers: Sequence[Paper],
    words: WordCounts | None = None,
) -> list[Paper]:
    """Order the papers by likelihood, learned from the rubric's past scores.

    Learning takes time; it is skipped when all papers are scored already. `words` are counts that
    the rubrics of a day share.
    """
    from newsletter.domain.tfidf import WordCounts

    account = Account(rubric.slug, rubric.fingerprint, scorer.name, day, "")
    with store.read() as tx:
        read = known(tx, account, [paper.id for paper in papers])[1]
        if all(paper.id in read for paper in papers):
            return list(papers)
        past = training_papers(tx, account, rubric.relevance, rubric.novelty, MAX_EXAMPLES)
        for paper in papers:
            past.pop(paper.id, None)
        words = WordCounts() if words is None else words
        count_words(words, by_ids(tx, [paper_id for paper_id in past if paper_id not in words]))
    return order(rubric, papers, past, words)


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
    """Score `papers`, likeliest first. Raises ScoringFailed; paid answers are stored.

    A different `salt` gives a different order and other chunks.
    """
    [done] = score_all(
        store,
        scorer,
        day,
        [ScoringTarget(rubric, papers)],
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
    targets: Sequence[ScoringTarget],
    limits: ScoringLimits,
    *,
    clock: Callable[[], datetime],
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    salt: str = "",
) -> list[RubricScores]:
    """Score for several rubrics, which share the cost of the papers they have in common.

    Returns one result for each target, in order. `limits.budget_nanos` is for each rubric. Raises
    ScoringFailed: a fatal failure of one rubric's calls stops all.
    """
    jobs = _rubric_jobs(store, scorer, day, targets, limits, clock, salt)
    executor = CallExecutor(limits, clock)
    batching = batches.should_use(limits, scorer.batcher, len(jobs), clock())
    for job in jobs:
        job.session.preallocate_answer_file()
        job.recover()
        job.second_pass_in_batch = batching
    on_result = _result_handler(jobs, progress)
    if batching:
        _share_before_batch(executor, jobs, scorer, day, limits, on_result)
    kept = _run_batch(jobs, limits, clock, pass_number=1, batching=batching)
    shared_pass.queue_direct(executor, jobs, scorer.sizes, day)
    executor.run(on_result)
    if batching:
        # The time left may be too short for another batch, or the first batch was lost.
        still = kept and batches.should_use(limits, scorer.batcher, len(jobs), clock(), passes=1)
        _run_batch(jobs, limits, clock, pass_number=2, batching=still)
        for job in jobs:
            job.queue_second_pass(executor)
        executor.run(on_result)
    return [_with_cause(store, job) for job in jobs]


def _rubric_jobs(
    store: Store,
    scorer: Scorer,
    day: date,
    targets: Sequence[ScoringTarget],
    limits: ScoringLimits,
    clock: Callable[[], datetime],
    salt: str,
) -> list[RubricJob]:
    """One job for each target; they share the write lock and the rate limiter."""
    budget = Budget(limits.budget_nanos, limits.month_budget_nanos)
    rate_limiter = replace(limits.rate_limiter, max_backoff=limits.max_backoff)
    shared = (threading.Lock(), limits.stop.is_set, threading.Event())
    return [
        RubricJob(
            ScoringSession(store, scorer, target.rubric, day, budget, clock, rate_limiter, *shared),
            list(target.papers),
            salt,
        )
        for target in targets
    ]


def _result_handler(
    jobs: Sequence[RubricJob], progress: Callable[[int, int], None]
) -> ResultHandler:
    """Passes each result to its rubric's job and reports how many papers are done."""
    by_session = {id(job.session): job for job in jobs}
    total = sum(len(job.papers) for job in jobs)
    # To count the papers of all jobs after each result would take longer, the more rubrics.
    known = {key: job.known for key, job in by_session.items()}

    def report() -> None:
        progress(sum(known.values()), total)

    def on_result(
        executor: CallExecutor, pending: PendingCall, ending: ScoredPapers | Outcome
    ) -> None:
        key = id(pending.session)
        by_session[key].on_result(executor, pending, ending)
        known[key] = by_session[key].known
        report()

    report()
    return on_result


def _with_cause(store: Store, job: RubricJob) -> RubricScores:
    """The job's result with the last reason why papers failed."""
    result = job.result()
    failed = {key for key, outcome in result.outcomes.items() if outcome is Outcome.FAILED}
    if not failed:
        return result
    with store.read() as tx:
        return replace(
            result, cause=ledger.last_reason(tx, job.session.account, failed) or UNUSABLE
        )


def _share_before_batch(
    executor: CallExecutor,
    jobs: Sequence[RubricJob],
    scorer: Scorer,
    day: date,
    limits: ScoringLimits,
    on_result: ResultHandler,
) -> None:
    """Make the direct calls that let rubrics share papers on a day with batches.

    Not for rubrics that have a batch of an earlier process, and not for equal ones: their papers
    are in flight, and a direct call would wait for them.
    """
    fingerprints = {job.session.rubric.fingerprint for job in jobs if job.session.batched_calls()}
    free = [job for job in jobs if job.session.rubric.fingerprint not in fingerprints]
    if len(free) > 1:
        session = free[0].session
        hits = shared_pass.expected_hits(session.store, scorer.name, session.clock())
        direct = limits.mode == "auto"
        shared_pass.queue_before_batch(executor, free, scorer.sizes, day, hits, direct=direct)
        executor.run(on_result)


def _run_batch(
    jobs: Sequence[RubricJob],
    limits: ScoringLimits,
    clock: Callable[[], datetime],
    *,
    pass_number: int,
    batching: bool,
) -> bool:
    """Submit a pass as batches and wait; or only wait for batches of an earlier process.

    Returns False when calls had to be given up.
    """
    for job in jobs:
        left_over = job.session.batched_calls()
        if batching and not left_over:
            batches.submit(job.session, job.requests(pass_number))
            left_over = job.session.batched_calls()
        job.in_batch = bool(left_over)
    waiting = [job for job in jobs if job.in_batch]
    collections = [batches.Collection(job.session, job.papers) for job in waiting]
    kept = batches.collect(collections, limits, clock)
    for job in waiting:
        job.recover()
    return kept
