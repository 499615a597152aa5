"""A newest announcement that arXiv shows bit by bit: waited for, never given up, never doubled."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest

from newsletter.domain.announcements import announcement, following, previous
from newsletter.domain.completeness import CompletedBy
from newsletter.ingest.fetch import (
    AnnouncementIncomplete,
    AnnouncementLate,
    FetchResult,
    fetch,
    poll_again,
)
from newsletter.ingest.status import AnnouncementState, announcement_status
from newsletter.sources import SourceError
from newsletter.store import papers as shelf
from newsletter.store import polls as seen
from tests.fakes.arxiv_timeline import ArxivTimeline, Clock, Submission, TimelineSource

MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (date(2025, 9, day) for day in range(22, 27))
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


class FetchService:
    """A service that fetches from a timeline, with its own clock."""

    waits = (AnnouncementIncomplete, AnnouncementLate)

    def __init__(self, store, *categories, since=TUESDAY) -> None:
        self.store = store
        self.categories = categories or ("cs.LG",)
        self.clock = Clock(announcement(since).public_from)
        self.timeline = ArxivTimeline(self.clock)
        self.timeline.feedless |= {date(2025, 9, 1) + timedelta(days=n) for n in range(120)}
        self.source = TimelineSource(self.timeline)

    def put(self, number, day, *categories, **more):
        """A paper submitted in the window of the announcement of `day`."""
        submitted = announcement(day).end - HOUR - number * MINUTE
        one = Submission(f"2509.{number:05d}", submitted, categories or self.categories[:1], **more)
        self.timeline.add(one)

    def fetch(self, day=None, *, wait_until_complete=True) -> FetchResult:
        return fetch(
            self.store,
            self.source,
            self.categories,
            day,
            self.clock(),
            lookback_days=7,
            progress=lambda *_: None,
            wait_until_complete=wait_until_complete,
        )

    def until_complete(self) -> FetchResult:
        """As a service does: again when it is told to."""
        for _ in range(200):
            try:
                return self.fetch()
            except self.waits as wait:
                self.clock.now = max(wait.retry_at, self.clock.now + MINUTE)
        message = "it was never complete"
        raise AssertionError(message)

    def again(self) -> int:
        return poll_again(
            self.store, self.source, self.categories, self.clock(), progress=lambda *_: None
        )

    def on(self, day, *categories):
        """Numbers of the papers listed under the day, those that came late with a star."""
        with self.store.read() as tx:
            found = shelf.listed(tx, categories or self.categories, day)
        return [entry.paper.id[-2:] + "*" * entry.late for entry in found]

    def how(self, day):
        with self.store.read() as tx:
            return {
                one.category: one.how
                for one in shelf.fetches(tx, self.categories)
                if one.date == day
            }

    def status(self):
        return announcement_status(self.store, self.source, self.categories, self.clock())


@pytest.fixture
def service(store):
    return FetchService(store)


def test_an_announcement_is_complete_when_two_polls_agree(service):
    service.put(1, TUESDAY)
    with pytest.raises(AnnouncementIncomplete) as caught:
        service.fetch()
    assert caught.value.retry_at == service.clock.now + 10 * MINUTE
    assert caught.value.categories == ("cs.LG",)
    assert service.status().state is AnnouncementState.INCOMPLETE
    service.clock.on(minutes=10)
    assert service.fetch() == FetchResult(TUESDAY, 1, 0, already=False)
    assert service.how(TUESDAY) == {"cs.LG": CompletedBy.TWO_POLLS}
    assert service.status().state is AnnouncementState.COMPLETE


def test_arxiv_is_not_polled_sooner_by_any_process(service):
    service.put(1, TUESDAY)
    for _ in range(5):
        with pytest.raises(AnnouncementIncomplete):
            service.fetch()
        service.clock.on(minutes=1)
    assert [what for what, _ in service.source.asked] == ["submitted", "named"]


def test_23_a_poll_by_a_clock_that_was_a_day_ahead_delays_nothing(service):
    service.clock.on(hours=10)
    service.put(1, WEDNESDAY)
    service.timeline.clock = lambda: service.clock.now - 24 * HOUR * ahead
    ahead = True
    service.clock.on(hours=24)
    with pytest.raises(AnnouncementLate):
        service.fetch()
    # The clock is right again, and arXiv's hour comes long before that of the poll.
    ahead = False
    service.clock.now = announcement(WEDNESDAY).public_from
    assert service.status().state is AnnouncementState.WAITING
    with pytest.raises(AnnouncementIncomplete):
        service.fetch()
    service.clock.on(minutes=10)
    assert service.fetch() == FetchResult(WEDNESDAY, 1, 0, already=False)


def test_a_growing_announcement_is_complete_when_it_stops(service):
    service.put(1, TUESDAY)
    service.put(2, TUESDAY, lag=5 * MINUTE)
    service.put(3, TUESDAY, lag=15 * MINUTE)
    assert service.until_complete() == FetchResult(TUESDAY, 3, 0, already=False)
    assert service.clock.now == announcement(TUESDAY).public_from + 30 * MINUTE


def test_an_announcement_six_hours_late_is_found_within_the_hour(service):
    service.timeline.delays[TUESDAY] = 6 * HOUR
    service.put(1, TUESDAY)
    assert service.until_complete() == FetchResult(TUESDAY, 1, 0, already=False)
    waited = service.clock.now - announcement(TUESDAY).public_from
    assert 6 * HOUR <= waited <= 7 * HOUR + 10 * MINUTE
    polls = [at for what, at in service.source.asked if what == "submitted"]
    assert len(polls) <= 25
    assert all(10 * MINUTE <= b - a <= HOUR for a, b in pairwise(polls))


def test_a_late_announcement_is_late_until_arxiv_shows_it(service):
    public = announcement(TUESDAY).public_from
    assert service.status().state is AnnouncementState.WAITING
    with pytest.raises(AnnouncementLate) as caught:
        service.fetch()
    assert caught.value.retry_at == public + 10 * MINUTE
    service.clock.on(hours=5)
    assert service.status().state is AnnouncementState.LATE
    service.put(1, TUESDAY)
    service.until_complete()
    assert service.status().state is AnnouncementState.COMPLETE


def test_papers_after_completion_are_found_within_the_hour(service):
    service.put(1, TUESDAY)
    service.until_complete()
    service.put(2, TUESDAY, lag=2 * HOUR)
    service.clock.on(minutes=59)
    assert service.again() == 0
    before = len(service.source.asked)
    service.clock.on(minutes=70)
    assert service.again() == 1
    assert service.on(TUESDAY) == ["01", "02"]
    assert service.again() == 0
    assert len(service.source.asked) == before + 2
    assert service.fetch().already


def test_the_hourly_polls_end_with_the_day(service):
    service.put(1, FRIDAY)
    service.clock.now = announcement(FRIDAY).public_from
    service.until_complete()
    service.clock.on(hours=23)
    service.again()
    polls = len(service.source.asked)
    service.clock.on(hours=2)
    assert service.again() == 0
    assert len(service.source.asked) == polls


def test_a_source_that_fails_is_asked_again_and_nothing_is_kept(service):
    service.put(1, TUESDAY)

    class Broken(TimelineSource):
        def submitted(self, *_):
            message = "arXiv is down"
            raise SourceError(message)

    good, service.source = service.source, Broken(service.timeline)
    with pytest.raises(SourceError):
        service.fetch()
    assert service.status().state is AnnouncementState.WAITING
    service.source = good
    assert service.until_complete().papers == 1


def test_a_restart_continues_the_polls(service):
    service.put(1, TUESDAY)
    with pytest.raises(AnnouncementIncomplete):
        service.fetch()
    service.clock.on(minutes=10)
    service.source = TimelineSource(service.timeline)
    assert service.fetch().papers == 1


def test_by_hand_one_poll_is_enough_and_the_service_continues(service):
    service.put(1, TUESDAY)
    assert service.fetch(wait_until_complete=False) == FetchResult(
        TUESDAY, 1, 0, already=False, incomplete=("cs.LG",)
    )
    assert service.status().missing == ("cs.LG",)
    service.put(2, TUESDAY, lag=5 * MINUTE)
    assert service.until_complete().papers == 2


def test_a_given_date_takes_one_poll(service):
    service.put(1, TUESDAY)
    assert service.fetch(TUESDAY, wait_until_complete=False) == FetchResult(
        TUESDAY, 1, 0, already=False
    )
    assert service.how(TUESDAY) == {"cs.LG": CompletedBy.ONE_POLL}
    assert service.fetch(TUESDAY, wait_until_complete=False).already


def test_an_empty_category_is_told_from_a_late_announcement(store):
    service = FetchService(store, "hep-lat")
    with pytest.raises(AnnouncementLate):
        service.fetch()
    service.timeline.add(Submission("2509.00009", announcement(TUESDAY).end - HOUR, ("cs.LG",)))
    service.clock.on(minutes=10)
    assert service.until_complete() == FetchResult(TUESDAY, 0, 0, already=False)
    assert service.clock.now == announcement(TUESDAY).public_from + 10 * MINUTE
    assert service.how(TUESDAY) == {"hep-lat": CompletedBy.TWO_POLLS}


def test_a_category_that_is_never_empty_holds_its_own_rubrics_only(store):
    service = FetchService(store, "cs.AI", "cs.LG", since=date(2025, 9, 15))
    day, number = date(2025, 9, 15), 0
    while day < TUESDAY:
        for name in service.categories:
            number += 1
            service.put(number, day, name)
        service.clock.now = announcement(day).public_from
        service.until_complete()
        day = following(day)
    service.clock.now = announcement(TUESDAY).public_from
    service.put(90, TUESDAY, "cs.LG")
    service.put(91, TUESDAY, "cs.AI", lag=8 * HOUR)
    with pytest.raises(AnnouncementIncomplete):
        service.fetch()
    service.clock.on(minutes=10)
    with pytest.raises(AnnouncementIncomplete) as caught:
        service.fetch()
    assert caught.value.categories == ("cs.AI",)
    assert service.status().missing == ("cs.AI",)
    service.until_complete()
    assert service.how(TUESDAY) == {"cs.LG": CompletedBy.TWO_POLLS, "cs.AI": CompletedBy.TIMEOUT}
    service.clock.now = announcement(TUESDAY).public_from + 9 * HOUR
    assert service.again() == 1
    assert service.on(TUESDAY, "cs.AI") == ["91"]


def test_a_first_trickle_is_not_complete(store):
    """Of 40 papers, as on every day, one is shown at arXiv's hour and 39 an hour later."""
    service = FetchService(store, "cs.LG", since=date(2025, 9, 15))
    day, number = date(2025, 9, 15), 0
    while day <= TUESDAY:
        for place in range(40):
            number += 1
            service.put(number, day, lag=HOUR if day == TUESDAY and place else 0 * HOUR)
        service.clock.now = announcement(day).public_from
        assert service.until_complete().papers == 40
        day = following(day)
    assert service.clock.now == announcement(TUESDAY).public_from + 70 * MINUTE
    assert service.how(TUESDAY) == {"cs.LG": CompletedBy.TWO_POLLS}


