"""Database fixtures: SQLite always, PostgreSQL if NEWSLETTER_TEST_DATABASE_URL is set."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from newsletter.store import Store
from tests.fakes.database import copied, emptied, fresh_schema, migrated_file
from tests.fakes.waiting import let_threads_end
from tests.suite_size import (  # noqa: F401
    pytest_collection_finish,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_xdist_auto_num_workers,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

POSTGRES = os.environ.get("NEWSLETTER_TEST_DATABASE_URL", "")
BACKENDS = ["sqlite", *(["postgresql"] if POSTGRES else [])]


@pytest.fixture(params=BACKENDS)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database, without the schema."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'newsletter.db'}"
    else:
        with fresh_schema(POSTGRES) as url:
            yield url


@pytest.fixture(scope="session")
def migrated() -> Iterator[dict[str, Store]]:
    """One migrated database of each kind, shared by the session; `store` copies it."""
    with ExitStack() as stack:
        stores = {"sqlite": Store(f"sqlite:///{migrated_file()}")}
        if POSTGRES:
            stores["postgresql"] = Store(stack.enter_context(fresh_schema(POSTGRES)))
            stores["postgresql"].migrate()
            stack.callback(stores["postgresql"].close)
        yield stores


@pytest.fixture(params=BACKENDS)
def store(
    request: pytest.FixtureRequest, migrated: dict[str, Store], tmp_path: Path
) -> Iterator[Store]:
    """An empty database with the whole schema."""
    made = migrated[request.param]
    path = Path(str(made.url.database))
    with copied(path, tmp_path) if made.is_sqlite else emptied(made) as ready:
        yield ready
        let_threads_end()
