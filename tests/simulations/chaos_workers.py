"""Kill workers at random moments during a daily run of many rubrics, and account for the result.

Three workers share a PostgreSQL database; one of them is on another machine as far as the program
can tell, and after three quarters of the kills never comes back. A loopback Anthropic scores, a
loopback SendGrid takes the mail and now and then loses an answer; the planner is killed too. With
--server PostgreSQL is restarted twice, once by a crash, and a worker is twice cut off from it. In
the end every paper must have its right score for every rubric, bought once but for what was in
flight at a kill or a cut, no address may have been mailed twice or forgotten, and never may two
minutes have passed without any progress. With --engine local one process does it all.

On a machine of any speed all kills and incidents happen: the stand-ins hold answers back until
their share of them has happened.

    python -m tests.simulations.chaos_workers [--deliveries 5000] [--units 200] [--kills 200]
        [--server] [--slow] [--lease 600] [--seed 1] [--engine dbos] [--database URL]
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
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.engine import make_url

from newsletter.errors import OperatorError
from newsletter.store import Store
from newsletter.store.ledger import CallState
from newsletter.store.tables import call, delivery
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.database import own_database
from tests.fakes.pace import Pace
from tests.fakes.postgres_server import PostgresServer, postgres_server
from tests.fakes.scoring import scores_in_abstract
from tests.fakes.sendgrid import FakeSendGrid, Fault
from tests.fakes.tcp_proxy import TcpProxy
from tests.simulations.worker_accounts import PAPERS, Cut, faults, figures, silences
from tests.simulations.workers import BUSY, SILENCES, Order, WorkerForkServer, all_digests, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GROUP = 3
"""Rubrics of a scoring unit: the fewest that share their papers."""
LOST_IN_PERCENT = 1
MODEL_SECONDS, MAIL_SECONDS = 0.8, 0.15
ELSEWHERE = "another-machine"
WORKERS = ("w1", "w2", "w3")
PATIENCE = 900
MODEL_PATIENCE, MAIL_PATIENCE = 100.0, 5.0
"""Seconds that a held request waits for its turn, before a 429: the clients time out later."""
A_KILL = 8.0
"""Seconds that one takes at the longest: to be waited for, and to be got over."""
HELD = (
    (delivery, "sending", delivery.c.lease_owner),
    (call, CallState.INTENT, call.c.owner),
)
"""Tables, the state of a row that a process holds, and the column that names the process."""


@dataclass
class WorkersUnderTest:
    """The planner and the workers by name: starts and kills them, and counts what each kill hit."""

    server: WorkerForkServer
    orders: dict[str, Order]
    store: Store
    random: random.Random
    longest_wait: float
    longest_work: float
    partition: float
    proxies: dict[str, TcpProxy] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)
    healed_at: float = 0.0
    not_restarted: set[str] = field(default_factory=set)
    killed: Counter[str] = field(default_factory=Counter)
    disturbed: set[str] = field(default_factory=set)
    """What the owners of killed or cut-off processes begin with."""
    cuts: list[Cut] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """Workers that ended by themselves with an error."""
    mails_in_flight: int = 0
    calls_in_flight: int = 0
    idle_kills: int = 0

    def restart_ended(self) -> None:
        """Start each process that has ended and may run again."""
        for name, order in self.orders.items():
            pid = self.pids.get(name)
            status = self.server.status(pid) if pid else None
            if pid and status is None:
                continue
            if order.role == "work" and status not in {None, 0, BUSY, -signal.SIGKILL}:
                self.failed.append(f"{name}: {status}")
            if name not in self.not_restarted and not (name == "plan" and self.is_over()):
                self.pids[name] = self.server.begin(order)

    def is_over(self) -> bool:
        pid = self.pids.get("plan")
        return pid is not None and self.server.status(pid) == 0

    def kill_one(self) -> None:
        running = [n for n, pid in self.pids.items() if self.server.status(pid) is None]
        if not running:
            return
        workers = [name for name in running if name != "plan"]
        # The planner holds nothing; it is killed now and then.
        chosen = self.random.choice(workers or running)
        if "plan" in running and (self.random.random() < 0.05 or not workers):
            chosen = "plan"
        self.wait_until_busy(chosen)
        self._end(chosen)

    def wait_until_busy(self, name: str) -> None:
        """Wait until it holds something, then for a random while; one in five does not wait."""
        self.wait_for_held_row(name)
        time.sleep(self.random.uniform(0.0, self.longest_work))

    def wait_for_held_row(self, name: str) -> None:
        late = time.monotonic() + (self.random.random() < 0.8) * self.longest_wait
        mine = self._owner(name)
        while time.monotonic() < late and self.server.status(self.pids[name]) is None:
            with self.store.read() as tx:
                if any(
                    tx.scalar(
                        _number(table).where(
                            table.c.state == state, column.startswith(mine, autoescape=True)
                        )
                    )
                    for table, state, column in HELD
                ):
                    break
            time.sleep(0.02)

    def _owner(self, name: str) -> str:
        """What the owners of the rows of this process begin with."""
        return f"{self.orders[name].host or os.uname().nodename}/{self.pids[name]}/"

    def _held(self, name: str) -> tuple[int, int]:
        """The mails and calls it has in flight; `delivery` and `call` name their owners."""
        owner = self._owner(name)
        with self.store.read() as tx:
            mails = tx.scalar(
                _number(delivery)
                .where(delivery.c.state == "sending")
                .where(delivery.c.lease_owner.startswith(owner, autoescape=True))
            )
            calls = tx.scalar(
                _number(call)
                .where(call.c.state == CallState.INTENT)
                .where(call.c.owner.startswith(owner, autoescape=True))
            )
        return mails or 0, calls or 0

    def figures(self) -> dict[str, Any]:
        return {
            "kills": dict(self.killed),
            "kills of idle ones": self.idle_kills,
            "mails in flight at kills": self.mails_in_flight,
            "calls in flight at kills": self.calls_in_flight,
            "workers that failed": self.failed,
        }

    def mails(self) -> bool:
        with self.store.read() as tx:
            return tx.scalar(select(delivery.c.id).limit(1)) is not None

    def kill_for_good(self, name: str) -> None:
        self.not_restarted.add(name)
        self._end(name)

    def cut_off(self) -> bool:
        """Cut a worker that holds rows off from the database; False if none holds any."""
        if self.healed_at:
            return False
        holders = [
            name
            for name in self.proxies
            if self.server.status(self.pids[name]) is None and any(self._held(name))
        ]
        if not holders:
            return False
        name = self.random.choice(holders)
        cut = Cut(self._owner(name), datetime.now(UTC))
        self.proxies[name].cut()
        mails, calls = self._held(name)
        if not mails + calls:
            self.proxies[name].heal()
            return False
        self.healed_at = time.monotonic() + self.partition
        self.mails_in_flight += mails
        self.calls_in_flight += calls
        self.disturbed.add(cut.owner)
        self.cuts.append(cut)
        return True

    def heal(self, at: float) -> None:
        if self.healed_at and at >= self.healed_at:
            for proxy in self.proxies.values():
                proxy.heal()
            self.cuts[-1].healed = datetime.now(UTC)
            self.healed_at = 0.0

    def _end(self, name: str) -> None:
        """Suspend it, count what it holds, kill it: others take over a dead one's rows at once."""
        with suppress(ProcessLookupError):
            os.kill(self.pids[name], signal.SIGSTOP)
        held = self._held(name)
        if self.server.kill(self.pids[name]):
            self.killed[name] += 1
            self.disturbed.add(self._owner(name))
            self.mails_in_flight += held[0]
            self.calls_in_flight += held[1]
            self.idle_kills += not any(held)


