"""Sample scorer: answers about the sample papers, written by hand for the demo.

It calls no model. The usage that it reports is an estimate of what Claude would use and cost.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from newsletter.domain.model import Score, Usage
from newsletter.domain.sample import AUTHOR
from newsletter.scorers import (
    BatchScorer,
    CallFailure,
    CallResponse,
    ScoredPapers,
    Scorer,
    ScorerError,
    ScoringCall,
)
from newsletter.settings import SettingsError

if TYPE_CHECKING:
    from datetime import datetime

    from newsletter.domain.model import Rubric
    from newsletter.scorers import ScoringRequest
    from newsletter.settings import Settings


class SampleScorer:
    name = "sample/1"
    judges = True
    sizes: tuple[int, ...] = (100_000,)
    second_pass_sizes: tuple[int, ...] = ()
    second_opinion = False
    batcher: BatchScorer | None = None

    def __init__(self, settings: Settings) -> None:
        if settings.source != "sample":
            message = (
                "NEWSLETTER_SCORER: sample has answers about the invented papers of "
                "NEWSLETTER_SOURCE=sample only; use claude or local"
            )
            raise SettingsError(message)

    def prompt(self, rubric: Rubric) -> str:
        criteria = "\n\n".join(f"{one.number}. {one.title}\n{one.body}" for one in rubric.criteria)
        return f"No prompt was sent: these sample scores were written by hand.\n\n{criteria}"

    def call(self, request: ScoringRequest, at: datetime) -> ScoringCall:
        usage = _usage(request)
        return ScoringCall(request, AUTHOR, {}, usage.total_nanos, at, usage.input_tokens)

    def estimate_usage(self, call: ScoringCall) -> Usage | None:
        return _usage(call.request)

    def ask(self, call: ScoringCall) -> CallResponse:
        rubric = call.request.rubric
        if rubric.slug not in _rubrics():
            known = ", ".join(_rubrics())
            message = f"no sample answers for {rubric.slug}; there are some for {known}"
            raise ScorerError(CallFailure.FATAL, message)
        days = _rubrics()[rubric.slug]
        answers = days["answers"] | days["earlier"]["answers"]
        by_slot = {
            slot: answers[paper.id]
            for slot, paper in call.request.slots.items()
            if paper.id in answers
        }
        return CallResponse(json.dumps(by_slot).encode(), _usage(call.request))

    def read(self, request: ScoringRequest, model: str, raw: bytes) -> ScoredPapers:
        answers = json.loads(raw)
        return ScoredPapers(
            {
                paper.id: Score(paper.id, model, **answers[slot])
                for slot, paper in request.slots.items()
                if slot in answers
            }
        )


def _usage(request: ScoringRequest) -> Usage:
    """The usage of the sample day, or of the earlier one."""
    days = _rubrics().get(request.rubric.slug, {"usage": {}})
    earlier = days.get("earlier", {"answers": {}})
    is_earlier = any(paper.id in earlier["answers"] for paper in request.papers)
    return Usage(AUTHOR, **(earlier if is_earlier else days)["usage"])


@cache
def _rubrics() -> dict[str, Any]:
    text = files("newsletter.scorers").joinpath("sample_answers.json").read_text(encoding="utf-8")
    rubrics: dict[str, Any] = json.loads(text)["rubrics"]
    return rubrics


_: type[Scorer] = SampleScorer
