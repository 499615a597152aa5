"""How long the operator's page takes over a full database: `python -m bench operator_page`.

10,000 digests of 40 rubrics with bodies of 10 kB, and 200,000 deliveries, a tenth of them of the
last thirty days and a hundred unknown; then the page by HTTP, cold and warm.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import insert

from bench.harness.report import arguments
from newsletter.domain.mail import DeliveryState
from newsletter.store import Store
from newsletter.store.tables import delivery, digest
from newsletter.web.app import create_app
from newsletter.web.context import Site
from tests.fakes.browser import served
from tests.fakes.operator_data import row
from tests.fakes.pages import NOW, STARS, THURSDAY, application, reader

RUBRICS, DAYS, READERS, EACH, IN_DOUBT = 40, 250, 200, 20, 5
HEADER = "X-Operator"


def fill(store: Store) -> None:
    people = [reader(store, email=f"r{number}@example.org") for number in range(READERS)]
    with store.begin() as tx:
        for number in range(RUBRICS * DAYS):
            day = THURSDAY - timedelta(days=number // RUBRICS)
            made = {
                "id": number + 1,
                "rubric": f"rubric-{number % RUBRICS}",
                "date": day,
                "since": day,
                "kind": "normal",
                "picks": 9,
                "announced": 500,
                "scanned": 490,
                "cost_nanos": 10**8,
                "body": "x" * 10_000,
                "at": NOW,
            }
            tx.execute(insert(digest).values(made))
            doubtful = DeliveryState.UNKNOWN if number < IN_DOUBT else DeliveryState.ACCEPTED
            mails = [row(number + 1, people[(number + n) % READERS], doubtful) for n in range(EACH)]
            tx.execute(insert(delivery), mails)


def measure(url: str) -> None:
    store = Store(url)
    store.migrate()
    rubrics = {f"rubric-{n}": replace(STARS, slug=f"rubric-{n}") for n in range(RUBRICS)}
    # The application reads digests for its search when it starts: these have nothing to read.
    site = Site(replace(application(store, operator_header=HEADER), rubrics=rubrics))
    app = create_app(site)
    started = time.perf_counter()
    fill(store)
    print(f"filled in {time.perf_counter() - started:.0f} s")
    with served(app) as web:
        for number in range(6):
            started = time.perf_counter()
            page = web.get("/operator", **{HEADER: "ada"})
            took = 1000 * (time.perf_counter() - started)
            print(f"{page.status} {len(page.body) / 1000:.0f} kB in {took:.0f} ms ({number})")
    store.close()


def main() -> None:
    given = arguments(__doc__, database=True).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(given.database or f"sqlite:///{folder}/bench.db")
