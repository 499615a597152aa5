"""Kill the process that sends in groups again and again, and count what became of every email.

As `chaos.py`, for requests that hold many readers each: behind the fence, where a request whose
answer is lost is withdrawn and sent anew, every mail must go out exactly once; without it a
request may be in doubt, and then all of its readers are.

    python -m tests.simulations.chaos_batches [--groups 60] [--kills 100]
        [--database URL] [--bare] [--seed 1]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from newsletter.delivery.batch_sender import deliver_batches
from newsletter.domain.mail import BatchEmail, DeliveryState
from newsletter.store import Store, mail_batches
from tests.fakes.groups import SmallGroups, message
from tests.fakes.mail import Town, settings
from tests.fakes.sendgrid import FakeSendGrid, Fault
from tests.simulations.trap import Trap, TrappedStore

IN_A_GROUP = 10
LANES = 2
STEPS = (
    "before a commit",
    "after a commit",
    "before a batch",
    "before a request",
    "after an answer",
    "before a withdrawal",
    "after a withdrawal",
)
TIMES = (1, 2, 3)
LOST_IN_PERCENT = 8
MOST_LIVES = 30
LEAD = timedelta(minutes=25)
PATIENCE = timedelta(minutes=4)
HURRY = 20
"""The service's clock runs so much faster, so that batches lapse while it is watched."""


class TrappedMailer(SmallGroups):
    most = IN_A_GROUP
    trap = Trap()

    def new_batch(self) -> str:
        self.trap.pass_by("before a batch")
        return super().new_batch()

    def send_group(self, group: BatchEmail) -> str:
        self.trap.pass_by("before a request")
        answer = super().send_group(group)
        self.trap.pass_by("after an answer")
        return answer

    def withdraw(self, batch_id: str) -> bool:
        self.trap.pass_by("before a withdrawal")
        done = super().withdraw(batch_id)
        self.trap.pass_by("after a withdrawal")
        return done


def hurried(born: float) -> datetime:
    return datetime.fromtimestamp(born + (time.time() - born) * HURRY, UTC)


def live(order: dict[str, Any]) -> None:
    """One life of a sender: until its trap, until it is killed, or until all is sent."""
    trap = Trap(order["step"], order["times"])
    mailer = TrappedMailer(settings(sendgrid_api_key="SG.chaos", sendgrid_url=order["url"]))
    mailer.trap = trap

    def clock() -> datetime:
        return hurried(order["born"])

    hour = clock() + LEAD
    deliver_batches(
        TrappedStore(order["database"], trap),
        mailer,
        order["digest_id"],
        message,
        due=lambda _hour: None if order["bare"] else hour,
        clock=clock,
        sleep=lambda seconds: time.sleep(seconds / HURRY),
        # The next life's readers are due later again: what waits for room keeps its fence.
        stop=lambda: clock() > hour - LEAD + PATIENCE,
    )


def nurse(orders: int, answers: int) -> NoReturn:
    """A process without threads that has everything imported: it forks processes for each order."""
    with os.fdopen(orders) as read, os.fdopen(answers, "w", buffering=1) as write:
        for line in read:
            order = json.loads(line)
            children = [_fork(order) for _ in range(order["lanes"])]
            write.write(json.dumps(children) + "\n")
            write.write(json.dumps([os.waitpid(child, 0)[1] for child in children]) + "\n")
    os._exit(0)


def _fork(order: dict[str, Any]) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            live(order)
            status = 0
        finally:
            os._exit(status)
    return child


class ChildProcesses:
    """Starts child processes at once and returns their wait statuses."""

    def __init__(self) -> None:
        orders, self._orders = os.pipe()
        self._answers, answers = os.pipe()
        if os.fork() == 0:
            os.close(self._orders)
            os.close(self._answers)
            nurse(orders, answers)
        self._write = os.fdopen(self._orders, "w", buffering=1)
        self._read = os.fdopen(self._answers)

    def begin(self, order: dict[str, Any], **changes: str | int) -> list[int]:
        self._write.write(json.dumps({"step": "", "times": 0, **order, **changes}) + "\n")
        return list(json.loads(self._read.readline()))

    def end(self) -> list[int]:
        """The wait statuses of the processes started last: 0, or the signal that ended each."""
        return list(json.loads(self._read.readline()))


