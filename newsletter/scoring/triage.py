"""Which papers matter, learned from a rubric's own past scores (pure).

Logistic regression on the words of papers that were scored before: on the days of the corpus it
finds nearly all of what a model later picks among the first 40 % of a day. It orders, breaks ties
and stands in when no model answers; it never drops a paper.

Which papers are read, and which of them first (pure).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from newsletter.domain.authors import followed_author
from newsletter.domain.model import Outcome
from newsletter.domain.sanitize import strip_invisible
from newsletter.domain.similarity import paper_words, similarities
from newsletter.domain.withdrawals import is_withdrawn

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from newsletter.domain.model import Paper, Rubric

    Same = tuple[str, tuple[str, ...]]

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


QUOTES = ('""', "''", "\u201c\u201d", "\u2018\u2019", "\u201e\u201c", "\u00ab\u00bb")
TEX_SPACE = re.compile(r"\\(?:[ ,;:!>]|(?:q?quad|thinspace|enspace|space)(?![A-Za-z]))|[~\s]")
CONSONANT_Y = re.compile(r"[^\Waeiou\d_]y\Z")


def order(
    rubric: Rubric,
    papers: Sequence[Paper],
    past: Sequence[Paper] = (),
    wanted: Collection[str] = (),
) -> list[Paper]:
    """The likeliest to matter first; followed authors before all others.

    `past` are papers scored on earlier days, oldest first, `wanted` the ids that met the bar.
    """
    chances = likelihoods(rubric, papers, past, wanted)
    likeness = dict(zip((p.id for p in papers), chances, strict=True))

    def rank(paper: Paper) -> tuple[bool, float, str]:
        return (not followed_author(rubric, paper), -likeness[paper.id], paper.id)

    return sorted(papers, key=rank)


@dataclass(frozen=True, slots=True)
class Triage:
    """Which papers are read, and what becomes of the others.

    `also` has for a paper the other ids under which it was announced too.
    """

    to_read: list[Paper]
    left_out: dict[str, Outcome] = field(default_factory=dict)
    also: dict[str, tuple[str, ...]] = field(default_factory=dict)


def triage(rubric: Rubric, papers: Sequence[Paper], picked: Iterable[Same] = ()) -> Triage:
    """What is read: neither what the rubric excludes, nor a paper a second time under another id.

    `picked` identifies the papers that earlier digests showed: whoever read those is not shown
    them again. Of several ids on one day the oldest is read, a withdrawn one only if all are.
    """
    kept, excluded = split_excluded(rubric, papers)
    left_out = {paper.id: Outcome.EXCLUDED for paper in excluded}
    shown_before = set(picked)
    first: dict[Same, str] = {}
    also: dict[str, tuple[str, ...]] = {}
    for paper in sorted(kept, key=_oldest_first):
        key = same(paper.title, paper.authors)
        if key is None:
            continue
        if key in shown_before:
            left_out[paper.id] = Outcome.DUPLICATE
        elif key in first:
            left_out[paper.id] = Outcome.DUPLICATE
            also[first[key]] = (*also.get(first[key], ()), paper.id)
        else:
            first[key] = paper.id
    return Triage([paper for paper in kept if paper.id not in left_out], left_out, also)


def same(title: str, authors: Sequence[str]) -> Same | None:
    """What two ids of one paper have in common; None where title or authors are missing.

    Case, spaces and TeX's spaces make no difference, all else does.
    """
    key = (_plain(title), tuple(_plain(name) for name in authors))
    return key if key[0] and key[1] else None


def _plain(text: str) -> str:
    return " ".join(TEX_SPACE.sub(" ", text).split()).casefold()


def _oldest_first(paper: Paper) -> tuple[bool, bool, str]:
    """By id, those from before 2007 (`math/0309136`) before all others."""
    return (is_withdrawn(paper), "/" not in paper.id, paper.id)


def split_excluded(rubric: Rubric, papers: Sequence[Paper]) -> tuple[list[Paper], list[Paper]]:
    """The papers to read, and those that the rubric's `exclude` words keep out.

    Words count in title and abstract as `_pattern` says, whatever their case. Papers by followed
    authors are always read.
    """
    words = [found for word in rubric.exclude if (found := _pattern(word))]
    if not words:
        return list(papers), []
    # \b would not end "c++" or "q#"; what may not stand beside the word is a letter or digit.
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)")
    to_read: list[Paper] = []
    excluded: list[Paper] = []
    for paper in papers:
        kept_out = pattern.search(strip_invisible(f"{paper.title}\n{paper.abstract}").casefold())
        followed = kept_out and followed_author(rubric, paper)
        (excluded if kept_out and not followed else to_read).append(paper)
    return to_read, excluded


def _pattern(word: str) -> str:
    """What an excluded word or phrase matches: itself as a whole, and its plural.

    In quotation marks it is a phrase that matches only as it is written. Between its words may be
    any space. Empty where there is no word.
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
