from __future__ import annotations

from typing import TYPE_CHECKING

from newsletter.scorers.local import LocalScorer
from newsletter.scoring.cost import estimate
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.scoring import DAY, MORNING, RUBRIC, billed, claude, honest, papers, scored

if TYPE_CHECKING:
    from newsletter.store import Store


def test_a_day_is_estimated_for_nothing_and_about_right(store: Store) -> None:
    day = papers(164)
    with FakeAnthropic(honest) as fake:
        expected = estimate(claude(fake), RUBRIC, day, DAY, MORNING)
        assert expected
        assert fake.bill_nanos == 0
        assert {seen.path.split("?")[0] for seen in fake.requests} == {"/v1/messages/count_tokens"}
        real = scored(store, claude(fake), day)
    assert expected.calls == len(fake.papers_paid) // 16 + 1
    assert billed(real) <= expected.nanos <= 2 * billed(real)


def test_the_second_opinion_is_counted_in() -> None:
    with FakeAnthropic(honest) as fake:
        once = estimate(claude(fake), RUBRIC, papers(160), DAY, MORNING)
        twice = estimate(claude(fake, second_opinion=True), RUBRIC, papers(160), DAY, MORNING)
    assert once
    assert twice
    assert twice.nanos > once.nanos
    assert twice.papers == 160


def test_nothing_is_estimated_where_nothing_is_paid() -> None:
    assert estimate(LocalScorer(), RUBRIC, papers(5), DAY, MORNING) is None
    with FakeAnthropic(honest) as fake:
        assert estimate(claude(fake), RUBRIC, [], DAY, MORNING) is None
