"""What an announcement holds of dates before it that never came."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from newsletter.domain.announcements import announcement, following, previous
from newsletter.domain.completeness import Poll
from newsletter.ingest.request import window_of
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
    """A look in vain, or at some papers."""
    at = announcement(day).public_from + timedelta(hours=1)
    seen = Poll(papers, at, at, out_at=at if papers else None)
    with store.begin() as tx:
        polls.keep_polls(tx, day, dict.fromkeys(categories, seen))


@pytest.mark.parametrize(("missed", "held"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 3), (5, 3)])
def test_up_to_three_missed_announcements_on_end_go_with_the_next(
    store: Store, missed: int, held: int
) -> None:
    for number in range(1, missed + 1):
        see(store, before(number))
    with store.read() as tx:
        window = window_of(tx, DAY, CATEGORIES)
    own = announcement(DAY)
    assert (window.date, window.end, window.public_from) == (DAY, own.end, own.public_from)
    assert window.start == announcement(before(held)).start
    assert window.start == announcement(following(before(held + 1))).start


def test_one_that_came_ends_the_row_of_those_that_did_not(store: Store) -> None:
    see(store, before(1))
    see(store, before(2), papers=4)
    see(store, before(3))
    with store.read() as tx:
        assert window_of(tx, DAY, CATEGORIES).start == announcement(before(1)).start


def test_one_that_was_not_looked_at_in_all_categories_is_not_known_to_be_missing(
    store: Store,
) -> None:
    see(store, before(1), categories=CATEGORIES[:1])
    with store.read() as tx:
        assert window_of(tx, DAY, CATEGORIES).start == announcement(DAY).start
        assert window_of(tx, DAY, CATEGORIES[:1]).start == announcement(before(1)).start
