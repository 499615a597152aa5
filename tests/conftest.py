"""Every test that takes `store` runs on SQLite, and on PostgreSQL where one is named.

What shows with a hundred of something is shown with a hundred; `make test-large` takes the
thousands that were promised, and twenty times as many of what Hypothesis makes up.
"""

from __future__ import annotations

import gc
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from newsletter.store import Store
from tests.fakes.database import copied, emptied, fresh_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

POSTGRES = os.environ.get("NEWSLETTER_TEST_DATABASE_URL", "")
BACKENDS = ["sqlite", *(["postgresql"] if POSTGRES else [])]

LARGE = bool(os.environ.get("NEWSLETTER_TEST_LARGE"))

# A machine that has other work may take any time for one example.
settings.register_profile("ours", max_examples=500 if LARGE else 25, deadline=None)
settings.load_profile("ours")

# Four thousand tests are collected and stay: looking them through for garbage takes seconds.
gc.disable()


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: some tests wait for a lease, or for a lock to be given up."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(params=BACKENDS)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database, without the schema."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'newsletter.db'}"
    else:
        with fresh_schema(POSTGRES) as url:
            yield url


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Store]]:
    """A database of each kind with the whole schema, made once."""
    with ExitStack() as stack:
        file = tmp_path_factory.mktemp("migrated") / "newsletter.db"
        stores = {"sqlite": Store(f"sqlite:///{file}")}
        if POSTGRES:
            stores["postgresql"] = Store(stack.enter_context(fresh_schema(POSTGRES)))
        for one in stores.values():
            stack.callback(one.close)
            one.migrate()
            one.close()
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
