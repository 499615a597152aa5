"""Copy one database into another, table by table, between SQLite and PostgreSQL.

Rows go in the order of their keys, page by page, each page one transaction. So what a killed copy
left at the target is the beginning of each table; it is compared with the source and kept where it
is the same, else that table and the later ones are emptied and written again. At the end every row
of both sides is compared, from a fresh snapshot of the source, so that a write meanwhile shows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Integer, String, collate, delete, func, insert, select, text

from newsletter.domain.mail import DeliveryState
from newsletter.store import Store, StoreError, leases, search
from newsletter.store.database import database_role
from newsletter.store.database.database_role import DatabaseFact, DatabaseFactKind
from newsletter.store.tables import call, delivery, metadata
from newsletter.store.tables import origin as origin_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Select, Table

    from newsletter.domain.progress import StageProgress

    Values = tuple[Any, ...]

PAGE = 2000
BITS = 128
STALLED_AFTER = timedelta(minutes=5)
"""A process without a heartbeat for so long counts as dead."""


class CopiedTable(NamedTuple):
    table: str
    rows: int
    checksum: str


@dataclass(slots=True)
class TableChecksum:
    """Row count and sum of the row hashes, independent of the order."""

    rows: int = 0
    total: int = 0

    def add(self, values: Values) -> None:
        digest = hashlib.blake2b(repr(values).encode("utf-8", "backslashreplace"), digest_size=16)
        self.rows += 1
        self.total = (self.total + int.from_bytes(digest.digest())) % 2**BITS


def copy(source: Store, target: Store, now: datetime, report: StageProgress) -> list[CopiedTable]:
    """Copy all of `source` into the empty `target`; afterwards `source` sends no mail.

    Raises StoreError where the target holds other data, or the source was written to meanwhile.
    """
    tables = [table for table in metadata.sorted_tables if table is not origin_table]
    here = describe(source)
    _begin(target, tables, here, now)
    with source.read() as snapshot:
        _use_one_snapshot(snapshot)
        for place, table in enumerate(tables):
            _copy_table(snapshot, target, tables[place:], report)
            _set_sequence(target, table)
    copied = _verify(source, target, tables, report)
    with source.begin() as tx:
        restored = database_role.stored_facts(tx).get(DatabaseFactKind.RESTORED)
        database_role.record_fact(tx, DatabaseFactKind.MOVED, DatabaseFact(describe(target), now))
    with target.begin() as tx:
        search.prepare(tx)
        if restored:
            database_role.record_fact(tx, DatabaseFactKind.RESTORED, restored)
        database_role.delete_fact(tx, DatabaseFactKind.COPYING)
    return copied


def finished_copy(source: Store, target: Store) -> DatabaseFact | None:
    """When `source` was copied to `target`, if it was, and that copy is whole and still there."""
    with source.read() as tx:
        moved = database_role.stored_facts(tx).get(DatabaseFactKind.MOVED)
    if moved is None or moved.place != describe(target) or target.is_new():
        return None
    with target.read() as tx:
        half = DatabaseFactKind.COPYING in database_role.stored_facts(tx)
        return None if half or not _table_with_data(tx, metadata.sorted_tables) else moved


def _table_with_data(tx: Connection, tables: Iterable[Table]) -> str:
    """The first table that holds a row; empty if none does."""
    for table in tables:
        if table is not origin_table and tx.execute(select(table).limit(1)).first():
            return table.name
    return ""


def describe(store: Store) -> str:
    """The address without user and password."""
    url = store.url
    place = url.database if store.is_sqlite else f"{url.host}:{url.port or 5432}/{url.database}"
    return f"{url.get_backend_name()} {place}"


def active_processes(tx: Connection, now: datetime, is_dead: Callable[[str], bool]) -> str:
    """Processes that serve, send a mail or wait for a paid call; empty where there are none."""
    mailing = select(delivery.c.lease_owner).where(
        delivery.c.state == DeliveryState.SENDING.value, delivery.c.lease_until >= now
    )
    asking = select(call.c.owner).where(
        call.c.state == "intent", call.c.batch_id.is_(None), call.c.lease_until >= now
    )
    serving = (one.owner for one in leases.workers(tx) if one.seen >= now - STALLED_AFTER)
    owners = {*tx.scalars(mailing.distinct()), *tx.scalars(asking.distinct()), *serving}
    alive = {"/".join(owner.split("/")[:2]) for owner in owners if owner and not is_dead(owner)}
    return ", ".join(sorted(alive))


def _begin(target: Store, tables: list[Table], here: str, now: datetime) -> None:
    """Create the target's schema and mark the copy as begun. Refuses a target that holds data."""
    target.migrate()
    with target.begin() as tx:
        half = database_role.stored_facts(tx).get(DatabaseFactKind.COPYING)
        if half and half.place != here:
            message = f"the target is a half-made copy of {half.place}; use another, empty database"
            raise StoreError(message)
        if half:
            return
        if name := _table_with_data(tx, tables):
            message = f"the target holds data already ({name}); use an empty database"
            raise StoreError(message)
        database_role.record_fact(tx, DatabaseFactKind.COPYING, DatabaseFact(here, now))


