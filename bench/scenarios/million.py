"""What the statements of a morning do with a million deliveries on PostgreSQL: plans and times.

    python -m bench million [--deliveries 1000000] [--digests 500] --database URL

The database named is left alone: one of its own is made beside it, and dropped. Statements are
taken as they are sent; each one's plan is asked for and printed if it walks a large table.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, event, text

from bench.harness.report import arguments
from bench.scenarios.daily_run import database
from newsletter.delivery import planner
from newsletter.domain.mail import EventKind
from newsletter.process import is_dead
from newsletter.store import Store, claims, deliveries, events, retention
from newsletter.store.tables import delivery

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

NOW = datetime(2025, 9, 23, 6, 0, tzinfo=UTC)
DAY = date(2025, 9, 22)
LARGE = ("delivery", "subscriber", "subscription", "event")
PEOPLE = """
INSERT INTO subscriber (id, email, email_key, email_hash, name, days, format, state,
    state_reason, state_at, soft_bounces)
SELECT md5(n::text), 'r' || n || '@example.org', 'r' || n || '@example.org', md5('h' || n), '',
    '["mon","tue","wed","thu","fri"]', 'full', 'active', '', :now, 0
FROM generate_series(1, :most) n
"""
SUBSCRIPTIONS = """
INSERT INTO subscription (id, subscriber_id, rubric, state, state_reason, state_at, consent, since)
SELECT md5(n::text), md5(n::text), 'rubric-' || n % :digests, 'active', '', :now, '', :now
FROM generate_series(1, :most) n
"""
DIGESTS = """
INSERT INTO digest (rubric, since, date, kind, picks, announced, scanned, cost_nanos, body, at)
SELECT 'rubric-' || n, '2025-09-22', '2025-09-22', 'normal', 0, 1, 1, 0, '', :now
FROM generate_series(0, :digests - 1) n
"""
EVENTS = """
INSERT INTO event (id, kind, email_hash, delivery_id, reason, at, received_at)
SELECT md5('e' || n), 'delivered', md5('h' || n), md5('d' || n), '', :now, :now
FROM generate_series(1, :most) n
"""


class Watch:
    """The statements that were sent, with what each was given."""

    def __init__(self, store: Store) -> None:
        self.sent: list[tuple[str, Any]] = []
        event.listen(store.engine, "before_cursor_execute", self._note)

    def _note(self, *said: Any) -> None:  # noqa: ANN401 - whatever the driver is given
        _, _, statement, parameters, _, many = said
        if not statement.startswith(("EXPLAIN", "ANALYZE", "SET")):
            self.sent.append((statement, parameters[0] if many else parameters))


def walks(tx: Connection, statement: str, parameters: Any) -> list[str]:  # noqa: ANN401 - as above
    """The lines of its plan that read the whole of a large table.

    What configures the optimizer is run instead, so that the plans are those of the service.
    """
    if statement.startswith("SELECT set_config"):
        tx.exec_driver_sql(statement, parameters)
        return []
    plan = tx.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars()
    return [one.strip() for one in plan if any(f"Seq Scan on {name}" in one for name in LARGE)]


def measure(store: Store, name: str, act: Callable[[Connection], object]) -> None:
    watch = Watch(store)
    with store.begin() as tx:
        began = time.perf_counter()
        answer = act(tx)
        taken = (time.perf_counter() - began) * 1000
        asked = list(watch.sent)
        found = [line for one in asked for line in walks(tx, *one)]
    event.remove(store.engine, "before_cursor_execute", watch._note)  # noqa: SLF001 - its own
    size = len(answer) if isinstance(answer, list | tuple | dict) else answer
    print(f"| {name} | {len(asked)} | {taken:,.1f} | {size} | {'; '.join(found) or 'none'} |")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--deliveries", type=int, default=1_000_000)
    parser.add_argument("--digests", type=int, default=500)
    parser.add_argument("--database", default=os.environ.get("NEWSLETTER_TEST_DATABASE_URL", ""))
    given = parser.parse_args()
    if not given.database:
        parser.error("PostgreSQL is needed: --database postgresql+psycopg://USER@HOST/NAME")
    with database("postgresql", Path(), given.database) as url:
        store = Store(url)
        store.migrate()
        with store.begin() as tx:
            for statement in (PEOPLE, SUBSCRIPTIONS, DIGESTS, EVENTS):
                values = {"most": given.deliveries, "digests": given.digests, "now": NOW}
                tx.execute(text(statement), values)
        began = time.perf_counter()
        for digest_id in range(1, given.digests + 1):
            plan(store, digest_id)
        taken = time.perf_counter() - began
        with store.begin() as tx:
            tx.execute(text("ANALYZE"))
        print(
            f"{given.deliveries:,} deliveries of {given.digests} digests planned in {taken:.1f} s"
        )
        print("| | statements | ms | answer | walks a whole large table |\n|---|---:|---:|---|---|")
        statements(store, given.digests)
        store.close()


def plan(store: Store, digest_id: int) -> object:
    return planner.plan_all(store, f"rubric-{digest_id - 1}", DAY, NOW)


def statements(store: Store, digests: int) -> None:
    until = NOW + timedelta(minutes=10)
    middle = digests // 2

    def claim(tx: Connection) -> object:
        return claims.claim(tx, middle, "bench/1/x", now=NOW, until=until, limit=8)[0]

    for _ in range(3):
        measure(store, "claim eight mails", claim)
    measure(store, "look after the dead", lambda tx: claims.expire_leases(tx, NOW, is_dead))
    measure(store, "count a digest's mails", lambda tx: deliveries.count(tx, middle))
    with store.begin() as tx:
        tx.execute(delete(delivery).where(delivery.c.digest_id == middle))
    for name in ("plan a digest", "plan it again"):
        measure(store, name, lambda _tx: plan(store, middle))
    measure(store, "complaints of a month", lambda tx: events.complaints(tx, NOW))
    measure(store, "mails of unknown outcome", claims.unknown_deliveries)
    news = events.Event(EventKind.DELIVERED, "r77@example.org", NOW, "d" * 32)
    measure(store, "take an event", lambda tx: events.apply(tx, [news], NOW))
    later = NOW + retention.KEPT + timedelta(days=1)
    measure(store, "digests whose mails go", lambda tx: retention.expired_digests(tx, later))
    measure(store, "drop a page of them", lambda tx: retention.delete_page(tx, middle))
    measure(store, "count all mails", deliveries.count_all)
