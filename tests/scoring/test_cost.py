from __future__ import annotations

from typing import TYPE_CHECKING

from newsletter.scorers.local import LocalScorer
from newsletter.scoring.cost import estimate, expected_share, preview_cost, unscored
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.scoring import (
    DAY,
    MORNING,
    RUBRIC,
    billed,
    claude,
    papers,
    scored,
    scores_in_abstract,
)

if TYPE_CHECKING:
    from newsletter.store import Store


def test_a_day_is_estimated_for_nothing_and_about_right(store: Store) -> None:
    day = papers(164)
    with FakeAnthropic(scores_in_abstract) as fake:
        expected = estimate(claude(fake), RUBRIC, day, DAY, MORNING)
        assert expected
        assert fake.bill_nanos == 0
        assert {seen.path.split("?")[0] for seen in fake.requests} == {"/v1/messages/count_tokens"}
        real = scored(store, claude(fake), day)
    assert expected.calls == len(fake.papers_paid) // 16 + 1
    assert billed(real) <= expected.nanos <= 2 * billed(real)


def test_the_second_opinion_is_counted_in() -> None:
    with FakeAnthropic(scores_in_abstract) as fake:
        once = estimate(claude(fake), RUBRIC, papers(160), DAY, MORNING)
        twice = estimate(claude(fake, second_opinion=True), RUBRIC, papers(160), DAY, MORNING)
    assert once
    assert twice
    assert twice.nanos > once.nanos
    assert twice.papers == 160


def test_nothing_is_estimated_where_nothing_is_paid() -> None:
    assert estimate(LocalScorer(), RUBRIC, papers(5), DAY, MORNING) is None
    with FakeAnthropic(scores_in_abstract) as fake:
        assert estimate(claude(fake), RUBRIC, [], DAY, MORNING) is None


def test_the_preview_is_an_upper_bound_of_what_is_not_scored_yet(store: Store) -> None:
    day = papers(40)
    with FakeAnthropic(scores_in_abstract) as fake:
        scorer = claude(fake)
        assert unscored(store, scorer, RUBRIC, DAY, day) == day
        at_most = preview_cost(scorer, RUBRIC, DAY, day, MORNING).upper_nanos
        assert fake.requests == []
        real = scored(store, scorer, day)
        left = unscored(store, scorer, RUBRIC, DAY, [*day, *papers(41)[40:]])
    assert 0 < billed(real) <= at_most
    assert left == papers(41)[40:]


def test_the_expected_share_is_below_the_upper_bound_and_nothing_for_a_free_scorer() -> None:
    with FakeAnthropic(scores_in_abstract) as fake:
        scorer = claude(fake)
        days = [preview_cost(scorer, RUBRIC, DAY, papers(n), MORNING) for n in (3, 40)]
        assert 0 < expected_share(scorer, days, MORNING) < 1
        counted = len(fake.requests)
        expected_share(scorer, days[1:], MORNING)
        assert len(fake.requests) == 2 * counted, "only the largest is counted"
    free = preview_cost(LocalScorer(), RUBRIC, DAY, papers(3), MORNING)
    assert (free.upper_nanos, expected_share(LocalScorer(), [free], MORNING)) == (0, 0.0)
