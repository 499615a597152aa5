"""Stored digests: one for each rubric and date, and which digest covered a paper.

A digest of several dates is merged from these, for some readers' mail only: lists, pages and costs
leave it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, func, select, update

from newsletter.domain.digest import HELD_KINDS, StoredDigest
from newsletter.domain.model import Coverage, DayKind, Digest, Rubric
from newsletter.domain.paging import paged
from newsletter.domain.reader_rubrics import PREFIX
from newsletter.store import StoreError, paper_news, search
from newsletter.store.search import codec
from newsletter.store.tables import digest as digest_table
from newsletter.store.tables import digest_outcome, digest_paper
from newsletter.store.upsert import insert

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date, datetime

    from sqlalchemy import Connection, Row, Select

    from newsletter.domain.model import Unscored

_OF_ONE_DATE = digest_table.c.since == digest_table.c.date
_OF_READERS = digest_table.c.rubric.startswith(PREFIX, autoescape=True)
USUAL_DAYS = timedelta(days=14)
FORGOTTEN = "a deleted rubric"


@dataclass(frozen=True, slots=True)
class DigestSummary:
    """Summary of a stored digest, for lists."""

    id: int
    rubric: str
    date: date
    kind: DayKind
    picks: int
    announced: int
    scanned: int
    cost_nanos: int
    at: datetime


def save(
    tx: Connection, digest: Digest, now: datetime, unscored: Mapping[str, Unscored] | None = None
) -> int:
    """Store a digest and the papers it covers, with what is known of those `unscored`; return its
    id.

    Idempotent: where the rubric has a digest of these dates, it stays and its id is returned.
    A digest of several dates covers no papers and costs nothing: its parts do.
    Raises ValueError for a held day: its papers must come again in a later digest.
    """
    if digest.kind in HELD_KINDS:
        message = f"a day of kind {digest.kind.value!r} is held, not stored"
        raise ValueError(message)
    slug = digest.rubric.slug
    row = {
        "rubric": slug,
        "date": digest.date,
        "since": digest.first_date,
        "kind": digest.kind.value,
        "picks": len(digest.picks),
        "announced": digest.coverage.announced,
        "scanned": digest.coverage.scanned,
        "cost_nanos": 0 if digest.since else sum(usage.total_nanos for usage in digest.usage),
        "body": codec().dump_json(digest).decode(),
        "at": now,
    }
    fresh = insert(tx, digest_table).values(row).on_conflict_do_nothing()
    digest_id: int | None = tx.scalar(fresh.returning(digest_table.c.id))
    if digest_id is not None:
        if digest.since is None:
            _cover(tx, digest, digest_id, unscored or {})
            _claim_news(tx, digest_id, digest)
            search.add(tx, digest_id, digest)
        return digest_id
    there = select(digest_table.c.id).where(
        digest_table.c.rubric == slug,
        digest_table.c.date == digest.date,
        digest_table.c.since == digest.first_date,
    )
    return int(tx.execute(there).scalar_one())


def _claim_news(tx: Connection, digest_id: int, digest: Digest) -> None:
    """Leave out the news that another digest of the rubric has told in the meantime."""
    if (claimed := paper_news.claim(tx, digest_id, digest)) != digest:
        body = codec().dump_json(claimed).decode()
        tx.execute(update(digest_table).where(digest_table.c.id == digest_id).values(body=body))


def _cover(
    tx: Connection, digest: Digest, digest_id: int, unscored: Mapping[str, Unscored]
) -> None:
    picked = {pick.paper.id for pick in digest.picks}
    rows = [
        {
            "rubric": digest.rubric.slug,
            "paper_id": paper_id,
            "digest_id": digest_id,
            "picked": paper_id in picked,
            "outcome": unscored[paper_id].outcome if paper_id in unscored else None,
            "reason": (unscored[paper_id].reason or None) if paper_id in unscored else None,
        }
        for paper_id in digest.coverage.papers
    ]
    if rows:
        tx.execute(insert(tx, digest_paper).on_conflict_do_nothing(), rows)
    counted = [
        {"digest_id": digest_id, "outcome": outcome.value, "papers": number}
        for outcome, number in digest.coverage.outcomes.items()
    ]
    if counted:
        tx.execute(insert(tx, digest_outcome).on_conflict_do_nothing(), counted)


def forget(tx: Connection, slug: str) -> None:
    """Forget what a rubric's digests say: the rubric's text, its picks and why. Figures stay."""
    columns = ("id", "date", "since", "kind", "announced")
    query = select(*(digest_table.c[name] for name in columns)).where(digest_table.c.rubric == slug)
    for row in tx.execute(query).all():
        empty = Digest(
            Rubric(slug, FORGOTTEN, (), ()),
            row.date,
            DayKind(row.kind),
            picks=(),
            near_misses=(),
            coverage=Coverage(row.announced),
            usage=(),
            since=None if row.since == row.date else row.since,
        )
        values = {"body": codec().dump_json(empty).decode(), "picks": 0}
        tx.execute(update(digest_table).where(digest_table.c.id == row.id).values(values))
    search.remove(tx, slug)
    tx.execute(delete(digest_paper).where(digest_paper.c.rubric == slug))


def uncovered(tx: Connection, slug: str, ids: Iterable[str]) -> list[str]:
    """Those of the papers, in their order, that no digest of this rubric has covered yet."""
    wanted = list(ids)
    seen: set[str] = set()
    for page in paged(wanted):
        query = select(digest_paper.c.paper_id).where(
            digest_paper.c.rubric == slug, digest_paper.c.paper_id.in_(page)
        )
        seen.update(tx.execute(query).scalars())
    return [paper_id for paper_id in wanted if paper_id not in seen]


def load(tx: Connection, slug: str, day: date) -> tuple[int, Digest] | None:
    """A rubric's digest of that date with its id."""
    return _one(tx, _bodies(slug).where(digest_table.c.date == day))


