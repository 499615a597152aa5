"""What every scorer promises, run on each of the registry."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING

import pytest

from newsletter.domain.model import Outcome
from newsletter.render.templates import template_folder
from newsletter.rubrics.folder import RubricFolder
from newsletter.scorers import SCORERS, ScoringRequest
from newsletter.sources import sample
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.scoring import MORNING, RUBRIC, papers, scored, scores_in_abstract, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.domain.model import Paper, Rubric
    from newsletter.scorers import Scorer
    from newsletter.store import Store


@pytest.fixture(params=sorted(SCORERS))
def scorer(request: pytest.FixtureRequest) -> Iterator[Scorer]:
    source = "sample" if request.param == "sample" else "arxiv"
    with FakeAnthropic(scores_in_abstract) as fake:
        yield resolve_name(SCORERS[request.param])(settings(fake.url, source=source))


@pytest.fixture
def rubric(scorer: Scorer) -> Rubric:
    if not scorer.name.startswith("sample/"):
        return RUBRIC
    return RubricFolder(template_folder("rubrics"))["foundation-models"]


@pytest.fixture
def given(scorer: Scorer, rubric: Rubric) -> list[Paper]:
    """Twenty-one papers that this scorer can score."""
    if not scorer.name.startswith("sample/"):
        return papers(21)
    return [one for one in sample.read() if set(one.categories) & set(rubric.categories)][:21]


def test_every_paper_gets_exactly_one_outcome(
    scorer: Scorer, store: Store, rubric: Rubric, given: list[Paper]
) -> None:
    day = given
    result = scored(store, scorer, day, rubric=rubric)
    assert result.outcomes == {p.id: Outcome.SCORED for p in day}
    assert set(result.scores) == {p.id for p in day}


def test_a_judge_judges_and_a_ranking_does_not(
    scorer: Scorer, store: Store, rubric: Rubric, given: list[Paper]
) -> None:
    one = scored(store, scorer, given[:1], rubric=rubric).scores[given[0].id]
    assert (one.relevance is None) == (one.novelty is None) == (not scorer.judges)
    assert (one.similarity is None) == scorer.judges


def test_an_answer_is_read_again_from_its_bytes(
    scorer: Scorer, rubric: Rubric, given: list[Paper]
) -> None:
    request = ScoringRequest(rubric, tuple(given[:4]))
    call = scorer.call(request, MORNING)
    answer = scorer.ask(call)
    assert scorer.read(request, call.model, answer.raw) == scorer.read(
        request, call.model, answer.raw
    )
    assert set(scorer.read(request, call.model, answer.raw).scores) == {
        p.id for p in request.papers
    }


def test_a_call_costs_no_more_than_it_said(
    scorer: Scorer, rubric: Rubric, given: list[Paper]
) -> None:
    call = scorer.call(ScoringRequest(rubric, tuple(given[:4])), MORNING)
    usage = scorer.ask(call).usage
    assert usage is not None
    assert usage.total_nanos <= call.upper_nanos


def test_the_key_of_scores_is_the_same_in_every_life(scorer: Scorer) -> None:
    assert scorer.name == type(scorer)(settings(source="sample")).name  # type: ignore[call-arg]


def test_what_the_model_is_told_can_be_shown(scorer: Scorer, rubric: Rubric) -> None:
    shown = scorer.prompt(rubric)
    assert ("Model compression" in shown) == scorer.judges
