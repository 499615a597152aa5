"""When mail is due, in every zone and on the days when clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from newsletter.domain.announcements import announcement, following
from newsletter.domain.mail import WEEKDAYS, WEEKLY, Subscription
from newsletter.domain.send_times import due_at, due_for, ends_week, first_due, week_of

SEVEN = time(7, 0)


@pytest.mark.parametrize(
    ("day", "zone", "hour", "utc"),
    [
        # Public at 20:00 in New York on Monday: seven o'clock is still to come on Tuesday.
        (date(2025, 9, 23), "America/New_York", SEVEN, "2025-09-23T11:00"),
        (date(2025, 9, 23), "Europe/Berlin", SEVEN, "2025-09-23T05:00"),
        # In Tokyo seven o'clock of that Tuesday is over when arXiv shows it.
        (date(2025, 9, 23), "Asia/Tokyo", SEVEN, "2025-09-23T22:00"),
        (date(2025, 9, 23), "Pacific/Honolulu", time(14, 0), "2025-09-23T00:00"),
        # New York leaves out 02:30 on 9 March 2025 and repeats 01:30 on 2 November.
        (date(2025, 3, 10), "America/New_York", time(2, 30), "2025-03-10T06:30"),
        (date(2025, 11, 3), "America/New_York", time(1, 30), "2025-11-03T06:30"),
        # Lord Howe moves by half an hour.
        (date(2025, 10, 6), "Australia/Lord_Howe", SEVEN, "2025-10-06T20:00"),
    ],
)
def test_23_due_is_the_first_such_hour_after_the_announcement(day, zone, hour, utc):
    assert due_at(day, ZoneInfo(zone), hour) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Asia/Kolkata", "America/Los_Angeles"])
def test_23_no_two_announcements_of_a_year_are_due_together(zone):
    day, seen = date(2025, 1, 1), []
    while day < date(2026, 1, 1):
        due = due_at(day, ZoneInfo(zone), SEVEN)
        assert timedelta(0) <= due - announcement(day).public_from < timedelta(hours=25)
        assert due.astimezone(ZoneInfo(zone)).time() == SEVEN
        seen.append(due)
        day = following(day)
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(
    ("day", "zone", "hour", "weekdays", "local"),
    [
        # Where Monday's announcement comes on Monday, mail for Mondays has it.
        (date(2025, 9, 22), "Pacific/Honolulu", SEVEN, ("mon",), "2025-09-22T07:00-10:00"),
        (date(2025, 9, 22), "America/Sao_Paulo", SEVEN, ("mon",), "2025-09-22T07:00-03:00"),
        (date(2025, 9, 22), "Asia/Kolkata", SEVEN, ("mon",), "2025-09-22T07:00+05:30"),
        (date(2025, 9, 22), "Asia/Kathmandu", SEVEN, ("mon",), "2025-09-22T07:00+05:45"),
        # In Tokyo and Auckland seven o'clock is over by then: Friday's is Monday's news.
        (date(2025, 9, 22), "Asia/Tokyo", SEVEN, ("mon",), "2025-09-29T07:00+09:00"),
        (date(2025, 9, 19), "Asia/Tokyo", SEVEN, ("mon",), "2025-09-22T07:00+09:00"),
        (date(2025, 9, 19), "Pacific/Auckland", SEVEN, ("mon",), "2025-09-22T07:00+12:00"),
        (date(2025, 9, 22), "Pacific/Auckland", SEVEN, ("mon", "tue"), "2025-09-23T07:00+12:00"),
        # Nothing is announced for a weekend; what was before it is read then.
        (date(2025, 9, 19), "Pacific/Honolulu", SEVEN, ("sun",), "2025-09-21T07:00-10:00"),
        (date(2025, 9, 22), "Asia/Kathmandu", SEVEN, ("sat", "sun"), "2025-09-27T07:00+05:45"),
        # A Sunday on which clocks leap over the hour, and two on which it comes twice.
        (date(2025, 3, 7), "America/New_York", time(2, 30), ("sun",), "2025-03-09T03:30-04:00"),
        (date(2025, 10, 31), "America/New_York", time(1, 30), ("sun",), "2025-11-02T01:30-04:00"),
        (date(2026, 4, 3), "Pacific/Auckland", time(2, 30), ("sun",), "2026-04-05T02:30+13:00"),
        # Between announcement and mail Auckland's clocks go on by an hour.
        (date(2025, 9, 26), "Pacific/Auckland", SEVEN, ("mon",), "2025-09-29T07:00+13:00"),
    ],
)
def test_mail_waits_for_the_next_weekday_asked_for(day, zone, hour, weekdays, local):
    given = reader(timezone=zone, send_at=hour, days=weekdays, since=None)
    due = due_for(day, given, ZoneInfo("UTC"), SEVEN)
    assert due == datetime.fromisoformat(local)
    assert WEEKDAYS[due.astimezone(ZoneInfo(zone)).weekday()] in weekdays


def reader(**wishes) -> Subscription:
    since = datetime(2025, 9, 1, tzinfo=UTC)
    return Subscription(
        **{"id": "", "email": "a@example.org", "rubric": "r", "since": since} | wishes
    )


@pytest.mark.parametrize(
    ("wishes", "now", "due"),
    [
        ({}, "2025-09-23T06:59", False),
        ({}, "2025-09-23T07:00", True),
        ({"timezone": "Europe/Berlin"}, "2025-09-23T05:00", True),
        ({"send_at": time(9, 30)}, "2025-09-23T09:29", False),
        ({"days": ("mon", "wed")}, "2025-09-23T12:00", False),
        ({"days": ("tue",)}, "2025-09-23T12:00", True),
        ({"since": datetime(2025, 9, 23, 8, tzinfo=UTC)}, "2025-09-23T12:00", False),
    ],
)
def test_a_reader_is_served_at_their_hour_on_their_days(wishes, now, due):
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    day = date(2025, 9, 23)
    at = due_for(day, reader(**wishes), ZoneInfo("UTC"), SEVEN)
    assert (at is not None and at <= moment) is due


def test_the_first_due_is_of_those_who_want_mail_that_day():
    day, zone = date(2025, 9, 23), ZoneInfo("UTC")
    late = reader(send_at=time(9, 30))
    early = reader(timezone="Europe/Berlin")
    not_today = reader(timezone="Europe/Berlin", send_at=time(6, 0), days=("mon",))
    assert first_due(day, [late, not_today, early], zone, SEVEN) == datetime(
        2025, 9, 23, 5, tzinfo=UTC
    )
    assert first_due(day, [late, not_today], zone, SEVEN) == datetime(
        2025, 9, 23, 9, 30, tzinfo=UTC
    )
    # 23 September 2025 is a Tuesday: it waits for Monday at six in Berlin.
    assert first_due(day, [not_today], zone, SEVEN) == datetime(2025, 9, 29, 4, tzinfo=UTC)
    assert first_due(day, [reader(days=WEEKLY)], zone, SEVEN) is None


def test_who_joins_at_the_exact_instant_is_served():
    day, zone = date(2025, 9, 23), ZoneInfo("UTC")
    due, instant = datetime(2025, 9, 23, 7, tzinfo=UTC), timedelta(microseconds=1)
    assert due_for(day, reader(since=due), zone, SEVEN) == due
    assert due_for(day, reader(since=due - instant), zone, SEVEN) == due
    assert due_for(day, reader(since=due + instant), zone, SEVEN) is None


def test_an_hour_that_is_the_announcements_own_is_not_a_day_late():
    """arXiv shows it at 20:00 in New York, on the eve of its date."""
    day, zone = date(2025, 9, 23), ZoneInfo("America/New_York")
    public = announcement(day).public_from
    assert due_at(day, zone, time(20, 0)) == public
    assert due_at(day, zone, time(19, 59)) == public + timedelta(hours=23, minutes=59)


def test_no_weekdays_are_refused():
    with pytest.raises(ValueError, match="weekday"):
        due_at(date(2025, 9, 23), ZoneInfo("UTC"), SEVEN, ())


def test_a_week_ends_on_friday_or_before_a_holiday():
    week = [date(2026, 3, 2) + timedelta(days=n) for n in range(5)]
    assert [ends_week(day) for day in week] == [False, False, False, False, True]
    assert ends_week(date(2026, 11, 26))
    assert {week_of(date(2026, 3, 2) + timedelta(days=n)) for n in range(7)} == {week[0]}
    assert week_of(date(2026, 3, 1)) == date(2026, 2, 23)


def test_a_weekly_reader_is_served_with_the_weeks_last_announcement_on_any_weekday():
    weekly = reader(days=WEEKLY, timezone="Asia/Tokyo", since=None)
    # Friday's announcement is there after seven on a Saturday in Tokyo.
    assert due_for(date(2025, 9, 26), weekly, ZoneInfo("UTC"), SEVEN) == datetime(
        2025, 9, 26, 22, tzinfo=UTC
    )
    assert due_for(date(2025, 9, 25), weekly, ZoneInfo("UTC"), SEVEN) is None


def test_thousands_of_readers_alike_are_asked_about_once():
    due_at.cache_clear()
    for number in range(1000):
        due_for(date(2025, 9, 23), reader(email=f"a{number}@example.org"), ZoneInfo("UTC"), SEVEN)
    assert due_at.cache_info().misses == 1
