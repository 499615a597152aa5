"""Whose mail it is time for, and what it holds, of the digests that a rubric has (pure)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain import digest, send_times
from newsletter.domain.announcements import announcement, following
from newsletter.domain.mail import WEEKDAYS, WEEKLY
from newsletter.domain.segments import DatedDigests

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime, time
    from zoneinfo import ZoneInfo

    from newsletter.domain.digest import StoredDigest
    from newsletter.domain.segments import DeliverySchedule, ReaderPosition

MEMORY = timedelta(days=7)
"""How far back a digest is still mailed to those who should have had it."""
LOOK_BACK = timedelta(days=30)
"""Who was away for longer gets the best of so many days."""
WEEKEND = (5, 6)
DAY = timedelta(days=1)
"""So long the mail of several days waits for the last of them, where that is late."""


class DueMail(NamedTuple):
    """Mail up to a date that is due at one moment."""

    last: date
    due: datetime
    weekly: bool


class StoredDigests(NamedTuple):
    """What a rubric has on store: its digests by date, and all that mail may have held."""

    slug: str
    frozen: Sequence[StoredDigest]
    all_ids: Sequence[tuple[int, str, date, date]] = ()

    @property
    def newest(self) -> date | None:
        return self.frozen[-1].date if self.frozen else None

    def since(self, day: date) -> list[int]:
        return [digest_id for digest_id, _, _, last in self.all_ids if last >= day]

    def over(self, day: date) -> list[int]:
        """The rubric's digests that hold a date."""
        mine = (row for row in self.all_ids if row[1] == self.slug)
        return [digest_id for digest_id, _, first, last in mine if first <= day <= last]

    def before(self, day: date) -> list[DatedDigests]:
        """What was made for each earlier date, the newest first."""
        dates = sorted({last for _, _, _, last in self.all_ids if last < day}, reverse=True)
        return [
            DatedDigests(
                one,
                tuple(row[0] for row in self.all_ids if row[3] == one),
                announcement(one).public_from,
            )
            for one in dates
        ]

    def parts(self, after: date, last: date) -> list[StoredDigest]:
        """The digests from one date, excluded, to another that have something to mail."""
        inside = (one for one in self.frozen if after < one.date <= last)
        return [one for one in inside if one.kind in digest.MAILED_KINDS]


def due_mail_for(
    shelf: StoredDigests,
    habit: DeliverySchedule,
    now: datetime,
    by: datetime,
    zone: ZoneInfo,
    hour: time,
) -> DueMail | None:
    """The newest mail that is due for readers of that habit; `by` where it may be scheduled.

    What is due together with a later announcement goes with it, and waits for it for a day.
    """
    weekly = is_weekly(habit)
    for slot in reversed(shelf.frozen):
        if slot.date < (now - MEMORY).date():
            break
        at = _due(shelf, slot.date, habit, zone, hour)
        if not at or at > by or (at > now and not _on_its_day(slot.date, at, habit, zone, hour)):
            continue
        if not weekly and _is_joined(slot.date, at, habit, zone, hour) and now < at + DAY:
            continue
        last = last_of(shelf, slot.date, weekly=weekly)
        return DueMail(last, at, weekly) if last else None
    return None


def joined_by(shelf: StoredDigests, last: date, due_at: datetime) -> datetime:
    """Until when somebody had to be a reader, to have had the mail at its time: it may be late."""
    made = [one.at for one in shelf.frozen if one.date == last]
    return max([due_at, *(at - timedelta(microseconds=1) for at in made)])


def parts_for(
    shelf: StoredDigests, standing: ReaderPosition, last: date, *, weekly: bool
) -> list[StoredDigest]:
    """The digests that one mail up to `last` holds for readers who stand there."""
    floor = last - LOOK_BACK
    if standing.ahead:
        return [] if weekly else shelf.parts(last - timedelta(days=1), last)
    after = standing.date or floor
    if standing.new:
        after = _before_first(shelf, standing.date, last, weekly=weekly)
    return shelf.parts(max(after, floor), last)


def is_weekly(habit: DeliverySchedule) -> bool:
    return habit.reader.days == WEEKLY


def is_wanted(habit: DeliverySchedule, day: date, today: date) -> bool:
    """Whether mail of the announcement of `day` is wanted, whatever the hour.

    On a weekend, which has no announcement, by who asks for mail on such days.
    """
    days = {WEEKDAYS[day.weekday()]}
    if today.weekday() in WEEKEND:
        days.add(WEEKDAYS[today.weekday()])
    return is_weekly(habit) or not days.isdisjoint(habit.reader.days)


def last_of(shelf: StoredDigests, day: date, *, weekly: bool) -> date | None:
    """The last date that mail of `day` holds: for weekly readers that of a whole week.

    None where nothing is known of the week before. Where the last day of a week had no digest, its
    mail goes with the first of the next week.
    """
    if not weekly or send_times.ends_week(day):
        return day
    return max((one for one in _dates(shelf) if one < send_times.week_of(day)), default=None)


def _due(
    shelf: StoredDigests, day: date, habit: DeliverySchedule, zone: ZoneInfo, hour: time
) -> datetime | None:
    """When mail of that day is due; None where such readers get none."""
    if is_weekly(habit) and not send_times.ends_week(day) and not _opens_week(shelf, day):
        return None
    return send_times.due_of(day, habit.reader, zone, hour)


def _on_its_day(
    day: date, at: datetime, habit: DeliverySchedule, zone: ZoneInfo, hour: time
) -> bool:
    """Whether mail goes as soon as an hour comes: only such is scheduled ahead."""
    reader = habit.reader
    return at == send_times.due_at(day, send_times.zone_of(reader, zone), reader.send_at or hour)


def _is_joined(
    day: date, at: datetime, habit: DeliverySchedule, zone: ZoneInfo, hour: time
) -> bool:
    """Whether the next announcement is due at the same time, on a weekday waited for."""
    return send_times.due_of(following(day), habit.reader, zone, hour) == at


def _before_first(shelf: StoredDigests, came: date | None, last: date, *, weekly: bool) -> date:
    """The date behind which the first mail of somebody begins for whom `came` was the newest.

    It holds one day, and the week that began before somebody came for who reads weekly.
    """
    if not weekly:
        earlier = (one for one in _dates(shelf) if one < last)
        return came or max(earlier, default=last - timedelta(days=1))
    if came and send_times.ends_week(came):
        return came
    return send_times.week_of(came or last) - timedelta(days=1)


def _opens_week(shelf: StoredDigests, day: date) -> bool:
    return not any(send_times.week_of(day) <= one < day for one in _dates(shelf))


def _dates(shelf: StoredDigests) -> list[date]:
    return [one.date for one in shelf.frozen]
