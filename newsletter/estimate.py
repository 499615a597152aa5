"""About what a rubric's ordinary day will cost, before it is adopted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from newsletter import chunks, opinion
from newsletter.scorers import Request

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from newsletter.model import Paper, Rubric
    from newsletter.scorers import Scorer

AGAIN = 0.12
"""Of a day's papers, the share that is read a second time: 64 of 548 on the corpus, or fewer."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Tokens and nano-dollars of a day; without the cache, so a little too high."""

    papers: int
    calls: int
    prompt_tokens: int
    output_tokens: int
    nanos: int


def estimate(
    scorer: Scorer, rubric: Rubric, papers: Sequence[Paper], day: date, at: datetime
) -> Estimate | None:
    """From the other side's own count of a few calls' tokens, which is free.

    None when the scorer costs nothing or there is no paper to go by. Raises ScorerError.
    """
    passes = [list(papers)]
    if scorer.second_opinion:
        passes.append(list(papers[: min(opinion.MOST, round(AGAIN * len(papers)))]))
    total = [0, 0, 0, 0]
    for reading, part in enumerate(passes, 1):
        sample: dict[int, tuple[int, int, int]] = {}
        for piece in chunks.pass_over(part, scorer.sizes, day, reading=reading):
            if len(piece) not in sample:
                usage = scorer.weigh(scorer.call(Request(rubric, piece, reading), at))
                if usage is None:
                    return None
                sample[len(piece)] = usage.prompt_tokens, usage.output_tokens, usage.total_nanos
            total = [a + b for a, b in zip(total, (1, *sample[len(piece)]), strict=True)]
    return Estimate(len(papers), *total) if papers else None
