"""Validate pages of the arXiv API, strictly where the `arxiv` package is lenient.

That parser recovers from a truncated document, skips entries without a date, and takes HTML for an
empty page (info.arxiv.org/help/api/user-manual.html, "Details of Atom Results Returned").
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from newsletter.domain.search_query import BARE_ID
from newsletter.sources.arxiv.transport import InvalidResponseError, ThrottledError

ATOM = "{http://www.w3.org/2005/Atom}"
ARXIV = "{http://arxiv.org/schemas/atom}"
OPENSEARCH = "{http://a9.com/-/spec/opensearch/1.1/}"
ENTRY_ID = re.compile(rf"https?://(?:export\.)?arxiv\.org/abs/({BARE_ID})(?:v([1-9]\d*))?")
TEXTS = ("title", "published", "updated")
"""Without an abstract or authors a paper is odd, but it is one: it must not stop the others."""


def total_results(body: bytes, start: int) -> int:
    """Validate the page at `start`; return the query's total number of papers.

    Raises InvalidResponseError for an invalid page, ThrottledError for "rate exceeded".
    """
    root = well_formed(body)
    if root.tag != f"{ATOM}feed":
        message = f"arXiv sent <{root.tag.rpartition('}')[2]}> instead of an Atom feed"
        raise InvalidResponseError(message)
    entries = root.findall(f"{ATOM}entry")
    for entry in entries:
        _require_fields(entry)
    total = (root.findtext(f"{OPENSEARCH}totalResults") or "").strip()
    if not (total.isascii() and total.isdigit()):
        message = "arXiv sent a page without a valid totalResults"
        raise InvalidResponseError(message)
    if not entries and (start or int(total)):
        message = f"arXiv sent an empty page at paper {start} of {total}"
        raise InvalidResponseError(message)
    if start + len(entries) > int(total):
        message = f"arXiv sent {start + len(entries)} papers, but totalResults is {total}"
        raise InvalidResponseError(message)
    return int(total)


def identity(entry_id: str) -> tuple[str, int]:
    """Id without version, and version, from an entry's URL. Raises InvalidResponseError."""
    named = ENTRY_ID.fullmatch(entry_id.strip())
    if named is None:
        message = f"arXiv sent an entry with an invalid id: {entry_id.strip() or 'none'}"
        raise InvalidResponseError(message)
    return named[1], int(named[2] or 1)


def is_id(text: str) -> bool:
    """Whether `text` is an id without a version, of any age."""
    return re.fullmatch(BARE_ID, text, re.ASCII) is not None


def well_formed(body: bytes) -> Any:  # noqa: ANN401 - lxml has no types
    """The root element of an XML document. Raises InvalidResponseError or ThrottledError."""
    from lxml import etree

    parser = etree.XMLParser(recover=False, resolve_entities=False, no_network=True)
    try:
        return etree.fromstring(body, parser=parser)
    except etree.XMLSyntaxError as error:
        if b"rate exceeded" in body[:2000].lower():
            message = "arXiv answered 'rate exceeded'"
            raise ThrottledError(message) from error
        message = f"arXiv sent an invalid XML document ({len(body)} bytes): {error.msg}"
        raise InvalidResponseError(message) from error


def _require_fields(entry: Any) -> None:  # noqa: ANN401 - lxml has no types
    address = entry.findtext(f"{ATOM}id") or ""
    if "/api/errors" in address:
        reason = " ".join((entry.findtext(f"{ATOM}summary") or "no reason given").split())
        message = f"arXiv answered with an error: {reason}"
        raise InvalidResponseError(message)
    paper, _ = identity(address)
    missing = [name for name in TEXTS if not (entry.findtext(f"{ATOM}{name}") or "").strip()]
    if not any(element.get("term") for element in entry.findall(f"{ATOM}category")):
        missing.append("category")
    missing += [name for name in ("published", "updated") if not _is_moment(entry, name)]
    if missing:
        message = f"arXiv sent an entry ({paper}) without {missing[0]}"
        raise InvalidResponseError(message)


def _is_moment(entry: Any, name: str) -> bool:  # noqa: ANN401 - lxml has no types
    try:
        datetime.fromisoformat((entry.findtext(f"{ATOM}{name}") or "").strip())
    except ValueError:
        return False
    return True
