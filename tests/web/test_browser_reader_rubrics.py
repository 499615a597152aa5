"""A rubric of one's own in Chromium, on a phone and without JavaScript: from writing to erasing."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from newsletter.bootstrap import build_app
from newsletter.context import no_progress
from newsletter.domain.announcements import announcement
from newsletter.domain.mail import SubscriberState
from newsletter.jobs.daily import run_daily
from newsletter.render.templates import template_folder
from newsletter.rubrics.folder import reread
from newsletter.settings import Settings
from newsletter.sources import sample
from newsletter.store import Store, reader_rubrics, subscriptions
from newsletter.web.app import create_app
from newsletter.web.context import Site
from tests.fakes.browser import Browser, served
from tests.fakes.chromium import AXE, FOUND, Tab, chromium
from tests.fakes.database import create_database
from tests.fakes.markup import CAN_VALIDATE, markup_faults
from tests.fakes.pages import Clock, Mailbox, make_site, reader
from tests.fakes.phone import PUBLIC, Phone
from tests.render.gallery.pages import rubric_pages
from tests.web.test_reader_rubrics import FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage
    from pathlib import Path

    from newsletter.context import App
    from newsletter.domain.mail import Subscription
    from newsletter.domain.reader_rubrics import ReaderRubric
    from tests.fakes.chromium import Pipe

pytestmark = pytest.mark.skipif(not FOUND, reason="there is no Chromium here")


class Visit(Phone):
    """A phone without JavaScript on a service with sample papers and an outbox."""

    def __init__(self, app: App, port: int, tab: Tab) -> None:
        self.app = app
        super().__init__(port, tab)

    def mails(self) -> list[EmailMessage]:
        """All mails of the outbox."""
        files = self.app.settings.outbox_dir.glob("*.eml")
        return [message_from_bytes(one.read_bytes(), policy=default) for one in files]

    def mailed_link(self) -> str:
        """The link of the newest version."""
        texts = [mail.get_body(("plain",)) for mail in self.mails()]
        found = [
            re.search(rf"{PUBLIC}(/rubrics/\S+/confirm/(\d+)-\S+)", text.get_content())
            for text in texts
            if text
        ]
        return max((one for one in found if one), key=lambda one: int(one[2]))[1]

    def rubrics(self, person: Subscription) -> list[ReaderRubric]:
        with self.app.store.read() as tx:
            return reader_rubrics.of_reader(tx, person.subscriber_id)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipe]:
    with chromium(tmp_path_factory.mktemp("profile")) as pipe:
        yield pipe


@pytest.fixture
def visit(tmp_path: Path, browser: Pipe) -> Iterator[Visit]:
    url = f"sqlite:///{tmp_path / 'newsletter.db'}"
    create_database(url)
    settings = Settings(
        _env_file=None,
        database_url=SecretStr(url),
        source="sample",
        scorer="local",
        mailer="outbox",
        outbox_dir=tmp_path / "outbox",
        rubrics_dir=template_folder("rubrics"),
        from_email="digest@example.org",
        postal_address="1 Example Street",
        public_url=PUBLIC,
        secret_key=SecretStr("a key that only tests know 0123"),
        reader_rubrics=2,
    )
    morning = announcement(sample.DAY).public_from + timedelta(hours=5)
    clock = Clock(morning)
    app = replace(build_app(settings), clock=clock)
    with served(create_app(Site(app))) as web:
        tab = Tab(browser)
        yield Visit(app, web.port, tab)
        # The browser reports the status of a form with faults, and of an erased reader's link.
        reported = re.compile(r"status of 422|status of 404 \(Not Found\) \S+/preferences/\w+$")
        assert [each for each in tab.errors if not reported.search(each)] == []
        assert tab.hosts == {f"127.0.0.1:{web.port}"}
    app.store.close()


def write(visit: Visit, preferences: str) -> None:
    """From the preferences page to a form that is sent, with two mistakes on the way."""
    tab = visit.tab
    visit.open(preferences)
    visit.press("#own ~ p a.button", "starts")
    visit.press("a.button[href$='/new']", "empty-form")
    tab.type("#title", "Small language models")
    tab.type("#category-1", "cs.ML")
    tab.type("#criterion-1-title", "Distillation")
    tab.type("#criterion-1-relevant", "smaller language models that learn from larger ones")
    visit.press("button[value=add]", "third-row")
    assert tab.address.endswith("/new#criterion-3")
    visit.press("button[value=remove-3]")
    tab.type("#criterion-2-title", "Pruning")
    tab.type("#criterion-2-relevant", "removing weights or tokens from language models")
    tab.choose("#relevance-6")
    visit.press("button[value=save]", "a-fault")
    assert "did you mean stat.ML" in tab.words
    assert tab.run("document.querySelector('#title').value") == "Small language models"
    tab.type("#category-1", "machine learning")
    visit.press("button[value=check]:not([hidden])")
    assert "is the name of several: cs.LG or stat.ML" in tab.words
    tab.type("#category-1", "cs.lg")
    visit.press("button[value=save]", "check-your-inbox")
    assert "Check your inbox" in tab.words


def test_a_rubric_is_written_saved_and_mailed_from(visit: Visit):
    tab, app = visit.tab, visit.app
    person = reader(app.store, rubric="foundation-models")
    write(visit, app.links.preferences_url(person.id))
    [mine] = visit.rubrics(person)
    assert mine.active_version is None
    visit.open(visit.mailed_link(), "confirm")
    assert "Distillation; Pruning" in tab.words
    visit.press("form button", "saved")
    assert "Your rubric is saved" in tab.words
    assert visit.rubrics(person)[0].active_version == 1

    reread(app.rubrics)
    edition = run_daily(app, None, None, no_progress)
    assert {one.rubric.slug for one in edition.results} == {"foundation-models", mine.slug}
    digests = {one["subject"]: one for one in visit.mails() if one["list-id"]}
    [mail] = [mail for subject, mail in digests.items() if "Small language models" in subject]
    assert len(digests) == 2
    assert mail["to"].addresses[0].addr_spec == "ada@example.org"
    assert "istill" in mail.get_body(("plain",)).get_content()


def test_a_rubric_is_edited_paused_and_erased(visit: Visit):
    tab, app = visit.tab, visit.app
    person = reader(app.store, rubric="foundation-models")
    preferences = app.links.preferences_url(person.id)
    write(visit, preferences)
    visit.open(visit.mailed_link())
    visit.press("form button")
    [mine] = visit.rubrics(person)
    visit.open(preferences, "preferences")
    visit.press(f"a[href$='{mine.slug}']", "edit")
    tab.type("#title", "Small models")
    tab.choose("#novelty-5")
    visit.press("button[value=save]")
    visit.open(visit.mailed_link(), "changes")
    assert "Novelty cut-off: 5, it was 7" in tab.words
    visit.press("form button")
    assert visit.rubrics(person)[0].active_version == 2

    visit.press("main a[href*='/rubrics/']", "versions")
    visit.press("button[value=pause]", "paused")
    assert "You paused this rubric" in tab.words
    reread(app.rubrics)
    assert mine.slug not in app.rubrics
    visit.open(preferences, "paused-in-preferences")
    assert "Small models" in tab.words
    visit.press(f"a[href$='{mine.slug}']")
    visit.press("button[value=resume]")
    reread(app.rubrics)
    assert app.rubrics[mine.slug].title == "Small models"

    visit.open(preferences)
    tab.choose("#sure")
    visit.press("button[value=erase]", "erased")
    assert visit.rubrics(person) == []
    reread(app.rubrics)
    assert mine.slug not in app.rubrics
    visit.open(preferences)
    assert "This link does not work" in tab.words


def test_a_copy_is_deleted_again_on_a_phone(visit: Visit):
    tab = visit.tab
    person = reader(visit.app.store, rubric="foundation-models")
    visit.open(visit.app.links.preferences_url(person.id))
    visit.press("button[value=copy-foundation-models]", "copy")
    assert "This is a copy of your own" in tab.words
    tab.type("#title", "Mine")
    visit.press("button[value=preview]", "preview")
    assert "/preview" in tab.address
    assert "Mine" in tab.words
    visit.open(visit.app.links.reader_rubric_url(person.id, visit.rubrics(person)[0].slug))
    assert tab.run("document.querySelector('#title').value") == "Mine"
    visit.press("a[href$='/delete']", "delete")
    visit.press("form button", "deleted")
    assert "was deleted" in tab.words
    assert visit.rubrics(person) == []
    with visit.app.store.read() as tx:
        [left] = subscriptions.of_subscriber(tx, person.subscriber_id)
    assert left.state is SubscriberState.ACTIVE


def test_a_field_is_checked_as_it_is_left_and_enter_checks_the_form(visit: Visit):
    """By the browser's own checks, shown by the style sheet."""
    tab = visit.tab
    person = reader(visit.app.store, rubric="foundation-models")
    visit.open(visit.app.links.reader_rubric_url(person.id))
    hint = "getComputedStyle(document.querySelector('#title + .hint')).display"
    chosen = "document.querySelector('[name=relevance]:checked').value"
    assert tab.run(hint) == "none"
    tab.keys("#title", "x", "Backspace", "Tab")
    assert tab.run(hint) == "block"
    visit.seen("hint")
    tab.keys("#title", "Robots", "Tab")
    assert tab.run(hint) == "none"
    wrong = "document.querySelector('#category-1').matches(':user-invalid')"
    tab.keys("#category-1", "cs.ML", "Tab")
    assert tab.run(wrong)
    tab.keys("#category-1", *["Backspace"] * 5, "cond-mat.mtrl-sci", "Tab")
    assert not tab.run(wrong)
    tab.keys("#category-1", *["Backspace"] * 17, "Tab")
    tab.keys("#relevance-7", "ArrowRight", "ArrowRight", "ArrowLeft")
    assert tab.run(chosen) == "8"
    tab.keys("#title", "Enter", loads=True)
    assert "missing; choose at least one" in tab.words
    assert tab.run(chosen) == "8"
    assert visit.rubrics(person) == []


