"""Cost of scoring, before anything is paid: upper bounds, and estimates by counted tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from newsletter.scorers import ScoringRequest
from newsletter.scoring import chunks, second_opinion
from newsletter.store import scores
from newsletter.store.ledger import Account

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from newsletter.domain.model import Paper, Rubric
    from newsletter.scorers import Scorer
    from newsletter.store import Store

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
    passes = [(scorer.sizes, papers)]
    if scorer.second_opinion:
        share = round(SECOND_PASS_SHARE * len(papers))
        near_cut = papers[: min(second_opinion.MAX_SECOND_PASS, share)]
        passes.append((scorer.second_pass_sizes, near_cut))
    total = [0, 0, 0, 0]
    for pass_number, (sizes, part) in enumerate(passes, 1):
        sample: dict[int, tuple[int, int, int]] = {}
        for piece in chunks.shuffled_chunks(part, sizes, day, pass_number=pass_number):
            if len(piece) not in sample:
                usage = scorer.estimate_usage(
                    scorer.call(ScoringRequest(rubric, piece, pass_number), at)
                )
                if usage is None:
                    return None
                sample[len(piece)] = usage.prompt_tokens, usage.output_tokens, usage.total_nanos
            total = [a + b for a, b in zip(total, (1, *sample[len(piece)]), strict=True)]
    return Estimate(len(papers), *total) if papers else None


@dataclass(frozen=True, slots=True)
class CostPreview:
    """The most that the first pass over a rubric's papers costs, in nano-dollars.

    The second pass is not included.
    """

    rubric: Rubric
    day: date
    papers: Sequence[Paper]
    upper_nanos: int


def preview_cost(
    scorer: Scorer, rubric: Rubric, day: date, papers: Sequence[Paper], now: datetime
) -> CostPreview:
    pieces = chunks.shuffled_chunks(papers, scorer.sizes, day, pass_number=1)
    calls = (scorer.call(ScoringRequest(rubric, piece), now) for piece in pieces)
    return CostPreview(rubric, day, papers, sum(call.upper_nanos for call in calls))


def unscored(
    store: Store, scorer: Scorer, rubric: Rubric, day: date, papers: Sequence[Paper]
) -> list[Paper]:
    """The papers without a stored score of this rubric and scorer."""
    account = Account(rubric.slug, rubric.fingerprint, scorer.name, day, "")
    with store.read() as tx:
        known = scores.known(tx, account, [paper.id for paper in papers])[1]
    return [paper for paper in papers if paper.id not in known]


def expected_share(scorer: Scorer, previews: Sequence[CostPreview], now: datetime) -> float:
    """Expected cost as a share of the upper bounds; 0 for a free scorer. Raises ScorerError.

    The tokens of the largest preview are counted, and stand for the others.
    """
    largest = max(previews, key=lambda preview: preview.upper_nanos)
    if not largest.upper_nanos:
        return 0.0
    counted = estimate(scorer, largest.rubric, largest.papers, largest.day, now)
    return counted.nanos / largest.upper_nanos if counted else 0.0
