"""Papers that somebody likes, read from a file: BibTeX, RIS, Zotero's CSV, or arXiv ids and links.

What a file holds is data by strangers: it is cut to a size, and cleaned before anything shows it.
"""

from __future__ import annotations

import csv
import io
import logging
import re
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice, repeat
from typing import TYPE_CHECKING

from newsletter.domain.rubric_draft import LibraryPaper
from newsletter.domain.sanitize import strip_invisible
from newsletter.domain.search_query import BARE_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAX_BYTES = 10 * 2**20
MAX_PAPERS = 500
"""Of one file, in its order: a draft needs no more to know what they have in common."""
MAX_ENTRIES = 1_000
"""Of one file, what a parser sees; further entries are counted."""
MAX_CHARACTERS = 1_500_000
"""Of a BibTeX file, what the parser sees: it needs 30 µs and 1.5 kB for each `@`."""
TITLE_LIMIT, ABSTRACT_LIMIT, AUTHORS = 400, 4_000, 20

ARXIV_ID = re.compile(
    rf"(?<![\w./])(?:arxiv[:.])?({BARE_ID})(?:v\d+)?(?![\w/]|\.\d)",
    re.IGNORECASE | re.ASCII,
)
ARXIV_LINK = re.compile(
    rf"arxiv\.org/(?:abs|pdf|html)/({BARE_ID})",
    re.IGNORECASE | re.ASCII,
)
CATEGORY = re.compile(r"\b[a-z-]+(?:\.[A-Za-z-]+)?\b")
LATEX_BRACES = re.compile(r"[{}]")
BIBTEX_PLACES = ("eprint", "arxivid", "url", "journal", "doi")
RIS_PLACES = ("id", "doi", "number", "publisher", "journal_name")
"""Fields in which programs write an arXiv id."""
ZOTERO_COLUMNS = (
    "Title",
    "Abstract Note",
    "Author",
    "Extra",
    "Url",
    "DOI",
    "Archive Location",
)
RIS_START = re.compile(r"\s*TY {1,2}- ")
RIS_ENTRY = re.compile(r"^[ \t]*TY {1,2}- ", re.MULTILINE)
BIBTEX_ENTRY = re.compile(r"@\w+[ \t]*[{(]")
BIBTEX_LINE = re.compile(rf"^[ \t]*{BIBTEX_ENTRY.pattern}", re.MULTILINE)


UTF_16 = (b"\xff\xfe", b"\xfe\xff")
NEVER_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f]")
NO_TEXT = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a Word file or an archive",
    b"{\\rtf": "an RTF file",
    b"\xd0\xcf\x11\xe0": "an Office file",
}
"""First bytes of files that are no text but are often uploaded by mistake."""
WANTED = (
    "export your papers as BibTeX or RIS from Zotero, Mendeley, JabRef or EndNote, or paste the "
    "arXiv ids of a few"
)
ACCENT = re.compile(
    r"""\\(?:([`'^"~=.])\s*|([uvHcdbrk])(?:\s+|(?=\{)))(?:\{(\\[ij]|[A-Za-z])\}|(\\[ij]\b|[A-Za-z]))"""
)
COMBINING = dict(
    zip(
        "`'^\"~=.uvHcdbrk",
        "\u0300\u0301\u0302\u0308\u0303\u0304\u0307\u0306\u030c\u030b\u0327\u0323"
        "\u0331\u030a\u0328",
        strict=True,
    )
)
"""TeX's accents, which stand before their letter, as Unicode's, which stand after it."""


class LibraryError(Exception):
    """A file that cannot be read; the message says why and which formats can."""


@dataclass(frozen=True, slots=True)
class Library:
    """`skipped` counts entries without a title and without an arXiv id, or beyond MAX_PAPERS."""

    kind: str
    papers: tuple[LibraryPaper, ...]
    skipped: int = 0


def read_library(data: bytes) -> Library:
    """Read a file; its format is known by its content. Raises LibraryError."""
    if len(data) > MAX_BYTES:
        message = f"it has {len(data) / 2**20:.1f} MB; at most {MAX_BYTES // 2**20} MB are read"
        raise LibraryError(message)
    text = _decoded(data)
    kind, read = _format(text)
    try:
        entries = list(read(text))
    except (ValueError, RecursionError, csv.Error, OSError, KeyError) as error:
        message = f"it looks like {kind}, but is not readable: {strip_invisible(str(error))[:200]}"
        raise LibraryError(message) from error
    known = [entry for entry in entries if entry.title or entry.arxiv_id]
    unique = tuple(dict.fromkeys(known))
    if not unique:
        message = f"no paper was found in it; {WANTED}"
        raise LibraryError(message)
    return Library(kind, unique[:MAX_PAPERS], len(entries) - len(unique[:MAX_PAPERS]))


def _decoded(data: bytes) -> str:
    """The text of a file: UTF-8, UTF-16 with its mark, else Windows-1252, as EndNote writes.

    Raises LibraryError for what is no text.
    """
    if not data.strip():
        message = "it is empty"
        raise LibraryError(message)
    kind = next((name for start, name in NO_TEXT.items() if data.startswith(start)), "")
    encodings = ["utf-16"] if data.startswith(UTF_16) else ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        with suppress(UnicodeDecodeError):
            text = data.decode(encoding)
            if not kind and not NEVER_TEXT.search(text):
                return text
            break
    message = f"it is {kind or 'not a text file'}; {WANTED}"
    raise LibraryError(message)


