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

    A word counts where it stands whole in title or abstract, whatever its case. Papers by followed
    authors are always read.
    """
    words = [re.escape(" ".join(word.casefold().split())) for word in rubric.exclude]
    words = [word for word in words if word]
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
