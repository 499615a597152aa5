"""Plan deliveries: create a row for each reader and due digest before anything is sent.

A mail holds the papers announced since the reader's last mail: for most readers one day. Readers
who are weekly, choose weekdays or return from a pause get several days merged into one digest,
which is shared by all readers in the same position. So no reader gets a paper twice, and none
misses one.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from newsletter.delivery.plan_rules import (
    CATCH_UP,
    LOOK_BACK,
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
"""Dates read before the oldest mail that can be due: they tell whether it opens a week."""


class PlannedDigest(NamedTuple):
    """A stored digest with pending deliveries."""

    digest_id: int
    slug: str
    day: date


class WaitingReaders(NamedTuple):
    """A rubric whose newest digest some schedules have not got, and the date of their last one."""

    stored: StoredDigests
    latest: Mapping[DeliverySchedule, date | None]


def rubrics_with_mail_due(store: Store, now: datetime) -> list[WaitingReaders]:
    """List the rubrics that may have mail due, in one query. Mostly there are none."""
    with store.read() as tx:
        by_rubric, sent = recent_digests(tx, now)
        lagging = audience.lagging(tx, sent) if sent else {}
    both = sorted(by_rubric.keys() & lagging.keys())
    return [WaitingReaders(by_rubric[slug], lagging[slug]) for slug in both]


def recent_digests(
    tx: Connection, now: datetime
) -> tuple[dict[str, StoredDigests], list[tuple[date, list[int]]]]:
    """The digests that mail may be due of, by rubric; and the ids of each date, newest first."""
    by_rubric: dict[str, list[StoredDigest]] = {}
    sent: dict[date, list[int]] = {}
    for slug, first, one in digests.all_since(tx, now.date() - CATCH_UP - WEEKS):
        sent.setdefault(one.date, []).append(one.id)
        if first == one.date:
            by_rubric.setdefault(slug, []).append(one)
    stored = {slug: StoredDigests(slug, rows) for slug, rows in by_rubric.items()}
    return stored, sorted(sent.items(), reverse=True)


def plan_due(
    store: Store,
    waiting: WaitingReaders,
    now: datetime,
    zone: ZoneInfo,
    hour: time,
    ahead: timedelta = AT_THE_HOUR,
) -> None:
    """Create the deliveries of all readers whose send time has come.

    With `ahead`, daily readers are planned so long before their send time, for scheduled mail.
    Readers who joined or returned after the mail of that time was sent get the next one.
    """
    slug = waiting.stored.slug
    ready: dict[DueMail, dict[DeliverySchedule, datetime | None]] = {}
    for schedule, latest in waiting.latest.items():
        by = now if is_weekly(schedule) else now + ahead
        mail = due_mail_for(waiting.stored, schedule, now, by, zone, hour)
        if mail and (latest is None or latest < mail.last):
            due_at = send_times.due_of(mail.last, schedule.reader, zone, hour)
            ready.setdefault(mail, {})[schedule] = joined_by(waiting.stored, mail.last, due_at)
    for mail, schedules in ready.items():
        with store.begin() as tx:
            audience.lock_planning(tx, slug)
            stored = _stored_digests(tx, slug, now.date())
            past = stored.before(mail.last)
            there = stored.since(mail.last)
            cohort = Cohort(slug, schedules, mail.last, there, past, due=mail.due)
            _assign_digests(tx, stored, cohort, mail.last, now, weekly=mail.weekly)


def plan_all(store: Store, slug: str, day: date, now: datetime) -> list[PlannedDigest]:
    """Create the deliveries of the digest of `day` for all readers who want that weekday, at once.

    Returns the digests of that date that have deliveries, and those planned now for other dates.
    """
    planned: set[int] = set()
    with store.begin() as tx:
        audience.lock_planning(tx, slug)
        stored = _stored_digests(tx, slug, day)
        waiting = audience.schedules(tx, slug, stored.over(day))
        for weekly in (False, True):
            schedules: dict[DeliverySchedule, datetime | None] = {
                schedule: None
                for schedule in waiting
                if is_wanted(schedule, day, now.date()) and is_weekly(schedule) is weekly
            }
            last = last_of(stored, day, weekly=weekly)
            if last is None:
                continue
            later = stored.since(last + timedelta(days=1))
            there = stored.over(last)
            past, number = stored.before(last), sum(waiting[one] for one in schedules)
            cohort = Cohort(slug, schedules, last, there, past, later, readers=number)
            planned |= _assign_digests(tx, stored, cohort, last, now, weekly=weekly)
        return [PlannedDigest(*row) for row in deliveries.digests_with_rows(tx, slug, day, planned)]


def _stored_digests(tx: Connection, slug: str, day: date) -> StoredDigests:
    first = day - LOOK_BACK - CATCH_UP
    return StoredDigests(slug, digests.saved_since(tx, slug, first), digests.ids_since(tx, first))


def _assign_digests(
    tx: Connection,
    stored: StoredDigests,
    cohort: Cohort,
    last: date,
    now: datetime,
    *,
    weekly: bool,
) -> set[int]:
    """Create the deliveries of the cohort's readers; merge digests where needed."""
    created: dict[int, int] = {}
    for digest_id, group in _single_digests(stored, cohort, last, weekly=weekly).items():
        created[digest_id] = audience.create_deliveries(tx, _near(cohort), group, digest_id, now)
        cohort = replace(cohort, covered=(*cohort.covered, digest_id))
    planned = {digest_id for digest_id, rows in created.items() if rows}
    if sum(created.values()) != cohort.readers:
        planned |= _assign_by_position(tx, stored, cohort, last, now, weekly=weekly)
    for digest_id in planned:
        deliveries.count_audience(tx, digest_id, stored.slug, now)
    return planned


