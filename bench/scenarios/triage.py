"""How much of a day's picks lies in the first part of the day's order: `make bench-triage`.

Recall is the share of the picks among the first so many per cent of the day's papers, the mean over
the days of the corpus and the worst day. Each order stands beside the one before it:

    without scores    one cosine for the whole rubric; the similarity to the best criterion
    with scores       of the 1, 2, 3, 5 or 7 days that precede the day in the corpus (the first day
                      follows the last): logistic regression alone; mixed with the similarity
    after an edit     learning by the rubric's text, which begins anew; by the rubric, from the days
                      that were scored under other texts

Our logistic regression must agree with scikit-learn's.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.harness import corpus
from newsletter.domain import tfidf
from newsletter.domain.similarity import UNWANTED, count_words, paper_words, similarities
from newsletter.domain.tfidf import WordCounts
from newsletter.scoring.triage import MAX_FEATURES, MIN_TEXTS, STRENGTH, likelihoods, log_odds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsletter.domain.model import Paper, Rubric

SHARES = (0.20, 0.35, 0.40, 0.50)
TARGET_SHARE, TARGET = 0.40, 0.94
TOLERANCE = 0.002
"""Of recall, between the two regressions."""
PRECEDING = (1, 2, 3, 5, 7)


class Lesson(NamedTuple):
    """A day to order, and the papers of other days with those that were picked."""

    rubric: Rubric
    papers: list[Paper]
    picked: set[str]
    past: list[Paper]
    wanted: set[str]

    @property
    def hits(self) -> dict[str, bool]:
        return {paper.id: paper.id in self.wanted for paper in self.past}

    @property
    def words(self) -> WordCounts:
        words = WordCounts()
        count_words(words, self.past)
        return words


Order = "Callable[[Lesson], Sequence[float]]"


def lesson(day: str, others: Sequence[str]) -> Lesson:
    return Lesson(
        corpus.rubric(day),
        corpus.papers(day),
        set(corpus.labels(day)),
        [paper for other in others for paper in corpus.papers(other)],
        {key for other in others for key in corpus.labels(other)},
    )


def one_cosine(given: Lesson) -> list[float]:
    """The similarity before: all that is wanted in one text, the rest with half its weight."""
    rubric = given.rubric
    lines = rubric.preface.splitlines() + rubric.keywords.splitlines()
    for item in rubric.criteria:
        lines += [item.title, item.title, *item.body.splitlines()]
    unwanted = [line for line in lines if UNWANTED.match(line)]
    wanted = [line for line in lines if not UNWANTED.match(line)]
    words, number = WordCounts(), len(given.papers)
    count_words(words, given.papers)
    texts = ["\n".join(wanted), "\n".join(unwanted)]
    counts = words.matrix([paper.id for paper in given.papers], texts)
    matrix = tfidf.fit(counts, words.words, max_words=50_000).vectors(counts)
    like, unlike = (matrix.dot(matrix.dense_row(number + place)) for place in (0, 1))
    return [float(value) for value in (like - unlike / 2).clip(min=0.0)[:number]]


def by_similarity(given: Lesson) -> list[float]:
    return similarities(given.rubric, given.papers)


def regression(given: Lesson) -> list[float]:
    return [float(value) for value in log_odds(given.papers, given.hits, given.words)]


def mixed(given: Lesson) -> list[float]:
    return likelihoods(given.rubric, given.papers, given.hits, given.words)


def by_scikit_learn(given: Lesson) -> list[float]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = TfidfVectorizer(
        stop_words="english", sublinear_tf=True, min_df=MIN_TEXTS, max_features=MAX_FEATURES
    )
    known = vectorizer.fit_transform([paper_words(paper) for paper in given.past])
    model = LogisticRegression(C=STRENGTH, class_weight="balanced", solver="liblinear")
    model.fit(known, [paper.id in given.wanted for paper in given.past])
    fresh = vectorizer.transform([paper_words(paper) for paper in given.papers])
    return [float(value) for value in model.decision_function(fresh)]


def recalls(given: Lesson, values: Sequence[float]) -> list[float]:
    """Recall at each share of the day."""
    pairs = sorted(zip(values, given.papers, strict=True), key=lambda one: (-one[0], one[1].id))
    ids = [paper.id for _, paper in pairs]
    firsts = [ids[: round(share * len(ids))] for share in SHARES]
    return [len(given.picked & set(first)) / len(given.picked) for first in firsts]


def preceding(number: int) -> list[Lesson]:
    """Each day, with the days before it in the corpus; the first day follows the last."""
    days = corpus.DAYS
    return [
        lesson(day, [days[place - back] for back in range(1, number + 1)])
        for place, day in enumerate(days)
    ]


def edited() -> list[Lesson]:
    """Each day, with the days that were scored under another text of the rubric."""
    return [
        lesson(day, [other for other in corpus.DAYS if corpus.rubric(other) != corpus.rubric(day)])
        for day in corpus.DAYS
    ]


def astronomy() -> list[Lesson]:
    """The days of another rubric, which were not looked at when the similarity was made."""
    found = []
    for day in corpus.ASTRONOMY_DAYS:
        picked = {key for key, row in corpus.labels(day).items() if row["relevance"] >= 7}  # noqa: PLR2004
        found.append(Lesson(corpus.rubric(day), corpus.papers(day), picked, [], set()))
    return found


def show(name: str, order: Order, lessons: Sequence[Lesson]) -> list[float]:
    rows = np.array([recalls(one, order(one)) for one in lessons])  # type: ignore[operator]
    means, worst = rows.mean(axis=0).tolist(), rows.min(axis=0).tolist()
    cells = "  ".join(
        f"@{share:.0%} {mean:.3f} ({low:.2f})"
        for share, mean, low in zip(SHARES, means, worst, strict=True)
    )
    print(f"{name:<44} {cells}")
    return list(means)


def main() -> int:
    corpus.require()
    all_others = preceding(len(corpus.DAYS) - 1)
    papers, picked = (
        sum(len(part) for part in parts)
        for parts in zip(*((one.papers, one.picked) for one in all_others), strict=True)
    )
    print(f"{len(all_others)} days, {papers} papers, {picked} picked: mean recall (worst day)")
    print("Without scores")
    show("  one cosine (before)", one_cosine, all_others)
    show("  best criterion (now)", by_similarity, all_others)
    show("  three days of astronomy: one cosine", one_cosine, astronomy())
    show("  three days of astronomy: best criterion", by_similarity, astronomy())
    for number in PRECEDING:
        lessons = preceding(number)
        print(f"With scores of {number} day{'s' if number > 1 else ''}")
        show("  logistic regression alone (before)", regression, lessons)
        last = show("  mixed with the similarity (now)", mixed, lessons)
    print("On the first day after an edit of the rubric")
    show("  learned by its text: one cosine (before)", one_cosine, edited())
    show("  learned by the rubric (now)", mixed, edited())
    return 0 if agrees(all_others) and last[SHARES.index(TARGET_SHARE)] >= TARGET else 1


def agrees(lessons: Sequence[Lesson]) -> bool:
    began = time.process_time()
    ours = show("Regression, seven days, on numpy alone", regression, lessons)
    middle = time.process_time()
    theirs = show("the same by scikit-learn", by_scikit_learn, lessons)
    ended = time.process_time()
    each = [spent / len(lessons) for spent in (middle - began, ended - middle)]
    apart = max(abs(one - other) for one, other in zip(ours, theirs, strict=True))
    print(f"seconds of processor for a day: {each[0]:.1f}, by scikit-learn {each[1]:.1f}")
    print(f"recall differs from scikit-learn's by at most {apart:.4f}, allowed {TOLERANCE}")
    return apart <= TOLERANCE
