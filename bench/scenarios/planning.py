"""How long it takes to write down whom a digest is owed, against a bulk insert of the same rows.

Planning holds SQLite's only write lock, so that its time is the time for which nobody else writes.
Printed are the seconds of the bulk insert, of planning (rows made and counted, one transaction), of
planning again and of a wake-up at which nothing is new.

    python -m bench planning [--deliveries 100000] [--database URL]
"""

from __future__ import annotations

import tempfile
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import delete, insert, select, text, update

from bench.harness.databases import add_subscribers
from bench.harness.report import arguments, show
from newsletter.delivery import planner
from newsletter.store import Store, audience, deliveries
from newsletter.store.tables import delivery, digest, subscriber
from tests.fakes.mail import RUBRIC, START, DeliveryScenario

if TYPE_CHECKING:
    from collections.abc import Callable


def took(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return round(time.perf_counter() - started, 2)


def same_rows(store: Store, digest_id: int) -> list[dict[str, Any]]:
    """What planning will write, made beforehand and in an order that suits the indexes."""
    with store.read() as tx:
        readers = tx.execute(select(subscriber.c.id, subscriber.c.email).order_by("id")).all()
    made = {"digest_id": digest_id, "state": "pending", "created_at": START, "changed_at": START}
    return [
        {"id": f"{number:08x}{uuid4().hex[:24]}", "subscriber_id": key, "subscription_id": key}
        | {"email": email, **made}
        for number, (key, email) in enumerate(readers)
    ]


def measure(number: int, database: str) -> dict[str, Any]:
    store = Store(database)
    store.migrate()
    add_subscribers(store, number)
    scenario = DeliveryScenario(store)
    first = scenario.make_digest(date(2025, 9, 22), rubric="of nobody")
    with store.begin() as tx:
        tx.execute(update(digest).where(digest.c.id == first).values(rubric=RUBRIC))
    rows = same_rows(store, first)

    def write() -> None:
        with store.begin() as tx:
            tx.execute(insert(delivery), rows)

    def forget() -> None:
        # Rows that were only deleted would be in the way of the same ones on PostgreSQL.
        with store.begin() as tx:
            tx.execute(delete(delivery) if store.is_sqlite else text("TRUNCATE delivery"))

    def plan() -> None:
        planner.plan_all(store, RUBRIC, date(2025, 9, 22), START)

    def wake() -> None:
        with store.read() as tx:
            audience.schedules(tx, RUBRIC, [first])

    bulk = took(write)
    forget()
    planned = took(plan)
    with store.read() as tx:
        [prepared] = deliveries.count(tx, first).values()
    figures = {
        "database": store.url.get_backend_name(),
        "deliveries": prepared,
        "seconds of a bulk insert": bulk,
        "seconds to plan": planned,
        "ratio": round(planned / bulk, 2),
        "seconds to plan again": took(plan),
        "seconds of a wake-up": took(wake),
    }
    store.close()
    return figures


def main() -> int:
    parser = arguments(__doc__, as_json=True)
    parser.add_argument("--deliveries", type=int, default=100_000)
    parser.add_argument("--database", default="", help="an empty one; a new SQLite file without it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = given.database or f"sqlite:///{Path(folder) / 'bench.db'}"
        figures = measure(given.deliveries, database)
    show(figures, as_json=given.json)
    return 0 if figures["deliveries"] == given.deliveries else 1
