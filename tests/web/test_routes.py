"""All routes: which of them search engines may keep, and what an extra slash leads to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple
from urllib.robotparser import RobotFileParser

import pytest

from newsletter.domain.links import Purpose
from newsletter.web.app import MONITORING, PAGES, create_app
from newsletter.web.context import Site
from tests.fakes.browser import served
from tests.fakes.pages import LINKS, TUESDAY, application, issue, paper
from tests.fakes.reader_rubrics import add_reader, catalog_of, save_rubric, text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from newsletter.store import Store
    from tests.fakes.browser import Browser

PURPOSES = {
    "confirm": Purpose.CONFIRM,
    "unsubscribe": Purpose.UNSUBSCRIBE,
    "preferences": Purpose.PREFERENCES,
    "vote": Purpose.VOTE,
    "reading-list": Purpose.READING_LIST,
    "why": Purpose.WHY,
    "rubrics": Purpose.PREFERENCES,
}
"""Of the token of each page, by the beginning of its path."""
WITH_TOKEN = [path for path in PAGES if "{token}" in path]
NO_SLASH = [path for path in (*PAGES, *MONITORING) if not path.endswith(("/", ":path}"))]
VALUES = {
    "rubric": "models",
    "when": "2025-09-23",
    "kind": "bib",
    "id:path": "2509.00001",
    "id": "0" * 32,
    "mark": "none",
}


class Visit(NamedTuple):
    web: Browser
    person: str
    slug: str

    def path(self, route: str, token: str = "") -> str:
        made = token or LINKS.token(PURPOSES.get(route.split("/")[1], Purpose.WHY), self.person)
        path = route.replace("{token}", made).replace("{slug}", self.slug)
        for name, value in VALUES.items():
            path = path.replace(f"{{{name}}}", value)
        return path


@pytest.fixture
def visit(store: Store, tmp_path: Path) -> Iterator[Visit]:
    person = add_reader(store, 1)
    slug = save_rubric(store, person, text("Hidden wishes"))
    catalog = catalog_of(store, tmp_path / "rubrics", "Models")
    issue(store, catalog["models"], TUESDAY, [paper("2509.00001"), paper("2509.00002")])
    site = application(store, reader_rubrics=3, public_url="https://example.org/digest")
    with served(create_app(Site(replace(site, rubrics=catalog)))) as web, web.connected() as kept:
        yield Visit(kept, person, slug)


def test_no_page_of_a_reader_may_be_indexed(visit: Visit) -> None:
    shown = set()
    for route in WITH_TOKEN:
        for token in ("", "nobody"):
            page = visit.web.get(visit.path(route, token))
            assert "noindex" in page.headers["x-robots-tag"], route
            assert page.headers["cache-control"] == "no-store", route
            if page.status == 200:
                shown.add(route)
    assert len(shown) > len(WITH_TOKEN) / 2, "with a good token most of them are shown"


def test_robots_leave_every_page_of_a_reader_alone(visit: Visit) -> None:
    robots = RobotFileParser()
    robots.parse(visit.web.get("/robots.txt").text.splitlines())
    for route in WITH_TOKEN:
        assert not robots.can_fetch("any", f"/digest{visit.path(route)}"), route
    for path in ("/", "/archive/models/2025-09-23/", "/papers/2509.00001"):
        assert robots.can_fetch("any", f"/digest{path}"), path


def test_an_extra_slash_leads_back_to_every_page(visit: Visit) -> None:
    """By a path alone: a host would be the one by which a proxy asks."""
    for route in NO_SLASH:
        path = visit.path(route)
        page = visit.web.get(f"{path}/?q=a")
        assert (page.status, page.headers.get("location")) == (307, f"/digest{path}?q=a"), route


def test_two_extra_slashes_lead_nowhere(visit: Visit) -> None:
    for path in ("/archive/models//", "/archive/models/2025-09-23//", "/healthz//"):
        page = visit.web.get(path)
        assert (page.status, page.headers.get("location")) == (404, None), path


@pytest.mark.parametrize("asked", ["", "?paper=", "?paper=%20"])
def test_no_paper_at_all_is_the_search(visit: Visit, asked: str) -> None:
    page = visit.web.get(f"/papers{asked}")
    assert (page.status, page.headers["location"]) == (303, "/digest/search")
