"""Preferences in Chromium, without JavaScript: each form says in its place what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from newsletter.domain.mail import SubscriberState
from newsletter.store import Store, subscribers, subscriptions, votes
from newsletter.web.app import create_app
from tests.fakes.browser import served
from tests.fakes.chromium import AXE, FOUND, Tab, chromium
from tests.fakes.pages import (
    LINKS,
    NOW,
    STARS,
    TUESDAY,
    Clock,
    Mailbox,
    issue,
    make_site,
    paper,
    reader,
    stored,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from newsletter.domain.mail import Subscription
    from tests.fakes.chromium import Pipe

pytestmark = pytest.mark.skipif(not FOUND, reason="there is no Chromium here")
FOCUSED = "document.activeElement.id"
PLACE = "document.querySelector('#status').getBoundingClientRect().top"
SAVE_MODELS = "form:has(input[value=models]) button[value=save]"


class Preferences:
    """The preferences page of Ada, who reads Stars and Models."""

    def __init__(self, store: Store, home: str, tab: Tab) -> None:
        self.store, self.tab = store, tab
        self.person = reader(store, timezone="Europe/Berlin")
        with store.begin() as tx:
            subscriptions.add(tx, self.person.id, "models", NOW, consent="asked")
        self.url = home + LINKS.preferences_url(self.person.id).removeprefix("http://127.0.0.1")

    def open(self, width: int) -> None:
        self.tab.look(width)
        self.tab.open(self.url)

    def read(self) -> dict[str, Subscription]:
        with self.store.read() as tx:
            return {one.rubric: one for one in subscriptions.of_address(tx, "ada@example.org")}

    def result(self) -> str:
        """What the page says of the form: it has the focus, and is seen without scrolling."""
        assert self.tab.run(FOCUSED) == "status"
        assert 0 <= self.tab.run(PLACE) < 450
        assert self.tab.too_wide == 0
        return str(self.tab.run("document.querySelector('#status').innerText"))

    @property
    def heading(self) -> str:
        """The heading of the section that the status stands in."""
        return str(
            self.tab.run(
                "[...document.querySelectorAll('h1, h2')].filter(one => one"
                ".compareDocumentPosition(document.querySelector('#status')) & 4).pop().innerText"
            )
        )


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipe]:
    with chromium(tmp_path_factory.mktemp("profile")) as pipe:
        yield pipe


@pytest.fixture
def page(tmp_path: Path, browser: Pipe) -> Iterator[Preferences]:
    store = Store(f"sqlite:///{tmp_path / 'n.db'}")
    store.migrate()
    with served(create_app(make_site(store, Mailbox(), Clock()))) as web:
        yield Preferences(store, f"http://127.0.0.1:{web.port}", Tab(browser))
    store.close()


@pytest.mark.parametrize("width", [320, 375])
def test_each_form_says_in_its_place_what_became_of_it(page: Preferences, width: int):
    tab = page.tab
    tab.forbid_scripts()
    page.open(width)
    tab.choose("form:has(input[value=models]) input[value=weekly]")
    tab.press(SAVE_MODELS)
    assert "Saved" in page.result()
    assert page.heading == "Models"

    tab.type("#send_at", "06:30")
    tab.press("form:has(#send_at) button")
    assert "Saved" in page.result()
    assert page.heading == "All your digests"

    tab.choose("#for-14")
    tab.press("button[value=pause]")
    assert "Mails start again by themselves on Thursday, 9 October 2025" in page.result()
    assert page.heading == "Pause"
    with page.store.read() as tx:
        assert subscribers.paused_until(tx, page.person.subscriber_id)
    tab.press("button[value=resume]")
    assert "Resumed" in page.result()
    assert stored(page.store, page.person).state is SubscriberState.ACTIVE

    tab.press("button[value=erase]")
    assert "tick the box" in page.result()
    assert page.heading == "Delete my data"
    tab.open(page.url)
    assert tab.run("document.querySelector('#status')") is None


def test_a_fault_keeps_what_was_typed_and_leads_to_the_field(page: Preferences):
    tab = page.tab
    tab.forbid_scripts()
    page.open(375)
    tab.type("form:has(input[value=stars]) input[type=number]", "0")
    tab.run("document.querySelectorAll('form').forEach(one => one.noValidate = true)")
    tab.press("form:has(input[value=stars]) button[value=save]")
    assert "Maximum papers per email" in page.result()
    assert page.heading == "Stars"
    assert tab.run("document.title").startswith("Error:")
    wrong = "document.querySelector('[aria-invalid]')"
    assert tab.run(f"{wrong}.value") == "0"
    assert tab.run(f"{wrong}.checkVisibility()")
    tab.choose("#status a")
    assert tab.run("document.activeElement === document.querySelector('[aria-invalid]')")
    assert page.read()["stars"].max_papers is None

    tab.choose("#for-date")
    tab.type("#until", "2025-09-25")
    tab.run("document.querySelectorAll('form').forEach(one => one.noValidate = true)")
    tab.press("button[value=pause]")
    assert "choose a day from Friday, 26 September 2025" in page.result()
    assert tab.run("document.querySelector('#until').value") == "2025-09-25"


def test_lists_of_votes_and_papers_keep_their_place(page: Preferences):
    tab, store, ids = page.tab, page.store, [f"2509.{number:05d}" for number in range(40)]
    issue(store, STARS, TUESDAY, [paper(one) for one in ids])
    with store.begin() as tx:
        for one in ids:
            votes.save(tx, page.person.id, one, NOW)
    tab.look(375)
    tab.forbid_scripts()
    reading_list = LINKS.reading_list_url(page.person.id).removeprefix("http://127.0.0.1")
    for url, button in (
        (f"{page.url}/votes", "button[name=undo]"),
        (page.url.partition("/preferences/")[0] + reading_list, "button[name=remove]"),
    ):
        tab.open(url)
        before = tab.run(f"document.querySelectorAll('{button}').length")
        tab.press(f"li:nth-child(20) {button}")
        assert "deleted" in page.result() or "Removed" in page.result()
        assert tab.run("scrollY") > 1000
        assert tab.run(f"document.querySelectorAll('{button}').length") == before - 1
    tab.open(f"{page.url}/votes")
    tab.press("button[value=forget]")
    assert "All your votes are deleted" in page.result()


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: make check-email does it")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_problem_after_a_form_was_sent(page: Preferences, scheme: str):
    tab = page.tab
    page.open(320)
    tab.look(320, scheme)
    tab.run("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert tab.barriers() == []
    tab.press(SAVE_MODELS)
    assert tab.barriers() == []
    tab.press("button[value=pause]")
    tab.run("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert tab.too_wide == 0
    assert tab.barriers() == []
    tab.press("button[value=erase]")
    assert tab.barriers() == []
