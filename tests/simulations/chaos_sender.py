"""Kill the sending process again and again, and count what became of every email.

A loopback SendGrid takes the mail and now and then loses an answer. First the process is killed
at each step between claim and record, then at random moments, and each time it is started again.
In the end every delivery must be accounted for and no address may have been mailed twice.

    python -m tests.simulations.chaos_sender [--deliveries 2000] [--kills 200]
        [--database URL] [--seed 1]
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
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NoReturn

from newsletter.delivery.sender import SendLimits, deliver
from newsletter.domain.mail import DeliveryState, Email
from newsletter.mailers.sendgrid.mailer import SendGridMailer
from newsletter.store import Store
from tests.fakes.mail import Town, settings, written
from tests.fakes.sendgrid import FakeSendGrid, Fault
from tests.simulations.trap import Trap, TrappedStore

THREADS = 4
STEPS = ("before a commit", "after a commit", "before a request", "after an answer")
# The first commit of a life looks after the dead, the second claims, the third records and claims.
TIMES = (1, 2, 3, 5)
LOST_IN_PERCENT = 2
STOPS = 5


class TrappedMailer(SendGridMailer):
    trap = Trap()

    def send(self, email: Email) -> str:
        self.trap.pass_by("before a request")
        answer = super().send(email)
        self.trap.pass_by("after an answer")
        return answer


def live(order: dict[str, Any]) -> None:
    """One life of the sender: until its trap, until it is killed, or until all is sent."""
    trap = Trap(order["step"], order["times"])
    store = TrappedStore(order["database"], trap)
    mailer = TrappedMailer(settings(sendgrid_api_key="SG.chaos", sendgrid_url=order["url"]))
    mailer.trap = trap
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: asked.set())
    deliver(
        store,
        mailer,
        order["digest_id"],
        written,
        clock=lambda: datetime.now(UTC),
        sleep=time.sleep,
        limits=SendLimits(threads=THREADS),
        stop=asked.is_set,
    )


def nurse(orders: int, answers: int) -> NoReturn:
    """A process without threads that has everything imported: it forks a life for each order."""
    with os.fdopen(orders) as read, os.fdopen(answers, "w", buffering=1) as write:
        for line in read:
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    live(json.loads(line))
                    status = 0
                finally:
                    os._exit(status)
            write.write(f"{child}\n")
            write.write(f"{os.waitpid(child, 0)[1]}\n")
    os._exit(0)


class ChildProcesses:
    """Starts child processes one after the other and returns their wait statuses."""

    def __init__(self) -> None:
        orders, self._orders = os.pipe()
        self._answers, answers = os.pipe()
        if os.fork() == 0:
            os.close(self._orders)
            os.close(self._answers)
            nurse(orders, answers)
        self._write = os.fdopen(self._orders, "w", buffering=1)
        self._read = os.fdopen(self._answers)

    def begin(self, order: dict[str, Any]) -> int:
        self._write.write(json.dumps(order) + "\n")
        return int(self._read.readline())

    def end(self) -> int:
        """The wait status of the life begun last: 0, or the signal that ended it."""
        return int(self._read.readline())


def chaos(deliveries: int, kills: int, database: str, seed: int) -> dict[str, Any]:
    dice = random.Random(seed)  # noqa: S311 - a reproducible play, no secret
    forks = ChildProcesses()
    store = Store(database)
    store.migrate()
    town = Town(store)
    town.settle(deliveries)
    town.announce()
    store.close()
    lost: list[bool] = []

    def lose(_payload: object) -> Fault | None:
        if dice.random() * 100 >= LOST_IN_PERCENT:
            return None
        lost.append(dice.random() < 0.5)
        return Fault(act="reset", accepts=lost[-1])

    with FakeSendGrid(delay=0.05) as fake:
        fake.fault_for = lose
        order = {"database": database, "url": fake.url, "digest_id": town.digest_id}
        started = time.monotonic()
        killed = _at_each_step(forks, order) + _at_random(forks, order, kills, dice)
        left = _asked_to_stop(forks, order, town, dice)
        ended = _undisturbed(forks, order)
        seconds = time.monotonic() - started
    figures = _figures(town, fake)
    figures["kills"] = killed
    figures["left sending by a stop"] = left
    figures["answers lost"] = len(lost)
    figures["unknown allowed"] = killed * THREADS + len(lost)
    return figures | {"seconds": round(seconds, 1), "ended": ended}


def _at_each_step(forks: ChildProcesses, order: dict[str, Any]) -> int:
    killed = 0
    for step in STEPS:
        for times in TIMES:
            forks.begin({**order, "step": step, "times": times})
            killed += forks.end() == signal.SIGKILL
    return killed


def _at_random(
    forks: ChildProcesses, order: dict[str, Any], kills: int, dice: random.Random
) -> int:
    killed = 0
    for _ in range(kills):
        child = forks.begin({**order, "step": "", "times": 0})
        time.sleep(dice.uniform(0.01, 0.2))
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        killed += forks.end() == signal.SIGKILL
    return killed


def _asked_to_stop(
    forks: ChildProcesses, order: dict[str, Any], town: Town, dice: random.Random
) -> int:
    """Ask politely, often; how many rows were left `sending` by that."""
    left = 0
    for _ in range(STOPS):
        child = forks.begin({**order, "step": "", "times": 0})
        time.sleep(dice.uniform(0.05, 0.2))
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)
        if forks.end() == 0:
            left += Counter(town.states().values())[DeliveryState.SENDING]
    return left


def _undisturbed(forks: ChildProcesses, order: dict[str, Any]) -> int:
    """Two more processes: the second finds nothing to do."""
    statuses = []
    for _ in range(2):
        forks.begin({**order, "step": "", "times": 0})
        statuses.append(forks.end())
    return max(statuses)


def _figures(town: Town, fake: FakeSendGrid) -> dict[str, Any]:
    states = Counter(town.states().values())
    taken = Counter(fake.addresses)
    rows = town.states()
    return {
        "deliveries": len(rows),
        "states": {state.value: number for state, number in sorted(states.items())},
        "requests": len(fake.requests),
        "messages taken": len(fake.messages),
        "addresses mailed twice": sum(n > 1 for n in taken.values()),
        "accepted but never taken": sum(
            state is DeliveryState.ACCEPTED and not taken[email] for email, state in rows.items()
        ),
        "taken but not accepted or unknown": sum(
            rows[email] not in {DeliveryState.ACCEPTED, DeliveryState.UNKNOWN} for email in taken
        ),
    }


def faults(figures: dict[str, Any], deliveries: int) -> list[str]:
    """Which promises were broken."""
    states = figures["states"]
    checks = {
        "a delivery is not accounted for": sum(states.values()) != deliveries,
        "a delivery is left pending or sending": bool({"pending", "sending"} & states.keys()),
        "an address was mailed twice": figures["addresses mailed twice"] > 0,
        "a delivery is called accepted that was not": figures["accepted but never taken"] > 0,
        "a mail went out that is not known of": figures["taken but not accepted or unknown"] > 0,
        "too many are unknown": states.get("unknown", 0) > figures["unknown allowed"],
        "a stop left a row sending": figures["left sending by a stop"] > 0,
        "the last run did not end well": figures["ended"] != 0,
    }
    return [promise for promise, broken in checks.items() if broken]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--database", default="")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = given.database or f"sqlite:///{folder}/chaos.db"
        figures = chaos(given.deliveries, given.kills, database, given.seed)
    broken = faults(figures, given.deliveries)
    print(json.dumps({**figures, "broken": broken}, indent=1))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
