"""Parse arXiv's announcement feed (RSS 2.0 or Atom), used to cross-check a fetch.

It holds the newest announcement only, replacements included. It may be a day old in spite of its
dates: only its ids are trusted (info.arxiv.org/help/rss.html).
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from newsletter.sources import ListingKind
from newsletter.sources.arxiv.atom import ATOM, well_formed
from newsletter.sources.arxiv.transport import InvalidResponseError

ARXIV = "{http://arxiv.org/schemas/atom}"
DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"
OAI_ID = re.compile(r"oai:arXiv\.org:(.+?)v([1-9]\d*)")
PREAMBLE = re.compile(r"^arXiv:\S+\s+Announce Type:\s*\S+\s+Abstract:\s*")


MAX_ITEMS = 2_000
"""arXiv's limit of items in a feed: a feed of that size may be truncated."""
KINDS = frozenset(kind.value for kind in ListingKind)


class FeedItem(NamedTuple):
    """One item of the feed. `authors` is one string, as in the feed."""

    id: str
    version: int
    kind: ListingKind
    title: str
    authors: str
    abstract: str
    categories: tuple[str, ...]


def read(body: bytes) -> list[FeedItem]:
    """The items of a feed; empty at weekends. Raises InvalidResponseError for an invalid feed."""
    root = well_formed(body)
    if root.tag == f"{ATOM}feed":
        return [_item(entry, ATOM, "id", "summary") for entry in root.iterfind(f"{ATOM}entry")]
    if root.tag == "rss" and root.find("channel") is not None:
        return [_item(item, "", "guid", "description") for item in root.iterfind("channel/item")]
    message = f"arXiv sent <{root.tag}> where its announcement feed was asked for"
    raise InvalidResponseError(message)


def _item(element: Any, space: str, identity: str, text: str) -> FeedItem:  # noqa: ANN401 - lxml has no types
    named = OAI_ID.fullmatch(_text(element, space + identity))
    kind = _text(element, f"{ARXIV}announce_type")
    title = _text(element, f"{space}title")
    if named is None or kind not in KINDS or not title:
        message = f"arXiv's announcement feed has an item without id, kind or title: {title!r}"
        raise InvalidResponseError(message)
    terms = element.findall(f"{space}category")
    return FeedItem(
        id=named[1],
        version=int(named[2]),
        kind=ListingKind(kind),
        title=title,
        authors=_text(element, f"{DUBLIN_CORE}creator"),
        abstract=PREAMBLE.sub("", _text(element, space + text)),
        categories=tuple((term.get("term") or term.text or "").strip() for term in terms),
    )


def _text(element: Any, path: str) -> str:  # noqa: ANN401 - lxml has no types
    return " ".join((element.findtext(path) or "").split())
