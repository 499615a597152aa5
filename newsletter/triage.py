"""Which papers are read, and which of them first (pure)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from newsletter.authors import followed_author
from newsletter.hostile import visible
from newsletter.prior import likelihoods

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from newsletter.model import Paper, Rubric

QUOTES = ('""', "''", "\u201c\u201d", "\u2018\u2019", "\u201e\u201c", "\u00ab\u00bb")
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
