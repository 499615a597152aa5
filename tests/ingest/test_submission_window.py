"""Announcements that did not take place: the next one includes their submissions."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from newsletter.domain.announcements import announcement, previous
from newsletter.domain.completeness import Poll
from newsletter.store import polls

if TYPE_CHECKING:
    from newsletter.store import Store

DAY = date(2026, 3, 13)
CATEGORIES = ("cs.LG", "stat.ML")


def before(many: int) -> date:
    day = DAY
    for _ in range(many):
        day = previous(day)
    return day


def see(
    store: Store, day: date, *, papers: int = 0, categories: tuple[str, ...] = CATEGORIES
) -> None:
    """Store a poll that found some papers, or none."""
    at = announcement(day).public_from + timedelta(hours=1)
    seen = Poll(papers, at, at, out_at=at if papers else None)
    with store.begin() as tx:
        polls.keep_polls(tx, day, dict.fromkeys(categories, seen))


@pytest.mark.parametrize("missed", range(6))
def test_up_to_three_consecutive_announcements_are_missed(store: Store, missed: int) -> None:
    for number in range(1, missed + 1):
        see(store, before(number))
    with store.read() as tx:
        found = polls.missed_before(tx, DAY, CATEGORIES)
    assert found == [before(number) for number in range(1, min(missed, 3) + 1)]


def test_one_that_took_place_ends_the_series(store: Store) -> None:
    see(store, before(1))
    see(store, before(2), papers=4)
    see(store, before(3))
    with store.read() as tx:
        assert polls.missed_before(tx, DAY, CATEGORIES) == [before(1)]


def test_one_that_was_not_polled_in_all_categories_is_not_known_to_be_missed(
    store: Store,
) -> None:
    see(store, before(1), categories=CATEGORIES[:1])
    with store.read() as tx:
        assert polls.missed_before(tx, DAY, CATEGORIES) == []
        assert polls.missed_before(tx, DAY, CATEGORIES[:1]) == [before(1)]
