"""Reader positions: up to which date each subscription was served, counted and planned in SQL.

A reader is a subscription here. The database groups readers into a few positions, and each
position gets one digest, so the cost of planning does not grow with the number of readers.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Date,
    Select,
    Text,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    true,
)

from newsletter.domain.mail import DeliveryState
from newsletter.domain.paging import paged
from newsletter.domain.segments import Cohort, DeliverySchedule, ReaderPosition
from newsletter.store.deliveries import create_rows
from newsletter.store.subscription_rows import DAYS, MAILABLE, MAY_BE_MAILED
from newsletter.store.tables import delivery, subscriber, subscription

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from sqlalchemy import Connection

    from newsletter.domain.mail import Subscription

PAGE = 100
"""Schedules per statement: their OR conditions are nested that deep."""
CACHED_STATEMENTS = 64
"""Cached statements of each kind: building one costs more than running it for few readers."""
SCHEDULE = (subscriber.c.timezone, subscriber.c.send_at, DAYS)
"""The columns of a DeliverySchedule."""
OPTIMIZER = {"jit": "off", "enable_seqscan": "off", "random_page_cost": "1.1"}
ANY_TIME = datetime(9999, 1, 1, tzinfo=UTC)
NEVER = literal(date(1, 1, 1), Date)


class ServedReaders(NamedTuple):
    """Readers of a rubric with the same schedule, who were served up to the same date."""

    rubric: str
    schedule: DeliverySchedule
    latest: date | None
    joined: datetime | None
    """When they joined or returned; None if that is longer ago than mail is looked back for."""
    readers: int


def lock_planning(tx: Connection, rubric: str) -> None:
    """Take the planning lock of a rubric until the transaction ends.

    Two concurrent plans could put a reader in different positions. SQLite has one writer anyway.
    """
    if tx.dialect.name == "postgresql":
        tx.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"mail of {rubric}"))))
    _configure_optimizer(tx)


def _configure_optimizer(tx: Connection) -> None:
    """Set PostgreSQL's optimizer for this transaction.

    Without JIT, which would compile the conditions for half a second without gain. Subscribers are
    found by their keys: else it reads all of them for the few of one rubric.
    """
    if tx.dialect.name == "postgresql":
        tx.execute(_SET_OPTIMIZER)


def schedules(tx: Connection, rubric: str, covered: Sequence[int]) -> dict[DeliverySchedule, int]:
    """The delivery schedules of mailable readers who have none of the digests `covered`.

    Each has the number of these readers. There are few schedules, however many readers there are.
    """
    rows = tx.execute(_SCHEDULES, {"of_rubric": rubric, "covered": list(covered)})
    return {DeliverySchedule(*schedule): number for *schedule, number in rows}


def first_readers(tx: Connection, rubric: str) -> list[Subscription]:
    """The mailable reader of each schedule who joined first, without name and address."""
    return [
        replace(DeliverySchedule(*schedule).reader, rubric=rubric, since=since)
        for *schedule, since in tx.execute(_FIRST_READERS, {"of_rubric": rubric})
    ]


def has_schedule(schedule: DeliverySchedule) -> ColumnElement[bool]:
    """Condition: the subscriber has this schedule."""
    return (
        subscriber.c.timezone.is_not_distinct_from(schedule.timezone)
        & subscriber.c.send_at.is_not_distinct_from(schedule.send_at)
        & (literal(schedule.days) == DAYS)
    )


def lagging(
    tx: Connection, sent: Sequence[tuple[date, Sequence[int]]]
) -> dict[str, dict[DeliverySchedule, date | None]]:
    """By rubric, the schedules of mailable readers who have none of the first date's digests.

    `sent` has the digests of each date, the newest first. Each schedule maps to the date up to
    which all its readers were served; None where a reader has no mail of any of the dates.
    """
    found: dict[str, dict[DeliverySchedule, date | None]] = {}
    _configure_optimizer(tx)
    for rubric, *schedule, place in tx.execute(_lagging_query(len(sent)), _sent_parameters(sent)):
        had = sent[place][0] if place < len(sent) else None
        mine = found.setdefault(rubric, {})
        known = mine.setdefault(DeliverySchedule(*schedule), had)
        if known and (had is None or had < known):
            mine[DeliverySchedule(*schedule)] = had
    return found


def count_served(
    tx: Connection, sent: Sequence[tuple[date, Sequence[int]]], recent: datetime
) -> list[ServedReaders]:
    """Count all mailable readers by rubric, schedule and the newest date that they were served.

    `sent` has the digests of each date, the newest first. Those who joined after `recent` are
    counted by the time when they did.
    """
    _configure_optimizer(tx)
    rows = tx.execute(_served_query(len(sent)), {**_sent_parameters(sent), "recent": recent})
    return [
        ServedReaders(
            rubric,
            DeliverySchedule(*schedule),
            sent[place][0] if place < len(sent) else None,
            max((at for at in (joined, returned) if at), default=None),
            number,
        )
        for rubric, *schedule, place, joined, returned, number in rows
    ]


def count_positions(tx: Connection, cohort: Cohort) -> dict[ReaderPosition, int]:
    """Count the readers of the cohort by position."""
    found: dict[ReaderPosition, int] = {}
    order = cohort.positions
    for page in _pages(cohort):
        query = _count_query(_slots(page), len(cohort.past))
        for number, readers in tx.execute(query, _parameters(cohort, page)):
            found[order[number]] = found.get(order[number], 0) + readers
    return found


def create_deliveries(
    tx: Connection,
    cohort: Cohort,
    positions: Iterable[ReaderPosition],
    digest_id: int,
    now: datetime,
) -> int:
    """Create delivery rows of a digest for the readers of the cohort at these positions.

    Returns how many rows are new.
    """
    order = cohort.positions
    numbers = [order.index(position) for position in positions]
    created = 0
    for page in _pages(cohort):
        chosen = _in_positions(_slots(page), len(cohort.past))
        parameters = _parameters(cohort, page) | {"numbers": numbers}
        created += create_rows(tx, digest_id, chosen, now, cohort.due, parameters)
    return created


_Page = list[tuple[DeliverySchedule, datetime | None]]


def _pages(cohort: Cohort) -> list[_Page]:
    """The schedules in disjoint pages."""
    return list(paged(cohort.schedules.items(), PAGE))


def _slots(page: _Page) -> int:
    """The number of schedules in a statement: a power of two, so that few statements are cached."""
    return 1 << (len(page) - 1).bit_length()


def _parameters(cohort: Cohort, page: _Page) -> dict[str, Any]:
    """Bind parameters for a page of the cohort; the last schedule fills the unused slots."""
    parameters: dict[str, Any] = {"of_rubric": cohort.rubric, "covered": list(cohort.covered)}
    parameters |= {"later": list(cohort.later), "last": cohort.last}
    for number, past in enumerate(cohort.past):
        parameters |= {f"ids{number}": list(past.ids), f"date{number}": past.date}
        parameters[f"public{number}"] = past.public_from
    for number in range(_slots(page)):
        schedule, joined_by = page[min(number, len(page) - 1)]
        values = (*schedule, joined_by or ANY_TIME)
        names = (f"zone{number}", f"hour{number}", f"days{number}", f"came{number}")
        parameters |= dict(zip(names, values, strict=True))
    return parameters


@lru_cache(maxsize=CACHED_STATEMENTS)
def _count_query(schedules: int, past: int) -> Select[int, int]:
    place = _position_number(past)
    query = select(place, func.count()).select_from(MAILABLE).where(_in_cohort(schedules))
    return query.group_by(place)


@lru_cache(maxsize=CACHED_STATEMENTS)
def _in_positions(schedules: int, past: int) -> ColumnElement[bool]:
    return _in_cohort(schedules) & _position_number(past).in_(bindparam("numbers", expanding=True))


def _in_cohort(schedules: int) -> ColumnElement[bool]:
    """Condition: the subscriber is in the cohort."""
    has_it = _served(_ids("covered"), "last")
    there = (subscription.c.rubric == bindparam("of_rubric")) & MAY_BE_MAILED & ~has_it
    # As one condition: PostgreSQL multiplies the estimates of several, expects one subscriber, and
    # reads all of them to find that one.
    due = case((or_(*(_has_schedule(number) for number in range(schedules))), 1), else_=0)
    return and_(there, due == 1)


def _has_schedule(number: int) -> ColumnElement[bool]:
    return (
        subscriber.c.timezone.is_not_distinct_from(bindparam(f"zone{number}"))
        & subscriber.c.send_at.is_not_distinct_from(bindparam(f"hour{number}"))
        & (bindparam(f"days{number}", type_=Text) == DAYS)
        & (subscriber.c.state_at <= bindparam(f"came{number}"))
        & (subscription.c.state_at <= bindparam(f"came{number}"))
    )


def _position_number(past: int) -> ColumnElement[int]:
    """The index of a reader's position in `Cohort.positions`."""
    served = [_received(_ids("later")), *_served_on(past)]
    came = [
        (subscriber.c.state_at >= bindparam(f"public{number}"))
        | (subscription.c.state_at >= bindparam(f"public{number}"))
        for number in range(past)
    ]
    whens = [*served, _received(None) | subscription.c.begins_after.is_not(None), *came]
    numbered = [(when, literal(number)) for number, when in enumerate(whens)]
    return case(*numbered, else_=literal(len(numbered)))


