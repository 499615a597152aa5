"""A year-old database of readers with one rubric each: what they get next does not change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, text

from newsletter.delivery.planner import plan_due, rubrics_with_mail_due
from newsletter.domain.addresses import fingerprint
from newsletter.domain.digest import compose
from newsletter.domain.model import Criterion, Listing, Outcome, Paper, Rubric, Score, Usage
from newsletter.domain.subscriber_csv import SubscriberRow
from newsletter.store import subscriber_import, subscriptions
from newsletter.store.search import codec
from newsletter.store.subscribers import SubscriberChange
from newsletter.store.tables import delivery, digest
from tests.fakes.database import upgraded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from newsletter.store import Store

LAST = date(2026, 3, 12)
"""A Thursday: the last date that was mailed before the upgrade."""
NEXT = date(2026, 3, 13)
JOINED = datetime(2025, 3, 1, 9, tzinfo=UTC)
DAILY = '["mon", "tue", "wed", "thu", "fri", "sat", "sun"]'


@dataclass(frozen=True)
class OldReader:
    """A row of `subscriber`, and how many of the last dates its reader was not mailed."""

    name: str
    state: str = "active"
    rubric: str = "one"
    days: str = DAILY
    behind: int = 0
    moved_at: date | None = None
    state_at: datetime = JOINED
    max_papers: int | None = None
    reason: str = ""


READERS = (
    OldReader("daily"),
    OldReader("short", max_papers=5),
    OldReader("fridays", days='["fri"]', behind=4),
    OldReader("weekly", days='["weekly"]', behind=4),
    OldReader("missed", behind=2),
    OldReader("moved", rubric="two", moved_at=LAST),
    OldReader("new", behind=400, state_at=datetime(2026, 3, 12, 12, tzinfo=UTC)),
    OldReader("resumed", behind=3, state_at=datetime(2026, 3, 12, 12, tzinfo=UTC)),
    OldReader("paused", state="paused", behind=3, reason="preferences page"),
    OldReader("waits", state="pending", behind=400),
    OldReader("left", state="unsubscribed", behind=3, reason="one-click"),
    OldReader("bounced", state="bounced", behind=3, reason="event"),
    OldReader("angry", state="complained", behind=3, reason="event"),
)
GOT = {
    ("daily", "one", NEXT, NEXT),
    ("short", "one", NEXT, NEXT),
    ("fridays", "one", date(2026, 3, 9), NEXT),
    ("weekly", "one", date(2026, 3, 9), NEXT),
    ("missed", "one", date(2026, 3, 11), NEXT),
    ("moved", "two", NEXT, NEXT),
    ("new", "one", NEXT, NEXT),
    ("resumed", "one", date(2026, 3, 10), NEXT),
}
"""Who is planned for which dates by the release before (revision 0019)."""


def announced() -> list[date]:
    """The weekdays of a year up to the last date, the oldest first."""
    days = (LAST - timedelta(days=number) for number in reversed(range(365)))
    return [day for day in days if day.weekday() < 5]


def fill(tx: Connection) -> None:
    """The database of the release before, a year old."""
    for reader in READERS:
        tx.execute(text(READER), _row(reader))
        if reader.state in ("unsubscribed", "bounced", "complained"):
            row = {"hash": _hash(reader), "reason": reader.state, "at": reader.state_at}
            tx.execute(text(SUPPRESSION), row)
    days = announced()
    for number, day in enumerate(days):
        for place, slug in enumerate(("one", "two"), 1):
            digest_id = number * 2 + place
            _add_digest(tx, digest_id, slug, day, body=day > LAST - timedelta(days=40))
            ahead = len(days) - number
            for reader in READERS:
                read = "one" if reader.moved_at and day <= reader.moved_at else reader.rubric
                if read == slug and ahead > reader.behind and day > LAST - timedelta(days=60):
                    row = {"id": f"{digest_id:04}{reader.name}", "digest": digest_id, "day": day}
                    tx.execute(text(MAIL), {**row, "reader": _id(reader), "email": _email(reader)})


def _add_digest(tx: Connection, digest_id: int, slug: str, day: date, *, body: bool) -> None:
    made = codec().dump_json(_digest(slug, day)).decode() if body else "{}"
    at = datetime.combine(day, time(1, 30), UTC)
    tx.execute(text(DIGEST), {"id": digest_id, "slug": slug, "day": day, "body": made, "at": at})


def _digest(slug: str, day: date):
    paper = Paper(f"{slug}-{day}", 1, "T", ("Ann",), "A", "cs.LG", ("cs.LG",), JOINED, JOINED)
    rubric = Rubric(slug, slug, ("cs.LG",), (Criterion(1, "One", "- body"),))
    score = {paper.id: Score(paper.id, "m", 9, 9)}
    outcomes = {paper.id: Outcome.SCORED}
    usage = [Usage("m", 1, 1)]
    return compose(rubric, day, [Listing(paper)], score, outcomes, usage, judged=True, prompt="p")


def planned(store: Store) -> set[tuple[str, str, date, date]]:
    """Who is planned for which dates of which rubric on the morning after."""
    with store.begin() as tx:
        for place, slug in enumerate(("one", "two"), 9001):
            _add_digest(tx, place, slug, NEXT, body=True)
    if not store.is_sqlite:
        with store.begin() as tx:
            tx.execute(text("SELECT setval(pg_get_serial_sequence('digest', 'id'), 20000)"))
    now = datetime.combine(NEXT, time(8), UTC)
    for waiting in rubrics_with_mail_due(store, now):
        plan_due(store, waiting, now, ZoneInfo("UTC"), time(7))
    query = (
        select(delivery.c.email, digest.c.rubric, digest.c.since, digest.c.date)
        .join_from(delivery, digest)
        .where(delivery.c.state == "pending")
    )
    with store.read() as tx:
        return {(row[0].partition("@")[0], *row[1:]) for row in tx.execute(query)}


def _id(reader: OldReader) -> str:
    return f"{READERS.index(reader):032x}"


def _email(reader: OldReader) -> str:
    return f"{reader.name}@example.org"


def _hash(reader: OldReader) -> str:
    return fingerprint(_email(reader))


def _row(reader: OldReader) -> dict[str, object]:
    names = ("state", "rubric", "days", "state_at", "max_papers", "reason")
    given = {name: getattr(reader, name) for name in names}
    keys = {"id": _id(reader), "email": _email(reader), "hash": _hash(reader)}
    return {**given, **keys, "since": min(JOINED, reader.state_at)}


READER = """
INSERT INTO subscriber (id, email, email_key, email_hash, name, rubric, days, max_papers, format,
    state, state_reason, state_at, soft_bounces, consent, since)
