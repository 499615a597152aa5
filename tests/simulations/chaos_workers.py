"""Kill workers again and again during a daily run of many rubrics, and account for the result.

Three workers share a PostgreSQL database; one of them is on another machine as far as the program
can tell, and after three quarters of the kills never comes back. A loopback Anthropic scores, a
loopback SendGrid takes the mail and now and then loses an answer; the planner is killed too. With
--server PostgreSQL is restarted twice, once by a crash, and a worker is twice cut off from it. In
the end every paper must have its right score for every rubric, bought once but for what was in
flight at a kill or a cut, no address may have been mailed twice or forgotten, and never may two
minutes have passed without any progress. With --engine local one process does it all.

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
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.engine import make_url

from newsletter.errors import OperatorError
from newsletter.store import Store
from newsletter.store.ledger import CallState
from newsletter.store.tables import call, delivery, digest, score
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.database import own_database
from tests.fakes.postgres_server import PostgresServer, postgres_server
from tests.fakes.scoring import honest, papers
from tests.fakes.sendgrid import FakeSendGrid, Fault
from tests.fakes.tcp_proxy import TcpProxy
from tests.simulations.workers import Order, WorkerForkServer, all_digests, all_tasks, settle

if TYPE_CHECKING:
    from collections.abc import Callable

GROUP = 3
"""Rubrics of a scoring unit: the fewest that share their papers."""
PAPERS = 16
LOST_IN_PERCENT = 1
MODEL_SECONDS, MAIL_SECONDS = 0.8, 0.15
ELSEWHERE = "another-machine"
WORKERS = ("w1", "w2", "w3")
CUT_OFF = "w2"
STANDSTILL = 120
PATIENCE = 900
A_KILL = 8.0
"""Seconds that one takes at the longest: to be waited for, and to be got over."""
HANDS = (
    (delivery, "sending", delivery.c.lease_owner),
    (call, CallState.INTENT, call.c.owner),
)
"""Tables whose rows say who has them in hand."""


@dataclass
class Siege:
    """The lives under attack, by name, and what was seen at each kill."""

    server: WorkerForkServer
    orders: dict[str, Order]
    store: Store
    dice: random.Random
    longest_catch: float
    longest_leave: float
    partition: float
    proxy: TcpProxy | None = None
    alive: dict[str, int] = field(default_factory=dict)
    healed_at: float = 0.0
    buried: set[str] = field(default_factory=set)
    killed: Counter[str] = field(default_factory=Counter)
    in_hand_at_cuts: Counter[tuple[str, str]] = field(default_factory=Counter)
    mails_in_hand: int = 0
    calls_in_hand: int = 0
    idle_kills: int = 0

    def keep_alive(self) -> None:
        """Start whoever is not alive and may be."""
        for name, order in self.orders.items():
            pid = self.alive.get(name)
            if pid and self.server.status(pid) is None:
                continue
            if name not in self.buried and not (name == "plan" and self.is_over()):
                self.alive[name] = self.server.begin(order)

    def is_over(self) -> bool:
        pid = self.alive.get("plan")
        return pid is not None and self.server.status(pid) == 0

    def kill_one(self) -> None:
        living = [n for n, pid in self.alive.items() if self.server.status(pid) is None]
        if not living:
            return
        workers = [name for name in living if name != "plan"]
        # The planner holds nothing; it dies now and then.
        chosen = self.dice.choice(workers or living)
        if "plan" in living and (self.dice.random() < 0.05 or not workers):
            chosen = "plan"
        self.catch_at_work(chosen)
        self._end(chosen)

    def catch_at_work(self, name: str) -> None:
        """Wait until it has something in hand, but not for ever; a fifth do not wait.

        Then let it work on for a while.
        """
        self.wait_for_work(name)
        time.sleep(self.dice.uniform(0.0, self.longest_leave))

    def wait_for_work(self, name: str) -> None:
        late = time.monotonic() + (self.dice.random() < 0.8) * self.longest_catch
        mine = self._owner(name)
        while time.monotonic() < late and self.server.status(self.alive[name]) is None:
            with self.store.read() as tx:
                if any(
                    tx.scalar(_number(table).where(table.c.state == state, column.like(mine)))
                    for table, state, column in HANDS
                ):
                    break
            time.sleep(0.02)

    def _owner(self, name: str) -> str:
        """The rows of this life begin so."""
        return f"{self.orders[name].host or os.uname().nodename}/{self.alive[name]}/%"

    def _held(self, name: str) -> tuple[int, int]:
        """The mails and calls it has in flight; `delivery` and `call` name their owners."""
        owner = self._owner(name)
        with self.store.read() as tx:
            mails = tx.scalar(
                _number(delivery)
                .where(delivery.c.state == "sending")
                .where(delivery.c.lease_owner.like(owner))
            )
            calls = tx.scalar(
                _number(call)
                .where(call.c.state == CallState.INTENT)
                .where(call.c.owner.like(owner))
            )
        return mails or 0, calls or 0

    def mails(self) -> bool:
        with self.store.read() as tx:
            return tx.scalar(select(delivery.c.id).limit(1)) is not None

    def begin_no_more(self, name: str) -> None:
        self.buried.add(name)
        self._end(name)

    def cut_off(self) -> bool:
        """Part a worker from the database while it works; False where it holds nothing now."""
        assert self.proxy
        if self.healed_at or self.server.status(self.alive[CUT_OFF]) is not None:
            return False
        self.wait_for_work(CUT_OFF)
        self.proxy.cut()
        self.healed_at = time.monotonic() + self.partition
        mails, calls = self._held(CUT_OFF)
        if not mails + calls:
            self.heal(at=self.healed_at)
            return False
        self.mails_in_hand += mails
        self.calls_in_hand += calls
        with self.store.read() as tx:
            mine = select(call.c.fingerprint, call.c.papers).where(
                call.c.state == CallState.INTENT, call.c.owner.like(self._owner(CUT_OFF))
            )
            for row in tx.execute(mine):
                self.in_hand_at_cuts.update((row.fingerprint, one) for one in row.papers.values())
        return True

    def heal(self, at: float) -> None:
        if self.healed_at and at >= self.healed_at:
            assert self.proxy
            self.proxy.heal()
            self.healed_at = 0.0

    def _end(self, name: str) -> None:
        """Stop it, see what it has in hand, kill it: of a dead one others write it down at once."""
        with suppress(ProcessLookupError):
            os.kill(self.alive[name], signal.SIGSTOP)
        held = self._held(name)
        if self.server.kill(self.alive[name]):
            self.killed[name] += 1
            self.mails_in_hand += held[0]
            self.calls_in_hand += held[1]
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


def torment(siege: Siege, kills: int, incidents: list[Incident]) -> float:
    """Kill so many, half of them before the first mail; the seconds until all came to its end."""
    started = time.monotonic()
    while not siege.is_over() and time.monotonic() - started < PATIENCE + kills * A_KILL:
        siege.keep_alive()
        siege.heal(time.monotonic())
        time.sleep(siege.dice.uniform(0.1, 0.6))
        done = sum(siege.killed.values())
        if incidents and done >= incidents[0].share * kills and incidents[0].happens():
            del incidents[0]
            continue
        # Nobody is killed during a cut: the one who is left would never get to work.
        if siege.healed_at or done >= kills or (2 * done >= kills and not siege.mails()):
            continue
        if 4 * done >= 3 * kills and "w3" in siege.orders and "w3" not in siege.buried:
            siege.begin_no_more("w3")
        else:
            siege.kill_one()
    return time.monotonic() - started


def figures(siege: Siege, mail: FakeSendGrid, model: FakeAnthropic) -> dict[str, Any]:
    taken = Counter(mail.addresses)
    tasks: Counter[str] = Counter()
    if not siege.store.is_sqlite:
        found = all_tasks(siege.store).items()
        tasks.update(f"{name.split()[0]} {status}" for name, (status, _) in found)
    with siege.store.read() as tx:
        mails = {row.email: row.state for row in tx.execute(select(delivery))}
        unnamed = tx.scalar(
            _number(delivery).where(delivery.c.state == "unknown", delivery.c.reason == "")
        )
        calls = tx.execute(select(call.c.fingerprint, call.c.state, call.c.papers)).all()
        scores = tx.execute(select(score)).all()
        digests = tx.scalar(_number(digest).where(digest.c.announced == digest.c.scanned))
    bought = Counter(
        (one.fingerprint, paper)
        for one in calls
        if one.state in (CallState.DONE, CallState.ANSWERED)
        for paper in one.papers.values()
    )
    wanted = {paper.id: honest(paper.title, paper.abstract) for paper in papers(PAPERS)}
    right = sum(
        (one.relevance, one.novelty) == (wanted[one.paper_id]["r"], wanted[one.paper_id]["n"])
        for one in scores
    )
    return {
        "kills": dict(siege.killed),
        "kills of idle ones": siege.idle_kills,
        "tasks": dict(tasks),
        "mails": dict(Counter(mails.values())),
        "addresses mailed twice": sum(number > 1 for number in taken.values()),
        "taken but neither accepted nor unknown": sum(
            mails.get(email) not in {"accepted", "unknown"} for email in taken
        ),
        "accepted but never taken": sum(
            state == "accepted" and not taken[email] for email, state in mails.items()
        ),
        "unknown without a reason": unnamed,
        "mails in hand at kills": siege.mails_in_hand,
        "scores": len(scores),
        "right scores": right,
        "papers bought twice": sum(
            number > 1 + siege.in_hand_at_cuts[key] for key, number in bought.items()
        ),
        "papers in hand at cuts": siege.in_hand_at_cuts.total(),
        "calls paid": len(model.answered),
        "calls lost": sum(one.state == CallState.LOST for one in calls),
        "calls in hand at kills": siege.calls_in_hand,
        "whole digests": digests,
    }


def faults(found: dict[str, Any], lost_answers: int, deliveries: int, rubrics: int) -> list[str]:
    """Which promises were broken."""
    mails = found["mails"]
    checks = {
        "a delivery is not accounted for": sum(mails.values()) != deliveries,
        "a delivery is left pending or sending": bool({"pending", "sending"} & mails.keys()),
        "an address was mailed twice": found["addresses mailed twice"] > 0,
        "a mail went out that is not known of": found["taken but neither accepted nor unknown"] > 0,
        "a delivery is called accepted that was not": found["accepted but never taken"] > 0,
        "an unknown one has no reason": found["unknown without a reason"] > 0,
        "more are unknown than were in hand": mails.get("unknown", 0)
        > found["mails in hand at kills"] + lost_answers,
        "a score is missing": found["scores"] != rubrics * PAPERS,
        "a score is wrong": found["right scores"] != found["scores"],
        "a paper was bought twice that was not in hand at a cut": found["papers bought twice"] > 0,
        "more calls are lost than were in hand": found["calls lost"]
        > found["calls in hand at kills"],
        "a digest is missing, or not of all papers": found["whole digests"] != rubrics,
        "no progress for more than two minutes": found["longest standstill, s"] > STANDSTILL,
        "a task did not end": any("SUCCESS" not in name for name in found["tasks"]),
    }
    return [promise for promise, broken in checks.items() if broken]


def chaos(
    given: argparse.Namespace, database: str, folder: str, server: PostgresServer | None = None
) -> dict[str, Any]:
    dice = random.Random(given.seed)  # noqa: S311 - a reproducible play, no secret
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
        FakeAnthropic(honest, latency=MODEL_SECONDS) as model,
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
        siege = Siege(
            forks, orders, Store(database), dice, given.catch, given.leave, given.partition
        )
        incidents: list[Incident] = []
        if server:
            siege.proxy = stack.enter_context(TcpProxy(server.port))
            through = make_url(database).set(port=siege.proxy.port)
            orders[CUT_OFF] = replace(
                orders[CUT_OFF], database=through.render_as_string(hide_password=False)
            )
            incidents = [
                Incident(0.15, lambda: restarted(server, "fast")),
                Incident(0.3, siege.cut_off),
                Incident(0.6, lambda: restarted(server, "immediate")),
                Incident(0.7, siege.cut_off),
            ]
        standstill = Standstill(
            lambda: len(mail.addresses) + len(model.answered) + all_digests(siege.store)
        )
        watch = threading.Thread(target=standstill.watch)
        watch.start()
        try:
            seconds = torment(siege, given.kills, incidents)
        finally:
            standstill.over.set()
            watch.join()
        found = figures(siege, mail, model)
        found["longest standstill, s"] = round(standstill.longest, 1)
        found["it began after, s"] = round(standstill.began_at)
        found["incidents left out"] = len(incidents)
        found["answers lost"] = len(lost)
        found["ended"] = siege.is_over()
        for pid in siege.alive.values():
            forks.kill(pid)
        siege.store.close()
    forks.close()
    broken = faults(found, len(lost), given.deliveries, rubrics)
    return found | {"seconds": round(seconds, 1), "broken": broken}


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
    parser.add_argument("--catch", type=float, default=6.0, help="s, to find one at work")
    parser.add_argument("--leave", type=float, default=2.5, help="s, to let it work on then")
    parser.add_argument("--partition", type=float, default=90.0, help="s, of a cut-off worker")
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
