"""Which papers are asked about together, and in which order (pure).

The order depends on date, pass and the papers' ids alone: a rerun makes the same chunks, so that
prompts and caches are the same, and no paper always stands in the same place or company.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from newsletter.hostile import speaks_to_model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from newsletter.model import Paper

Chunk = tuple["Paper", ...]


def cut(papers: Sequence[Paper], sizes: Sequence[int]) -> list[Chunk]:
    """Pieces of exactly these sizes, largest first; the last size must be 1 to fit any number.

    A last size above 1 stands for "all at once".
    """
    pieces, start = [], 0
    for size in sizes:
        while len(papers) - start >= size:
            pieces.append(tuple(papers[start : start + size]))
            start += size
    if start < len(papers):
        pieces.append(tuple(papers[start:]))
    return pieces


def shuffled(papers: Sequence[Paper], day: date, reading: int) -> list[Paper]:
    """By a hash, so that a paper more or less moves no other paper out of its order."""
    return sorted(papers, key=lambda p: sha256(f"{day}/{reading}/{p.id}".encode()).digest())


def first_pass(
    likeliest_first: Sequence[Paper], sizes: Sequence[int], day: date, affordable: int
) -> list[Chunk]:
    """Chunks of the first pass. `affordable` is how many calls the budget certainly covers.

    When it covers all, the whole day is shuffled. Otherwise only as many of the likeliest papers
    as it covers are, then as many of the next: what the budget does not reach matters least.
    """
    window = max(1, affordable) * sizes[0]
    chunks: list[Chunk] = []
    for start in range(0, len(likeliest_first), window):
        chunks += pass_over(likeliest_first[start : start + window], sizes, day, reading=1)
    return chunks


def pass_over(
    papers: Sequence[Paper], sizes: Sequence[int], day: date, *, reading: int
) -> list[Chunk]:
    """Shuffled chunks; papers that speak to the model stand alone, where they sway no other."""
    alone = [p for p in papers if len(sizes) > 1 and speaks_to_model(f"{p.title}\n{p.abstract}")]
    apart = {paper.id for paper in alone}
    others = [paper for paper in papers if paper.id not in apart]
    return cut(shuffled(others, day, reading), sizes) + [(paper,) for paper in alone]
