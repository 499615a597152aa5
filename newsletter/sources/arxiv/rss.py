"""arXiv's announcement feed of today, as RSS 2.0 or Atom: to cross-check a fetch with.

It holds the newest announcement alone, replacements included, and may be a day old while its dates
claim otherwise: what counts are its ids (info.arxiv.org/help/rss.html).
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from newsletter.sources import ListingKind
from newsletter.sources.arxiv.atom import ATOM, well_formed
from newsletter.sources.arxiv.transport import NoAnswerError

ARXIV = "{http://arxiv.org/schemas/atom}"
DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"
OAI_ID = re.compile(r"oai:arXiv\.org:(.+?)v([1-9]\d*)")
PREAMBLE = re.compile(r"^arXiv:\S+\s+Announce Type:\s*\S+\s+Abstract:\s*")


LARGEST = 2_000
"""Items in a feed: arXiv gives no more, so a feed of that size may lack some."""
KINDS = frozenset(kind.value for kind in ListingKind)


class FeedItem(NamedTuple):
    """One line of the announcement. `authors` is one text, as the feed gives it."""

    id: str
    version: int
    kind: ListingKind
    title: str
    authors: str
    abstract: str
    categories: tuple[str, ...]


def read(body: bytes) -> list[FeedItem]:
    """The items of a whole feed; none at a weekend. Raises NoAnswerError for all else."""
    root = well_formed(body)
    if root.tag == f"{ATOM}feed":
        return [_item(entry, ATOM, "id", "summary") for entry in root.iterfind(f"{ATOM}entry")]
    if root.tag == "rss" and root.find("channel") is not None:
        return [_item(item, "", "guid", "description") for item in root.iterfind("channel/item")]
    message = f"arXiv sent <{root.tag}> where its announcement feed was asked for"
    raise NoAnswerError(message)


def _item(element: Any, space: str, identity: str, text: str) -> FeedItem:  # noqa: ANN401 - lxml has no types
    named = OAI_ID.fullmatch(_text(element, space + identity))
    kind = _text(element, f"{ARXIV}announce_type")
    title = _text(element, f"{space}title")
    if named is None or kind not in KINDS or not title:
        message = f"arXiv's announcement feed has an item without id, kind or title: {title!r}"
        raise NoAnswerError(message)
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
