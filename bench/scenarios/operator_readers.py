"""Processor time of the operator's pages with 5,000 readers: `python -m bench operator_readers`.

Two rubrics, five zones, three hours; 90 days of digests, each mailed to all readers of its rubric.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from datetime import time as hour
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from bench.harness.report import arguments
from newsletter.domain.announcements import is_announced
from newsletter.domain.mail import DeliveryState
from newsletter.domain.subscriber_csv import SubscriberRow
from newsletter.store import Store, digests, subscriber_import, subscriptions
from newsletter.store.tables import delivery, subscription
from newsletter.web.app import create_app
from newsletter.web.context import Site
from tests.fakes.browser import served
from tests.fakes.operator_data import row
from tests.fakes.operators import HEADER, Person
from tests.fakes.pages import MODELS, NOW, STARS, THURSDAY, application, issue, paper

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fakes.browser import Page

READERS, DAYS, RUNS = 5000, 90, 7
ZONES = (None, "Europe/Berlin", "Asia/Tokyo", "America/New_York", "Asia/Kolkata")
HOURS = (None, hour(6), hour(8, 30))
PAGES = "/operator/readers"


def fill(store: Store) -> None:
    rows = [
        replace(
            SubscriberRow(0, f"r{number:04}@example.org", (STARS, MODELS)[number % 2].slug),
            timezone=ZONES[number % len(ZONES)],
            send_at=HOURS[number % len(HOURS)],
        )
        for number in range(READERS)
    ]
    with store.begin() as tx:
        subscriber_import.save_all(tx, rows, "asked", NOW - timedelta(days=DAYS + 10))
        people = {one.slug: list(subscriptions.mailable(tx, one.slug)) for one in (STARS, MODELS)}
    for back in reversed(range(DAYS)):
        day = THURSDAY - timedelta(days=back)
        for rubric in (STARS, MODELS) if is_announced(day) else ():
            issue(store, rubric, day, [paper(f"{rubric.slug}-{back}-{n}") for n in range(3)])
            if not back:
                continue
            with store.begin() as tx:
                key = next(one.id for one in digests.summaries(tx, 1, rubric.slug))
                mails = [row(key, one, DeliveryState.ACCEPTED) for one in people[rubric.slug]]
                tx.execute(insert(delivery), mails)


def measure(url: str) -> None:
    store = Store(url)
    store.migrate()
    fill(store)
    with store.read() as tx:
        one = tx.scalar(select(subscription.c.subscriber_id).limit(1))
    site = Site(application(store, operator_header=HEADER))
    with served(create_app(site)) as web:
        ada = Person(web, "ada")
        for path in ("", "/next-run", "/readers", "/readers?page=99", f"/readers/{one}", "/log"):
            name = path.replace(str(one), "ID")
            report(f"/operator{name}", lambda path=path: ada.get(f"/operator{path}"))  # type: ignore[misc]
        for fields in ({"text": "99@exa"}, {"state": "active", "rubric": "stars"}):
            report(f"{PAGES} {fields}", lambda fields=fields: ada.post(PAGES, fields))  # type: ignore[misc]
    store.close()


def report(name: str, ask: Callable[[], Page]) -> None:
    """The least processor time of some requests, with that of the test's own client."""
    least = 1e9
    for _ in range(RUNS + 1):
        begin = time.process_time()
        page = ask()
        least = min(least, time.process_time() - begin)
        if page.status != HTTPStatus.OK:
            raise SystemExit(page.words)
    print(f"{name}: {1000 * least:.0f} ms, {len(page.body) / 1000:.0f} kB")


def main() -> None:
    given = arguments(__doc__, database=True).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(given.database or f"sqlite:///{folder}/bench.db")
