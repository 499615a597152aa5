"""The sample answers are complete, keep to the rubrics, and serve no real paper."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from newsletter.render.templates import template_folder
from newsletter.rubrics.folder import RubricFolder
from newsletter.scorers import CallFailure, ScorerError, ScoringRequest
from newsletter.scorers.claude import prices
from newsletter.scorers.claude.scorer import FIRST_OUTPUT, ClaudeScorer
from newsletter.scorers.sample import SampleScorer
from newsletter.settings import Settings, SettingsError
from newsletter.sources.sample import DAY, read, read_earlier
from tests.fakes.installation import Installation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from newsletter.domain.model import Paper, Rubric

NOON = datetime(2025, 11, 18, 12, tzinfo=UTC)
RUBRICS = RubricFolder(template_folder("rubrics"))
SAMPLE = Settings(_env_file=None, source="sample", anthropic_api_key="sk-test")


def request(rubric: Rubric, papers: Sequence[Paper] = ()) -> ScoringRequest:
    wanted = set(rubric.categories)
    return ScoringRequest(
        rubric, tuple(paper for paper in papers or read() if wanted & set(paper.categories))
    )


@pytest.mark.parametrize("papers", [read(), read_earlier()], ids=["day", "earlier"])
@pytest.mark.parametrize("slug", ["foundation-models", "my-first-rubric"])
def test_every_paper_has_an_answer_that_keeps_to_the_rubric(slug: str, papers: list[Paper]) -> None:
    scorer, asked = SampleScorer(SAMPLE), request(RUBRICS[slug], papers)
    call = scorer.call(asked, NOON)
    scores = scorer.read(asked, call.model, scorer.ask(call).raw).scores
    assert set(scores) == {paper.id for paper in asked.papers}
    for score in scores.values():
        assert 1 <= (score.relevance or 0) <= 10
        assert 1 <= (score.novelty or 0) <= 10
        assert 0 <= score.fine <= 9
        assert not score.criterion or RUBRICS[slug].criterion_title(score.criterion)
        # As the model is told: a sentence for a criterion met with relevance 6 or more.
        assert bool(score.comment) == (bool(score.criterion) and (score.relevance or 0) >= 6)
        assert len(score.comment) <= 200


@pytest.mark.parametrize("papers", [read(), read_earlier()], ids=["day", "earlier"])
@pytest.mark.parametrize("slug", ["foundation-models", "my-first-rubric"])
def test_the_usage_is_what_claude_would_be_asked(slug: str, papers: list[Paper]) -> None:
    asked, claude = request(RUBRICS[slug], papers), ClaudeScorer(SAMPLE)
    parts = [asked.papers[place : place + 16] for place in range(0, len(asked.papers), 16)]
    prompts = sum(claude.call(ScoringRequest(asked.rubric, part), NOON).tokens for part in parts)
    sample = SampleScorer(SAMPLE)
    usage = sample.ask(sample.call(asked, NOON)).usage
    assert usage is not None
    # The prompt may be reworded; a figure that is no longer true must not stay.
    assert usage.input_tokens == pytest.approx(prompts, rel=0.25)
    counts = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    assert usage.output_tokens == FIRST_OUTPUT * len(asked.papers)
    priced = prices.price_usage("claude-haiku-5-5", DAY, counts)
    assert (usage.input_nanos, usage.output_nanos) == (priced.input_nanos, priced.output_nanos)


def test_it_refuses_any_source_but_the_sample() -> None:
    with pytest.raises(SettingsError, match="NEWSLETTER_SCORER"):
        SampleScorer(Settings(_env_file=None))


def test_another_rubric_has_no_answers() -> None:
    scorer = SampleScorer(SAMPLE)
    with pytest.raises(ScorerError, match="dwarf-galaxies") as failed:
        scorer.ask(scorer.call(request(RUBRICS["dwarf-galaxies"]), NOON))
    assert failed.value.failure is CallFailure.FATAL


def test_a_real_service_cannot_run_with_sample_answers(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    (installation.rubrics / "stars.md").write_text(
        "---\ntitle: Stars\ncategories: [astro-ph.SR]\n---\n## Criteria\n1. Stars\n   - Cold.\n"
    )
    run = installation.newsletter("run", "--create", NEWSLETTER_SCORER="sample")
    assert run.status == 2
    assert "NEWSLETTER_SOURCE=sample" in run.err
    doctor = installation.newsletter("doctor", "--offline", NEWSLETTER_SCORER="sample")
    assert doctor.status == 2
