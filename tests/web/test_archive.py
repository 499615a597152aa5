"""The archive pages over real HTTP."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from lxml import etree

from newsletter.domain.digest import compose
from newsletter.domain.mail import SubscriberState
from newsletter.store import digests
from newsletter.web.app import create_app
from newsletter.web.context import Site
from newsletter.web.mathml import with_formulas
from tests.fakes.browser import Browser, served
from tests.fakes.database import create_database
from tests.fakes.pages import (
    LINKS,
    NOW,
    SECRET,
    STARS,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    application,
    issue,
    make_site,
    paper,
    reader,
)
from tests.fakes.prometheus import parse

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
ATOM = "{http://www.w3.org/2005/Atom}"
HOSTILE = "<script>alert(1)</script>\"'&{{7*7}}</mj-text>\u202eevil\x07"
DAY = "/archive/stars/2025-09-23/"


@pytest.fixture
def web(store):
    issue(store, STARS, TUESDAY, [paper("1"), paper("2"), paper("3")])
    issue(store, STARS, THURSDAY, [paper("4", "Cold dwarfs")], scores=(10, 9))
    issue(store, SECRET, TUESDAY, [paper("5", "Hidden thing")])
    with served(create_app(make_site(store))) as browser:
        yield browser


def test_the_front_page_lists_public_rubrics_only(web: Browser):
    page = web.get("/")
    assert page.status == 200
    assert "Stars" in page.words
    assert "Secret plans" not in page.words
    assert "/archive/stars/2025-09-25/" in page.links()
    assert "/archive/models/" in page.links()


def test_an_issue_has_full_abstracts_and_the_anchors_of_the_email(web: Browser):
    soup = web.get(DAY).soup
    assert soup.h1.get_text(strip=True) == "Tuesday, 23 September 2025"
    for number, paper_id in ((1, "1"), (2, "2")):
        card = soup.find(id=f"p{number}")
        assert f"The abstract of {paper_id}." in card.get_text()
        assert "Cold stars: it is one." in card.get_text()
        assert card.h3.a["href"] == f"https://arxiv.org/abs/{paper_id}"
    words = " ".join(soup.get_text(" ").split())
    for figure in (
        "Relevance 9/10",
        "Novelty 8/10",
        "2 picked out of",
        "1,200",
        "$0.15",
        "Near misses your cut-offs: relevance 7, novelty 7",
        "Relevance 6/10",
    ):
        assert figure in words
    assert soup.find(id="prompt") is not None
    assert "Read <all>." in soup.find(id="prompt").get_text()


def test_links_to_other_days_skip_days_without_issue(web: Browser):
    tuesday, thursday = web.get(DAY), web.get("/archive/stars/2025-09-25/")
    assert tuesday.soup.find("link", rel="next")["href"] == "/archive/stars/2025-09-25/"
    assert thursday.soup.find("link", rel="prev")["href"] == DAY
    assert tuesday.soup.find("link", rel="prev") is None
    assert "/archive/stars/2025-09/" in tuesday.links()


def test_the_newest_issue_links_to_no_next_one(web: Browser):
    last = web.get("/archive/stars/2025-09-25/")
    assert last.soup.find("a", rel="next") is None
    # The email links to it: the address is good before the issue is there.
    page = web.get("/archive/stars/2025-09-26/")
    assert page.status == 200
    assert "not out yet" in page.words
    assert "/archive/stars/2025-09-25/" in page.links()


def test_days_without_issue(web: Browser):
    days = {
        "skipped": (WEDNESDAY, 200),
        "before the first": (date(2025, 9, 22), 404),
        "saturday": (date(2025, 9, 27), 404),
        "after the weekend": (date(2025, 9, 29), 200),
        "far away": (date(2026, 9, 29), 404),
    }
    found = {name: web.get(f"/archive/stars/{day}/").status for name, (day, _) in days.items()}
    assert found == {name: status for name, (_, status) in days.items()}
    assert "no issue for this day" in web.get(f"/archive/stars/{WEDNESDAY}/").words
    assert "not out yet" in web.get("/archive/stars/2025-09-29/").words


def test_unknown_addresses_are_not_found(web: Browser):
    stars = ("2025-13", "2025-02-30", "2025-9-23", "x", "2024-01")
    stars += ("0001-01-01", "0001-01", "9999-12", "9999-12-31", "1991-07-31")
    paths = [f"/archive/stars/{when}/" for when in stars]
    paths += ["/x", "/archive/", "/archive/none/", "/archive/secret/", "/archive/secret/feed.xml"]
    paths += ["/archive/secret/2025-09-23/", "/archive/secret/search?q=x"]
    for path in paths:
        page = web.get(path)
        assert (path, page.status) == (path, 404)
        assert "no page at this address" in page.words


def test_the_month_page_has_counts_cost_and_top_papers(web: Browser):
    page = web.get("/archive/stars/2025-09/")
    cells = [[cell.get_text(strip=True) for cell in row.find_all(["th", "td"])]
             for row in page.soup.table.find_all("tr")]  # fmt: skip
    assert cells[1] == ["Tue 23", "2", "3", "3", "$0.15"]
    assert cells[2] == ["Thu 25", "1", "1", "1", "$0.15"]
    assert cells[-1] == ["Total", "3", "4", "4", "$0.30"]
    best = [a["href"] for a in page.soup.find("ol").find_all("a")]
    assert best[0] == "/archive/stars/2025-09-25/#p1"
    assert len(best) == 3


def test_months_are_linked_over_gaps(store):
    days = [date(2025, 7, 1), date(2025, 9, 23), date(2025, 11, 3)]
    for number, day in enumerate(days):
        issue(store, STARS, day, [paper(str(number))])
    with served(create_app(make_site(store))) as web:
        september = web.get("/archive/stars/2025-09/").soup
        everything = web.get("/archive/stars/")
    assert september.find("link", rel="prev")["href"] == "/archive/stars/2025-07/"
    assert september.find("link", rel="next")["href"] == "/archive/stars/2025-11/"
    for day in days:
        assert f"/archive/stars/{day}/" in everything.links()
        assert f"/archive/stars/{day:%Y-%m}/" in everything.links()


def test_a_private_rubric_opens_only_by_its_secret_link(web: Browser):
    path = LINKS.issue_url(SECRET, TUESDAY).removeprefix("http://127.0.0.1")
    page = web.get(path)
    assert page.status == 200
    assert "Hidden thing" in page.words
    assert page.headers["x-robots-tag"] == "noindex, nofollow"
    assert page.soup.find("meta", attrs={"name": "robots"})["content"] == "noindex, nofollow"
    assert "Subscribe by email" not in page.words
    assert all(link.startswith(("#", "/", "https://arxiv.org/")) for link in page.links())
    feed = web.get(LINKS.feed_url(SECRET).removeprefix("http://127.0.0.1"))
    assert (feed.status, feed.headers["x-robots-tag"]) == (200, "noindex")
    wrong = path.replace("secret-", "secret-a")
    assert web.get(wrong).status == 404


def test_a_public_page_may_be_indexed(web: Browser):
    page = web.get(DAY)
    assert "x-robots-tag" not in page.headers
    assert page.soup.find("meta", attrs={"name": "robots"}) is None
    assert page.headers["cache-control"] == "public, max-age=300"


def test_the_feed_is_atom(web: Browser):
    page = web.get("/archive/stars/feed.xml")
    assert page.headers["content-type"].startswith("application/atom+xml")
    root = etree.fromstring(page.body)
    entries = root.findall(f"{ATOM}entry")
    assert [entry.find(f"{ATOM}id").text for entry in entries] == [
        "http://127.0.0.1/archive/stars/2025-09-25/",
        "http://127.0.0.1/archive/stars/2025-09-23/",
    ]
    assert root.find(f"{ATOM}updated").text == NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert "Cold dwarfs" in entries[0].find(f"{ATOM}content").text
    empty = etree.fromstring(web.get("/archive/models/feed.xml").body)
    assert empty.findall(f"{ATOM}entry") == []
    assert empty.find(f"{ATOM}updated") is not None


def test_search_finds_and_its_links_lead_to_the_paper(web: Browser):
    page = web.get("/search?q=cold+dwarfs")
    assert "/archive/stars/2025-09-25/#p1" in page.links()
    assert page.soup.find("input", id="q")["value"] == "cold dwarfs"
    assert "/archive/stars/2025-09-25/#p1" in web.get("/archive/stars/search?q=dwarf").links()
    assert "No paper" in web.get("/archive/models/search?q=dwarf").words
    assert "Hidden" not in web.get("/search?q=hidden").soup.find("main").get_text().replace(
        "hidden", ""
    )
    segment = LINKS.segment(SECRET)
    assert "Hidden thing" in web.get(f"/archive/{segment}/search?q=hidden").words


def test_an_empty_search_says_what_to_do(web: Browser):
    def advice(path: str) -> tuple[str, set[str]]:
        page = web.get(path).soup.find("main").find("ul")
        return page.get_text(" ", strip=True), {link["href"] for link in page.find_all("a")}

    words, links = advice("/archive/models/search?q=dwarf")
    assert "Use fewer words" in words
    assert links == {"/search?q=dwarf"}, "another topic may have it"
    words, _ = advice("/search?q=dwarf+to:2024")
    assert "Search other dates" in words
    words, links = advice("/search?q=https://arxiv.org/abs/2509.99999v2")
    assert links == {"/papers?paper=2509.99999"}
    assert "fewer words" not in words


def test_the_front_page_names_the_feed_of_each_topic(web: Browser):
    feeds = web.get("/").soup.find_all("link", rel="alternate", type="application/atom+xml")
    assert {one["href"] for one in feeds} == {"/archive/models/feed.xml", "/archive/stars/feed.xml"}
    assert all(web.get(one["href"]).status == 200 for one in feeds)


def test_search_has_pages(store):
    many = [paper(f"{n:04}", f"Star number {n}") for n in range(46)]
    issue(store, STARS, TUESDAY, many)
    with served(create_app(make_site(store))) as web:
        first = web.get("/search?q=star")
        second = web.get(first.soup.find("a", rel="next")["href"])
        third = web.get(second.soup.find("a", rel="next")["href"])
        beyond = web.get("/search?q=star&page=9")
    counts = [len(page.soup.find("ol").find_all("li")) for page in (first, second, third)]
    assert counts == [20, 20, 5]
    assert third.soup.find("a", rel="next") is None
    assert "No paper on this page" in beyond.words
    assert (
        len({link for page in (first, second, third) for link in page.links() if "#p" in link})
        == 45
    )


def test_malformed_searches_are_answered(web: Browser):
    for query in ("", "%22", "q=" + "a" * 5000, "q=%00&page=0", "q=a&page=-1", "q=%ff", "page=x"):
        assert web.get(f"/search?{query}").status == 200


def test_untrusted_text_is_escaped_on_every_page(store):
    rubric = replace(STARS, title=HOSTILE[:60])
    bad = paper("9", HOSTILE, HOSTILE + "$<script>x</script>$" + "y" * 100_000, (HOSTILE,))
    issue(store, rubric, TUESDAY, [bad, paper("8", HOSTILE)], comment=HOSTILE)
    site = Site(replace(application(store), rubrics={"stars": rubric}))
    with served(create_app(site)) as web:
        pages = [
            web.get(path)
            for path in ("/", DAY, "/archive/stars/", "/archive/stars/2025-09/",
                         "/archive/stars/feed.xml", "/search?q=evil", f"/search?q={HOSTILE[:8]}",
                         "/search?q=%3Cscript%3Ealert(1)%3C/script%3E")
        ]  # fmt: skip
    for page in pages:
        assert page.status == 200
        assert "<script" not in page.text
        assert "\u202e" not in page.text
        assert "\x07" not in page.text
        assert ">49<" not in page.text
    assert "{{7*7}}" in pages[1].words
    content = etree.fromstring(pages[4].body).find(f"{ATOM}entry/{ATOM}content").text
    assert "&lt;script&gt;" in content
    assert "<script" not in content


def test_every_response_has_the_security_headers(web: Browser):
    for path in ("/", DAY, "/style.css", "/nowhere", "/healthz", "/archive/stars/feed.xml"):
        headers = web.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"
        assert "set-cookie" not in headers
        assert "strict-transport-security" not in headers


def test_pages_have_no_scripts_and_load_nothing_from_other_sites(web: Browser):
    for path in ("/", DAY, "/archive/stars/", "/archive/stars/2025-09/", "/search?q=cold"):
        soup = web.get(path).soup
        assert not soup.find_all(["script", "iframe", "img", "object", "style"])
        assert not soup.find_all(style=True)
        loaded = [str(link["href"]) for link in soup.find_all("link", rel=["stylesheet", "icon"])]
        assert loaded == ["data:,", "/style.css"]


def test_every_page_is_built_for_keyboard_and_screen_reader(web: Browser):
    for path in ("/", DAY, "/archive/stars/", "/archive/stars/2025-09/", "/search?q=cold", "/x"):
        soup = web.get(path).soup
        assert soup.html["lang"] == "en"
        assert len(soup.find_all("h1")) == len(soup.find_all("main")) == 1
        assert soup.title.get_text()
        levels = [int(heading.name[1]) for heading in soup.find_all(re.compile("^h[1-6]$"))]
        assert all(after - before <= 1 for before, after in pairwise(levels))
        ids = [tag["id"] for tag in soup.find_all(id=True)]
        assert len(ids) == len(set(ids))
        for field in soup.find_all("input"):
            assert field.get("type") == "hidden" or soup.find("label", attrs={"for": field["id"]})
        for link in soup.find_all("a", href=re.compile("^#")):
            assert link["href"][1:] in ids


def test_head_has_the_status_of_get_and_no_body(web: Browser):
    for path in ("/", DAY, "/healthz", "/style.css"):
        page = web.head(path)
        assert (page.status, page.body) == (200, b"")


def test_the_archive_allows_only_get_and_head(web: Browser):
    assert web.post(DAY).status == 405
    assert web.ask("DELETE", "/", b"", {}).status == 405


def test_health(web: Browser):
    assert web.get("/healthz").text == "ok\n"
    assert web.get("/readyz").text == "ready\n"


def test_metrics_are_counts_that_prometheus_reads(web: Browser, store):
    reader(store)
    reader(store, email="bo@example.org", state=SubscriberState.PAUSED)
    page = web.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = page.text.splitlines()
    assert 'newsletter_subscribers{state="active"} 1' in lines
    assert 'newsletter_subscribers{state="paused"} 1' in lines
    assert "newsletter_newest_digest_age_seconds 0.0" in lines
    assert "newsletter_spent_dollars_total 0.0" in lines
    assert parse(page.text)
    assert "example.org" not in page.text


def test_without_database_the_process_is_alive_but_not_ready(tmp_path):
    from newsletter.store import Store

    path = tmp_path / "gone.db"
    create_database(f"sqlite:///{path}")
    opened = Store(f"sqlite:///{path}")
    app = create_app(make_site(opened))
    opened.close()
    for each in tmp_path.glob("gone.db*"):
        each.unlink()
    path.mkdir()
    with served(app) as web:
        assert web.get("/healthz").status == 200
        assert web.get("/readyz").status == 503
        page = web.get("/archive/stars/")
    assert page.status == 503
    assert page.headers["retry-after"] == "60"
    assert str(tmp_path) not in page.text


def test_the_style_sheet_is_cached_by_etag(web: Browser):
    first = web.get("/style.css")
    again = web.get("/style.css", **{"If-None-Match": first.headers["etag"]})
    assert (first.status, again.status, again.body) == (200, 304, b"")


def test_pages_are_compressed(web: Browser):
    page, packed = web.get(DAY), web.get(DAY, **{"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == page.body


def test_a_path_prefix_of_a_proxy_is_kept(store):
    with served(create_app(make_site(store, public_url="https://example.org/digest"))) as web:
        page = web.get("/")
    assert page.soup.find("link", rel="stylesheet")["href"] == "/digest/style.css"
    assert page.headers["strict-transport-security"]


def test_a_missing_or_extra_slash_is_redirected_without_host(store):
    """By a path alone: our own name, scheme and root are not those that readers know."""
    with served(create_app(make_site(store, public_url="https://example.org/digest"))) as web:
        few, many = web.get("/archive/models?page=2"), web.get("/search/?q=a")
        assert web.get("/archive//").status == 404
    assert (few.status, few.headers["location"]) == (307, "/digest/archive/models/?page=2")
    assert (many.status, many.headers["location"]) == (307, "/digest/search?q=a")


def test_days_without_papers_or_matches_are_explained(store):
    empty = compose(STARS, TUESDAY, [], {}, {}, [], judged=True, prompt="")
    with store.begin() as tx:
        digests.save(tx, empty, NOW)
    issue(store, STARS, WEDNESDAY, [paper("1")], scores=(2, 2))
    with served(create_app(make_site(store))) as web:
        nothing, below = web.get(DAY), web.get("/archive/stars/2025-09-24/")
        month = web.get("/archive/stars/2025-09/")
    assert "arXiv announced no paper" in nothing.words
    assert "One paper was read; it did not reach your cut-offs" in below.words
    assert "Nearest misses" in below.words
    assert "arXiv announced nothing" in month.words
    assert "no match" in month.words


def test_papers_above_the_rubric_limit_are_counted(store):
    few = replace(STARS, max_papers=2)
    issue(store, few, TUESDAY, [paper(str(number)) for number in range(6)])
    with served(create_app(make_site(store))) as web:
        page = web.get(DAY)
    assert "3 more papers reached the cut-offs: this rubric takes at most 2 a day." in page.words
    assert len(page.soup.find_all("article")) == 2


def test_a_month_of_twenty_issues_is_complete(store):
    for number in range(20):
        day = date(2025, 9, 1) + timedelta(days=number)
        issue(store, STARS, day, [paper(f"{number}-{n}") for n in range(40)])
    with served(create_app(make_site(store))) as web:
        assert len(web.get("/archive/stars/2025-09/").soup.table.find_all("tr")) == 22


def test_formulas_become_mathml_or_their_source():
    assert "<mfrac>" in with_formulas(r"a $\frac{1}{2}$ b")
    assert with_formulas(r"a $\ownmacro x$ b") == r"a <code>$\ownmacro x$</code> b"
    assert with_formulas("costs $5 and $6") == "costs $5 and $6"
    assert with_formulas(r"{\Large $\pi$} and \textbf{$\Lambda$}CDM") == "π and ΛCDM"
    assert with_formulas(r"\'ath & 5%") == "áth &amp; 5%"


@pytest.mark.parametrize(
    "formula",
    [r"\text{<script>alert(1)</script>}", r"\href{javascript:alert(1)}{x}", "<img src=x>=1",
     r"\class{x}{y}", r"\style{color:red}{x}", "&lt;script&gt;=1", r"\color{red\"onload=1}{x}"],
)  # fmt: skip
def test_a_formula_cannot_inject_markup(formula):
    shown = with_formulas(f"${formula}$")
    tags = set(re.findall(r"<([a-z]+)", shown))
    assert tags <= {"math", "mrow", "mi", "mo", "mn", "mtext", "mstyle", "mspace", "code"}
    assert "javascript" not in re.sub(r"<code>.*</code>", "", shown)
    assert not re.search(r"<[^>]*(?:href|onload|class|style)=", shown)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the shared corpus is not beside this project")
def test_formulas_of_a_real_day_become_mathml():
    data = gzip.decompress((CORPUS / "papers-astro-2025-09-16.jsonl.gz").read_bytes())
    papers = [json.loads(line) for line in data.splitlines()]
    shown = [with_formulas(each["abstract"]) for each in papers]
    whole = sum(text.count("<math") for text in shown)
    source = sum(text.count("<code>") for text in shown)
    assert whole > 100
    assert source < 0.02 * whole
