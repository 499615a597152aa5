"""What counts as news of a mailed paper, judged on real comments of arXiv."""

from __future__ import annotations

import csv
import time
from collections import Counter
from pathlib import Path

import pytest

from newsletter.domain.model import NewsKind
from newsletter.domain.paper_news import NewsItem, PaperMetadata, news_of

MAILED = PaperMetadata("Tidal Attention", comment="12 pages")
COMMENTS = Path(__file__).parents[1] / "data/arxiv_comments.tsv"
"""Comments of the days in ../shared/corpus, labelled by hand: every one with a word of acceptance
or publication that the rule rejects or that begins otherwise than with it, and a hundred more.
"""


def changed(**fields):
    return news_of(MAILED, MAILED._replace(**fields))


def kinds(**fields):
    return [item.kind for item in changed(**fields)]


def test_real_comments_are_never_taken_for_more_than_they_say():
    with COMMENTS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    counts: Counter[str] = Counter()
    wrong = []
    for row in rows:
        found = [kind.value for kind in kinds(comment=row["comment"])]
        label = [] if row["label"] == "neither" else [row["label"]]
        counts["right" if found == label else "wrong" if found else "missed"] += 1
        if found and found != label:
            wrong.append((row["comment"], found))
    assert wrong == []
    assert counts == {"right": 293, "missed": 34}


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        ("10 pages, 2 figures. Accepted for publication in A&A", "Accepted for publication in A&A"),
        ("Accepted at NeurIPS 2025 (oral)", "Accepted at NeurIPS 2025 (oral)"),
        ("8 pages; to appear in the proceedings of DICTA", "to appear in the proceedings of DICTA"),
        ("9 pages. Accepted and soon published in JMD", "Accepted and soon published in JMD"),
        ("Accepted to KDD 2026, 12 pages, 3 figures. Code: x.org", "Accepted to KDD 2026"),
        ("Accepted as a short paper at AutoML 2025", "Accepted as a short paper at AutoML 2025"),
    ],
)
def test_acceptance_is_told_in_the_authors_words(comment, said):
    assert changed(comment=comment) == [NewsItem(NewsKind.ACCEPTED, said)]


@pytest.mark.parametrize(
    "comment",
    [
        "Extended version of a paper accepted at KDD '25",
        "Preprint submitted for peer review (not yet accepted or published)",
        "Conditionally accepted to CHI '26",
        "Will be updated if accepted at ICML",
        "Code will be released upon acceptance",
        "Translated from an article published in Physica",
        "The dataset is published at zenodo.org",
        "submitted to MNRAS",
    ],
)
def test_what_is_doubtful_is_no_news(comment):
    assert changed(comment=comment) == []


def test_a_journal_reference_and_a_doi_are_a_publication():
    assert changed(journal_ref="Phys. Rev. D 112, 043012 (2025)", doi="10.1103/abc") == [
        NewsItem(NewsKind.PUBLISHED, "Phys. Rev. D 112, 043012 (2025)", "10.1103/abc")
    ]
    assert changed(doi="10.1103/abc") == [NewsItem(NewsKind.PUBLISHED, "", "10.1103/abc")]
    assert kinds(comment="Published in MNRAS") == [NewsKind.PUBLISHED]
    assert kinds(journal_ref="ApJ, accepted (2025)") == [NewsKind.ACCEPTED]


@pytest.mark.parametrize(
    "fields",
    [
        {"doi": "10.5281/zenodo.123"},
        {"doi": "10.48550/arXiv.2509.00001"},
        {"doi": "to be given"},
        {"journal_ref": "submitted to JHEP"},
        {"journal_ref": "arXiv preprint"},
        {"journal_ref": "-"},
    ],
)
def test_data_and_submissions_are_no_publication(fields):
    assert changed(**fields) == []


def test_what_was_there_when_the_paper_was_mailed_is_no_news():
    mailed = MAILED._replace(comment="Accepted at ICML 2025")
    assert news_of(mailed, mailed._replace(comment="Accepted at ICML 2025, 9 pages")) == []
    later = news_of(mailed, mailed._replace(journal_ref="PMLR 267 (2025)"))
    assert [item.kind for item in later] == [NewsKind.PUBLISHED]
    published = mailed._replace(doi="10.1103/abc")
    assert news_of(published, published._replace(journal_ref="PRD 1 (2025)")) == []


def test_each_kind_is_told_once_and_acceptance_not_after_publication():
    current = MAILED._replace(comment="Accepted at ICML 2025")
    assert news_of(MAILED, current, {NewsKind.ACCEPTED}) == []
    assert news_of(MAILED, current, {NewsKind.PUBLISHED}) == []
    assert len(news_of(MAILED, current, {NewsKind.RETITLED})) == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Tidal attention", "TIDAL ATTENTION."),
        ("On $\\ell_1$  Norms: A Study", "On $\\ell_1$ norms - a study"),
        ("A {\\bf Bold} Title", "A Bold Title"),
        ("Schrödinger Bridges", "Schrodinger bridges"),
    ],
)
def test_another_spelling_is_no_other_title(before, after):
    assert news_of(PaperMetadata(before), PaperMetadata(after)) == []


def test_another_title_is_told():
    found = news_of(PaperMetadata("X is all you need"), PaperMetadata("X is not all you need"))
    assert found == [NewsItem(NewsKind.RETITLED, "X is not all you need")]


def test_of_a_withdrawn_or_unknown_paper_nothing_else_is_told():
    assert changed(title="Gone", withdrawn=True, journal_ref="ApJ 1") == []
    assert changed(title="", journal_ref="ApJ 1") == []


def test_a_very_long_comment_costs_little():
    start = time.thread_time()
    for hostile in ("accepted as a " * 40_000, "will appear " * 40_000, "published, " * 40_000):
        changed(comment=hostile, journal_ref=hostile, doi="10.1234/" + hostile, title=hostile)
    assert time.thread_time() - start < 4