def chaos(
    groups: int, kills: int, database: str, seed: int, times: int, *, bare: bool
) -> dict[str, Any]:
    dice = random.Random(seed)  # noqa: S311 - a reproducible play, no secret
    forks = ChildProcesses()
    store = Store(database)
    store.migrate()
    town = Town(store)
    town.settle(groups * IN_A_GROUP)
    town.announce()
    store.close()
    lost: list[bool] = []

    def lose(_payload: object) -> Fault | None:
        if dice.random() * 100 >= LOST_IN_PERCENT:
            return None
        lost.append(dice.random() < 0.5)
        return Fault(act="reset", accepts=lost[-1])

    born = time.time()
    with FakeSendGrid(delay=0.03) as fake:
        fake.fault_for = lose
        fake.batches.clock = lambda: hurried(born).timestamp()
        order = {"database": database, "url": fake.url, "digest_id": town.digest_id}
        order |= {"born": born, "bare": bare, "lanes": LANES}
        killed = _at_each_step(forks, order, times) + _at_random(forks, order, kills, dice)
        ended = _undisturbed(forks, order, town)
        figures = _figures(town, fake)
    figures |= {"kills": killed, "answers lost": len(lost), "ended": ended}
    return figures | {"seconds": round(time.time() - born, 1)}


def _at_each_step(forks: ChildProcesses, order: dict[str, Any], most: int) -> int:
    killed = 0
    for step in STEPS:
        for times in TIMES[:most]:
            forks.begin(order, step=step, times=times, lanes=1)
            killed += forks.end().count(signal.SIGKILL)
    return killed


def _at_random(
    forks: ChildProcesses, order: dict[str, Any], kills: int, dice: random.Random
) -> int:
    killed = 0
    while killed < kills:
        children = forks.begin(order)
        for child in children:
            time.sleep(dice.uniform(0.0, 0.08))
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        ended = forks.end().count(signal.SIGKILL)
        if not ended:
            break
        killed += ended
    return killed


def _undisturbed(forks: ChildProcesses, order: dict[str, Any], town: Town) -> int:
    """Until all is settled, and once more: then there is nothing to do. The worst status."""
    open_ones = {DeliveryState.PENDING, DeliveryState.SENDING}
    statuses = []
    for _ in range(MOST_LIVES):
        forks.begin(order, lanes=1)
        statuses += forks.end()
        if not open_ones & set(town.states().values()):
            break
    forks.begin(order, lanes=1)
    return max(*statuses, *forks.end())


def _figures(town: Town, fake: FakeSendGrid) -> dict[str, Any]:
    rows = town.states()
    states = Counter(rows.values())
    mailed = Counter(fake.addresses)
    sends = sum(path.endswith("/mail/send") for path, _, _ in fake.requests)
    with town.store.read() as tx:
        doubts = mail_batches.unknown_batches(tx)
    return {
        "deliveries": len(rows),
        "states": {state.value: number for state, number in sorted(states.items())},
        "requests to send": sends,
        "batches withdrawn": len(fake.batches.withdrawn),
        "withdrawals refused": fake.batches.refused,
        "groups in doubt": len(doubts),
        "mailed twice": sum(n > 1 for n in mailed.values()),
        "accepted and never mailed": sum(
            state is DeliveryState.ACCEPTED and not mailed[email] for email, state in rows.items()
        ),
        "mailed and neither accepted nor unknown": sum(
            rows[email] not in {DeliveryState.ACCEPTED, DeliveryState.UNKNOWN} for email in mailed
        ),
    }


def faults(figures: dict[str, Any], *, bare: bool) -> list[str]:
    """Which promises were broken."""
    states = figures["states"]
    checks = {
        "a delivery is not accounted for": sum(states.values()) != figures["deliveries"],
        "a delivery is left pending or sending": bool({"pending", "sending"} & states.keys()),
        "somebody was mailed twice": figures["mailed twice"] > 0,
        "a mail is called accepted that was not": figures["accepted and never mailed"] > 0,
        "a mail went out unnoticed": figures["mailed and neither accepted nor unknown"] > 0,
        "a life failed": figures["ended"] != 0,
        "a group is in doubt behind the fence": not bare and figures["groups in doubt"] > 0,
        "more groups are in doubt than were disturbed": figures["groups in doubt"]
        > figures["kills"] + figures["answers lost"],
    }
    return [said for said, broken in checks.items() if broken]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=60)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--times", type=int, default=3, help="kills at each step")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", default="")
    parser.add_argument("--bare", action="store_true", help="without the fence")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = given.database or f"sqlite:///{folder}/chaos.db"
        figures = chaos(
            given.groups, given.kills, database, given.seed, given.times, bare=given.bare
        )
    figures["broken"] = faults(figures, bare=given.bare)
    print(json.dumps(figures, indent=1))
    return 1 if figures["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
