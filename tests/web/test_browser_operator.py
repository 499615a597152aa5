"""Every action of the operator's pages in Chromium, without JavaScript, by two operators.

Each is tried with a wrong token, a double click, a second operator at the same time, and a form
that is out of date; then undone.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from newsletter.store import Store, subscribers, subscriptions
from newsletter.store.operator import reader_state
from newsletter.web.app import create_app
from tests.fakes import operator_data
from tests.fakes.browser import Browser, served
from tests.fakes.chromium import AXE, FOUND, Tab, chromium
from tests.fakes.operators import HEADER, recorded
from tests.fakes.pages import NOW, Clock, Mailbox, make_site, reader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from newsletter.domain.mail import Subscription
    from tests.fakes.chromium import Pipe

pytestmark = pytest.mark.skipif(not FOUND, reason="there is no Chromium here")
NODE, VALIDATOR = shutil.which("node"), AXE.parents[1] / "html-validate/bin/html-validate.mjs"
NEW = "new.reader@example.org"
PATIENCE = 90


@dataclass
class World:
    """A service with readers in every state, and two operators at it."""

    store: Store
    web: Browser
    mailbox: Mailbox
    ada: Tab
    bo: Tab
    people: Mapping[str, Subscription] = field(default_factory=dict)

    def forbid_scripts(self) -> tuple[Tab, Tab]:
        for tab in (self.ada, self.bo):
            tab.forbid_scripts()
        return self.ada, self.bo

    def open(self, tab: Tab, path: str) -> None:
        tab.open(f"http://127.0.0.1:{self.web.port}{path.format(**self.ids)}")

    @property
    def ids(self) -> dict[str, str]:
        return {name: f"/operator/readers/{one.id}" for name, one in self.people.items()}

    def states(self) -> list[object]:
        with self.store.read() as tx:
            return [reader_state.read(tx, one.id) for one in self.people.values()]

    def change_as_reader(self, name: str) -> None:
        """The reader sets something themselves."""
        with self.store.begin() as tx:
            subscriptions.set_preferences(tx, self.people[name].id, {"max_papers": 3}, NOW)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipe]:
    with chromium(tmp_path_factory.mktemp("profile")) as pipe:
        yield pipe


@pytest.fixture
def world(tmp_path: Path, migrated: dict[str, Store], browser: Pipe) -> Iterator[World]:
    shutil.copy(str(migrated["sqlite"].url.database), tmp_path / "n.db")
    store, mailbox = Store(f"sqlite:///{tmp_path / 'n.db'}"), Mailbox()
    operator_data.month(store, 2)
    people = {name: reader(store, email=f"{name}@example.org") for name in ("reads", "paused")}
    people["left"] = reader(store, email="left@example.org")
    people["waits"] = reader(store, email="waits@example.org", state="pending")
    with store.begin() as tx:
        subscribers.pause(tx, people["paused"].id, "preferences page", NOW)
        subscriptions.leave(tx, people["left"].id, "one-click", NOW)
        subscriptions.add(tx, people["reads"].id, "models", NOW, consent="asked")
    site = make_site(store, mailbox, Clock(), operator_header=HEADER)
    with served(create_app(site)) as web:
        tabs = Tab(browser), Tab(browser)
        for tab, name in zip(tabs, ("ada", "bo"), strict=True):
            tab.send_header(HEADER, name)
            tab.look(375)
        yield World(store, web, mailbox, *tabs, people)
    store.close()


@dataclass(frozen=True)
class Step:
    """One action: where its form is, what is typed into it, and whom it is about."""

    path: str
    action: str
    about: str
    typed: Mapping[str, str] = field(default_factory=dict)
    of: str = ""
    """A selector within the form, where several have this action."""
    undone: bool = True
    says_late: str = "Someone changed this after you opened the form"

    @property
    def form(self) -> str:
        return f"form[action$='{self.action}']{f':has({self.of})' if self.of else ''}"

    @property
    def button(self) -> str:
        return f"{self.form} button"

    def fill(self, world: World, tab: Tab) -> None:
        world.open(tab, self.path)
        for name, text in self.typed.items():
            tab.type(f"{self.form} [name={name}]", text)


ADDRESS, OWN = "input[value=address]", "[name=days]"
ACTIONS = {
    "pause": Step("{reads}", "/pause", "reads"),
    "resume": Step("{paused}", "/resume", "paused"),
    "edit address": Step("{reads}", "/edit", "reads", {"timezone": "Asia/Tokyo"}, ADDRESS),
    "edit days": Step("{reads}", "/edit", "reads", {"days": "mon-fri", "max_papers": "5"}, OWN),
    "remove": Step("{reads}/remove", "/remove", "reads"),
    "restore": Step("{left}/restore", "/restore", "left", {"consent": "by phone"}),
}


def settled(tab: Tab, words: str) -> str:
    """The words of the page, when they have `words`; reloaded while it says to."""
    until = time.monotonic() + PATIENCE
    while words not in (found := tab.words) and time.monotonic() < until:
        time.sleep(0.05)
        if "reload this page" in found:
            tab.reload()
    return found


def forge_token(tab: Tab, form: str) -> None:
    tab.run(f"document.querySelector({json.dumps(f'{form} [name=token]')}).value = '0'.repeat(64)")


@pytest.mark.parametrize("name", ACTIONS)
def test_each_action_by_two_operators(world: World, name: str):
    step, (ada, bo) = ACTIONS[name], world.forbid_scripts()
    before = world.states()
    step.fill(world, ada)
    forge_token(ada, step.form)
    ada.press(step.button)
    assert "This form was opened in an earlier login" in ada.words
    assert (recorded(world.store), world.states()) == ([], before)

    for tab in (ada, bo):
        step.fill(world, tab)
    ada.press_twice(step.button)
    assert "Done: " in settled(ada, "Done: ")
    assert ada.too_wide <= 0
    after = world.states()
    assert (len(recorded(world.store)), after != before) == (1, True)
    bo.press(step.button)
    assert step.says_late in bo.words
    assert "by ada" in bo.words
    assert (len(recorded(world.store)), world.states()) == (1, after)

    world.open(ada, "/operator/log")
    ada.press("form[action$='/log/undo'] button")
    assert "The action was undone" in ada.words
    assert world.states() == before
    step.fill(world, ada)
    world.change_as_reader(step.about)
    changed = world.states()
    if changed == before:
        return
    ada.press(step.button)
    assert step.says_late in ada.words
    assert (len(recorded(world.store)), world.states()) == (1, changed)
    assert not [error for tab in (ada, bo) for error in tab.errors if "40" not in error]
    assert ada.hosts | bo.hosts == {f"127.0.0.1:{world.web.port}"}


def test_add_by_two_operators(world: World):
    step = Step("/operator/readers/new", "/readers/new", "", {"email": NEW})
    ada, bo = world.forbid_scripts()
    for tab in (ada, bo):
        step.fill(world, tab)
        tab.choose("#rubric-stars")
    forge_token(bo, step.form)
    bo.press(step.button)
    assert recorded(world.store) == []
    step.fill(world, bo)
    bo.choose("#rubric-stars")
    ada.press_twice(step.button)
    assert "Done: add reader." in settled(ada, "The confirmation mail was sent.")
    assert len(world.mailbox.mails) == len(recorded(world.store)) == 1
    bo.press(step.button)
    assert "They are a reader with these values already." in bo.words
    assert len(recorded(world.store)) == 1
    ada.press("form[action$='/log/undo'] button")
    assert "The action was undone." in ada.words
    with world.store.read() as tx:
        assert subscriptions.find(tx, NEW) is None


LIST = "Email Address,rubric,state\nnew.reader@example.org,stars,x\nnobody,stars,x\n"
IMPORTS = "form[enctype]:has([name=action])"


def preview_import(world: World, tab: Tab, file: Path) -> Iterator[str]:
    """Walk to the preview of an import; yields the words of each page on the way."""
    file.write_text(LIST, encoding="utf-8")
    world.open(tab, "/operator/readers/import")
    tab.attach("#file", file)
    tab.press("form[enctype] button")
    yield tab.words
    tab.choose("#ignore")
    tab.press("form[enctype] button")
    yield tab.words


def test_import_by_two_operators(world: World, tmp_path: Path):
    tabs = ada, bo = world.forbid_scripts()
    for tab in tabs:
        chosen, preview = preview_import(world, tab, tmp_path / "list.csv")
        assert "not used: state" in chosen
        assert "1 added, 0 updated, 0 unchanged, 0 suppressed, 1 refused" in preview
    forge_token(bo, IMPORTS)
    bo.press(f"{IMPORTS} button")
    assert "This form was opened in an earlier login" in bo.words
    assert recorded(world.store) == []
    ada.press_twice(f"{IMPORTS} button")
    assert "1 asked by mail to confirm" in settled(ada, "1 asked by mail to confirm")
    assert len(world.mailbox.mails) == len(recorded(world.store)) == 1
    bo.press("form button")
    assert "Something changed after this preview was made" in bo.words
    assert "import readers, by ada" in bo.words
    assert len(world.mailbox.mails) == len(recorded(world.store)) == 1
    answered = [error for tab in tabs for error in tab.errors if "responded with" not in error]
    assert not answered


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is missing: make check-email installs it")
def test_the_steps_of_an_import_are_accessible_and_not_too_wide(world: World, tmp_path: Path):
    world.ada.look(320, "dark")
    for words in preview_import(world, world.ada, tmp_path / "list.csv"):
        assert (world.ada.barriers(), world.ada.too_wide) == ([], 0), words


def test_the_doctor_by_two_operators(world: World):
    form, (ada, bo) = "form.form[action$='/doctor']", world.forbid_scripts()
    for tab in (ada, bo):
        world.open(tab, "/operator/doctor")
        tab.choose("#offline")
    forge_token(bo, form)
    bo.press(f"{form} button")
    assert "This form was opened in an earlier login" in bo.words
    assert recorded(world.store) == []
    ada.press_twice(f"{form} button")
    assert "Done: run doctor." in settled(ada, " failed.")
    assert ada.too_wide <= 0
    assert len(recorded(world.store)) == 1
    world.open(bo, "/operator/doctor")
    assert "this machine only" in bo.words


def test_invite_by_two_operators(world: World):
    step = Step("{waits}", "/invite", "waits")
    ada, bo = world.forbid_scripts()
    step.fill(world, ada)
    forge_token(ada, step.form)
    ada.press(step.button)
    for tab in (ada, bo):
        step.fill(world, tab)
    ada.press_twice(step.button)
    assert "Done: send" in settled(ada, "The confirmation mail was sent.")
    bo.press(step.button)
    assert "an operator asks nobody twice" in bo.words
    assert len(world.mailbox.mails) == len(recorded(world.store)) == 1


def test_a_test_mail_by_two_operators(world: World):
    step = Step("/operator/test-mail", "/test-mail", "", {"to": "me@example.org"})
    send = Step("", "/test-mail/send", "")
    ada, bo = world.forbid_scripts()
    for tab in (ada, bo):
        step.fill(world, tab)
        tab.run("document.querySelector('#rubric').value = 'stars'")
        tab.press(step.button)
        assert "Send this test mail?" in tab.words
    forge_token(bo, send.form)
    bo.press(send.button)
    assert world.mailbox.mails == []
    ada.press_twice(send.button)
    assert "by outbox" in settled(ada, "sent to m…@example.org")
    assert len(world.mailbox.mails) == len(recorded(world.store)) == 1
    assert not [error for error in ada.errors if "40" not in error]


def test_undo_by_two_operators(world: World):
    step, (ada, bo) = ACTIONS["pause"], world.forbid_scripts()
    before = world.states()
    step.fill(world, ada)
    ada.press(step.button)
    undo = "form[action$='/log/undo']"
    for tab in (ada, bo):
        world.open(tab, "/operator/log")
    forge_token(bo, undo)
    bo.press(f"{undo} button")
    assert world.states() != before
    world.open(bo, "/operator/log")
    ada.press_twice(f"{undo} button")
    settled(ada, "undone")
    assert world.states() == before
    bo.press(f"{undo} button")
    assert "This action was undone before." in bo.words
    assert world.states() == before


PAGES = (
    "/operator/next-run",
    "/operator/readers",
    "/operator/readers/new",
    "/operator/readers/import",
    "{reads}",
    "{paused}",
    "{left}",
    "{waits}",
    "{reads}/remove",
    "{left}/restore",
    "{left}/remove",
    "/operator/test-mail",
    "/operator/doctor",
    "/operator/log",
)


def test_every_page_is_accessible_and_not_too_wide(world: World):
    step = ACTIONS["edit address"]
    step.fill(world, world.ada)
    world.ada.press(step.button)
    found: list[object] = []
    for number, path in enumerate(PAGES):
        # Every page in both schemes and three widths: make gallery.
        scheme = ("light", "dark")[number % 2]
        world.ada.look(320, scheme)
        world.open(world.ada, path)
        found += [(path, "too wide")] * (world.ada.too_wide > 0)
        if AXE.is_file():
            found += [(path, scheme, each) for each in world.ada.barriers()]
    assert not found


@pytest.mark.skipif(
    not (NODE and VALIDATOR.is_file()),
    reason="node or html-validate is missing: make check-email installs it",
)
def test_the_markup_of_every_page_is_valid(world: World, tmp_path: Path):
    step = ACTIONS["edit address"]
    step.fill(world, world.ada)
    world.ada.press(step.button)
    rules = dict.fromkeys(("doctype-style", "form-dup-name"), "off")
    config = {"extends": ["html-validate:recommended"], "rules": rules}
    (tmp_path / ".htmlvalidate.json").write_text(json.dumps(config), encoding="utf-8")
    for number, path in enumerate(PAGES):
        page = world.web.get(path.format(**world.ids), **{HEADER: "ada"})
        (tmp_path / f"{number:02}.html").write_bytes(page.body)
    files = sorted(str(one) for one in tmp_path.glob("*.html"))
    command = [str(NODE), str(VALIDATOR), "--formatter", "text", *files]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