def _format(text: str) -> tuple[str, Callable[[str], Iterable[LibraryPaper]]]:
    if RIS_START.match(text):
        return "RIS", _ris
    header = text.split("\n", 1)[0]
    if "Item Type" in header and "Title" in header:
        return "Zotero's CSV", _zotero
    if BIBTEX_LINE.search(text):
        return "BibTeX", _bibtex
    return "a list of arXiv ids", _ids


def _bibtex(text: str) -> Iterable[LibraryPaper]:
    from bibtexparser.entrypoint import parse_string
    from bibtexparser.model import Entry

    # It logs each entry that it cannot read; these are counted instead.
    logging.getLogger("bibtexparser").setLevel(logging.CRITICAL)
    first, beyond = _first_entries(text, BIBTEX_ENTRY, MAX_CHARACTERS)
    parsed = parse_string(first)
    # A key or a field that is there twice makes an entry fail, and the entry comes with it.
    failed = [block.ignore_error_block for block in parsed.failed_blocks]
    repeated = [block for block in failed if isinstance(block, Entry)]
    for entry in [*parsed.entries, *repeated]:
        fields = {field.key.lower(): str(field.value) for field in entry.fields}
        yield _paper(
            title=_without_tex(fields.get("title", "")),
            abstract=_without_tex(fields.get("abstract", "")),
            authors=_one_line(_without_tex(fields.get("author", ""))).split(" and "),
            places=[fields.get(name, "") for name in BIBTEX_PLACES],
            category=fields.get("primaryclass", ""),
        )
    yield from repeat(LibraryPaper(""), beyond + len(failed) - len(repeated))


def _without_tex(text: str) -> str:
    """The text without braces, with TeX's accents on their letters."""
    composed = ACCENT.sub(_accented, text) if "\\" in text else text
    return LATEX_BRACES.sub("", composed)


def _accented(found: re.Match[str]) -> str:
    letter = (found[3] or found[4]).removeprefix("\\")
    return unicodedata.normalize("NFC", letter + COMBINING[found[1] or found[2]])


def _first_entries(text: str, entry: re.Pattern[str], most: int) -> tuple[str, int]:
    """The text that is parsed, and how many entries begin after it."""
    beginnings = [found.start() for found in entry.finditer(text)]
    end = min([*beginnings[MAX_ENTRIES : MAX_ENTRIES + 1], most])
    return text[:end], sum(start >= end for start in beginnings)


def _ris(text: str) -> Iterable[LibraryPaper]:
    import rispy

    first, beyond = _first_entries(text, RIS_ENTRY, len(text))
    for entry in rispy.loads(first):
        places = [entry.get(name, "") for name in RIS_PLACES]
        yield _paper(
            title=entry.get("title") or entry.get("primary_title") or "",
            abstract=entry.get("abstract") or entry.get("notes_abstract") or "",
            authors=entry.get("authors") or entry.get("first_authors") or (),
            places=[*places, *entry.get("urls", ()), entry.get("url", "")],
        )
    yield from repeat(LibraryPaper(""), beyond)


def _zotero(text: str) -> Iterable[LibraryPaper]:
    rows = (row for row in csv.reader(io.StringIO(text)) if row)
    header = next(rows)
    columns = [(name, header.index(name)) for name in ZOTERO_COLUMNS if name in header]
    for row in islice(rows, MAX_ENTRIES):
        found = {name: row[at] for name, at in columns if at < len(row)}
        cells = dict.fromkeys(ZOTERO_COLUMNS, "") | found
        yield _paper(
            title=cells["Title"],
            abstract=cells["Abstract Note"],
            authors=cells["Author"].split(";"),
            places=[cells[name] for name in ("Extra", "Url", "DOI", "Archive Location")],
        )
    yield from repeat(LibraryPaper(""), sum(1 for _ in rows))


def _ids(text: str) -> Iterable[LibraryPaper]:
    for line in text.splitlines():
        found = ARXIV_LINK.findall(line) or ARXIV_ID.findall(line)
        yield from (LibraryPaper("", arxiv_id=one) for one in found)


def _paper(
    *,
    title: str,
    abstract: str,
    authors: Iterable[str],
    places: Iterable[str],
    category: str = "",
) -> LibraryPaper:
    names = [strip_invisible(str(name))[:100] for name in authors]
    return LibraryPaper(
        title=strip_invisible(str(title))[:TITLE_LIMIT],
        abstract=strip_invisible(str(abstract))[:ABSTRACT_LIMIT],
        authors=tuple(name for name in names if name)[:AUTHORS],
        arxiv_id=_arxiv_id(places),
        category=category.strip() if CATEGORY.fullmatch(category.strip()) else "",
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _arxiv_id(places: Iterable[str]) -> str:
    """The first arXiv id in any of these texts: `2509.12345`, `arXiv:2509.12345v2`, a link."""
    for place in places:
        text = str(place)
        if found := ARXIV_LINK.search(text) or ARXIV_ID.search(text):
            return found[1]
    return ""
