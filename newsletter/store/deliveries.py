"""Delivery rows: create them once for each digest and reader, and count them by state.

`claims.py` has the state machine of a row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import (
    Integer,
    Text,
    bindparam,
    case,
    exists,
    func,
    literal,
    literal_column,
    select,
    union_all,
    update,
)

from newsletter.domain import bounce_codes
from newsletter.domain.mail import DeliveryState, EventKind
from newsletter.store import retention
from newsletter.store.database import restore_holds
from newsletter.store.subscription_rows import ACTIVE, MAILABLE, MAY_BE_MAILED
from newsletter.store.tables import (
    delivery,
    digest,
    mailing,
    subscriber,
    subscription,
    suppression,
)
from newsletter.store.upsert import insert, insert_for

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import date, datetime

    from sqlalchemy import ColumnElement, Connection, Insert

IS_HALTED = mailing.c.halted != literal_column("''")
"""With the literal both databases use the index of the few that are halted."""
PREPARED = ""
"""In place of a reason not to be mailed: the reader has a row."""
HARD_BOUNCES = (EventKind.HARD_BOUNCE.value, EventKind.REPORTED_BOUNCE.value)


@dataclass(frozen=True, slots=True)
class Audience:
    """Counts from when a digest's rows were created: candidates = prepared + excluded."""

    candidates: int
    prepared: int
    excluded: dict[str, int] = field(default_factory=dict)


