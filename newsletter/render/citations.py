"""Papers as BibTeX, RIS, Markdown and meta tags, for reference managers and notes (pure)."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.sanitize import clean
from newsletter.domain.tfidf import STOP_WORDS
from newsletter.render.truncate import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from newsletter.domain.model import Paper

MAX_TITLE, MAX_NAME, MAX_ABSTRACT, MAX_AUTHORS = 1_000, 120, 20_000, 1_000
GROUP_NAME = re.compile(r"\b(?:collaboration|consortium|team|group|project)\b", re.IGNORECASE)
SUFFIXES = {"Jr.", "Jr", "Sr.", "Sr", "II", "III", "IV"}
BRACES = re.compile(r"[{}]")
MATH = re.compile(r"(\$[^$]*\$)")
SPECIAL = re.compile(r"(?<!\\)([&%#_])")
MARKDOWN = re.compile(r"([\\`*_\[\]<>#|])")


class Citation(NamedTuple):
    """A paper, and why it was picked; empty where it was not."""

    paper: Paper
    reason: str = ""


def bibtex(citations: Sequence[Citation]) -> str:
    """Entries as arXiv makes them: `@misc` with `eprint` (info.arxiv.org/help/hypertex)."""
    from bibtexparser.entrypoint import write_string
    from bibtexparser.library import Library
    from bibtexparser.middlewares.parsestack import default_unparse_stack
    from bibtexparser.model import Entry, Field

    library = Library()
    for key, citation in zip(_keys(citations), citations, strict=True):
        fields = [Field(name, value) for name, value in _bibtex_fields(citation).items() if value]
        library.add(Entry("misc", key, fields))
    # The library is of no use afterwards: a copy of each entry would take half of the time.
    return write_string(library, default_unparse_stack(allow_inplace_modification=True))


def _bibtex_fields(citation: Citation) -> dict[str, str]:
    paper = citation.paper
    return {
        # The second braces keep the capitals of names and acronyms.
        "title": f"{{{_tex(paper.title, MAX_TITLE)}}}",
        "author": " and ".join(_bibtex_name(name) for name in paper.authors[:MAX_AUTHORS]),
        "year": f"{paper.published:%Y}",
        "month": f"{paper.published:%m}",
        "eprint": paper.id,
        "archivePrefix": "arXiv",
        "eprinttype": "arxiv",
        "primaryClass": paper.primary_category,
        "url": paper.abs_url,
        "doi": re.sub(r"[{}\\\s]", "", paper.doi),
        "note": _tex(paper.journal_ref, MAX_TITLE),
        "abstract": _tex(paper.abstract, MAX_ABSTRACT),
        "annote": _tex(one_line(citation.reason, MAX_TITLE), MAX_TITLE),
    }


def _bibtex_name(name: str) -> str:
    """`and` separates names, and a comma turns them round: both are hidden by braces."""
    plain = _tex(one_line(name, MAX_NAME), MAX_NAME)
    hidden = GROUP_NAME.search(plain) or re.search(r"\band\b", plain) or plain.count(",") > 1
    return f"{{{plain}}}" if hidden else plain


def _tex(text: str, limit: int) -> str:
    """One line of arXiv's TeX that cannot end its field: braces balanced, special signs escaped."""
    line = " ".join(clean(text).split())[:limit]
    # Some parsers count a brace behind a backslash, others do not.
    if BRACES.search(line) and not (
        _nested(line) and _nested(line.replace("\\{", "").replace("\\}", ""))
    ):
        line = _braceless(line)
    parts = MATH.split(line)
    return "".join(p if n % 2 else SPECIAL.sub(r"\\\1", p) for n, p in enumerate(parts)).rstrip(
        "\\"
    )


def _nested(line: str) -> bool:
    depth = 0
    for brace in BRACES.findall(line):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


def _braceless(text: str) -> str:
    return BRACES.sub("", text)


