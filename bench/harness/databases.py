"""Databases for benches: a new one, and many subscribers in it."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import insert

from newsletter.domain.mail import Subscription
from newsletter.store import Store, subscriptions
from newsletter.store.tables import subscriber, subscription
from tests.fakes.mail import RUBRIC, START

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PAGE = 5000


@contextmanager
def migrated(url: str = "") -> Iterator[Store]:
    """The database at `url`, or a new SQLite file, with its schema."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(url or f"sqlite:///{folder}/bench.db")
        store.migrate()
        yield store
        store.close()


def add_subscribers(store: Store, number: int, rubrics: Sequence[str] = (RUBRIC,)) -> None:
    """Active subscribers, spread evenly over the rubrics."""
    for start in range(0, number, PAGE):
        rows = [
            _rows(n, rubrics[n % len(rubrics)]) for n in range(start, min(start + PAGE, number))
        ]
        with store.begin() as tx:
            tx.execute(insert(subscriber), [of_reader for of_reader, _ in rows])
            tx.execute(insert(subscription), [own for _, own in rows])


def _rows(number: int, rubric: str) -> tuple[dict[str, Any], dict[str, Any]]:
    given = Subscription(
        uuid4().hex, f"reader{number}@example.org", rubric, name=f"Reader {number}"
    )
    return subscriptions.rows_of_new(given, START)
