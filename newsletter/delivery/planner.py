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
    StoredDigests,
    due_mail_for,
    is_wanted,
    is_weekly,
    joined_by,
    last_of,
    parts_for,
)
from newsletter.domain import send_times
from newsletter.domain.digest import merge_digests
from newsletter.domain.segments import Cohort
from newsletter.store import audience, deliveries, digests

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date, datetime, time
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from newsletter.delivery.plan_rules import DueMail
    from newsletter.domain.digest import StoredDigest
    from newsletter.domain.segments import DeliverySchedule, ReaderPosition
    from newsletter.store import Store

AT_THE_HOUR = timedelta()
WEEKS = timedelta(days=14)
"""Before a mail still due: the dates that say whether it opens a week."""


class PlannedDigest(NamedTuple):
    """A frozen digest that readers wait for."""

    digest_id: int
    slug: str
    day: date


class WaitingReaders(NamedTuple):
    """A rubric whose newest digest some readers have not, and the date of what they have."""

    shelf: StoredDigests
    had: Mapping[DeliverySchedule, date | None]


def rubrics_with_mail_due(store: Store, now: datetime) -> list[WaitingReaders]:
    """Whom there may be mail for, of all rubrics at a glance. Most have all until the next hour."""
    shelves: dict[str, list[StoredDigest]] = {}
    sent: dict[date, list[int]] = {}
    with store.read() as tx:
        for slug, first, one in digests.all_since(tx, now.date() - MEMORY - WEEKS):
            sent.setdefault(one.date, []).append(one.id)
            if first == one.date:
                shelves.setdefault(slug, []).append(one)
        behind = audience.lagging(tx, sorted(sent.items(), reverse=True)) if sent else {}
    both = sorted(shelves.keys() & behind.keys())
    return [WaitingReaders(StoredDigests(slug, shelves[slug]), behind[slug]) for slug in both]


def plan_due(
    store: Store,
    some: WaitingReaders,
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
    ready: dict[DueMail, dict[DeliverySchedule, datetime | None]] = {}
    for habit, had in some.had.items():
        by = now if is_weekly(habit) else now + ahead
        turn = due_mail_for(some.shelf, habit, now, by, zone, hour)
        if turn and (had is None or had < turn.last):
            own = send_times.due_of(turn.last, habit.reader, zone, hour)
            ready.setdefault(turn, {})[habit] = joined_by(some.shelf, turn.last, own)
    for turn, habits in ready.items():
        with store.begin() as tx:
            audience.lock_planning(tx, slug)
            shelf = _shelf(tx, slug, now.date())
            past = shelf.before(turn.last)
            crowd = Cohort(slug, habits, shelf.since(turn.last), past, due=turn.due)
            _share_out(tx, shelf, crowd, turn.last, now, weekly=turn.weekly)


def plan_all(store: Store, slug: str, day: date, now: datetime) -> list[PlannedDigest]:
    """Write down that everyone is owed mail of the digest of `day` who asked for such a weekday.

    Answers the digests of that date that anybody was ever owed, and what is owed now for others.
    """
    planned: set[int] = set()
    with store.begin() as tx:
        audience.lock_planning(tx, slug)
        shelf = _shelf(tx, slug, day)
        wait = audience.schedules(tx, slug, shelf.over(day))
        for weekly in (False, True):
            habits: dict[DeliverySchedule, datetime | None] = {
                habit: None
                for habit in wait
                if is_wanted(habit, day, now.date()) and is_weekly(habit) is weekly
            }
            last = last_of(shelf, day, weekly=weekly)
            if last is None:
                continue
            later = shelf.since(last + timedelta(days=1))
            crowd = Cohort(slug, habits, shelf.over(last), shelf.before(last), later)
            planned |= _share_out(tx, shelf, crowd, last, now, weekly=weekly)
        return [PlannedDigest(*row) for row in deliveries.digests_with_rows(tx, slug, day, planned)]


def _shelf(tx: Connection, slug: str, day: date) -> StoredDigests:
    first = day - LOOK_BACK - MEMORY
    return StoredDigests(slug, digests.saved_since(tx, slug, first), digests.ids_since(tx, first))


def _share_out(
    tx: Connection, shelf: StoredDigests, crowd: Cohort, last: date, now: datetime, *, weekly: bool
) -> set[int]:
    """Give each standing in the crowd its digest, which is made now where it is not there."""
    planned = set()
    crowd, found = sorted_cohort(tx, crowd)
    shares: dict[tuple[StoredDigest, ...], list[ReaderPosition]] = {}
    for standing in found:
        if parts := parts_for(shelf, standing, last, weekly=weekly):
            shares.setdefault(tuple(parts), []).append(standing)
    for held, group in shares.items():
        digest_id = held[0].id if len(held) == 1 else _summed_up(tx, held, now)
        audience.create_deliveries(tx, crowd, group, digest_id, now)
        deliveries.count_audience(tx, digest_id, shelf.slug, now)
        crowd = replace(crowd, covered=(*crowd.covered, digest_id))
        planned.add(digest_id)
    return planned


def sorted_cohort(tx: Connection, crowd: Cohort) -> tuple[Cohort, Mapping[ReaderPosition, int]]:
    """The crowd, looking back as far as it must, and where its readers stand.

    Nearly always all had the mail before this one: then no earlier date is looked at.
    """
    if not crowd.habits:
        return crowd, {}
    near = replace(crowd, past=crowd.past[:1])
    found = audience.count_positions(tx, near)
    if all(one.date or one.ahead for one in found):
        return near, found
    return crowd, audience.count_positions(tx, crowd)


def _summed_up(tx: Connection, parts: Iterable[StoredDigest], now: datetime) -> int:
    found = [digests.by_id(tx, part.id) for part in parts]
    return digests.save(tx, merge_digests([one for one in found if one]), now)
