"""Who is owed which digest, written down before anything is sent.

A reader's mail holds what was announced since his last one: for most that is one day, and their
digest is the day's. Who reads weekly, on some weekdays, or comes back from a pause gets the days
in between as one digest, made of theirs and shared by all who stand at the same place. So nobody
is sent a paper twice, and none is passed over that he would have been shown.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from newsletter import due
from newsletter.announcements import announcement
from newsletter.digest import sum_up
from newsletter.people import WEEKDAYS, WEEKLY
from newsletter.store import deliveries, digests, standings
from newsletter.store.standings import Crowd, Issues

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime, time
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from newsletter.store import Store
    from newsletter.store.deliveries import Habit
    from newsletter.store.digests import Frozen
    from newsletter.store.standings import Standing

AT_THE_HOUR = timedelta()
MEMORY = timedelta(days=7)
"""How far back a digest is still mailed to those who should have had it."""
LOOK_BACK = timedelta(days=30)
"""Who was away for longer gets the best of so many days."""


class Owed(NamedTuple):
    """A frozen digest that readers wait for."""

    digest_id: int
    slug: str
    day: date


class Turn(NamedTuple):
    """Mail up to a date that is due at one moment."""

    last: date
    due: datetime
    weekly: bool


class Shelf(NamedTuple):
    """What a rubric has on store: its digests by date, and all that mail may have held."""

    slug: str
    frozen: Sequence[Frozen]
    all_ids: Sequence[tuple[int, str, date, date]]

    @property
    def newest(self) -> date | None:
        return self.frozen[-1].date if self.frozen else None

    def since(self, day: date) -> list[int]:
        return [digest_id for digest_id, _, _, last in self.all_ids if last >= day]

    def over(self, day: date) -> list[int]:
        """The rubric's digests that hold a date."""
        mine = (row for row in self.all_ids if row[1] == self.slug)
        return [digest_id for digest_id, _, first, last in mine if first <= day <= last]

    def before(self, day: date) -> list[Issues]:
        """What was made for each earlier date, the newest first."""
        dates = sorted({last for _, _, _, last in self.all_ids if last < day}, reverse=True)
        return [
            Issues(
                one,
                tuple(row[0] for row in self.all_ids if row[3] == one),
                announcement(one).public_from,
            )
            for one in dates
        ]

    def parts(self, after: date, last: date) -> list[Frozen]:
        """The digests from one date, excluded, to another that have something to mail."""
        inside = (one for one in self.frozen if after < one.date <= last)
        return [one for one in inside if one.kind in digests.MAILED]


def owe_due(
    store: Store,
    slug: str,
    now: datetime,
    zone: ZoneInfo,
    hour: time,
    ahead: timedelta = AT_THE_HOUR,
) -> None:
    """Write down who is owed mail because his hour has come: of the newest digest due, or of all
    since his last mail.

    With `ahead` the daily readers' hour counts as come so long before, for mail that is scheduled.

    Who came, or came back, after the mail of that hour was out waits for the next.
    """
    with store.read() as tx:
        shelf = _shelf(tx, slug, now.date())
        wait = standings.habits(tx, slug, shelf.since(shelf.newest)) if shelf.newest else []
    ready: dict[Turn, dict[Habit, datetime | None]] = {}
    for habit in wait:
        by = now if _weekly(habit) else now + ahead
        if turn := turn_for(shelf, habit, now, by, zone, hour):
            own = due.due_of(turn.last, habit.reader, zone, hour)
            ready.setdefault(turn, {})[habit] = came_by(shelf, turn.last, own)
    for turn, habits in _unserved(store, shelf, ready, wait).items():
        with store.begin() as tx:
            standings.alone(tx, slug)
            shelf = _shelf(tx, slug, now.date())
            past = shelf.before(turn.last)
            crowd = Crowd(slug, habits, shelf.since(turn.last), past, due=turn.due)
            _share_out(tx, shelf, crowd, turn.last, now, weekly=turn.weekly)


def _unserved(
    store: Store,
    shelf: Shelf,
    ready: Mapping[Turn, Mapping[Habit, datetime | None]],
    wait: Iterable[Habit],
) -> dict[Turn, dict[Habit, datetime | None]]:
    """The turns of which somebody has nothing yet. Until their next hour comes most have it all.

    Of the newest date these are `wait`, as was asked before.
    """
    lacking = {shelf.newest: set(wait)}
    if earlier := {turn.last for turn in ready} - lacking.keys():
        with store.read() as tx:
            for last in earlier:
                lacking[last] = set(standings.habits(tx, shelf.slug, shelf.since(last)))
    left = {
        turn: {habit: by for habit, by in habits.items() if habit in lacking[turn.last]}
        for turn, habits in ready.items()
    }
    return {turn: habits for turn, habits in left.items() if habits}


def turn_for(
    shelf: Shelf, habit: Habit, now: datetime, by: datetime, zone: ZoneInfo, hour: time
) -> Turn | None:
    """The newest mail that is due by then for readers of that habit."""
    weekly = _weekly(habit)
    for slot in reversed(shelf.frozen):
        if slot.date < (now - MEMORY).date():
            break
        at = _due(shelf, slot.date, habit, zone, hour)
        if at and at <= by:
            last = _last(shelf, slot.date, weekly=weekly)
            return Turn(last, at, weekly) if last else None
    return None


