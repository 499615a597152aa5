"""Full-text search of picked papers and near misses: FTS5 on SQLite, text search on PostgreSQL.

The text is in one plain table. `prepare` builds the index from it, so that a copied database is
searchable after its first start. `codec` converts digests to and from their stored JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import TypeAdapter
from sqlalchemy import (
    Float,
    Text,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    literal_column,
    select,
    text,
)

from newsletter.domain.model import Digest
from newsletter.domain.search_query import accents
from newsletter.store.tables import archive_text, digest_paper
from newsletter.store.tables import digest as digest_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from sqlalchemy import ColumnElement, Connection, Select

    from newsletter.domain.model import NearMiss, Pick
    from newsletter.domain.search_query import SearchQuery

FIELDS = ("title", "authors", "abstract", "comment")
SQLITE_INDEX = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS archive_words USING fts5("
    "title, authors, abstract, comment, content='archive_text', content_rowid='id', "
    "tokenize='porter unicode61 remove_diacritics 2')"
)
# PostgreSQL keeps the words of each row in a column that it fills itself (migration 0030): to read
# the texts of all rows that match anew takes half a second.
POSTGRES_INDEX = "CREATE INDEX IF NOT EXISTS ix_archive_words ON archive_text USING gin (words)"
FOLDED = str.maketrans(*accents())


@cache
def codec() -> TypeAdapter[Digest]:
    """Built at its first use: commands that read no digest save its 10 ms."""
    return TypeAdapter(Digest)


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A paper that matches; `number` is its place among the picks, -1, -2, ... for near misses."""

    rubric: str
    date: date
    number: int
    paper_id: str
    title: str
    authors: str
    comment: str


def prepare(tx: Connection) -> int:
    """Create the index, add the digests it lacks and return their number. Safe to repeat."""
    tx.execute(text(SQLITE_INDEX if _is_sqlite(tx) else POSTGRES_INDEX))
    known = select(archive_text.c.digest_id)
    missing = select(digest_table.c.id, digest_table.c.body).where(
        digest_table.c.picks > 0, digest_table.c.id.not_in(known)
    )
    rows = tx.execute(missing.order_by(digest_table.c.id)).all()
    for digest_id, body in rows:
        _add(tx, digest_id, codec().validate_json(body))
    if _is_sqlite(tx):
        # The plain table may have come from elsewhere (a copy, a restore): count what is indexed.
        plain = tx.scalar(select(func.count()).select_from(archive_text))
        if plain != tx.scalar(text("SELECT count(*) FROM archive_words_docsize")):
            tx.execute(text("INSERT INTO archive_words(archive_words) VALUES ('rebuild')"))
    return len(rows)


def add(tx: Connection, digest_id: int, digest: Digest) -> None:
    """Index one digest, in the transaction that stores it."""
    if _is_sqlite(tx):
        tx.execute(text(SQLITE_INDEX))
    _add(tx, digest_id, digest)


def _add(tx: Connection, digest_id: int, digest: Digest) -> None:
    shown: list[tuple[int, Pick | NearMiss]] = [*enumerate(digest.picks, 1)]
    shown += [(-place, miss) for place, miss in enumerate(digest.near_misses, 1)]
    for number, pick in shown:
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


def remove(tx: Connection, slug: str) -> None:
    """Remove a rubric's digests from the index."""
    mine = archive_text.c.rubric == slug
    if _is_sqlite(tx) and tx.scalar(select(archive_text.c.id).where(mine).limit(1)):
        # The index stores no text: a deletion must name it.
        columns = "rowid, title, authors, abstract, comment"
        tx.execute(
            text(
                f"INSERT INTO archive_words(archive_words, {columns}) "  # noqa: S608 - our own names
                "SELECT 'delete', id, title, authors, abstract, comment FROM archive_text "
                "WHERE rubric = :slug"
            ),
            {"slug": slug},
        )
    tx.execute(delete(archive_text).where(mine))


def _comment(pick: Pick | NearMiss) -> str:
    """Why it matched, and all its ids where it has several: each of them finds it."""
    said = pick.score.comment if pick.score else ""
    if not pick.also:
        return said
    ids = ", also ".join(f"arXiv:{one}" for one in (pick.paper.id, *pick.also))
    return f"{ids}. {said}".rstrip()


def best_titles(
    tx: Connection, slug: str, limit: int, *, on: date | None = None
) -> dict[date, list[str]]:
    """The titles of the first picks of each issue of a rubric, or of the issue of one date."""
    query = select(archive_text.c.date, archive_text.c.title).where(
        archive_text.c.rubric == slug, archive_text.c.number.between(1, limit)
    )
    if on:
        query = query.where(archive_text.c.date == on)
    found: dict[date, list[str]] = {}
    for row in tx.execute(query.order_by(archive_text.c.date, archive_text.c.number)):
        found.setdefault(row.date, []).append(row.title)
    return found


