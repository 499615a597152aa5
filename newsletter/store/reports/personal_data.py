"""Everything that is stored of one subscriber, for their download.

A row is theirs where one of its columns names them: the subscriber, a subscription, a delivery, the
address or its hash. So a new table with such a column is in the download without being listed here.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import or_, select

from newsletter.domain.addresses import canonical, fingerprint
from newsletter.store.tables import (
    delivery,
    inbound,
    inbound_body,
    metadata,
    reader_rubric,
    reader_rubric_version,
    subscriber,
    subscription,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

NAMING = ("subscriber_id", "subscription_id", "delivery_id", "email", "email_key", "email_hash")


def stored_about(tx: Connection, subscriber_id: str) -> dict[str, list[dict[str, Any]]]:
    """By table, the rows about a subscriber; tables without any are left out."""
    email = tx.scalar(select(subscriber.c.email).where(subscriber.c.id == subscriber_id))
    if not email:
        return {}
    found = {
        table.name: [_as_json(row) for row in tx.execute(query).mappings()]
        for table in metadata.sorted_tables
        if (query := _query(table, subscriber_id, email)) is not None
    }
    return {name: rows for name, rows in found.items() if rows}


def naming_columns(table: Table) -> list[str]:
    """The columns of a table by which a row is about a subscriber: the id alone, if it has that."""
    found = [name for name in NAMING if name in table.c]
    return found[:1] if found[:1] == ["subscriber_id"] else found


def _query(table: Table, subscriber_id: str, email: str) -> Any:  # noqa: ANN401 - a Select, or None
    mine = select(subscription.c.id).where(subscription.c.subscriber_id == subscriber_id)
    if table is subscriber:
        return select(table).where(subscriber.c.id == subscriber_id)
    if table is inbound_body:
        bodies = select(inbound.c.body_id).where(inbound.c.subscription_id.in_(mine))
        return select(table).where(inbound_body.c.id.in_(bodies))
    if table is reader_rubric_version:
        own = select(reader_rubric.c.slug).where(reader_rubric.c.subscriber_id == subscriber_id)
        return select(table).where(table.c.slug.in_(own)).order_by(table.c.slug, table.c.version)
    values: dict[str, Any] = {
        "subscriber_id": [subscriber_id],
        "subscription_id": mine,
        "delivery_id": select(delivery.c.id).where(delivery.c.subscriber_id == subscriber_id),
        "email": [email],
        "email_key": [canonical(email)],
        "email_hash": [fingerprint(email)],
    }
    conditions = [table.c[name].in_(values[name]) for name in naming_columns(table)]
    return select(table).where(or_(*conditions)) if conditions else None


def _as_json(row: Any) -> dict[str, Any]:  # noqa: ANN401 - a mapping of columns
    return {name: _value(value) for name, value in row.items()}


def _value(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value
