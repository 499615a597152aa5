"""Databases for benches: a new one, and many subscribers in it."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import insert

from newsletter.domain.addresses import fingerprint
from newsletter.domain.mail import WEEKDAYS
from newsletter.store import Store
from newsletter.store.tables import subscriber
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
        rows = [_row(n, rubrics[n % len(rubrics)]) for n in range(start, min(start + PAGE, number))]
        with store.begin() as tx:
            tx.execute(insert(subscriber), rows)


def _row(number: int, rubric: str) -> dict[str, Any]:
    address = f"reader{number}@example.org"
    return {
        "id": uuid4().hex,
        "email": address,
        "email_key": address,
        "email_hash": fingerprint(address),
        "name": f"Reader {number}",
        "rubric": rubric,
        "days": list(WEEKDAYS),
        "format": "full",
        "state": "active",
        "state_at": START,
        "consent": "",
        "since": START,
    }
