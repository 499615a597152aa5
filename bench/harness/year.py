"""A database after a year: digests, papers, scores, calls, deliveries, as the tables keep them.

Texts are those of real papers, taken again and again; ids, scores and costs are made up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, text

from bench.harness import corpus
from newsletter.domain.announcements import newest, previous
from newsletter.domain.mail import Subscription
from newsletter.domain.model import (
    Coverage,
    Criterion,
    DayKind,
    Digest,
    NearMiss,
    Outcome,
    Paper,
    Pick,
    Rubric,
    Score,
    Usage,
)
from newsletter.store import Store, digests, subscriptions
from newsletter.store.tables import call, fetched, listing, paper, subscriber, subscription

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

CATEGORY = "cs.LG"
PAGE = 1000
PICKED, MISSED, EACH = 12, 3, 4
"""Papers picked and nearly picked in a digest; every fourth paper of a day is a rubric's."""
CALLS, RAW_BYTES, RAW_DAYS = 20, 1500, 120
"""Calls of a digest, bytes of a raw answer, and the days for which answers are kept."""
DELIVERIES = text("""
INSERT INTO delivery (id, digest_id, subscriber_id, subscription_id, email, state, attempt,
    failures, reason, fate, mailer, created_at, changed_at)
SELECT :prefix || s.id, d.id, s.subscriber_id, s.id, r.email, :state, 1, 0, '', 'delivered',
    'sendgrid', d.at, d.at
FROM digest d JOIN subscription s ON s.rubric = d.rubric JOIN subscriber r ON r.id = s.subscriber_id
WHERE d.id = :digest AND (s.id = :only OR :only = '') AND s.id != :but ORDER BY s.id
""")
MAILINGS = text("""
INSERT INTO mailing (digest_id, candidates, excluded, halted, at, unrestrained)
SELECT id, :readers, '{}', '', at, :no FROM digest
""")
SCORES = text("""
INSERT INTO score (fingerprint, scorer, paper_id, reading, outcome, model, relevance, novelty,
    fine, criterion, comment, call_id)
SELECT rubric, 'claude', paper_id, 1, 'scored', 'claude-haiku-5-5', 5, 5, 0, 1,
    'It meets the first criterion in a new way.', ''
FROM digest_paper
""")


@dataclass(frozen=True)
class Year:
    """How much there is: by default 5,000 digests, 1,250,000 deliveries, 100,000 papers."""

    rubrics: int = 20
    days: int = 250
    papers: int = 400
    readers: int = 5000

    def announced(self, now: datetime) -> list[date]:
        """The dates of the year's announcements, the newest first."""
        found = [newest(now)]
        while len(found) < self.days:
            found.append(previous(found[-1]))
        return found

    def slugs(self) -> list[str]:
        return [f"rubric-{number}" for number in range(self.rubrics)]


def rubric(slug: str) -> Rubric:
    criteria = (Criterion(1, "Attention", "- Relevant: less memory"), Criterion(2, "Graphs", ""))
    return Rubric(slug, f"Papers of {slug}", (CATEGORY,), criteria, public=True)