def came_by(shelf: Shelf, last: date, due_at: datetime) -> datetime:
    """Until when somebody had to be a reader, to have had the mail at its time: it may be late."""
    made = [one.at for one in shelf.frozen if one.date == last]
    return max([due_at, *(at - timedelta(microseconds=1) for at in made)])


def owe_all(store: Store, slug: str, day: date, now: datetime) -> list[Owed]:
    """Write down that everyone is owed mail of the digest of `day` whose weekday it is.

    Answers the digests of that date that anybody was ever owed, and what is owed now for others.
    """
    planned: set[int] = set()
    with store.begin() as tx:
        standings.alone(tx, slug)
        shelf = _shelf(tx, slug, day)
        wait = standings.habits(tx, slug, shelf.over(day))
        for weekly in (False, True):
            habits: dict[Habit, datetime | None] = {
                habit: None for habit in wait if _wants(habit, day) and _weekly(habit) is weekly
            }
            last = _last(shelf, day, weekly=weekly)
            if last is None:
                continue
            later = shelf.since(last + timedelta(days=1))
            crowd = Crowd(slug, habits, shelf.over(last), shelf.before(last), later)
            planned |= _share_out(tx, shelf, crowd, last, now, weekly=weekly)
        return [Owed(*row) for row in deliveries.owed(tx, slug, day, planned)]


def _shelf(tx: Connection, slug: str, day: date) -> Shelf:
    first = day - LOOK_BACK - MEMORY
    return Shelf(slug, digests.frozen_since(tx, slug, first), digests.ids_since(tx, first))


def _share_out(
    tx: Connection, shelf: Shelf, crowd: Crowd, last: date, now: datetime, *, weekly: bool
) -> set[int]:
    """Give each standing in the crowd its digest, which is made now where it is not there."""
    planned = set()
    crowd, found = sorted_crowd(tx, crowd)
    shares: dict[tuple[Frozen, ...], list[Standing]] = {}
    for standing in found:
        if parts := parts_for(shelf, standing, last, weekly=weekly):
            shares.setdefault(tuple(parts), []).append(standing)
    for held, group in shares.items():
        digest_id = held[0].id if len(held) == 1 else _summed_up(tx, held, now)
        standings.owe(tx, crowd, group, digest_id, now)
        deliveries.count_audience(tx, digest_id, shelf.slug, now)
        crowd = replace(crowd, covered=(*crowd.covered, digest_id))
        planned.add(digest_id)
    return planned


def sorted_crowd(tx: Connection, crowd: Crowd) -> tuple[Crowd, Mapping[Standing, int]]:
    """The crowd, looking back as far as it must, and where its readers stand.

    Nearly always all had the mail before this one: then no earlier date is looked at.
    """
    if not crowd.habits:
        return crowd, {}
    near = replace(crowd, past=crowd.past[:1])
    found = standings.count(tx, near)
    if all(one.date or one.ahead for one in found):
        return near, found
    return crowd, standings.count(tx, crowd)


def parts_for(shelf: Shelf, standing: Standing, last: date, *, weekly: bool) -> list[Frozen]:
    """The digests that one mail up to `last` holds for readers who stand there."""
    floor = last - LOOK_BACK
    if standing.ahead:
        return [] if weekly else shelf.parts(last - timedelta(days=1), last)
    after = standing.date or floor
    if standing.new:
        after = _before_first(shelf, standing.date, last, weekly=weekly)
    return shelf.parts(max(after, floor), last)


def _before_first(shelf: Shelf, came: date | None, last: date, *, weekly: bool) -> date:
    """The date behind which the first mail of somebody begins for whom `came` was the newest.

    It holds one day, and the week that began before somebody came for who reads weekly.
    """
    if not weekly:
        earlier = (one for one in _dates(shelf) if one < last)
        return came or max(earlier, default=last - timedelta(days=1))
    if came and due.ends_week(came):
        return came
    return due.week_of(came or last) - timedelta(days=1)


def _summed_up(tx: Connection, parts: Iterable[Frozen], now: datetime) -> int:
    found = [digests.by_id(tx, part.id) for part in parts]
    return digests.freeze(tx, sum_up([one for one in found if one]), now)


def _weekly(habit: Habit) -> bool:
    return habit.reader.days == WEEKLY


def _wants(habit: Habit, day: date) -> bool:
    """Whether mail of an announcement is wanted, whatever the hour."""
    return _weekly(habit) or WEEKDAYS[day.weekday()] in habit.reader.days


def _due(shelf: Shelf, day: date, habit: Habit, zone: ZoneInfo, hour: time) -> datetime | None:
    """When mail of that day is due; None where such readers get none."""
    if not _weekly(habit):
        return due.due_for(day, habit.reader, zone, hour)
    if due.ends_week(day) or _opens_week(shelf, day):
        return due.due_of(day, habit.reader, zone, hour)
    return None


def _last(shelf: Shelf, day: date, *, weekly: bool) -> date | None:
    """The last date that mail of `day` holds: for weekly readers that of a whole week.

    None where nothing is known of the week before. Where the last day of a week had no digest, its
    mail goes with the first of the next week.
    """
    if not weekly or due.ends_week(day):
        return day
    return max((one for one in _dates(shelf) if one < due.week_of(day)), default=None)


def _opens_week(shelf: Shelf, day: date) -> bool:
    return not any(due.week_of(day) <= one < day for one in _dates(shelf))


def _dates(shelf: Shelf) -> list[date]:
    return [one.date for one in shelf.frozen]