def _assign_by_position(
    tx: Connection,
    stored: StoredDigests,
    cohort: Cohort,
    last: date,
    now: datetime,
    *,
    weekly: bool,
) -> set[int]:
    """Count the cohort's readers by position and create the deliveries of each position."""
    planned = set()
    cohort, found = locate_readers(tx, cohort)
    by_parts: dict[tuple[StoredDigest, ...], list[ReaderPosition]] = {}
    for position in found:
        if parts := parts_for(stored, position, last, weekly=weekly):
            by_parts.setdefault(tuple(parts), []).append(position)
    for held, group in by_parts.items():
        digest_id = held[0].id if len(held) == 1 else _merged_digest(tx, held, now)
        audience.create_deliveries(tx, cohort, group, digest_id, now)
        cohort = replace(cohort, covered=(*cohort.covered, digest_id))
        planned.add(digest_id)
    return planned


def _single_digests(
    stored: StoredDigests, cohort: Cohort, last: date, *, weekly: bool
) -> dict[int, list[ReaderPosition]]:
    """The stored digests that are mailed as they are, with the positions known to get them.

    Nearly all readers are in these. Their deliveries are created without counting the readers
    first: counting costs as much as creating.
    """
    found: dict[int, list[ReaderPosition]] = {}
    for position in _near(cohort).positions if cohort.schedules else ():
        if _is_exact(cohort, position):
            parts = parts_for(stored, position, last, weekly=weekly)
            if len(parts) == 1:
                found.setdefault(parts[0].id, []).append(position)
    return found


def _near(cohort: Cohort) -> Cohort:
    """The cohort with the newest earlier date alone: nearly all readers had the mail of that."""
    return replace(cohort, past=cohort.past[:1])


def _is_exact(cohort: Cohort, position: ReaderPosition) -> bool:
    """Whether readers in this position of the near cohort are in the same one of the cohort."""
    return _near(cohort) == cohort or bool(position.date or position.ahead)


def locate_readers(tx: Connection, cohort: Cohort) -> tuple[Cohort, Mapping[ReaderPosition, int]]:
    """Count the cohort's readers by position; the cohort returned has only the dates needed.

    Nearly always all readers had the previous mail: then no earlier date is queried.
    """
    if not cohort.schedules:
        return cohort, {}
    near = _near(cohort)
    found = audience.count_positions(tx, near)
    if all(_is_exact(cohort, position) for position in found):
        return near, found
    return cohort, audience.count_positions(tx, cohort)


def _merged_digest(tx: Connection, parts: Iterable[StoredDigest], now: datetime) -> int:
    found = [digests.by_id(tx, part.id) for part in parts]
    return digests.save(tx, merge_digests([one for one in found if one]), now)
