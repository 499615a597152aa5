"""Links of old mails to the archive of a reader rubric that is paused, turned off or deleted."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import pytest

from newsletter.domain.reader_rubrics import PausedBy
from newsletter.rubrics.folder import RubricFolder
from newsletter.store import reader_rubrics, subscribers, subscriptions
from newsletter.web.app import create_app
from newsletter.web.context import Site
from tests.fakes.browser import served
from tests.fakes.pages import LINKS, NOW, TUESDAY, WEDNESDAY, application, issue, paper
from tests.fakes.reader_rubrics import add_reader, catalog_of, save_rubric, text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from newsletter.domain.model import Rubric
    from newsletter.store import Store
    from tests.fakes.browser import Browser, Page

TITLE = "Hidden wishes"
PAGES = ("", "feed.xml", "2025-09/", "2025-09-23/", "2025-09-23.bib", "search?q=Hidden")


class Own(NamedTuple):
    """A served rubric with one issue, and its secret address."""

    store: Store
    web: Browser
    rubric: Rubric
    subscriber_id: str

    def get(self, rest: str) -> Page:
        return self.web.get(f"/archive/{LINKS.segment(self.rubric)}/{rest}")


@pytest.fixture
def own(store: Store, tmp_path: Path) -> Iterator[Own]:
    subscriber_id = add_reader(store, 1)
    slug = save_rubric(store, subscriber_id, text(TITLE))
    catalog = catalog_of(store, tmp_path / "rubrics", "Models")
    issue(store, catalog[slug], TUESDAY, [paper("2509.00002", "Hidden paper"), paper("2509.00003")])
    app = replace(application(store, reader_rubrics=3), rubrics=catalog)
    with served(create_app(Site(app))) as browser:
        yield Own(store, browser, catalog[slug], subscriber_id)


def pause(store: Store, slug: str, by: PausedBy) -> None:
    with store.begin() as tx:
        assert reader_rubrics.pause(tx, slug, by, NOW, "dear")


@pytest.mark.parametrize("by", list(PausedBy))
def test_a_paused_one_keeps_its_pages(own: Own, by: PausedBy) -> None:
    before = {rest: own.get(rest) for rest in PAGES}
    pause(own.store, own.rubric.slug, by)
    for rest in PAGES:
        page = own.get(rest)
        assert page.status == 200, rest
        assert page.headers["cache-control"].startswith("private"), rest
        assert "noindex" in page.headers["x-robots-tag"], rest
        assert len(page.text) >= len(before[rest].text), rest
    assert "Hidden paper" in own.get("2025-09-23/").text


def test_the_next_issue_of_a_paused_one_is_not_promised(own: Own) -> None:
    assert "not out yet" in own.get("2025-09-24/").words
    pause(own.store, own.rubric.slug, PausedBy.READER)
    page = own.get("2025-09-24/")
    assert page.status == 200
    assert "not out yet" not in page.words
    assert "No new issues are made of this rubric now" in page.words


def test_where_reader_rubrics_are_turned_off_it_keeps_its_pages(own: Own, tmp_path: Path) -> None:
    app = application(own.store, reader_rubrics=0)
    off = Site(replace(app, rubrics=RubricFolder(tmp_path / "rubrics")))
    with served(create_app(off)) as web:
        page = web.get(f"/archive/{LINKS.segment(own.rubric)}/2025-09-23/")
    assert (page.status, "Hidden paper" in page.text) == (200, True)


def test_a_deleted_one_says_when_and_what_is_still_there(own: Own) -> None:
    with own.store.begin() as tx:
        assert reader_rubrics.delete(tx, own.rubric.slug, NOW + timedelta(days=3))
    for rest in (*PAGES, "2025-09-24/", "1999-01-01/"):
        page = own.get(rest)
        assert page.status == 410, rest
        assert page.headers["cache-control"] == "no-store", rest
        assert "noindex" in page.headers["x-robots-tag"], rest
        assert "deleted on Sunday, 28 September 2025" in page.words, rest
        assert "Still there" in page.words, rest
        for word in (TITLE, "Hidden paper", own.rubric.slug, "example.org"):
            assert word not in page.text, (rest, word)


def test_one_that_was_left_before_it_was_deleted_has_the_day_of_its_deletion(own: Own) -> None:
    with own.store.begin() as tx:
        mine = subscriptions.of_subscriber(tx, own.subscriber_id)
        [one] = [one for one in mine if one.rubric == own.rubric.slug]
        assert subscriptions.leave(tx, one.id, "one-click", NOW)
        assert reader_rubrics.delete(tx, own.rubric.slug, NOW + timedelta(days=3))
    assert "deleted on Sunday, 28 September 2025" in own.get("2025-09-23/").words


def test_the_page_of_an_erased_reader_says_the_same(own: Own) -> None:
    with own.store.begin() as tx:
        assert subscribers.erase(tx, own.subscriber_id, NOW)
    page = own.get("2025-09-23/")
    assert page.status == 410
    assert "deleted on Thursday, 25 September 2025" in page.words
    assert "erase" not in page.words


@pytest.mark.parametrize("state", ["paused", "deleted"])
def test_nobody_else_opens_it(own: Own, state: str) -> None:
    with own.store.begin() as tx:
        other = reader_rubrics.create(tx, own.subscriber_id, text("Other"), NOW, limit=9)
        if state == "paused":
            reader_rubrics.pause(tx, own.rubric.slug, PausedBy.READER, NOW)
        else:
            reader_rubrics.delete(tx, own.rubric.slug, NOW)
    segment = LINKS.segment(own.rubric)
    secret = segment.removeprefix(own.rubric.slug)
    for wrong in (
        own.rubric.slug,
        f"{own.rubric.slug}-",
        f"{other}{secret}",
        f"own-aaaaaaaaaaaa{secret}",
        segment[:-1] + ("a" if segment[-1] != "a" else "b"),
        segment.upper(),
        re.sub("^own-", "", segment),
    ):
        for rest in ("", "2025-09-23/", f"{WEDNESDAY}/"):
            page = own.web.get(f"/archive/{wrong}/{rest}")
            assert page.status == 404, (wrong, rest)
            assert "deleted" not in page.words
    # A draft has no issues, and was never mailed.
    draft = replace(own.rubric, slug=other)
    assert own.web.get(f"/archive/{LINKS.segment(draft)}/").status == 404


def test_no_public_page_lists_a_paused_one(own: Own) -> None:
    pause(own.store, own.rubric.slug, PausedBy.READER)
    for path in ("/", "/search?q=paper", "/papers/2509.00002", "/robots.txt"):
        page = own.web.get(path)
        assert TITLE not in page.text, path
        assert own.rubric.slug not in page.text, path
