"""The role of a database: live, a backup, restored from one, half copied, or copied elsewhere.

Two databases that both count as live would mail everybody twice. So a copy records that it is one
until a command puts it in place, and a database that was copied elsewhere records where to.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import delete, func, insert, select, text

from newsletter.store.tables import origin

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection


class DatabaseFactKind(StrEnum):
    """HOME is PostgreSQL's id of the tables, SAVED the time of a backup; the others forbid use."""

    HOME = "home"
    SAVED = "saved"
    BACKUP = "backup"
    COPYING = "copying"
    MOVED = "moved"
    RESTORED = "restored"


class DatabaseFact(NamedTuple):
    place: str
    at: datetime
    until: datetime | None = None


def record_fact(tx: Connection, kind: DatabaseFactKind, fact: DatabaseFact) -> None:
    delete_fact(tx, kind)
    tx.execute(insert(origin).values(kind=kind.value, **fact._asdict()))


def delete_fact(tx: Connection, kind: DatabaseFactKind) -> None:
    tx.execute(delete(origin).where(origin.c.kind == kind.value))


def stored_facts(tx: Connection) -> dict[DatabaseFactKind, DatabaseFact]:
    rows = tx.execute(select(origin))
    return {DatabaseFactKind(row.kind): DatabaseFact(row.place, row.at, row.until) for row in rows}


def take_over(tx: Connection, now: datetime) -> None:
    """Make this database the live one."""
    for kind in (DatabaseFactKind.BACKUP, DatabaseFactKind.MOVED):
        delete_fact(tx, kind)
    record_fact(tx, DatabaseFactKind.HOME, DatabaseFact(_place(tx), now))


def record_home(tx: Connection) -> None:
    """Record PostgreSQL's id of the tables right after they were created."""
    if tx.dialect.name == "postgresql" and DatabaseFactKind.HOME not in stored_facts(tx):
        record_fact(
            tx,
            DatabaseFactKind.HOME,
            DatabaseFact(_place(tx), tx.execute(select(func.now())).scalar_one()),
        )


def unusable_reason(tx: Connection) -> str:
    """Why this database can't be used, and what to do; empty where it can."""
    facts = stored_facts(tx)
    if half := facts.get(DatabaseFactKind.COPYING):
        return (
            f"it is a copy of {half.place} that was not finished; "
            "run the same `newsletter db copy` again, or drop it"
        )
    if backup := facts.get(DatabaseFactKind.BACKUP):
        return (
            f"it is a backup of {backup.at:%Y-%m-%d %H:%M} UTC; "
            "put it in place with: newsletter db restore FILE"
        )
    home = facts.get(DatabaseFactKind.HOME)
    if home and home.place != _place(tx):
        return (
            "it was restored from a dump, so mails sent since then are not in it; "
            "say so with: newsletter db restore --taken TIME"
        )
    return ""


def moved_reason(tx: Connection) -> str:
    """Why this database must not send mail; empty where it may."""
    moved = stored_facts(tx).get(DatabaseFactKind.MOVED)
    if moved is None:
        return ""
    return (
        f"this database was copied to {moved.place} on {moved.at:%Y-%m-%d %H:%M} UTC: set "
        "NEWSLETTER_DATABASE_URL to that one, or stay with this one by: newsletter db reopen"
    )


def _place(tx: Connection) -> str:
    """PostgreSQL's oid of a table, which changes when a dump is restored; empty on SQLite."""
    if tx.dialect.name == "sqlite":
        return ""
    return str(tx.scalar(text("SELECT 'origin'::regclass::oid")))