class Incident(NamedTuple):
    """What happens, besides, after a share of the kills; it returns False to be tried again."""

    share: float
    happens: Callable[[], bool]


@dataclass
class Standstill:
    """The longest time in which no call was answered, no digest made and no mail taken."""

    count: Callable[[], int]
    longest: float = 0.0
    began_at: float = 0.0
    over: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        started = last = time.monotonic()
        done = self.count()
        while not self.over.wait(0.5):
            now = time.monotonic()
            with suppress(OperatorError):
                if (more := self.count()) != done:
                    if now - last > self.longest:
                        self.longest, self.began_at = now - last, last - started
                    done, last = more, now


def _number(table: Any) -> Any:
    return select(func.count()).select_from(table)


def kill_workers(
    workers: WorkersUnderTest, kills: int, incidents: list[Incident], paces: Sequence[Pace] = ()
) -> float:
    """Kill `kills` processes, half before the first mail; return the seconds until the end."""
    started = time.monotonic()
    due = kills + len(incidents)
    while not workers.is_over() and time.monotonic() - started < PATIENCE + kills * A_KILL:
        workers.restart_ended()
        workers.heal(time.monotonic())
        done = sum(workers.killed.values())
        for pace in paces:
            pace.count(done + due - kills - len(incidents))
        time.sleep(workers.random.uniform(0.1, 0.6))
        if incidents and done >= incidents[0].share * kills and incidents[0].happens():
            del incidents[0]
            continue
        # Nobody is killed during a cut: the one that is left would never get to work.
        if workers.healed_at or done >= kills or (2 * done >= kills and not workers.mails()):
            continue
        if 4 * done >= 3 * kills and "w3" in workers.orders and "w3" not in workers.not_restarted:
            workers.kill_for_good("w3")
        else:
            workers.kill_one()
    return time.monotonic() - started


