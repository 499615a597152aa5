# ruff: noqa: RUF001 - typography is meant
"""The receipt's words on how a day was made sure of, and the notice of a withdrawal."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from bs4 import BeautifulSoup

from newsletter.domain.completeness import CompletedBy
from newsletter.domain.mail import Format
from newsletter.domain.model import Crosscheck, Withdrawal
from newsletter.render import Renderer
from newsletter.render.verification import APART, HOW, MOST_WITHDRAWN, STATES, checked
from tests.render.gallery import issues
from tests.render.gallery.issues import NAV, READER, SITE

RENDERER = Renderer(SITE)
GONE = Withdrawal("2509.00001", "On <b>graphs</b> & $k$", date(2025, 9, 1), "Error in Lemma 2")
FULL = Crosscheck(
    "fresh",
    {"cs.LG": (401, 402), "cs.AI": (287, 287)},
    {"not in the API yet": 1, "submitted before the window": 2},
    {"cs.LG": "feed", "hep-lat": "two looks"},
    (date(2025, 9, 22),),
)


def of(check=None, **changed):
    made = issues.digest((issues.pick(1),), **changed)
    return replace(made, coverage=replace(made.coverage, crosscheck=check))


def shown(digest):
    html, text = RENDERER.digest(digest, NAV, Format.FULL).for_reader(READER)
    page = " ".join(BeautifulSoup(html, "lxml").get_text(" ").split())
    return page, " ".join(text.split())


def test_the_receipt_says_in_plain_words_what_was_compared():
    wanted = (
        "Checked against arXiv’s own list: cs.AI 287 of 287, cs.LG 401 of 402. "
        "Of these, 1 not in arXiv’s database yet, to follow when it is there; "
        "2 held by arXiv since before this day’s deadline. "
        "hep-lat: two looks, ten minutes apart or more, saw the same papers. "
        "arXiv announced nothing on 22 Sep 2025; what was due then is here."
    )
    assert " ".join(checked(of(FULL).coverage)) == wanted
    for part in shown(of(FULL)):
        assert wanted in part


@pytest.mark.parametrize("state", sorted(STATES))
def test_a_list_that_was_no_use_is_said_to_be(state):
    check = Crosscheck(state, whole={"cs.LG": "two looks"})
    first, second = checked(of(check).coverage)
    assert first == STATES[state]
    assert second.startswith("cs.LG: two looks")


def test_where_there_was_nothing_to_compare_nothing_is_said():
    assert checked(of(None).coverage) == []
    for part in shown(of(None)):
        assert "own list" not in part
        assert "Withdrawn" not in part


def test_every_reason_has_words():
    from newsletter.ingest.feed_check import FeedState, MismatchReason

    assert set(APART) == set(MismatchReason)
    assert set(STATES) == set(FeedState) - {FeedState.FRESH}
    assert set(HOW) == set(CompletedBy) - {CompletedBy.FEED, CompletedBy.NOTHING}


def test_a_withdrawal_is_told_in_mail_and_text():
    page, text = shown(of(withdrawn=(GONE,)))
    for part in (page, text):
        assert "withdrawn since we sent them to you" in part.lower()
        assert "sent 1 Sep 2025 · Error in Lemma 2" in part
    assert "On <b>graphs</b> & k" in page
    assert "https://arxiv.org/abs/2509.00001" in text


def test_many_withdrawals_take_little_room():
    many = tuple(replace(GONE, paper_id=f"2509.{n:05d}") for n in range(MOST_WITHDRAWN + 3))
    page, text = shown(of(withdrawn=many))
    for part in (page, text):
        assert part.count("Error in Lemma 2") == MOST_WITHDRAWN
        assert "And 3 more on the web." in part


def test_hundreds_of_categories_do_not_fill_the_receipt():
    names = {f"x.{n:03d}": (1, 1) for n in range(170)}
    line = checked(of(Crosscheck("fresh", names)).coverage)[0]
    assert line.endswith("and 158 more.")
    assert len(line) < 400
