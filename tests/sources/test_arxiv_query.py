"""That the stand-in of arXiv's API reads queries as the manual has them, and refuses what is none.

Tried by breaking the product's query on purpose: without its parentheses (`cat:a OR cat:b AND ...`)
`tests/sources/test_arxiv.py` goes red by a status of 400, where the stand-in that matched strings
let it
pass; so it does with `submitted:` for `submittedDate:` and with a minute of ten digits.
"""

from __future__ import annotations

import pytest

from newsletter.sources.arxiv.source import query
from tests.fakes.arxiv import row
from tests.fakes.arxiv_query import RefusedError, parameters, parse
from tests.fakes.arxiv_timeline import utc

AT = utc("2025-09-22 12:30")
PAPER = row("2509.00001v2", AT, ("cs.LG", "stat.ML"), comment="12 pages")
SPAN = "submittedDate:[202509221230 TO 202509221230]"


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("cat:cs.LG", True),
        ("cat:stat.ML", True),
        ("cat:cs.AI", False),
        ("cat:cs.L", False),
        ("cat:cs.*", True),
        ("cat:cs.AI OR cat:cs.LG", True),
        ("cat:cs.AI AND cat:cs.LG", False),
        ("cat:cs.LG ANDNOT cat:stat.ML", False),
        ("(cat:cs.AI OR cat:cs.LG) AND cat:stat.ML", True),
        ("cat:cs.AI OR (cat:cs.LG AND cat:cs.CL)", False),
        (SPAN, True),
        ("submittedDate:[202509221231 TO 202509230000]", False),
        ("submittedDate:[202509220000 TO 202509221229]", False),
        (f"(cat:cs.LG) AND {SPAN}", True),
        ('ti:"title of 2509.00001"', True),
        ("au:ada_author AND abs:abstract", True),
        ("all:pages ANDNOT ti:pages", True),
    ],
)
def test_a_query_means_what_the_manual_says(text, matches):
    assert parse(text).matches(PAPER) is matches


@pytest.mark.parametrize(
    "text",
    [
        "cs.LG",
        "cat:cs.LG AND",
        "AND cat:cs.LG",
        "cat:cs.LG cat:cs.AI",
        "(cat:cs.LG",
        "cat:cs.LG)",
        "()",
        "category:cs.LG",
        f"cat:cs.AI OR cat:cs.LG AND {SPAN}",
        "submittedDate:[2025-09-22 TO 2025-09-23]",
        "submittedDate:[2025092212 TO 2025092312]",
        "submittedDate:[202509221230 202509221230]",
        "submittedDate:202509221230",
        "cat:cs.LG and cat:cs.AI",
    ],
)
def test_what_is_no_query_is_refused(text):
    with pytest.raises(RefusedError):
        parse(text)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"start": "not_an_int"}, "start must be an integer"),
        ({"start": "-1"}, "start must be >= 0"),
        ({"max_results": "not_an_int"}, "max_results must be an integer"),
        ({"max_results": "-1"}, "max_results must be >= 0"),
        ({"max_results": "30001"}, "max_results must be <= 30000"),
        ({"id_list": "1234.123"}, "incorrect id format for 1234.123"),
        ({"id_list": "2509.00001,cond—mat/0709123"}, "incorrect id format for cond—mat/0709123"),
        ({"sortBy": "date"}, "sortBy must be in: relevance, lastUpdatedDate, submittedDate"),
        ({"sortOrder": "up"}, "sortOrder must be in: ascending, descending"),
        ({"query": "cat:cs.LG"}, "unknown parameter query"),
    ],
)
def test_other_parameters_are_held_to_their_values(given, why):
    with pytest.raises(RefusedError) as caught:
        parameters(given)
    assert str(caught.value) == why


@pytest.mark.parametrize(
    ("given", "matches"),
    [
        ({"id_list": "2509.00001"}, True),
        ({"id_list": "2509.00002,2509.00001v2"}, True),
        ({"id_list": "2509.00001v1"}, False),
        ({"id_list": "2509.00001", "search_query": "cat:cs.AI"}, False),
        ({"id_list": "2509.00001", "search_query": "cat:cs.LG"}, True),
        ({"id_list": "math/0309136"}, False),
    ],
)
def test_a_list_of_ids_and_a_query_both_hold(given, matches):
    assert parameters(given).matches(PAPER) is matches


def test_the_products_query_is_one():
    asked = parse(query(["cs.LG", "cs.AI"], AT, AT))
    assert asked.matches(PAPER)
    assert asked.bounds == ("202509221230", "202509221230")
