"""Send a digest to many readers over TLS, beside what the loopback server can take.

The server is another process that takes everything. Three ways send the same digest of a sample
day, rendered for real:

    ceiling      post the requests of single mails by as many threads as one by one may take,
                 with nothing recorded; measured before and after, so that other work on the
                 machine weighs on both
    in batches   requests with up to a thousand readers each, by several shards
    one by one   claim, commit, send and record each mail, at first by so many threads, more where
                 the answers are slow

    python -m bench deliver [--deliveries 100000] [--single N] [--threads 8] [--latency 0]
        [--database URL] [--json]
"""

from __future__ import annotations

import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update

from bench.harness.databases import add_subscribers, migrated
from bench.harness.processes import measured
from bench.harness.report import arguments, show
from bench.harness.tls import new_certificate
from bench.harness.vendors import Vendor, carry
from newsletter.delivery.batch_sender import deliver_batches
from newsletter.delivery.personalize import Personalizer
from newsletter.delivery.sender import SendLimits, deliver
from newsletter.domain.mail import DeliveryState
from newsletter.mailers import max_concurrent
from newsletter.mailers.sendgrid.batch import SendGridBatches
from newsletter.mailers.sendgrid.mailer import SendGridMailer
from newsletter.render import Renderer
from newsletter.store import deliveries
from newsletter.store.tables import delivery
from tests.fakes.mail import LINKS, SENDER, DeliveryScenario, reader, settings
from tests.render.gallery import issues

if TYPE_CHECKING:
    from collections.abc import Callable

    from newsletter.settings import Settings
    from newsletter.store import Store

CEILING_MAILS = 2000
PAPERS = 25
SHARDS = 4


def now() -> datetime:
    return datetime.now(UTC)


def ceiling(given: Settings, copies: Personalizer, threads: int, number: int) -> float:
    """Mails per second when the threads post and nothing is recorded."""
    mailer = SendGridMailer(given)
    mails = [copies.email(reader(n), f"{n:032}", now()) for n in range(number)]
    started = time.perf_counter()
    with ThreadPoolExecutor(max(threads, max_concurrent(mailer))) as pool:
        list(pool.map(mailer.send, mails))
    return number / (time.perf_counter() - started)


def in_batches(
    scenario: DeliveryScenario, given: Settings, copies: Personalizer
) -> Callable[[], int]:
    def shard(_number: int) -> None:
        deliver_batches(
            scenario.store,
            SendGridBatches(given),
            scenario.digest_id,
            copies.batch_email,
            due=lambda _hour: None,
            clock=now,
            sleep=time.sleep,
        )

    def send() -> int:
        with ThreadPoolExecutor(SHARDS) as pool:
            list(pool.map(shard, range(SHARDS)))
        with scenario.store.read() as tx:
            return deliveries.count(tx, scenario.digest_id)[DeliveryState.ACCEPTED]

    return send


def one_by_one(
    scenario: DeliveryScenario, given: Settings, copies: Personalizer, threads: int
) -> Callable[[], int]:
    def send() -> int:
        mailer = SendGridMailer(given)
        done = deliver(
            scenario.store,
            mailer,
            scenario.digest_id,
            lambda owed: copies.email(owed.subscription, owed.id, now()),
            clock=now,
            sleep=time.sleep,
            limits=SendLimits(threads=threads, max_threads=max_concurrent(mailer)),
        )
        return done.sent

    return send


def with_requests(act: Callable[[], int], server: Vendor) -> dict[str, Any]:
    before = server.ask()
    figures = measured(act)
    sent = {name: number - before[name] for name, number in server.ask().items()}
    return figures | {
        "requests": sent["mail calls"],
        "readers in them": sent["mails"],
        "MB sent": round(sent["bytes of mail"] / 2**20, 1),
    }


def measure(store: Store, number: int, single: int, threads: int, server: Vendor) -> dict[str, Any]:
    given = settings(sendgrid_api_key="SG.bench", sendgrid_url=server.url["sendgrid"])
    digest = issues.digest(tuple(issues.pick(n) for n in range(1, PAPERS + 1)))
    copies = Personalizer(Renderer(issues.SITE), LINKS, SENDER, digest, None)
    most = min(single, CEILING_MAILS)
    before = ceiling(given, copies, threads, most)
    add_subscribers(store, number)
    started = time.perf_counter()
    scenario = DeliveryScenario(store)
    scenario.make_digest()
    figures: dict[str, Any] = {
        "deliveries": number,
        "threads": threads,
        "seconds to plan": round(time.perf_counter() - started, 2),
        "in batches": with_requests(in_batches(scenario, given, copies), server),
    }
    some = select(delivery.c.id).limit(single)
    with store.begin() as tx:
        again = update(delivery).where(delivery.c.id.in_(some))
        tx.execute(again.values(state="pending", group_id=None))
    alone = with_requests(one_by_one(scenario, given, copies, threads), server)
    rate = (before + ceiling(given, copies, threads, most)) / 2
    ratio = round(alone["mails/s"] / rate, 2)
    return figures | {
        "one by one": alone,
        "ceiling, mails/s": round(rate),
        "one by one, part of the ceiling": ratio,
    }


def main() -> int:
    parser = arguments(__doc__, as_json=True, database=True)
    parser.add_argument("--deliveries", type=int, default=100_000)
    parser.add_argument("--single", type=int, default=0, help="one by one only so many")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--latency", type=float, default=0.0)
    given = parser.parse_args()
    single = given.single or given.deliveries
    with tempfile.TemporaryDirectory() as folder, migrated(given.database) as store:
        certificate = new_certificate(Path(folder))
        os.environ["SSL_CERT_FILE"] = str(certificate.trusted)
        server = Vendor(carry, given.latency, certificate)
        figures = measure(store, given.deliveries, single, given.threads, server)
        server.end()
    show(figures, as_json=given.json)
    done = figures["in batches"]["accepted"], figures["one by one"]["accepted"]
    return 0 if done == (given.deliveries, single) else 1
