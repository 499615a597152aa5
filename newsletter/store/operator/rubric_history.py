"""Texts of rubrics for the operator's page: what digests were made with, and readers' own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import TypeAdapter
from sqlalchemy import case, func, select

from newsletter.domain.model import Rubric
from newsletter.store import StoreError
from newsletter.store.tables import (
    digest,
    reader_rubric,
    reader_rubric_version,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from sqlalchemy import Connection, Row

    Issue = Row[Any, Any, Any, Any]

MAX_ISSUES = 260
"""Digests that are looked at: a year of weekdays."""
PAGE = 20
"""Digests whose beginnings are read at once."""
FROZEN_CHARACTERS = 80_000
"""Of a digest's body: it begins with its rubric, of 24,000 characters before JSON escapes some."""
START = '{"rubric":'
_RUBRIC = TypeAdapter(Rubric)


class MailedVersion(NamedTuple):
    """A rubric as digests of following dates have it, and what they cost."""

    rubric: Rubric
    first: date
    last: date
    issues: int
    picks: int
    cost_nanos: int


def versions(tx: Connection, slug: str) -> list[MailedVersion]:
    """The versions that digests were made with, the newest first.

    A rubric that came back to an earlier text counts as another version.
    """
    columns = digest.c.id, digest.c.date, digest.c.picks, digest.c.cost_nanos
    query = (
        select(*columns)
        .where(digest.c.rubric == slug, digest.c.since == digest.c.date)
        .order_by(digest.c.date.desc())
        .limit(MAX_ISSUES)
    )
    found: list[MailedVersion] = []
    newest = ""
    for row, start in _with_starts(tx, tx.execute(query).all()):
        if found and newest and start.startswith(newest):
            known = found[-1]
            found[-1] = known._replace(
                first=row.date,
                issues=known.issues + 1,
                picks=known.picks + row.picks,
                cost_nanos=known.cost_nanos + row.cost_nanos,
            )
            continue
        frozen, newest = _frozen(start)
        found.append(MailedVersion(frozen, row.date, row.date, 1, row.picks, row.cost_nanos))
    return found


def _with_starts(tx: Connection, issues: Sequence[Issue]) -> Iterator[tuple[Issue, str]]:
    """Each issue with the beginning of its body: its rubric and more, or its rubric alone.

    To read 80,000 characters of each takes PostgreSQL 50 ms. Most digests begin as the one after
    them, which it can tell from as many characters as that rubric has.
    """
    known = ""
    for begin in range(0, len(issues), PAGE):
        page = issues[begin : begin + PAGE]
        whole = func.substr(digest.c.body, 1, FROZEN_CHARACTERS)
        same = func.substr(digest.c.body, 1, len(known)) == known
        query = select(digest.c.id, case((same, None), else_=whole) if known else whole)
        rows = tx.execute(query.where(digest.c.id.in_([row.id for row in page])))
        starts = {row[0]: row[1] for row in rows}
        shown = [(row, starts[row.id] or known) for row in page]
        yield from shown
        known = _frozen(shown[-1][1])[1]


def _frozen(start: str) -> tuple[Rubric, str]:
    """The rubric at the beginning of a digest's body, and that beginning. Raises StoreError."""
    try:
        _, end = json.JSONDecoder().raw_decode(start, len(START))
        return _RUBRIC.validate_json(start[len(START) : end]), start[:end]
    except ValueError as error:
        message = "a digest is damaged in the database; restore it from a backup"
        raise StoreError(message) from error


def active_texts(tx: Connection, slugs: Sequence[str]) -> Mapping[str, str]:
    """The text in use of each of these reader rubrics."""
    texts = reader_rubric_version
    joined = (texts.c.slug == reader_rubric.c.slug) & (
        texts.c.version == reader_rubric.c.active_version
    )
    query = select(texts.c.slug, texts.c.text).join_from(reader_rubric, texts, joined)
    rows = tx.execute(query.where(reader_rubric.c.slug.in_(slugs)))
    return {row.slug: row.text for row in rows}
