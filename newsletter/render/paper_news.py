# ruff: noqa: RUF001 - typographic apostrophes are intended
"""The news of earlier papers as the email, the page and the feed show it (pure).

One entry for each paper; what is surest to matter first. Text is sanitized here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.formatting import short_date
from newsletter.domain.model import NewsKind
from newsletter.domain.sanitize import clean
from newsletter.render.author_note import doi_link, with_hosts
from newsletter.render.truncate import clip_words, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from newsletter.domain.model import Digest

MAX_TITLE = 160
MAX_SAID = 160
MAX_BYTES = 5_000
"""Of the entries in the email; the text part and the page have all of them."""
MAX_ENTRIES = 8
MAX_ENTRIES_LONG_ISSUE = 3
SHORT_TITLE = 50
ENTRY_BYTES = 150
"""Markup of an entry and its statements."""
LABELS = {
    NewsKind.WITHDRAWN: "Withdrawn",
    NewsKind.RETITLED: "New title",
    NewsKind.PUBLISHED: "Published",
    NewsKind.ACCEPTED: "Accepted",
}
"""In the order of the entries."""


class Statement(NamedTuple):
    """`label` is bold and `said` follows it: `: New words`, ` at NeurIPS 2025` or nothing."""

    label: str
    said: str
    doi_url: str = ""


@dataclass(frozen=True, slots=True)
class NewsEntry:
    """A paper of an earlier issue, under the title that it had there.

    A long issue shows `short_title` and `labels` alone: `withdrawn`, `new title, published`.
    """

    id: str
    title: str
    short_title: str
    labels: str
    sent: str
    statements: tuple[Statement, ...]


def heading(digest: Digest) -> str:
    """The heading above the news; an issue of several days has that of several issues."""
    return "News of earlier papers" if digest.since else "Since this rubric’s previous issue"


def entries(digest: Digest) -> list[NewsEntry]:
    """One entry for each paper, withdrawals first, then by the date of its issue."""
    items = [
        (NewsKind.WITHDRAWN, one.sent, one.paper_id, one.title, one.said, "")
        for one in digest.withdrawn
    ]
    items += [
        (one.kind, one.sent, one.paper_id, one.title, one.said, one.doi) for one in digest.news
    ]
    order = list(LABELS)
    items.sort(key=lambda item: (order.index(item[0]), item[1], item[2]))
    papers: dict[str, tuple[str, date, list[Statement]]] = {}
    for kind, sent, paper_id, title, said, doi in items:
        _, _, statements = papers.setdefault(paper_id, (title, sent, []))
        statements.append(_statement(kind, said, doi))
    return [_entry(paper_id, *found) for paper_id, found in papers.items()]


def _entry(paper_id: str, title: str, sent: date, statements: list[Statement]) -> NewsEntry:
    shown = one_line(title, MAX_TITLE) or "Untitled"
    return NewsEntry(
        id=clean(paper_id),
        title=shown,
        short_title=clip_words(shown, SHORT_TITLE),
        labels=", ".join(statement.label.lower() for statement in statements),
        sent=short_date(sent),
        statements=tuple(statements),
    )


def fitting(found: list[NewsEntry], *, long_issue: bool) -> list[NewsEntry]:
    """The first entries, as many as the email has room for."""
    most = MAX_ENTRIES_LONG_ISSUE if long_issue else MAX_ENTRIES
    room = MAX_BYTES
    for number, entry in enumerate(found[:most]):
        room -= ENTRY_BYTES + sum(len(escape(text).encode()) for text in _texts(entry))
        if room < 0:
            return found[:number]
    return found[:most]


def _texts(entry: NewsEntry) -> Iterable[str]:
    yield entry.title
    for statement in entry.statements:
        yield from statement


def _statement(kind: NewsKind, said: str, doi: str) -> Statement:
    """The label, and the words after it; words that repeat the label lose their first one."""
    label = LABELS[kind]
    if kind is NewsKind.RETITLED:
        return Statement(label, f": {one_line(said, MAX_SAID)}")
    words = one_line(with_hosts(said), MAX_SAID).strip(" .;,")
    if re.match(rf"{label}\b", words, re.IGNORECASE):
        words = words[len(label) :]
    elif words:
        words = f": {words}"
    return Statement(label, words, doi_link(doi))
