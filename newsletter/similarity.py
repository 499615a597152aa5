"""How like a rubric a paper's words are: TF-IDF cosine, on this machine, for nothing (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsletter.model import Paper, Rubric

MOST_WORDS = 50_000


def paper_words(paper: Paper) -> str:
    # The title is the author's own choice of what matters: it counts twice.
    return f"{paper.title} {paper.title} {paper.abstract}"


def rubric_words(rubric: Rubric) -> str:
    """What the rubric looks for; its scoring bands are about grades, not about subjects."""
    criteria = "\n".join(f"{item.title} {item.title} {item.body}" for item in rubric.criteria)
    return f"{rubric.preface}\n{criteria}\n{rubric.keywords}"


def similarities(rubric: Rubric, papers: Sequence[Paper]) -> list[float]:
    """0 to 1 for each paper, in the order given. Words are weighed by their rarity among these."""
    if not papers:
        return []
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(  # type: ignore[no-untyped-call]
        stop_words="english",
        ngram_range=(1, 2),
        sublinear_tf=True,
        max_features=MOST_WORDS,
    )
    texts = [paper_words(paper) for paper in papers]
    try:
        matrix = vectorizer.fit_transform(  # type: ignore[no-untyped-call]
            [*texts, rubric_words(rubric)]
        )
    except ValueError:
        # No text holds a single word that is not a stop word: nothing is like anything.
        return [0.0] * len(papers)
    # scikit-learn calls this an ndarray or a sparse matrix, whichever the product is.
    product = (matrix[:-1] @ matrix[-1].T).toarray().ravel()
    return [round(min(1.0, max(0.0, float(value))), 6) for value in product]
