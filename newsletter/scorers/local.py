"""Rank papers by TF-IDF similarity to the rubric. Needs no key and makes no model call."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from newsletter.domain.model import Score, Usage
from newsletter.domain.similarity import similarities
from newsletter.scorers import BatchScorer, CallResponse, ScoredPapers, Scorer, ScoringCall

if TYPE_CHECKING:
    from datetime import datetime

    from newsletter.domain.model import Rubric
    from newsletter.scorers import ScoringRequest
    from newsletter.settings import Settings

MODEL = "local"


class LocalScorer:
    """Sets the similarity only: relevance and novelty stay None."""

    name = "local/2"
    judges = False
    # Inverse document frequency is over the papers of the call, so a day is one call.
    sizes: tuple[int, ...] = (100_000,)
    second_pass_sizes: tuple[int, ...] = ()
    second_opinion = False
    batcher: BatchScorer | None = None

    def __init__(self, settings: Settings | None = None) -> None:
        del settings

    def prompt(self, rubric: Rubric) -> str:
        del rubric
        return ""

    def call(self, request: ScoringRequest, at: datetime) -> ScoringCall:
        return ScoringCall(request, MODEL, {}, 0, at)

    def estimate_usage(self, call: ScoringCall) -> Usage | None:
        del call
        return None

    def ask(self, call: ScoringCall) -> CallResponse:
        request = call.request
        scores = similarities(request.rubric, request.papers)
        by_slot = dict(zip(request.slots, scores, strict=True))
        return CallResponse(json.dumps(by_slot).encode(), Usage(MODEL))

    def read(self, request: ScoringRequest, model: str, raw: bytes) -> ScoredPapers:
        scores = json.loads(raw)
        return ScoredPapers(
            {
                paper.id: Score(paper.id, model, None, None, similarity=scores[slot])
                for slot, paper in request.slots.items()
            }
        )


_: type[Scorer] = LocalScorer
