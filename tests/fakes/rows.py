"""Rows for every table there is, also those made after this was written."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, Boolean, Date, Float, Integer, LargeBinary, insert, select

from newsletter.store.tables import Moment, metadata

if TYPE_CHECKING:
    from sqlalchemy import Column

    from newsletter.store import Store

NEWS = datetime(2025, 9, 23, 6, 0, 0, 123456, tzinfo=UTC)
FIXED: dict[str, Any] = {"digest.picks": 0, "delivery.lease_owner": None, "call.lease_until": NEWS}
"""What must mean something: a digest without picks has nothing to be searched."""


def fill(store: Store, number: int) -> None:
    """`number` rows in each table but `origin`, each value another."""
    with store.begin() as tx:
        for table in metadata.sorted_tables:
            if table.name == "origin":
                continue
            rows = [{c.name: value(c, n) for c in table.columns} for n in range(number)]
            tx.execute(insert(table), rows)


def value(column: Column[Any], n: int) -> Any:
    name = f"{column.table.name}.{column.name}"
    if name in FIXED:
        return FIXED[name]
    if column.foreign_keys:
        return value(next(iter(column.foreign_keys)).column, n)
    if column.nullable and n % 2:
        return None
    return made_of(column, n)


def made_of(column: Column[Any], n: int) -> Any:
    kind = column.type
    made: dict[type, Any] = {
        Moment: NEWS + timedelta(seconds=n),
        Boolean: bool(n % 2),
        Date: date(2025, 1, 1) + timedelta(days=n),
        Float: n / 3,
        LargeBinary: bytes([n % 256, 0, 255]),
        JSON: {"words": ["a", "ü", n], "none": None},
        Integer: n + 1,
    }
    for known, example in made.items():
        if isinstance(kind, known):
            return example
    # Small and capital letters and signs: each language sorts them in another way.
    return f"{'aBä-_'[n % 5]}{n}{column.name}"[: getattr(kind, "length", None) or 200]


def everything(store: Store) -> dict[str, list[Any]]:
    """All rows of all tables but `origin`."""
    found = {}
    with store.read() as tx:
        for table in metadata.sorted_tables:
            if table.name != "origin":
                found[table.name] = sorted((tuple(r) for r in tx.execute(select(table))), key=repr)
    return found
