"""Ranks papers by the likeness of their words to the rubric. Needs no key and reads nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from newsletter.domain.model import Score, Usage
from newsletter.domain.similarity import similarities
from newsletter.scorers import Answer, Batcher, Call, Reading, Scorer

if TYPE_CHECKING:
    from datetime import datetime

    from newsletter.domain.model import Rubric
    from newsletter.scorers import Request
    from newsletter.settings import Settings

MODEL = "local"


class Local:
    """Judges nothing: relevance and novelty stay None, only the similarity is set."""

    name = "local/1"
    judges = False
    # The rarity of words is that among all papers of the call, so a day is one call.
    sizes: tuple[int, ...] = (100_000,)
    second_opinion = False
    batcher: Batcher | None = None

    def __init__(self, settings: Settings | None = None) -> None:
        del settings

    def prompt(self, rubric: Rubric) -> str:
        del rubric
        return ""

    def call(self, request: Request, at: datetime) -> Call:
        return Call(request, MODEL, {}, 0, at)

    def weigh(self, call: Call) -> Usage | None:
        del call
        return None

    def ask(self, call: Call) -> Answer:
        request = call.request
        likeness = similarities(request.rubric, request.papers)
        by_slot = dict(zip(request.slots, likeness, strict=True))
        return Answer(json.dumps(by_slot).encode(), Usage(MODEL))

    def read(self, request: Request, model: str, raw: bytes) -> Reading:
        likeness = json.loads(raw)
        return Reading(
            {
                paper.id: Score(paper.id, model, None, None, similarity=likeness[slot])
                for slot, paper in request.slots.items()
            }
        )


_: type[Scorer] = Local
