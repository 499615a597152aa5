"""The Atom feed of a rubric (RFC 4287): one entry for each issue (pure)."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, tostring

from newsletter.render import paper_news
from newsletter.render.paper_view import entries
from newsletter.render.summary import issue_title, notices
from newsletter.render.truncate import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from newsletter.domain.links import Links
    from newsletter.domain.model import Digest, Paper, Rubric

ATOM = "http://www.w3.org/2005/Atom"
MAX_TITLE = 200
MAX_ABSTRACT = 4_000


def feed(
    rubric: Rubric,
    digests: Sequence[Digest],
    stored_at: Mapping[date, datetime],
    links: Links,
    author: str,
) -> bytes:
    """The feed of `digests`, newest first; `stored_at` has the time each was stored."""
    home = links.rubric_url(rubric)
    root = Element("feed", xmlns=ATOM)
    root.set("xml:lang", "en")
    _add(root, "id", home)
    _add(root, "title", one_line(rubric.title, MAX_TITLE))
    # RFC 4287 requires `updated`; a feed without entries has the epoch.
    newest = max(stored_at.values(), default=None)
    _add(root, "updated", _stamp(newest))
    SubElement(root, "link", rel="self", href=links.feed_url(rubric), type="application/atom+xml")
    SubElement(root, "link", rel="alternate", href=home, type="text/html")
    _add(SubElement(root, "author"), "name", author)
    for digest in digests:
        _entry(root, digest, links.issue_url(rubric, digest.date), stored_at.get(digest.date))
    body: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return body


def reading_list_feed(
    papers: Sequence[tuple[Paper, datetime]], page_url: str, feed_url: str, author: str
) -> bytes:
    """The feed of a reader's saved papers, with the time of each, the newest first."""
    root = Element("feed", xmlns=ATOM)
    root.set("xml:lang", "en")
    _add(root, "id", page_url)
    _add(root, "title", "Reading list")
    _add(root, "updated", _stamp(papers[0][1] if papers else None))
    SubElement(root, "link", rel="self", href=feed_url, type="application/atom+xml")
    SubElement(root, "link", rel="alternate", href=page_url, type="text/html")
    _add(SubElement(root, "author"), "name", author)
    for paper, at in papers:
        entry = SubElement(root, "entry")
        _add(entry, "id", paper.abs_url)
        _add(entry, "title", one_line(paper.title, MAX_TITLE))
        _add(entry, "updated", _stamp(at))
        SubElement(entry, "link", rel="alternate", href=paper.abs_url, type="text/html")
        _add(entry, "summary", one_line(paper.abstract, MAX_ABSTRACT))
    body: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return body


def _entry(root: Element, digest: Digest, url: str, at: datetime | None) -> None:
    entry = SubElement(root, "entry")
    _add(entry, "id", url)
    _add(entry, "title", issue_title(digest, len(digest.picks)))
    _add(entry, "updated", _stamp(at))
    SubElement(entry, "link", rel="alternate", href=url, type="text/html")
    _add(entry, "content", _content(digest, url)).set("type", "html")


def _content(digest: Digest, url: str) -> str:
    """The papers as an HTML list. ElementTree escapes it once more, as XML."""
    parts = [f"<p>{escape(notice)}</p>" for notice in notices(digest, len(digest.picks))]
    items = [
        f'<li><a href="{escape(url)}#p{entry.number}">{escape(entry.title)}</a><br>'
        f"{escape(' · '.join((entry.first_authors, entry.scores, *entry.notes)))}"
        f"<br>{escape(entry.comment)}</li>"
        for entry in entries(digest.picks, judged=digest.judged)
    ]
    parts += ["<ol>", *items, "</ol>"] if items else []
    return "".join([*parts, *_news(digest)])


def _news(digest: Digest) -> list[str]:
    """The news of earlier papers: a heading and a list, or nothing."""
    items = [
        f'<li><a href="https://arxiv.org/abs/{escape(paper.id)}">{escape(paper.title)}</a><br>'
        f"{'; '.join(escape(one.label + one.said) for one in paper.statements)}</li>"
        for paper in paper_news.entries(digest)
    ]
    heading = f"<h2>{escape(paper_news.heading(digest))}</h2>"
    return [heading, "<ul>", *items, "</ul>"] if items else []


def _add(parent: Element, name: str, text: str) -> Element:
    child = SubElement(parent, name)
    child.text = text
    return child


def _stamp(at: datetime | None) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}" if at else "1970-01-01T00:00:00Z"
