"""How far two judgements of the same papers agree: two runs, two rubrics, or labels (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from newsletter.model import Rubric, Score

HIGH = 17
"""A total from which on a paper should never be missed."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of two runs over the same papers; drifts are second minus first, on the 1 to 10 scale."""

    papers: int
    jaccard: float
    same: float
    relevance_apart: float
    novelty_apart: float
    relevance_drift: float
    novelty_drift: float


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Against a labelled day, ours beside the labels.

    `jaccard` and `recall_high` are of as many of our best as there are labels, whatever our scale;
    `jaccard_at_bar`, `recall` and `precision` of what meets the rubric's own bar, by our scores and
    by the labels. Drifts are ours minus the label's. None stands for a share of nothing.
    """

    labels: int
    jaccard: float
    recall_high: float | None
    jaccard_at_bar: float
    recall: float | None
    precision: float | None
    relevance_apart: float
    novelty_apart: float
    relevance_drift: float
    novelty_drift: float


def picked(rubric: Rubric, scores: Mapping[str, Score]) -> set[str]:
    """The ids that meet the rubric's cut-offs."""
    return {
        paper_id
        for paper_id, score in scores.items()
        if (score.relevance or 0) >= rubric.relevance and (score.novelty or 0) >= rubric.novelty
    }


def agreement(rubric: Rubric, first: Mapping[str, Score], second: Mapping[str, Score]) -> Agreement:
    both = sorted(first.keys() & second.keys())
    pairs = [(first[key], second[key]) for key in both]
    relevance = [(b.relevance or 0) - (a.relevance or 0) for a, b in pairs]
    novelty = [(b.novelty or 0) - (a.novelty or 0) for a, b in pairs]
    chosen = [picked(rubric, {key: run[key] for key in both}) for run in (first, second)]
    equal = [r == n == 0 for r, n in zip(relevance, novelty, strict=True)]
    return Agreement(
        papers=len(both),
        jaccard=jaccard(*chosen),
        same=_mean(equal),
        relevance_apart=_mean([abs(value) for value in relevance]),
        novelty_apart=_mean([abs(value) for value in novelty]),
        relevance_drift=_mean(relevance),
        novelty_drift=_mean(novelty),
    )


def against(
    rubric: Rubric, labels: Mapping[str, tuple[int, int]], scores: Mapping[str, Score]
) -> Fidelity:
    """Labels are (relevance, novelty) by id: a selection, so what is not in it has no label."""
    ranked = sorted(scores.values(), key=_rank)
    best = {score.paper_id for score in ranked[: len(labels)]}
    both = sorted(labels.keys() & scores.keys())
    high = {key for key, (relevance, novelty) in labels.items() if relevance + novelty >= HIGH}
    ours = picked(rubric, scores)
    theirs = {k for k, (r, n) in labels.items() if r >= rubric.relevance and n >= rubric.novelty}
    relevance = [(scores[key].relevance or 0) - labels[key][0] for key in both]
    novelty = [(scores[key].novelty or 0) - labels[key][1] for key in both]
    return Fidelity(
        labels=len(labels),
        jaccard=jaccard(best, set(labels)),
        recall_high=_share(high & best, high),
        jaccard_at_bar=jaccard(ours, theirs),
        recall=_share(ours & theirs, theirs),
        precision=_share(ours & theirs, ours),
        relevance_apart=_mean([abs(value) for value in relevance]),
        novelty_apart=_mean([abs(value) for value in novelty]),
        relevance_drift=_mean(relevance),
        novelty_drift=_mean(novelty),
    )


def jaccard(left: set[str], right: set[str]) -> float:
    """1.0 for two empty sets: they agree."""
    return len(left & right) / len(left | right) if left | right else 1.0


def _share(part: set[str], whole: set[str]) -> float | None:
    return len(part) / len(whole) if whole else None


def _rank(score: Score) -> tuple[int, int, int, str]:
    return (-score.total, -(score.relevance or 0), -score.fine, score.paper_id)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
