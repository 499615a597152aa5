"""Databases for tests: empty ones, and ones that were migrated once."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url

from newsletter.store import MIGRATIONS, Store, newest_revision
from newsletter.store.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Iterator

RESTART = """
SELECT setval(oid::regclass, 1, false) FROM pg_class
WHERE relkind = 'S' AND relnamespace = current_schema()::regnamespace
"""


@contextmanager
def fresh_schema(url: str) -> Iterator[str]:
    """The address of a schema of its own in the PostgreSQL database `url`, dropped at the end."""
    name = f"test_{uuid4().hex}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    try:
        # A commit need not outlive a power cut here; ours are of a few rows, and thousands.
        given = f"-csearch_path={name} -csynchronous_commit=off"
        named = make_url(url).update_query_dict({"options": given})
        yield named.render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
        engine.dispose()


@contextmanager
def own_database(url: str) -> Iterator[str]:
    """The address of a new database in the cluster of `url`, dropped at the end."""
    name = f"test_{uuid4().hex}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield make_url(url).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()


@contextmanager
def upgraded(url: str, revision: str) -> Iterator[Store]:
    """A database as the release with that revision of the schema left it."""
    store = Store(url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with store.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    yield store
    store.close()


class CompiledStatements(dict[Any, Any]):
    """SQLAlchemy's cache of compiled statements, shared by the engines of all SQLite files.

    An engine's own cache starts empty: compiling took a quarter of the time of these tests. The
    key begins with the engine's dialect, which is equal for all of them and therefore left out.
    """

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(key[1:], default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        super().__setitem__(key[1:], compiled)


COMPILED = CompiledStatements()


def share_compiled_statements() -> None:
    """From now on, all engines of this process over SQLite files use COMPILED."""
    if not event.contains(Engine, "engine_connect", _use_compiled):
        event.listen(Engine, "engine_connect", _use_compiled)


def _use_compiled(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.execution_options(compiled_cache=COMPILED)


@functools.cache
def migrated_file() -> Path:
    """A SQLite file with the whole schema and no rows, made once in a process."""
    folder = Path(tempfile.mkdtemp(prefix="nl"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = Store(f"sqlite:///{folder / 'newsletter.db'}")
    made.migrate()
    made.close()
    return folder / "newsletter.db"


def create_database(url: str) -> None:
    """A migrated SQLite database, as a copy: the migrations take a tenth of a second.

    One on a server is migrated by others, and one that is there stays.
    """
    path = Path(str(make_url(url).database))
    if make_url(url).get_backend_name() == "sqlite" and not path.exists():
        shutil.copy(migrated_file(), path)


@contextmanager
def copied(template: Path, folder: Path) -> Iterator[Store]:
    """A copy of a migrated SQLite file."""
    path = folder / "newsletter.db"
    shutil.copy(template, path)
    store = Store(f"sqlite:///{path}")
    event.listen(store.engine, "connect", _without_waiting_for_the_disk)
    yield store
    store.close()


def _without_waiting_for_the_disk(connection: Any, _record: object) -> None:
    """No test cuts the power; what a commit shows to others is the same."""
    connection.execute("PRAGMA synchronous=OFF")


@contextmanager
def emptied(store: Store) -> Iterator[Store]:
    """A migrated PostgreSQL schema, emptied afterwards.

    Deleting a few rows takes a fiftieth of a TRUNCATE, which makes new files for every table.
    """
    yield store
    names = [table.name for table in reversed(metadata.sorted_tables)]
    steps = [f"DELETE FROM {name}" for name in names]  # noqa: S608 - our own names
    # A test may have taken numbers, and pretended that another release was here.
    steps += [RESTART, f"UPDATE alembic_version SET version_num = '{newest_revision()}'"]  # noqa: S608
    with store.begin() as tx:
        tx.exec_driver_sql("; ".join(steps))
