"""A rubric that a reader wrote is nowhere public: no page, feed, search or form names it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from newsletter.domain.links import Purpose
from newsletter.domain.mail import Subscription
from newsletter.domain.reader_rubrics import PausedBy
from newsletter.rubrics.folder import of_operator
from newsletter.store import reader_rubrics, subscriptions
from newsletter.web.app import create_app
from newsletter.web.context import Site
from tests.fakes.browser import served
from tests.fakes.operators import HEADER, Person
from tests.fakes.pages import LINKS, NOW, TUESDAY, application, issue, paper
from tests.fakes.reader_rubrics import add_reader, catalog_of, save_rubric, text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from newsletter.domain.model import Rubric
    from newsletter.store import Store
    from tests.fakes.browser import Browser

TITLE = "Hidden wishes"


@pytest.fixture
def own(store: Store, tmp_path: Path) -> Iterator[tuple[Browser, Rubric]]:
    """A reader's rubric with a digest, and a public one of the operator's with another."""
    slug = save_rubric(store, add_reader(store, 1), text(TITLE))
    catalog = catalog_of(store, tmp_path / "rubrics", "Models")
    issue(store, catalog["models"], TUESDAY, [paper("2509.00001", "Plain paper")])
    issue(store, catalog[slug], TUESDAY, [paper("2509.00002", "Hidden paper"), paper("2509.00003")])
    app = replace(application(store, reader_rubrics=3, operator_header=HEADER), rubrics=catalog)
    with served(create_app(Site(app))) as browser:
        yield browser, catalog[slug]


def test_no_public_page_names_it(own: tuple[Browser, Rubric]) -> None:
    web, rubric = own
    for path in (
        *("/", "/robots.txt", "/search?q=paper", "/search?q=Hidden", "/search?q=2509.00002"),
        *(
            "/search.md?q=paper",
            "/papers/2509.00001",
            "/archive/models/",
            "/archive/models/feed.xml",
        ),
        *("/metrics", "/archive/models/search?q=Hidden"),
    ):
        page = web.get(path)
        assert page.status in (200, 404), path
        for word in (TITLE, rubric.slug, "Hidden paper"):
            assert word not in page.text.replace("q=Hidden", ""), (path, word)
    assert web.get("/papers/2509.00001").status == 200
    of_paper = web.get("/papers/2509.00002").text
    assert "Hidden paper" in of_paper, "arXiv's own words"
    assert TITLE not in of_paper
    assert rubric.slug not in of_paper


@pytest.mark.parametrize("rest", ["", "feed.xml", "2025-09/", "2025-09-23/", "2025-09-23.bib"])
def test_its_slug_opens_nothing_and_its_secret_address_does(
    own: tuple[Browser, Rubric], rest: str
) -> None:
    web, rubric = own
    assert web.get(f"/archive/{rubric.slug}/{rest}").status == 404
    page = web.get(f"/archive/{LINKS.segment(rubric)}/{rest}")
    assert page.status == 200
    assert page.headers["cache-control"].startswith("private")


def test_only_its_reader_can_subscribe(own: tuple[Browser, Rubric], store: Store) -> None:
    web, rubric = own
    done = web.post("/subscribe", {"email": "eve@example.org", "rubric": rubric.slug})
    assert done.status in (400, 422)
    with store.begin() as tx:
        subscriptions.insert_new(tx, Subscription("e" * 32, "eve@example.org", "models"), NOW)
    path = f"/preferences/{LINKS.token(Purpose.PREFERENCES, 'e' * 32)}"
    assert TITLE not in web.get(path).text
    for form in ({"rubric": rubric.slug}, {"action": "add", "rubric": rubric.slug}):
        assert TITLE not in web.post(path, form).text
    with store.read() as tx:
        assert [one.rubric for one in subscriptions.of_subscriber(tx, "e" * 32)] == ["models"]


def test_the_operators_next_run_has_one_row_for_all(
    own: tuple[Browser, Rubric], store: Store
) -> None:
    web, _ = own
    other, paused = (save_rubric(store, f"{1:032x}", text(title)) for title in ("One", "Two"))
    with store.begin() as tx:
        reader_rubrics.pause(tx, paused, PausedBy.OPERATOR, NOW, "dear")
    for path in ("/operator", "/operator/next-run"):
        page = Person(web, "ada").get(path)
        assert page.status == 200
        for word in (TITLE, "own-", "paused, deleted", other, paused):
            assert word not in page.words, (path, word)
    rows = [" ".join(row.get_text(" ").split()) for row in page.soup.select("tbody tr")]
    assert "Rubrics that readers wrote 2 0 of 2 made" in rows
    due = [row for row in rows if "Rubrics that readers wrote" in row]
    assert 2 <= len(due) <= 3, "of this day and the next, not for each rubric"


def test_the_operator_has_its_own_rubrics_alone(store: Store, tmp_path: Path) -> None:
    save_rubric(store, add_reader(store, 1), text(TITLE))
    catalog = catalog_of(store, tmp_path / "rubrics", "Models")
    assert list(of_operator(catalog)) == ["models"]
    assert list(of_operator({"a": catalog["models"]})) == ["a"]
