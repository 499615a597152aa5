"""Whom a digest owes an email: the rows, made once, and how many stand where.

What happens to one row is in `claims.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import Text, case, cast, func, literal, select, true, update
from sqlalchemy.dialects import postgresql, sqlite

from newsletter.people import WEEKDAYS, DeliveryState, SubscriberState
from newsletter.store.tables import delivery, digest, mailing, subscriber, suppression

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from sqlalchemy import ColumnElement, Connection

PAGE = 5000
"""Ids in one statement: far below the number of parameters either database takes."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Who was counted when a digest's rows were made: candidates = prepared + excluded."""

    candidates: int
    prepared: int
    excluded: dict[str, int] = field(default_factory=dict)


def freeze_audience(
    tx: Connection,
    digest_id: int,
    rubric: str,
    now: datetime,
    *,
    only: Sequence[str] | None = None,
    weekday: int | None = None,
) -> Audience:
    """Make the rows of a digest that are missing, and count who gets none and why.

    `only` names the subscribers whose hour has come; None means everyone. `weekday` (0 is Monday)
    leaves out those who do not want mail on it. Safe to repeat.
    """
    chosen = subscriber.c.rubric == rubric
    if weekday is not None:
        chosen &= _wanted_on(weekday)
    if only is None:
        _make_rows(tx, digest_id, chosen, now)
    for start in range(0, len(only or ()), PAGE):
        page = (only or ())[start : start + PAGE]
        _make_rows(tx, digest_id, chosen & subscriber.c.id.in_(page), now)
    return _count_audience(tx, digest_id, rubric, now, weekday)


def _make_rows(tx: Connection, digest_id: int, chosen: ColumnElement[bool], now: datetime) -> None:
    """One pending row for each chosen subscriber who may be mailed, where there is none yet."""
    made = {
        "id": _new_id(tx),
        "digest_id": literal(digest_id),
        "subscriber_id": subscriber.c.id,
        "email": subscriber.c.email,
        "state": literal(DeliveryState.PENDING.value),
        "attempt": literal(0),
        "failures": literal(0),
        "reason": literal(""),
        "created_at": literal(now, delivery.c.created_at.type),
        "changed_at": literal(now, delivery.c.changed_at.type),
    }
    wanted = (
        select(*made.values())
        .select_from(
            subscriber.outerjoin(suppression, suppression.c.email_hash == subscriber.c.email_hash)
        )
        .where(
            chosen,
            subscriber.c.state == SubscriberState.ACTIVE,
            suppression.c.email_hash.is_(None),
        )
    )
    tx.execute(_insert(tx)(delivery).from_select(list(made), wanted).on_conflict_do_nothing())


def _count_audience(
    tx: Connection, digest_id: int, rubric: str, now: datetime, weekday: int | None
) -> Audience:
    prepared = delivery.c.id.is_not(None)
    today = true() if weekday is None else _wanted_on(weekday)
    reason = case(
        (suppression.c.reason.is_not(None), suppression.c.reason),
        (subscriber.c.state != SubscriberState.ACTIVE, subscriber.c.state),
        (today, "not yet due"),
        else_="not on this weekday",
    )
    query = (
        select(prepared, reason, func.count())
        .select_from(
            subscriber.outerjoin(
                suppression, suppression.c.email_hash == subscriber.c.email_hash
            ).outerjoin(
                delivery,
                (delivery.c.subscriber_id == subscriber.c.id) & (delivery.c.digest_id == digest_id),
            )
        )
        .where(subscriber.c.rubric == rubric, subscriber.c.email != "")
        .group_by(prepared, reason)
    )
    excluded: dict[str, int] = {}
    made = 0
    for has_row, why, number in tx.execute(query):
        if has_row:
            made += number
        else:
            excluded[why] = number
    audience = Audience(made + sum(excluded.values()), made, excluded)
    row = {"candidates": audience.candidates, "excluded": excluded, "at": now}
    tx.execute(
        _insert(tx)(mailing)
        .values(digest_id=digest_id, halted="", **row)
        .on_conflict_do_update(index_elements=["digest_id"], set_=row)
    )
    return audience


def _wanted_on(weekday: int) -> ColumnElement[bool]:
    """The days are a short JSON list of names, none of which is part of another."""
    return cast(subscriber.c.days, Text).contains(f'"{WEEKDAYS[weekday]}"')


def resume(tx: Connection, digest_id: int) -> None:
    """Somebody asks for this digest to go on: forget the halt, and do not wait for old delays."""
    tx.execute(update(mailing).where(mailing.c.digest_id == digest_id).values(halted=""))
    tx.execute(
        update(delivery)
        .where(
            delivery.c.digest_id == digest_id,
            delivery.c.state == DeliveryState.PENDING,
            delivery.c.not_before.is_not(None),
        )
        .values(not_before=None, failures=0)
    )


def halt(tx: Connection, digest_id: int, reason: str) -> None:
    tx.execute(update(mailing).where(mailing.c.digest_id == digest_id).values(halted=reason))


def halted(tx: Connection) -> list[tuple[str, date, str]]:
    """Rubric, date and reason of every digest whose sending was stopped and not taken up again."""
    query = (
        select(digest.c.rubric, digest.c.date, mailing.c.halted)
        .join_from(mailing, digest)
        .where(mailing.c.halted != "")
        .order_by(digest.c.date, digest.c.rubric)
    )
    return [(rubric, day, reason) for rubric, day, reason in tx.execute(query)]


def count_all(tx: Connection) -> dict[DeliveryState, int]:
    """Rows of all digests by state; states without rows are left out."""
    query = select(delivery.c.state, func.count()).group_by(delivery.c.state)
    return {DeliveryState(state): number for state, number in tx.execute(query)}


def count(tx: Connection, digest_id: int) -> dict[DeliveryState, int]:
    """How many rows of a digest are in which state; states without rows are left out."""
    query = (
        select(delivery.c.state, func.count())
        .where(delivery.c.digest_id == digest_id)
        .group_by(delivery.c.state)
    )
    return {DeliveryState(state): number for state, number in tx.execute(query)}


def _insert(tx: Connection) -> Any:  # noqa: ANN401 - two dialects, one shape
    return postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert


def _new_id(tx: Connection) -> Any:  # noqa: ANN401 - an SQL expression
    """A random id of 32 hex digits, made by the database: an audience never passes through here."""
    if tx.dialect.name == "postgresql":
        return func.replace(func.gen_random_uuid().cast(Text), "-", "")
    return func.lower(func.hex(func.randomblob(16)))
