"""Databases for tests: empty ones, and ones that were migrated once."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from newsletter.store import Store, newest_revision
from newsletter.store.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def fresh_schema(url: str) -> Iterator[str]:
    """The address of a schema of its own in the PostgreSQL database `url`, dropped at the end."""
    name = f"test_{uuid4().hex}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    try:
        named = make_url(url).update_query_dict({"options": f"-csearch_path={name}"})
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
def copied(template: Path, folder: Path) -> Iterator[Store]:
    """A copy of a migrated SQLite file."""
    path = folder / "newsletter.db"
    shutil.copy(template, path)
    store = Store(f"sqlite:///{path}")
    yield store
    store.close()


@contextmanager
def emptied(store: Store) -> Iterator[Store]:
    """A migrated PostgreSQL schema, emptied afterwards: quicker than a migration for each test."""
    yield store
    names = ", ".join(table.name for table in metadata.sorted_tables)
    with store.begin() as tx:
        tx.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
        # A test may have pretended that another release was here.
        was = {"step": newest_revision()}
        tx.execute(text("UPDATE alembic_version SET version_num = :step"), was)
