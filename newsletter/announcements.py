"""arXiv's calendar: which submissions an announcement holds, and when it is public (pure).

Times follow US Eastern by the zone database, never a fixed offset
(info.arxiv.org/help/availability.html). On a deferred evening nothing is announced; the next
announcement then holds the submissions of both.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from newsletter.holidays import deferred
from newsletter.model import Announcement

BEGAN = date(1991, 8, 14)
"""arXiv's first day."""
EASTERN = ZoneInfo("America/New_York")
DEADLINE = time(14, 0)
PUBLISHED = time(20, 0)
SATURDAY = 5
DAY = timedelta(days=1)


def is_announced(day: date) -> bool:
    """True for the dates an announcement can bear: Monday to Friday, but for known holidays."""
    return _is_weekday(day) and not holiday(day)


def holiday(day: date) -> str:
    """Why no announcement bears the weekday `day`; the empty string where one does, as known."""
    return deferred(day - DAY)


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
