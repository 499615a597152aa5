"""Two readings of a paper: who gets the second, and what both together say (pure)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from newsletter.domain.sanitize import looks_like_injection

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from newsletter.domain.model import Paper, Rubric, Score

MOST = 64
"""Four calls' worth: beyond it a second opinion costs more than reading the whole day once."""
RELEVANT, NOVEL = 6, 5
"""From these first scores on a paper may end in the digest, so its place there matters."""
NEAR = 2
"""So close to the cut, both scores together, the first reading alone should not decide."""
WEIGHT = 2
"""What the second reading weighs against the first: it had more thought and fewer neighbours."""
DISSENT = 2
"""From this difference on the reader is shown both."""


def select_for_second_pass(
    rubric: Rubric, papers: Sequence[Paper], first: Mapping[str, Score]
) -> list[Paper]:
    """The papers to read again: those that may be picked or only just are not, at most MOST.

    The nearest to the cut come first; where only one reading can be had, it should be of those far
    from it.
    """
    cut = rubric.relevance + rubric.novelty
    near = [paper for paper in papers if paper.id in first and _open(first[paper.id], cut)]
    near.sort(key=lambda paper: (abs(first[paper.id].total - cut), paper.id))
    return near[:MOST]


def _open(score: Score, cut: int) -> bool:
    strong = (score.relevance or 0) >= RELEVANT and (score.novelty or 0) >= NOVEL
    return strong or abs(score.total - cut) <= NEAR


def merge_scores(first: Score, second: Score | None, *, suspicious: bool = False) -> Score:
    """The score shown: the mean of both readings, the second counting twice, rounded half up.

    Of a paper that speaks to the model the lower of both counts.
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
            suspicious=looks_like_injection(f"{paper.title}\n{paper.abstract}"),
        )
        for paper in papers
        if paper.id in first
    }


def _mean(first: int, second: int) -> int:
    whole = 1 + WEIGHT
    return (2 * (first + WEIGHT * second) + whole) // (2 * whole)


def _spread(first: int, second: int) -> tuple[int, int] | None:
    low, high = sorted((first, second))
    return (low, high) if high - low >= DISSENT else None
