"""What one poll changes, decided without a database and without a source."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from newsletter.domain.announcements import FetchRecord, ListingEntry, announcement, previous
from newsletter.domain.completeness import CompletedBy, FeedCheck, Poll, is_shown
from newsletter.domain.model import Paper
from newsletter.ingest.decide import (
    Observation,
    PollMode,
    PollRequest,
    complete_categories,
    decide,
    late_cutoffs,
)
from newsletter.ingest.feed_check import FeedComparison, FeedState, MismatchReason

DAY = date(2025, 9, 23)
WINDOW = announcement(DAY)
PUBLIC = WINDOW.public_from
MINUTE, HOUR, WEEK = timedelta(minutes=1), timedelta(hours=1), timedelta(days=7)
ABSENT = FeedComparison(FeedCheck(FeedState.ABSENT))
WAIT, ACCEPT, FINAL, RECHECK = PollMode.WAIT, PollMode.ACCEPT, PollMode.FINAL, PollMode.RECHECK


def request(mode=WAIT, minutes=0, *categories, **more):
    given = {
        "window": WINDOW,
        "categories": categories or ("cs.LG",),
        "mode": mode,
        "now": PUBLIC + minutes * MINUTE,
        "lookback": WEEK,
        "with_feed": True,
        "history": [],
        "polls": {},
        "is_out": False,
    }
    return PollRequest(**given | more)


def paper(number, *categories, submitted=WINDOW.start + HOUR, version=1):
    names = categories or ("cs.LG",)
    return Paper(
        id=f"2509.{number:05d}",
        version=version,
        title="Title",
        authors=("Ada Author",),
        abstract="Abstract",
        primary_category=names[0],
        categories=names,
        published=submitted,
        updated=submitted,
    )


def observed(*papers, is_out=True, comparison=ABSENT, **more):
    return Observation({one.id: one for one in papers}, is_out, comparison, **more)


def feed(there, listed, *waiting, late=()):
    """A feed of the day in cs.LG that lists `waiting` papers that the API lacks."""
    mismatches = tuple((one, "cs.LG", MismatchReason.WAITING) for one in waiting)
    check = FeedCheck(FeedState.FRESH, {"cs.LG": (there, listed)}, mismatches)
    return FeedComparison(check, late=late)


def polled(minutes, papers=1, polls=1):
    """The polls of cs.LG that found `papers` first at `minutes` after publication."""
    at = PUBLIC + minutes * MINUTE
    return {"polls": {"cs.LG": Poll(papers, at, at, polls, at if papers else None)}}


ONE = paper(1)
LISTED = [paper(number) for number in range(1, 21)]


@pytest.mark.parametrize(
    ("asked", "seen", "how"),
    [
        # A service waits for a second poll that agrees, or for the feed.
        (request(WAIT, 0), observed(ONE), None),
        (request(WAIT, 10, **polled(0)), observed(ONE), CompletedBy.TWO_POLLS),
        (request(WAIT, 9, **polled(0)), observed(ONE), None),
        (request(WAIT, 10, **polled(0)), observed(ONE, paper(2)), None),
        (request(WAIT, 0), observed(ONE, comparison=feed(1, 1)), CompletedBy.FEED),
        (request(WAIT, 180), observed(ONE), CompletedBy.ONE_POLL),
        (request(WAIT, 180), observed(ONE, comparison=feed(1, 2, "2")), None),
        (request(WAIT, 24 * 60), observed(ONE), CompletedBy.DAY),
        # So does a person for the newest announcement; a date that is named takes what is there.
        (request(ACCEPT, 0), observed(ONE), None),
        (request(FINAL, 0), observed(ONE), CompletedBy.ONE_POLL),
        (request(FINAL, 0), observed(ONE, comparison=feed(1, 2, "2")), CompletedBy.ONE_POLL),
        # Without a feed one poll is enough, in whatever mode.
        (request(WAIT, 0, with_feed=False), observed(ONE, comparison=None), CompletedBy.ONE_POLL),
        # Nothing is shown: a day later nothing was announced, unless the feed lists papers.
        (request(WAIT, 0), observed(is_out=False), None),
        (request(FINAL, 24 * 60 - 1), observed(is_out=False), None),
        (request(WAIT, 24 * 60), observed(is_out=False), CompletedBy.NOTHING),
        (request(WAIT, 24 * 60), observed(is_out=False, comparison=feed(0, 1, "1")), None),
        # Complete categories are not completed again.
        (request(RECHECK, 180), observed(ONE), None),
    ],
)
def test_when_a_category_is_complete(asked, seen, how):
    assert complete_categories(seen, asked).get("cs.LG") is how
    records = {one.category: one for one in decide(seen, asked).completed}
    record = FetchRecord("cs.LG", DAY, asked.now, len(seen.papers), str(how))
    assert records == ({"cs.LG": record} if how else {})


@pytest.mark.parametrize(
    ("how", "completed"),
    [(CompletedBy.TWO_POLLS, None), (CompletedBy.NOTHING, CompletedBy.TWO_POLLS)],
)
def test_far_fewer_papers_than_usual_are_waited_for(how, completed):
    """Announcements that did not take place say nothing of what is usual."""
    days = [DAY]
    while len(days) < 11:
        days.append(previous(days[-1]))
    history = [FetchRecord("cs.LG", day, PUBLIC, 40, how) for day in days[1:]]
    asked = request(WAIT, 10, history=history, **polled(0))
    assert complete_categories(observed(ONE), asked).get("cs.LG") is completed


@pytest.mark.parametrize(
    ("asked", "seen", "incomplete", "is_out", "must_wait", "retry_after"),
    [
        (request(WAIT, 0), observed(ONE), True, True, True, 10 * MINUTE),
        (request(WAIT, 10, **polled(0)), observed(ONE), False, True, False, 10 * MINUTE),
        (request(WAIT, 0), observed(is_out=False), True, False, True, 10 * MINUTE),
        (request(WAIT, 180), observed(is_out=False), True, False, True, HOUR),
        # A person is not sent away, unless the API lacks many of the listed papers.
        (request(ACCEPT, 0), observed(ONE), True, True, False, 10 * MINUTE),
        (request(ACCEPT, 0), observed(ONE, comparison=feed(1, 2, "2")), True, True, True, None),
        (
            request(ACCEPT, 0),
            observed(*LISTED, comparison=feed(20, 21, "99")),
            *(True, True, False, None),
        ),
        (request(FINAL, 0), observed(ONE, comparison=feed(1, 2, "2")), False, True, False, None),
        # Once shown, an announcement is not late again.
        (request(WAIT, 20, **polled(0)), observed(is_out=False), True, True, True, 10 * MINUTE),
        (request(RECHECK, 0), observed(ONE), False, True, False, None),
    ],
)
def test_when_the_announcement_is_polled_again(
    asked, seen, incomplete, is_out, must_wait, retry_after
):
    decision = decide(seen, asked)
    assert decision.incomplete == (("cs.LG",) if incomplete else ())
    assert (is_shown(decision.polls.values()), decision.must_wait) == (is_out, must_wait)
    if retry_after is not None:
        assert decision.retry_at == asked.now + retry_after


def test_only_incomplete_categories_are_named():
    asked = request(WAIT, 10, "cs.AI", "cs.LG", **polled(0))
    decision = decide(observed(ONE, paper(2, "cs.AI")), asked)
    assert decision.incomplete == ("cs.AI",)
    assert [one.category for one in decision.completed] == ["cs.LG"]
    assert {name: poll.polls for name, poll in decision.polls.items()} == {"cs.AI": 1, "cs.LG": 2}


OLD = WINDOW.start - HOUR


@pytest.mark.parametrize(
    ("seen", "on_time", "late"),
    [
        (observed(ONE), [("cs.LG", ONE)], []),
        # Only in the categories that were asked for.
        (observed(paper(1, "cs.CL", "cs.LG")), [("cs.LG", ONE)], []),
        (observed(paper(1, "cs.LG", "cs.AI")), [("cs.LG", ONE), ("cs.AI", ONE)], []),
        # Papers of earlier windows, down to each category's cutoff.
        (
            observed(late_papers=[paper(1, submitted=OLD)], late_since={"cs.LG": OLD}),
            *([], [("cs.LG", ONE)]),
        ),
        (
            observed(
                late_papers=[paper(1, "cs.LG", "cs.AI", submitted=OLD)],
                late_since={"cs.LG": OLD, "cs.AI": OLD + MINUTE},
            ),
            *([], [("cs.LG", ONE)]),
        ),
        # Papers that the feed lists as new, in these categories only.
        (
            observed(comparison=feed(0, 0, late=((paper(1, "cs.LG", "cs.AI"), ("cs.AI",)),))),
            *([], [("cs.AI", ONE)]),
        ),
    ],
)
def test_where_papers_are_listed(seen, on_time, late):
    decision = decide(seen, request(WAIT, 0, "cs.AI", "cs.LG"))
    assert list(decision.on_time) == [ListingEntry(name, one.id) for name, one in on_time]
    assert list(decision.late) == [ListingEntry(name, one.id) for name, one in late]
    assert decision.papers.keys() == {one.id for _, one in [*on_time, *late]}


def test_each_observed_version_may_be_stored():
    newer = [paper(8, version=3), paper(9, version=2)]
    late = paper(2, submitted=OLD, version=2)
    decision = decide(observed(ONE, late_papers=[late], versions=newer), request())
    assert decision.versions == [ONE, late, *newer]


FIRST, SECOND = date(2025, 9, 18), date(2025, 9, 22)
LONG_AGO = date(2025, 8, 1)


def fetched(day, after=HOUR):
    return FetchRecord("cs.LG", day, announcement(day).public_from + after, 1)


@pytest.mark.parametrize(
    ("history", "lookback", "since"),
    [
        ([], WEEK, None),
        ([fetched(FIRST), fetched(SECOND)], WEEK, announcement(FIRST).start),
        # At most as far as the lookback.
        ([fetched(LONG_AGO), fetched(SECOND)], WEEK, WINDOW.start - WEEK),
        ([fetched(FIRST)], 0 * WEEK, None),
        # Late papers belong to the newest announcement.
        ([fetched(FIRST), fetched(date(2025, 9, 24))], WEEK, None),
        # An old date that was fetched by hand a minute ago is no start of the service.
        ([fetched(LONG_AGO, PUBLIC - announcement(LONG_AGO).public_from)], WEEK, None),
    ],
)
def test_how_far_back_late_papers_are_searched(history, lookback, since):
    asked = request(WAIT, 60, history=history, lookback=lookback)
    assert late_cutoffs(asked, ["cs.LG", "cs.AI"]) == ({"cs.LG": since} if since else {})
