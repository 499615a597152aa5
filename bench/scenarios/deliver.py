"""How fast deliveries go, against what the loopback itself can take.

The same number of threads first posts mail without any bookkeeping (the ceiling), then delivers a
digest to all subscribers with claims, commits and records. Printed are both rates, their ratio, the
memory at a tenth of the way and at its end, and the size of the database.

    python -m bench deliver [--deliveries 100000] [--threads 32] [--size 20000] [--latency 0]
        [--database URL]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import insert

from bench.harness.mail_servers import mail_server
from newsletter.delivery.sender import SendLimits, deliver
from newsletter.domain.addresses import fingerprint
from newsletter.domain.mail import WEEKDAYS, Delivery, Email
from newsletter.mailers.sendgrid.mailer import SendGridMailer
from newsletter.store import Store
from newsletter.store.tables import subscriber
from tests.fakes.mail import RUBRIC, START, DeliveryScenario, email, settings

CEILING_MAILS = 4000
PAGE = 5000


def people(store: Store, number: int) -> None:
    for start in range(0, number, PAGE):
        with store.begin() as tx:
            tx.execute(
                insert(subscriber), [_row(n) for n in range(start, min(start + PAGE, number))]
            )


def _row(number: int) -> dict[str, Any]:
    address = f"reader{number}@example.org"
    return {
        "id": uuid4().hex,
        "email": address,
        "email_key": address,
        "email_hash": fingerprint(address),
        "name": f"Reader {number}",
        "rubric": RUBRIC,
        "days": list(WEEKDAYS),
        "format": "full",
        "state": "active",
        "state_at": START,
        "consent": "",
        "since": START,
    }


def megabytes() -> float:
    """Memory held now (Linux), else the most held so far."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    return round(pages * resource.getpagesize() / 2**20, 1)


def ceiling(mailer: SendGridMailer, threads: int, body: str) -> float:
    """Mails per second when the same threads post and nothing is written down."""
    mails = [email(html=body) for _ in range(CEILING_MAILS)]
    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as hands:
        list(hands.map(mailer.send, mails))
    return CEILING_MAILS / (time.perf_counter() - started)


def measure(number: int, threads: int, size: int, url: str, database: str) -> dict[str, Any]:
    mailer = SendGridMailer(settings(sendgrid_api_key="SG.bench", sendgrid_url=url))
    body = "<p>" + "x" * size + "</p>"
    figures: dict[str, Any] = {"deliveries": number, "threads": threads, "bytes of HTML": size}
    before = ceiling(mailer, threads, body)
    store = Store(database)
    store.migrate()
    people(store, number)
    started = time.perf_counter()
    scenario = DeliveryScenario(store)
    scenario.make_digest()
    figures["seconds to freeze the audience"] = round(time.perf_counter() - started, 2)
    memory: dict[int, float] = {}

    def written(owed: Delivery) -> Email:
        return email(owed.subscriber, owed.id, html=body)

    def look(done: int, total: int) -> None:
        tenth = done * 10 // max(total, 1)
        if tenth not in memory:
            memory[tenth] = megabytes()

    started = time.perf_counter()
    tally = deliver(
        store,
        mailer,
        scenario.digest_id,
        written,
        clock=lambda: datetime.now(UTC),
        sleep=time.sleep,
        progress=look,
        limits=SendLimits(threads=threads),
    )
    rate = number / (time.perf_counter() - started)
    # Measured on both sides of the run: other work on the machine then weighs on both.
    most = (before + ceiling(mailer, threads, body)) / 2
    return figures | {
        "accepted": tally.accepted,
        "ceiling, mails/s": round(most),
        "delivered, mails/s": round(rate),
        "ratio": round(rate / most, 2),
        "MB after a tenth": memory.get(1),
        "MB at the end": memory.get(10),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--size", type=int, default=20_000)
    parser.add_argument("--database", default="")
    parser.add_argument("--latency", type=float, default=0.0)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        mail_server("sendgrid", Path(folder), given.latency) as (url, trusted),
    ):
        os.environ["SSL_CERT_FILE"] = str(trusted)
        path = Path(folder) / "bench.db"
        database = given.database or f"sqlite:///{path}"
        figures = measure(given.deliveries, given.threads, given.size, url, database)
        if path.exists():
            figures["MB of database"] = round(path.stat().st_size / 2**20, 1)
    print(json.dumps(figures, indent=1))
    return 0 if figures["accepted"] == given.deliveries else 1
