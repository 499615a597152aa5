"""Cost estimates for scoring a rubric's day."""

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

SECOND_PASS_SHARE = 0.12
"""Share of a day's papers in the second pass: at most 64 of 548 on the corpus."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Tokens and nano-dollars of a day; ignores caching, so a little too high."""

    papers: int
    calls: int
    prompt_tokens: int
    output_tokens: int
    nanos: int


def estimate(
    scorer: Scorer, rubric: Rubric, papers: Sequence[Paper], day: date, at: datetime
) -> Estimate | None:
    """Estimate from the provider's free token count of a few calls.

    None when the scorer is free or there are no papers. Raises ScorerError.
    """
    passes = [list(papers)]
    if scorer.second_opinion:
        passes.append(
            list(papers[: min(second_opinion.MOST, round(SECOND_PASS_SHARE * len(papers)))])
        )
    total = [0, 0, 0, 0]
    for pass_number, part in enumerate(passes, 1):
        sample: dict[int, tuple[int, int, int]] = {}
        for piece in chunks.shuffled_chunks(part, scorer.sizes, day, pass_number=pass_number):
            if len(piece) not in sample:
                usage = scorer.estimate_usage(
                    scorer.call(ScoringRequest(rubric, piece, pass_number), at)
                )
                if usage is None:
                    return None
                sample[len(piece)] = usage.prompt_tokens, usage.output_tokens, usage.total_nanos
            total = [a + b for a, b in zip(total, (1, *sample[len(piece)]), strict=True)]
    return Estimate(len(papers), *total) if papers else None


def price(app: App, rubric: Rubric, day: date, papers: Sequence[Paper]) -> tuple[int, int]:
    """Number of unscored papers, and the upper bound of the first pass over them.

    The second pass is not included.
    """
    scorer = app.scorer
    session = ScoringSession(app.store, scorer, rubric, day, Budget(0), app.clock)
    with app.store.read() as tx:
        known = scores.known(tx, session.account, [paper.id for paper in papers])[1]
    missing = [paper for paper in papers if paper.id not in known]
    pieces = chunks.shuffled_chunks(missing, scorer.sizes, day, pass_number=1)
    now = app.clock()
    calls = (scorer.call(ScoringRequest(rubric, piece), now) for piece in pieces)
    return len(missing), sum(call.upper_nanos for call in calls)
