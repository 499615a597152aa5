"""The authors' own note on a paper: arXiv's comment, journal reference, DOI and links (pure).

https://info.arxiv.org/help/prep.html#comments
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlsplit

from newsletter.domain.sanitize import clean
from newsletter.render.truncate import one_line

if TYPE_CHECKING:
    from newsletter.domain.model import Paper

MAX_NOTE = 200
MAX_URL = 200
MAX_LINKS = 2
URL = re.compile(r"https?://[^\s<>\"'{}|\\^`]+", re.IGNORECASE)
ESCAPED = re.compile(r"\\([_%#&~])")
HOST = re.compile(r"(?:[a-z0-9-]+\.)+[a-z]{2,24}")
DOI = re.compile(r"10\.\d{4,9}/[^\s\"<>]{1,150}")
# Pages of arXiv and the DOI have links of their own.
OWN_HOSTS = ("arxiv.org", "doi.org")


class FoundLink(NamedTuple):
    """A link that the authors named, shown by its host."""

    host: str
    url: str


def note_of(paper: Paper) -> str:
    """The comment and the journal reference on one line; a URL is shown by its host."""
    # Some authors fill the field with a dash, or with nothing but a link, which is shown as such.
    texts = (clean(text) for text in (paper.comment, paper.journal_ref))
    said = (text for text in texts if re.search(r"\w", URL.sub("", text)))
    return " · ".join(one_line(with_hosts(text), MAX_NOTE).strip(" .;,") for text in said)


def doi_link(text: str) -> str:
    """The address of the first DOI, or the empty string."""
    found = DOI.match(clean(text).strip())
    return f"https://doi.org/{quote(found[0], safe='/.()-_:;')}" if found else ""


def links_of(paper: Paper, most: int = MAX_LINKS) -> tuple[FoundLink, ...]:
    """The first links of the note and of the abstract: http and https, one for each address."""
    text = ESCAPED.sub(r"\1", clean(f"{paper.comment} {paper.abstract}"))
    found: dict[str, FoundLink] = {}
    for url in URL.findall(text):
        link = _link(url)
        if link and not link.host.endswith(OWN_HOSTS):
            found.setdefault(link.url.removesuffix(".git").rstrip("/"), link)
    return tuple(found.values())[:most]


def _link(url: str) -> FoundLink | None:
    url = url.rstrip(".,;:!?*_")
    if ")" in url and "(" not in url:
        url = url.partition(")")[0]
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return None
    plain = url.isascii() and len(url) <= MAX_URL and "@" not in parts.netloc and port is None
    if not plain or not HOST.fullmatch(host):
        return None
    return FoundLink(host.removeprefix("www."), url)


def with_hosts(text: str) -> str:
    """Sanitized text in which each URL is shown by its host."""

    def host(found: re.Match[str]) -> str:
        link = _link(found[0])
        return f"{link.host}{found[0][len(link.url) :]}" if link else ""

    return URL.sub(host, ESCAPED.sub(r"\1", clean(text)))