def test_a_day_with_few_papers_is_complete_after_three_hours(store):
    service = FetchService(store, "cs.LG", since=date(2025, 9, 15))
    day, number = date(2025, 9, 15), 0
    while day <= TUESDAY:
        for _ in range(3 if day == TUESDAY else 12):
            number += 1
            service.put(number, day)
        service.clock.now = announcement(day).public_from
        service.until_complete()
        day = following(day)
    assert service.clock.now == announcement(TUESDAY).public_from + 3 * HOUR
    assert service.how(TUESDAY) == {"cs.LG": CompletedBy.TIMEOUT}


def test_an_unknown_holiday_is_found_by_polling(service):
    service.put(1, MONDAY)
    service.clock.now = announcement(MONDAY).public_from
    service.until_complete()
    service.timeline.holidays.add(TUESDAY)
    service.put(2, TUESDAY)
    service.put(3, WEDNESDAY)
    service.clock.now = announcement(TUESDAY).public_from
    with pytest.raises(AnnouncementLate):
        service.fetch()
    service.clock.now = announcement(WEDNESDAY).public_from
    assert service.until_complete() == FetchResult(WEDNESDAY, 2, 0, already=False)
    assert service.on(TUESDAY) == []
    assert service.on(WEDNESDAY) == ["02", "03"]
    assert service.status().state is AnnouncementState.COMPLETE


