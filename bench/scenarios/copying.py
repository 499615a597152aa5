"""How fast a database is copied to PostgreSQL and back, each row compared.

python -m bench copying [--readers 50000] --database URL of a PostgreSQL that may be used
"""

from __future__ import annotations

import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import update

from bench.harness.databases import add_subscribers
from bench.harness.report import arguments
from bench.scenarios.daily_run import database
from newsletter.store import Store
from newsletter.store.database import copy
from newsletter.store.tables import digest
from tests.fakes.mail import DeliveryScenario


def copied(source: Store, target: Store) -> tuple[int, float]:
    """Rows, and seconds with the comparison."""
    began = time.perf_counter()
    done = copy.copy(source, target, datetime.now(UTC), lambda *_: None)
    return sum(one.rows for one in done), time.perf_counter() - began


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--readers", type=int, default=50_000)
    parser.add_argument("--database", default=os.environ.get("NEWSLETTER_TEST_DATABASE_URL", ""))
    given = parser.parse_args()
    if not given.database:
        parser.error("PostgreSQL is needed: --database postgresql+psycopg://USER@HOST/NAME")
    with (
        tempfile.TemporaryDirectory() as folder,
        database("postgresql", Path(folder), given.database) as url,
    ):
        first, server = Store(f"sqlite:///{folder}/first.db"), Store(url)
        last = Store(f"sqlite:///{folder}/last.db")
        first.migrate()
        add_subscribers(first, given.readers)
        scenario = DeliveryScenario(first)
        scenario.make_digest()
        with first.begin() as tx:
            tx.execute(update(digest).values(picks=0))  # Its body is no digest that is searched.
        print("| | rows | s | rows/s |\n|---|---:|---:|---:|")
        for name, pair in {
            "SQLite to PostgreSQL": (first, server),
            "PostgreSQL to SQLite": (server, last),
        }.items():
            rows, taken = copied(*pair)
            print(f"| {name} | {rows:,} | {taken:.1f} | {rows / taken:,.0f} |", flush=True)
        for store in (first, server, last):
            store.close()
