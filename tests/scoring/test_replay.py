from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from newsletter.domain.model import Score
from newsletter.scoring.replay import (
    RepeatScorer,
    StoredDay,
    agreement,
    compare_with_labels,
    jaccard,
    replay,
    rescore,
    stored_scores,
)
from tests.fakes.scoring import (
    DAY,
    RUBRIC,
    billed,
    claude,
    limits,
    paper,
    papers,
    scored,
    wall_clock,
)

if TYPE_CHECKING:
    from newsletter.store import Store
    from tests.fakes.anthropic import FakeAnthropic


TODAY = StoredDay(DAY, papers(32))


def test_a_lower_bar_costs_nothing_and_shows_what_it_gains(
    store: Store, fake: FakeAnthropic
) -> None:
    day = StoredDay(DAY, [*papers(16), paper(20, 6, 7)])
    scored(store, claude(fake), day.papers)
    before = fake.bill_nanos
    lower = replace(RUBRIC, relevance=6)
    (one,) = replay(store, claude(fake), RUBRIC, lower, [day], limits(), clock=wall_clock)
    assert (one.gained, one.lost) == ((paper(20).id,), ())
    assert one.kept == (paper(8).id, paper(16).id)
    assert one.usage == ()
    assert one.compared
    assert fake.bill_nanos == before


def test_changed_words_are_bought_apart_and_then_kept(store: Store, fake: FakeAnthropic) -> None:
    digest = scored(store, claude(fake), TODAY.papers)
    changed = replace(RUBRIC, preface="Another friend.")
    (one,) = replay(store, claude(fake), RUBRIC, changed, [TODAY], limits(), clock=wall_clock)
    cost = sum(usage.total_nanos for usage in one.usage)
    assert cost == fake.bill_nanos - billed(digest) > 0
    assert one.gained == one.lost == ()
    assert scored(store, claude(fake), TODAY.papers).usage == digest.usage
    adopted = len(fake.requests)
    scored(store, claude(fake), TODAY.papers, rubric=changed)
    assert len(fake.requests) == adopted


def test_a_day_never_scored_is_said_to_be_one(store: Store, fake: FakeAnthropic) -> None:
    scored(store, claude(fake), papers(1))
    yesterday = StoredDay(DAY - timedelta(days=1), papers(1))
    other = replace(RUBRIC, preface="x")
    (one,) = replay(store, claude(fake), other, RUBRIC, [yesterday], limits(), clock=wall_clock)
    assert not one.compared


def test_each_edit_has_the_whole_budget_and_its_own_cost(store: Store, fake: FakeAnthropic) -> None:
    """What earlier calls spent used to count for ever: the fifth edit read nothing."""
    scored(store, claude(fake), TODAY.papers)
    allowed = limits(0.02)
    for number in range(5):
        edited = replace(RUBRIC, preface=f"Edit {number}.")
        bill = fake.bill_nanos
        (one,) = replay(store, claude(fake), RUBRIC, edited, [TODAY], allowed, clock=wall_clock)
        assert (one.read, one.to_read, one.unread_reason) == (32, 32, "")
        assert (one.gained, one.lost) == ((), ())
        assert sum(usage.total_nanos for usage in one.usage) == fake.bill_nanos - bill > 0


def test_what_a_budget_leaves_unread_is_not_lost(store: Store, fake: FakeAnthropic) -> None:
    scored(store, claude(fake), TODAY.papers)
    edited = replace(RUBRIC, preface="Another friend.")
    (one,) = replay(store, claude(fake), RUBRIC, edited, [TODAY], limits(0.0), clock=wall_clock)
    assert (one.read, one.to_read, one.lost, one.gained) == (0, 32, (), ())
    assert "NEWSLETTER_BUDGET_USD" in one.unread_reason


def companies(fake: FakeAnthropic, start: int) -> set[frozenset[str]]:
    return {frozenset(seen.titles.values()) for seen in fake.requests[start:]}


def test_again_asks_in_another_order_and_company(store: Store, fake: FakeAnthropic) -> None:
    scored(store, claude(fake), TODAY.papers)
    before, asked = companies(fake, 0), len(fake.requests)
    for mark in ("one", "two"):
        rescore(store, RepeatScorer(claude(fake), mark), RUBRIC, TODAY, limits(), clock=wall_clock)
        assert not companies(fake, asked) & before
        before, asked = companies(fake, 0), len(fake.requests)


def test_again_asks_again_and_changes_nothing(store: Store, fake: FakeAnthropic) -> None:
    first = scored(store, claude(fake), TODAY.papers)
    asked = len(fake.requests)
    second = rescore(
        store, RepeatScorer(claude(fake), "two"), RUBRIC, TODAY, limits(), clock=wall_clock
    )
    assert len(fake.requests) == 2 * asked
    assert second.scores == first.scores
    assert stored_scores(store, claude(fake), RUBRIC, TODAY) == first.scores
    found = agreement(RUBRIC, first.scores, second.scores)
    assert (found.papers, found.jaccard, found.same) == (32, 1.0, 1.0)


def score(number: int, relevance: int, novelty: int) -> Score:
    return Score(paper(number).id, "m", relevance, novelty)


def scores(*given: tuple[int, int]) -> dict[str, Score]:
    made = [score(n, *pair) for n, pair in enumerate(given)]
    return {one.paper_id: one for one in made}


def test_agreement_is_measured() -> None:
    found = agreement(
        RUBRIC, scores((8, 8), (8, 8), (2, 2), (7, 7)), scores((8, 8), (6, 8), (3, 2), (7, 8))
    )
    assert found.jaccard == pytest.approx(2 / 3)
    assert found.same == 0.25
    assert found.relevance_apart == 0.75
    assert found.relevance_drift == -0.25
    assert found.novelty_drift == 0.25


def test_fidelity_to_labels_is_measured_at_equal_size() -> None:
    labels = {paper(0).id: (9, 9), paper(1).id: (8, 9), paper(2).id: (7, 7)}
    found = compare_with_labels(RUBRIC, labels, scores((9, 8), (4, 4), (7, 7), (8, 8), (1, 1)))
    assert found.labels == 3
    assert found.jaccard == 0.5
    assert found.recall_high == 0.5
    assert found.relevance_apart == pytest.approx(4 / 3)
    assert (found.jaccard_at_bar, found.recall, found.precision) == (0.5, 2 / 3, 2 / 3)
    assert (found.relevance_drift, found.novelty_drift) == (-4 / 3, pytest.approx(-2))
    empty = compare_with_labels(RUBRIC, {}, {})
    assert (empty.recall_high, empty.recall, empty.precision) == (None, None, None)


def test_a_model_that_scores_everything_lower_does_not_look_perfect() -> None:
    """At equal size only the order counts; the rubric's own bar and the drift show the rest."""
    given = [(10, 9), (9, 9), (8, 8), (4, 4), (3, 3)]
    labels = {paper(n).id: pair for n, pair in enumerate(given[:3])}
    found = compare_with_labels(RUBRIC, labels, scores(*[(r - 3, n - 3) for r, n in given]))
    assert (found.jaccard, found.recall_high) == (1.0, 1.0)
    assert (found.recall, found.precision, found.jaccard_at_bar) == (0.0, None, 0.0)
    assert (found.relevance_drift, found.novelty_drift) == (-3.0, -3.0)


def test_two_empty_selections_agree() -> None:
    assert jaccard(set(), set()) == 1.0
