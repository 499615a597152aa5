"""What every scorer promises, run on each of the registry."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING

import pytest

from newsletter.domain.model import Outcome
from newsletter.scorers import SCORERS, ScoringRequest
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.scoring import MORNING, RUBRIC, honest, papers, scored, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.scorers import Scorer
    from newsletter.store import Store


@pytest.fixture(params=sorted(SCORERS))
def scorer(request: pytest.FixtureRequest) -> Iterator[Scorer]:
    with FakeAnthropic(honest) as fake:
        yield resolve_name(SCORERS[request.param])(settings(fake.url))


def test_every_paper_gets_exactly_one_outcome(scorer: Scorer, store: Store) -> None:
    day = papers(21)
    result = scored(store, scorer, day)
    assert result.outcomes == {p.id: Outcome.SCORED for p in day}
    assert set(result.scores) == {p.id for p in day}


def test_a_judge_judges_and_a_ranking_does_not(scorer: Scorer, store: Store) -> None:
    one = scored(store, scorer, papers(1)).scores[papers(1)[0].id]
    assert (one.relevance is None) == (one.novelty is None) == (not scorer.judges)
    assert (one.similarity is None) == scorer.judges


def test_an_answer_is_read_again_from_its_bytes(scorer: Scorer) -> None:
    request = ScoringRequest(RUBRIC, tuple(papers(4)))
    call = scorer.call(request, MORNING)
    answer = scorer.ask(call)
    assert scorer.read(request, call.model, answer.raw) == scorer.read(
        request, call.model, answer.raw
    )
    assert set(scorer.read(request, call.model, answer.raw).scores) == {
        p.id for p in request.papers
    }


def test_a_call_costs_no_more_than_it_said(scorer: Scorer) -> None:
    call = scorer.call(ScoringRequest(RUBRIC, tuple(papers(4))), MORNING)
    usage = scorer.ask(call).usage
    assert usage is not None
    assert usage.total_nanos <= call.upper_nanos


def test_the_key_of_scores_is_the_same_in_every_life(scorer: Scorer) -> None:
    assert scorer.name == type(scorer)(settings()).name  # type: ignore[call-arg]


def test_what_the_model_is_told_can_be_shown(scorer: Scorer) -> None:
    shown = scorer.prompt(RUBRIC)
    assert ("Model compression" in shown) == scorer.judges
