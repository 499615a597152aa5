"""Chunks: which papers share a call, and in which order (pure).

The order depends only on date, pass and paper ids. A rerun makes the same chunks, so prompts and
caches stay the same. Different days and passes shuffle differently, which averages out position
effects.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING

from newsletter.domain.injection import is_suspicious
from newsletter.domain.paging import paged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    from newsletter.domain.model import Paper

Chunk = tuple["Paper", ...]

PAPER_TOKENS, INSTRUCTION_TOKENS, RUBRIC_TOKENS = 414, 1_450, 900
"""Estimated prompt tokens of each; the instructions include the output schema."""
OUTPUT_TOKENS = 35
"""Output tokens of a paper in the first pass, comments included."""
MIN_SHARING_RUBRICS = 3
"""With fewer rubrics the gain is within the error of the estimate."""
CACHE_WRITE, CACHE_WRITE_HOUR, CACHE_READ, OUTPUT, BATCH = 1.25, 2.0, 0.1, 5.0, 0.5
"""Prices of a token, relative to a fresh one of the prompt; BATCH is a factor for each of them."""
ASSUMED_HITS = 0.9
"""Share of a batch's calls that find a cache entry, until calls of past batches show it. By the API
docs it is 30 to 98 %; here the entry is written before the batch is submitted."""


def split(papers: Sequence[Paper], sizes: Sequence[int]) -> list[Chunk]:
    """Split into chunks of exactly these sizes, largest first.

    With a last size above 1 the remaining papers form one chunk.
    """
    pieces, start = [], 0
    for size in sizes:
        while len(papers) - start >= size:
            pieces.append(tuple(papers[start : start + size]))
            start += size
    if start < len(papers):
        pieces.append(tuple(papers[start:]))
    return pieces


def shuffled(papers: Sequence[Paper], day: date, pass_number: int, salt: str = "") -> list[Paper]:
    """Order by a hash, so that adding a paper does not change the order of the others.

    A different `salt` gives a different order.
    """
    return sorted(
        papers, key=lambda p: sha256(f"{day}{salt}/{pass_number}/{p.id}".encode()).digest()
    )


def first_pass_chunks(
    by_likelihood: Sequence[Paper],
    sizes: Sequence[int],
    day: date,
    affordable: int,
    salt: str = "",
) -> list[Chunk]:
    """Chunks of the first pass. `affordable` is how many calls the budget certainly covers.

    When it covers all, the whole day is shuffled. Otherwise the likeliest papers that it covers are
    shuffled, then the next as many: the papers that the budget does not reach matter least.
    """
    window = max(1, affordable) * sizes[0]
    chunks: list[Chunk] = []
    for part in paged(by_likelihood, window):
        chunks += shuffled_chunks(part, sizes, day, pass_number=1, salt=salt)
    return chunks


def shuffled_chunks(
    papers: Sequence[Paper], sizes: Sequence[int], day: date, *, pass_number: int, salt: str = ""
) -> list[Chunk]:
    """Shuffled chunks; papers that look like prompt injection are alone in their chunk."""
    alone = [paper for paper in papers if len(sizes) > 1 and is_suspicious(paper)]
    alone_ids = {paper.id for paper in alone}
    others = [paper for paper in papers if paper.id not in alone_ids]
    return split(shuffled(others, day, pass_number, salt), sizes) + [(paper,) for paper in alone]


def is_sharing_cheaper(papers: int, rubrics: int) -> bool:
    """Whether the rubrics pay less when the papers come first and are cached once.

    Writing the cache costs 1.25 of a fresh token, reading it 0.1. Rubric first, a rubric pays
    0.1 (instructions + rubric) + papers; papers first, each pays
    (instructions + papers) (0.1 + 1.15 / rubrics) + rubric.
    """
    size = papers * PAPER_TOKENS
    if rubrics < MIN_SHARING_RUBRICS or size <= RUBRIC_TOKENS:
        return False
    return rubrics > 1.15 * (size + INSTRUCTION_TOKENS) / (0.9 * (size - RUBRIC_TOKENS))


class FirstPassWay(StrEnum):
    """How the rubrics that need a chunk have it scored on a day with batches."""

    BATCH = "batch"
    """Each rubric in its own batch, with the rubric first."""
    WARMED_BATCH = "warmed batch"
    """Papers first: a direct call of one rubric writes the cache, the others' batches read it."""
    DIRECT = "direct"
    """Papers first, in direct calls of all rubrics."""


def cheapest_way(papers: int, rubrics: int, hits: float, *, direct: bool) -> FirstPassWay:
    """The cheapest way for all rubrics together; `direct` is whether that way is allowed.

    `hits` is the share of a batch's calls that find a cache entry; the others write it again.
    """
    size, output = papers * PAPER_TOKENS, papers * OUTPUT * OUTPUT_TOKENS
    papers_first, rubric_first = INSTRUCTION_TOKENS + size, INSTRUCTION_TOKENS + RUBRIC_TOKENS
    prefix = hits * CACHE_READ + (1 - hits) * CACHE_WRITE_HOUR
    rest, others = RUBRIC_TOKENS + output, rubrics - 1
    batched = BATCH * (prefix * papers_first + rest)
    costs = {
        FirstPassWay.BATCH: rubrics * BATCH * (prefix * rubric_first + size + output),
        FirstPassWay.WARMED_BATCH: CACHE_WRITE_HOUR * papers_first + rest + others * batched,
    }
    if direct and rubrics >= MIN_SHARING_RUBRICS:
        prefixes = (CACHE_WRITE + others * CACHE_READ) * papers_first
        costs[FirstPassWay.DIRECT] = prefixes + rubrics * rest
    return min(costs, key=lambda way: costs[way])


@dataclass(frozen=True, slots=True)
class SharedChunk:
    """A chunk of several rubrics, with its cache name; `rubrics` are indexes."""

    name: str
    papers: Chunk
    rubrics: tuple[int, ...]


def shared_chunks(
    missing: Sequence[Sequence[Paper]],
    sizes: Sequence[int],
    day: date,
    is_worth: Callable[[int, int], bool] = is_sharing_cheaper,
) -> list[SharedChunk]:
    """The chunks that enough rubrics share; `missing` are the unscored papers of each rubric.

    `is_worth` says of a number of papers and of rubrics whether these should share those.

    Papers are grouped by primary category, so that rubrics of different categories share the papers
    they have in common. A rubric joins a chunk when it needs at least half of it: scoring the other
    papers as well costs less than a smaller chunk would.
    """
    wanted = [{paper.id for paper in papers} for papers in missing]
    union = {paper.id: paper for papers in missing for paper in papers}
    harmless = [
        paper for paper in shuffled(list(union.values()), day, 1) if not is_suspicious(paper)
    ]
    harmless.sort(key=lambda paper: paper.primary_category)
    found = []
    for place, chunk in enumerate(split(harmless, sizes)):
        ids = {paper.id for paper in chunk}
        rubrics = tuple(n for n, own in enumerate(wanted) if 2 * len(ids & own) >= len(ids))
        if is_worth(len(chunk), len(rubrics)):
            name = f"{day}/{chunk[0].primary_category}/{place}"
            found.append(SharedChunk(name, chunk, rubrics))
    return found
