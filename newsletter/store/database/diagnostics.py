"""Server version, schema revision and size of the database. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import text

from newsletter.store import current_revision, newest_revision

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from newsletter.store import Store


class DatabaseDiagnostics(NamedTuple):
    """`revision` is the schema revision, empty where there is none; `size` is in bytes."""

    server: str
    revision: str
    needed: str
    size: int


def diagnose(store: Store) -> DatabaseDiagnostics:
    """Raises StoreError."""
    with store.read() as tx:
        server, size = _sqlite(tx) if store.is_sqlite else _postgres(tx)
        return DatabaseDiagnostics(server, current_revision(tx), newest_revision(), size)


def _sqlite(tx: Connection) -> tuple[str, int]:
    version = tx.execute(text("SELECT sqlite_version()")).scalar_one()
    pages = tx.execute(text("PRAGMA page_count")).scalar_one()
    each = tx.execute(text("PRAGMA page_size")).scalar_one()
    return f"SQLite {version}", int(pages) * int(each)


def _postgres(tx: Connection) -> tuple[str, int]:
    version = str(tx.execute(text("SHOW server_version")).scalar_one()).split(" ")[0]
    size = tx.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
    return f"PostgreSQL {version}", int(size)
