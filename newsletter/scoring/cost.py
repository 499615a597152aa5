"""About what a rubric's ordinary day will cost, before it is adopted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from newsletter.scorers import ScoringRequest
from newsletter.scoring import chunks, second_opinion
from newsletter.scoring.session import ScoringSession
from newsletter.store import scores
from newsletter.store.ledger import Budget

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from newsletter.context import App
    from newsletter.domain.model import Paper, Rubric
    from newsletter.scorers import Scorer

AGAIN = 0.12
"""Of a day's papers, the share that is read a second time: 64 of 548 on the corpus, or fewer."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Tokens and nano-dollars of a day; without the cache, so a little too high."""

    papers: int
    calls: int
    prompt_tokens: int
    output_tokens: int
    nanos: int


def estimate(
    scorer: Scorer, rubric: Rubric, papers: Sequence[Paper], day: date, at: datetime
) -> Estimate | None:
    """From the other side's own count of a few calls' tokens, which is free.

    None when the scorer costs nothing or there is no paper to go by. Raises ScorerError.
    """
    passes = [list(papers)]
    if scorer.second_opinion:
        passes.append(list(papers[: min(second_opinion.MOST, round(AGAIN * len(papers)))]))
    total = [0, 0, 0, 0]
    for reading, part in enumerate(passes, 1):
        sample: dict[int, tuple[int, int, int]] = {}
        for piece in chunks.pass_over(part, scorer.sizes, day, reading=reading):
            if len(piece) not in sample:
                usage = scorer.weigh(scorer.call(ScoringRequest(rubric, piece, reading), at))
                if usage is None:
                    return None
                sample[len(piece)] = usage.prompt_tokens, usage.output_tokens, usage.total_nanos
            total = [a + b for a, b in zip(total, (1, *sample[len(piece)]), strict=True)]
    return Estimate(len(papers), *total) if papers else None


def price(app: App, rubric: Rubric, day: date, papers: Sequence[Paper]) -> tuple[int, int]:
    """Papers that are not scored yet, and the sum of their first calls' upper bounds.

    A second opinion on the papers around the cut comes on top of it.
    """
    scorer = app.scorer
    desk = ScoringSession(app.store, scorer, rubric, day, Budget(0), app.clock)
    with app.store.read() as tx:
        known = scores.known(tx, desk.account, [paper.id for paper in papers])[1]
    missing = [paper for paper in papers if paper.id not in known]
    pieces = chunks.pass_over(missing, scorer.sizes, day, reading=1)
    now = app.clock()
    calls = (scorer.call(ScoringRequest(rubric, piece), now) for piece in pieces)
    return len(missing), sum(call.upper_nanos for call in calls)
