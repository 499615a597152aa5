"""How much of a day's picks lies in the first part of the day's order: `make bench-prior`.

Leave one day out: each day of the corpus is ordered by what the other days teach, by our logistic
regression and by scikit-learn's, which must agree. Beside them stands the order by the rubric's
words alone. Recall is the share of the picks among the first so many per cent of the day's papers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from bench.harness import corpus
from newsletter.domain.similarity import count_words, paper_words, similarities
from newsletter.domain.tfidf import WordCounts
from newsletter.scoring.triage import MAX_FEATURES, MIN_TEXTS, STRENGTH, likelihoods

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsletter.domain.model import Paper, Rubric

SHARES = (0.20, 0.35, 0.40, 0.50)
TARGET_SHARE, TARGET = 0.40, 0.94
TOLERANCE = 0.002
"""Of recall, between the two regressions."""


class Lesson(NamedTuple):
    """A day to order, and the papers of other days with those that were picked."""

    rubric: Rubric
    papers: list[Paper]
    picked: set[str]
    past: list[Paper]
    wanted: set[str]


def lesson(day: str, others: Sequence[str]) -> Lesson:
    return Lesson(
        corpus.rubric(day),
        corpus.papers(day),
        set(corpus.labels(day)),
        [paper for other in others for paper in corpus.papers(other)],
        {key for other in others for key in corpus.labels(other)},
    )


def learned(given: Lesson) -> list[float]:
    words = WordCounts()
    count_words(words, given.past)
    hits = {paper.id: paper.id in given.wanted for paper in given.past}
    return likelihoods(given.rubric, given.papers, hits, words)


def learned_by_scikit_learn(given: Lesson) -> list[float]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = TfidfVectorizer(
        stop_words="english", sublinear_tf=True, min_df=MIN_TEXTS, max_features=MAX_FEATURES
    )
    known = vectorizer.fit_transform([paper_words(paper) for paper in given.past])
    model = LogisticRegression(C=STRENGTH, class_weight="balanced", solver="liblinear")
    model.fit(known, [paper.id in given.wanted for paper in given.past])
    fresh = vectorizer.transform([paper_words(paper) for paper in given.papers])
    return [round(float(value), 6) for value in model.predict_proba(fresh)[:, 1]]


def recalls(given: Lesson, values: list[float]) -> list[float]:
    """Recall at each share of the day."""
    pairs = sorted(zip(values, given.papers, strict=True), key=lambda one: (-one[0], one[1].id))
    ids = [paper.id for _, paper in pairs]
    firsts = [ids[: round(share * len(ids))] for share in SHARES]
    return [len(given.picked & set(first)) / len(given.picked) for first in firsts]


def show(name: str, rows: list[list[float]]) -> list[float]:
    means = [sum(column) / len(column) for column in zip(*rows, strict=True)]
    worst = [min(column) for column in zip(*rows, strict=True)]
    cells = "  ".join(
        f"@{share:.0%} {mean:.3f} (worst day {low:.2f})"
        for share, mean, low in zip(SHARES, means, worst, strict=True)
    )
    print(f"{name:<34} {cells}")
    return means


def main() -> int:
    corpus.require()
    lessons = [lesson(day, [other for other in corpus.DAYS if other != day]) for day in corpus.DAYS]
    print(
        f"{len(lessons)} days, {sum(len(one.papers) for one in lessons)} papers, "
        f"{sum(len(one.picked) for one in lessons)} picked"
    )
    means, seconds = {}, {}
    for name, order in (
        ("TF-IDF cosine with the rubric", lambda one: similarities(one.rubric, one.papers)),
        ("logistic regression on other days", learned),
        ("the same by scikit-learn", learned_by_scikit_learn),
    ):
        rows, spent = [], []
        for one in lessons:
            began = time.process_time()
            values = order(one)
            spent.append(time.process_time() - began)
            rows.append(recalls(one, values))
        means[order], seconds[order] = show(name, rows), max(spent)
    print(
        f"learning and ordering a day: {seconds[learned]:.1f} s of processor time at most, "
        f"by scikit-learn {seconds[learned_by_scikit_learn]:.1f} s"
    )
    ours, theirs = means[learned], means[learned_by_scikit_learn]
    apart = max(abs(one - other) for one, other in zip(ours, theirs, strict=True))
    print(f"recall differs from scikit-learn's by at most {apart:.4f}, allowed {TOLERANCE}")
    reached = ours[SHARES.index(TARGET_SHARE)]
    print(f"@{TARGET_SHARE:.0%}: {reached:.3f}, wanted {TARGET}")
    return 0 if reached >= TARGET and apart <= TOLERANCE else 1