class SearchResult(NamedTuple):
    """A page of hits; `papers` is how many different papers there are on all pages."""

    hits: list[SearchHit]
    papers: int


def find(
    tx: Connection, rubrics: Sequence[str], query: SearchQuery, *, limit: int, skip: int = 0
) -> SearchResult:
    """Papers of these rubrics that match, the best match first, then the newest.

    A paper that several issues have is named once, as it matched best.
    """
    if not query or not rubrics:
        return SearchResult([], 0)
    hits = _matching(tx, rubrics, query).subquery()
    order = hits.c.distance, hits.c.date.desc(), hits.c.number
    place = func.row_number().over(partition_by=hits.c.paper_id, order_by=order).label("place")
    best = select(hits, place).subquery()
    shown = select(*(best.c[name] for name in SearchHit.__slots__), func.count().over())
    shown = shown.where(best.c.place == 1)
    shown = shown.order_by(best.c.distance, best.c.date.desc(), best.c.number)
    rows = tx.execute(shown.limit(limit).offset(skip)).all()
    if query.paper_id and not rows:
        # Where a paper has several ids, the others are in its comment.
        words = (query.paper_id, *query.terms)
        return find(tx, rubrics, replace(query, paper_id="", terms=words), limit=limit, skip=skip)
    return SearchResult([SearchHit(*row[:-1]) for row in rows], int(rows[0][-1]) if rows else 0)


def count(tx: Connection, rubrics: Sequence[str], query: SearchQuery) -> int:
    """How many different papers of these rubrics match."""
    if not query or not rubrics:
        return 0
    hits = _matching(tx, rubrics, query).subquery()
    return int(tx.execute(select(func.count(hits.c.paper_id.distinct()))).scalar_one())


def _matching(tx: Connection, rubrics: Sequence[str], query: SearchQuery) -> Select[Any]:
    text_of = archive_text.c
    chosen = select(*(text_of[name] for name in SearchHit.__slots__))
    chosen = chosen.where(text_of.rubric.in_(rubrics))
    chosen = chosen.where(text_of.number < 0 if query.near_misses else text_of.number > 0)
    if query.paper_id:
        # By the index of `digest_paper`: this table has none of papers.
        issues = select(digest_paper.c.digest_id).where(
            digest_paper.c.rubric.in_(rubrics), digest_paper.c.paper_id == query.paper_id
        )
        chosen = chosen.where(text_of.digest_id.in_(issues), text_of.paper_id == query.paper_id)
    if query.first:
        chosen = chosen.where(text_of.date >= query.first)
    if query.last:
        chosen = chosen.where(text_of.date <= query.last)
    if not (query.terms or query.authors):
        return chosen.add_columns(literal(0.0, Float).label("distance"))
    return _in_sqlite(chosen, query) if _is_sqlite(tx) else _in_postgres(chosen, query)


def _in_sqlite(chosen: Select[Any], query: SearchQuery) -> Select[Any]:
    words = [f'"{term}"' for term in query.terms]
    match = " ".join([*words, *(f'authors : "{name}"' for name in query.authors)])
    hits = text("archive_words MATCH :match").bindparams(match=match)
    index = text("archive_words"), literal_column("archive_words.rowid") == archive_text.c.id
    distance = literal_column("bm25(archive_words, 8.0, 4.0, 1.0, 2.0)", Float)
    return chosen.add_columns(distance.label("distance")).join(*index).where(hits)


def _in_postgres(chosen: Select[Any], query: SearchQuery) -> Select[Any]:
    words: ColumnElement[object] = literal_column("archive_text.words")
    phrases = [_phrase(f"term{place}", term) for place, term in enumerate(query.terms)]
    # Authors have the weight B.
    phrases += [_phrase(f"name{n}", name, "B") for n, name in enumerate(query.authors)]
    asked = phrases[0]
    for phrase in phrases[1:]:
        asked = asked.op("&&")(phrase)
    distance = -func.ts_rank(words, asked, type_=Float)
    return chosen.add_columns(distance.label("distance")).where(words.op("@@")(asked))


def _phrase(name: str, said: str, weight: str = "") -> ColumnElement[object]:
    plain: ColumnElement[str] = bindparam(name, said.translate(FOLDED))
    phrase: ColumnElement[object] = func.phraseto_tsquery("english", plain)
    if not weight:
        return phrase
    # Each of its words ends with a quote: 'ann':B <-> 'muller':B
    labelled = func.regexp_replace(cast(phrase, Text), "'(?= |$)", f"':{weight}", "g")
    return labelled.op("::")(literal_column("tsquery"))


def _is_sqlite(tx: Connection) -> bool:
    return tx.dialect.name == "sqlite"
