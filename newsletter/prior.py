"""Which papers matter, learned from a rubric's own past scores (pure).

Logistic regression on the words of papers that were scored before: on the days of the corpus it
finds nearly all of what a model later picks among the first 40 % of a day. It orders, breaks ties
and stands in when no model answers; it never drops a paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsletter.similarity import paper_words, similarities

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from newsletter.model import Paper, Rubric

LEAST_WANTED = 10
"""Below so many wanted papers the rubric's own words are the better guide."""
MOST_WORDS = 20_000
LATEST = 12_000
"""Papers to learn from, the latest: interests drift, and a morning should not wait for this."""


def likelihoods(
    rubric: Rubric, papers: Sequence[Paper], past: Sequence[Paper], wanted: Collection[str]
) -> list[float]:
    """For each of `papers` how likely it is wanted, 0 to 1; only their order means anything.

    `past` are papers that were scored, oldest first, `wanted` the ids of those that met the bar.
    """
    past = past[-LATEST:]
    hits = [paper.id in wanted for paper in past]
    if sum(hits) < LEAST_WANTED or all(hits) or not papers:
        return similarities(rubric, papers)
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = TfidfVectorizer(  # type: ignore[no-untyped-call]
        stop_words="english", sublinear_tf=True, min_df=2, max_features=MOST_WORDS
    )
    known = vectorizer.fit_transform(  # type: ignore[no-untyped-call]
        [paper_words(paper) for paper in past]
    )
    model = LogisticRegression(  # type: ignore[no-untyped-call]
        C=3.0, class_weight="balanced", solver="liblinear"
    )
    model.fit(known, hits)
    fresh = vectorizer.transform(  # type: ignore[no-untyped-call]
        [paper_words(paper) for paper in papers]
    )
    chances = model.predict_proba(fresh)[:, 1]  # type: ignore[no-untyped-call]
    return [round(float(value), 6) for value in chances]
