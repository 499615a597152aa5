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

from newsletter.delivery.plan_rules import (
    LOOK_BACK,
    MEMORY,
    Shelf,
    came_by,
    is_weekly,
    last_of,
    parts_for,
    turn_for,
    wants,
)
from newsletter.domain import send_times
from newsletter.domain.digest import sum_up
from newsletter.domain.segments import Crowd
from newsletter.store import audience, deliveries, digests

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date, datetime, time
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from newsletter.delivery.plan_rules import Turn
    from newsletter.domain.digest import Frozen
    from newsletter.domain.segments import Habit, Standing
    from newsletter.store import Store

AT_THE_HOUR = timedelta()
WEEKS = timedelta(days=14)
"""Before a mail still due: the dates that say whether it opens a week."""


class Owed(NamedTuple):
    """A frozen digest that readers wait for."""

    digest_id: int
    slug: str
    day: date


class Waiting(NamedTuple):
    """A rubric whose newest digest some readers have not, and the date of what they have."""

    shelf: Shelf
    had: Mapping[Habit, date | None]


def waiting(store: Store, now: datetime) -> list[Waiting]:
    """Whom there may be mail for, of all rubrics at a glance. Most have all until the next hour."""
    shelves: dict[str, list[Frozen]] = {}
    sent: dict[date, list[int]] = {}
    with store.read() as tx:
        for slug, first, one in digests.all_since(tx, now.date() - MEMORY - WEEKS):
            sent.setdefault(one.date, []).append(one.id)
            if first == one.date:
                shelves.setdefault(slug, []).append(one)
        behind = audience.behind(tx, sorted(sent.items(), reverse=True)) if sent else {}
    both = sorted(shelves.keys() & behind.keys())
    return [Waiting(Shelf(slug, shelves[slug]), behind[slug]) for slug in both]


def owe_due(
    store: Store,
    some: Waiting,
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
    slug = some.shelf.slug
    ready: dict[Turn, dict[Habit, datetime | None]] = {}
    for habit, had in some.had.items():
        by = now if is_weekly(habit) else now + ahead
        turn = turn_for(some.shelf, habit, now, by, zone, hour)
        if turn and (had is None or had < turn.last):
            own = send_times.due_of(turn.last, habit.reader, zone, hour)
            ready.setdefault(turn, {})[habit] = came_by(some.shelf, turn.last, own)
    for turn, habits in ready.items():
        with store.begin() as tx:
            audience.alone(tx, slug)
            shelf = _shelf(tx, slug, now.date())
            past = shelf.before(turn.last)
            crowd = Crowd(slug, habits, shelf.since(turn.last), past, due=turn.due)
            _share_out(tx, shelf, crowd, turn.last, now, weekly=turn.weekly)


def owe_all(store: Store, slug: str, day: date, now: datetime) -> list[Owed]:
    """Write down that everyone is owed mail of the digest of `day` who asked for such a weekday.

    Answers the digests of that date that anybody was ever owed, and what is owed now for others.
    """
    planned: set[int] = set()
    with store.begin() as tx:
        audience.alone(tx, slug)
        shelf = _shelf(tx, slug, day)
        wait = audience.habits(tx, slug, shelf.over(day))
        for weekly in (False, True):
            habits: dict[Habit, datetime | None] = {
                habit: None
                for habit in wait
                if wants(habit, day, now.date()) and is_weekly(habit) is weekly
            }
            last = last_of(shelf, day, weekly=weekly)
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
        audience.owe(tx, crowd, group, digest_id, now)
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
    found = audience.count(tx, near)
    if all(one.date or one.ahead for one in found):
        return near, found
    return crowd, audience.count(tx, crowd)


def _summed_up(tx: Connection, parts: Iterable[Frozen], now: datetime) -> int:
    found = [digests.by_id(tx, part.id) for part in parts]
    return digests.freeze(tx, sum_up([one for one in found if one]), now)
