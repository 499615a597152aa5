"""Which papers are read, and which of them first (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from newsletter.authors import followed_author
from newsletter.hostile import visible
from newsletter.model import Outcome
from newsletter.prior import likelihoods
from newsletter.withdrawals import is_withdrawn

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from newsletter.model import Paper, Rubric

    Same = tuple[str, tuple[str, ...]]

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
        kept_out = pattern.search(visible(f"{paper.title}\n{paper.abstract}").casefold())
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