def chaos(
    given: argparse.Namespace, database: str, folder: str, server: PostgresServer | None = None
) -> dict[str, Any]:
    dice = random.Random(given.seed)  # noqa: S311 - reproducible, no secret
    forks = WorkerForkServer()
    lost: list[bool] = []

    def lose(_payload: object) -> Fault | None:
        if dice.random() * 100 >= LOST_IN_PERCENT:
            return None
        lost.append(dice.random() < 0.5)
        return Fault(act="reset", accepts=lost[-1])

    rubrics = given.units * GROUP
    with (
        ExitStack() as stack,
        FakeSendGrid(delay=MAIL_SECONDS) as mail,
        FakeAnthropic(scores_in_abstract, latency=MODEL_SECONDS) as model,
    ):
        mail.fault_for = lose
        base = Order("plan", database, folder, mail.url, model.url, papers=PAPERS, group=GROUP)
        base = replace(base, mails_per_second=given.rate, lease=given.lease, quick=not given.slow)
        settle(base, rubrics, given.deliveries)
        orders = {"plan": base}
        if given.engine == "local":
            orders = {"plan": replace(base, role="local")}
        else:
            orders |= {name: replace(base, role="work", name=name) for name in WORKERS}
            orders["w3"] = replace(orders["w3"], host=ELSEWHERE)
        workers = WorkersUnderTest(
            forks, orders, Store(database), dice, given.catch, given.leave, given.partition
        )
        incidents: list[Incident] = []
        if server:
            for name in WORKERS:
                proxy = workers.proxies[name] = stack.enter_context(TcpProxy(server.port))
                through = make_url(database).set(port=proxy.port)
                orders[name] = replace(
                    orders[name], database=through.render_as_string(hide_password=False)
                )
            incidents = [
                Incident(0.15, lambda: restarted(server, "fast")),
                Incident(0.3, workers.cut_off),
                Incident(0.6, lambda: restarted(server, "immediate")),
                Incident(0.7, workers.cut_off),
            ]
        scoring, mailing = paces(given.kills, incidents, rubrics, given.deliveries)
        model.wait_for_turn, mail.wait_for_turn = scoring.wait_for_turn, mailing.wait_for_turn
        standstill = Standstill(
            lambda: len(mail.addresses) + len(model.answered) + all_digests(workers.store)
        )
        watch = threading.Thread(target=standstill.watch)
        watch.start()
        try:
            seconds = kill_workers(workers, given.kills, incidents, (scoring, mailing))
        finally:
            standstill.over.set()
            watch.join()
        silent = silences(Path(folder, SILENCES))
        disturbed = workers.disturbed | {one.owner for one in silent}
        found = workers.figures() | figures(
            workers.store, disturbed, workers.cuts + silent, mail, model
        )
        found["silences"] = len(silent)
        found["longest standstill, s"] = round(standstill.longest, 1)
        found["it began after, s"] = round(standstill.began_at)
        found["incidents left out"] = len(incidents)
        found["answers lost"] = len(lost)
        found["ended"] = workers.is_over()
        for pid in workers.pids.values():
            forks.kill(pid)
        workers.store.close()
    forks.close()
    broken = faults(found, len(lost), given.deliveries, rubrics, given.standstill)
    return found | {"seconds": round(seconds, 1), "broken": broken}


def paces(
    kills: int, incidents: Sequence[Incident], calls: int, deliveries: int
) -> tuple[Pace, Pace]:
    """Of the model's answers and of the mail provider's: each lasts as long as half of the kills.

    Until the last event at most half of the calls and a quarter of the mails are answered. A kill
    during the mail ends what is in flight for good, so there must be enough mails for all kills.
    """
    half = ceil(kills / 2)
    before_mail = half + sum(one.share * kills <= half for one in incidents)
    last = kills + len(incidents)
    return (
        Pace(0, before_mail, calls // 2, MODEL_PATIENCE),
        Pace(before_mail, last, deliveries // 4, MAIL_PATIENCE),
    )


def restarted(server: PostgresServer, mode: str) -> bool:
    server.restart(mode)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=5000)
    parser.add_argument("--units", type=int, default=200)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--lease", type=float, default=15.0)
    parser.add_argument(
        "--catch", type=float, default=6.0, help="s, at most, until a worker holds something"
    )
    parser.add_argument(
        "--leave", type=float, default=2.5, help="s, at most, that it works on before the kill"
    )
    parser.add_argument("--partition", type=float, default=90.0, help="s, of a cut-off worker")
    parser.add_argument(
        "--standstill", type=float, default=120.0, help="s, at most, without any progress"
    )
    parser.add_argument("--slow", action="store_true", help="with the heartbeats of the product")
    parser.add_argument(
        "--server",
        action="store_true",
        help="on a cluster of its own, which is restarted twice; a worker is cut off from it twice",
    )
    parser.add_argument("--engine", choices=("dbos", "local"), default="dbos")
    parser.add_argument("--database", default=os.environ.get("NEWSLETTER_TEST_DATABASE_URL", ""))
    given = parser.parse_args()
    postgres = given.server or given.database.startswith("postgresql")
    if given.engine == "dbos" and not postgres:
        parser.error("dbos needs PostgreSQL: give --server, or --database")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        server = None
        if given.server:
            cluster = stack.enter_context(tempfile.TemporaryDirectory(dir="/tmp"))
            server = stack.enter_context(postgres_server(Path(cluster)))
            database = server.url
        elif given.database.startswith("postgresql"):
            database = stack.enter_context(own_database(given.database))
        else:
            database = given.database or f"sqlite:///{folder}/chaos.db"
        found = chaos(given, database, folder, server)
    print(json.dumps(found, indent=1))
    enough = sum(found["kills"].values()) >= given.kills
    return 0 if enough and not found["broken"] else 1


if __name__ == "__main__":
    sys.exit(main())
