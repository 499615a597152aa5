"""News of a mailed paper: what its arXiv metadata says now and did not say when mailed (pure).

Authors add these to the comment, the journal reference and the DOI, often without a new version
(info.arxiv.org/help/prep.html). Only what is said in plain words is news; whatever is doubtful is
not. That a paper was withdrawn is decided in `withdrawals.py`.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.model import NewsKind

if TYPE_CHECKING:
    from collections.abc import Collection

NEWS_WINDOW = timedelta(days=90)
"""How long after it was mailed a paper is watched for news."""
MAX_READ = 2_000
"""Characters of a field that are read: more than arXiv accepts."""
MAX_SAID = 400


class PaperMetadata(NamedTuple):
    """The fields that can hold news; an empty `title` means that nothing is known."""

    title: str
    comment: str = ""
    journal_ref: str = ""
    doi: str = ""
    withdrawn: bool = False


class NewsItem(NamedTuple):
    """`said` is the new title, the journal reference or the authors' words."""

    kind: NewsKind
    said: str
    doi: str = ""


_AS = r"(?:\s+and\s+presented|\s+(?:as|for)\s+(?:an?\s+)?[\w-]+(?:\s+[\w/-]+){0,3})?"
PUBLISHED = re.compile(rf"(?<!\bbe )(?<!\bsoon )\bpublished{_AS}\s+(?:at|in|by)\b", re.IGNORECASE)
ACCEPTED = re.compile(
    rf"\baccepted{_AS}\s+(?:at|by|to|in|for)\b"
    r"|\b(?:to|will)\s+(?:appear|be\s+published)\b(?:\s+\w+){0,5}?\s+(?:in|at|by)\b"
    r"|\bsoon\s+published\s+(?:at|in|by)\b"
    r"|\bin\s+press\b",
    re.IGNORECASE,
)
DOUBTFUL = re.compile(
    # Not decided yet.
    r"\b(?:not|never|if|once|when|until|upon|conditional\w*|provisional\w*|tentative\w*|pending"
    r"|submitted\s+to|under\s+review|reject\w*"
    # Another paper, or another version of this one.
    r"|(?:full|long(?:er)?|short(?:er|ened)?|first|initial)\s+version"
    r"|extend\w*|extens\w+|expanded|(?:un)?abridged|earlier|previous|preliminary|prior|older"
    r"|translat\w+|companion|follow-?up"
    r"|based\s+on|builds?\s+(?:up)?on|supplement\w*|appendi\w+"
    # Something else than the paper.
    r"|code|data|datasets?|models?|weights|artifact|demo|video|slides|tutorial|patent)\b",
    re.IGNORECASE,
)
LENGTH = re.compile(r"[.;,]?\s+\d+\s*(?:pages?|pp|figures?|tables?)\b.*", re.IGNORECASE)
"""What authors write of a paper's length, and all behind it."""
CLAUSE_START = re.compile(r"[.;,:]\s+")
NOT_PUBLISHED = re.compile(
    r"\b(?:submi\w+|under\s+(?:review|consideration)|(?:in|under)\s+preparation|preprint|arxiv"
    r"|reject\w*|unpublished|none|n/a)\b",
    re.IGNORECASE,
)
NOT_YET_PUBLISHED = re.compile(
    r"\b(?:to\s+appear|to\s+be\s+published|forthcoming|accepted|in\s+press)\b", re.IGNORECASE
)
DOI = re.compile(r"10\.\d{4,9}/\S+")
REPOSITORIES = (
    *("10.48550/", "10.5281/", "10.6084/", "10.17605/", "10.57967/", "10.31219/", "10.31234/"),
    *("10.2139/", "10.20944/", "10.1101/", "10.36227/", "10.21203/", "10.26434/", "10.7910/"),
)
"""DOI prefixes of arXiv, of other preprint servers and of data: not of a publication."""


def news_of(
    mailed: PaperMetadata, current: PaperMetadata, told: Collection[NewsKind] = ()
) -> list[NewsItem]:
    """What is new in `current`. Kinds that were `told` before are left out.

    A published paper is not reported as accepted as well. A withdrawn paper has no other news.
    """
    if not current.title or current.withdrawn:
        return []
    found = []
    if _letters(current.title) != _letters(mailed.title):
        found.append(NewsItem(NewsKind.RETITLED, current.title))
    appeared, before = _appearance(current), _appearance(mailed)
    if appeared and _rank(appeared) > _rank(before):
        found.append(appeared)
    out = {*told, NewsKind.ACCEPTED} if NewsKind.PUBLISHED in told else set(told)
    return [item for item in found if item.kind not in out]


def _rank(item: NewsItem | None) -> int:
    """Sort key of kinds: published, then accepted, then the others."""
    return 0 if item is None else 2 if item.kind is NewsKind.PUBLISHED else 1


def _appearance(paper: PaperMetadata) -> NewsItem | None:
    """Whether and where the paper was published or accepted, the surest statement first."""
    journal = paper.journal_ref[:MAX_READ]
    doi = _publication_doi(paper.doi)
    if re.search(r"\w", journal) and not NOT_PUBLISHED.search(journal):
        kind = NewsKind.ACCEPTED if NOT_YET_PUBLISHED.search(journal) else NewsKind.PUBLISHED
        return NewsItem(kind, journal[:MAX_SAID], doi)
    comment = paper.comment[:MAX_READ]
    if said := _statement(PUBLISHED, comment):
        return NewsItem(NewsKind.PUBLISHED, said, doi)
    if doi:
        return NewsItem(NewsKind.PUBLISHED, "", doi)
    if said := _statement(ACCEPTED, comment):
        return NewsItem(NewsKind.ACCEPTED, said)
    return None


def _statement(pattern: re.Pattern[str], comment: str) -> str:
    """The comment from the clause on that fits the pattern without doubt, up to the length."""
    for match in pattern.finditer(comment):
        starts = [one.end() for one in CLAUSE_START.finditer(comment, 0, match.start())]
        start = starts[-1] if starts else 0
        if not DOUBTFUL.search(comment, start, match.start()):
            return LENGTH.sub("", comment[start:])[:MAX_SAID]
    return ""


def _publication_doi(text: str) -> str:
    found = DOI.search(text[:MAX_READ])
    return "" if found is None or found[0].startswith(REPOSITORIES) else found[0]


def _letters(title: str) -> str:
    """A title's letters and digits: case, accents, punctuation and TeX commands do not count."""
    plain = unicodedata.normalize("NFKD", re.sub(r"\\[a-zA-Z]+", "", title[:MAX_READ]))
    return "".join(one for one in plain.casefold() if one.isalnum())
