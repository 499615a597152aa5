"""When a reader's mail of an announcement is due (pure).

The first time after arXiv shows the announcement that the reader's own clock stands at the
reader's own hour. In the hour that spring leaves out it is an hour later; in the one that autumn
repeats it is the first of the two.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from newsletter.announcements import announcement
from newsletter.people import WEEKDAYS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from newsletter.people import Subscriber


def due_at(day: date, zone: ZoneInfo, hour: time) -> datetime:
    """The instant (UTC) at which mail of the announcement of `day` is due in `zone`."""
    public = announcement(day).public_from
    local = datetime.combine(public.astimezone(zone).date(), hour, zone)
    if local.astimezone(UTC) < public:
        local = datetime.combine(local.date() + timedelta(days=1), hour, zone)
    return local.astimezone(UTC)


def is_due(day: date, reader: Subscriber, zone: ZoneInfo, hour: time, now: datetime) -> bool:
    """Whether `reader` is to be served now; `zone` and `hour` are for readers without their own.

    Who joined after the mail was due is not sent it, and nobody is on a weekday not asked for.
    """
    due = due_for(day, reader, zone, hour)
    return due is not None and due <= now


def due_for(day: date, reader: Subscriber, zone: ZoneInfo, hour: time) -> datetime | None:
    """When `reader` is to be served; None where he is not to be."""
    own = ZoneInfo(reader.timezone) if reader.timezone else zone
    due = due_at(day, own, reader.send_at or hour)
    wanted = WEEKDAYS[due.astimezone(own).weekday()] in reader.days
    return due if wanted and (reader.since is None or reader.since <= due) else None


def first_due(
    day: date, readers: Iterable[Subscriber], zone: ZoneInfo, hour: time
) -> datetime | None:
    """When the first of `readers` is to be served; None where none is."""
    due = (due_for(day, reader, zone, hour) for reader in readers)
    return min((at for at in due if at), default=None)
