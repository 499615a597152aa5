"""arXiv's own list and look-ups by id, over HTTP against a loopback arXiv."""

from __future__ import annotations

from datetime import date

import pytest

from newsletter.domain.announcements import announcement
from newsletter.settings import Settings
from newsletter.sources import MAX_IDS, ListedPaper, ListingKind, SourceError
from newsletter.sources.arxiv.rss import MAX_ITEMS
from newsletter.sources.arxiv.source import ArxivSource, feed_address
from newsletter.sources.arxiv.transport import RefusedError
from tests.fakes import arxiv as fake_arxiv
from tests.fakes.arxiv import FakeArxiv, line, row
from tests.fakes.arxiv_timeline import ArxivTimeline, Clock, Submission, TimelineSource, Version

TUESDAY = date(2025, 9, 23)
WINDOW = announcement(TUESDAY)


def source(fake, **more) -> ArxivSource:
    given = {"arxiv_api_url": fake.url, "arxiv_rss_url": fake.rss_url, "arxiv_delay_seconds": 0}
    return ArxivSource(Settings(_env_file=None, **given | more))


def paper(number, *categories, **more):
    return row(f"2509.{number:05d}", WINDOW.start, categories or ("cs.LG",), **more)


def test_all_categories_are_one_request_and_all_kinds_are_told():
    lines = [
        line(paper(1)),
        line(paper(2, "cs.CL", "cs.AI"), "cross"),
        line(paper(3), "replace", 2),
        line(paper(4), "replace-cross", 3),
    ]
    asked = []
    with FakeArxiv(feed=lambda names: asked.append(names) or lines) as fake:
        found = source(fake).listing(["cs.LG", "cs.AI", "cs.LG"])
        assert len(fake.requests) == 1
    assert asked == [["cs.AI", "cs.LG"]]
    assert found == [
        ListedPaper("2509.00001", 1, ListingKind.NEW, ("cs.LG",)),
        ListedPaper("2509.00002", 1, ListingKind.CROSS, ("cs.CL", "cs.AI")),
        ListedPaper("2509.00003", 2, ListingKind.REPLACE, ("cs.LG",)),
        ListedPaper("2509.00004", 3, ListingKind.REPLACE_CROSS, ("cs.LG",)),
    ]


def test_a_list_that_is_not_there_is_asked_for_once():
    with FakeArxiv() as fake:
        with pytest.raises(RefusedError):
            source(fake).listing(["cs.LG"])
        assert len(fake.requests) == 1


@pytest.mark.parametrize(
    "fault", [fake_arxiv.status(503), fake_arxiv.html(), fake_arxiv.cut(), fake_arxiv.broken_off]
)
def test_a_list_that_cannot_be_read_is_asked_for_once(fault):
    with FakeArxiv(feed=lambda _: [line(paper(1))]) as fake:
        fake.feed_faults.append(fault)
        with pytest.raises(SourceError):
            source(fake).listing(["cs.LG"])
        assert len(fake.requests) == 1


def test_a_list_as_long_as_arxiv_makes_them_may_lack_some():
    lines = [line(paper(number)) for number in range(MAX_ITEMS)]
    with FakeArxiv(feed=lambda _: lines) as fake, pytest.raises(SourceError, match="truncated"):
        source(fake).listing(["cs.LG"])


def test_an_arxiv_of_ones_own_has_no_list_unless_it_is_named():
    own = "http://127.0.0.1:9/api/query"
    assert feed_address(Settings(_env_file=None)) == "https://rss.arxiv.org/rss"
    assert feed_address(Settings(_env_file=None, arxiv_api_url=own)) == ""
    named = Settings(_env_file=None, arxiv_api_url=own, arxiv_rss_url="http://127.0.0.1:9/rss")
    assert feed_address(named) == "http://127.0.0.1:9/rss"
    with FakeArxiv() as fake:
        made = ArxivSource(Settings(_env_file=None, arxiv_api_url=fake.url))
        assert made.listing(["cs.LG"]) is None
        assert fake.requests == []


def test_papers_are_looked_up_by_id_a_hundred_at_a_time():
    rows = [paper(number) for number in range(150)]
    with FakeArxiv(rows) as fake:
        found = source(fake).by_id([each["id"] for each in rows] + ["2509.99999", "no id; 1=1"])
        sizes = [len(request.params["id_list"].split(",")) for request in fake.requests]
    assert [each.id for each in found] == [each["id"] for each in rows]
    assert sizes == [MAX_IDS, 51]


def test_ids_nobody_knows_are_no_papers():
    with FakeArxiv() as fake:
        assert source(fake).by_id(["2509.99999"]) == []
        assert source(fake).by_id([]) == []
        assert len(fake.requests) == 1


@pytest.mark.parametrize(("rows", "shown"), [([paper(1)], True), ([paper(1, "hep-lat")], False)])
def test_whether_arxiv_shows_anything_is_one_small_request(rows, shown):
    with FakeArxiv(rows) as fake:
        assert source(fake).shows_any(WINDOW.start, WINDOW.end) is shown
        assert [request.params["max_results"] for request in fake.requests] == ["1"]


def test_the_timeline_is_the_same_over_http_and_in_memory():
    clock = Clock(WINDOW.public_from)
    timeline = ArxivTimeline(clock)
    later = date(2025, 9, 24)
    start = WINDOW.start
    timeline.add(
        Submission("2509.00001", start, ("cs.LG",), versions=(Version(later, 2),)),
        Submission("2509.00002", start, ("cs.CL",), crosses=((later, "cs.LG"),)),
        Submission("2509.00003", start, ("cs.LG",), announced=later),
    )
    quick = TimelineSource(timeline)
    with FakeArxiv(timeline.find, feed=timeline.feed) as fake:
        real = source(fake)
        for hours in (0, 5, 24, 30):
            clock.now = WINDOW.public_from
            clock.on(hours=hours)
            for categories in (["cs.LG"], ["cs.CL", "cs.LG"]):
                given = categories, WINDOW.start, WINDOW.end, lambda *_: None
                assert real.submitted(*given) == quick.submitted(*given)
                assert real.listing(categories) == quick.listing(categories)
            assert real.by_id(["2509.00001", "2509.00003"]) == quick.by_id(
                ["2509.00001", "2509.00003"]
            )
