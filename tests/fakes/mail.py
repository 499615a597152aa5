"""Subscribers with a digest to send, and a clock that advances when one sleeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import insert, select

from newsletter.delivery import planner
from newsletter.delivery.message import compose
from newsletter.delivery.sender import SendLimits, Tally, deliver
from newsletter.domain.links import Links
from newsletter.domain.mail import Delivery, DeliveryState, Email, Sender, Subscription
from newsletter.domain.subscriber_csv import SubscriberRow
from newsletter.settings import Settings
from newsletter.store import subscriber_import, subscriptions
from newsletter.store.tables import delivery, digest, subscriber, subscription

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Connection

    from newsletter.mailers import Mailer
    from newsletter.store import Store
    from newsletter.store.subscribers import SubscriberChange

START = datetime(2025, 9, 23, 6, 0, tzinfo=UTC)
LINKS = Links("https://digest.example.org", ["k" * 32], "in.example.org")
SENDER = Sender("digest@mail.example.org", "arXiv digest", "operator@example.org")
RUBRIC = "cold-stars"


def reader(number: int = 1, **changes: Any) -> Subscription:
    given: dict[str, Any] = {
        "id": changes.get("id", uuid4().hex),
        "email": f"reader{number}@example.org",
        "rubric": RUBRIC,
        "name": f"Reader {number}",
        "since": START,
    }
    given["subscriber_id"] = given["id"]
    return Subscription(**{**given, **changes})


def import_reader(
    tx: Connection, given: Subscription, now: datetime, consent: str = "asked"
) -> SubscriberChange:
    """Import the address, rubric and name of a reader as one row of a file."""
    row = SubscriberRow(line=1, email=given.email, rubric=given.rubric, name=given.name)
    [change] = +subscriber_import.save_all(tx, [row], consent, now).counts
    return change


def email(to: Subscription | None = None, delivery_id: str = "", **changes: Any) -> Email:
    given: dict[str, Any] = {
        "subject": "arXiv digest, 23 September 2025",
        "html": "<p>One paper.</p>",
        "text": "One paper.\n",
        "delivery_id": delivery_id or uuid4().hex,
        "links": LINKS,
        "sender": SENDER,
        "now": START,
    }
    return compose(to or reader(), **{**given, **changes})


def settings(**changes: Any) -> Settings:
    return Settings(_env_file=None, **changes)


@dataclass
class Clock:
    """`now` stands still until somebody sleeps; `naps` are how long they slept."""

    at: datetime = START
    naps: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.at += timedelta(seconds=seconds)


@dataclass
class DeliveryScenario:
    """A store with subscribers and one frozen digest; `send` is one run over it."""

    store: Store
    clock: Clock = field(default_factory=Clock)
    digest_id: int = 0

    def add_readers(self, people: int, **changes: Any) -> list[Subscription]:
        """Readers; the new ones by two statements: five for each took most of some tests' time."""
        arrived = [reader(n, **changes) for n in range(1, people + 1)]
        with self.store.begin() as tx:
            known = set(tx.scalars(select(subscriber.c.email)))
            new = [one for one in arrived if one.email not in known]
            if rows := [subscriptions.rows_of_new(one, self.clock.now()) for one in new]:
                tx.execute(insert(subscriber), [of_reader for of_reader, _ in rows])
                tx.execute(insert(subscription), [own for _, own in rows])
        return arrived

    def make_digest(self, day: date = date(2025, 9, 23), rubric: str = RUBRIC) -> int:
        """A digest of nothing in particular, and its audience."""
        with self.store.begin() as tx:
            row = {
                "rubric": rubric,
                "since": day,
                "date": day,
                "kind": "normal",
                "body": "{}",
                "at": START,
            }
            numbers = {"picks": 1, "announced": 1, "scanned": 1, "cost_nanos": 0}
            key = tx.execute(insert(digest).values(**row, **numbers)).inserted_primary_key
            assert key is not None
            self.digest_id = int(key[0])
        self.plan(day, rubric)
        return self.digest_id

    def plan(self, day: date = date(2025, 9, 23), rubric: str = RUBRIC) -> None:
        """Write down who is owed mail of that date, as a run does."""
        planner.plan_all(self.store, rubric, day, self.clock.now())

    def send(self, mailer: Mailer, **options: Any) -> Tally:
        given: dict[str, Any] = {"clock": self.clock.now, "sleep": self.clock.sleep}
        given["limits"] = options.pop("limits", SendLimits(threads=2))
        return deliver(self.store, mailer, self.digest_id, written, **{**given, **options})

    def rows(self) -> list[Any]:
        with self.store.read() as tx:
            return list(tx.execute(select(delivery).order_by(delivery.c.email)).all())

    def states(self) -> dict[str, DeliveryState]:
        return {row.email: DeliveryState(row.state) for row in self.rows()}


def written(owed: Delivery) -> Email:
    return email(owed.subscription, owed.id)


@dataclass
class FakeMailer:
    """Takes mail in memory; `before` is called with each email and may raise."""

    before: Callable[[Email], None] = lambda _email: None
    taken: list[Email] = field(default_factory=list)

    def send(self, email: Email) -> str:
        self.before(email)
        self.taken.append(email)
        return f"id-{len(self.taken)}"


def outbox_settings(folder: Path) -> Settings:
    return settings(outbox_dir=folder / "outbox")