def create_rows(
    tx: Connection,
    digest_id: int,
    chosen: ColumnElement[bool],
    now: datetime,
    due: datetime | None,
    said: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Create one pending row for each chosen mailable subscription that has none yet.

    It is `unknown` instead where a backup was restored after the mail was due. Rows are inserted
    in the order of their indexes: a random order costs five times as much. Returns how many rows
    are new.
    """
    state, reason = restore_holds.state_and_reason(tx, digest_id, due)
    given = {
        "of_digest": digest_id,
        "digest_part": f"{digest_id % 16**6:06x}",
        "now": now,
        "made_after": now - retention.MAILED,
    }
    statement = _create_statement(tx.dialect.name, chosen, state, reason)
    return tx.execute(statement, {**given, **said}).rowcount


@lru_cache(maxsize=64)  # Building costs more than running on small installations.
def _create_statement(
    dialect: str,
    chosen: ColumnElement[bool],
    state: ColumnElement[str],
    reason: ColumnElement[str],
) -> Insert:
    now = bindparam("now", type_=delivery.c.created_at.type)
    digest_id = bindparam("of_digest", type_=Integer)
    made = {
        "id": _new_id(dialect),
        "digest_id": digest_id,
        "subscriber_id": subscriber.c.id,
        "subscription_id": subscription.c.id,
        "email": subscriber.c.email,
        "state": state,
        "attempt": literal(0),
        "failures": literal(0),
        "reason": reason,
        "created_at": now,
        "changed_at": now,
    }
    wanted = (
        select(*made.values())
        .select_from(MAILABLE)
        .where(chosen, MAY_BE_MAILED, retention.still_mailed(digest_id, bindparam("made_after")))
        .order_by(subscriber.c.id)
    )
    rows = insert_for(dialect, delivery).from_select(list(made), wanted)
    rows = rows.on_conflict_do_nothing(index_elements=["digest_id", "subscriber_id"])
    return rows.execution_options(preserve_rowcount=True)


def count_audience(tx: Connection, digest_id: int, rubric: str, now: datetime) -> Audience:
    """Count readers with a row of a digest and, by reason, those without; store the counts."""
    counts = tx.execute(_AUDIENCE, {"of_digest": digest_id, "of_rubric": rubric})
    excluded = {reason: number for reason, number in counts if number}
    made = excluded.pop(PREPARED, 0)
    audience = Audience(made + sum(excluded.values()), made, excluded)
    row = {"candidates": audience.candidates, "excluded": excluded, "at": now}
    tx.execute(
        insert(tx, mailing)
        .values(digest_id=digest_id, halted="", **row)
        .on_conflict_do_update(index_elements=["digest_id"], set_=row)
    )
    return audience


def resume(tx: Connection, digest_id: int) -> None:
    """Resume sending a digest: clear its halt and the delays of failed mails.

    First mails to new addresses keep their delay: they were postponed, they did not fail.
    """
    tx.execute(update(mailing).where(mailing.c.digest_id == digest_id).values(halted=""))
    tx.execute(
        update(delivery)
        .where(
            delivery.c.digest_id == digest_id,
            delivery.c.state == DeliveryState.PENDING,
            delivery.c.not_before.is_not(None),
            delivery.c.failures > 0,
        )
        .values(not_before=None, failures=0)
    )


def hard_bounces(tx: Connection, digest_id: int) -> int:
    """Count hard bounces among the first mails of a digest. 0 where they are too few to halt it, or
    the operator lifted the limit.
    """
    first: list[tuple[str, str]] = []
    for state in (DeliveryState.ACCEPTED, DeliveryState.REJECTED):
        query = (
            select(delivery.c.id, delivery.c.fate)
            .where(delivery.c.digest_id == digest_id, delivery.c.state == state.value)
            .order_by(delivery.c.id)
            .limit(bounce_codes.FIRST)
        )
        first += [(row.id, row.fate) for row in tx.execute(query)]
    gone = sum(fate in HARD_BOUNCES for _, fate in sorted(first)[: bounce_codes.FIRST])
    if not gone or not bounce_codes.too_many_gone(gone, sum(count(tx, digest_id).values())):
        return 0
    query = select(mailing.c.unrestrained).where(mailing.c.digest_id == digest_id)
    return 0 if tx.scalar(query) else gone


def halt(tx: Connection, digest_id: int, reason: str) -> None:
    tx.execute(update(mailing).where(mailing.c.digest_id == digest_id).values(halted=reason))


def halted(tx: Connection) -> list[tuple[str, date, str]]:
    """Rubric, date and reason of every digest whose sending is halted."""
    query = (
        select(digest.c.rubric, digest.c.date, mailing.c.halted)
        .join_from(mailing, digest)
        .where(IS_HALTED)
    )
    # SQLite would read all digests in this order, to sort a few.
    rows = sorted(tx.execute(query), key=lambda row: (row.date, row.rubric))
    return [(row.rubric, row.date, row.halted) for row in rows]


def digests_with_rows(
    tx: Connection, rubric: str, day: date, others: Collection[int]
) -> list[tuple[int, str, date]]:
    """Id, rubric and date of digests of a last date, and of `others`, that have delivery rows."""
    query = select(digest.c.id, digest.c.rubric, digest.c.date).where(
        digest.c.rubric == rubric, (digest.c.date == day) | digest.c.id.in_(others), _has_row()
    )
    return [tuple(row) for row in tx.execute(query.order_by(digest.c.since.desc()))]


class DigestRef(NamedTuple):
    """A digest that has delivery rows, and its rubric."""

    digest_id: int
    slug: str


def digests_of_date(tx: Connection, day: date) -> list[DigestRef]:
    """The digests of a last date that have delivery rows."""
    query = select(digest.c.id, digest.c.rubric).where(digest.c.date == day, _has_row())
    return [DigestRef(*row) for row in tx.execute(query.order_by(digest.c.id))]


def digests_with_pending(tx: Connection, first: date) -> list[tuple[int, str, date]]:
    """Id, rubric and date of the digests from a date on that have pending rows."""
    query = select(digest.c.id, digest.c.rubric, digest.c.date).where(
        digest.c.date >= first, _has_row(delivery.c.state == DeliveryState.PENDING.value)
    )
    return [tuple(row) for row in tx.execute(query.order_by(digest.c.date, digest.c.id))]


def _has_row(*more: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists(select(1).where(delivery.c.digest_id == digest.c.id, *more))


def count_all(tx: Connection) -> dict[DeliveryState, int]:
    """Rows of all digests by state; states without rows are left out.

    Nearly all are accepted. These are what the others leave of the total, because SQLite counts a
    whole index six times as fast as the rows of one state.
    """
    others = [state for state in DeliveryState if state is not DeliveryState.ACCEPTED]
    by_state = (
        select(delivery.c.state, func.count())
        .where(delivery.c.state.in_(others))
        .group_by(delivery.c.state)
    )
    total = select(literal(""), select(func.count()).select_from(delivery).scalar_subquery())
    counts = {state: int(number) for state, number in tx.execute(union_all(by_state, total))}
    counts[DeliveryState.ACCEPTED.value] = counts.pop("") - sum(counts.values())
    return {DeliveryState(state): counts[state] for state in sorted(counts) if counts[state]}


def count(tx: Connection, digest_id: int) -> dict[DeliveryState, int]:
    """How many rows of a digest are in which state; states without rows are left out."""
    query = (
        select(delivery.c.state, func.count())
        .where(delivery.c.digest_id == digest_id)
        .group_by(delivery.c.state)
    )
    return {DeliveryState(state): number for state, number in tx.execute(query)}


def _new_id(dialect: str) -> Any:  # noqa: ANN401 - an SQL expression
    """32 hex digits: 14 in order of creation, then 18 random ones.

    The database makes them, so that no reader is loaded.
    """
    digest_part = bindparam("digest_part", type_=Text)
    number = func.row_number().over(order_by=subscriber.c.id)
    if dialect == "postgresql":
        tail = func.right(func.replace(func.gen_random_uuid().cast(Text), "-", ""), 18)
        return digest_part + func.lpad(func.to_hex(number), 8, "0") + tail
    tail = func.lower(func.hex(func.randomblob(9)))
    return digest_part + func.printf("%08x", number, type_=Text) + tail


_REASON = case(
    (suppression.c.reason.is_not(None), suppression.c.reason),
    (subscription.c.state != ACTIVE, subscription.c.state),
    (subscriber.c.state != ACTIVE, subscriber.c.state),
    else_="not yet due",
)
_OF_DIGEST = delivery.c.digest_id == bindparam("of_digest")
_ROWS = select(literal(PREPARED), func.count()).where(_OF_DIGEST)
# A digest is of one rubric: a reader's delivery is that of their subscription to it.
_HAS_ROW = exists(
    select(1).where(_OF_DIGEST, delivery.c.subscriber_id == subscription.c.subscriber_id)
)
_WITHOUT_ROW = (
    select(_REASON, func.count())
    .select_from(MAILABLE)
    .where(
        subscription.c.rubric == bindparam("of_rubric"),
        # Not as NOT EXISTS: PostgreSQL would find all subscribers first, the deliveries last.
        case((_HAS_ROW, 1), else_=0) == 0,
        subscriber.c.email != "",
    )
    .group_by(_REASON)
)
_AUDIENCE = union_all(_ROWS, _WITHOUT_ROW)
