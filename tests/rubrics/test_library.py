"""Files of liked papers: each format, and what such files hold in practice."""

from __future__ import annotations

import csv
import io
import re
import time
import tracemalloc
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.domain.model import Paper
from newsletter.domain.rubric_draft import (
    LibraryPaper,
    draft_locally,
    likely_categories,
    representatives,
    rubric_markdown,
)
from newsletter.rubrics.file import parse
from newsletter.rubrics.library import MAX_PAPERS, LibraryError, read_library

DAY = datetime(2025, 9, 23, tzinfo=UTC)
BIBTEX = r"""
% a comment
@string{jmlr = "JMLR"}
@article{vaswani,
  title = {{A}ttention is {All} You Need},
  author = {Vaswani, Ashish and Shazeer, Noam},
  eprint = {1706.03762v7}, archivePrefix = {arXiv}, primaryClass = {cs.CL},
  abstract = {The dominant sequence transduction models.},
  journal = jmlr # " 1"
}
@misc{link, title = "By its link", url = "https://arxiv.org/abs/math/0309136"}
@misc{broken, title = {never closed
@misc{none, year = 2020}
"""
RIS = """TY  - JOUR
TI  - A paper of a journal
AU  - Müller, Jörg
AB  - About it.
UR  - http://arxiv.org/pdf/2509.12345v2
ER  -

TY  - CONF
T1  - Another one
ER  -
"""


def paper(paper_id: str, title: str, category: str) -> Paper:
    return Paper(paper_id, 1, title, ("Ada",), f"{title}.", category, (category,), DAY, DAY)


def zotero(*rows: dict[str, str]) -> bytes:
    names = ["Key", "Item Type", "Author", "Title", "Abstract Note", "Url", "Extra", "DOI"]
    out = io.StringIO()
    writer = csv.DictWriter(out, names)
    writer.writeheader()
    writer.writerows(rows)
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def test_bibtex_has_titles_without_braces_and_ids_from_any_field() -> None:
    found = read_library(BIBTEX.encode())
    first, second = found.papers
    assert found.kind == "BibTeX"
    assert first == LibraryPaper(
        "Attention is All You Need",
        "The dominant sequence transduction models.",
        ("Vaswani, Ashish", "Shazeer, Noam"),
        "1706.03762",
        "cs.CL",
    )
    assert (second.title, second.arxiv_id) == ("By its link", "math/0309136")


def test_bibtex_of_jabref_with_strings_comments_repeated_keys_and_a_broken_entry() -> None:
    file = r"""% Encoding: UTF-8
@Comment{jabref-meta: databaseType:bibtex;}
@String{icml = "ICML"}
@InProceedings{a, title = {Erd{\H{o}}s and Schr{\"o}dinger na{\"\i}vely}, booktitle = icml}
@Article{a, title = {The same key again}}
@Article{b, title = {A field}, year = 1, year = 2}
@Article{c, title = {Unclosed brace, year = 2020}

@Article{d, title = {After the broken one}}
@comment{ @article{e, title={Never}} }
"""
    found = read_library(file.encode())
    assert sorted(paper.title for paper in found.papers) == [
        "A field",
        "After the broken one",
        "Erdős and Schrödinger naïvely",
        "The same key again",
    ]
    assert found.skipped == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_ris_of_endnote_is_read_in_each_encoding(encoding: str) -> None:
    file = "TY  - JOUR\r\nAU  - Müller, J.\r\nTI  - Über naïve networks — café\r\nER  - \r\n"
    assert read_library(file.encode(encoding)).papers[0].title == "Über naïve networks — café"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is empty"),
        (b" \r\n", "it is empty"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n\x00", "it is a PDF; export your papers as BibTeX or RIS"),
        (b"%PDF-1.4\n1 0 obj", "it is a PDF"),
        (b"PK\x03\x04\x14\x00", "it is a Word file or an archive"),
        (b"\x89PNG\r\n\x1a\n\x00", "it is not a text file"),
        (b"\xff\xfe\x00", "it is not a text file"),
        (b"no papers", "no paper was found in it; export your papers"),
    ],
)
def test_what_was_dropped_by_mistake_is_named(data: bytes, said: str) -> None:
    with pytest.raises(LibraryError, match=re.escape(said)):
        read_library(data)


