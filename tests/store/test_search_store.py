"""Searching the picked papers, on both databases alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import delete, insert, text

from newsletter.domain.digest import compose
from newsletter.domain.model import Criterion, Listing, Outcome, Paper, Rubric, Score
from newsletter.domain.search_query import SearchQuery, marked_pieces, parse_query
from newsletter.store import digests, search
from newsletter.store.tables import archive_text
from newsletter.store.tables import paper as paper_table

NOW = datetime(2025, 9, 23, 6, 0, tzinfo=UTC)
DAY = date(2025, 9, 23)
RUBRIC = Rubric("models", "Models", ("cs.LG",), (Criterion(1, "One", ""),))
PAPERS = {
    "1": ("Sparse attention for long documents", "Ann Müller", "We prune attention heads.", "MoE"),
    "2": (
        "Quantization",
        "Bo Li",
        "An abstract about attention and sparse kernels.",
        "Compression",
    ),
    "3": (
        "Dwarf galaxies",
        "Cy Ng",
        "Satellites of the Milky Way at redshift 2.75.",
        "Near-field cosmology",
    ),
}


def freeze(store, rubric=RUBRIC, day=DAY, ids="123"):
    scores = {key: Score(key, "m", 9, 8, comment=PAPERS[key][3]) for key in ids}
    listings = [
        Listing(
            Paper(key, 1, PAPERS[key][0], (PAPERS[key][1],), PAPERS[key][2], "c", ("c",), NOW, NOW)
        )
        for key in ids
    ]
    outcomes = dict.fromkeys(ids, Outcome.SCORED)
    digest = compose(rubric, day, listings, scores, outcomes, [], judged=True, prompt="")
    with store.begin() as tx:
        for listing in listings:
            values = {name: getattr(listing.paper, name) for name in listing.paper.__slots__}
            known = tx.execute(text("SELECT 1 FROM paper WHERE id = :id"), {"id": listing.paper.id})
            if not known.first():
                tx.execute(insert(paper_table).values(values))
        digests.save(tx, digest, NOW)


def found(store, query, rubrics=("models",), **page):
    with store.read() as tx:
        hits = search.find(tx, rubrics, parse_query(query), limit=10, **page).hits
        return [hit.paper_id for hit in hits]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("attention", {"1", "2"}),
        ("ATTENTION sparse", {"1", "2"}),
        ('"sparse attention"', {"1"}),
        ("prunes", {"1"}),
        ("galaxy", {"3"}),
        ("Near-field", {"3"}),
        ("moe", {"1"}),
        ("2.75", {"3"}),
        ("redshift 2.75", {"3"}),
        ("2.76", set()),
        ("Bo Li", {"2"}),
        ("attention galaxies", set()),
        ("nowhere", set()),
        ("", set()),
        ('" "', set()),
        ("*", set()),
    ],
)
def test_search_terms_find_papers(store, query, expected):
    freeze(store)
    assert set(found(store, query)) == expected


def test_a_title_outweighs_an_abstract(store):
    freeze(store)
    assert found(store, "attention")[0] == "1"


@pytest.mark.parametrize(
    "query",
    ["a OR", "NEAR(", '"', "x AND NOT", "title:sparse", "-sparse", "' OR 1=1 --", "%", "\\"],
)
def test_no_search_language_reaches_the_database(store, query):
    freeze(store)
    found(store, query)


def test_other_rubrics_stay_unseen(store):
    freeze(store, replace(RUBRIC, slug="secret"), ids="3")
    freeze(store, ids="12")
    assert found(store, "galaxies") == []
    assert found(store, "galaxies", ("models", "secret")) == ["3"]
    assert found(store, "galaxies", ()) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('author:"Ann Müller"', ["1"]),
        ("author:muller", ["1"]),
        ("Muller", ["1"]),
        ("MÜLLER attention", ["1"]),
        ("author: müller", ["1"]),
        ("au:Müller", ["1"]),
        ("author:li attention", ["2"]),
        ("author:attention", []),
        ("from:2025-09 attention", ["1", "2"]),
        ("to:2025-08 attention", []),
        ("from:2025-09-23 to:2025-09-23", ["1", "2", "3"]),
        ("from:2025-09-24", []),
        ("from:never attention", []),
    ],
)
def test_authors_and_dates_are_asked_for_by_name(store, query, expected):
    freeze(store)
    assert sorted(found(store, query)) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("2509.12345", "arXiv:2509.12345v2", "ARXIV:2509.12345", "arXiv: 2509.12345"),
        "[2509.12345]",
        *("https://arxiv.org/abs/2509.12345", "https://arxiv.org/pdf/2509.12345v2.pdf"),
        *("arxiv.org/abs/2509.12345v1", "http://www.arxiv.org/abs/2509.12345?context=cs.LG"),
        *("https://arxiv.org/html/2509.12345v1#S2", "https://arxiv.org/abs/2509.12345/"),
        *("https://doi.org/10.48550/arXiv.2509.12345", "https://alphaxiv.org/abs/2509.12345"),
    ],
)
def test_an_id_is_known_in_each_of_its_forms(text):
    assert parse_query(text) == SearchQuery(paper_id="2509.12345")


def test_a_paper_of_before_2007_is_stored_without_its_subject_class():
    assert parse_query("math.GT/0309136").paper_id == "math/0309136"
    assert parse_query("https://arxiv.org/abs/hep-th/9901001v3").paper_id == "hep-th/9901001"


@pytest.mark.parametrize("text", ["2.75", "and/or", "12345.678901", "https://example.org/a"])
def test_other_words_are_no_id(text):
    assert parse_query(text).paper_id == ""


def test_near_misses_are_searched_apart(store):
    PAPERS["4"] = ("Almost attention", "Di Eu", "Nearly.", "Close")
    scores = {
        key: Score(key, "m", 9 if key == "1" else 6, 8, comment=PAPERS[key][3]) for key in "14"
    }
    listings = [
        Listing(
            Paper(key, 1, PAPERS[key][0], (PAPERS[key][1],), PAPERS[key][2], "c", ("c",), NOW, NOW)
        )
        for key in "14"
    ]
    outcomes = dict.fromkeys("14", Outcome.SCORED)
    digest = compose(RUBRIC, DAY, listings, scores, outcomes, [], judged=True, prompt="")
    with store.begin() as tx:
        for listing in listings:
            values = {name: getattr(listing.paper, name) for name in listing.paper.__slots__}
            tx.execute(insert(paper_table).values(values))
        digests.save(tx, digest, NOW)
        picks = search.find(tx, ["models"], parse_query("attention"), limit=5).hits
        missed = search.find(
            tx, ["models"], parse_query("attention", near_misses=True), limit=5
        ).hits
    assert [hit.paper_id for hit in picks] == ["1"]
    assert [(hit.paper_id, hit.number) for hit in missed] == [("4", -1)]


@pytest.mark.parametrize(
    ("text", "terms", "marked"),
    [
        ("We prune attention heads", ["attention"], ["attention"]),
        ("Galaxies and a galaxy", ["galaxy"], ["Galaxies", "galaxy"]),
        ("Pruned, prunes; pruning", ["prunes"], ["Pruned", "prunes", "pruning"]),
        ("Müller", ["muller"], ["Müller"]),
        ("Modern models", ["mod"], []),
        ("A sentence", [], []),
    ],
)
def test_words_that_match_are_marked(text, terms, marked):
    pieces = marked_pieces(text, terms)
    assert "".join(piece.text for piece in pieces) == text
    assert [piece.text for piece in pieces if piece.matches] == marked


def test_a_hit_says_where_it_stands(store):
    freeze(store)
    with store.read() as tx:
        (hit,) = search.find(tx, ["models"], parse_query("quantization"), limit=5).hits
    assert (hit.rubric, hit.date, hit.number, hit.title) == ("models", DAY, 2, "Quantization")
    assert (hit.authors, hit.comment) == ("Bo Li", "Compression")


def test_pages_follow_each_other(store):
    freeze(store)
    first = found(store, "attention")
    assert [found(store, "attention", skip=n)[:1] for n in (0, 1, 2)] == [first[:1], first[1:], []]


def test_what_a_copy_lost_is_made_again(store):
    freeze(store)
    with store.begin() as tx:
        tx.execute(delete(archive_text))
        if store.is_sqlite:
            tx.execute(text("DROP TABLE archive_words"))
        assert search.prepare(tx) == 1
        assert search.prepare(tx) == 0
    assert found(store, "galaxies") == ["3"]


def test_a_copied_plain_table_is_indexed_anew(store):
    freeze(store)
    if store.is_sqlite:
        with store.begin() as tx:
            tx.execute(text("DROP TABLE archive_words"))
    with store.begin() as tx:
        search.prepare(tx)
    assert found(store, "galaxies") == ["3"]


def test_a_paper_of_several_issues_is_named_once(store):
    """As it matched best, and else in its newest issue; pages count papers."""
    freeze(store, ids="12")
    other = replace(RUBRIC, slug="other")
    freeze(store, other, ids="13")
    freeze(store, other, date(2025, 9, 24), ids="2")
    with store.read() as tx:
        query = parse_query("attention")
        hits, papers = search.find(tx, ("models", "other"), query, limit=10)
        second = search.find(tx, ("models", "other"), query, limit=1, skip=1).hits
        assert search.count(tx, ("models", "other"), query) == papers == 2
    assert [hit.paper_id for hit in hits] == ["1", "2"]
    assert (hits[1].rubric, hits[1].date) == ("other", date(2025, 9, 24))
    assert [hit.paper_id for hit in second] == ["2"]
    assert found(store, "attention", ("models",)) == ["1", "2"]