def _keys(citations: Iterable[Citation]) -> list[str]:
    """`vaswani2017attention`; a second one of the same gets a letter."""
    found: list[str] = []
    for paper, _ in citations:
        family = _letters(paper.authors[0].split(" ")[-1] if paper.authors else "") or "anonymous"
        words = [_letters(word) for word in paper.title.split()]
        first = next((word for word in words if word and word not in STOP_WORDS), "untitled")
        key, count = f"{family}{paper.published:%Y}{first}"[:60], 0
        while (one := key + ("" if not count else f"x{count}")) in found:
            count += 1
        found.append(one)
    return found


def _letters(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text)
    return "".join(sign for sign in plain.lower() if sign.isascii() and sign.isalnum())


def ris(citations: Sequence[Citation]) -> str:
    import rispy

    class Writer(rispy.RisWriter):
        def set_header(self, count: int) -> str:
            """No number before an entry: other programs do not write one."""
            del count
            return ""

    entries = [_ris_fields(citation) for citation in citations]
    return str(rispy.dumps(entries, implementation=Writer)).lstrip("\n")


def _ris_fields(citation: Citation) -> dict[str, object]:
    paper = citation.paper
    fields = {
        "type_of_reference": "RPRT",
        "title": one_line(paper.title, MAX_TITLE),
        "authors": [family_first(name) for name in paper.authors[:MAX_AUTHORS]],
        "date": f"{paper.published:%Y/%m/%d}",
        "year": f"{paper.published:%Y}",
        "publisher": "arXiv",
        "number": f"arXiv:{paper.id}",
        "doi": one_line(paper.doi, MAX_TITLE),
        "urls": [paper.abs_url],
        "abstract": one_line(paper.abstract, MAX_ABSTRACT),
        "notes": [text for text in (one_line(citation.reason, MAX_TITLE),) if text],
    }
    return {name: value for name, value in fields.items() if value}


def family_first(name: str) -> str:
    """`Lovelace, Ada`; names of groups, and those with a comma, as they are."""
    line = one_line(name, MAX_NAME)
    words = line.split(" ")
    if GROUP_NAME.search(line) or "," in line or len(words) == 1:
        return line
    suffix = [words.pop()] if words[-1] in SUFFIXES and len(words) > 2 else []  # noqa: PLR2004
    return ", ".join([words[-1], " ".join(words[:-1]), *suffix])


def meta_tags(paper: Paper) -> list[tuple[str, str]]:
    """Name and content of the tags of a paper's page: those of Google Scholar and of Zotero.

    Without the `z.` tags Zotero's browser button takes a page with `citation_title` for an article
    in a journal.
    """
    tags = [
        ("citation_title", one_line(paper.title, MAX_TITLE)),
        *(("citation_author", family_first(name)) for name in paper.authors[:MAX_AUTHORS]),
        ("citation_publication_date", f"{paper.published:%Y/%m/%d}"),
        ("citation_arxiv_id", paper.id),
        ("citation_public_url", paper.abs_url),
        ("citation_pdf_url", paper.pdf_url),
        ("citation_doi", one_line(paper.doi, MAX_TITLE)),
        ("citation_abstract", one_line(paper.abstract, MAX_ABSTRACT)),
        ("z.itemType", "preprint"),
        ("z.repository", "arXiv"),
        ("z.archiveID", f"arXiv:{paper.id}"),
    ]
    return [(name, content) for name, content in tags if content]


def markdown(citations: Sequence[Citation]) -> str:
    return "".join(map(_markdown_line, citations))


def _markdown_line(citation: Citation) -> str:
    paper = citation.paper
    names = ", ".join(paper.authors[:3]) + (" et al." if len(paper.authors) > 3 else "")  # noqa: PLR2004
    line = f"- [{_markdown(paper.title)}]({paper.abs_url}). {_markdown(names)}, "
    line += f"{paper.published:%Y}."
    if citation.reason:
        line += f" {_markdown(citation.reason)}"
    return f"{line}\n"


def _markdown(text: str) -> str:
    return MARKDOWN.sub(r"\\\1", one_line(text, MAX_TITLE))


FORMATS: dict[str, tuple[str, Callable[[Sequence[Citation]], str]]] = {
    "bib": ("application/x-bibtex", bibtex),
    "ris": ("application/x-research-info-systems", ris),
    "md": ("text/markdown", markdown),
}
"""Media type and function, by the end of a file's name."""
