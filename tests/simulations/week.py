"""A week of the service in a process that is killed, suspended and set wrong from outside.

The world goes on while the process does not: its time, and how wrong the machine's clock is, lie
in a page of memory that both share, and what the mail provider took is in a file. The jobs are the
service's own, at once as the scheduler starts them; only arXiv, the model, the templates and the
provider are small and in memory.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import struct
import time as stopwatch
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING

from newsletter import bootstrap
from newsletter.domain.announcements import announcement, following, is_announced
from newsletter.domain.mail import WEEKLY, Subscription
from newsletter.domain.model import Criterion, Rubric
from newsletter.jobs import housekeeping
from newsletter.jobs.daemon import single_instance
from newsletter.jobs.leader import LeaderElection
from newsletter.jobs.scheduler import DailyScheduler
from newsletter.jobs.scheduler_watchdog import SchedulerWatchdog
from newsletter.settings import Settings
from newsletter.store import Store, subscriptions
from tests.fakes.arxiv_timeline import ArxivTimeline, Submission, TimelineSource, Version
from tests.simulations.kill_point import KillPoint, KillPointStore
from tests.simulations.year import RUBRICS, ZONES, FakeScorer, Plain, Reader

if TYPE_CHECKING:
    from pathlib import Path

    from newsletter.context import App
    from newsletter.domain.mail import Email
    from newsletter.scorers import CallResponse, ScoringCall

SUNDAY = datetime(2025, 10, 26, 12, 2, tzinfo=UTC)
"""Europe's clocks change on it, Egypt's on that Friday, America's on the Sunday after it."""
FIRST = date(2025, 10, 24)
LATE = date(2025, 10, 29), timedelta(hours=6)
CATEGORIES = ("cs.LG", "cs.AI", "cs.CL", "math.ST")
PAPERS_A_DAY = 12
SEND_SECONDS = 0.002
TIME_FACTOR = 20
PASSES_SECONDS = 240.0
CALM = ""
ON_THE_WAY = "while answers are on the way"
HELD_SECONDS = 0.1
"""So long an answer takes where a trap waits for it: by then all that was claimed is taken too."""
STEPS = (
    "before a commit",
    "after a commit",
    "before a request",
    "after an answer",
    "while answers are on the way",
    "before arXiv answers",
    "before the model answers",
)


class Clocks:
    """The true time, and how wrong the machine's clock is; shared with every process forked.

    Between two moments that are set time goes on, faster than ours, but never as far as the next.
    """

    def __init__(self, now: datetime) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE)
        self._write(now.timestamp(), 0.0)

    def _write(self, true: float, wrong: float) -> None:
        self._page[:24] = struct.pack("ddd", true, wrong, stopwatch.monotonic())

    def _read(self) -> tuple[float, float]:
        true, wrong, at = struct.unpack("ddd", self._page[:24])
        return true + min((stopwatch.monotonic() - at) * TIME_FACTOR, PASSES_SECONDS), wrong

    def set(self, true: datetime) -> None:
        self._write(true.timestamp(), self._read()[1])

    def put_wrong(self, by: timedelta) -> None:
        self._write(self._read()[0], by.total_seconds())

    @property
    def wrong(self) -> timedelta:
        return timedelta(seconds=self._read()[1])

    def true(self) -> datetime:
        return datetime.fromtimestamp(self._read()[0], UTC)

    def machine(self) -> datetime:
        return datetime.fromtimestamp(sum(self._read()), UTC)

    def steady(self) -> float:
        return self._read()[0]


@dataclass
class Post:
    """A provider that takes everything: one line in a file that outlives who sent it."""

    path: Path
    clocks: Clocks
    kill_point: KillPoint = field(default_factory=KillPoint)

    def send(self, email: Email) -> str:
        self.kill_point.reach("before a request")
        stopwatch.sleep(SEND_SECONDS)
        rubric, first, last, *papers = email.text.split()
        taken = {
            "to": email.to_email.partition("@")[0],
            "delivery": email.delivery_id,
            "at": self.clocks.true().isoformat(),
            "digest": [rubric, first, last],
            "papers": papers,
        }
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(handle, (json.dumps(taken) + "\n").encode())
        os.close(handle)
        if self.kill_point.step == ON_THE_WAY:
            stopwatch.sleep(HELD_SECONDS)
            self.kill_point.reach(ON_THE_WAY)
        stopwatch.sleep(SEND_SECONDS)
        self.kill_point.reach("after an answer")
        return f"taken-{email.delivery_id}"


class KillPointSource(TimelineSource):
    def __init__(self, timeline: ArxivTimeline, kill_point: KillPoint) -> None:
        super().__init__(timeline)
        self.kill_point = kill_point

    def submitted(self, categories, start, end, progress) -> list:
        found = super().submitted(categories, start, end, progress)
        self.kill_point.reach("before arXiv answers")
        return found


class KillPointScorer(FakeScorer):
    kill_point = KillPoint()

    def ask(self, call: ScoringCall) -> CallResponse:
        self.kill_point.reach("before the model answers")
        return super().ask(call)


