"""The arXiv source against a loopback arXiv: what it asks, what it reads, and how it fails."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from arxiv import _feed

from newsletter.domain.announcements import announcement
from newsletter.settings import Settings
from newsletter.sources import SourceError
from newsletter.sources.arxiv import rss
from newsletter.sources.arxiv.atom import total_results
from newsletter.sources.arxiv.source import ArxivSource, PartialError, to_paper
from newsletter.sources.arxiv.transport import (
    MAX_ATTEMPTS,
    InvalidResponseError,
    RefusedError,
    ThrottledError,
    UnreachableError,
)
from tests.fakes import arxiv as fake_arxiv
from tests.fakes.arxiv import FakeArxiv, row

FEEDS = Path(__file__).parents[2].parent / "shared" / "corpus" / "feeds"
MANIFEST = json.loads((FEEDS / "manifest.json").read_text()) if FEEDS.is_dir() else []
API = [feed for feed in MANIFEST if feed["endpoint"] == "arxiv api"]
ANNOUNCED = [feed for feed in MANIFEST if feed["endpoint"] != "arxiv api"]
WINDOW = announcement(date(2025, 9, 23))

needs_corpus = pytest.mark.skipif(not MANIFEST, reason="the shared corpus is not here")


def quiet(_done: int, _total: int) -> None:
    """Nobody watches."""


def source(fake: FakeArxiv, sleeps: list[float] | None = None) -> ArxivSource:
    """Over a clock that stands still, so that a slow machine changes no pause."""
    settings = Settings(arxiv_api_url=fake.url, arxiv_delay_seconds=3)
    made = ArxivSource(settings, sleep=([] if sleeps is None else sleeps).append)
    made.transport.clock = lambda: 0.0
    return made


def ask(arxiv: ArxivSource, *categories: str):
    return arxiv.submitted(categories or ("cs.LG",), WINDOW.start, WINDOW.end, quiet)


def some(count: int):
    step = (WINDOW.end - WINDOW.start) / count
    return [row(f"2509.{n:05d}v1", WINDOW.start + step * n) for n in range(count)]


def ids(papers):
    return [paper.id for paper in papers]


def test_a_day_comes_whole_and_by_id():
    with FakeArxiv(some(30)) as fake:
        found = ask(source(fake))
    assert ids(found) == [f"2509.{n:05d}" for n in range(30)]
    (request,) = fake.requests
    assert request.params == {
        "search_query": "(cat:cs.LG) AND submittedDate:[202509191800 TO 202509221800]",
        "sortBy": "submittedDate",
        "sortOrder": "ascending",
        "start": "0",
        "max_results": "2000",
    }


def test_a_request_says_who_asks_and_what_it_takes():
    with FakeArxiv() as fake:
        settings = Settings(arxiv_api_url=fake.url, public_url="https://digest.example")
        ask(ArxivSource(settings))
    (request,) = fake.requests
    assert request.headers["User-Agent"].startswith("arxiv-newsletter/")
    assert request.headers["User-Agent"].endswith("(+https://digest.example)")
    assert request.headers["Accept"].startswith("application/atom+xml")


def test_categories_are_one_query_and_a_cross_list_comes_once():
    rows = [
        row("2509.00001v1", WINDOW.start, ["cs.LG", "cs.AI"]),
        row("2509.00002v1", WINDOW.start, ["cs.AI"]),
        row("2509.00003v1", WINDOW.start, ["math.CO"]),
    ]
    with FakeArxiv(rows) as fake:
        found = ask(source(fake), "cs.LG", "cs.AI", "cs.LG")
    assert ids(found) == ["2509.00001", "2509.00002"]
    assert len(fake.requests) == 1
    assert fake.requests[0].params["search_query"].startswith("(cat:cs.AI OR cat:cs.LG) AND")


def test_the_window_is_exact_although_arxivs_minutes_are_inclusive():
    second = timedelta(seconds=1)
    rows = [
        row("2509.00001v1", WINDOW.start - second),
        row("2509.00002v1", WINDOW.start),
        row("2509.00003v1", WINDOW.end - second),
        row("2509.00004v1", WINDOW.end),
        row("2509.00005v1", WINDOW.end + 59 * second),
    ]
    with FakeArxiv(rows) as fake:
        assert ids(ask(source(fake))) == ["2509.00002", "2509.00003"]


def test_nothing_submitted_is_an_answer():
    with FakeArxiv() as fake:
        assert ask(source(fake)) == []
    assert len(fake.requests) == 1


def test_text_keeps_its_letters_and_loses_its_white_space():
    rows = [
        row(
            "2509.00001v3",
            WINDOW.start,
            ["cs.LG", "math.ST"],
            title="  Loss\n   landscapes of $\\mathcal{O}(n^2)$ & <b>Ðặng</b> ",
            abstract="\n  First line \n  50% more,\n\tsecond \\emph{line}.  ",
            authors=["Émile  Nakagawa", "Pál Horv\\'ath", "李 明"],
            comment=" 9 pages,\n  2 figures ",
            journal_ref="Phys. Rev.\n D 1",
            doi="10.1103/PhysRevD.1",
        )
    ]
    with FakeArxiv(rows) as fake:
        (paper,) = ask(source(fake))
    assert paper.title == "Loss landscapes of $\\mathcal{O}(n^2)$ & <b>Ðặng</b>"
    assert paper.abstract == "First line 50% more, second \\emph{line}."
    assert paper.authors == ("Émile Nakagawa", "Pál Horv\\'ath", "李 明")
    assert paper.comment == "9 pages, 2 figures"
    assert paper.journal_ref == "Phys. Rev. D 1"
    assert paper.doi == "10.1103/PhysRevD.1"
    assert (paper.id, paper.version) == ("2509.00001", 3)
    assert (paper.primary_category, paper.categories) == ("cs.LG", ("cs.LG", "math.ST"))
    assert paper.published == WINDOW.start
    assert paper.published.tzinfo == UTC


@pytest.mark.parametrize(
    ("given", "known", "version"),
    [
        ("math/0309136v2", "math/0309136", 2),
        ("astro-ph/0601001v1", "astro-ph/0601001", 1),
        ("math.GT/0309136v1", "math.GT/0309136", 1),
        ("0704.0001v12", "0704.0001", 12),
        ("2509.16989v1", "2509.16989", 1),
    ],
)
def test_ids_of_all_ages_lose_their_version(given, known, version):
    with FakeArxiv([row(given, WINDOW.start)]) as fake:
        (paper,) = ask(source(fake))
    assert (paper.id, paper.version) == (known, version)


def test_pages_are_requested_at_arxivs_rate():
    sleeps: list[float] = []
    seen: list[tuple[int, int]] = []
    with FakeArxiv(some(250), largest_page=100) as fake:
        arxiv = source(fake, sleeps=sleeps)
        found = arxiv.submitted(
            ["cs.LG"], WINDOW.start, WINDOW.end, lambda done, total: seen.append((done, total))
        )
        ask(arxiv)
    assert len(found) == 250
    assert [request.start for request in fake.requests] == [0, 100, 200, 0, 100, 200]
    assert sleeps == [3.0] * 5
    assert seen == [(100, 250), (200, 250), (250, 250)]


def test_papers_of_the_same_page_border_are_merged_and_none_is_lost():
    rows = some(25)
    with FakeArxiv(rows, largest_page=10) as fake:
        fake.fail(fake_arxiv.shifted(rows, by=3, size=10), after=1)
        found = ask(source(fake))
    assert ids(found) == [f"2509.{n:05d}" for n in range(25)]


def test_of_two_versions_on_two_pages_the_later_is_kept():
    rows = some(3)
    newer = [rows[0], rows[1], {**rows[1], "id": "2509.00001v2"}]
    with FakeArxiv(rows, largest_page=2) as fake:
        fake.fail(fake_arxiv.shifted(newer, by=0, size=2), after=1)
        found = ask(source(fake))
    assert [(paper.id, paper.version) for paper in found] == [
        ("2509.00000", 1),
        ("2509.00001", 2),
        ("2509.00002", 1),
    ]


TRANSIENT = {
    "500": (fake_arxiv.status(500), UnreachableError),
    "502": (fake_arxiv.status(502), UnreachableError),
    "429": (fake_arxiv.status(429), ThrottledError),
    "503": (fake_arxiv.status(503), ThrottledError),
    "406": (fake_arxiv.status(406), ThrottledError),
    "rate exceeded with 200": (fake_arxiv.html("Rate exceeded."), ThrottledError),
    "HTML with 200": (fake_arxiv.html(), InvalidResponseError),
    "XHTML with 200": (
        fake_arxiv.html('<html xmlns="http://www.w3.org/1999/xhtml"><body>later</body></html>'),
        InvalidResponseError,
    ),
    "empty body": (fake_arxiv.html(""), InvalidResponseError),
    "error entry": (fake_arxiv.error_entry(), InvalidResponseError),
    "error entry with dates": (
        fake_arxiv.replaced("http://arxiv.org/abs/2509.00000v1", "http://arxiv.org/api/errors#odd"),
        InvalidResponseError,
    ),
    "empty first page": (fake_arxiv.empty_page(), InvalidResponseError),
    "no total": (
        fake_arxiv.replaced("totalResults>3<", "totalResults>many<"),
        InvalidResponseError,
    ),
    "a total of nothing": (
        fake_arxiv.replaced("totalResults>3<", "totalResults>0<"),
        InvalidResponseError,
    ),
    "cut off": (fake_arxiv.cut(), InvalidResponseError),
    "cut off at its end": (fake_arxiv.cut(0.999), InvalidResponseError),
    "broken off": (fake_arxiv.broken_off, UnreachableError),
    "entry without id": (fake_arxiv.without("id"), InvalidResponseError),
    "entry with a strange id": (
        fake_arxiv.replaced("arxiv.org/abs/2509.00001v1", "arxiv.org/abs/none"),
        InvalidResponseError,
    ),
    "entry without title": (fake_arxiv.without("title"), InvalidResponseError),
    "entry without published": (fake_arxiv.without("published"), InvalidResponseError),
    "entry without updated": (fake_arxiv.without("updated"), InvalidResponseError),
    "entry without category": (fake_arxiv.without("category"), InvalidResponseError),
    "entry with half a date": (
        fake_arxiv.replaced("<published>2025-09-1", "<published>2025-"),
        InvalidResponseError,
    ),
}


@pytest.mark.parametrize("element", ["summary", "author"])
def test_a_paper_without_abstract_or_authors_does_not_stop_the_others(element):
    with FakeArxiv(some(3)) as fake:
        fake.always = fake_arxiv.without(element)
        papers = ask(source(fake))
    assert len(papers) == 3
    odd = [paper for paper in papers if not (paper.abstract and paper.authors)]
    assert len(odd) == 1
    assert odd[0].title


@pytest.mark.parametrize("name", TRANSIENT)
def test_a_fault_that_passes_is_waited_out(name):
    with FakeArxiv(some(3)) as fake:
        fake.fail(TRANSIENT[name][0])
        assert len(ask(source(fake))) == 3
    assert len(fake.requests) == 2


@pytest.mark.parametrize("name", TRANSIENT)
def test_a_fault_that_stays_is_loud_and_never_an_empty_day(name):
    fault, kind = TRANSIENT[name]
    with FakeArxiv(some(3)) as fake:
        fake.always = fault
        with pytest.raises(kind) as caught:
            ask(source(fake))
    assert len(fake.requests) == MAX_ATTEMPTS
    assert str(caught.value).startswith("arXiv")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("total", [None, 0])
def test_an_empty_later_page_is_a_fault(total):
    with FakeArxiv(some(20), largest_page=10) as fake:
        fake.fail(fake_arxiv.empty_page(total), times=MAX_ATTEMPTS, after=1)
        with pytest.raises(InvalidResponseError, match="empty page at paper 10"):
            ask(source(fake))


def test_the_same_page_again_and_again_is_a_fault():
    rows = some(20)
    with FakeArxiv(rows, largest_page=10) as fake:
        fake.always = fake_arxiv.first_page(rows, size=10)
        with pytest.raises(PartialError, match="10 of 20"):
            ask(source(fake))


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_is_not_tried_again(status):
    with FakeArxiv(some(3)) as fake:
        fake.always = fake_arxiv.status(status)
        with pytest.raises(RefusedError, match=str(status)):
            ask(source(fake))
    assert len(fake.requests) == 1


def test_pauses_grow_and_follow_from_the_delay():
    sleeps: list[float] = []
    with FakeArxiv(some(3)) as fake:
        fake.always = fake_arxiv.status(500)
        with pytest.raises(UnreachableError):
            ask(source(fake, sleeps=sleeps))
    assert sleeps == [3, 3, 6, 3, 12, 3, 24, 3]


def test_throttling_starts_a_cool_down():
    sleeps: list[float] = []
    with FakeArxiv(some(3)) as fake:
        fake.always = fake_arxiv.status(503)
        with pytest.raises(ThrottledError):
            ask(source(fake, sleeps=sleeps))
    assert [pause for pause in sleeps if pause > 4] == [30, 60, 120, 240]


def test_retry_after_is_obeyed():
    sleeps: list[float] = []
    soon = datetime.now(UTC) + timedelta(seconds=100)
    with FakeArxiv(some(3)) as fake:
        fake.fail(fake_arxiv.status(429, Retry_After="17"))
        fake.fail(fake_arxiv.status(503, Retry_After=f"{soon:%a, %d %b %Y %H:%M:%S GMT}"))
        fake.fail(fake_arxiv.status(429, Retry_After="soon"))
        assert len(ask(source(fake, sleeps=sleeps))) == 3
    first, second, third = [pause for pause in sleeps if pause > 4]
    assert first == 17
    # A busy machine may take a while from the date to the request.
    assert 30 < second <= 100
    assert third == 120


def test_a_retry_after_beyond_the_deadline_ends_at_once():
    with FakeArxiv(some(3)) as fake:
        fake.always = fake_arxiv.status(429, Retry_After="3600")
        with pytest.raises(ThrottledError, match="3600 s"):
            ask(source(fake))
    assert len(fake.requests) == 1


def test_a_silent_server_does_not_hold_up_the_run():
    with FakeArxiv(some(3)) as fake:
        fake.fail(fake_arxiv.stall(30))
        arxiv = source(fake)
        arxiv.transport.read_timeout = 0.5
        assert len(ask(arxiv)) == 3
    assert len(fake.requests) == 2


def test_an_answer_without_end_is_broken_off():
    clock = iter(range(0, 100_000, 1000))
    with FakeArxiv(some(3)) as fake:
        fake.always = fake_arxiv.stall(0.01)
        arxiv = source(fake)
        arxiv.transport.clock = lambda: float(next(clock))
        with pytest.raises(UnreachableError, match="too large or too slow"):
            ask(arxiv)


def test_nobody_there_says_so():
    with FakeArxiv() as fake:
        arxiv = source(fake)
    naps: list[float] = []
    arxiv.transport.sleep = naps.append
    with pytest.raises(
        UnreachableError, match=r"connection refused or no route \(ConnectionError\)"
    ):
        ask(arxiv)
    assert len(naps) == 2, "one pause, and the one that arXiv asks for between requests"


@needs_corpus
@pytest.mark.parametrize("feed", API, ids=[feed["file"] for feed in API])
def test_recorded_pages_are_read_whole_or_refused(feed):
    body = (FEEDS / feed["file"]).read_bytes()
    start = int(feed["url"].split("start=")[1].split("&")[0]) if feed["url"] else 0
    if feed["http_status"] != 200:
        with pytest.raises(InvalidResponseError, match="incorrect id format"):
            total_results(body, start)
        return
    total = total_results(body, start)
    papers = [to_paper(result) for result in _feed.parse(body).results]
    assert len({paper.id for paper in papers}) == feed["entries"] <= total
    for paper in papers:
        assert paper.title == " ".join(paper.title.split())
        assert paper.abstract == " ".join(paper.abstract.split())
        assert paper.authors
        assert "v" not in paper.id.rpartition("/")[2]


@needs_corpus
@pytest.mark.parametrize("feed", API, ids=[feed["file"] for feed in API])
def test_a_recorded_page_is_refused_wherever_it_is_cut(feed):
    body = (FEEDS / feed["file"]).read_bytes().rstrip()
    for place in range(0, len(body), len(body) // 40):
        with pytest.raises(SourceError):
            total_results(body[:place], 0)


@needs_corpus
def test_recorded_pages_that_overlap_are_merged():
    pages = ["start0-size10", "start10-size10", "start9-size15", "start20-size10"]
    found = {
        to_paper(result).id
        for page in pages
        for result in _feed.parse((FEEDS / f"api-page-{page}.xml").read_bytes()).results
    }
    assert len(found) == 30


@needs_corpus
def test_a_recorded_refusal_ends_the_fetch():
    body = (FEEDS / "api-error-entry-http400.xml").read_bytes()
    with FakeArxiv() as fake:
        fake.always = lambda _request, _reply: fake_arxiv.Reply(body, 400)
        with pytest.raises(RefusedError):
            ask(source(fake))


@needs_corpus
@pytest.mark.parametrize("feed", ANNOUNCED, ids=[feed["file"] for feed in ANNOUNCED])
def test_recorded_announcement_feeds_are_read_whole_or_refused(feed):
    body = (FEEDS / feed["file"]).read_bytes()
    if not feed["complete"]:
        with pytest.raises(InvalidResponseError):
            rss.read(body)
        return
    items = rss.read(body)
    assert len(items) == feed["entries"]
    for item in items:
        assert item.kind in (rss.ListingKind.NEW, rss.ListingKind.CROSS)
        assert "cs.AI" in item.categories


RSS = """<?xml version="1.0"?>
<rss xmlns:arxiv="http://arxiv.org/schemas/atom" xmlns:dc="http://purl.org/dc/elements/1.1/"
 version="2.0"><channel><title>cs.AI updates</title><item>
