"""Parse arXiv's announcement feed (RSS 2.0 or Atom), used to cross-check a fetch.

It holds the newest announcement only, replacements included. It may be a day old in spite of its
dates: only its ids are trusted (info.arxiv.org/help/rss.html).
"""

from __future__ import annotations

import re
from typing import Any

from newsletter.sources import ListedPaper, ListingKind
from newsletter.sources.arxiv.atom import ARXIV, ATOM, well_formed
from newsletter.sources.arxiv.transport import InvalidResponseError

OAI_ID = re.compile(r"oai:arXiv\.org:(.+?)v([1-9]\d*)")
MAX_ITEMS = 2_000
"""arXiv's limit of items in a feed: a feed of that size may be truncated."""
KINDS = frozenset(kind.value for kind in ListingKind)


def read(body: bytes) -> list[ListedPaper]:
    """The items of a feed; empty at weekends. Raises InvalidResponseError for an invalid feed."""
    root = well_formed(body)
    if root.tag == f"{ATOM}feed":
        return [_item(entry, ATOM, "id") for entry in root.iterfind(f"{ATOM}entry")]
    if root.tag == "rss" and root.find("channel") is not None:
        return [_item(item, "", "guid") for item in root.iterfind("channel/item")]
    message = f"arXiv sent <{root.tag}> instead of its announcement feed"
    raise InvalidResponseError(message)


def _item(element: Any, space: str, identity: str) -> ListedPaper:  # noqa: ANN401 - lxml has no types
    text = _text(element, space + identity)
    named = OAI_ID.fullmatch(text)
    kind = _text(element, f"{ARXIV}announce_type")
    if named is None or kind not in KINDS:
        message = f"arXiv's announcement feed has an item without id or kind: {text!r} {kind!r}"
        raise InvalidResponseError(message)
    terms = element.findall(f"{space}category")
    categories = tuple((term.get("term") or term.text or "").strip() for term in terms)
    return ListedPaper(named[1], int(named[2]), ListingKind(kind), categories)


def _text(element: Any, path: str) -> str:  # noqa: ANN401 - lxml has no types
    return (element.findtext(path) or "").strip()
