"""Reader rubrics for the operator: how many there are, what they cost, one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import case, func, select

from newsletter.domain.formatting import month_start
from newsletter.domain.mail import READING
from newsletter.domain.reader_rubrics import PREFIX, ReaderRubric, ReaderRubricState
from newsletter.store.ledger import SPENT_NANOS
from newsletter.store.reader_rubrics import of_row
from newsletter.store.tables import (
    call,
    reader_rubric,
    reader_rubric_version,
    subscriber,
    subscription,
)

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection

IS_READERS_CALL = call.c.rubric.startswith(PREFIX, autoescape=True)


@dataclass(frozen=True, slots=True)
class ReaderRubricTotals:
    """All reader rubrics together; `readers` have one that is not a draft.

    Nano-dollars since midnight UTC and since the start of the month, with what may have been
    charged; also of rubrics that are gone.
    """

    drafts: int = 0
    active: int = 0
    paused: int = 0
    readers: int = 0
    day_nanos: int = 0
    month_nanos: int = 0


@dataclass(frozen=True, slots=True)
class ReaderRubricRow:
    """One rubric, whose it is, when its text was saved last, and its cost as in the totals."""

    rubric: ReaderRubric
    email: str
    saved_at: datetime
    day_nanos: int
    month_nanos: int


def totals(tx: Connection, now: datetime) -> ReaderRubricTotals:
    spent = _spent(tx, now)
    known = [of_row(row) for row in tx.execute(select(reader_rubric))]
    states = [one.state for one in known]
    return ReaderRubricTotals(
        drafts=states.count(ReaderRubricState.DRAFT),
        active=states.count(ReaderRubricState.ACTIVE),
        paused=states.count(ReaderRubricState.PAUSED),
        readers=len({one.subscriber_id for one in known if one.active_version is not None}),
        day_nanos=sum(day for day, _ in spent.values()),
        month_nanos=sum(month for _, month in spent.values()),
    )


def count_writers(tx: Connection) -> int:
    """Readers whose preferences link lets them write a rubric: drafts and previews cost money."""
    reads = subscription.c.state.in_([state.value for state in READING])
    stays = subscriber.c.state.in_([state.value for state in READING])
    number = func.count(subscription.c.subscriber_id.distinct())
    joined = select(number).join(subscriber, subscriber.c.id == subscription.c.subscriber_id)
    return tx.scalar(joined.where(reads, stays, subscriber.c.email != "")) or 0


def count_states(tx: Connection) -> dict[str, int]:
    """Reader rubrics by state, without their cost."""
    found = [of_row(row).state for row in tx.execute(select(reader_rubric))]
    return {state.value: found.count(state) for state in ReaderRubricState}


def listed(tx: Connection, now: datetime) -> list[ReaderRubricRow]:
    """Every reader rubric, drafts too: the dearest of the month first."""
    spent = _spent(tx, now)
    saved = func.max(reader_rubric_version.c.saved_at, type_=reader_rubric_version.c.saved_at.type)
    last = (
        select(reader_rubric_version.c.slug, saved.label("saved_at"))
        .group_by(reader_rubric_version.c.slug)
        .subquery()
    )
    query = (
        select(reader_rubric, subscriber.c.email, last.c.saved_at)
        .join(subscriber, subscriber.c.id == reader_rubric.c.subscriber_id)
        .join(last, last.c.slug == reader_rubric.c.slug)
    )
    rows = [
        ReaderRubricRow(of_row(row), row.email, row.saved_at, *spent.get(row.slug, (0, 0)))
        for row in tx.execute(query)
    ]
    return sorted(rows, key=lambda one: (-one.month_nanos, one.rubric.created_at, one.rubric.slug))


def _spent(tx: Connection, now: datetime) -> dict[str, tuple[int, int]]:
    """By slug, the nano-dollars of today and of this month."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    today: ColumnElement[int] = case((call.c.started_at >= midnight, SPENT_NANOS), else_=0)
    # By the bare column SQLite would read all calls, in the order of its index on the rubric.
    slug = (call.c.rubric + "").label("slug")
    query = (
        select(slug, func.sum(today), func.sum(SPENT_NANOS))
        .where(call.c.started_at >= month_start(now), IS_READERS_CALL)
        .group_by(slug)
    )
    return {row[0]: (int(row[1]), int(row[2])) for row in tx.execute(query)}