def test_over_a_weekend_an_unknown_holiday_becomes_a_quiet_day(service):
    service.timeline.holidays.add(FRIDAY)
    service.clock.now = announcement(FRIDAY).public_from
    service.put(1, FRIDAY)
    assert service.until_complete() == FetchResult(FRIDAY, 0, 0, already=False)
    assert service.how(FRIDAY) == {"cs.LG": CompletedBy.NOTHING}
    assert service.status().state is AnnouncementState.NOTHING
    assert service.clock.now - announcement(FRIDAY).public_from <= 25 * HOUR
    monday = following(FRIDAY)
    service.clock.now = announcement(monday).public_from
    assert service.until_complete() == FetchResult(monday, 1, 0, already=False)


def test_a_known_holiday_is_no_date_and_no_paper_is_lost(store):
    thursday, holiday, monday = date(2025, 11, 27), date(2025, 11, 28), date(2025, 12, 1)
    service = FetchService(store, since=thursday)
    service.put(1, thursday)
    service.until_complete()
    service.clock.now = announcement(holiday).public_from
    assert service.source.newest(service.clock()) == thursday
    assert service.fetch().already
    eve = announcement(monday).start + HOUR
    service.timeline.add(Submission("2511.00002", eve, ("cs.LG",)))
    service.put(3, monday)
    service.clock.now = announcement(monday).public_from
    assert service.until_complete() == FetchResult(monday, 2, 0, already=False)
    assert previous(monday) == thursday


def test_the_polls_are_stored(service):
    service.put(1, TUESDAY)
    service.until_complete()
    with service.store.read() as tx:
        polls = seen.polls_of(tx, TUESDAY)
    assert polls["cs.LG"].polls == 2
    assert polls["cs.LG"].papers == 1
