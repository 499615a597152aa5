"""A service with its own clock: tests advance it, run rounds of alerting, and read the mail."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import insert, select, update

from newsletter.context import App
from newsletter.delivery.planner import plan_due, rubrics_with_mail_due
from newsletter.domain.announcements import announcement, newest
from newsletter.jobs.engine import LocalEngine
from newsletter.jobs.scheduler import DailyScheduler
from newsletter.operations.alerting import report_alerts
from newsletter.scorers.local import LocalScorer
from newsletter.sources.sample import read
from newsletter.store import StoreError, subscriptions
from newsletter.store.tables import call, delivery, digest
from tests.fakes.mail import LINKS, SENDER, reader, settings
from tests.fakes.pages import MODELS, RENDERER, STARS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsletter.domain.mail import Email, Subscription
    from newsletter.domain.model import Paper
    from newsletter.mailers import SendError
    from newsletter.store import Store

OPERATOR = "operator@example.org"
TUESDAY = date(2025, 11, 18)
# The announcement of that Tuesday is public at 01:00 UTC.
START = datetime(2025, 11, 18, 2, 0, tzinfo=UTC)
RUBRICS = {
    STARS.slug: replace(STARS, categories=("cs.LG",)),
    MODELS.slug: replace(MODELS, categories=("cs.LG", "cs.AI")),
}


@dataclass
class MemoryMailer:
    """Keeps mail in memory, after `pause` seconds; raises `fault` instead while it is set."""

    taken: list[Email] = field(default_factory=list)
    fault: SendError | None = None
    calls: int = 0
    pause: float = 0

    def send(self, email: Email) -> str:
        self.calls += 1
        time.sleep(self.pause)
        if self.fault:
            raise self.fault
        self.taken.append(email)
        return str(len(self.taken))


@dataclass
class CalendarSource:
    """arXiv by its calendar; announces the papers of the sample day unless `late` is set."""

    late: bool = False
    fault: Exception | None = None

    def newest(self, now: datetime) -> date:
        return newest(now)

    def submitted(
        self, categories: Sequence[str], start: datetime, end: datetime, progress: object
    ) -> list[Paper]:
        del progress
        if self.fault:
            raise self.fault
        if self.late:
            return []
        # Each day announces the papers of the sample under new ids.
        shift = start - announcement(TUESDAY).start
        found = [
            replace(paper, id=f"{start:%m%d}.{paper.id[-5:]}", published=paper.published + shift)
            for paper in read()
        ]
        wanted = set(categories)
        return [p for p in found if start <= p.published < end and wanted & {*p.categories}]


class Service:
    """A running service without its scheduler: the tests call its steps."""

    def __init__(self, store: Store, **given: Any) -> None:
        self.options = {
            "database_url": store.url.render_as_string(hide_password=False),
            "operator_email": OPERATOR,
            "mailer": "smtp",
            "scorer": "local",
            "disk_free_gb": 0,
            "scoring_mode": "now",
            **given,
        }
        self.now = START
        self.announcements = 0
        self.planning = True
        self.mailer = MemoryMailer()
        self.source = CalendarSource()
        chosen = settings(**self.options)
        self.app = App(
            store=store,
            source=self.source,
            scorer=LocalScorer(chosen),
            engine=LocalEngine(),
            mailer=self.mailer,
            renderer=RENDERER,
            links=LINKS,
            sender=SENDER,
            rubrics=dict(RUBRICS),
            settings=chosen,
            clock=lambda: self.now,
        )

    def set(self, **changes: Any) -> None:
        """Restart with changed settings."""
        self.options |= changes
        self.app = replace(self.app, settings=settings(**self.options))

    def next_announcement(self) -> None:
        """Advance to an hour after the next announcement; the first is that of TUESDAY."""
        self.now = START + timedelta(days=self.announcements)
        self.announcements += 1

    def join(self, rubric: str = "stars", number: int = 0, **preferences: Any) -> Subscription:
        person = reader(number or len(rubric), rubric=rubric, **preferences)
        with self.app.store.begin() as tx:
            subscriptions.insert_new(tx, person, START - timedelta(days=100))
        return person

    def build_digests(self, minutes: int = 0) -> None:
        """Run the scheduler once, without sending."""
        self.now += timedelta(minutes=minutes)
        daily_scheduler = DailyScheduler(replace(self.app))
        daily_scheduler.send_due = lambda: None  # type: ignore[method-assign]
        daily_scheduler.build()

    def plan(self) -> None:
        """Plan the mail that is due and mark it accepted."""
        chosen = self.app.settings
        for some in rubrics_with_mail_due(self.app.store, self.now):
            plan_due(self.app.store, some, self.now, chosen.zone, chosen.send_at)
        ours = select(digest.c.id).where(digest.c.rubric.in_(RUBRICS))
        waits = (delivery.c.state == "pending") & delivery.c.digest_id.in_(ours)
        with self.app.store.begin() as tx:
            tx.execute(update(delivery).where(waits).values(state="accepted", changed_at=self.now))

    def round(self, minutes: int = 5) -> list[Email]:
        """Run a round of alerting after `minutes`; return all alert mails so far."""
        self.now += timedelta(minutes=minutes)
        if self.planning:
            with suppress(StoreError):
                self.plan()
        report_alerts(self.app, self.now)
        return self.alert_mails

    @property
    def alert_mails(self) -> list[Email]:
        return [mail for mail in self.mailer.taken if mail.to_email == OPERATOR]

    def pay(self, rubric: str, nanos: int, day: date = TUESDAY) -> None:
        """Store a paid call with this cost."""
        row = {
            "id": uuid4().hex,
            "rubric": rubric,
            "fingerprint": "f",
            "scorer": "claude",
            "date": day,
            "reading": 1,
            "model": "m",
            "request_hash": "h",
            "papers": {},
            "state": "done",
            "upper_nanos": nanos,
            "usage": {"model": "m", "input_tokens": 1000, "output_tokens": 100},
            "cost_nanos": nanos,
            "owner": "me",
            "lease_until": self.now,
            "started_at": self.now,
        }
        with self.app.store.begin() as tx:
            tx.execute(insert(call).values(row))
