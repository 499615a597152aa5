"""Where readers stand: up to which date each has been served, for many readers in one statement.

Readers are sorted into a few classes by the database, and each class is owed one digest: an
audience of any size is planned without looking at each reader.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlalchemy import (
    BindParameter,
    ColumnElement,
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
from newsletter.domain.segments import Cohort, DeliverySchedule, ReaderPosition
from newsletter.store.deliveries import DAYS, MAILABLE, MAY_BE_MAILED, create_rows
from newsletter.store.tables import delivery, subscriber

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date
    from typing import Any

    from sqlalchemy import Connection

PAGE = 100
"""Habits in one statement: their conditions are nested that deep."""
CACHED_STATEMENTS = 64
"""Statements kept of a kind: to build one takes longer than to run it in a small house."""
ANY_TIME = datetime(9999, 1, 1, tzinfo=UTC)


def lock_planning(tx: Connection, rubric: str) -> None:
    """Until this transaction ends nobody else plans mail of this rubric.

    Two plans at once could put a reader in different classes. SQLite has one writer anyway.
    """
    if tx.dialect.name == "postgresql":
        tx.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"mail of {rubric}"))))
    _disable_jit(tx)


def _disable_jit(tx: Connection) -> None:
    """PostgreSQL takes an audience's conditions for dear and compiles them first, half a second
    for nothing.
    """
    if tx.dialect.name == "postgresql":
        tx.execute(select(func.set_config("jit", "off", true())))


def schedules(tx: Connection, rubric: str, covered: Sequence[int]) -> list[DeliverySchedule]:
    """The habits of those who may be mailed and have none of the digests `covered`.

    They are few however many readers there are.
    """
    rows = tx.execute(_SCHEDULES, {"of_rubric": rubric, "covered": list(covered)})
    return [DeliverySchedule(*row) for row in rows]


def lagging(
    tx: Connection, sent: Sequence[tuple[date, Sequence[int]]]
) -> dict[str, dict[DeliverySchedule, date | None]]:
    """By rubric the habits of those who may be mailed and have none of the first date's digests.

    `sent` has the digests of each date, the newest first. With each habit comes the earliest of the
    newest dates that its readers have mail of; None where somebody has none of any.
    """
    found: dict[str, dict[DeliverySchedule, date | None]] = {}
    _disable_jit(tx)
    said = {f"ids{number}": list(ids) for number, (_, ids) in enumerate(sent)}
    for rubric, *habit, place in tx.execute(_lagging_query(len(sent)), said):
        had = sent[place][0] if place < len(sent) else None
        mine = found.setdefault(rubric, {})
        known = mine.setdefault(DeliverySchedule(*habit), had)
        if known and (had is None or had < known):
            mine[DeliverySchedule(*habit)] = had
    return found


def count_positions(tx: Connection, crowd: Cohort) -> dict[ReaderPosition, int]:
    """How many of the crowd stand where."""
    found: dict[ReaderPosition, int] = {}
    order = crowd.standings
    for page in _pages(crowd):
        query = _count_query(_slots(page), len(crowd.past))
        for number, readers in tx.execute(query, _parameters(crowd, page)):
            found[order[number]] = found.get(order[number], 0) + readers
    return found


def create_deliveries(
    tx: Connection,
    crowd: Cohort,
    standings: Iterable[ReaderPosition],
    digest_id: int,
    now: datetime,
) -> None:
    """Write down that those of the crowd who stand there are owed a digest."""
    order = crowd.standings
    numbers = [order.index(standing) for standing in standings]
    for page in _pages(crowd):
        chosen = _in_positions(_slots(page), len(crowd.past))
        said = _parameters(crowd, page) | {"numbers": numbers}
        create_rows(tx, digest_id, chosen, now, crowd.due, said)


_Page = list[tuple[DeliverySchedule, datetime | None]]


def _pages(crowd: Cohort) -> list[_Page]:
    """The habits in pieces that do not overlap."""
    pairs = list(crowd.habits.items())
    return [pairs[start : start + PAGE] for start in range(0, len(pairs), PAGE)]


def _slots(page: _Page) -> int:
    """The habits that a statement has room for: a power of two, so that few are kept."""
    return 1 << (len(page) - 1).bit_length()


def _parameters(crowd: Cohort, page: _Page) -> dict[str, Any]:
    """The values of a statement about a page of the crowd; the last habit fills what is left."""
    said: dict[str, Any] = {"of_rubric": crowd.rubric, "covered": list(crowd.covered)}
    said["later"] = list(crowd.later)
    for number, past in enumerate(crowd.past):
        said |= {f"ids{number}": list(past.ids), f"public{number}": past.public_from}
    for number in range(_slots(page)):
        habit, came_by = page[min(number, len(page) - 1)]
        values = (*habit, came_by or ANY_TIME)
        names = (f"zone{number}", f"hour{number}", f"days{number}", f"came{number}")
        said |= dict(zip(names, values, strict=True))
    return said


@lru_cache(maxsize=CACHED_STATEMENTS)
def _count_query(habits: int, past: int) -> Select[int, int]:
    place = _position_number(past)
    query = select(place, func.count()).select_from(MAILABLE).where(_in_cohort(habits))
    return query.group_by(place)


@lru_cache(maxsize=CACHED_STATEMENTS)
def _in_positions(habits: int, past: int) -> ColumnElement[bool]:
    return _in_cohort(habits) & _position_number(past).in_(bindparam("numbers", expanding=True))


def _in_cohort(habits: int) -> ColumnElement[bool]:
    """Whoever is one of the crowd."""
    covered = _ids("covered")
    there = (subscriber.c.rubric == bindparam("of_rubric")) & MAY_BE_MAILED & ~_received(covered)
    return and_(there, or_(*(_has_schedule(number) for number in range(habits))))


def _has_schedule(number: int) -> ColumnElement[bool]:
    return (
        subscriber.c.timezone.is_not_distinct_from(bindparam(f"zone{number}"))
        & subscriber.c.send_at.is_not_distinct_from(bindparam(f"hour{number}"))
        & (bindparam(f"days{number}", type_=Text) == DAYS)
        & (subscriber.c.state_at <= bindparam(f"came{number}"))
    )


def _position_number(past: int) -> ColumnElement[int]:
    """The number of a reader's standing among the crowd's."""
    ids = [_ids(f"ids{number}") for number in range(past)]
    served = [_received(_ids("later")), *(_received(one) for one in ids)]
    came = [subscriber.c.state_at >= bindparam(f"public{number}") for number in range(past)]
    whens = [*served, _received(None), *came]
    numbered = [(when, literal(number)) for number, when in enumerate(whens)]
    return case(*numbered, else_=literal(len(numbered)))


def _received(digest_ids: BindParameter[Sequence[int]] | None) -> ColumnElement[bool]:
    """Whether a reader's row of one of these digests, None for any, stands for a mail."""
    if digest_ids is None:
        return exists(select(1).where(*_MAILED))
    return exists(select(1).where(*_MAILED, delivery.c.digest_id.in_(digest_ids)))


