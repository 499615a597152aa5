"""Second pass: select the papers and merge both passes' scores (pure)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from newsletter.domain.injection import is_suspicious

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from newsletter.domain.model import Paper, Rubric, Score

MAX_SECOND_PASS = 64
"""More would cost more than the whole first pass."""
RELEVANT, NOVEL = 6, 5
"""From these first scores on a paper may be picked, so its rank matters."""
NEAR_CUT = 2
"""Distance of the total from the cut-off within which the first pass should not decide alone."""
WEIGHT = 2
"""Weight of the second pass against the first: it uses more effort."""
MIN_SPREAD = 2
"""From this difference on both scores are shown."""


def select_for_second_pass(
    rubric: Rubric, papers: Sequence[Paper], first: Mapping[str, Score]
) -> list[Paper]:
    """The papers that may be picked or just miss the cut-off: at most MAX_SECOND_PASS.

    The nearest to the cut-off come first: far from it one pass is enough.
    """
    cut = rubric.relevance + rubric.novelty
    near = [paper for paper in papers if paper.id in first and _may_be_picked(first[paper.id], cut)]
    near.sort(key=lambda paper: (abs(first[paper.id].total - cut), paper.id))
    return near[:MAX_SECOND_PASS]


def _may_be_picked(score: Score, cut: int) -> bool:
    strong = (score.relevance or 0) >= RELEVANT and (score.novelty or 0) >= NOVEL
    return strong or abs(score.total - cut) <= NEAR_CUT


def merge_scores(first: Score, second: Score | None, *, suspicious: bool = False) -> Score:
    """Merge both passes: the weighted mean, the second counting twice, rounded half up.

    For a paper that looks like prompt injection the lower score counts.
    """
    if second is None or first.relevance is None or first.novelty is None:
        return first
    low = min if suspicious else _mean
    relevance, novelty = second.relevance or 0, second.novelty or 0
    return replace(
        second,
        relevance=low(first.relevance, relevance),
        novelty=low(first.novelty, novelty),
        comment=second.comment or first.comment,
        criterion=second.criterion if second.comment else first.criterion,
        relevance_spread=_spread(first.relevance, relevance),
        novelty_spread=_spread(first.novelty, novelty),
    )


def merge_all_scores(
    papers: Iterable[Paper], first: Mapping[str, Score], second: Mapping[str, Score]
) -> dict[str, Score]:
    return {
        paper.id: merge_scores(
            first[paper.id],
            second.get(paper.id),
            suspicious=is_suspicious(paper),
        )
        for paper in papers
        if paper.id in first
    }


def _mean(first: int, second: int) -> int:
    whole = 1 + WEIGHT
    return (2 * (first + WEIGHT * second) + whole) // (2 * whole)


def _spread(first: int, second: int) -> tuple[int, int] | None:
    low, high = sorted((first, second))
    return (low, high) if high - low >= MIN_SPREAD else None
