"""Triage: which papers are scored, and in which order (pure).

The order is a logistic regression on the words of papers that the rubric scored before, mixed with
the similarity to the rubric's text: on the corpus, nearly all papers that the model picks are among
the first 40 % of a day (`make bench-triage`). It decides which papers are read first where the
budget may not cover all. It never drops a paper; only `exclude` words and duplicates do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from newsletter.domain.authors import followed_author
from newsletter.domain.model import Outcome
from newsletter.domain.sanitize import strip_invisible
from newsletter.domain.similarity import count_words, signed_similarities
from newsletter.domain.withdrawals import is_withdrawn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from newsletter.domain.model import Paper, Rubric
    from newsletter.domain.tfidf import Floats, WordCounts

    PaperIdentity = tuple[str, tuple[str, ...]]

MIN_EXAMPLES = 10
"""With fewer relevant papers, similarity to the rubric's text orders better."""
MAX_FEATURES = 20_000
MIN_TEXTS = 2
"""A word of one paper only teaches nothing about others."""
STRENGTH = 3.0
"""Of the examples against the penalty on large coefficients."""
SIMILARITY_WEIGHT = 0.5
FEW_PICKS = 100
"""About three days of one rubric. Up to here the similarity has its full weight."""


def likelihoods(
    rubric: Rubric,
    papers: Sequence[Paper],
    past: Mapping[str, bool] | None = None,
    words: WordCounts | None = None,
) -> list[float]:
    """A number for each of `papers`: the higher, the likelier it is a pick.

    `past` says of scored papers, by id, whether they met the cut-offs; their words are in `words`,
    which several rubrics share.
    """
    if not papers:
        return []
    similar = signed_similarities(rubric, papers, words)
    hits = list(past.values()) if past else []
    if past and words and sum(hits) >= MIN_EXAMPLES and not all(hits):
        similar = mixed(log_odds(papers, past, words), similar, sum(hits))
    return [round(value, 6) for value in similar.tolist()]


def mixed(learned: Floats, similar: Floats, picks: int) -> Floats:
    """Log odds and similarities on one scale. `picks` were learned from: the more, the less
    the similarity counts.
    """
    weight = SIMILARITY_WEIGHT * min(1.0, FEW_PICKS / picks)
    return _standardized(learned) + weight * _standardized(similar)


def _standardized(values: Floats) -> Floats:
    """With mean 0 and standard deviation 1; all 0 if they are all the same."""
    spread = float(values.std())
    scaled: Floats = (values - values.mean()) / (spread or 1.0)
    return scaled


def log_odds(papers: Sequence[Paper], past: Mapping[str, bool], words: WordCounts) -> Floats:
    """Log odds of meeting the cut-offs, by a logistic regression on the words of `past`."""
    from newsletter.domain import logistic_regression, tfidf

    count_words(words, papers)
    counts = words.matrix(past)
    weights = tfidf.fit(
        counts, words.words, max_words=MAX_FEATURES, min_texts=MIN_TEXTS, sublinear=True
    )
    model = logistic_regression.fit(weights.vectors(counts), list(past.values()), STRENGTH)
    found: Floats = model.log_odds(weights.vectors(words.matrix(paper.id for paper in papers)))
    return found


QUOTES = ('""', "''", "\u201c\u201d", "\u2018\u2019", "\u201e\u201c", "\u00ab\u00bb")
TEX_SPACE = re.compile(r"\\(?:[ ,;:!>]|(?:q?quad|thinspace|enspace|space)(?![A-Za-z]))|[~\s]")
CONSONANT_Y = re.compile(r"[^\Waeiou\d_]y\Z")


def order(
    rubric: Rubric,
    papers: Sequence[Paper],
    past: Mapping[str, bool] | None = None,
    words: WordCounts | None = None,
) -> list[Paper]:
    """Order papers by likelihood; papers of followed authors come first.

    For `past` and `words` see `likelihoods`.
    """
    probabilities = likelihoods(rubric, papers, past, words)
    likelihood = dict(zip((p.id for p in papers), probabilities, strict=True))

    def rank(paper: Paper) -> tuple[bool, float, str]:
        return (not followed_author(rubric, paper), -likelihood[paper.id], paper.id)

    return sorted(papers, key=rank)