def by_id(tx: Connection, digest_id: int) -> Digest | None:
    query = select(digest_table.c.id, digest_table.c.body).where(digest_table.c.id == digest_id)
    found = _one(tx, query)
    return found[1] if found else None


def latest(tx: Connection, slug: str) -> tuple[int, Digest] | None:
    """A rubric's newest digest with its id."""
    return _one(tx, _bodies(slug).order_by(digest_table.c.date.desc()).limit(1))


def newest(tx: Connection, slug: str, limit: int) -> list[Digest]:
    """A rubric's last digests, the newest first."""
    query = _bodies(slug).order_by(digest_table.c.date.desc()).limit(limit)
    return [_digest(key, body) for key, body in tx.execute(query)]


def last_ids(tx: Connection, slug: str, limit: int) -> list[int]:
    """The ids of a rubric's last digests that cover papers, the newest first."""
    query = select(digest_table.c.id).where(
        digest_table.c.rubric == slug, _OF_ONE_DATE, digest_table.c.announced > 0
    )
    return list(tx.scalars(query.order_by(digest_table.c.date.desc()).limit(limit)))


def between(tx: Connection, slug: str, first: date, last: date) -> list[Digest]:
    """A rubric's digests from one date to another, both included, the oldest first."""
    inside = digest_table.c.date.between(first, last)
    query = _bodies(slug).where(inside).order_by(digest_table.c.date)
    return [_digest(key, body) for key, body in tx.execute(query)]


def saved_since(tx: Connection, slug: str, first: date) -> list[StoredDigest]:
    """A rubric's digests from a date on, the oldest first."""
    rows = tx.execute(_SAVED_SINCE, {"slug": slug, "first": first})
    return [StoredDigest(row.id, row.date, DayKind(row.kind), row.at) for row in rows]


def all_since(tx: Connection, first: date) -> list[tuple[str, date, StoredDigest]]:
    """Rubric, first date and digest of all, of several dates too, from a date on, oldest first."""
    rows = tx.execute(_ALL_SINCE, {"first": first})
    return [(row[0], row[1], StoredDigest(row[2], row[3], DayKind(row[4]), row[5])) for row in rows]


def ids_since(tx: Connection, first: date) -> list[tuple[int, str, date, date]]:
    """Id, rubric, first and last date of every digest, of several dates too, from a date on."""
    return [tuple(row) for row in tx.execute(_IDS_SINCE, {"first": first})]


def dates(tx: Connection, slug: str) -> list[date]:
    """The dates of a rubric's digests, the oldest first."""
    query = select(digest_table.c.date).where(digest_table.c.rubric == slug, _OF_ONE_DATE)
    return list(tx.execute(query.order_by(digest_table.c.date)).scalars())


def date_before(tx: Connection, slug: str, day: date) -> date | None:
    """The date of the rubric's last digest before `day`; None where there is none."""
    earlier = digest_table.c.date < day
    query = select(digest_table.c.date).where(digest_table.c.rubric == slug, _OF_ONE_DATE, earlier)
    return tx.scalars(query.order_by(digest_table.c.date.desc()).limit(1)).first()


