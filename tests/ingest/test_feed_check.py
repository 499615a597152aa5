"""arXiv's own list of the day against its API: believed by content, explained, never waited for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from newsletter.domain.announcements import announcement, following
from newsletter.domain.completeness import CompletedBy
from newsletter.ingest.feed_check import FeedState, MismatchReason
from newsletter.ingest.fetch import AnnouncementIncomplete, AnnouncementLate
from newsletter.store import polls
from tests.fakes.sky import Submission
from tests.ingest.test_poll import FRIDAY, HOUR, MINUTE, MONDAY, THURSDAY, TUESDAY, WEDNESDAY, House

MIDNIGHT = 4 * HOUR
"""When the feed of a summer's announcement is built: 00:00 Eastern, four hours after arXiv's."""


@pytest.fixture
def house(store):
    made = House(store, "cs.AI", "cs.LG", since=MONDAY)
    made.sky.feedless.clear()
    return made


def morning(house, day, after=MIDNIGHT):
    """A service that was down until the feed was there."""
    house.clock.now = announcement(day).public_from + after
    return house.until_whole()


def check(house, day):
    with house.store.read() as tx:
        return polls.check_of(tx, day)


def whys(house, day):
    return sorted((paper_id[-2:], name, why) for paper_id, name, why in check(house, day).apart)


def test_one_look_is_enough_when_the_list_agrees(house):
    house.put(1, MONDAY)
    house.put(2, MONDAY, "cs.LG", "cs.AI")
    assert morning(house, MONDAY).papers == 2
    assert house.how(MONDAY) == {"cs.AI": CompletedBy.FEED, "cs.LG": CompletedBy.FEED}
    assert check(house, MONDAY).named == {"cs.AI": (2, 2), "cs.LG": (1, 1)}
    assert [what for what, _ in house.source.asked] == ["submitted", "named"]


def test_before_midnight_the_list_is_of_yesterday_and_is_not_used(house):
    for number in range(1, 7):
        house.put(number, MONDAY)
    house.put(7, TUESDAY)
    morning(house, MONDAY)
    assert morning(house, TUESDAY, after=MINUTE).papers == 1
    assert check(house, TUESDAY).state == FeedState.EARLY
    assert house.how(TUESDAY)["cs.AI"] == CompletedBy.LOOKS
    assert house.on(TUESDAY) == ["07"]


def test_on_the_first_day_a_list_of_yesterday_brings_no_flood(house):
    for number in range(1, 7):
        house.put(number, MONDAY)
    house.put(7, TUESDAY)
    morning(house, TUESDAY, after=MINUTE)
    assert check(house, TUESDAY).state == FeedState.EARLY
    assert house.on(TUESDAY) == ["07"]
    assert "by_id" not in [what for what, _ in house.source.asked]


def test_a_short_list_of_yesterday_is_known_by_its_papers(house):
    house.put(1, MONDAY)
    house.put(2, TUESDAY)
    morning(house, MONDAY)
    morning(house, TUESDAY, after=MINUTE)
    assert check(house, TUESDAY).state == FeedState.EARLY


def test_a_short_list_of_yesterday_is_known_by_its_papers_dates_on_the_first_day(house):
    house.put(1, MONDAY)
    house.put(2, TUESDAY)
    morning(house, TUESDAY, after=MINUTE)
    assert check(house, TUESDAY).state == FeedState.EARLY
    assert house.on(TUESDAY) == ["02"]


def test_a_list_of_yesterday_is_stale_when_it_should_not_be(house):
    house.put(1, MONDAY)
    house.put(2, TUESDAY)
    morning(house, MONDAY)
    house.sky.stale |= {(TUESDAY, "cs.AI"), (TUESDAY, "cs.LG")}
    assert morning(house, TUESDAY).papers == 1
    assert check(house, TUESDAY).state == FeedState.STALE
    assert house.how(TUESDAY) == {"cs.AI": CompletedBy.ONCE, "cs.LG": CompletedBy.ONCE}


def test_a_list_that_is_stale_in_one_category_still_speaks_for_the_other(house):
    for number in range(1, 7):
        house.put(number, MONDAY, "cs.AI")
        house.put(10 + number, TUESDAY, "cs.AI")
        house.put(20 + number, TUESDAY, "cs.LG")
    morning(house, MONDAY)
    house.sky.stale.add((TUESDAY, "cs.AI"))
    assert morning(house, TUESDAY).papers == 12
    assert house.how(TUESDAY) == {"cs.AI": CompletedBy.ONCE, "cs.LG": CompletedBy.FEED}
    assert check(house, TUESDAY).named == {"cs.LG": (6, 6)}


def test_papers_the_api_lacks_are_waited_for_and_looked_up(house):
    house.put(1, TUESDAY)
    house.put(2, TUESDAY, lag=MIDNIGHT + 30 * MINUTE)
    house.clock.now = announcement(TUESDAY).public_from + MIDNIGHT
    with pytest.raises(AnnouncementIncomplete):
        house.fetch()
    assert whys(house, TUESDAY) == [("02", "cs.AI", MismatchReason.WAITING)]
    assert house.until_whole().papers == 2
    assert house.clock.now == announcement(TUESDAY).public_from + MIDNIGHT + 30 * MINUTE
    assert whys(house, TUESDAY) == []


def test_nobody_waits_for_ever_for_one_paper(house):
    house.put(1, TUESDAY)
    house.put(2, TUESDAY, lag=12 * HOUR)
    assert morning(house, TUESDAY).papers == 1
    assert house.clock.now == announcement(TUESDAY).public_from + MIDNIGHT + 2 * HOUR
    house.clock.now = announcement(TUESDAY).public_from + 12 * HOUR
    assert house.again() == 1
    assert house.on(TUESDAY) == ["01", "02"]


def test_by_hand_a_list_that_names_more_says_so_and_a_date_takes_what_is_there(house):
    house.put(1, TUESDAY)
    house.put(2, TUESDAY, lag=12 * HOUR)
    house.clock.now = announcement(TUESDAY).public_from + MIDNIGHT
    with pytest.raises(AnnouncementIncomplete):
        house.fetch(wait_until_complete=False)
    assert house.fetch(TUESDAY, wait_until_complete=False).papers == 1


def test_by_hand_nobody_is_sent_away_for_one_paper_of_many(house):
    for number in range(1, 30):
        house.put(number, TUESDAY)
    house.put(30, TUESDAY, lag=12 * HOUR)
    house.clock.now = announcement(TUESDAY).public_from + MIDNIGHT
    assert house.fetch(wait_until_complete=False).papers == 29
    assert whys(house, TUESDAY) == [("30", "cs.AI", MismatchReason.WAITING)]


def test_an_api_that_shows_nothing_is_not_believed_when_the_list_names_papers(house):
    house.put(1, FRIDAY, lag=27 * HOUR)
    house.clock.now = announcement(FRIDAY).public_from + 25 * HOUR
    with pytest.raises((AnnouncementLate, AnnouncementIncomplete)):
        house.fetch()
    assert morning(house, FRIDAY, after=27 * HOUR).papers == 1


def test_a_hold_of_nine_days_is_found_by_the_list_and_listed_once(house):
    day, number = MONDAY, 10
    submitted = announcement(MONDAY).end - HOUR
    held = Submission("2509.00001", submitted, ("cs.AI",), announced=following(FRIDAY))
    house.sky.add(held)
    while day <= following(following(FRIDAY)):
        number += 1
        house.put(number, day)
        house.put(number + 50, day, "cs.LG")
        morning(house, day)
        day = following(day)
    assert house.on(following(FRIDAY)) == ["01*", "16", "66"]
    assert house.on(following(following(FRIDAY))) == ["17", "67"]
    assert whys(house, following(FRIDAY)) == [("01", "cs.AI", MismatchReason.HELD)]


def test_a_hold_longer_than_the_lookback_needs_the_list(house):
    late = MONDAY + timedelta(days=21)
    submitted = announcement(MONDAY).end - HOUR
    day, number = MONDAY, 10
    while day <= late:
        number += 1
        house.put(number, day)
        house.put(number + 40, day, "cs.LG")
        day = following(day)
    house.sky.add(Submission("2509.00001", submitted, ("cs.AI",), announced=late))
    day = MONDAY
    while day <= late:
        morning(house, day)
        day = following(day)
    assert "01*" in house.on(late)


def test_a_cross_list_of_an_old_paper_is_new_in_its_category_only(house):
    for number in range(3):
        house.put(number + 10, MONDAY, "cs.LG")
    house.put(1, MONDAY, "cs.LG", crosses=((THURSDAY, "cs.AI"),))
    morning(house, MONDAY)
    for day, number in ((TUESDAY, 2), (WEDNESDAY, 3), (THURSDAY, 4)):
        house.put(number, day, "cs.AI")
        house.put(number + 40, day, "cs.LG")
        morning(house, day)
    assert house.on(THURSDAY, "cs.AI") == ["01*", "04"]
    assert house.on(THURSDAY) == ["04", "44"]
    assert house.on(THURSDAY, "cs.LG") == ["44"]


def test_an_empty_category_is_known_to_be_empty_by_the_list(house):
    house.put(1, MONDAY, "cs.LG")
    assert morning(house, MONDAY).papers == 1
    assert house.how(MONDAY) == {"cs.AI": CompletedBy.FEED, "cs.LG": CompletedBy.FEED}


def test_without_a_list_nothing_is_lost(house):
    house.sky.feedless.add(MONDAY)
    house.put(1, MONDAY)
    assert morning(house, MONDAY).papers == 1
    assert check(house, MONDAY).state == FeedState.ABSENT
    assert house.how(MONDAY) == {"cs.AI": CompletedBy.ONCE, "cs.LG": CompletedBy.ONCE}


def test_an_absent_list_does_not_wipe_out_what_it_said_before(house):
    house.put(1, MONDAY)
    morning(house, MONDAY)
    house.sky.feedless.add(MONDAY)
    house.clock.on(hours=2)
    house.again()
    assert check(house, MONDAY).state == FeedState.FRESH


def test_after_an_outage_a_list_of_yesterday_is_not_of_today(house):
    """What was missed is listed today, as late: the list that names it is still yesterday's."""
    house.put(1, MONDAY)
    morning(house, MONDAY)
    for number in range(10, 20):
        house.put(number, TUESDAY)
    house.put(30, WEDNESDAY)
    morning(house, WEDNESDAY, after=0 * HOUR)
    assert len(house.on(WEDNESDAY)) == 11
    house.clock.on(hours=2)
    house.again()
    assert check(house, WEDNESDAY).state == FeedState.EARLY
