"""Several rubrics in Chromium, on a phone and without JavaScript: add, change, leave, download."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from newsletter.domain.mail import WEEKDAYS, WEEKLY, SubscriberState, Subscription
from newsletter.store import Store, subscriptions
from newsletter.web.app import create_app
from tests.fakes.browser import served
from tests.fakes.chromium import AXE, FOUND, Tab, chromium
from tests.fakes.pages import (
    LINKS,
    NOW,
    STARS,
    THURSDAY,
    Clock,
    Mailbox,
    issue,
    make_site,
    paper,
    reader,
)
from tests.fakes.phone import Phone
from tests.fakes.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fakes.chromium import Pipe

pytestmark = pytest.mark.skipif(not FOUND, reason="there is no Chromium here")
ACTIVE, PAUSED = SubscriberState.ACTIVE, SubscriberState.PAUSED
GONE = SubscriberState.UNSUBSCRIBED


class Visit(Phone):
    """A phone without JavaScript on the pages of a served site."""

    def __init__(self, store: Store, port: int, mailbox: Mailbox, clock: Clock, tab: Tab) -> None:
        self.store, self.mailbox, self.clock = store, mailbox, clock
        super().__init__(port, tab)

    def read(self) -> dict[str, Subscription]:
        with self.store.read() as tx:
            return {one.rubric: one for one in subscriptions.of_address(tx, "ada@example.org")}

    def states(self) -> dict[str, SubscriberState]:
        return {slug: one.state for slug, one in self.read().items()}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipe]:
    with chromium(tmp_path_factory.mktemp("profile")) as pipe:
        yield pipe


@pytest.fixture
def visit(tmp_path: Path, browser: Pipe) -> Iterator[Visit]:
    store, mailbox, clock = Store(f"sqlite:///{tmp_path / 'n.db'}"), Mailbox(), Clock()
    store.migrate()
    issue(store, STARS, THURSDAY, [paper("1"), paper("2")])
    with served(create_app(make_site(store, mailbox, clock))) as web:
        tab = Tab(browser)
        yield Visit(store, web.port, mailbox, clock, tab)
        assert tab.errors == []
        assert tab.hosts == {f"127.0.0.1:{web.port}"}
    store.close()


def test_a_reader_adds_changes_and_leaves_rubrics(visit: Visit):
    person, tab = reader(visit.store), visit.tab
    visit.open("/")
    tab.type("#email", "ada@example.org")
    tab.run("document.querySelector('#rubric').value = 'models'")
    visit.press("form[method=post] button", "signed-up")
    assert "Check your inbox" in tab.words
    assert wait_until(lambda: visit.mailbox.mails)
    link = re.search(r"http://127\.0\.0\.1(/confirm/\S+)", visit.mailbox.mails[0].text)
    assert link
    visit.open(link[1], "confirm")
    assert "Subscribe ada@example.org to “Models”?" in tab.words
    visit.press("form button", "confirmed")
    assert visit.states() == {"stars": ACTIVE, "models": ACTIVE}

    visit.press("main a", "preferences")
    tab.choose("input[value=models] ~ fieldset input[value=weekly]")
    visit.press("form:has(input[value=models]) button[value=save]", "weekly")
    assert "Saved" in tab.words
    assert visit.read()["models"].days == WEEKLY
    assert visit.read()["stars"].days == WEEKDAYS

    tab.type("#send_at", "06:30")
    visit.press("form:has(#send_at) button")
    assert f"{visit.read()['stars'].send_at:%H:%M}" == "06:30"
    visit.press("button[value=pause]", "paused")
    assert visit.states() == {"stars": PAUSED, "models": PAUSED}
    visit.press("button[value=resume]")

    visit.press(f"a[href='{LINKS.unsubscribe_url(person.id).removeprefix('http://127.0.0.1')}']")
    visit.seen("unsubscribe")
    visit.press("form button:not([name])", "left-one")
    assert visit.states() == {"stars": GONE, "models": ACTIVE}
    assert "You still receive “Models”" in tab.words
    visit.clock.at = NOW + timedelta(minutes=1)
    visit.press("button[name=all]", "left-all")
    assert visit.states() == {"stars": GONE, "models": GONE}
    visit.press("button[name=undo]", "undone")
    assert "Welcome back" in tab.words

    assert visit.states() == {"stars": ACTIVE, "models": GONE}

    visit.open(LINKS.preferences_url(person.id), "one-rubric")
    tab.choose("#add-models")
    visit.press("button[value=add]", "added")
    assert visit.states() == {"stars": ACTIVE, "models": ACTIVE}


def test_every_button_has_a_name_of_its_own(visit: Visit):
    person = reader(visit.store)
    with visit.store.begin() as tx:
        subscriptions.add(tx, person.id, "models", NOW, consent="asked")
    visit.open(LINKS.preferences_url(person.id))
    names = visit.tab.run(
        "[...document.querySelectorAll('button, a.button')]"
        ".map(one => one.getAttribute('aria-label') || one.innerText)"
    )
    assert len(names) == len(set(names))


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: make check-email does it")
def test_axe_finds_no_problem_on_pages_of_several_rubrics(tmp_path: Path, browser: Pipe):
    store = Store(f"sqlite:///{tmp_path / 'n.db'}")
    store.migrate()
    person = reader(store)
    gone = reader(store, email="gone@example.org")
    with store.begin() as tx:
        for one in (person, gone):
            subscriptions.add(tx, one.id, "models", NOW, consent="asked")
        waits = subscriptions.add(tx, person.id, "secret", NOW, active=False)
        subscriptions.leave(tx, gone.id, "page", NOW)
    pages = [
        LINKS.preferences_url(person.id),
        LINKS.preferences_url(gone.id),
        LINKS.unsubscribe_url(person.id),
        LINKS.unsubscribe_url(gone.id),
        LINKS.confirm_url(waits),
    ]
    found = []
    with served(create_app(make_site(store, Mailbox(), Clock()))) as web:
        tab = Tab(browser)
        for page in pages:
            for scheme in ("light", "dark"):
                tab.look(375, scheme)
                tab.open(f"http://127.0.0.1:{web.port}{page.removeprefix('http://127.0.0.1')}")
                found += [(page, scheme, barrier) for barrier in tab.barriers()]
    store.close()
    assert not found