@dataclass(frozen=True, slots=True)
class Triage:
    """The papers to score, and the outcomes of the others.

    `also` maps a paper to the other ids under which it was announced. `reasons` has for an excluded
    paper the word, for a duplicate the other id.
    """

    to_read: list[Paper]
    left_out: dict[str, Outcome] = field(default_factory=dict)
    also: dict[str, tuple[str, ...]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def triage(
    rubric: Rubric, papers: Sequence[Paper], picked: Mapping[PaperIdentity, str] | None = None
) -> Triage:
    """Leave out papers with `exclude` words, and duplicates under another id.

    `picked` has the ids of the papers that earlier digests showed. Of several ids on one day the
    oldest is scored, a withdrawn one only if all are.
    """
    kept, excluded = split_excluded(rubric, papers)
    left_out = dict.fromkeys(excluded, Outcome.EXCLUDED)
    reasons = dict(excluded)
    shown_before = picked or {}
    first: dict[PaperIdentity, str] = {}
    also: dict[str, tuple[str, ...]] = {}
    for paper in sorted(kept, key=_oldest_first):
        key = paper_identity(paper.title, paper.authors)
        if key is None:
            continue
        if key in shown_before:
            left_out[paper.id] = Outcome.DUPLICATE
            reasons[paper.id] = shown_before[key]
        elif key in first:
            left_out[paper.id] = Outcome.DUPLICATE
            reasons[paper.id] = first[key]
            also[first[key]] = (*also.get(first[key], ()), paper.id)
        else:
            first[key] = paper.id
    to_read = [paper for paper in kept if paper.id not in left_out]
    return Triage(to_read, left_out, also, reasons)


def paper_identity(title: str, authors: Sequence[str]) -> PaperIdentity | None:
    """Title and authors, to compare papers; None where either is missing.

    Case, white space and TeX spaces are ignored.
    """
    key = (_normalized(title), tuple(_normalized(name) for name in authors))
    return key if key[0] and key[1] else None


def _normalized(text: str) -> str:
    return " ".join(TEX_SPACE.sub(" ", text).split()).casefold()


def _oldest_first(paper: Paper) -> tuple[bool, bool, str]:
    """Sort key: not withdrawn first, then ids from before 2007 (`math/0309136`), then by id."""
    return (is_withdrawn(paper), "/" not in paper.id, paper.id)


def split_excluded(rubric: Rubric, papers: Sequence[Paper]) -> tuple[list[Paper], dict[str, str]]:
    """Split papers by the rubric's `exclude` words in title and abstract, ignoring case.

    Returns the papers to read, and the word that excludes each other paper, by id: the first of
    the rubric's. Papers of followed authors are never excluded.
    """
    patterns = {word: found for word in rubric.exclude if (found := _pattern(word))}
    if not patterns:
        return list(papers), {}
    any_word = _whole_words("|".join(patterns.values()))
    to_read: list[Paper] = []
    excluded: dict[str, str] = {}
    for paper in papers:
        text = strip_invisible(f"{paper.title}\n{paper.abstract}").casefold()
        if not any_word.search(text) or followed_author(rubric, paper):
            to_read.append(paper)
            continue
        words = (word for word, found in patterns.items() if _whole_words(found).search(text))
        excluded[paper.id] = next(words)
    return to_read, excluded


def _whole_words(pattern: str) -> re.Pattern[str]:
    # Not \b: it would not match the end of "c++" or "q#".
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)")


def _pattern(word: str) -> str:
    """Regular expression for an excluded word or phrase: whole words, and the plural.

    A quoted phrase has no plural. Any white space may separate words. Empty for no word.
    """
    text = word.strip().casefold()
    quoted = len(text) > 1 and text[0] + text[-1] in QUOTES
    words = (text[1:-1] if quoted else text).split()
    if not words:
        return ""
    *before, last = words
    ending = re.escape(last)
    if not quoted and last[-1].isalpha():
        ending = f"{ending[:-1]}(?:y|ies)" if CONSONANT_Y.search(last) else f"{ending}(?:e?s)?"
    return r"\s+".join([*(re.escape(one) for one in before), ending])
