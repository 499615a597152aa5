"""Similarity of papers to a rubric, without a model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bench.harness import corpus
from bench.harness.corpus import CORPUS
from newsletter.domain.model import Criterion
from newsletter.domain.similarity import CountedPapers, signed_similarities, similarities
from tests.fakes.scoring import RUBRIC, paper

if TYPE_CHECKING:
    from newsletter.domain.model import Rubric

QUANTIZED = "Quantization of language models"
FORGED = "Forged signatures of banks"
DAY = [
    replace(paper(place), title=title, abstract=title)
    for place, title in enumerate((QUANTIZED, FORGED, "Dark matter haloes"), 1)
]


def rubric(*bodies: str, keywords: str = "", preface: str = ""):
    criteria = tuple(Criterion(n, f"Topic {n}", body) for n, body in enumerate(bodies, 1))
    return replace(RUBRIC, criteria=criteria, keywords=keywords, preface=preface)


def test_the_best_criterion_counts_however_many_others_there_are() -> None:
    one = similarities(rubric("- Relevant: quantization of language models"), DAY)
    others = ["- Relevant: forged signatures", "- Relevant: basalt", "- Relevant: gait of horses"]
    many = similarities(rubric("- Relevant: quantization of language models", *others), DAY)
    assert one[0] == max(one)
    assert many[0] == max(many)
    # The rarity of words changes a little; the other criteria take nothing away.
    assert many[0] == pytest.approx(one[0], abs=0.1)
    assert many[1] > one[1] == 0


def test_two_words_together_count_more_than_apart() -> None:
    apart = replace(paper(9), title="Language about quantization", abstract="models")
    together = replace(paper(8), title="Quantization", abstract="language models")
    wanted = rubric("- Relevant: language models")
    assert similarities(wanted, [together, apart])[0] > similarities(wanted, [together, apart])[1]


@pytest.mark.parametrize(
    ("keywords", "sign"),
    [("- Relevant: forged signatures", 1), ("- Irrelevant: forged signatures", -1)],
)
def test_keywords_add_and_unwanted_ones_subtract(keywords: str, sign: int) -> None:
    body = "- Relevant: quantization"
    without, given = rubric(body), rubric(body, keywords=keywords)
    change = signed_similarities(given, DAY)[1] - signed_similarities(without, DAY)[1]
    assert change * sign > 0.2
    assert similarities(given, DAY)[1] >= 0


def test_what_criteria_do_not_want_subtracts_half_as_much_as_unwanted_keywords() -> None:
    unwanted = "- Irrelevant: forged signatures"
    inside = signed_similarities(rubric(f"- Relevant: quantization\n{unwanted}"), DAY)
    apart = signed_similarities(rubric("- Relevant: quantization", keywords=unwanted), DAY)
    assert inside[1] == pytest.approx(apart[1] / 2)


def test_without_criteria_the_preface_counts() -> None:
    found = similarities(rubric(preface="Quantization of models\nNot: forged signatures"), DAY)
    assert found[0] > 0
    assert found[1:] == [0, 0]
    assert similarities(rubric(), []) == []


TEXTS = [
    rubric("- Relevant: quantization of language models"),
    rubric("- Relevant: basalt, gait of horses", "- Relevant: forged\n- Irrelevant: of banks"),
    rubric(preface="Dark matter haloes of haloes\nNot: banks", keywords="- Relevant: language"),
    rubric("the of and", keywords="- Irrelevant: forged signatures of banks"),
    rubric(),
]


@pytest.mark.parametrize("given", TEXTS)
def test_papers_counted_once_have_the_same_similarities(given: Rubric) -> None:
    empty = replace(paper(7), title="Of", abstract="the")
    papers = [*DAY, empty, replace(paper(8), title="Haloes", abstract="models of haloes, forged")]
    counted = CountedPapers(papers)
    for wanted in (papers, papers[1:], papers[::2], [empty], []):
        assert counted.similarities(given, wanted) == similarities(given, wanted)
    assert CountedPapers([]).similarities(given, []) == []


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real days is not here")
def test_real_papers_counted_once_have_the_same_similarities() -> None:
    day = corpus.papers("2025-09-23", 150)
    counted = CountedPapers(day)
    for asked in ("2025-07-02", "2025-09-23", "astro-2025-09-16"):
        for wanted in (day, day[::3]):
            given = corpus.rubric(asked)
            assert counted.similarities(given, wanted) == similarities(given, wanted)
