"""arXiv's calendar: which submissions an announcement holds, and when it is public (pure).

Times follow US Eastern by the zone database, never a fixed offset
(info.arxiv.org/help/availability.html). On a deferred evening nothing is announced; the next
announcement then holds the submissions of both.

DEFERRED_EVENINGS is copied by hand, once a year, from the section "On Deferred Mailings" of
info.arxiv.org/help/availability.html; status.arxiv.org announces others. A missing evening costs no
paper: polling finds it (docs/ingest.md). No Friday has an announcement; a Friday that arXiv lists
defers the one on Sunday evening.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from newsletter.domain.model import Announcement

FIRST_DAY = date(1991, 8, 14)
"""arXiv's first day."""
EASTERN = ZoneInfo("America/New_York")
DEADLINE = time(14, 0)
PUBLISHED = time(20, 0)
SATURDAY = 5
DAY = timedelta(days=1)


def is_announced(day: date) -> bool:
    """True for the dates an announcement can bear: Monday to Friday, but for known holidays."""
    return _is_weekday(day) and not holiday_name(day)


def holiday_name(day: date) -> str:
    """Why no announcement bears the weekday `day`; the empty string where one does, as known."""
    return deferral_reason(day - DAY)


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


@lru_cache(maxsize=1024)  # A wake-up asks for the same few days again and again.
def announcement(day: date) -> Announcement:
    """The announcement dated `day`. Raises ValueError on a Saturday or Sunday.

    A known holiday has one as well: what was stored before it was known stays readable.
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
    """When arXiv's feed is that of `day`: midnight Eastern (info.arxiv.org/help/rss.html)."""
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
    """Until when what the announcement of `day` holds could be submitted: the weekday before."""
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
"""US Eastern dates as arXiv lists them, and what they are."""
FRIDAY, SUNDAY = 4, 6


def deferral_reason(evening: date) -> str:
    """Why arXiv sends nothing on an evening; the empty string where nothing is known of that."""
    if evening.weekday() == SUNDAY:
        return DEFERRED_EVENINGS.get(evening) or DEFERRED_EVENINGS.get(
            evening - timedelta(days=2), ""
        )
    return "" if evening.weekday() == FRIDAY else DEFERRED_EVENINGS.get(evening, "")


class ListingEntry(NamedTuple):
    """A line to be written: this paper is listed in this category."""

    category: str
    paper_id: str


class FetchRecord(NamedTuple):
    """One announcement that was fetched for one category: when, with how many papers on time.

    `how` is a `completeness.CompletedBy`, or empty in old rows.
    """

    category: str
    date: date
    at: datetime
    papers: int = 0
    how: str = ""
