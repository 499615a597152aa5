"""A large audience in groups against one by one, in one run: requests, time, memory, bytes.

The server is another process on loopback that takes everything. Both ways send the same digest of
a sample day, rendered for real, to the same readers.

    python -m bench batches [--deliveries 100000] [--alone 0] [--threads 8] [--database URL]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update

from bench.scenarios.deliver import megabytes, people
from newsletter.delivery.batch_sender import deliver_batches
from newsletter.delivery.personalize import Personalizer
from newsletter.delivery.sender import SendLimits, deliver
from newsletter.domain.mail import DeliveryState
from newsletter.mailers.sendgrid.batch import SendGridBatches
from newsletter.mailers.sendgrid.mailer import SendGridMailer
from newsletter.render import Renderer
from newsletter.store import Store, deliveries
from newsletter.store.tables import delivery
from tests.fakes.mail import LINKS, SENDER, DeliveryScenario, settings
from tests.render.gallery import issues

if TYPE_CHECKING:
    from collections.abc import Callable

PAPERS = 25
LANES = 4


class _Sink(BaseHTTPRequestHandler):
    requests = readers = taken = 0

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        _Sink.requests += 1
        _Sink.taken += len(raw)
        _Sink.readers += raw.count(b'"dg_delivery_id"')
        self.wfile.write(b"HTTP/1.1 202 Accepted\r\nX-Message-Id: 1\r\nContent-Length: 0\r\n\r\n")

    def do_GET(self) -> None:
        told = json.dumps([_Sink.requests, _Sink.readers, _Sink.taken]).encode()
        _Sink.requests = _Sink.readers = _Sink.taken = 0
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(told) + told)

    def log_message(self, *_: object) -> None:
        """Printing each request would be measured with it."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 256


def serve(port: Any) -> None:  # noqa: ANN401 - a pipe's end
    server = _Server(("127.0.0.1", 0), _Sink)
    port.send(server.server_address[1])
    server.serve_forever()


def told(url: str) -> tuple[int, int, int]:
    from urllib.request import urlopen

    with urlopen(url) as answer:  # noqa: S310 - our own loopback
        requests, readers, taken = json.loads(answer.read())
    return requests, readers, taken


def now() -> datetime:
    return datetime.now(UTC)


def measured(act: Callable[[], int], url: str) -> dict[str, Any]:
    told(url)
    started, processor = time.perf_counter(), time.process_time()
    most = megabytes()
    accepted = act()
    seconds = time.perf_counter() - started
    requests, readers, taken = told(url)
    return {
        "accepted": accepted,
        "requests": requests,
        "readers in them": readers,
        "MB sent": round(taken / 2**20, 1),
        "seconds": round(seconds, 1),
        "seconds of processor": round(time.process_time() - processor, 1),
        "mails/s": round(accepted / seconds),
        "MB of memory before": most,
        "MB of memory after": megabytes(),
    }


def measure(number: int, alone: int, threads: int, url: str, database: str) -> dict[str, Any]:
    store = Store(database)
    store.migrate()
    people(store, number)
    scenario = DeliveryScenario(store)
    scenario.make_digest()
    digest = issues.digest(tuple(issues.pick(n) for n in range(1, PAPERS + 1)))
    copies = Personalizer(Renderer(issues.SITE), LINKS, SENDER, digest, None)
    given = settings(sendgrid_api_key="SG.bench", sendgrid_url=url)

    def lane(_number: int) -> None:
        deliver_batches(
            store,
            SendGridBatches(given),
            scenario.digest_id,
            copies.batch_email,
            due=lambda _hour: None,
            clock=now,
            sleep=time.sleep,
        )

    def grouped() -> int:
        with ThreadPoolExecutor(LANES) as hands:
            list(hands.map(lane, range(LANES)))
        with store.read() as tx:
            return deliveries.count(tx, scenario.digest_id)[DeliveryState.ACCEPTED]

    def single() -> int:
        done = deliver(
            store,
            SendGridMailer(given),
            scenario.digest_id,
            lambda owed: copies.email(owed.subscriber, owed.id, now()),
            clock=now,
            sleep=time.sleep,
            limits=SendLimits(threads=threads),
        )
        return done.sent

    figures = {"deliveries": number, "in groups": measured(grouped, url)}
    some = select(delivery.c.id).limit(alone or number)
    with store.begin() as tx:
        again = update(delivery).where(delivery.c.id.in_(some))
        tx.execute(again.values(state="pending", group_id=None))
    figures["one by one"] = measured(single, url)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=100_000)
    parser.add_argument("--alone", type=int, default=0, help="one by one only so many")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--database", default="")
    given = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(there,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{here.recv()}"
    with tempfile.TemporaryDirectory() as folder:
        database = given.database or f"sqlite:///{folder}/bench.db"
        figures = measure(given.deliveries, given.alone, given.threads, url, database)
    server.terminate()
    print(json.dumps(figures, indent=1))
    return 0 if figures["in groups"]["accepted"] == given.deliveries else 1
