"""Back up a database into one file while the service runs, and restore it.

SQLite uses its online backup (sqlite.org/backup.html): one consistent state, writers go on.
PostgreSQL uses pg_dump and pg_restore, which must be on the path.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from newsletter.errors import file_error
from newsletter.files.atomic_write import part_of, sync_folder
from newsletter.store import Store, StoreError, advice, newest_revision, search
from newsletter.store.database import database_role, restore_holds
from newsletter.store.database.database_role import DatabaseFact, DatabaseFactKind

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

SQLITE_TIME = "%Y-%m-%d %H:%M:%S.%f"
"""As SQLAlchemy writes it; in UTC."""


def save(store: Store, file: Path, now: datetime) -> int:
    """Write a backup to `file`, which must not exist yet; return its size. Raises StoreError."""
    if file.exists():
        message = f"{file} exists already; give the backup a name of its own"
        raise StoreError(message)
    part = part_of(file)
    try:
        # It holds addresses: file and folder are readable by their owner alone.
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.touch(mode=0o600)
        (_save_sqlite if store.is_sqlite else _save_postgres)(store, part, now)
        _keep(part, file)
        return file.stat().st_size
    except OSError as error:
        message = f"cannot write the backup {file}: {file_error(error)}"
        raise StoreError(message) from error
    except sqlite3.Error as error:
        message = f"cannot write the backup {file}: {error}{advice(str(error))}"
        raise StoreError(message) from error
    finally:
        if part.exists():
            part.unlink()


def _save_sqlite(store: Store, part: Path, now: datetime) -> None:
    with closing(_opened(Path(str(store.url.database)))) as live, closing(_opened(part)) as copy:
        live.backup(copy)
        mark = "INSERT INTO origin (kind, place, at) VALUES (?, '', ?)"
        copy.execute(mark, (DatabaseFactKind.BACKUP.value, f"{now:{SQLITE_TIME}}"))
        copy.commit()
        copy.execute("PRAGMA journal_mode=DELETE")
        _check(copy, part)
    with store.begin() as tx:
        database_role.record_fact(tx, DatabaseFactKind.SAVED, DatabaseFact("", now))


def _save_postgres(store: Store, part: Path, now: datetime) -> None:
    """Record the time first, so that the dump contains when it was taken."""
    with store.begin() as tx:
        before = database_role.stored_facts(tx).get(DatabaseFactKind.SAVED)
        database_role.record_fact(tx, DatabaseFactKind.SAVED, DatabaseFact("", now))
    try:
        _run(store.url, "pg_dump", "--format=custom", "--no-owner", f"--file={part}")
    except StoreError:
        with store.begin() as tx:
            database_role.delete_fact(tx, DatabaseFactKind.SAVED)
            if before:
                database_role.record_fact(tx, DatabaseFactKind.SAVED, before)
        raise
    with part.open("rb") as dump:
        os.fsync(dump.fileno())


def taken_at(file: Path) -> datetime | None:
    """When a SQLite backup was taken, if it says so. Raises StoreError for what is no database."""
    if not file.is_file():
        message = f"there is no backup {file}"
        raise StoreError(message)
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as copy:
            _check(copy, file)
            if not copy.execute("SELECT 1 FROM sqlite_master WHERE name = 'origin'").fetchone():
                return None
            mark = "SELECT at FROM origin WHERE kind = ?"
            found = copy.execute(mark, (DatabaseFactKind.BACKUP.value,)).fetchone()
    except sqlite3.DatabaseError as error:
        message = f"{file} is no database that can be read ({error}); use another backup"
        raise StoreError(message) from error
    return datetime.fromisoformat(found[0]).replace(tzinfo=UTC) if found else None


def restore_sqlite(url: URL, file: Path, now: datetime) -> Path | None:
    """Copy `file` to the path of the database; return where the previous database was moved."""
    path = Path(str(url.database))
    aside = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        part.touch(mode=0o600)
        part.chmod(0o600)
        shutil.copyfile(file, part)
        if path.exists():
            aside = path.with_name(f"{path.name}.before-{now:%Y%m%dT%H%M%S}")
            for ending in ("", "-wal", "-shm"):
                old = path.with_name(path.name + ending)
                if old.exists():
                    old.rename(aside.with_name(aside.name + ending))
        _keep(part, path)
    except OSError as error:
        message = f"cannot put the backup in place at {path}: {file_error(error)}"
        raise StoreError(message) from error
    return aside


def restore_postgres(url: URL, file: Path) -> None:
    """Restore a dump into an empty database, in one transaction."""
    if not file.is_file():
        message = f"there is no backup {file}"
        raise StoreError(message)
    _run(
        url,
        "pg_restore",
        "--no-owner",
        "--exit-on-error",
        "--single-transaction",
        str(file.resolve()),
    )


def activate(store: Store, taken: datetime | None, now: datetime, *, hold: bool) -> int:
    """Make a restored database the live one; return how many mails are held.

    `taken` is when the backup was taken; None where the database records it. Raises StoreError
    when nobody knows.
    """
    store.migrate()
    with store.begin() as tx:
        facts = database_role.stored_facts(tx)
        own = facts.get(DatabaseFactKind.BACKUP) or facts.get(DatabaseFactKind.SAVED)
        if taken is None and own is None:
            message = "the database does not say when it was saved; add --taken YYYY-MM-DDTHH:MM"
            raise StoreError(message)
        search.prepare(tx)
        at = taken or (own.at if own else now)
        if hold:
            return restore_holds.hold_all(tx, at, now)
        database_role.take_over(tx, now)
        return 0


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=30)


def _check(copy: sqlite3.Connection, path: Path) -> None:
    said = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    if said != "ok":
        message = f"{path} is damaged ({said}); use another backup"
        raise StoreError(message)
    revision = copy.execute("SELECT version_num FROM alembic_version").fetchone()
    if revision and revision[0] > newest_revision():
        message = f"{path} is of a newer release ({revision[0]}); upgrade first"
        raise StoreError(message)


def _keep(part: Path, file: Path) -> None:
    """Sync a complete file and rename it."""
    with part.open("rb+") as written:
        os.fsync(written.fileno())
    part.rename(file)
    sync_folder(file.parent)


def _run(url: URL, program: str, *words: str) -> None:
    """Run a PostgreSQL program with the password in its environment: `ps` shows arguments."""
    if shutil.which(program) is None:
        message = f"{program} is not installed here; run it where it is, as docs/operating.md says"
        raise StoreError(message)
    bare = url.set(drivername="postgresql", password=None)
    where = bare.render_as_string(hide_password=False)
    secret = {"PGPASSWORD": str(url.password)} if url.password else {}
    done = subprocess.run(  # noqa: S603 - a program named above, with our own settings
        [program, f"--dbname={where}", *words],
        env=os.environ | secret,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        message = f"{program}: {said[0] if said else 'failed'}"
        raise StoreError(message)
