"""All that is stored of one reader's subscriptions, as one JSON value; and its way back, for undo.

Forms are stamped with it, so that nobody changes a reader whom someone else changed meanwhile.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Date, delete, insert, select, update

from newsletter.domain.addresses import fingerprint
from newsletter.store.tables import (
    Moment,
    delivery,
    rubric_suppression,
    subscriber,
    subscription,
    suppression,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, RowMapping, Table

    State = Mapping[str, Any]

ADDRESS = {"email", "email_key", "email_hash"}
"""Not part of a state: nobody changes it, and the log needs no copy of it."""


def read(tx: Connection, subscriber_id: str) -> dict[str, Any]:
    """The stored values without the address; empty for a reader who is unknown or erased."""
    mine = subscriber.c.id == subscriber_id
    row = tx.execute(select(subscriber).where(mine)).mappings().one_or_none()
    if row is None or not row["email"]:
        return {}
    own = select(subscription).where(subscription.c.subscriber_id == subscriber_id)
    subscriptions = tx.execute(own.order_by(subscription.c.id)).mappings()
    return {
        "reader": _json(row, _names(subscriber)),
        "subscriptions": [_json(one, _names(subscription)) for one in subscriptions],
        **{
            table.name: [_json(one, _names(table)) for one in _suppressed(tx, table, row["email"])]
            for table in (suppression, rubric_suppression)
        },
    }


def write(tx: Connection, subscriber_id: str, state: State) -> None:
    """Bring back what `read` returned before a change. Subscriptions that are new are deleted."""
    mine = subscriber.c.id == subscriber_id
    email = tx.execute(select(subscriber.c.email).where(mine)).scalar_one()
    tx.execute(update(subscriber).where(mine).values(_row(subscriber, state["reader"])))
    known = {one["id"]: one for one in state["subscriptions"]}
    of_reader = subscription.c.subscriber_id == subscriber_id
    tx.execute(delete(subscription).where(of_reader, subscription.c.id.not_in(known)))
    for key, one in known.items():
        values = _row(subscription, one)
        tx.execute(update(subscription).where(of_reader, subscription.c.id == key).values(values))
    for table in (suppression, rubric_suppression):
        tx.execute(delete(table).where(table.c.email_hash == fingerprint(email)))
        for one in state[table.name]:
            row = {"email_hash": fingerprint(email), **_row(table, one)}
            tx.execute(insert(table).values(row))


def delete_new(tx: Connection, subscriber_id: str) -> None:
    """Delete a reader who was just added, with their subscriptions."""
    tx.execute(delete(subscription).where(subscription.c.subscriber_id == subscriber_id))
    tx.execute(delete(subscriber).where(subscriber.c.id == subscriber_id))


def was_mailed(tx: Connection, subscriber_id: str, known: State) -> bool:
    """Whether a digest was planned for a subscription that is not in this state."""
    old = [one["id"] for one in known.get("subscriptions", ())]
    rows = select(delivery.c.id).where(
        delivery.c.subscriber_id == subscriber_id, delivery.c.subscription_id.not_in(old)
    )
    return tx.scalar(select(rows.exists())) or False


def _suppressed(tx: Connection, table: Table, email: str) -> list[RowMapping]:
    query = select(table).where(table.c.email_hash == fingerprint(email))
    return list(tx.execute(query.order_by(*table.primary_key)).mappings())


def _names(table: Table) -> list[str]:
    left_out = ADDRESS | ({"id"} if table is subscriber else {"subscriber_id"})
    return [column.name for column in table.c if column.name not in left_out]


def _json(row: RowMapping, names: list[str]) -> dict[str, Any]:
    return {name: _plain(row[name]) for name in names}


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else value


def _row(table: Table, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as the columns take them: times and dates out of their text."""
    return {name: _value(table.c[name].type, value) for name, value in values.items()}


def _value(kind: object, value: Any) -> Any:  # noqa: ANN401 - of a column, as JSON and as itself
    if value is None or not isinstance(kind, Moment | Date):
        return value
    read = datetime if isinstance(kind, Moment) else date
    return read.fromisoformat(value)
