"""The pages in Chromium: the reader's steps, all widths, no JavaScript."""

from __future__ import annotations

import re

import pytest

from newsletter.delivery.personalize import Personalizer
from newsletter.domain.mail import Sender, SubscriberState
from newsletter.domain.votes import Vote
from newsletter.store import Store, subscriptions, votes
from newsletter.web.app import create_app
from tests.fakes.browser import served
from tests.fakes.chromium import AXE, FOUND, Tab, chromium
from tests.fakes.pages import (
    LINKS,
    NOW,
    RENDERER,
    SECRET,
    STARS,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    Clock,
    Mailbox,
    issue,
    make_site,
    paper,
    reader,
    stored,
)
from tests.fakes.waiting import wait_until
from tests.render.gallery.pages import gallery

pytestmark = pytest.mark.skipif(not FOUND, reason="there is no Chromium here")
WIDE_FORMULA = (
    r"It holds that $\sum_{i=1}^{n} \frac{x_i^2 + y_i^2 + z_i^2}{a+b+c+d+e+f+g+h+i+j+k+l+m} = 1$."
)
LONG_WORD = "unbreakable" * 30


class ServedSite:
    def __init__(self, store: Store, port: int, mailbox: Mailbox, tab: Tab, digest) -> None:
        self.store, self.mailbox, self.tab, self.digest = store, mailbox, tab, digest
        self.home = f"http://127.0.0.1:{port}"

    def open(self, path: str) -> None:
        self.tab.open(self.home + path.removeprefix("http://127.0.0.1"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as pipe:
        yield pipe


ASKED = ("2509.00001", "2509.00002", "2509.09999", "A+title")
UNKNOWN_LINK = "/unsubscribe/nobody"


@pytest.fixture
def site(tmp_path, browser):
    store, mailbox = Store(f"sqlite:///{tmp_path / 'n.db'}"), Mailbox()
    store.migrate()
    odd = paper("2", f"A title $E=mc^2$ {LONG_WORD}", WIDE_FORMULA, (LONG_WORD, "محمد الأمين"))
    issue(store, STARS, TUESDAY, [paper("1"), odd, paper("3")], comment=f"Cold stars: {LONG_WORD}")
    last = issue(store, STARS, THURSDAY, [paper("4", "Cold dwarfs")])
    issue(store, SECRET, TUESDAY, [paper("5", "Hidden thing")])
    with served(create_app(make_site(store, mailbox, Clock()))) as web:
        tab = Tab(browser)
        yield ServedSite(store, web.port, mailbox, tab, last)
        # The browser reports a page's own status 404.
        assert [each for each in tab.errors if UNKNOWN_LINK not in each] == []
        assert tab.hosts == {f"127.0.0.1:{web.port}"}
    store.close()


def test_subscribe_confirm_change_pause_unsubscribe_and_undo(site: ServedSite):
    tab = site.tab
    site.open("/")
    tab.type("#email", "ada@example.org")
    tab.type("#rubric", "stars")
    tab.press("form[method=post] button")
    assert "Check your inbox" in tab.words
    assert wait_until(lambda: site.mailbox.mails)
    site.open(re.search(r"http://127\.0\.0\.1(/confirm/\S+)", site.mailbox.mails[0].text)[1])
    tab.press("form button")
    assert "You are subscribed" in tab.words
    with site.store.read() as tx:
        person = subscriptions.find(tx, "ada@example.org")
    tab.press("main a")
    tab.choose("#rubric-models")
    tab.choose("#day-sat")
    tab.choose("#format-titles")
    tab.type("#send_at", "06:30")
    tab.type("#timezone", "Europe/Berlin")
    tab.press("button[value=save]")
    assert "Saved" in tab.words
    saved = stored(site.store, person)
    assert (saved.rubric, saved.format, saved.timezone) == ("models", "titles", "Europe/Berlin")
    assert "sat" not in saved.days
    tab.press("button[value=pause]")
    assert stored(site.store, person).state == SubscriberState.PAUSED
    tab.press("button[value=resume]")
    site.open(LINKS.unsubscribe_url(stored(site.store, person).id))
    tab.press("form button")
    assert stored(site.store, person).state == SubscriberState.UNSUBSCRIBED
    tab.press("form button")
    assert "Welcome back" in tab.words
    assert stored(site.store, person).state == SubscriberState.ACTIVE


def test_01_a_link_scanner_that_runs_scripts_changes_nothing(site: ServedSite):
    waits = reader(site.store, email="w@example.org", state=SubscriberState.PENDING)
    reads = reader(site.store)
    pages = (
        LINKS.confirm_url(waits.id),
        LINKS.unsubscribe_url(reads.id),
        LINKS.preferences_url(reads.id),
    )
    before = (stored(site.store, waits), stored(site.store, reads))
    for page in pages:
        for _ in range(10):
            site.open(page)
            assert site.tab.run("document.forms.length") > 0
    assert (stored(site.store, waits), stored(site.store, reads)) == before


def test_links_between_issues_and_months(site: ServedSite):
    tab = site.tab
    site.open("/archive/stars/2025-09-23/")
    tab.press(".around a[href$='/2025-09/']")
    assert tab.run("document.querySelector('h1').innerText") == "September 2025"
    tab.press("table a[href$='/2025-09-25/']")
    assert "Thursday, 25 September 2025" in tab.words
    assert tab.run("document.querySelector('a[rel=next]')") is None
    site.open("/archive/stars/2025-09-26/")
    assert "not out yet" in tab.words
    tab.press("a[rel=prev]")
    assert tab.address == "/archive/stars/2025-09-25/"


def test_a_search_result_opens_the_paper(site: ServedSite):
    tab = site.tab
    site.open("/archive/stars/")
    tab.type("#q", "cold dwarfs")
    tab.press(".find button")
    assert tab.address == "/archive/stars/search?q=cold+dwarfs"
    tab.press(".hits a")
    assert tab.address == "/archive/stars/2025-09-25/#p1"
    assert tab.run("document.querySelector(':target h3').innerText") == "1. Cold dwarfs"


def test_back_leads_to_the_same_place_of_the_same_search(site: ServedSite):
    tab = site.tab
    issue(site.store, STARS, WEDNESDAY, [paper(f"9{n:03}", f"Star number {n}") for n in range(20)])
    tab.look(375)
    site.open("/search?q=star")
    tab.run("window.scrollTo(0, 900)")
    before = tab.run("scrollY")
    assert before > 500
    tab.press(".hits li:nth-child(9) a")
    tab.back()
    assert wait_until(lambda: tab.address == "/search?q=star" and tab.run("scrollY") == before)
    assert tab.run("document.querySelector('#q').value") == "star"


def test_a_printed_issue_has_papers_and_no_forms(site: ServedSite):
    tab = site.tab
    tab.look(1280)
    site.open(f"/archive/stars/{THURSDAY}/")
    tab.print_preview()
    shown = "[...document.querySelectorAll(%s)].filter(e => e.checkVisibility()).length"
    assert tab.run(shown % "'form, .top, .around, .downloads'") == 0
    assert tab.run(shown % "'article h3'") == 1


def every_page(site: ServedSite) -> list[str]:
    person = reader(site.store, email="grace@example.org")
    issue(site.store, STARS, WEDNESDAY, [paper("2509.00001"), paper("2509.00002", LONG_WORD)])
    gone = reader(site.store, email="gone@example.org")
    with site.store.begin() as tx:
        subscriptions.leave(tx, gone.id, "reply", NOW)
    return [
        "/",
        "/archive/stars/",
        "/archive/stars/2025-09/",
        "/archive/stars/2025-09-23/",
        "/archive/stars/2025-09-26/",
        "/search?q=stars",
        LINKS.issue_url(SECRET, TUESDAY),
        LINKS.confirm_url(person.id),
        LINKS.preferences_url(person.id),
        LINKS.unsubscribe_url(person.id),
        LINKS.unsubscribe_url(gone.id),
        LINKS.preferences_url(gone.id),
        LINKS.why_url(person.id),
        f"{LINKS.vote_url(person.id)}?paper=2",
        LINKS.reading_list_url(person.id),
        f"{LINKS.preferences_url(person.id)}/votes",
        *(f"{LINKS.why_url(person.id)}?paper={asked}" for asked in ASKED),
        UNKNOWN_LINK,
    ]


def test_every_page_fits_every_width(tmp_path, browser):
    tab, wide = Tab(browser), []
    with gallery(tmp_path) as (home, pages):
        for name, path in pages.items():
            for width in (320, 1280):
                tab.look(width)
                tab.open(home + path)
                if tab.too_wide:
                    wide.append((name, width, tab.too_wide))
    assert len(pages) > 40
    assert not wide


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: make check-email does it")
def test_axe_finds_no_problem_in_light_and_dark_mode(site: ServedSite):
    found = []
    for path in every_page(site):
        for scheme in ("light", "dark"):
            site.tab.look(375, scheme)
            site.open(path)
            found += [(path, scheme, barrier) for barrier in site.tab.barriers()]
    assert not found


@pytest.mark.parametrize("scripts", [True, False])
def test_vote_save_and_reading_list_on_a_phone(site: ServedSite, scripts):
    """From the link in the mail to a changed vote, the reading list and back to an empty one."""
    tab, person = site.tab, reader(site.store)
    if not scripts:
        tab.forbid_scripts()
    tab.look(375, "dark")
    link = Personalizer(
        RENDERER, LINKS, Sender("digest@example.org", "Digest"), site.digest, None
    ).personalize(person)
    [more] = re.findall(r'href="http://127.0.0.1(/vote/[^"]+)">More like this', link.html)
    site.open(more)
    assert "You have not voted about this paper" in tab.words
    tab.press("button[value=more]")
    assert "Your vote: More like this" in tab.words
    tab.press("button[value=weak]")
    assert "Your vote: Less like this: weak" in tab.words
    tab.press("button[value=save]")
    assert not tab.too_wide
    tab.press("a[href^='/reading-list/']")
    assert "Cold dwarfs" in tab.words
    assert not tab.too_wide
    tab.press("button[name=remove]")
    assert "Nothing is saved yet" in tab.words
    with site.store.read() as tx:
        assert [one.vote for one in votes.given_by(tx, [person.id])] == [Vote.WEAK]


def test_why_is_asked_on_a_phone_without_javascript(site: ServedSite):
    """From the link in the mail to a near miss, then to a paper that arXiv is asked for."""
    tab, person = site.tab, reader(site.store)
    papers = [paper("2509.00001", "Cold dwarfs"), paper("2509.00002", f"A title {LONG_WORD}")]
    issue(site.store, STARS, WEDNESDAY, papers)
    tab.forbid_scripts()
    tab.look(375, "dark")
    site.open(LINKS.why_url(person.id))
    assert "What became of a paper?" in tab.words
    tab.type("#paper", "2509.00002")
    tab.press("form button")
    assert "A near miss in the issue of Wednesday, 24 September 2025" in tab.words
    assert "1 below the cut-off of 7" in tab.words
    assert not tab.too_wide
    tab.press("section a")
    assert tab.address == "/archive/stars/2025-09-24/"
    site.open(LINKS.why_url(person.id))
    tab.type("#paper", "2509.09999")
    tab.press("form button")
    assert "in no announcement that is stored here" in tab.words
    tab.press("form[method=post] button")
    assert "cannot be asked" in tab.words
    assert not tab.too_wide


def test_pages_work_without_javascript(site: ServedSite):
    site.tab.forbid_scripts()
    site.open("/archive/stars/2025-09-23/")
    assert "The abstract of 1." in site.tab.words


def test_the_first_link_skips_to_the_content(site: ServedSite):
    site.open("/archive/stars/")
    skip = site.tab.run(
        "(() => { const a = document.querySelector('a'); a.focus();"
        "return [a.getAttribute('href'), a.getBoundingClientRect().left > 0] })()"
    )
    assert skip == ["#content", True]
