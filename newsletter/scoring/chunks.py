"""Which papers are asked about together, and in which order (pure).

The order depends on date, pass and the papers' ids alone: a rerun makes the same chunks, so that
prompts and caches are the same, and no paper always stands in the same place or company.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from newsletter.domain.sanitize import looks_like_injection

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from newsletter.domain.model import Paper

Chunk = tuple["Paper", ...]

PAPER_TOKENS, INSTRUCTION_TOKENS, RUBRIC_TOKENS = 414, 1_450, 900
"""About what each takes in a prompt; the instructions with the answer's schema."""
LEAST_SHARING = 3
"""Below this many rubrics the gain is within the error of the estimate."""


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


def shuffled(papers: Sequence[Paper], day: date, reading: int, salt: str = "") -> list[Paper]:
    """By a hash, so that a paper more or less moves no other paper out of its order.

    With another `salt` the order is another one.
    """
    return sorted(papers, key=lambda p: sha256(f"{day}{salt}/{reading}/{p.id}".encode()).digest())


def first_pass(
    likeliest_first: Sequence[Paper],
    sizes: Sequence[int],
    day: date,
    affordable: int,
    salt: str = "",
) -> list[Chunk]:
    """Chunks of the first pass. `affordable` is how many calls the budget certainly covers.

    When it covers all, the whole day is shuffled. Otherwise only as many of the likeliest papers
    as it covers are, then as many of the next: what the budget does not reach matters least.
    """
    window = max(1, affordable) * sizes[0]
    chunks: list[Chunk] = []
    for start in range(0, len(likeliest_first), window):
        part = likeliest_first[start : start + window]
        chunks += pass_over(part, sizes, day, reading=1, salt=salt)
    return chunks


def pass_over(
    papers: Sequence[Paper], sizes: Sequence[int], day: date, *, reading: int, salt: str = ""
) -> list[Chunk]:
    """Shuffled chunks; papers that speak to the model stand alone, where they sway no other."""
    alone = [paper for paper in papers if len(sizes) > 1 and _speaks(paper)]
    apart = {paper.id for paper in alone}
    others = [paper for paper in papers if paper.id not in apart]
    return cut(shuffled(others, day, reading, salt), sizes) + [(paper,) for paper in alone]


def _speaks(paper: Paper) -> bool:
    return looks_like_injection(f"{paper.title}\n{paper.abstract}")


def worth_sharing(papers: int, rubrics: int) -> bool:
    """Whether so many rubrics pay less when these papers come first, cached once for all.

    Writing the cache costs 1.25 of a fresh token, reading it 0.1. Rubric first, a rubric pays
    0.1 (instructions + rubric) + papers; papers first, each pays
    (instructions + papers) (0.1 + 1.15 / rubrics) + rubric.
    """
    size = papers * PAPER_TOKENS
    if rubrics < LEAST_SHARING or size <= RUBRIC_TOKENS:
        return False
    return rubrics > 1.15 * (size + INSTRUCTION_TOKENS) / (0.9 * (size - RUBRIC_TOKENS))


@dataclass(frozen=True, slots=True)
class Shared:
    """Papers that several rubrics are asked about, under one name; `rubrics` are their places."""

    name: str
    papers: Chunk
    rubrics: tuple[int, ...]


def shared(missing: Sequence[Sequence[Paper]], sizes: Sequence[int], day: date) -> list[Shared]:
    """The chunks that enough rubrics share; `missing` are the papers each rubric has yet to score.

    Papers stand together by primary category, so that rubrics of different categories share what
    they have in common. A rubric joins a chunk when at least half of it is its own: judging the
    others along with them costs less than a smaller chunk would.
    """
    wanted = [{paper.id for paper in papers} for papers in missing]
    union = {paper.id: paper for papers in missing for paper in papers}
    calm = [paper for paper in shuffled(list(union.values()), day, 1) if not _speaks(paper)]
    calm.sort(key=lambda paper: paper.primary_category)
    found = []
    for place, chunk in enumerate(cut(calm, sizes)):
        ids = {paper.id for paper in chunk}
        rubrics = tuple(n for n, own in enumerate(wanted) if 2 * len(ids & own) >= len(ids))
        if worth_sharing(len(chunk), len(rubrics)):
            name = f"{day}/{chunk[0].primary_category}/{place}"
            found.append(Shared(name, chunk, rubrics))
    return found
