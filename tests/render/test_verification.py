# ruff: noqa: RUF001 - typographic characters are intended
"""The verification sentences under the receipt."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from bs4 import BeautifulSoup

from newsletter.domain.completeness import CompletedBy
from newsletter.domain.mail import Format
from newsletter.domain.model import Crosscheck
from newsletter.render import Renderer
from newsletter.render.verification import (
    COMPLETED_BY_TEXTS,
    FEED_STATE_TEXTS,
    MISMATCH_TEXTS,
    sentences,
)
from tests.render.gallery import issues
from tests.render.gallery.issues import NAV, READER, SITE

RENDERER = Renderer(SITE)
FULL = Crosscheck(
    "fresh",
    {"cs.LG": (401, 402), "cs.AI": (287, 287)},
    {"not in the API yet": 1, "submitted before the window": 2},
    {"cs.LG": "feed", "hep-lat": "two looks"},
    (date(2025, 9, 22),),
)


def digest_with(check=None, **changed):
    made = issues.digest((issues.pick(1),), **changed)
    return replace(made, coverage=replace(made.coverage, crosscheck=check))


def shown(digest):
    html, text = RENDERER.digest(digest, NAV, Format.FULL).for_reader(READER)
    page = " ".join(BeautifulSoup(html, "lxml").get_text(" ").split())
    return page, " ".join(text.split())


def test_the_comparison_with_the_feed_is_described():
    wanted = (
        "Checked against arXiv’s own list: cs.AI 287 of 287, cs.LG 401 of 402. "
        "Of these, 1 not in arXiv’s database yet, to follow when it is there; "
        "2 held by arXiv since before this day’s deadline. "
        "hep-lat: two queries at least ten minutes apart found the same papers. "
        "arXiv announced nothing on 22 Sep 2025; what was due then is here."
    )
    assert " ".join(sentences(digest_with(FULL).coverage)) == wanted
    for part in shown(digest_with(FULL)):
        assert wanted in part


@pytest.mark.parametrize("state", sorted(FEED_STATE_TEXTS))
def test_an_unusable_feed_is_named(state):
    check = Crosscheck(state, whole={"cs.LG": "two looks"})
    first, second = sentences(digest_with(check).coverage)
    assert first == FEED_STATE_TEXTS[state]
    assert second.startswith("cs.LG: two queries")


def test_without_a_comparison_there_is_no_sentence():
    assert sentences(digest_with(None).coverage) == []
    for part in shown(digest_with(None)):
        assert "own list" not in part
        assert "Withdrawn" not in part


def test_every_enum_value_has_a_text():
    from newsletter.ingest.feed_check import FeedState, MismatchReason

    assert set(MISMATCH_TEXTS) == set(MismatchReason)
    assert set(FEED_STATE_TEXTS) == set(FeedState) - {FeedState.FRESH}
    assert set(COMPLETED_BY_TEXTS) == set(CompletedBy) - {CompletedBy.FEED, CompletedBy.NOTHING}


def test_a_long_list_of_categories_is_shortened():
    names = {f"x.{n:03d}": (1, 1) for n in range(170)}
    line = sentences(digest_with(Crosscheck("fresh", names)).coverage)[0]
    assert line.endswith("and 158 more.")
    assert len(line) < 400
