"""When a reader's mail of an announcement is due (pure).

It is due at the first time after arXiv shows the announcement that is the reader's hour, in their
time zone, on a weekday that they chose. If it is Tuesday there by then, mail for Mondays waits for
the next Monday. An hour that summer time leaves out is one hour later; of an hour that occurs
twice, the first one counts.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from newsletter.domain.announcements import announcement, following
from newsletter.domain.mail import WEEKDAYS, WEEKLY

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from newsletter.domain.mail import Subscription


@lru_cache(maxsize=8192)  # Each wake-up asks the same of each zone and hour.
def due_at(day: date, zone: ZoneInfo, hour: time, weekdays: tuple[str, ...] = WEEKDAYS) -> datetime:
    """The instant (UTC) at which mail of the announcement of `day` is due in `zone`.

    Raises ValueError where there are no weekdays.
    """
    public = announcement(day).public_from
    local = datetime.combine(public.astimezone(zone).date(), hour, zone)
    for _ in range(len(WEEKDAYS) + 1):
        if WEEKDAYS[local.weekday()] in weekdays and local.astimezone(UTC) >= public:
            return local.astimezone(UTC)
        local = datetime.combine(local.date() + timedelta(days=1), hour, zone)
    message = f"none of {weekdays} is a weekday"
    raise ValueError(message)


def due_for(day: date, reader: Subscription, zone: ZoneInfo, hour: time) -> datetime | None:
    """When `reader` is to be served; None where they get no mail.

    `zone` and `hour` are for readers without their own. Readers who joined after it was due do not
    get it; weekly readers get mail of the week's last announcement only.
    """
    due = due_of(day, reader, zone, hour)
    wanted = reader.days != WEEKLY or ends_week(day)
    return due if wanted and (reader.since is None or reader.since <= due) else None


def due_of(day: date, reader: Subscription, zone: ZoneInfo, hour: time) -> datetime:
    """When mail of an announcement is due for readers like this one, whenever they joined."""
    weekdays = WEEKDAYS if reader.days == WEEKLY else reader.days
    return due_at(day, zone_of(reader, zone), reader.send_at or hour, weekdays)


def zone_of(reader: Subscription, zone: ZoneInfo) -> ZoneInfo:
    return ZoneInfo(reader.timezone) if reader.timezone else zone


def ends_week(day: date) -> bool:
    """Whether the announcement of `day` is the last of its week: Friday's, or before a holiday."""
    return week_of(following(day)) != week_of(day)


def week_of(day: date) -> date:
    """The Monday of the week of `day`."""
    return day - timedelta(days=day.weekday())


def first_due(
    day: date, readers: Iterable[Subscription], zone: ZoneInfo, hour: time
) -> datetime | None:
    """When the first of `readers` is to be served; None where none is."""
    due = (due_for(day, reader, zone, hour) for reader in readers)
    return min((at for at in due if at), default=None)