VALUES (:id, :email, :email, :hash, 'Name', :rubric, :days, :max_papers, 'titles',
    :state, :reason, :state_at, 0, 'asked', :since)
"""
SUPPRESSION = """
INSERT INTO suppression (email_hash, reason, source, at) VALUES (:hash, :reason, 'x', :at)
"""
DIGEST = """
INSERT INTO digest (id, rubric, since, date, kind, picks, announced, scanned, cost_nanos, body, at)
VALUES (:id, :slug, :day, :day, 'normal', 1, 1, 1, 0, :body, :at)
"""
MAIL = """
INSERT INTO delivery (id, digest_id, subscriber_id, email, state, attempt, failures, reason,
    created_at, changed_at)
VALUES (:id, :digest, :reader, :email, 'accepted', 1, 0, '', :day, :day)
"""


@pytest.fixture
def old(store_url: str) -> Iterator[Store]:
    with upgraded(store_url, "0019") as store:
        with store.begin() as tx:
            fill(tx)
        store.migrate()
        yield store


def test_what_everybody_gets_next_does_not_change(old: Store) -> None:
    assert planned(old) == GOT


def test_tokens_name_the_only_subscription_with_its_state_and_preferences(old: Store) -> None:
    with old.read() as tx:
        found = {one.name: subscriptions.by_id(tx, _id(one)) for one in READERS}
    for one in READERS:
        known = found[one.name]
        assert known
        assert (known.subscriber_id, known.email) == (_id(one), _email(one))
        assert (known.rubric, known.state, known.max_papers) == (
            one.rubric,
            one.state,
            one.max_papers,
        )
        assert (known.format, known.consent) == ("titles", "asked")


def test_who_left_stays_away_and_who_waited_may_confirm(old: Store) -> None:
    now = datetime.combine(NEXT, time(8), UTC)
    with old.begin() as tx:
        rows = [SubscriberRow(1, "left@example.org", rubric) for rubric in ("one", "two")]
        for row in rows:
            done = subscriber_import.save_all(tx, [row], "asked", now)
            assert done.counts[SubscriberChange.SUPPRESSED] == 1
        waits = subscriptions.find(tx, "waits@example.org")
        assert waits
        assert subscriptions.activate(tx, waits.id, "confirmed", now)
        assert [one.email for one in subscriptions.mailable(tx, "two")] == ["moved@example.org"]
