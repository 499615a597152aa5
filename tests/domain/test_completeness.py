"""When a category of an announcement is complete, and when it is polled again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from newsletter.domain.completeness import (
    CategoryObservation,
    CompletedBy,
    Poll,
    assess,
    is_low,
    next_poll,
    next_poll_at,
)
from tests.fakes.arxiv_timeline import utc

PUBLIC = utc("2025-09-23 00:00")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def completed_by(*polls, **more):
    """The result after polls of (minutes after publication, papers)."""
    poll = None
    for minutes, papers in polls:
        now = PUBLIC + minutes * MINUTE
        poll = next_poll(poll, papers, now, out=True)
    assert poll is not None
    return assess(poll, CategoryObservation(papers, **more), PUBLIC, now)


def test_one_poll_is_not_enough():
    assert completed_by((5, 400)) is None


def test_two_equal_polls_complete_if_far_enough_apart():
    assert completed_by((5, 400), (14, 400)) is None
    assert completed_by((5, 400), (15, 400)) is CompletedBy.TWO_POLLS


def test_a_first_poll_hours_later_is_enough():
    assert completed_by((179, 400)) is None
    assert completed_by((180, 400)) is CompletedBy.ONE_POLL
    assert completed_by((5, 0), (180, 400)) is None
    assert completed_by((180, 360), listed=400, waiting=40) is None
    assert completed_by((180, 0), low=True) is None


def test_an_announcement_that_grows_is_waited_for():
    assert completed_by((5, 100), (15, 250), (25, 400)) is None
    assert completed_by((5, 100), (15, 250), (25, 400), (35, 400)) is CompletedBy.TWO_POLLS


def test_growth_has_a_timeout():
    polls = [(10 * n, n) for n in range(1, 40)]
    assert completed_by(*polls[:36]) is None
    assert completed_by(*polls) is CompletedBy.TIMEOUT


def test_a_feed_that_agrees_completes_at_once():
    assert completed_by((5, 400), listed=400) is CompletedBy.FEED
    assert completed_by((5, 0), listed=0) is CompletedBy.FEED


def test_an_empty_feed_beside_papers_completes_nothing():
    assert completed_by((5, 3), listed=0) is None


def test_listed_papers_that_the_api_lacks_are_waited_for():
    assert completed_by((5, 360), (15, 360), listed=400, waiting=40) is None
    assert completed_by((5, 360), (124, 360), listed=400, waiting=40) is None
    assert completed_by((5, 360), (125, 360), listed=400, waiting=40) is CompletedBy.TWO_POLLS


def test_a_small_share_of_missing_papers_is_not_waited_for():
    assert completed_by((5, 380), listed=400, waiting=20) is None
    assert completed_by((5, 380), (15, 380), listed=400, waiting=20) is CompletedBy.TWO_POLLS
    assert completed_by((5, 379), (15, 379), listed=400, waiting=21) is None


def test_an_empty_category_is_believed_unless_it_never_is_empty():
    assert completed_by((5, 0), (15, 0)) is CompletedBy.TWO_POLLS
    assert completed_by((5, 0), (15, 0), low=True) is None
    assert completed_by((5, 0), (180, 0), low=True) is CompletedBy.TIMEOUT
    assert completed_by((5, 0), (15, 0), low=True, listed=0) is CompletedBy.FEED


def test_far_fewer_than_usual_are_as_suspicious_as_none():
    assert completed_by((5, 1), (15, 1), low=True) is None
    assert completed_by((5, 1), (179, 1), low=True) is None
    assert completed_by((5, 1), (180, 1), low=True) is CompletedBy.TIMEOUT
    assert completed_by((175, 1), (180, 2), low=True) is None
    assert completed_by((5, 1), (400, 1), low=True) is CompletedBy.TIMEOUT
    assert completed_by((5, 1), (15, 1), low=True, listed=1) is CompletedBy.FEED


@pytest.mark.parametrize(
    ("papers", "past", "low"),
    [
        # Under a third of what the last ten had, by the median.
        (13, [40] * 10, True),
        (14, [40] * 10, False),
        (13, [400] * 3 + [39] * 10, False),
        (13, [10] * 3 + [40] * 10, True),
        (13, [0, 0, 0, 0, *[40] * 6], True),
        # In a category of less than ten papers a day a few are no wonder.
        (1, [9] * 10, False),
        (3, [10] * 10, True),
        # None at all: only where there were some in each of the last five.
        (0, [0, 1, 1, 2, 1, 1], True),
        (0, [40, 40, 40, 40, 0], False),
        # Too little is known.
        (1, [40] * 4, False),
        (0, [40] * 4, False),
    ],
)
def test_what_is_far_fewer_than_usual(papers, past, low):
    assert is_low(papers, past) is low


def test_one_poll_is_enough_after_a_day():
    assert completed_by((24 * 60 - 5, 100), (24 * 60 - 1, 400)) is None
    assert completed_by((24 * 60 - 5, 100), (24 * 60, 400)) is CompletedBy.DAY
    assert completed_by((24 * 60, 0)) is CompletedBy.TIMEOUT
    assert completed_by((24 * 60, 0), listed=400, waiting=400) is None


def test_a_missing_announcement_is_polled_every_ten_minutes_then_every_hour():
    def missing(at):
        return Poll(0, PUBLIC, at)

    assert next_poll_at([], PUBLIC) == PUBLIC
    assert next_poll_at([missing(PUBLIC + 2 * HOUR)], PUBLIC) == PUBLIC + 2 * HOUR + 10 * MINUTE
    assert next_poll_at([missing(PUBLIC + 3 * HOUR)], PUBLIC) == PUBLIC + 4 * HOUR


def test_an_incomplete_announcement_is_polled_every_ten_minutes():
    late = PUBLIC + 7 * HOUR
    assert next_poll_at([Poll(3, late, late, 9, late)], PUBLIC) == late + 10 * MINUTE


@pytest.mark.parametrize(("papers", "since"), [(3, 5), (4, 15)])
def test_a_poll_keeps_since_when_the_count_is_unchanged(papers, since):
    first = next_poll(None, 3, PUBLIC + 5 * MINUTE, out=False)
    second = next_poll(first, papers, PUBLIC + 15 * MINUTE, out=True)
    assert second == Poll(
        papers, PUBLIC + since * MINUTE, PUBLIC + 15 * MINUTE, 2, PUBLIC + 15 * MINUTE
    )


def test_papers_that_are_listed_and_all_absent_are_waited_for():
    now = PUBLIC + 4 * HOUR
    found = CategoryObservation(0, listed=5, waiting=5, low=True)
    assert assess(Poll(0, PUBLIC, now, 9), found, PUBLIC, now) is None
