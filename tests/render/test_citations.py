"""BibTeX, RIS and Markdown of papers, read back by parsers that others wrote."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import rispy
from bibtexparser.entrypoint import parse_string
from hypothesis import given
from hypothesis import strategies as st
from pybtex.database import parse_string as pybtex_parse

from newsletter.domain.model import Paper
from newsletter.render.citations import Citation, bibtex, markdown, ris

PAPER = Paper(
    id="2509.12345",
    version=2,
    title=r"Learning $\mathcal{O}(n_k)$ Bounds & 50% of {BERT}_base",
    authors=("Ada Lovelace", "Jörg Müller", "The LIGO Collaboration", "Ping and Pong, Inc."),
    abstract="We show # that {unbalanced braces\ncan be read.",
    primary_category="cs.LG",
    categories=("cs.LG",),
    published=datetime(2025, 9, 12, tzinfo=UTC),
    updated=datetime(2025, 9, 13, tzinfo=UTC),
    doi="10.1000/1{2}",
    journal_ref="J. Test 1 (2025) 2",
)
TEXTS = st.text(max_size=80)


def test_two_parsers_read_the_same_entry() -> None:
    text = bibtex([Citation(PAPER, "Criterion: it & so on"), Citation(PAPER)])
    ours = parse_string(text)
    theirs = pybtex_parse(text, "bibtex")
    assert not ours.failed_blocks
    assert [entry.key for entry in ours.entries] == list(theirs.entries)
    first = theirs.entries["lovelace2025learning"]
    assert first.fields["eprint"] == "2509.12345"
    assert first.fields["primaryClass"] == "cs.LG"
    assert first.fields["eprinttype"] == "arxiv", "Zotero knows the id by this field"
    assert first.fields["title"] == r"{Learning $\mathcal{O}(n_k)$ Bounds \& 50\% of {BERT}\_base}"
    people = [" ".join([*one.first_names, *one.last_names]) for one in first.persons["author"]]
    assert people == [
        "Ada Lovelace",
        "Jörg Müller",
        "{The LIGO Collaboration}",
        "{Ping and Pong, Inc.}",
    ]


def test_ris_is_read_back() -> None:
    text = ris([Citation(PAPER, "why"), Citation(PAPER)])
    assert text.startswith("TY  - ")
    first, second = rispy.loads(text)
    assert first["authors"] == [
        *("Lovelace, Ada", "Müller, Jörg", "The LIGO Collaboration", "Ping and Pong, Inc."),
    ]
    assert first["urls"] == ["https://arxiv.org/abs/2509.12345"]
    assert (first["notes"], second.get("notes")) == (["why"], None)
    assert not re.search(r"^\d+\.$", text, re.MULTILINE)


def test_markdown_is_one_line_a_paper_and_no_markup_of_the_paper() -> None:
    hostile = replace(PAPER, title="[click](javascript:1) <b>*now*</b>\n# Head")
    text = markdown([Citation(hostile), Citation(PAPER)])
    assert len(text.splitlines()) == 2
    assert r"\[click\](javascript:1) \<b\>\*now\*\</b\> \# Head" in text


@given(TEXTS | st.text("\\{}$%&# \nab", max_size=9), TEXTS, st.lists(TEXTS, max_size=3), TEXTS)
def test_no_text_ends_its_field(title: str, abstract: str, names: list[str], reason: str) -> None:
    paper = replace(PAPER, title=title, abstract=abstract, authors=tuple(names), doi=title)
    both = [Citation(paper, reason), Citation(PAPER)]
    ours = parse_string(bibtex(both))
    assert (len(ours.entries), len(ours.failed_blocks)) == (2, 0)
    assert len(pybtex_parse(bibtex(both), "bibtex").entries) == 2
    assert len(rispy.loads(ris(both))) == 2
    assert len(markdown(both).splitlines()) == 2