def _received(digest_ids: BindParameter[Sequence[int]] | None) -> ColumnElement[bool]:
    """Condition: the reader has a mail of one of these digests (None: of any)."""
    if digest_ids is None:
        return exists(select(1).where(*_MAILED))
    return exists(select(1).where(*_MAILED, delivery.c.digest_id.in_(digest_ids)))


def _served(digest_ids: BindParameter[Sequence[int]], day: str) -> ColumnElement[bool]:
    """Condition: the reader has a mail of one of these digests, or had this date before a move.

    `day` names the parameter of the date.
    """
    moved = func.coalesce(subscription.c.begins_after, NEVER) >= bindparam(day, type_=Date)
    return _received(digest_ids) | moved


def _served_on(dates: int) -> list[ColumnElement[bool]]:
    """The conditions of so many dates, the newest first."""
    return [_served(_ids(f"ids{number}"), f"date{number}") for number in range(dates)]


@lru_cache(maxsize=CACHED_STATEMENTS)
def _lagging_query(dates: int) -> Select[Any]:
    """Rubric, schedule and newest served date of readers without a mail of the first date."""
    served = _served_on(dates)
    later = [(when, literal(number)) for number, when in enumerate(served) if number]
    place = case(*later, else_=literal(dates)) if later else literal(dates)
    shown = (subscription.c.rubric, *SCHEDULE, place.label("place"))
    query = select(*shown).select_from(MAILABLE).where(MAY_BE_MAILED, ~served[0])
    return query.group_by(subscription.c.rubric, *SCHEDULE, "place")


