"""Kill the process that sends in groups again and again, and count what became of every email.

As `chaos_sender`, for requests that hold many readers each: behind the fence, where a request whose
answer is lost is withdrawn and sent anew, every mail must go out exactly once; without it a
request may be unknown, and then all of its readers are.

    python -m tests.simulations.chaos_batches [--groups 60] [--kills 100]
        [--database URL] [--bare] [--seed 1]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from newsletter.delivery.batch_sender import deliver_batches
from newsletter.domain.mail import BatchEmail, DeliveryState
from newsletter.store import Store, mail_batches
from tests.fakes.groups import SmallGroups, message
from tests.fakes.mail import DeliveryScenario, settings
from tests.fakes.sendgrid import FakeSendGrid
from tests.simulations.crash import (
    ForkServer,
    LostAnswers,
    RandomKills,
    account,
    broken_promises,
    kill_at_each_step,
)
from tests.simulations.kill_point import KillPoint, KillPointStore

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
TIME_FACTOR = 20
"""The service's clock runs so much faster, so that batches lapse while it is watched."""


class KillPointMailer(SmallGroups):
    max_readers = IN_A_GROUP
    kill_point = KillPoint()

    def new_batch_id(self) -> str:
        self.kill_point.reach("before a batch")
        return super().new_batch_id()

    def send_batch(self, group: BatchEmail) -> str:
        self.kill_point.reach("before a request")
        answer = super().send_batch(group)
        self.kill_point.reach("after an answer")
        return answer

    def cancel(self, batch_id: str) -> bool:
        self.kill_point.reach("before a withdrawal")
        done = super().cancel(batch_id)
        self.kill_point.reach("after a withdrawal")
        return done


def simulated_time(started: float) -> datetime:
    return datetime.fromtimestamp(started + (time.time() - started) * TIME_FACTOR, UTC)


def live(order: dict[str, Any]) -> None:
    """Run a sender to its kill point, until it is killed, or until all is sent."""
    kill_point = KillPoint(order["step"], order["times"])
    mailer = KillPointMailer(settings(sendgrid_api_key="SG.chaos", sendgrid_url=order["url"]))
    mailer.kill_point = kill_point

    def clock() -> datetime:
        return simulated_time(order["started"])

    hour = clock() + LEAD
    deliver_batches(
        KillPointStore(order["database"], kill_point),
        mailer,
        order["digest_id"],
        message,
        due=lambda _hour: None if order["bare"] else hour,
        clock=clock,
        sleep=lambda seconds: time.sleep(seconds / TIME_FACTOR),
        # The next life's readers are due later again: what waits for room keeps its fence.
        stop=lambda: clock() > hour - LEAD + PATIENCE,
    )


def chaos(
    groups: int, kills: int, database: str, seed: int, times: int, *, bare: bool
) -> dict[str, Any]:
    dice = random.Random(seed)  # noqa: S311 - reproducible, no secret
    server = ForkServer(live)
    store = Store(database)
    store.migrate()
    scenario = DeliveryScenario(store)
    scenario.add_readers(groups * IN_A_GROUP)
    scenario.make_digest()
    store.close()
    lost = LostAnswers(dice, LOST_IN_PERCENT)
    started = time.time()
    with FakeSendGrid(delay=0.03) as fake:
        fake.fault_for = lost
        fake.batches.clock = lambda: simulated_time(started).timestamp()
        order = {"database": database, "url": fake.url, "digest_id": scenario.digest_id}
        order |= {"started": started, "bare": bare, "step": "", "times": 0}
        killed = kill_at_each_step(server, order, STEPS, TIMES[:times])
        killed += RandomKills(kills, (0.0, 0.08), LANES).run(server, order, dice)
        ended = _undisturbed(server, order, scenario)
        figures = _figures(scenario, fake)
    server.close()
    figures |= {"kills": killed, "answers lost": len(lost.taken), "ended": ended}
    return figures | {"seconds": round(time.time() - started, 1)}


def _undisturbed(server: ForkServer, order: dict[str, Any], scenario: DeliveryScenario) -> int:
    """Until all is sent, and once more: then there is nothing to do. The worst exit code."""
    open_ones = {DeliveryState.PENDING, DeliveryState.SENDING}
    statuses = []
    for _ in range(MOST_LIVES):
        statuses.append(server.wait(server.begin(order)))
        if not open_ones & set(scenario.states().values()):
            break
    return max(*statuses, server.wait(server.begin(order)))


def _figures(scenario: DeliveryScenario, fake: FakeSendGrid) -> dict[str, Any]:
    with scenario.store.read() as tx:
        doubts = mail_batches.unknown_batches(tx)
    return {
        **account(scenario.states(), fake.addresses),
        "requests to send": sum(path.endswith("/mail/send") for path, _, _ in fake.requests),
        "batches withdrawn": len(fake.batches.withdrawn),
        "withdrawals refused": fake.batches.refused,
        "groups unknown": len(doubts),
    }


def faults(figures: dict[str, Any], *, bare: bool) -> list[str]:
    """Which promises were broken."""
    disturbed = figures["kills"] + figures["answers lost"]
    checks = broken_promises(figures, figures["deliveries"]) | {
        "a group is unknown behind the fence": not bare and figures["groups unknown"] > 0,
        "more groups are unknown than were disturbed": figures["groups unknown"] > disturbed,
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