def test_ris_is_read_by_both_of_its_title_fields() -> None:
    found = read_library(RIS.encode())
    assert found.kind == "RIS"
    assert [(one.title, one.arxiv_id) for one in found.papers] == [
        ("A paper of a journal", "2509.12345"),
        ("Another one", ""),
    ]
    assert found.papers[0].authors == ("Müller, Jörg",)


def test_the_csv_of_zotero_is_read_with_its_byte_order_mark() -> None:
    row = {
        "Key": "A",
        "Item Type": "preprint",
        "Author": "Doe, Jane; Roe, R.",
        "Title": "A title, with a comma",
        "Abstract Note": "Two\nlines",
        "Extra": "arXiv:2509.12345 [cs]",
    }
    [paper] = read_library(zotero(row)).papers
    assert paper == LibraryPaper(
        "A title, with a comma", "Two lines", ("Doe, Jane", "Roe, R."), "2509.12345"
    )


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("2509.12345", ["2509.12345"]),
        ("https://arxiv.org/abs/2509.12345v3", ["2509.12345"]),
        ("arXiv:2509.12345 and hep-th/9901001v1", ["2509.12345", "hep-th/9901001"]),
        ("2509.12345\n2509.12345\r\n", ["2509.12345"]),
        ("see 12509.12345 and 2509.123456 and 2509.1234.5, 2509.12346.", ["2509.12346"]),
    ],
)
def test_ids_are_read_in_each_of_their_forms(text: str, ids: list[str]) -> None:
    assert [one.arxiv_id for one in read_library(text.encode()).papers] == ids


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe\x00",
        b"words",
        b"x" * (10 * 2**20 + 1),
        b"TY  - JOUR\nER  - \n",
        b"@article{",
    ],
)
def test_what_holds_no_paper_is_refused(data: bytes) -> None:
    with pytest.raises(LibraryError):
        read_library(data)


def test_more_papers_than_a_draft_needs_are_counted() -> None:
    text = "\n".join(f"2509.{number:05d}" for number in range(MAX_PAPERS + 7))
    found = read_library(text.encode())
    assert (len(found.papers), found.skipped) == (MAX_PAPERS, 7)


@pytest.mark.parametrize(
    ("entry", "count", "papers", "skipped"),
    [
        ("@misc{{k{n}, title = {{Paper {n}}}}}\n", 5_000, MAX_PAPERS, 4_500),
        ("@a{{", 300_000, 0, 0),
        ("@misc{{k, title = {{One}}}}\n", 100_000, 1, 99_999),
    ],
)
def test_a_file_of_many_entries_is_read_in_part(
    entry: str, count: int, papers: int, skipped: int
) -> None:
    """The parser took nine seconds and 450 MB for the second of these."""
    data = "".join(entry.format(n=n) for n in range(count)).encode()
    tracemalloc.start()
    try:
        found = read_library(data)
    except LibraryError:
        found = None
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (len(found.papers), found.skipped) == (papers, skipped) if found else not papers
    assert peak < 60 * 2**20


@pytest.mark.parametrize(
    "text",
    [
        "\n" * 200_000 + "2509.12345",
        "@misc{a, title = {x}, author = {A" + " " * 200_000 + "B}}",
        "@misc{a, title = {x}" + ", a = {b}" * 100_000 + "}\n@misc{b, title = {y}}",
        "TY  - JOUR\nTI  - x\n" + "AU  - a\n" * 100_000 + "ER  - \n",
    ],
)
def test_long_runs_take_no_longer_than_other_text(text: str) -> None:
    start = time.thread_time()
    assert read_library(text.encode()).papers
    assert time.thread_time() - start < 10


@pytest.mark.parametrize(
    ("head", "row", "count"),
    [
        ("Item Type,Title\n", "a,Paper {n}\n", 20_000),
        ("Item Type,Title" + "," * 1_000 + "\n", "a,Paper {n}\n", 20_000),
        ("", "TY  - JOUR\nTI  - Paper {n}\nER  - \n", 20_000),
    ],
)
def test_entries_beyond_the_first_thousand_are_counted_and_not_parsed(
    head: str, row: str, count: int
) -> None:
    """Five megabytes of such rows took two minutes."""
    data = (head + "".join(row.format(n=n % 1_200) for n in range(count))).encode()
    found = read_library(data)
    assert (len(found.papers), found.skipped) == (MAX_PAPERS, count - MAX_PAPERS)
    # Paper 1,000 and later ones are beyond what is parsed, so a title there is not seen.
    late = head + row.format(n=0) * 1_000 + row.format(n=1)
    assert [one.title for one in read_library(late.encode()).papers] == ["Paper 0"]


