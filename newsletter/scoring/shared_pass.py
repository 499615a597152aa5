"""First pass of several rubrics over common papers: which calls are shared, and how.

    direct         all rubrics ask directly; the first call writes the cache for five minutes
    warmed batch   one rubric asks directly and writes the cache for an hour; the batches of the
                   others read it

What neither covers is each rubric's own.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from newsletter.scoring import chunks
from newsletter.scoring.chunks import ASSUMED_HITS, FirstPassWay, cheapest_way
from newsletter.store import ledger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from newsletter.scoring.executor import CallExecutor
    from newsletter.scoring.rubric_job import RubricJob
    from newsletter.store import Store

HITS_WINDOW = timedelta(days=14)
"""How far back batches show how many of their calls found the cache. Too few, and papers are not
shared in batches until that was so long ago."""


def queue_direct(
    executor: CallExecutor, jobs: Sequence[RubricJob], sizes: Sequence[int], day: date
) -> None:
    """Queue the first pass in direct calls: shared chunks first, the remaining papers by rubric."""
    together = _together(jobs)
    for chunk in chunks.shared_chunks([job.missing() for job in together], sizes, day):
        for place in chunk.rubrics:
            together[place].queue_shared_chunk(executor, chunk)
    for job in jobs:
        job.queue_first_pass(executor)


def queue_before_batch(
    executor: CallExecutor,
    jobs: Sequence[RubricJob],
    sizes: Sequence[int],
    day: date,
    hits: float,
    *,
    direct: bool,
) -> None:
    """Queue the shared direct calls that precede the batches; note what the batches share.

    The rubrics take turns in writing the cache, which costs more than reading it.
    """

    def way_of(papers: int, rubrics: int) -> FirstPassWay:
        return cheapest_way(papers, rubrics, hits, direct=direct)

    def is_worth(papers: int, rubrics: int) -> bool:
        return way_of(papers, rubrics) is not FirstPassWay.BATCH

    together = _together(jobs)
    missing = [job.missing() for job in together]
    for turn, chunk in enumerate(chunks.shared_chunks(missing, sizes, day, is_worth)):
        sharing = [together[place] for place in chunk.rubrics]
        if way_of(len(chunk.papers), len(sharing)) is FirstPassWay.DIRECT:
            for job in sharing:
                job.queue_shared_chunk(executor, chunk)
            continue
        writer = sharing.pop(turn % len(sharing))
        writer.queue_shared_chunk(executor, chunk, cache_for_an_hour=True)
        for job in sharing:
            job.shared_in_batch.append(chunk.papers)


def expected_hits(store: Store, scorer: str, now: datetime) -> float:
    """Share of a batch's calls that find the cache, by the batches of the last two weeks."""
    with store.read() as tx:
        seen = ledger.batch_cache_hits(tx, scorer, now - HITS_WINDOW)
    return ASSUMED_HITS if seen is None else seen


def _together(jobs: Sequence[RubricJob]) -> list[RubricJob]:
    """The rubrics that may share: under a tight budget each reads its likeliest papers first."""
    return [job for job in jobs if job.can_afford_all()]
