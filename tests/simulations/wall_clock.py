"""When mail is due, found by watching clocks on walls: not by the program's functions."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from newsletter.domain.mail import WEEKDAYS

SOON = timedelta(minutes=10)
"""A mail may leave so long after its hour: the service looks every five minutes."""


@cache
def due_by_clock(zone: str, hour: time, days: tuple[str, ...], public: datetime) -> datetime:
    """When the wall clock of a zone first comes to an hour of such a weekday after a moment."""
    at = wall_clock(zone, hour, public)
    while WEEKDAYS[at.astimezone(ZoneInfo(zone)).weekday()] not in days:
        at = wall_clock(zone, hour, at + timedelta(minutes=15))
    return at


@cache
def wall_clock(zone: str, hour: time, public: datetime) -> datetime:
    """When the wall clock of a zone first comes to an hour after a moment, found by watching it."""
    quarter = timedelta(minutes=15)
    moment = public
    while True:
        local = moment.astimezone(ZoneInfo(zone))
        if local.time() == hour:
            return moment
        before = (moment - quarter).astimezone(ZoneInfo(zone))
        # Clocks that leap over the hour are an hour further on when it would have been.
        same_day = before.date() == local.date()
        if moment > public and same_day and before.time() < hour < local.time():
            return moment + timedelta(minutes=_minutes(hour) - _minutes(before.time()) - 15)
        if moment > public and before.date() < local.date() and hour < local.time():
            return moment + timedelta(minutes=_minutes(hour))
        moment += quarter


def _minutes(clock: time) -> int:
    return clock.hour * 60 + clock.minute
