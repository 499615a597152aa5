"""Full-text search of picked papers: FTS5 on SQLite, text search on PostgreSQL.

The text is in one plain table. `prepare` builds the index from it, so that a copied database is
searchable after its first start. CODEC converts digests to and from their stored JSON.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from sqlalchemy import Float, bindparam, func, insert, literal_column, select, text

from newsletter.domain.model import Digest
from newsletter.store.tables import archive_text
from newsletter.store.tables import digest as digest_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from sqlalchemy import ColumnElement, Connection, Select

    from newsletter.domain.model import Pick

CODEC: TypeAdapter[Digest] = TypeAdapter(Digest)

MAX_TERMS = 12
WORD = re.compile(r'"([^"]*)"|(\S+)')
FIELDS = ("title", "authors", "abstract", "comment")
SQLITE_INDEX = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS archive_words USING fts5("
    "title, authors, abstract, comment, content='archive_text', content_rowid='id', "
    "tokenize='porter unicode61 remove_diacritics 2')"
)
# PostgreSQL uses an index only for the very expression it was made of: the query takes it too.
POSTGRES_WORDS = (
    "to_tsvector('english', title || ' ' || authors || ' ' || abstract || ' ' || comment)"
)
POSTGRES_WEIGHED = " || ".join(
    f"setweight(to_tsvector('english', {name}), '{weight}')"
    for name, weight in zip(("title", "authors", "comment", "abstract"), "ABCD", strict=True)
)
POSTGRES_INDEX = (
    f"CREATE INDEX IF NOT EXISTS ix_archive_words ON archive_text USING gin ({POSTGRES_WORDS})"
)


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A picked paper that holds the words; `number` is its place in its digest."""

    rubric: str
    date: date
    number: int
    paper_id: str
    title: str
    authors: str
    comment: str


def prepare(tx: Connection) -> int:
    """Make the index and take in the digests it lacks; answer how many. Safe to run again."""
    tx.execute(text(SQLITE_INDEX if _is_sqlite(tx) else POSTGRES_INDEX))
    known = select(archive_text.c.digest_id)
    missing = select(digest_table.c.id, digest_table.c.body).where(
        digest_table.c.picks > 0, digest_table.c.id.not_in(known)
    )
    rows = tx.execute(missing.order_by(digest_table.c.id)).all()
    for digest_id, body in rows:
        _add(tx, digest_id, CODEC.validate_json(body))
    if _is_sqlite(tx):
        # The plain table may have come from elsewhere (a copy, a restore): count what is indexed.
        plain = tx.scalar(select(func.count()).select_from(archive_text))
        if plain != tx.scalar(text("SELECT count(*) FROM archive_words_docsize")):
            tx.execute(text("INSERT INTO archive_words(archive_words) VALUES ('rebuild')"))
    return len(rows)


def add(tx: Connection, digest_id: int, digest: Digest) -> None:
    """Take in one digest, in the transaction that freezes it."""
    if _is_sqlite(tx):
        tx.execute(text(SQLITE_INDEX))
    _add(tx, digest_id, digest)


def _add(tx: Connection, digest_id: int, digest: Digest) -> None:
    for number, pick in enumerate(digest.picks, 1):
        paper = pick.paper
        words = {
            "title": paper.title,
            "authors": ", ".join(paper.authors),
            "abstract": paper.abstract,
            "comment": _comment(pick),
        }
        row = {
            "digest_id": digest_id,
            "number": number,
            "rubric": digest.rubric.slug,
            "date": digest.date,
            "paper_id": paper.id,
            **words,
        }
        key = tx.execute(insert(archive_text).values(row)).inserted_primary_key
        if _is_sqlite(tx) and key:
            columns = "rowid, title, authors, abstract, comment"
            values = ":id, :title, :authors, :abstract, :comment"
            statement = f"INSERT INTO archive_words({columns}) VALUES ({values})"  # noqa: S608 - our own names
            tx.execute(text(statement), {"id": key[0], **words})


def _comment(pick: Pick) -> str:
    """Why it matched, and all its ids where it has several: each of them finds it."""
    said = pick.score.comment if pick.score else ""
    if not pick.also:
        return said
    ids = ", also ".join(f"arXiv:{one}" for one in (pick.paper.id, *pick.also))
    return f"{ids}. {said}".rstrip()


def terms(query: str) -> list[str]:
    """The words and "quoted phrases" of a search, without what a search language would read."""
    found = []
    for phrase, word in WORD.findall(query):
        # PostgreSQL reads 2611.00001 and 3.5 as one number each: their dot is kept.
        plain = " ".join(re.findall(r"\w+(?:\.\w+)*", phrase or word))
        if plain:
            found.append(plain)
    return found[:MAX_TERMS]


def find(
    tx: Connection, rubrics: Sequence[str], query: str, *, limit: int, skip: int = 0
) -> list[SearchHit]:
    """Picked papers of these rubrics that hold every term, the best match first, then the newest.

    A paper that several issues picked is named once, as it matched best.
    """
    wanted = terms(query)
    if not wanted or not rubrics:
        return []
    columns = [archive_text.c[name] for name in SearchHit.__slots__]
    chosen = select(*columns).where(archive_text.c.rubric.in_(rubrics))
    match = _in_sqlite(chosen, wanted) if _is_sqlite(tx) else _in_postgres(chosen, wanted)
    hits = match.subquery()
    order = hits.c.distance, hits.c.date.desc(), hits.c.number
    place = func.row_number().over(partition_by=hits.c.paper_id, order_by=order).label("place")
    best = select(hits, place).subquery()
    shown = select(*(best.c[name] for name in SearchHit.__slots__)).where(best.c.place == 1)
    shown = shown.order_by(best.c.distance, best.c.date.desc(), best.c.number)
    return [SearchHit(*row) for row in tx.execute(shown.limit(limit).offset(skip))]


def _in_sqlite(chosen: Select[Any], wanted: list[str]) -> Select[Any]:
    match = " ".join(f'"{term}"' for term in wanted)
    hits = text("archive_words MATCH :match").bindparams(match=match)
    index = text("archive_words"), literal_column("archive_words.rowid") == archive_text.c.id
    distance = literal_column("bm25(archive_words, 8.0, 4.0, 1.0, 2.0)", Float)
    return chosen.add_columns(distance.label("distance")).join(*index).where(hits)


def _in_postgres(chosen: Select[Any], wanted: list[str]) -> Select[Any]:
    words: ColumnElement[object] = literal_column(POSTGRES_WORDS)
    asked: ColumnElement[object] = func.phraseto_tsquery("english", bindparam("term0", wanted[0]))
    for place, term in enumerate(wanted[1:], 1):
        more = func.phraseto_tsquery("english", bindparam(f"term{place}", term))
        asked = asked.op("&&")(more)
    distance = -func.ts_rank(literal_column(f"({POSTGRES_WEIGHED})"), asked, type_=Float)
    return chosen.add_columns(distance.label("distance")).where(words.op("@@")(asked))


def _is_sqlite(tx: Connection) -> bool:
    return tx.dialect.name == "sqlite"