<title>A paper &amp; more</title><link>https://arxiv.org/abs/2509.13332</link>
<description>arXiv:2509.13332v2 Announce Type: replace-cross
Abstract: As seen.</description><guid isPermaLink="false">oai:arXiv.org:2509.13332v2</guid>
<category>cs.CL</category><category>cs.AI</category>
<arxiv:announce_type>replace-cross</arxiv:announce_type>
<dc:creator>Ada Author, Émile Writer</dc:creator></item></channel></rss>"""


def test_an_rss_item_says_what_kind_it_is():
    (item,) = rss.read(RSS.encode())
    kind = rss.ListingKind.REPLACE_CROSS
    assert item == rss.ListedPaper("2509.13332", 2, kind, ("cs.CL", "cs.AI"))


@pytest.mark.parametrize(
    "body",
    [
        RSS.replace("oai:arXiv.org:2509.13332v2", ""),
        RSS.replace("type>replace-cross<", "type>novel<"),
        "<html><body>later</body></html>",
        "<rss></rss>",
        "",
    ],
)
def test_what_is_no_announcement_feed_is_refused(body):
    with pytest.raises(InvalidResponseError):
        rss.read(body.encode())


def test_vendor_libraries_are_paid_for_on_the_first_request():
    code = (
        "import sys, newsletter.sources.arxiv.source, newsletter.sources.sample;"
        "print([name for name in ('arxiv', 'requests', 'lxml') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.strip() == "[]"


def test_requests_are_really_apart():
    with FakeArxiv(some(30), largest_page=10) as fake:
        settings = Settings(arxiv_api_url=fake.url, arxiv_delay_seconds=0.15)
        ask(ArxivSource(settings))
    first, second, third = [request.at for request in fake.requests]
    assert second - first >= 0.15
    assert third - second >= 0.15
