"""arXiv's calendar: which submissions an announcement holds, and when it is public (pure).

Times follow US Eastern by the zone database, never a fixed offset
(info.arxiv.org/help/availability.html).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from newsletter.model import Announcement

BEGAN = date(1991, 8, 14)
"""arXiv's first day."""
EASTERN = ZoneInfo("America/New_York")
DEADLINE = time(14, 0)
PUBLISHED = time(20, 0)
SATURDAY = 5


def is_announced(day: date) -> bool:
    """True for Monday to Friday: the dates an announcement can bear."""
    return day.weekday() < SATURDAY


def previous(day: date) -> date:
    """The last announcement date before `day`."""
    day -= timedelta(days=1)
    while not is_announced(day):
        day -= timedelta(days=1)
    return day


def following(day: date) -> date:
    """The first announcement date after `day`."""
    day += timedelta(days=1)
    while not is_announced(day):
        day += timedelta(days=1)
    return day


def announcement(day: date) -> Announcement:
    """The announcement dated `day`. Raises ValueError on a Saturday or Sunday."""
    if not is_announced(day):
        message = f"{day} is a {day:%A}: arXiv announces Monday to Friday"
        raise ValueError(message)
    return Announcement(
        date=day,
        start=_eastern(previous(previous(day)), DEADLINE),
        end=_eastern(previous(day), DEADLINE),
        public_from=_eastern(day - timedelta(days=1), PUBLISHED),
    )


def newest(now: datetime) -> date:
    """The date of the newest announcement that is public at `now` (aware)."""
    day = now.astimezone(EASTERN).date() + timedelta(days=1)
    while not is_announced(day) or announcement(day).public_from > now:
        day -= timedelta(days=1)
    return day


def _eastern(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, EASTERN).astimezone(UTC)
