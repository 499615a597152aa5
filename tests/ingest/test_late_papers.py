"""Papers of long ago that are new today: found on their evening, or said to be in doubt."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import pytest

from newsletter.domain.announcements import FetchRecord, announcement, following
from newsletter.domain.model import Unproven
from newsletter.ingest.late_papers import MIN_TO_SPLIT, coverage_starts
from newsletter.ingest.status import crosscheck
from tests.fakes.sky import Submission
from tests.ingest.test_poll import FRIDAY, HOUR, MONDAY, TUESDAY, WEDNESDAY, House
from tests.render.gallery import issues

WEEK = timedelta(days=7)
LATE = date(2025, 10, 13)
"""Three weeks after MONDAY."""


@pytest.fixture
def house(store):
    return House(store, "cs.AI", "cs.LG", since=MONDAY)


def live_until(house, last):
    """Evening by evening, one paper a day in each category; the feed is there from midnight on."""
    day = house.source.newest(house.clock())
    if house.source.asked:
        day = following(day)
    while day <= last:
        number = day.toordinal() % 400
        house.put(number + 100, day, "cs.AI")
        house.put(number + 500, day, "cs.LG")
        house.clock.now = announcement(day).public_from
        house.until_whole()
        house.clock.on(hours=5)
        house.again()
        day = following(day)


def listed(house, day, *categories):
    return {one for one in house.on(day, *categories) if one.endswith("*")}


def test_a_cross_list_between_two_fetched_categories_is_found_without_the_list(house):
    """Counted together, the paper was known in one of the two and not missed in the other."""
    first = announcement(MONDAY).end - HOUR
    house.sky.add(Submission("2509.00001", first, ("cs.LG",), crosses=((LATE, "cs.AI"),)))
    live_until(house, LATE)
    assert listed(house, LATE, "cs.AI") == {"01*"}


@pytest.mark.parametrize("days", [20, 65])
def test_a_long_hold_comes_on_its_day_whether_the_list_is_there_or_not(house, days):
    """The list of the day is out four hours after the digest is made."""
    house.sky.feedless.clear()
    late = MONDAY + timedelta(days=days)
    while late.weekday() > 3 or announcement(late).public_from < house.clock():
        late += timedelta(days=1)
    held = Submission("2509.00001", announcement(MONDAY).end - HOUR, ("cs.AI",), announced=late)
    house.sky.add(held)
    live_until(house, late)
    house.clock.now = announcement(following(late)).public_from
    assert listed(house, late, "cs.AI") == {"01*"}
    with house.store.read() as tx:
        check = crosscheck(tx, issues.RUBRIC, late, WEEK)
    assert check is not None
    assert check.unproven == ()


def test_an_evening_costs_one_count_a_category(house):
    live_until(house, LATE)
    asked = Counter(at.date() for what, at in house.source.asked if what == "count")
    assert asked[LATE - timedelta(days=1)] == 0
    assert asked[LATE] == 2


def test_a_paper_that_left_hides_no_other_one(house):
    """Their counts are equal: one left the category, another one came."""
    first = announcement(MONDAY).end - HOUR
    house.sky.add(Submission("2509.00001", first, ("cs.AI", "cs.LG")))
    live_until(house, LATE - timedelta(days=4))
    left = replace(house.sky.by_id["2509.00001"], categories=("cs.LG",))
    house.sky.submissions = [left if one.id == left.id else one for one in house.sky.submissions]
    house.sky.by_id[left.id] = left
    live_until(house, LATE - timedelta(days=3))
    held = Submission("2509.00002", first, ("cs.AI",), announced=LATE)
    house.sky.add(held)
    live_until(house, LATE)
    assert listed(house, LATE, "cs.AI") == {"02*"}


def test_a_busy_category_is_halved_until_few_are_left(store):
    house = House(store, "cs.LG", since=MONDAY)
    window = announcement(MONDAY)
    step = (window.end - window.start) / (MIN_TO_SPLIT + 10)
    times = [(window.start + step * number).replace(second=0) for number in range(MIN_TO_SPLIT + 5)]
    house.sky.add(
        *(
            Submission(f"2509.{10_000 + number}", at.replace(microsecond=0), ("cs.LG",))
            for number, at in enumerate(times)
        )
    )
    missing = (window.start + 3 * step).replace(second=0, microsecond=0)
    house.sky.add(Submission("2509.00001", missing, ("cs.LG",), announced=LATE))
    live_until(house, LATE - timedelta(days=1))
    asked = len(house.source.asked)
    live_until(house, LATE)
    assert listed(house, LATE) == {"01*"}
    counts = [what for what, _ in house.source.asked[asked:] if what == "count"]
    assert len(counts) == 5


def test_what_a_missed_list_leaves_unproven_is_said_once(house):
    """A paper of before the service that is cross-listed is known by the list alone."""
    house.sky.feedless -= {one for one in house.sky.feedless if one != TUESDAY}
    old = Submission("2501.00001", announcement(MONDAY).start - 200 * WEEK, ("cs.AI",), TUESDAY)
    house.sky.add(old)
    live_until(house, FRIDAY)
    said = {}
    for day in (MONDAY, TUESDAY, WEDNESDAY, FRIDAY):
        with house.store.read() as tx:
            check = crosscheck(tx, replace(issues.RUBRIC, categories=("cs.AI",)), day, WEEK)
        assert check is not None
        said[day] = check.unproven
    began = announcement(MONDAY).start.date()
    in_doubt = Unproven(("cs.AI",), (TUESDAY,), began)
    assert said == {MONDAY: (), TUESDAY: (), WEDNESDAY: (in_doubt,), FRIDAY: ()}


def fetched(*days):
    return [FetchRecord("cs.LG", date.fromisoformat(day), announcement(MONDAY).end) for day in days]


@pytest.mark.parametrize(
    ("days", "began"),
    [
        (["2025-09-22"], "2025-09-22"),
        (["2025-09-22", "2025-09-23", "2025-09-24"], "2025-09-22"),
        # A week's pause was read again, so nothing is lacking; two weeks were not.
        (["2025-09-15", "2025-09-23"], "2025-09-15"),
        (["2025-09-01", "2025-09-23", "2025-09-24"], "2025-09-23"),
        # An old date that somebody tried out once.
        (["2025-01-07", "2025-09-23"], "2025-09-23"),
    ],
)
def test_a_service_that_was_away_for_long_begins_anew(days, began):
    found = coverage_starts(fetched(*days), WEEK)
    assert found == {"cs.LG": announcement(date.fromisoformat(began)).start}
