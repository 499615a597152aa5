"""Rules of planning: which mail is due for a schedule, and which digests it holds (pure)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain import digest, send_times
from newsletter.domain.announcements import announcement, following, newest
from newsletter.domain.mail import WEEKDAYS, WEEKLY
from newsletter.domain.model import DayKind
from newsletter.domain.segments import DatedDigests

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime, time
    from zoneinfo import ZoneInfo

    from newsletter.domain.digest import StoredDigest
    from newsletter.domain.segments import DeliverySchedule, ReaderPosition

CATCH_UP = timedelta(days=7)
"""How far back a digest is still mailed to readers who missed it."""
LOOK_BACK = timedelta(days=30)
"""Readers who were away for longer get a digest of so many days."""
WEEKEND = (5, 6)
WAIT_FOR_NEXT = timedelta(days=1)
"""How long mail of several days waits for the last day's digest when that is late."""


EXPECTED = 8
"""Announcements that are looked ahead: more than a week has, so that each schedule has mail."""
NOT_STORED = 0
"""The id of a digest that is not made yet."""


class DueMail(NamedTuple):
    """Mail up to a date that is due at one moment."""

    last: date
    due: datetime
    weekly: bool


class StoredDigests(NamedTuple):
    """The stored digests of a rubric by date, and the ids of all digests by date."""

    slug: str
    frozen: Sequence[StoredDigest]
    all_ids: Sequence[tuple[int, str, date, date]] = ()

    @property
    def newest(self) -> date | None:
        return self.frozen[-1].date if self.frozen else None

    def since(self, day: date) -> list[int]:
        return [digest_id for digest_id, _, _, last in self.all_ids if last >= day]

    def over(self, day: date) -> list[int]:
        """The ids of the rubric's digests that cover a date."""
        mine = (row for row in self.all_ids if row[1] == self.slug)
        return [digest_id for digest_id, _, first, last in mine if first <= day <= last]

    def before(self, day: date) -> list[DatedDigests]:
        """The digests of each earlier date, newest first."""
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
        """The digests with something to mail after one date, up to another."""
        inside = (one for one in self.frozen if after < one.date <= last)
        return [one for one in inside if one.kind in digest.MAILED_KINDS]


def due_mail_for(
    stored: StoredDigests,
    schedule: DeliverySchedule,
    now: datetime,
    by: datetime,
    zone: ZoneInfo,
    hour: time,
) -> DueMail | None:
    """The newest mail due for a schedule by `now`, or by `by` if it may be scheduled ahead.

    Mail due at the same time as that of a later announcement is merged with it, and waits for it
    for at most a day.
    """
    weekly = is_weekly(schedule)
    for slot in reversed(stored.frozen):
        if slot.date < (now - CATCH_UP).date():
            break
        at = _due(stored, slot.date, schedule, zone, hour)
        if (
            not at
            or at > by
            or (at > now and not _can_be_scheduled(slot.date, at, schedule, zone, hour))
        ):
            continue
        if (
            not weekly
            and _goes_with_next(slot.date, at, schedule, zone, hour)
            and now < at + WAIT_FOR_NEXT
        ):
            continue
        last = last_of(stored, slot.date, weekly=weekly)
        return DueMail(last, at, weekly) if last else None
    return None


def next_mail_for(
    stored: StoredDigests,
    schedule: DeliverySchedule,
    latest: date | None,
    joined: datetime | None,
    now: datetime,
    zone: ZoneInfo,
    hour: time,
) -> DueMail | None:
    """The next mail of readers served up to `latest`, if each announcement gets its digest.

    Its due time is past if it leaves with the next wake-up. `joined` is None if it is long ago.
    """
    foreseen = with_expected(stored, now)
    moments = [send_times.due_of(one.date, schedule.reader, zone, hour) for one in foreseen.frozen]
    later = sorted({at for at in moments if at > now})
    for known, at in ((stored, now), *((foreseen, at) for at in later)):
        mail = due_mail_for(known, schedule, at, at, zone, hour)
        if mail is None or (latest and latest >= mail.last):
            continue
        due_at = send_times.due_of(mail.last, schedule.reader, zone, hour)
        if joined is None or joined <= joined_by(known, mail.last, due_at):
            return mail
    return None