def test_deep_braces_and_windows_lines_are_read() -> None:
    deep = "{" * 20_000 + "x" + "}" * 20_000
    [paper] = read_library(f"@misc{{a,\r\n title = {{{deep}}}\r\n}}\r\n".encode()).papers
    assert paper.title == "x"


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    for start in ("", "@article{a, title={", "TY  - JOUR\nTI  - ", '"Item Type","Title"\n'):
        try:
            found = read_library((start + text).encode("utf-8", "ignore"))
        except LibraryError:
            continue
        for paper in found.papers:
            assert paper.title.isprintable()
            draft = draft_locally("", [paper._replace(title="A word")], [], ["cs.LG"])
            parse(rubric_markdown(draft), "mine", "the draft")


def test_groups_of_papers_become_criteria_in_the_same_order_every_time() -> None:
    kinds = {
        "quantization of weights in few bits": 9,
        "robots that walk on rough ground with legs": 6,
    }
    liked = [
        LibraryPaper(f"{words} {number}", f"We study {words}, variant {number}.", (), "", "cs.LG")
        for words, count in kinds.items()
        for number in range(count)
    ]
    liked[0] = liked[0]._replace(abstract="Zebrafish zebrafish: quantization of weights.")
    others = ["a survey of protein folding"] * 20
    draft = draft_locally("", liked, others, [])
    first, second = draft.criteria
    assert "quantization" in first.relevant
    assert "zebrafish" not in first.relevant, "a word of one paper is not what they share"
    assert "robots" in second.relevant
    assert draft == draft_locally("", list(reversed(list(reversed(liked)))), others, [])
    assert draft.categories == ("cs.LG",)


def test_words_with_accents_stay_whole_and_tex_is_no_word() -> None:
    said = "Über naïve Rényi graphs \\ldots in the Erdős--Rényi model"
    liked = [LibraryPaper(said, "", (), "", "cs.LG")] * 3
    words = draft_locally("", liked, ["a survey of protein folding"] * 9, []).criteria[0].relevant
    assert "rényi" in words
    assert "über" in words
    for broken in ("ldots", "ber ", "nyi ", "--"):
        assert broken not in words.replace("über", "").replace("rényi", ""), words


def test_a_draft_needs_material_and_a_category() -> None:
    with pytest.raises(ValueError, match="nothing to draft from"):
        draft_locally("  ", [], [], ["cs.LG"])
    with pytest.raises(ValueError, match="category"):
        draft_locally("robots", [], [], [])


def test_twelve_papers_stand_for_all_subjects_the_same_every_time() -> None:
    kinds = {
        "quantization of weights in few bits": 60,
        "robots that walk on rough ground with legs": 30,
        "proteins that fold in water under pressure": 3,
    }
    texts = [f"{words}, variant {n}" for words, count in kinds.items() for n in range(count)]
    chosen = representatives(texts, 12)
    assert len(chosen) == len(set(chosen)) == 12
    assert {texts[place].split()[0] for place in chosen} == {"quantization", "robots", "proteins"}
    assert representatives(texts, 12) == chosen
    assert representatives(texts[:5], 12) == [0, 1, 2, 3, 4]
    assert representatives([], 12) == []
    assert len(representatives(["the same words"] * 30, 12)) <= 12


def test_categories_are_those_of_the_most_similar_papers() -> None:
    stored = [
        *(paper(f"1.{n}", f"Pruning of network {n}", "cs.LG") for n in range(30)),
        *(paper(f"2.{n}", f"Walking robot {n}", "cs.RO") for n in range(30)),
    ]
    assert likely_categories(["robots that walk, a walking robot"], stored) == ("cs.RO",)
    assert set(likely_categories(["pruning", "robot"], stored)) == {"cs.LG", "cs.RO"}
    assert likely_categories(["zebras"], stored) == ()
    assert likely_categories(["pruning"], []) == ()
