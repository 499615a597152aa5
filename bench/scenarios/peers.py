"""Side by side with how other newsletters send: a plain loop over the vendor's client.

The loop keeps nothing: no row, no claim, no state, so a kill in its middle loses or doubles the
rest. Each round does both in turn, with the same bodies, against the same loopback.

    python -m bench peers [--mails 2000] [--latency 0.02] [--rounds 3] [--size 40000]
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING

from bench.harness.vendors import carry
from bench.scenarios.deliver import people
from newsletter.delivery.sender import SendLimits, deliver
from newsletter.mailers.sendgrid.mailer import SendGridMailer
from newsletter.store import Store
from tests.fakes.mail import DeliveryScenario, email, settings

if TYPE_CHECKING:
    from newsletter.domain.mail import Delivery, Email

THREADS = (1, 8)


def plain_loop(url: str, mails: int, body: str) -> float:
    """Mails per second by the vendor's client as its own README uses it."""
    from sendgrid import SendGridAPIClient
    from sendgrid.helpers.mail import Mail

    client = SendGridAPIClient("SG.bench", host=url)
    began = time.perf_counter()
    for number in range(mails):
        client.send(
            Mail(
                from_email="digest@example.org",
                to_emails=f"reader{number}@example.org",
                subject="arXiv digest, 23 September 2025",
                html_content=body,
            )
        )
    return mails / (time.perf_counter() - began)


def delivered(url: str, mails: int, body: str, threads: int) -> float:
    """Mails per second with a row for each, claimed and recorded; planning is counted as well."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/bench.db")
        store.migrate()
        people(store, mails)
        began = time.perf_counter()
        scenario = DeliveryScenario(store)
        scenario.make_digest()

        def written(owed: Delivery) -> Email:
            return email(owed.subscriber, owed.id, html=body)

        tally = deliver(
            store,
            SendGridMailer(settings(sendgrid_api_key="SG.bench", sendgrid_url=url)),
            scenario.digest_id,
            written,
            clock=lambda: datetime.now(UTC),
            sleep=time.sleep,
            limits=SendLimits(threads=threads),
        )
        taken = time.perf_counter() - began
        store.close()
    if tally.accepted != mails:
        sys.exit(f"only {tally.accepted} of {mails} were accepted")
    return mails / taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mails", type=int, default=2000)
    parser.add_argument("--latency", type=float, default=0.02)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=40_000)
    given = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=carry, args=(there, given.latency), daemon=True)
    server.start()
    url = here.recv()["sendgrid"]
    body = "<p>" + "x" * given.size + "</p>"
    rates: dict[str, list[float]] = {}
    for _ in range(given.rounds):
        rates.setdefault("plain loop over the client", []).append(
            plain_loop(url, given.mails, body)
        )
        for threads in THREADS:
            name = f"delivered with rows, {threads} thread{'s' if threads > 1 else ''}"
            rates.setdefault(name, []).append(delivered(url, given.mails, body, threads))
    server.terminate()
    print(
        f"{given.mails:,} mails of {given.size:,} bytes, answers after {given.latency} s,", end=""
    )
    print(f" median of {given.rounds} rounds\n\n| | mails/s | times the loop |\n|---|---:|---:|")
    base = median(rates["plain loop over the client"])
    for name, found in rates.items():
        print(f"| {name} | {median(found):,.0f} | {median(found) / base:.2f} |")
