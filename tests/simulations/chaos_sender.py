"""Kill the sending process again and again, and count what became of every email.

A loopback SendGrid, or SMTP server, takes the mail and now and then loses an answer. First the
process is killed at each step between claim and record, then at random moments, and each time it is
started again. In the end every delivery must be accounted for and no address may have been mailed
twice.

    python -m tests.simulations.chaos_sender [--deliveries 2000] [--kills 200]
        [--database URL] [--seed 1] [--smtp]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from newsletter.delivery.sender import SendLimits, deliver
from newsletter.domain.mail import DeliveryState, Email
from newsletter.mailers.sendgrid.mailer import SendGridMailer
from newsletter.mailers.smtp import SmtpMailer
from newsletter.store import Store
from tests.fakes.mail import DeliveryScenario, settings, written
from tests.fakes.sendgrid import FakeSendGrid
from tests.fakes.smtp import FakeSmtp
from tests.simulations.crash import (
    ForkServer,
    LostAnswers,
    RandomKills,
    account,
    broken_promises,
    kill_at_each_step,
)
from tests.simulations.kill_point import KillPoint, KillPointStore

if TYPE_CHECKING:
    from collections.abc import Iterator

DELAY = 0.05
THREADS, MAX_THREADS = 4, 12
"""The provider takes 50 ms: a run goes from 4 mails at once to 10."""
STEPS = ("before a commit", "after a commit", "before a request", "after an answer")
# The first commit of a life looks after the dead, the second claims, the third records and claims.
TIMES = (1, 2, 3, 5)
LOST_IN_PERCENT = 2
STOPS = 5


class KillPoints:
    kill_point = KillPoint()

    def send(self, email: Email) -> str:
        self.kill_point.reach("before a request")
        answer = super().send(email)
        self.kill_point.reach("after an answer")
        return answer


class KillPointMailer(KillPoints, SendGridMailer):
    pass


class KillPointSmtpMailer(KillPoints, SmtpMailer):
    pass


def live(order: dict[str, Any]) -> None:
    """Run the sender to its kill point, until it is killed, or until all is sent."""
    kill_point = KillPoint(order["step"], order["times"])
    store = KillPointStore(order["database"], kill_point)
    mailer: Any
    if trusted := order["trusted"]:
        os.environ["SSL_CERT_FILE"] = trusted
        mailer = KillPointSmtpMailer(settings(smtp_url=order["url"]))
    else:
        mailer = KillPointMailer(settings(sendgrid_api_key="SG.chaos", sendgrid_url=order["url"]))
    mailer.kill_point = kill_point
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: asked.set())
    deliver(
        store,
        mailer,
        order["digest_id"],
        written,
        clock=lambda: datetime.now(UTC),
        sleep=time.sleep,
        limits=SendLimits(threads=THREADS, max_threads=MAX_THREADS),
        stop=asked.is_set,
    )


@contextmanager
def provider(lost: LostAnswers, *, smtp: bool) -> Iterator[tuple[Any, str]]:
    """A server that loses answers, and the certificate authority to trust."""
    if not smtp:
        with FakeSendGrid(delay=DELAY) as fake:
            fake.fault_for = lost
            yield fake, ""
        return

    def loses_answer() -> bool | None:
        fault = lost(None)
        return fault.accepts if fault else None

    with (
        tempfile.TemporaryDirectory() as folder,
        FakeSmtp(Path(folder), delay=DELAY, loses_answer=loses_answer) as server,
    ):
        yield server, str(server.certificate)


def chaos(
    deliveries: int, kills: int, database: str, seed: int, *, smtp: bool = False
) -> dict[str, Any]:
    dice = random.Random(seed)  # noqa: S311 - reproducible, no secret
    server = ForkServer(live)
    store = Store(database)
    store.migrate()
    scenario = DeliveryScenario(store)
    scenario.add_readers(deliveries)
    scenario.make_digest()
    store.close()
    lost = LostAnswers(dice, LOST_IN_PERCENT)
    with provider(lost, smtp=smtp) as (fake, trusted):
        order = {"database": database, "url": fake.url, "digest_id": scenario.digest_id}
        order |= {"trusted": trusted, "step": "", "times": 0}
        started = time.monotonic()
        killed = kill_at_each_step(server, order, STEPS, TIMES)
        killed += RandomKills(kills, (0.01, 0.2)).run(server, order, dice)
        left = _asked_to_stop(server, order, scenario, dice)
        # The second finds nothing to do.
        ended = max(server.wait(server.begin(order)) for _ in range(2))
        seconds = time.monotonic() - started
    server.close()
    return {
        **account(scenario.states(), fake.addresses),
        **({"connections": fake.connections} if smtp else {"requests": len(fake.requests)}),
        "kills": killed,
        "left sending by a stop": left,
        "answers lost": len(lost.taken),
        "unknown allowed": killed * MAX_THREADS + len(lost.taken),
        "seconds": round(seconds, 1),
        "ended": ended,
    }


def _asked_to_stop(
    server: ForkServer, order: dict[str, Any], scenario: DeliveryScenario, dice: random.Random
) -> int:
    """Send SIGTERM several times; how many rows were left `sending` by that."""
    left = 0
    for _ in range(STOPS):
        child = server.begin(order)
        time.sleep(dice.uniform(0.05, 0.2))
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)
        if server.wait(child) == 0:
            left += Counter(scenario.states().values())[DeliveryState.SENDING]
    return left


def faults(figures: dict[str, Any], deliveries: int) -> list[str]:
    """Which promises were broken."""
    checks = broken_promises(figures, deliveries) | {
        "too many are unknown": figures["states"].get("unknown", 0) > figures["unknown allowed"],
        "a stop left a row sending": figures["left sending by a stop"] > 0,
    }
    return [promise for promise, broken in checks.items() if broken]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--database", default="")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--smtp", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = given.database or f"sqlite:///{folder}/chaos.db"
        figures = chaos(given.deliveries, given.kills, database, given.seed, smtp=given.smtp)
    broken = faults(figures, given.deliveries)
    print(json.dumps({**figures, "broken": broken}, indent=1))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
