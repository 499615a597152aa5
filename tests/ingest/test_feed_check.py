"""Cross-check with the feed: trusted by content, mismatches explained, never waited for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from newsletter.domain.announcements import announcement, following
from newsletter.domain.completeness import CompletedBy
from newsletter.ingest.feed_check import FeedState, MismatchReason
from newsletter.ingest.fetch import AnnouncementIncomplete, AnnouncementLate
from newsletter.store import polls
from tests.fakes.arxiv_timeline import Submission
from tests.ingest.test_poll import (
    FRIDAY,
    HOUR,
    MINUTE,
    MONDAY,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    FetchService,
)

MIDNIGHT = 4 * HOUR
"""When the feed of a summer's announcement is built: 00:00 Eastern, four hours after arXiv's."""


@pytest.fixture
def service(store):
    made = FetchService(store, "cs.AI", "cs.LG", since=MONDAY)
    made.timeline.feedless.clear()
    return made


def morning(service, day, after=MIDNIGHT):
    """A service that was down until the feed was there."""
    service.clock.now = announcement(day).public_from + after
    return service.until_complete()


def check(service, day):
    with service.store.read() as tx:
        return polls.check_of(tx, day)


def mismatches(service, day):
    return sorted(
        (paper_id[-2:], name, why) for paper_id, name, why in check(service, day).mismatches
    )


def test_one_poll_is_enough_when_the_feed_agrees(service):
    service.put(1, MONDAY)
    service.put(2, MONDAY, "cs.LG", "cs.AI")
    assert morning(service, MONDAY).papers == 2
    assert service.how(MONDAY) == {"cs.AI": CompletedBy.FEED, "cs.LG": CompletedBy.FEED}
    assert check(service, MONDAY).listed == {"cs.AI": (2, 2), "cs.LG": (1, 1)}
    assert [what for what, _ in service.source.asked] == ["submitted", "named"]


def test_before_midnight_the_list_is_of_yesterday_and_is_not_used(service):
    for number in range(1, 7):
        service.put(number, MONDAY)
    service.put(7, TUESDAY)
    morning(service, MONDAY)
    assert morning(service, TUESDAY, after=MINUTE).papers == 1
    assert check(service, TUESDAY).state == FeedState.EARLY
    assert service.how(TUESDAY)["cs.AI"] == CompletedBy.TWO_POLLS
    assert service.on(TUESDAY) == ["07"]


def test_on_the_first_day_a_list_of_yesterday_brings_no_flood(service):
    for number in range(1, 7):
        service.put(number, MONDAY)
    service.put(7, TUESDAY)
    morning(service, TUESDAY, after=MINUTE)
    assert check(service, TUESDAY).state == FeedState.EARLY
    assert service.on(TUESDAY) == ["07"]
    assert "by_id" not in [what for what, _ in service.source.asked]


def test_a_short_list_of_yesterday_is_known_by_its_papers(service):
    service.put(1, MONDAY)
    service.put(2, TUESDAY)
    morning(service, MONDAY)
    morning(service, TUESDAY, after=MINUTE)
    assert check(service, TUESDAY).state == FeedState.EARLY


def test_a_short_list_of_yesterday_is_known_by_its_papers_dates_on_the_first_day(service):
    service.put(1, MONDAY)
    service.put(2, TUESDAY)
    morning(service, TUESDAY, after=MINUTE)
    assert check(service, TUESDAY).state == FeedState.EARLY
    assert service.on(TUESDAY) == ["02"]


def test_a_list_of_yesterday_is_stale_when_it_should_not_be(service):
    service.put(1, MONDAY)
    service.put(2, TUESDAY)
    morning(service, MONDAY)
    service.timeline.stale |= {(TUESDAY, "cs.AI"), (TUESDAY, "cs.LG")}
    assert morning(service, TUESDAY).papers == 1
    assert check(service, TUESDAY).state == FeedState.STALE
    assert service.how(TUESDAY) == {"cs.AI": CompletedBy.ONE_POLL, "cs.LG": CompletedBy.ONE_POLL}


def test_a_list_that_is_stale_in_one_category_still_speaks_for_the_other(service):
    for number in range(1, 7):
        service.put(number, MONDAY, "cs.AI")
        service.put(10 + number, TUESDAY, "cs.AI")
        service.put(20 + number, TUESDAY, "cs.LG")
    morning(service, MONDAY)
    service.timeline.stale.add((TUESDAY, "cs.AI"))
    assert morning(service, TUESDAY).papers == 12
    assert service.how(TUESDAY) == {"cs.AI": CompletedBy.ONE_POLL, "cs.LG": CompletedBy.FEED}
    assert check(service, TUESDAY).listed == {"cs.LG": (6, 6)}


def test_papers_the_api_lacks_are_waited_for_and_looked_up(service):
    service.put(1, TUESDAY)
    service.put(2, TUESDAY, lag=MIDNIGHT + 30 * MINUTE)
    service.clock.now = announcement(TUESDAY).public_from + MIDNIGHT
    with pytest.raises(AnnouncementIncomplete):
        service.fetch()
    assert mismatches(service, TUESDAY) == [("02", "cs.AI", MismatchReason.WAITING)]
    assert service.until_complete().papers == 2
    assert service.clock.now == announcement(TUESDAY).public_from + MIDNIGHT + 30 * MINUTE
    assert mismatches(service, TUESDAY) == []


def test_waiting_for_one_paper_has_a_timeout(service):
    service.put(1, TUESDAY)
    service.put(2, TUESDAY, lag=12 * HOUR)
    assert morning(service, TUESDAY).papers == 1
    assert service.clock.now == announcement(TUESDAY).public_from + MIDNIGHT + 2 * HOUR
    service.clock.now = announcement(TUESDAY).public_from + 12 * HOUR
    assert service.again() == 1
    assert service.on(TUESDAY) == ["01", "02"]


def test_by_hand_a_list_that_names_more_says_so_and_a_date_takes_what_is_there(service):
    service.put(1, TUESDAY)
    service.put(2, TUESDAY, lag=12 * HOUR)
    service.clock.now = announcement(TUESDAY).public_from + MIDNIGHT
    with pytest.raises(AnnouncementIncomplete):
        service.fetch(wait_until_complete=False)
    assert service.fetch(TUESDAY, wait_until_complete=False).papers == 1


def test_by_hand_one_missing_paper_of_many_is_accepted(service):
    for number in range(1, 30):
        service.put(number, TUESDAY)
    service.put(30, TUESDAY, lag=12 * HOUR)
    service.clock.now = announcement(TUESDAY).public_from + MIDNIGHT
    assert service.fetch(wait_until_complete=False).papers == 29
    assert mismatches(service, TUESDAY) == [("30", "cs.AI", MismatchReason.WAITING)]


def test_an_api_that_shows_nothing_is_not_believed_when_the_list_names_papers(service):
    service.put(1, FRIDAY, lag=27 * HOUR)
    service.clock.now = announcement(FRIDAY).public_from + 25 * HOUR
    with pytest.raises((AnnouncementLate, AnnouncementIncomplete)):
        service.fetch()
    assert morning(service, FRIDAY, after=27 * HOUR).papers == 1


def test_a_hold_of_nine_days_is_found_by_the_list_and_listed_once(service):
    day, number = MONDAY, 10
    submitted = announcement(MONDAY).end - HOUR
    held = Submission("2509.00001", submitted, ("cs.AI",), announced=following(FRIDAY))
    service.timeline.add(held)
    while day <= following(following(FRIDAY)):
        number += 1
        service.put(number, day)
        service.put(number + 50, day, "cs.LG")
        morning(service, day)
        day = following(day)
    assert service.on(following(FRIDAY)) == ["01*", "16", "66"]
    assert service.on(following(following(FRIDAY))) == ["17", "67"]
    assert mismatches(service, following(FRIDAY)) == [("01", "cs.AI", MismatchReason.HELD)]


def test_a_hold_longer_than_the_lookback_needs_the_list(service):
    late = MONDAY + timedelta(days=21)
    submitted = announcement(MONDAY).end - HOUR
    day, number = MONDAY, 10
    while day <= late:
        number += 1
        service.put(number, day)
        service.put(number + 40, day, "cs.LG")
        day = following(day)
    service.timeline.add(Submission("2509.00001", submitted, ("cs.AI",), announced=late))
    day = MONDAY
    while day <= late:
        morning(service, day)
        day = following(day)
    assert "01*" in service.on(late)


def test_a_cross_list_of_an_old_paper_is_new_in_its_category_only(service):
    for number in range(3):
        service.put(number + 10, MONDAY, "cs.LG")
    service.put(1, MONDAY, "cs.LG", crosses=((THURSDAY, "cs.AI"),))
    morning(service, MONDAY)
    for day, number in ((TUESDAY, 2), (WEDNESDAY, 3), (THURSDAY, 4)):
        service.put(number, day, "cs.AI")
        service.put(number + 40, day, "cs.LG")
        morning(service, day)
    assert service.on(THURSDAY, "cs.AI") == ["01*", "04"]
    assert service.on(THURSDAY) == ["04", "44"]
    assert service.on(THURSDAY, "cs.LG") == ["44"]


def test_an_empty_category_is_known_to_be_empty_by_the_list(service):
    service.put(1, MONDAY, "cs.LG")
    assert morning(service, MONDAY).papers == 1
    assert service.how(MONDAY) == {"cs.AI": CompletedBy.FEED, "cs.LG": CompletedBy.FEED}


def test_without_a_list_nothing_is_lost(service):
    service.timeline.feedless.add(MONDAY)
    service.put(1, MONDAY)
    assert morning(service, MONDAY).papers == 1
    assert check(service, MONDAY).state == FeedState.ABSENT
    assert service.how(MONDAY) == {"cs.AI": CompletedBy.ONE_POLL, "cs.LG": CompletedBy.ONE_POLL}


def test_an_absent_list_does_not_wipe_out_what_it_said_before(service):
    service.put(1, MONDAY)
    morning(service, MONDAY)
    service.timeline.feedless.add(MONDAY)
    service.clock.on(hours=2)
    service.again()
    assert check(service, MONDAY).state == FeedState.FRESH


def test_after_an_outage_a_list_of_yesterday_is_not_of_today(service):
    """What was missed is listed today, as late: the list that names it is still yesterday's."""
    service.put(1, MONDAY)
    morning(service, MONDAY)
    for number in range(10, 20):
        service.put(number, TUESDAY)
    service.put(30, WEDNESDAY)
    morning(service, WEDNESDAY, after=0 * HOUR)
    assert len(service.on(WEDNESDAY)) == 11
    service.clock.on(hours=2)
    service.again()
    assert check(service, WEDNESDAY).state == FeedState.EARLY