def _use_one_snapshot(tx: Connection) -> None:
    """Read from one snapshot, however long the other side takes. SQLite always does."""
    if tx.dialect.name == "postgresql":
        tx.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        tx.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))


def _copy_table(
    snapshot: Connection, target: Store, tables: list[Table], report: StageProgress
) -> None:
    """Copy the first of `tables`; the others follow it in the order of foreign keys."""
    table = tables[0]
    total = snapshot.scalar(select(func.count()).select_from(table)) or 0
    with target.read() as tx:
        there = _sum(_rows(tx, select(table)))
    rows = _rows(snapshot, _in_order(snapshot, table))
    if there.rows and _sum(islice(rows, there.rows)) != there:
        _empty(target, tables)
        rows, there = _rows(snapshot, _in_order(snapshot, table)), TableChecksum()
    names = [column.name for column in table.columns]
    done = there.rows
    while page := [dict(zip(names, values, strict=True)) for values in islice(rows, PAGE)]:
        with target.begin() as tx:
            tx.execute(insert(table), page)
        done += len(page)
        report(f"Copying {table.name}", done, total)


def _empty(target: Store, tables: list[Table]) -> None:
    with target.begin() as tx:
        for table in reversed(tables):
            tx.execute(delete(table))


def _verify(
    source: Store, target: Store, tables: list[Table], report: StageProgress
) -> list[CopiedTable]:
    copied = []
    with source.read() as snapshot, target.read() as copy:
        _use_one_snapshot(snapshot)
        _use_one_snapshot(copy)
        for place, table in enumerate(tables, 1):
            wanted = _sum(_rows(snapshot, select(table)))
            found = _sum(_rows(copy, select(table)))
            if wanted != found:
                message = (
                    f"{table.name} differs ({wanted.rows} rows here, {found.rows} there): it was "
                    "written to meanwhile; stop the service and run the same command again"
                )
                raise StoreError(message)
            copied.append(CopiedTable(table.name, wanted.rows, f"{wanted.total:032x}"[:12]))
            report("Comparing every row", place, len(tables))
    return copied


def _sum(rows: Iterator[Values]) -> TableChecksum:
    total = TableChecksum()
    for values in rows:
        total.add(values)
    return total


def _rows(tx: Connection, query: Select[Any]) -> Iterator[Values]:
    """Stream the rows: a table may be larger than the memory.

    PostgreSQL stores no NUL in a text, SQLite does: it is replaced on both sides.
    """
    for row in tx.execute(query, execution_options={"yield_per": PAGE}):
        values = tuple(row)
        if "\0" in "".join([value for value in values if isinstance(value, str)]):
            yield tuple(_without_nul(value) for value in values)
        else:
            yield values


def _without_nul(value: object) -> object:
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def _in_order(tx: Connection, table: Table) -> Select[Any]:
    """Order by key and by bytes: a locale's collation may differ between machines."""
    postgres = tx.dialect.name == "postgresql"

    def by_bytes(column: ColumnElement[Any]) -> ColumnElement[Any]:
        return collate(column, "C") if postgres and isinstance(column.type, String) else column

    return select(table).order_by(*(by_bytes(column) for column in table.primary_key))


def _set_sequence(target: Store, table: Table) -> None:
    """Set the sequence past the copied ids. SQLite does so by itself."""
    key = table.autoincrement_column
    if key is None or target.is_sqlite or not isinstance(key.type, Integer):
        return
    with target.begin() as tx:
        last = tx.scalar(select(func.max(key)))
        if last is not None:
            sequence = func.pg_get_serial_sequence(table.name, key.name)
            tx.execute(select(func.setval(sequence, last)))