def with_expected(stored: StoredDigests, now: datetime) -> StoredDigests:
    """The stored digests, and those of the announcements that have none yet, the next ones too."""
    day = min(newest(now), following(stored.newest or newest(now)))
    expected: list[StoredDigest] = []
    known = {one.date for one in stored.frozen}
    while len(expected) < EXPECTED:
        if day not in known:
            made = announcement(day).public_from
            expected.append(digest.StoredDigest(NOT_STORED, day, DayKind.NORMAL, made))
        day = following(day)
    return stored._replace(frozen=sorted([*stored.frozen, *expected], key=lambda one: one.date))


def joined_by(stored: StoredDigests, last: date, due_at: datetime) -> datetime:
    """The latest join time of readers who get this mail: its due time, or later if it was late."""
    made = [one.at for one in stored.frozen if one.date == last]
    return max([due_at, *(at - timedelta(microseconds=1) for at in made)])


def parts_for(
    stored: StoredDigests, position: ReaderPosition, last: date, *, weekly: bool
) -> list[StoredDigest]:
    """The digests that a mail up to `last` holds for readers in a position."""
    floor = last - LOOK_BACK
    if position.ahead:
        return [] if weekly else stored.parts(last - timedelta(days=1), last)
    after = position.date or floor
    if position.new:
        after = _start_of_first_mail(stored, position.date, last, weekly=weekly)
    return stored.parts(max(after, floor), last)


def is_weekly(schedule: DeliverySchedule) -> bool:
    return schedule.reader.days == WEEKLY


def is_wanted(schedule: DeliverySchedule, day: date, today: date) -> bool:
    """Whether a schedule includes mail of the announcement of `day`, regardless of the hour.

    A weekend has no announcement: on one, schedules with that weekday count as well.
    """
    days = {WEEKDAYS[day.weekday()]}
    if today.weekday() in WEEKEND:
        days.add(WEEKDAYS[today.weekday()])
    return is_weekly(schedule) or not days.isdisjoint(schedule.reader.days)


def last_of(stored: StoredDigests, day: date, *, weekly: bool) -> date | None:
    """The last date covered by mail of `day`; for weekly readers the end of a whole week.

    None when the week before has no digests. If the last day of a week had no digest, the weekly
    mail is sent with the first digest of the next week.
    """
    if not weekly or send_times.ends_week(day):
        return day
    return max((one for one in _dates(stored) if one < send_times.week_of(day)), default=None)


def _due(
    stored: StoredDigests, day: date, schedule: DeliverySchedule, zone: ZoneInfo, hour: time
) -> datetime | None:
    """When mail of that day is due; None if the schedule gets none."""
    if is_weekly(schedule) and not send_times.ends_week(day) and not _opens_week(stored, day):
        return None
    return send_times.due_of(day, schedule.reader, zone, hour)


def _can_be_scheduled(
    day: date, at: datetime, schedule: DeliverySchedule, zone: ZoneInfo, hour: time
) -> bool:
    """Whether mail goes out at a fixed hour of its own day: only such mail is scheduled ahead."""
    reader = schedule.reader
    return at == send_times.due_at(day, send_times.zone_of(reader, zone), reader.send_at or hour)


def _goes_with_next(
    day: date, at: datetime, schedule: DeliverySchedule, zone: ZoneInfo, hour: time
) -> bool:
    """Whether mail of the next announcement is due at the same time."""
    return send_times.due_of(following(day), schedule.reader, zone, hour) == at


def _start_of_first_mail(
    stored: StoredDigests, came: date | None, last: date, *, weekly: bool
) -> date:
    """The date after which a new reader's first mail starts.

    `came` is the newest date when they joined. The first mail covers one day; for weekly readers,
    the week in which they joined.
    """
    if not weekly:
        earlier = (one for one in _dates(stored) if one < last)
        return came or max(earlier, default=last - timedelta(days=1))
    if came and send_times.ends_week(came):
        return came
    return send_times.week_of(came or last) - timedelta(days=1)


def _opens_week(stored: StoredDigests, day: date) -> bool:
    return not any(send_times.week_of(day) <= one < day for one in _dates(stored))


def _dates(stored: StoredDigests) -> list[date]:
    return [one.date for one in stored.frozen]
