"""arXiv's calendar, to the minute, in both halves of the year and across the changes of clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from newsletter.domain.announcements import (
    announcement,
    following,
    holiday_name,
    is_announced,
    newest,
    previous,
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "start", "end", "public_from"),
    [
        # Summer, UTC-4: Monday to Friday of one week.
        ("2025-09-22", "2025-09-18 18:00", "2025-09-19 18:00", "2025-09-22 00:00"),
        ("2025-09-23", "2025-09-19 18:00", "2025-09-22 18:00", "2025-09-23 00:00"),
        ("2025-09-24", "2025-09-22 18:00", "2025-09-23 18:00", "2025-09-24 00:00"),
        ("2025-09-25", "2025-09-23 18:00", "2025-09-24 18:00", "2025-09-25 00:00"),
        ("2025-09-26", "2025-09-24 18:00", "2025-09-25 18:00", "2025-09-26 00:00"),
        # Winter, UTC-5.
        ("2026-01-13", "2026-01-09 19:00", "2026-01-12 19:00", "2026-01-13 01:00"),
        # Clocks go back on Sunday, 2 November 2025: the long Tuesday has 73 hours.
        ("2025-11-03", "2025-10-30 18:00", "2025-10-31 18:00", "2025-11-03 01:00"),
        ("2025-11-04", "2025-10-31 18:00", "2025-11-03 19:00", "2025-11-04 01:00"),
        # Clocks go forward on Sunday, 8 March 2026: it has 71.
        ("2026-03-09", "2026-03-05 19:00", "2026-03-06 19:00", "2026-03-09 00:00"),
        ("2026-03-10", "2026-03-06 19:00", "2026-03-09 18:00", "2026-03-10 00:00"),
        # After Thanksgiving, after Independence Day's Sunday, between two deferred evenings.
        ("2025-12-01", "2025-11-26 19:00", "2025-11-28 19:00", "2025-12-01 01:00"),
        ("2025-07-08", "2025-07-03 18:00", "2025-07-07 18:00", "2025-07-08 00:00"),
        ("2026-12-31", "2026-12-28 19:00", "2026-12-30 19:00", "2026-12-31 01:00"),
        # Over the year's end.
        ("2026-01-01", "2025-12-29 19:00", "2025-12-31 19:00", "2026-01-01 01:00"),
        # A Friday that arXiv lists defers the Sunday evening after it, not the one before.
        ("2026-12-25", "2026-12-23 19:00", "2026-12-24 19:00", "2026-12-25 01:00"),
        ("2026-12-29", "2026-12-24 19:00", "2026-12-28 19:00", "2026-12-29 01:00"),
    ],
)
def test_a_window_follows_eastern_time(day, start, end, public_from):
    window = announcement(date.fromisoformat(day))
    assert (window.start, window.end) == (utc(start), utc(end))
    assert window.public_from == utc(public_from)


def test_windows_join_without_gap_or_overlap():
    day = date(2024, 1, 2)
    while day < date(2027, 1, 1):
        assert announcement(day).end == announcement(following(day)).start
        assert previous(following(day)) == day
        day = following(day)


@pytest.mark.parametrize(
    "day",
    [
        date(2024, 10, 9),
        date(2025, 7, 7),
        date(2025, 11, 28),
        date(2025, 12, 26),
        date(2025, 12, 31),
        date(2026, 6, 22),
        date(2026, 7, 6),
        date(2026, 12, 28),
        date(2027, 1, 1),
    ],
)
def test_a_deferred_evening_has_no_date(day):
    assert holiday_name(day)
    assert not is_announced(day)
    assert previous(following(day)) < day < following(previous(day))
    assert newest(announcement(day).public_from) == previous(day)


def test_the_calendar_is_what_arxiv_did():
    """364 dates as public crawls of arXiv's listing pages recorded them."""
    recorded = Path(__file__).parents[3] / "shared/corpus/announcement-days.txt"
    if not recorded.exists():
        pytest.skip(f"{recorded} is absent")
    days = [date.fromisoformat(line) for line in recorded.read_text(encoding="utf-8").split()]
    span = (days[-1] - days[0]).days + 1
    all_days = [days[0] + timedelta(days=n) for n in range(span)]
    assert [day for day in all_days if is_announced(day)] == days


def test_2024_had_ten_evenings_without_an_announcement():
    year = [date(2024, 1, 1) + timedelta(days=n) for n in range(366)]
    assert sum(bool(holiday_name(day + timedelta(days=1))) for day in year) == 10


def test_the_days_of_the_corpus_are_no_holidays():
    for day in (date(2025, 7, 2), date(2026, 2, 16), date(2025, 12, 9), date(2026, 4, 9)):
        assert is_announced(day)


@pytest.mark.parametrize("day", [date(2025, 9, 20), date(2025, 9, 21)])
def test_a_weekend_bears_no_announcement(day):
    with pytest.raises(ValueError, match="arXiv announces Monday to Friday"):
        announcement(day)


@pytest.mark.parametrize(
    ("now", "day"),
    [
        # A summer evening: 20:00 Eastern is 00:00 UTC.
        ("2025-09-22 23:59:59", "2025-09-22"),
        ("2025-09-23 00:00", "2025-09-23"),
        # A winter evening: it is 01:00 UTC.
        ("2026-01-13 00:59:59", "2026-01-12"),
        ("2026-01-13 01:00", "2026-01-13"),
        # From Thursday evening to Sunday evening nothing new comes.
        ("2025-09-25 23:59:59", "2025-09-25"),
        ("2025-09-26 00:00", "2025-09-26"),
        ("2025-09-27 00:00", "2025-09-26"),
        ("2025-09-27 12:00", "2025-09-26"),
        ("2025-09-28 23:59:59", "2025-09-26"),
        ("2025-09-29 00:00", "2025-09-29"),
        # The Sunday evenings on which clocks changed.
        ("2025-11-03 00:30", "2025-10-31"),
        ("2025-11-03 01:00", "2025-11-03"),
        ("2026-03-09 00:00", "2026-03-09"),
        ("2026-03-08 23:59:59", "2026-03-06"),
    ],
)
def test_the_newest_announcement_is_the_last_public_one(now, day):
    assert newest(utc(now)) == date.fromisoformat(day)


def test_the_newest_announcement_is_public_and_the_next_is_not():
    now = utc("2025-10-20 00:17")
    while now < utc("2026-04-01 00:00"):
        day = newest(now)
        assert announcement(day).public_from <= now < announcement(following(day)).public_from
        now += timedelta(hours=1)
