"""Mail over TLS beside how other newsletters send: a loop over the vendor's client, or smtplib.

Such a loop keeps no row, claim or state: a kill in its middle loses or doubles the rest. Each round
sends the same mails in each way, to the same server in a process of its own. Printed are seconds,
and milliseconds of processor time of this process for each mail.

    python -m bench peers [--over sendgrid smtp] [--mails 500] [--latency 0.02] [--rounds 3]
        [--size 85000]
"""

from __future__ import annotations

import argparse
import json
import os
import smtplib
import ssl
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.client import HTTPSConnection
from pathlib import Path
from pkgutil import resolve_name
from statistics import median
from threading import local
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from bench.harness.databases import add_subscribers
from bench.harness.mail_servers import mail_server
from newsletter.delivery.sender import SendLimits, deliver
from newsletter.mailers import MAILERS, connections_kept, max_concurrent
from newsletter.mailers.mime import to_bytes
from newsletter.mailers.sendgrid.mailer import payload
from newsletter.store import Store
from tests.fakes.mail import DeliveryScenario, email, reader, settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from newsletter.domain.mail import Delivery, Email
    from newsletter.mailers import Mailer

PAPER = (
    '<tr><td style="padding:0 0 16px;font:16px/1.5 Georgia,serif;color:#333333"><a href="https://'
    'arxiv.org/abs/2509.12345" style="color:#0b5cad">On sparse attention, part 7</a><br>Relevance '
    "8/10 &middot; novelty 7/10: names the first criterion, with a method new to it</td></tr>\n"
)
KEY = "SG.bench"
THREADS = 8


def mailer_of(kind: str, url: str) -> Mailer:
    given = {"sendgrid_api_key": KEY, "sendgrid_url": url} if kind == "sendgrid" else {}
    made: Mailer = resolve_name(MAILERS[kind])(settings(**given or {"smtp_url": url}))
    return made


def vendors_client(url: str, mails: list[Email]) -> None:
    """SendGrid's client as its README uses it."""
    from sendgrid import SendGridAPIClient
    from sendgrid.helpers.mail import Mail

    client = SendGridAPIClient(KEY, host=url)
    for one in mails:
        client.send(
            Mail(
                from_email=one.from_email,
                to_emails=one.to_email,
                subject=one.subject,
                plain_text_content=one.text,
                html_content=one.html,
            )
        )


def one_smtplib_connection(url: str, mails: list[Email]) -> None:
    """All mails by one connection; nothing is known of a mail whose answer is lost."""
    parts = urlsplit(url)
    with smtplib.SMTP(parts.hostname or "", parts.port or 0) as server:
        server.starttls(context=ssl.create_default_context())
        server.login(unquote(parts.username or ""), unquote(parts.password or ""))
        for one in mails:
            server.sendmail(one.from_email, [one.to_email], to_bytes(one))


def kept_https_connections(url: str, mails: list[Email]) -> None:
    """HTTP keep-alive by 8 threads: what it would save. After a lost answer a mail is unknown."""
    parts, mine, context = urlsplit(url), local(), ssl.create_default_context()
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}

    def send(one: Email) -> None:
        if not hasattr(mine, "connection"):
            mine.connection = HTTPSConnection(parts.netloc, context=context)
        mine.connection.request("POST", "/v3/mail/send", json.dumps(payload(one)), headers)
        mine.connection.getresponse().read()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(send, mails))


def mailer_alone(kind: str) -> Callable[[str, list[Email]], None]:
    """Our mailer without rows, by 8 threads."""

    def send(url: str, mails: list[Email]) -> None:
        mailer = mailer_of(kind, url)
        with connections_kept(mailer), ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(mailer.send, mails))

    return send


def delivered(kind: str, threads: int) -> Callable[[str, list[Email]], None]:
    """With a row for each mail, claimed and recorded. Planning is counted as well."""

    def send(url: str, mails: list[Email]) -> None:
        body = mails[0].html

        def written(owed: Delivery) -> Email:
            return email(owed.subscription, owed.id, html=body)

        with tempfile.TemporaryDirectory() as folder:
            store = Store(f"sqlite:///{folder}/bench.db")
            store.migrate()
            add_subscribers(store, len(mails))
            started = time.perf_counter(), time.process_time()
            scenario = DeliveryScenario(store)
            scenario.make_digest()
            mailer = mailer_of(kind, url)
            most = max_concurrent(mailer) if threads > 1 else 1
            tally = deliver(
                store,
                mailer,
                scenario.digest_id,
                written,
                clock=lambda: datetime.now(UTC),
                sleep=time.sleep,
                limits=SendLimits(threads=threads, max_threads=most),
            )
            spent.append((time.perf_counter() - started[0], time.process_time() - started[1]))
            store.close()
        if tally.accepted != len(mails):
            sys.exit(f"only {tally.accepted} of {len(mails)} were accepted")

    spent: list[tuple[float, float]] = []
    send.spent = spent  # type: ignore[attr-defined]
    return send


def ways(kind: str) -> dict[str, Callable[[str, list[Email]], None]]:
    """The plain loop first: the others are compared with it."""
    plain = {
        "sendgrid": {
            "plain loop over the vendor's client": vendors_client,
            f"HTTP keep-alive, {THREADS} threads": kept_https_connections,
        },
        "smtp": {"plain loop over one smtplib connection": one_smtplib_connection},
    }
    return {
        **plain[kind],
        f"our mailer alone, {THREADS} threads": mailer_alone(kind),
        "delivered with rows, 1 thread": delivered(kind, 1),
        f"delivered with rows, from {THREADS} threads on": delivered(kind, THREADS),
    }


def measured(
    send: Callable[[str, list[Email]], None], url: str, mails: list[Email]
) -> tuple[float, float]:
    """Seconds, and seconds of processor time."""
    started = time.perf_counter(), time.process_time()
    send(url, mails)
    if spent := getattr(send, "spent", None):
        return spent[-1]
    return time.perf_counter() - started[0], time.process_time() - started[1]


def compare(kind: str, mails: list[Email], latency: float, rounds: int) -> None:
    found: dict[str, list[tuple[float, float]]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        mail_server(kind, Path(folder), latency) as (url, trusted),
    ):
        os.environ["SSL_CERT_FILE"] = str(trusted)
        for _ in range(rounds):
            for name, send in ways(kind).items():
                found.setdefault(name, []).append(measured(send, url, mails))
    print(f"\n| {kind} over TLS | s | mails/s | ms of processor a mail | times the loop |")
    print("|---|---:|---:|---:|---:|")
    base = median(seconds for seconds, _ in next(iter(found.values())))
    for name, both in found.items():
        seconds = median(one for one, _ in both)
        cpu = median(one for _, one in both) / len(mails) * 1000
        print(
            f"| {name} | {seconds:.1f} | {len(mails) / seconds:,.0f} | {cpu:.2f} "
            f"| {base / seconds:.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--over", nargs="+", default=["sendgrid", "smtp"])
    parser.add_argument("--mails", type=int, default=500)
    parser.add_argument("--latency", type=float, default=0.02)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=85_000)
    given = parser.parse_args()
    body = (PAPER * (given.size // len(PAPER) + 1))[: given.size]
    mails = [email(reader(number), html=body) for number in range(given.mails)]
    print(
        f"{given.mails:,} mails of {given.size:,} bytes, answers after {given.latency} s, "
        f"median of {given.rounds} rounds"
    )
    for kind in given.over:
        compare(kind, mails, given.latency, given.rounds)
