"""Planners and workers to be killed: forked from a process that has loaded everything.

Each life is told in JSON what to be. A life on another machine is one whose host has another name:
then nothing but its heartbeat and its leases says whether it lives.
"""

from __future__ import annotations

import json
import signal
import socket
import threading
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr
from sqlalchemy import column, select, table

from newsletter import bootstrap, process
from newsletter.context import no_progress
from newsletter.delivery.sender import SendLimits
from newsletter.domain.tasks import TaskResult
from newsletter.errors import OperatorError
from newsletter.jobs import daily, tasks
from newsletter.jobs.dbos_engine import DbosEngine
from newsletter.jobs.engine import LocalEngine
from newsletter.jobs.reaper import HeartbeatConfig
from newsletter.scoring import session
from newsletter.settings import Settings
from newsletter.store import Store, deliveries, digests, leases, subscriptions
from tests.fakes.mail import reader
from tests.fakes.scoring import papers
from tests.simulations.crash import ForkServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsletter.context import App
    from newsletter.domain.model import Paper
    from newsletter.domain.progress import Progress

DAY = date(2025, 11, 18)
SUBMITTED = datetime(2025, 11, 17, 12, 0, tzinfo=UTC)
LEASE = timedelta(seconds=15)
RHYTHM = HeartbeatConfig(*(timedelta(seconds=seconds) for seconds in (0.5, 1.0, 4.0)))
LOADED = (
    "anthropic",
    "dbos",
    "httpx2",
    "mjml",
    "premailer",
    "psycopg",
    "python_http_client",
    "sendgrid",
    "newsletter.domain.logistic_regression",
)
"""What a life would load by and by: under load that takes longer than most lives last."""
WORKFLOWS = table(
    "workflow_status",
    column("workflow_uuid"),
    column("status"),
    column("executor_id"),
    schema="dbos",
)
"""DBOS's own table of tasks."""
SILENCES = "silences.jsonl"
BUSY = 3
"""Exit status of a worker whose name is still another's, or whose database is away as it begins."""
RUBRIC = """---
title: Reader {n}
categories: [cs.LG]
---

## Criteria

Reader {n} asks.

1. Compression
   - Relevant: quantization and pruning.
"""


@dataclass
class HeartbeatClock:
    """The clock of a worker's heartbeats.

    Notes when they were so far apart, on a busy machine or without a database, that others may have
    taken the worker for dead: a line in `file` with the owner id and both times.
    """

    file: Path
    silent_after: timedelta
    last: datetime | None = None

    def __call__(self) -> datetime:
        now = bootstrap.now()
        if threading.current_thread().name == "reaper":
            # From one heartbeat that others see to the next one the clock is asked three times.
            if self.last and now - self.last > self.silent_after / 3:
                line = json.dumps([process.process_id(), str(self.last), str(now)])
                with self.file.open("a", encoding="utf-8") as file:
                    file.write(f"{line}\n")
            self.last = now
        return now


class Press:
    """One announcement of papers that carry their own scores."""

    def __init__(self, count: int) -> None:
        self._papers = [
            replace(one, published=SUBMITTED, updated=SUBMITTED) for one in papers(count)
        ]

    def newest(self, now: datetime) -> date:
        del now
        return DAY

    def submitted(
        self, categories: Sequence[str], start: datetime, end: datetime, progress: Progress
    ) -> list[Paper]:
        del progress
        return self._papers if "cs.LG" in categories and start <= SUBMITTED < end else []