@dataclass
class Week:
    """The world of one week: what arXiv shows, who reads, what became of the mail.

    Each rubric has `crowd` readers in a zone; of the zones the first is taken, and each `every`th.
    """

    folder: Path
    database: str
    days: int = 8
    crowd: int = 1
    every: int = 1
    seed: int = 1
    clocks: Clocks = field(default_factory=lambda: Clocks(SUNDAY))
    readers: list[Reader] = field(default_factory=list)
    app: App | None = None
    """What every life begins with; made once, for to compile the templates takes a second."""

    def __post_init__(self) -> None:
        self.end = SUNDAY + timedelta(days=self.days, hours=11, minutes=55)
        self.timeline = ArxivTimeline(self.clocks.true)
        day, late = LATE
        self.timeline.delays[day] = late
        self.box = self.folder / "taken.jsonl"
        self._fill()
        self._settle()

    @property
    def announced(self) -> list[date]:
        """The dates whose announcement appears before the end."""
        found, day = [], FIRST
        while announcement(day).public_from < self.end:
            found.append(day)
            day = following(day)
        return found

    def _fill(self) -> None:
        """Every 20th paper is cross-listed a day later, every 25th held, every 30th replaced."""
        dice = random.Random(self.seed)  # noqa: S311 - a simulation
        day, number = following(FIRST - timedelta(days=15)), 0
        while announcement(day).start < self.end:
            window = announcement(day)
            step = (window.end - window.start) / PAPERS_A_DAY
            for place in range(PAPERS_A_DAY):
                number += 1
                at = (window.start + step * (place + 0.5)).replace(second=0, microsecond=0)
                self.timeline.add(_paper(number, at, day, dice))
            day = following(day)

    def _settle(self) -> None:
        for zone in ZONES[:: self.every]:
            city = zone.rpartition("/")[2].lower()
            for rubric in RUBRICS:
                for place in range(self.crowd):
                    self.readers.append(Reader(f"{city}-{rubric}-{place}", rubric, zone))
            self.readers.append(Reader(f"weekly-{city}", "models", zone, days=WEEKLY))
            self.readers.append(Reader(f"twice-{city}", "words", zone, days=("mon", "thu")))
        for hour in (time(0, 30), time(23, 30)):
            self.readers.append(Reader(f"cairo-{hour:%H%M}", "models", "Africa/Cairo", hour))
        self.readers.append(Reader("owl", "words", "America/New_York", time(1, 30)))

    def found(self) -> None:
        """The folder and the database, with everybody subscribed."""
        store = Store(self.database)
        store.migrate()
        with store.begin() as tx:
            for number, one in enumerate(self.readers):
                given = Subscription(
                    f"{number:032x}",
                    f"{one.name}@example.org",
                    one.rubric,
                    timezone=one.zone,
                    send_at=one.hour,
                    days=one.days,
                )
                subscriptions.insert_new(tx, given, SUNDAY - timedelta(days=20))
        store.close()
        (self.folder / "rubrics").mkdir()
        for slug, categories in RUBRICS.items():
            rubric = Rubric(slug, slug, categories, (Criterion(1, "One", ""),))
            head = f"---\ntitle: {slug}\ncategories: [{', '.join(rubric.categories)}]\n---\n"
            path = self.folder / "rubrics" / f"{slug}.md"
            path.write_text(f"{head}\n## Criteria\n\n1. One\n", encoding="utf-8")
        settings = Settings(
            _env_file=None,
            database_url=self.database,
            arxiv_delay_seconds=0,
            scorer="local",
            mailer="outbox",
            outbox_dir=self.folder / "outbox",
            rubrics_dir=self.folder / "rubrics",
            from_email="digest@example.org",
            disk_free_gb=0,
        )
        self.app = bootstrap.build_app(settings)
        # No connection may be shared with a process that is forked.
        self.app.store.close()

    def taken(self) -> list[dict]:
        """What the provider took, in order."""
        if not self.box.exists():
            return []
        return [json.loads(line) for line in self.box.read_text(encoding="utf-8").splitlines()]


def _paper(number: int, at: datetime, day: date, dice: random.Random) -> Submission:
    home = CATEGORIES[number % len(CATEGORIES)]
    other = dice.choice([name for name in CATEGORIES if name != home])
    named = f"{at:%y%m}.{number:05d}"
    if number % 25 == 0:
        held = day + timedelta(days=9)
        while not is_announced(held):
            held += timedelta(days=1)
        return Submission(named, at, (home,), announced=held)
    crosses = ((following(day), other),) if number % 20 == 0 else ()
    later = following(following(day))
    versions = (Version(later, 2, {"abstract": "Anew."}),) if number % 30 == 0 else ()
    return Submission(named, at, (home,), crosses=crosses, versions=versions)


def live(week: Week, orders: int, answers: int) -> None:
    """Run the service: at each order all its jobs once, until it is asked to end.

    An order is a step, a number of times and a signal: the kill point to set; CALM sets none.
    """
    assert week.app
    kill_point = KillPoint()
    scorer = KillPointScorer()
    scorer.kill_point = kill_point
    store = KillPointStore(week.database, kill_point)
    store.require_schema()
    store.require_home()
    app = replace(
        week.app,
        store=store,
        source=KillPointSource(week.timeline, kill_point),
        scorer=scorer,
        renderer=Plain(),
        mailer=Post(week.box, week.clocks, kill_point),
        clock=week.clocks.machine,
    )
    leader = LeaderElection(app.store, app.clock, monotonic=week.clocks.steady)
    daily_scheduler = DailyScheduler(app, leader, SchedulerWatchdog(week.clocks.steady))
    signal.signal(signal.SIGTERM, lambda _number, _frame: app.stop.set())
    jobs = (
        daily_scheduler.renew_leadership,
        daily_scheduler.build,
        daily_scheduler.send_due,
        partial(housekeeping.run_frequent, app),
    )
    with single_instance(app.store), ThreadPoolExecutor(len(jobs)) as pool:
        with os.fdopen(orders) as read, os.fdopen(answers, "w", buffering=1) as write:
            for line in read:
                step, times, number = json.loads(line)
                if step != CALM:
                    kill_point.step, kill_point.times, kill_point.number = step, times, number
                for done in [pool.submit(job) for job in jobs]:
                    done.result()
                if app.stop.is_set():
                    break
                write.write("done\n")
        leader.step_down()