@lru_cache(maxsize=CACHED_STATEMENTS)
def _lagging_query(dates: int) -> Select[Any]:
    """The rubric, habit and place among the dates of those who have nothing of the first."""
    served = [_received(_ids(f"ids{number}")) for number in range(dates)]
    later = [(when, literal(number)) for number, when in enumerate(served) if number]
    place = case(*later, else_=literal(dates)) if later else literal(dates)
    shown = (subscriber.c.rubric, *_SCHEDULE, place.label("place"))
    query = select(*shown).select_from(MAILABLE).where(MAY_BE_MAILED, ~served[0])
    return query.group_by(subscriber.c.rubric, *_SCHEDULE, "place")


def _ids(name: str) -> BindParameter[Sequence[int]]:
    """Ids that stand in the statement as they are: so many parameters no database takes."""
    return bindparam(name, expanding=True, literal_execute=True)


# A skipped one is no mail: its reader was away, and gets the day's papers when back.
_MAILED = (
    delivery.c.subscriber_id == subscriber.c.id,
    delivery.c.state != DeliveryState.SKIPPED.value,
)
_SCHEDULE = (subscriber.c.timezone, subscriber.c.send_at, DAYS)
_SCHEDULES = (
    select(*_SCHEDULE)
    .select_from(MAILABLE)
    .where(
        subscriber.c.rubric == bindparam("of_rubric"),
        MAY_BE_MAILED,
        ~_received(_ids("covered")),
    )
    .group_by(*_SCHEDULE)
)