def announced(tx: Connection, slug: str, day: date) -> int:
    """How many papers a rubric's digest of that date covers."""
    query = select(digest_table.c.announced).where(digest_table.c.rubric == slug)
    return int(tx.execute(query.where(digest_table.c.date == day, _OF_ONE_DATE)).scalar_one())


def usual_cost(tx: Connection, day: date) -> int:
    """What the operator's rubrics cost together on a day: the mean of two weeks before `day`."""
    cost = func.sum(digest_table.c.cost_nanos)
    recent = digest_table.c.date.between(day - USUAL_DAYS, day - timedelta(days=1))
    query = select(cost).where(recent, _OF_ONE_DATE, ~_OF_READERS).group_by(digest_table.c.date)
    days = [int(nanos) for nanos in tx.scalars(query)]
    return sum(days) // len(days) if days else 0


def rubrics_with_digest(tx: Connection, day: date) -> set[str]:
    """The rubrics that have their digest of a date."""
    query = select(digest_table.c.rubric).where(digest_table.c.date == day, _OF_ONE_DATE)
    return set(tx.scalars(query))


def summaries(
    tx: Connection,
    limit: int | None,
    slug: str | None = None,
    *,
    day: date | None = None,
    of_operator: bool = False,
) -> list[DigestSummary]:
    """Summaries of the last digests, the newest date first; of all rubrics unless one is named.

    With `day` those of that date, with `of_operator` without those of reader rubrics.
    """
    columns = [digest_table.c[name] for name in DigestSummary.__slots__]
    query = select(*columns).where(_OF_ONE_DATE)
    query = query.order_by(digest_table.c.date.desc(), digest_table.c.rubric)
    if slug is not None:
        query = query.where(digest_table.c.rubric == slug)
    if day is not None:
        query = query.where(digest_table.c.date == day)
    if of_operator:
        query = query.where(~_OF_READERS)
    return [_summary(row) for row in tx.execute(query.limit(limit))]


def judged_days(tx: Connection, slug: str, limit: int) -> list[tuple[int, int]]:
    """How many papers were picked and read on the last days on which a model judged them."""
    # In a string of the body every quotation mark is escaped: only the field looks like this.
    ranked_locally = digest_table.c.body.contains('"judged":false', autoescape=True)
    query = (
        select(digest_table.c.picks, digest_table.c.scanned)
        .where(digest_table.c.rubric == slug, _OF_ONE_DATE, ~ranked_locally)
        .order_by(digest_table.c.date.desc())
        .limit(limit)
    )
    return [(row.picks, row.scanned) for row in tx.execute(query)]


def _summary(row: Row[Any]) -> DigestSummary:
    fields = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name for a row as mapping
    fields["kind"] = DayKind(fields["kind"])
    return DigestSummary(**fields)


def _bodies(slug: str) -> Select[int, str]:
    query = select(digest_table.c.id, digest_table.c.body)
    return query.where(digest_table.c.rubric == slug, _OF_ONE_DATE)


def _one(tx: Connection, query: Select[int, str]) -> tuple[int, Digest] | None:
    row = tx.execute(query).first()
    return (row[0], _digest(row[0], row[1])) if row else None


def _digest(key: int, body: str) -> Digest:
    """Raises StoreError for a damaged body: it must not count as missing."""
    try:
        return codec().validate_json(body)
    except ValueError:
        message = f"digest {key} is damaged in the database; restore it from a backup"
        raise StoreError(message) from None


# Built once: each wake-up runs them for each rubric.
_SAVED_SINCE = (
    select(*(digest_table.c[name] for name in StoredDigest._fields))
    .where(
        digest_table.c.rubric == bindparam("slug"),
        digest_table.c.date >= bindparam("first"),
        _OF_ONE_DATE,
    )
    .order_by(digest_table.c.date)
)
_ALL_SINCE = (
    select(*(digest_table.c[name] for name in ("rubric", "since", *StoredDigest._fields)))
    .where(digest_table.c.date >= bindparam("first"))
    .order_by(digest_table.c.date)
)
_IDS_SINCE = (
    select(*(digest_table.c[name] for name in ("id", "rubric", "since", "date")))
    .where(digest_table.c.date >= bindparam("first"))
    .order_by(digest_table.c.date)
)