@pytest.fixture
def states(tmp_path: Path) -> Iterator[tuple[Browser, dict[str, str]]]:
    """Every page of a rubric in every state, served; their paths by name."""
    url = f"sqlite:///{tmp_path / 'n.db'}"
    create_database(url)
    store = Store(url)
    site = make_site(store, Mailbox(), Clock(), reader_rubrics=3)
    with served(create_app(site)) as web:
        yield web, rubric_pages(store)
    store.close()


def faulty(path: str) -> tuple[str, dict[str, list[str]]]:
    return path, {**FIELDS, "title": [""], "category": ["cs.ML"], "exclude": ["<!--"]}


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: make check-email does it")
def test_axe_finds_no_problem_in_any_state_of_a_rubric(
    states: tuple[Browser, dict[str, str]], browser: Pipe
):
    web, pages = states
    tab, found = Tab(browser), []
    for name, path in pages.items():
        for scheme in ("light", "dark"):
            tab.look(375, scheme)
            tab.open(f"{PUBLIC}:{web.port}{path}")
            if name == "rubric-new":
                tab.press("button[value=check]:not([hidden])")
            found += [(name, scheme, barrier) for barrier in tab.barriers()]
            found += [(name, scheme, tab.too_wide)] if tab.too_wide else []
    assert not found


@pytest.mark.skipif(
    not CAN_VALIDATE, reason="node or html-validate is missing: make check-email installs it"
)
def test_the_markup_of_every_page_is_valid(states: tuple[Browser, dict[str, str]], tmp_path: Path):
    web, pages = states
    found = {name: web.get(path).body for name, path in pages.items()}
    wrong, fields = faulty(pages["rubric-new"])
    found["faults"] = web.post(wrong, {**fields, "action": "check"}).body
    assert markup_faults(tmp_path, found) == ""
