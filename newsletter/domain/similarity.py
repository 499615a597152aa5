"""How similar a paper's words are to a rubric: TF-IDF cosines of words and pairs of words (pure).

    similarity = best criterion + 1/2 keywords - 1/2 unwanted keywords - 1/4 unwanted in criteria

Each term is a cosine. The criteria are compared one by one and the best counts: a paper need not
meet them all. `make bench-triage` compares this with one cosine for the whole rubric.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from newsletter.domain.model import Paper, Rubric
    from newsletter.domain.tfidf import Floats, WordCounts

MAX_TERMS = 200_000
UNWANTED = re.compile(r"^\W*(?:not\b|irrelevant\b|application\b)", re.IGNORECASE)
KEYWORDS_WEIGHT = 0.5
UNWANTED_KEYWORDS_WEIGHT = 0.5
UNWANTED_WEIGHT = 0.25
"""Of lines in criteria: they say what is not meant in words like those that say what is."""


def paper_words(paper: Paper) -> str:
    # The title is the author's own choice of what matters: it counts twice.
    return f"{paper.title} {paper.title} {paper.abstract}"


def count_words(words: WordCounts, papers: Iterable[Paper]) -> None:
    for paper in papers:
        words.add(paper.id, paper_words(paper))


def similarities(
    rubric: Rubric, papers: Sequence[Paper], words: WordCounts | None = None
) -> list[float]:
    """0 to 1 for each paper, in the order given. Words are weighed by their rarity among these.

    `words` are counts that several rubrics share.
    """
    if not papers:
        return []
    return _between_0_and_1(signed_similarities(rubric, papers, words))


def _between_0_and_1(values: Floats) -> list[float]:
    return [round(min(1.0, max(0.0, value)), 6) for value in values.tolist()]


class CountedPapers:
    """Papers whose words are counted once, to be compared with one rubric after another."""

    def __init__(self, papers: Sequence[Paper]) -> None:
        from newsletter.domain.tfidf import CountedTexts

        self._ids = [paper.id for paper in papers]
        self._texts = CountedTexts([paper_words(paper) for paper in papers])

    def similarities(self, rubric: Rubric, papers: Sequence[Paper]) -> list[float]:
        """What `similarities` gives for some of these papers, which are in the same order."""
        import numpy as np

        wanted = {paper.id for paper in papers}
        kept = np.array([one in wanted for one in self._ids], np.bool_)
        criteria, *others = _rubric_texts(rubric)
        cosines = self._texts.cosines(kept, [*criteria, *others], max_words=MAX_TERMS)
        if not papers or cosines is None:
            return similarities(rubric, papers)
        return _between_0_and_1(_combined(cosines, len(criteria)))


def signed_similarities(
    rubric: Rubric, papers: Sequence[Paper], words: WordCounts | None = None
) -> Floats:
    """The same, below 0 for papers that are more like what the rubric does not want."""
    from newsletter.domain import tfidf

    pairs = (tfidf.WordCounts() if words is None else words).with_pairs
    count_words(pairs, papers)
    criteria, *others = _rubric_texts(rubric)
    counts = pairs.matrix([paper.id for paper in papers], [*criteria, *others])
    matrix = tfidf.fit(counts, pairs.words, max_words=MAX_TERMS).vectors(counts)
    number = len(papers)
    cosines = [
        matrix.dot(matrix.dense_row(number + place))[:number]
        for place in range(len(criteria) + len(others))
    ]
    return _combined(cosines, len(criteria))


def _combined(cosines: Sequence[Floats], criteria: int) -> Floats:
    """The first ones are those of the criteria."""
    best = cosines[0]
    for cosine in cosines[1:criteria]:
        best = best.clip(min=cosine)
    keywords, unwanted_keywords, unwanted = cosines[criteria:]
    return (
        best
        + KEYWORDS_WEIGHT * keywords
        - UNWANTED_KEYWORDS_WEIGHT * unwanted_keywords
        - UNWANTED_WEIGHT * unwanted
    )


def _rubric_texts(rubric: Rubric) -> tuple[list[str], str, str, str]:
    """Each criterion, the keywords, unwanted keywords, and what the criteria do not want.

    The scoring bands are about grades. The preface counts where there are no criteria.
    """
    bodies = [_split(one.body) for one in rubric.criteria]
    criteria = [
        f"{one.title}\n{wanted}" for one, (wanted, _) in zip(rubric.criteria, bodies, strict=True)
    ]
    preface, unwanted_preface = _split(rubric.preface)
    keywords, unwanted_keywords = _split(rubric.keywords)
    unwanted = "\n".join(text for _, text in bodies) if criteria else unwanted_preface
    return criteria or [preface], keywords, unwanted_keywords, unwanted


def _split(text: str) -> tuple[str, str]:
    """The lines that say what is wanted, and the others."""
    lines = text.splitlines()
    unwanted = [line for line in lines if UNWANTED.match(line)]
    return "\n".join(line for line in lines if not UNWANTED.match(line)), "\n".join(unwanted)