@lru_cache(maxsize=CACHED_STATEMENTS)
def _served_query(dates: int) -> Select[Any]:
    """Rubric, schedule, newest served date of all mailable readers, and their number."""
    whens = [(when, literal(number)) for number, when in enumerate(_served_on(dates))]
    place = case(*whens, else_=literal(dates)) if whens else literal(dates)
    recent = bindparam("recent", type_=subscription.c.state_at.type)
    times = [case((at > recent, at)) for at in (subscription.c.state_at, subscriber.c.state_at)]
    joined, returned = (
        at.label(name) for at, name in zip(times, ("joined", "returned"), strict=True)
    )
    shown = (subscription.c.rubric, *SCHEDULE, place.label("place"), joined, returned)
    query = select(*shown, func.count()).select_from(MAILABLE).where(MAY_BE_MAILED)
    return query.group_by(subscription.c.rubric, *SCHEDULE, "place", "joined", "returned")


def _sent_parameters(sent: Sequence[tuple[date, Sequence[int]]]) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for number, (day, ids) in enumerate(sent):
        parameters |= {f"ids{number}": list(ids), f"date{number}": day}
    return parameters


def _ids(name: str) -> BindParameter[Sequence[int]]:
    """Ids rendered into the statement: no database takes so many bind parameters."""
    return bindparam(name, expanding=True, literal_execute=True)


_SET_OPTIMIZER = select(*(func.set_config(*setting, true()) for setting in OPTIMIZER.items()))
# A skipped row is no mail: its reader was paused, and gets the day's papers later.
_MAILED = (
    delivery.c.subscriber_id == subscription.c.subscriber_id,
    delivery.c.subscription_id == subscription.c.id,
    delivery.c.state != DeliveryState.SKIPPED.value,
)
_FIRST_READERS = (
    select(*SCHEDULE, func.min(subscription.c.since, type_=subscription.c.since.type))
    .select_from(MAILABLE)
    .where(subscription.c.rubric == bindparam("of_rubric"), MAY_BE_MAILED)
    .group_by(*SCHEDULE)
)
_SCHEDULES = (
    select(*SCHEDULE, func.count())
    .select_from(MAILABLE)
    .where(
        subscription.c.rubric == bindparam("of_rubric"),
        MAY_BE_MAILED,
        # Not as NOT EXISTS: PostgreSQL would find all subscribers first, the deliveries last.
        case((_received(_ids("covered")), 1), else_=0) == 0,
    )
    .group_by(*SCHEDULE)
)
