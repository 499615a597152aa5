"""A reader without a mouse: Tab, Space, Enter and letters, from the sign-up to the unsubscribe."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from newsletter.domain.mail import WEEKLY, SubscriberState
from newsletter.store import Store, subscriptions
from newsletter.web.app import create_app
from tests.fakes.browser import served
from tests.fakes.chromium import FOUND, Tab, chromium
from tests.fakes.pages import (
    LINKS,
    STARS,
    THURSDAY,
    Clock,
    Mailbox,
    issue,
    make_site,
    paper,
    stored,
)
from tests.fakes.waiting import wait_until
from tests.render.gallery.pages import gallery

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not FOUND, reason="there is no Chromium here")


MANY_CARDS = re.compile(r"issue-(?!empty|private|to-come|marked)")
"""Issues with the same links as others, in greater number."""


class Keyboard:
    """Every stop of the focus must be seen: an outline, in the window, under nothing else."""

    def __init__(self, tab: Tab, home: str) -> None:
        self.tab, self.home = tab, home

    def open(self, url: str) -> None:
        self.tab.open(self.home + url.removeprefix("http://127.0.0.1"))
        # Before a page is clicked, the first Tab goes to its first link.
        assert "skip" in self.tab.tab_to(".skip")[-1]["html"]

    def go(self, selector: str) -> None:
        self.see(self.tab.tab_to(selector))

    def see(self, stops: list[dict[str, Any]]) -> None:
        for stop in stops:
            unseen = [name for name in ("ring", "inside", "uncovered") if not stop[name]]
            assert not unseen, (unseen, stop["html"], self.tab.address)

    def enter(self, selector: str) -> None:
        """Go there and press Enter; another page, or the same anew, is loaded."""
        self.go(selector)
        self.tab.push("Enter", loads=True)

    def fill(self, selector: str, text: str) -> None:
        self.go(selector)
        self.tab.push(text)


@pytest.fixture(params=[(1280, "light"), (320, "dark")], ids=["desktop", "phone"])
def look(request: pytest.FixtureRequest) -> tuple[int, str]:
    return request.param


def test_from_sign_up_to_unsubscribe(tmp_path: Path, look: tuple[int, str]) -> None:
    store, mailbox = Store(f"sqlite:///{tmp_path / 'n.db'}"), Mailbox()
    store.migrate()
    issue(store, STARS, THURSDAY, [paper("2509.00001", "Cold dwarfs"), paper("2509.00002")])
    with (
        chromium(tmp_path / "profile") as pipe,
        served(create_app(make_site(store, mailbox, Clock()))) as web,
    ):
        tab = Tab(pipe)
        tab.look(*look)
        walk(Keyboard(tab, f"http://127.0.0.1:{web.port}"), store, mailbox)
        assert tab.errors == []
    store.close()


def test_tab_reaches_whatever_can_be_used_on_every_page(tmp_path: Path) -> None:
    with gallery(tmp_path) as (home, pages), chromium(tmp_path / "profile") as pipe:
        tab = Tab(pipe)
        tab.look(375)
        keyboard = Keyboard(tab, home)
        for name, path in pages.items():
            if not MANY_CARDS.match(name):
                tab.open(home + path)
                stops, unreached = tab.tab_through()
                assert unreached == [], name
                assert stops, name
                keyboard.see(stops)


def walk(keyboard: Keyboard, store: Store, mailbox: Mailbox) -> None:
    tab = keyboard.tab
    keyboard.open("/")
    keyboard.fill("#email", "ada@example.org")
    keyboard.go("#rubric")
    while tab.run("document.activeElement.value") != "stars":
        tab.push("ArrowDown")
    keyboard.enter(".signup button")
    assert "Check your inbox" in tab.words
    assert wait_until(lambda: mailbox.mails)
    link = re.search(r"http://127\.0\.0\.1(/confirm/\S+)", mailbox.mails[0].text)
    assert link
    keyboard.open(link[1])
    keyboard.enter("main form button")
    assert "You are subscribed" in tab.words

    with store.read() as tx:
        person = subscriptions.find(tx, "ada@example.org")
    assert person
    keyboard.open(LINKS.preferences_url(person.id))
    keyboard.go("[name=often]")
    tab.push("ArrowUp")
    keyboard.enter("button[value=save]")
    changed = stored(store, person)
    assert changed
    assert (changed.days, changed.state) == (WEEKLY, SubscriberState.ACTIVE)

    keyboard.open("/")
    keyboard.enter("nav a[href$='/search']")
    keyboard.fill("#q", "cold dwarfs")
    tab.push("Enter", loads=True)
    keyboard.enter(".hits a[href*='/papers/']")
    assert tab.address == "/papers/2509.00001"
    assert tab.run("document.querySelector('h1').innerText") == "Cold dwarfs"

    keyboard.open(LINKS.unsubscribe_url(person.id))
    keyboard.enter("main form button")
    assert "unsubscribed" in tab.words
    gone = stored(store, person)
    assert gone
    assert gone.state is SubscriberState.UNSUBSCRIBED
