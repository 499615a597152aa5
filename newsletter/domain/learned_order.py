"""The order that readers' votes teach: logistic regression on the words of voted papers (pure).

A paper's place is by the model's order plus `weight` times its rank by the votes. The weight grows
with the number of votes and with how well the votes predict one another: votes that follow no
pattern change nothing. `python -m bench votes` measures this on the corpus.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from newsletter.domain.similarity import count_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from newsletter.domain.model import Paper
    from newsletter.domain.tfidf import SparseMatrix, WordCounts

MAX_WORDS = 20_000
STRENGTH = 3.0
"""Of the votes against the penalty on large coefficients."""
FOLDS = 5
MIN_OF_A_KIND = 2
"""Papers: one to learn from, one to test."""
MAX_WEIGHT = 2.0
ENOUGH_VOTES = 20
POINTS = 7.0
"""Points of relevance + novelty that a rank from 0 to 1 is worth, chosen with the measure of trust
on one half of the days of `bench votes`. The sums of a day's picks have a standard deviation of one
point."""


@dataclass(frozen=True, slots=True)
class LearnedOrder:
    """How much the readers of a rubric want each paper.

    `votes` is the number of votes, `trust` (0 to 1) how well they predict one another, `likes` the
    probability of a vote for more, by paper.
    """

    votes: int = 0
    trust: float = 0.0
    likes: Mapping[str, float] = field(default_factory=dict)

    @property
    def weight(self) -> float:
        return MAX_WEIGHT * self.trust * min(1.0, self.votes / ENOUGH_VOTES)

    def ranks(self, ids: Iterable[str]) -> dict[str, float]:
        """1 for the paper that the readers want most of these, 0 for the least; ties share."""
        return ranks({key: self.likes.get(key, 0.0) for key in ids})


def ranks(values: Mapping[str, float]) -> dict[str, float]:
    """The values as ranks from 0 (lowest) to 1; equal values share the middle of their ranks."""
    ordered = sorted(values.values())
    first = {value: place for place, value in reversed(list(enumerate(ordered)))}
    last = {value: place for place, value in enumerate(ordered)}
    highest = max(1, len(ordered) - 1)
    return {key: (first[one] + last[one]) / 2 / highest for key, one in values.items()}


def moved_forward(papers: Sequence[Paper], learned: LearnedOrder) -> list[Paper]:
    """`papers`, likeliest first, with those that the readers want moved forward; none moves back
    for a vote against it.
    """
    if not learned.weight or not papers:
        return list(papers)
    wanted = learned.ranks(paper.id for paper in papers)
    keys = {
        paper.id: place / len(papers) - learned.weight * max(0.0, 2 * wanted[paper.id] - 1)
        for place, paper in enumerate(papers)
    }
    return sorted(papers, key=lambda paper: keys[paper.id])


def learn(
    votes: Sequence[tuple[Paper, bool]],
    papers: Sequence[Paper],
    words: WordCounts | None = None,
    trust: float | None = None,
    unvoted: Sequence[Paper] = (),
) -> LearnedOrder:
    """What votes (True: more like this) say about `papers`, the papers of the day that were read.

    Several readers may have voted about one paper. Without two papers of each kind nothing is
    learned. `unvoted` papers of the same mails count as votes for less where those lack. `words`
    are counts that several calls share; `trust` replaces the measured one.
    """
    lacking = lacks_less(votes)
    examples = [*votes, *((paper, False) for paper in unvoted)] if lacking else votes
    folds = _folds(examples)
    if not folds or not papers:
        return LearnedOrder(len(votes))
    from newsletter.domain import tfidf

    words = tfidf.WordCounts() if words is None else words
    known = {paper.id: paper for paper, _ in examples}
    count_words(words, [*known.values(), *papers])
    # The day's papers say how frequent a word is: the votes are too few for that.
    everything = words.matrix([*known, *(paper.id for paper in papers if paper.id not in known)])
    weights = tfidf.fit(everything, words.words, max_words=MAX_WORDS, sublinear=True)
    vectors = weights.vectors(words.matrix(paper.id for paper, _ in examples))
    wanted = [more for _, more in examples]
    trust = _trust(vectors, wanted, folds) if trust is None else trust
    if not trust:
        return LearnedOrder(len(votes))
    fresh = weights.vectors(words.matrix(paper.id for paper in papers))
    likes = _likes(vectors, wanted, fresh)
    by_id = {paper.id: value for paper, value in zip(papers, likes, strict=True)}
    return LearnedOrder(len(votes), trust, by_id)


def lacks_less(votes: Sequence[tuple[Paper, bool]]) -> bool:
    """Whether too few papers have a vote for less, and enough one for more, to learn from them."""
    more, less = ({paper.id for paper, wanted in votes if wanted is kind} for kind in (True, False))
    return len(more) >= MIN_OF_A_KIND > len(less)


def _likes(vectors: SparseMatrix, wanted: Sequence[bool], fresh: SparseMatrix) -> list[float]:
    from newsletter.domain import logistic_regression

    model = logistic_regression.fit(vectors, wanted, STRENGTH)
    return [round(value, 6) for value in model.probabilities(fresh).tolist()]


def _folds(votes: Sequence[tuple[Paper, bool]]) -> list[int]:
    """The fold of each vote; empty if there are too few papers of one kind.

    All votes about a paper are in one fold, and each fold has papers of both kinds.
    """
    balance: dict[str, int] = {}
    for paper, more in votes:
        balance[paper.id] = balance.get(paper.id, 0) + (1 if more else -1)
    liked = [key for key, sum_of_votes in balance.items() if sum_of_votes > 0]
    others = [key for key, sum_of_votes in balance.items() if sum_of_votes <= 0]
    number = min(FOLDS, len(liked), len(others))
    if number < MIN_OF_A_KIND:
        return []
    fold = {key: place % number for kind in (liked, others) for place, key in enumerate(kind)}
    return [fold[paper.id] for paper, _ in votes]


def _trust(vectors: SparseMatrix, wanted: Sequence[bool], folds: Sequence[int]) -> float:
    """How well each vote is predicted from the votes of the other folds; 0 to 1."""
    predicted = [0.0] * len(wanted)
    for fold in range(max(folds) + 1):
        others = [place for place, one in enumerate(folds) if one != fold]
        these = [place for place, one in enumerate(folds) if one == fold]
        known = [wanted[place] for place in others]
        if all(known) or not any(known):
            return 0.0
        found = _likes(_rows(vectors, others), known, _rows(vectors, these))
        for place, value in zip(these, found, strict=True):
            predicted[place] = value
    return round(_beyond_chance(_auc(predicted, wanted), sum(wanted), len(wanted)), 6)


def _beyond_chance(auc: float, more: int, votes: int) -> float:
    """2 x AUC - 1 without one standard error of what random votes reach; 1 if all are predicted.

    The error is that of the Mann-Whitney statistic of so many votes of both kinds.
    """
    error = math.sqrt((votes + 1) / (3 * more * (votes - more)))
    return max(0.0, 2 * auc - 1 - error) / (1 - error) if error < 1 else 0.0


def _rows(matrix: SparseMatrix, rows: Sequence[int]) -> SparseMatrix:
    import numpy as np

    from newsletter.domain.tfidf import SparseMatrix

    places: list[Any] = [np.arange(matrix.starts[row], matrix.starts[row + 1]) for row in rows]
    starts = np.cumsum([0, *map(len, places)]).astype(np.intp)
    inside = np.concatenate(places)
    return SparseMatrix(starts, matrix.columns[inside], matrix.values[inside], matrix.width)


def _auc(values: Sequence[float], wanted: Sequence[bool]) -> float:
    """How often a wanted one is above one that is not; 0.5 if one of the kinds is missing."""
    above = [value for value, more in zip(values, wanted, strict=True) if more]
    below = [value for value, more in zip(values, wanted, strict=True) if not more]
    if not above or not below:
        return 0.5
    won = sum((one > other) + (one == other) / 2 for one in above for other in below)
    return won / len(above) / len(below)