def fill(store: Store, year: Year, now: datetime) -> None:
    """Fill an empty, migrated database."""
    corpus.require()
    texts = [paper for day in corpus.DAYS for paper in corpus.papers(day)]
    with store.begin() as tx:
        rows = list(_readers(year, now))
        tx.execute(insert(subscriber), [of_reader for of_reader, _ in rows])
        tx.execute(insert(subscription), [own for _, own in rows])
    for number, day in enumerate(reversed(year.announced(now))):
        chosen = [_renamed(texts, day, n, number * year.papers) for n in range(year.papers)]
        with store.begin() as tx:
            _fill_day(tx, year, day, chosen)
    with store.begin() as tx:
        tx.execute(MAILINGS, {"readers": year.readers // year.rubrics, "no": False})
        tx.execute(SCORES)


def _renamed(texts: Sequence[Paper], day: date, number: int, used: int) -> Paper:
    source = texts[(number + used) % len(texts)]
    return replace(source, id=f"{day:%y%m}.{day.day:02}{number:03}", published=_at(day))


def _at(day: date) -> datetime:
    return datetime.combine(day, time(2), UTC)


def _fill_day(tx: Connection, year: Year, day: date, papers: list[Paper]) -> None:
    tx.execute(insert(paper), [{name: getattr(p, name) for name in p.__slots__} for p in papers])
    listed = {"category": CATEGORY, "date": day, "late": False}
    tx.execute(insert(listing), [{**listed, "paper_id": one.id} for one in papers])
    whole = {"category": CATEGORY, "date": day, "papers": len(papers), "how": "feed"}
    tx.execute(insert(fetched), {**whole, "at": _at(day)})
    for place, slug in enumerate(year.slugs()):
        made = _digest(rubric(slug), day, papers[place % EACH :: EACH])
        digest_id = digests.save(tx, made, _at(day))
        tx.execute(insert(call), list(_calls(slug, day, _at(day), year)))
        _mail(tx, digest_id, slug, day)


def _mail(tx: Connection, digest_id: int, slug: str, day: date) -> None:
    """A delivery for each reader; of a few digests one is unknown."""
    doubtful = reader_id(int(slug.rpartition("-")[2])) if day.day == 1 else ""
    given = {"prefix": f"{digest_id:06x}", "digest": digest_id, "only": "", "but": doubtful}
    tx.execute(DELIVERIES, {**given, "state": "accepted"})
    if doubtful:
        tx.execute(DELIVERIES, {**given, "state": "unknown", "only": doubtful, "but": ""})


def reader_id(number: int) -> str:
    return f"{number:026x}"


def _readers(year: Year, now: datetime) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for number in range(year.readers):
        given = Subscription(
            reader_id(number),
            f"reader{number}@example.org",
            f"rubric-{number % year.rubrics}",
            name=f"Reader {number}",
            consent="asked at the conference",
        )
        yield subscriptions.rows_of_new(given, now - timedelta(days=400))


def _calls(slug: str, day: date, at: datetime, year: Year) -> Iterator[dict[str, Any]]:
    recent = (year.announced(datetime.now(UTC))[0] - day).days < RAW_DAYS
    for number in range(CALLS):
        yield {
            "id": f"{slug}-{day:%Y%m%d}-{number}",
            "rubric": slug,
            "fingerprint": slug,
            "scorer": "claude",
            "date": day,
            "reading": 1,
            "model": "claude-haiku-5-5",
            "request_hash": "0" * 64,
            "papers": {f"p{n:02}": f"{day:%y%m}.{day.day:02}{n:03}" for n in range(5)},
            "state": "done",
            "upper_nanos": 4_000_000,
            "usage": {"model": "claude-haiku-5-5", "input_tokens": 2000, "output_tokens": 200},
            "cost_nanos": 3_000_000,
            "raw": b"x" * RAW_BYTES if recent else None,
            "owner": "bench/1/x",
            "lease_until": at,
            "started_at": at,
            "ended_at": at,
        }


def _digest(read: Rubric, day: date, papers: Sequence[Paper]) -> Digest:
    said = "It meets the first criterion: less memory at equal quality."
    scores = [Score(one.id, "claude-haiku-5-5", 8, 8, criterion=1, comment=said) for one in papers]
    pairs = list(zip(papers, scores, strict=True))
    missed = [NearMiss(one, score, "novelty 6, your bar is 7") for one, score in pairs[-MISSED:]]
    ids = tuple(one.id for one in papers)
    return Digest(
        rubric=read,
        date=day,
        kind=DayKind.NORMAL,
        picks=tuple(Pick(one, score) for one, score in pairs[:PICKED]),
        near_misses=tuple(missed),
        coverage=Coverage(len(ids), {Outcome.SCORED: len(ids)}, {CATEGORY: len(ids)}, papers=ids),
        usage=(Usage("claude-haiku-5-5", 40_000, 4000, input_nanos=40_000_000),),
        prompt="Read every abstract.",
    )
