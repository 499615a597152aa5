"""Where readers stand: up to which date each has been served, for many readers in one statement.

Readers are sorted into a few classes by the database, and each class is owed one digest: an
audience of any size is planned without looking at each reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    or_,
    select,
)

from newsletter.people import DeliveryState
from newsletter.store.deliveries import DAYS, MAILABLE, MAY_BE_MAILED, Habit, make_rows
from newsletter.store.tables import delivery, subscriber

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime

    from sqlalchemy import Connection

PAGE = 100
"""Habits in one statement: their conditions are nested that deep."""


class Issues(NamedTuple):
    """The digests of one date that mail may have held, and when that date was public."""

    date: date
    ids: tuple[int, ...]
    public_from: datetime


class Standing(NamedTuple):
    """A class of readers.

    Served up to `date`; or new, and `date` was the newest when they came. Without a date it is
    longer ago than the crowd looks back. `ahead` are those who were served a later date already.
    """

    date: date | None
    new: bool = False
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class Crowd:
    """Readers of a rubric, of these habits, who have none of the digests `covered` yet.

    `due` is when their mail was, and a habit's moment the last at which its readers may have come;
    None where that is no matter. `past` has the newest date first; `later` are digests of dates
    that follow.
    """

    rubric: str
    habits: Mapping[Habit, datetime | None]
    covered: Sequence[int]
    past: Sequence[Issues]
    later: Sequence[int] = ()
    due: datetime | None = None

    @property
    def standings(self) -> list[Standing]:
        """All there may be, in the order in which the first that holds is a reader's."""
        served = [Standing(None, ahead=True), *(Standing(one.date) for one in self.past)]
        came = [Standing(one.date, new=True) for one in self.past]
        return [*served, Standing(None), *came, Standing(None, new=True)]


def alone(tx: Connection, rubric: str) -> None:
    """Until this transaction ends nobody else plans mail of this rubric.

    Two plans at once could put a reader in different classes. SQLite has one writer anyway.
    """
    if tx.dialect.name == "postgresql":
        tx.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"mail of {rubric}"))))


def habits(tx: Connection, rubric: str, covered: Sequence[int]) -> list[Habit]:
    """The habits of those who may be mailed and have none of the digests `covered`.

    They are few however many readers there are.
    """
    rows = tx.execute(_HABITS, {"of_rubric": rubric, "covered": list(covered)})
    return [Habit(*row) for row in rows]


def count(tx: Connection, crowd: Crowd) -> dict[Standing, int]:
    """How many of the crowd stand where."""
    found: dict[Standing, int] = {}
    order = crowd.standings
    place = _place(crowd)
    for page in _pages(crowd):
        query = select(place, func.count()).select_from(MAILABLE).where(page).group_by(place)
        for number, readers in tx.execute(query):
            found[order[number]] = found.get(order[number], 0) + readers
    return found


def owe(
    tx: Connection, crowd: Crowd, standings: Iterable[Standing], digest_id: int, now: datetime
) -> None:
    """Write down that those of the crowd who stand there are owed a digest."""
    order = crowd.standings
    numbers = [order.index(standing) for standing in standings]
    for page in _pages(crowd):
        make_rows(tx, digest_id, page & _place(crowd).in_(numbers), now, crowd.due)


def _pages(crowd: Crowd) -> list[ColumnElement[bool]]:
    """Conditions for the crowd, in pieces that do not overlap."""
    there = (subscriber.c.rubric == crowd.rubric) & MAY_BE_MAILED & ~_received(crowd.covered)
    pairs = [_of_habit(habit, at) for habit, at in crowd.habits.items()]
    pages = [pairs[start : start + PAGE] for start in range(0, len(pairs), PAGE)]
    return [and_(there, or_(*page)) for page in pages]


def _of_habit(habit: Habit, came_by: datetime | None) -> ColumnElement[bool]:
    same = (
        subscriber.c.timezone.is_not_distinct_from(habit.timezone)
        & subscriber.c.send_at.is_not_distinct_from(habit.send_at)
        & (habit.days == DAYS)
    )
    return same if came_by is None else same & (subscriber.c.state_at <= came_by)


def _place(crowd: Crowd) -> ColumnElement[int]:
    """The number of a reader's standing among the crowd's."""
    served = [_received(crowd.later), *(_received(one.ids) for one in crowd.past)]
    came = [subscriber.c.state_at >= one.public_from for one in crowd.past]
    whens = [*served, _received(None), *came]
    numbered = [(when, literal(number)) for number, when in enumerate(whens)]
    return case(*numbered, else_=literal(len(numbered)))


def _received(
    digest_ids: Sequence[int] | BindParameter[Sequence[int]] | None,
) -> ColumnElement[bool]:
    """Whether a reader's row of one of these digests, None for any, stands for a mail.

    A skipped one does not: its reader was away, and gets the day's papers when back.
    """
    mine = (
        delivery.c.subscriber_id == subscriber.c.id,
        delivery.c.state != DeliveryState.SKIPPED.value,
    )
    if digest_ids is None:
        return exists(select(1).where(*mine))
    return exists(select(1).where(*mine, delivery.c.digest_id.in_(digest_ids)))


_HABIT = (subscriber.c.timezone, subscriber.c.send_at, DAYS)
# Asked several times at each wake-up: to build it takes longer than to run it in a small house.
_HABITS = (
    select(*_HABIT)
    .select_from(MAILABLE)
    .where(
        subscriber.c.rubric == bindparam("of_rubric"),
        MAY_BE_MAILED,
        ~_received(bindparam("covered", expanding=True)),
    )
    .group_by(*_HABIT)
)
