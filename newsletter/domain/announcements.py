"""arXiv's calendar: the submission window of an announcement, and when it is public (pure).

Times are US Eastern by the zone database, never a fixed offset
(info.arxiv.org/help/availability.html). On a deferred evening nothing is announced; the next
announcement contains the submissions of both.

DEFERRED_EVENINGS is copied by hand, once a year, from the section "On Deferred Mailings" of that
page; status.arxiv.org reports others. An evening that is missing here loses no paper: polling finds
it (docs/ingest.md). There is no announcement on Friday evenings; a Friday that arXiv lists defers
the one on Sunday evening.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from newsletter.domain.model import Announcement

FIRST_DAY = date(1991, 8, 14)
"""Date of arXiv's first paper."""
EASTERN = ZoneInfo("America/New_York")
DEADLINE = time(14, 0)
PUBLISHED = time(20, 0)
FRIDAY, SATURDAY, SUNDAY = 4, 5, 6
DAY = timedelta(days=1)


def is_announced(day: date) -> bool:
    """Whether an announcement has this date: Monday to Friday, except known holidays."""
    return _is_weekday(day) and not holiday_name(day)


def holiday_name(day: date) -> str:
    """Name of the holiday for which a weekday has no announcement; empty where it has one."""
    evening = day - DAY
    if evening.weekday() == SUNDAY:
        friday = evening - 2 * DAY
        return DEFERRED_EVENINGS.get(evening) or DEFERRED_EVENINGS.get(friday, "")
    return "" if evening.weekday() == FRIDAY else DEFERRED_EVENINGS.get(evening, "")


def previous(day: date) -> date:
    """The last announcement date before `day`."""
    day -= DAY
    while not is_announced(day):
        day -= DAY
    return day


def following(day: date) -> date:
    """The first announcement date after `day`."""
    day += DAY
    while not is_announced(day):
        day += DAY
    return day


def left_in_month(day: date) -> int:
    """How many announcements the month of `day` has after it."""
    count, later = 0, following(day)
    while (later.year, later.month) == (day.year, day.month):
        count, later = count + 1, following(later)
    return count


@lru_cache(maxsize=1024)  # Each wake-up asks for the same few days many times.
def announcement(day: date) -> Announcement:
    """The announcement dated `day`. Raises ValueError on a Saturday or Sunday.

    A known holiday has one too: papers stored before the holiday was known stay readable.
    """
    if not _is_weekday(day):
        message = f"{day} is a {day:%A}: arXiv announces Monday to Friday"
        raise ValueError(message)
    return Announcement(
        date=day,
        start=_deadline(previous(day)),
        end=_deadline(day),
        public_from=_eastern(day - DAY, PUBLISHED),
    )


def feed_from(day: date) -> datetime:
    """When arXiv rebuilds its feed for `day`: midnight Eastern (info.arxiv.org/help/rss.html)."""
    return _eastern(day, time(0))


def newest(now: datetime) -> date:
    """The date of the newest announcement that is public at `now` (aware)."""
    day = now.astimezone(EASTERN).date() + DAY
    while not is_announced(day) or announcement(day).public_from > now:
        day -= DAY
    return day


def _is_weekday(day: date) -> bool:
    return day.weekday() < SATURDAY


def _deadline(day: date) -> datetime:
    """Submission deadline of the announcement of `day`: on the weekday before."""
    day -= DAY
    while not _is_weekday(day):
        day -= DAY
    return _eastern(day, DEADLINE)


def _eastern(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, EASTERN).astimezone(UTC)


DEFERRED_EVENINGS: dict[date, str] = {
    date(2024, 1, 15): "Martin Luther King Jr. Day",
    date(2024, 5, 22): "deferred by arXiv",
    date(2024, 6, 19): "Juneteenth",
    date(2024, 7, 4): "Independence Day",
    date(2024, 9, 2): "Labor Day",
    date(2024, 10, 8): "deferred by arXiv",
    date(2024, 11, 28): "Thanksgiving",
    date(2024, 12, 25): "Christmas Day",
    date(2024, 12, 26): "winter holidays",
    date(2024, 12, 31): "New Year's Eve",
    date(2025, 1, 1): "New Year's Day",
    date(2025, 1, 20): "Martin Luther King Jr. Day",
    date(2025, 6, 19): "Juneteenth",
    date(2025, 7, 6): "Independence Day weekend",
    date(2025, 9, 1): "Labor Day",
    date(2025, 11, 27): "Thanksgiving",
    date(2025, 12, 25): "Christmas Day",
    date(2025, 12, 30): "winter holidays",
    date(2026, 1, 1): "New Year's Day",
    date(2026, 1, 19): "Martin Luther King Jr. Day",
    date(2026, 6, 19): "Juneteenth",
    date(2026, 7, 3): "Independence Day weekend",
    date(2026, 9, 7): "Labor Day",
    date(2026, 11, 26): "Thanksgiving",
    date(2026, 12, 25): "Christmas Day",
    date(2026, 12, 29): "winter holidays",
    date(2026, 12, 31): "New Year's Eve",
}
"""US Eastern dates as arXiv lists them, and their names."""


class ListingEntry(NamedTuple):
    """One paper in one of the categories that list it."""

    category: str
    paper_id: str


class FetchRecord(NamedTuple):
    """A completely fetched announcement in one category: when, and how many papers were on time.

    `how` is a `completeness.CompletedBy`, or empty in old rows.
    """

    category: str
    date: date
    at: datetime
    papers: int = 0
    how: str = ""