@dataclass(frozen=True)
class Order:
    """What a life is: `role` is plan, work or local (which does both)."""

    role: str
    database: str
    folder: str
    mail_url: str
    model_url: str
    name: str = ""
    host: str = ""
    papers: int = 16
    group: int = 3
    threads: int = 4
    lease: float = LEASE.total_seconds()
    mails_per_second: float | None = None
    quick: bool = True

    def app(self) -> App:
        settings = Settings(
            _env_file=None,
            database_url=SecretStr(self.database),
            source="sample",
            rubrics_dir=Path(self.folder),
            anthropic_api_key=SecretStr("sk-test"),
            anthropic_base_url=self.model_url,
            sendgrid_api_key=SecretStr("SG.test"),
            sendgrid_url=self.mail_url,
            from_email="digest@example.org",
            postal_address="1 Example Street",
            public_url="https://digest.example.org",
            secret_key=SecretStr("a key that only tests know 0123"),
            second_opinion=False,
            budget_usd=10,
            mails_per_second=self.mails_per_second,
        )
        app = bootstrap.build_app(settings)
        rhythm = RHYTHM if self.quick else HeartbeatConfig()
        clock = HeartbeatClock(Path(self.folder, SILENCES), rhythm.silent_after)
        engine = LocalEngine() if self.role == "local" else DbosEngine(app.store, clock, rhythm)
        return replace(app, source=Press(self.papers), engine=engine)


def settle(order: Order, rubrics: int, readers: int) -> None:
    """Rubric files and their readers, in a database with the schema."""
    for n in range(rubrics):
        Path(order.folder, f"r{n:04}.md").write_text(RUBRIC.format(n=n), encoding="utf-8")
    store = Store(order.database)
    store.migrate()
    with store.begin() as tx:
        for n in range(readers):
            one = reader(n, rubric=f"r{n % rubrics:04}", since=SUBMITTED)
            subscriptions.insert_new(tx, one, SUBMITTED)
    if not store.is_sqlite:
        # A kill half-way through DBOS's own migrations is DBOS's own affair.
        DbosEngine(store, bootstrap.now).run(
            [], lambda _unit: TaskResult(), no_progress, threading.Event()
        )
    store.close()


def live(order: Order) -> int:
    """One life, from its beginning to its end; its exit status."""
    if order.host:
        socket.gethostname = lambda: order.host
    session.LEASE = timedelta(seconds=order.lease)
    if order.quick:
        leases.SILENT_AFTER = RHYTHM.silent_after
    tasks.SCORING_GROUP_SIZE = tasks.BATCH_GROUP_SIZE = order.group
    tasks.LIMITS = SendLimits(threads=order.threads, lease=timedelta(seconds=order.lease))
    if order.role != "work":
        return _plan(_app(order))
    try:
        app = _app(order)
        do = partial(daily.handle_task, app, no_progress)
        with app.engine.worker(do, app.stop, order.name):
            # Right after a SIGCONT a signal may reach a thread that does not wake this one.
            while not app.stop.wait(0.5):
                pass
    except OperatorError:
        return BUSY
    return 0


def _app(order: Order) -> App:
    app = order.app()
    signal.signal(signal.SIGTERM, lambda _number, _frame: app.stop.set())
    return app


def _plan(app: App) -> int:
    """As `serve` does: again and again, until nothing is left to make or to mail."""
    while not app.stop.is_set():
        edition = daily.run_daily(app, DAY, None, no_progress)
        waiting = any(one.tally.pending or one.tally.sending for one in edition.results)
        if not waiting and not edition.has_problems:
            return 0
        app.stop.wait(0.5)
    return 1


class WorkerForkServer(ForkServer):
    """Forks planners and workers."""

    def __init__(self) -> None:
        super().__init__(lambda order: live(Order(**order)), LOADED)

    def begin(self, order: Order) -> int:
        return super().begin(asdict(order))


def all_tasks(store: Store) -> dict[str, tuple[str, str]]:
    """The status of each task, and the worker that had it last."""
    with store.read() as tx:
        rows = tx.execute(select(WORKFLOWS))
        return {row.workflow_uuid: (row.status, row.executor_id or "") for row in rows}


def all_mails(store: Store) -> dict[str, int]:
    with store.read() as tx:
        return {state.value: n for state, n in deliveries.count_all(tx).items()}


def all_digests(store: Store) -> int:
    with store.read() as tx:
        return len(digests.summaries(tx, 100_000))
