"""Drafts and previews of one's own rubric in Chromium, on a phone and without JavaScript."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from newsletter.domain.votes import Vote
from newsletter.rubrics.form import form_of_text
from newsletter.store import Store, reader_rubrics, votes
from newsletter.web.app import create_app
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.browser import Browser, served
from tests.fakes.chromium import AXE, FOUND, Tab, chromium
from tests.fakes.database import create_database
from tests.fakes.markup import CAN_VALIDATE, markup_faults
from tests.fakes.pages import MODELS, NOW, THURSDAY, WEDNESDAY, issue, reader
from tests.fakes.rubric_pages import (
    DRAFT,
    list_day,
    path_of,
    post_files,
    save_draft,
    site_of,
    subjects,
)
from tests.fakes.scoring import wall_clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.domain.mail import Subscription
    from newsletter.rubrics.form import RubricForm
    from tests.fakes.chromium import Pipe

pytestmark = pytest.mark.skipif(not FOUND, reason="there is no Chromium here")
PICTURES = os.environ.get("NEWSLETTER_TEST_PICTURES", "")
"""A folder for a picture of each step, to look at."""
BIBTEX = """
@article{a, title = {Pruning by magnitude}, abstract = {Small weights of networks go.},
 eprint = {2501.00001}, primaryClass = {cs.LG}}
@article{b, title = {Lottery tickets}, abstract = {Pruning of networks at their start.},
 eprint = {2509.00003}, primaryClass = {cs.LG}}
"""


def scores_of(title: str, _abstract: str) -> dict[str, object]:
    """Papers about pruning are relevant."""
    relevance = 9 if "Pruning" in title else 3
    return {"m": 1, "c": "prunes", "r": relevance, "n": 8, "x": 1}


class Visit:
    """A phone without JavaScript on a site with two stored days, as its reader."""

    def __init__(self, store: Store, port: int, tab: Tab, person: Subscription) -> None:
        self.store, self.tab, self.person = store, tab, person
        self.port, self.home, self.steps = port, f"http://127.0.0.1:{port}", 0
        tab.look(375)
        tab.forbid_scripts()

    def open(self, end: str, step: str) -> None:
        self.tab.open(self.home + path_of(self.person, end))
        self.seen(step)

    def press(self, selector: str, step: str) -> None:
        self.tab.press(selector)
        self.seen(step)

    def seen(self, step: str) -> None:
        assert self.tab.too_wide == 0
        self.steps += 1
        if PICTURES:
            picture = Path(PICTURES) / f"{self.steps:02d}-{step}.png"
            picture.write_bytes(self.tab.picture())

    def draft(self) -> RubricForm:
        """What the form of the reader's draft holds."""
        with self.store.read() as tx:
            [rubric] = reader_rubrics.of_reader(tx, self.person.subscriber_id)
            [version] = reader_rubrics.versions(tx, rubric.slug)
        return form_of_text(version.text)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipe]:
    with chromium(tmp_path_factory.mktemp("profile")) as pipe:
        yield pipe


@pytest.fixture
def anthropic() -> Iterator[FakeAnthropic]:
    with FakeAnthropic(scores_of) as fake:
        yield fake


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path / 'n.db'}"
    create_database(url)
    opened = Store(url)
    yield opened
    opened.close()


@pytest.fixture
def visit(store: Store, browser: Pipe, anthropic: FakeAnthropic) -> Iterator[Visit]:
    given = subjects(40)
    for day, papers in ((WEDNESDAY, given[:20]), (THURSDAY, given[20:])):
        list_day(store, day, papers)
        issue(store, MODELS, day, [papers[0], papers[1], papers[2]])
    person = reader(store, rubric="models")
    with store.begin() as tx:
        assert votes.cast(tx, person.id, given[2].id, Vote.MORE, NOW)
    with served(create_app(site_of(store, anthropic, wall_clock))) as web:
        tab = Tab(browser)
        yield Visit(store, web.port, tab, person)
        assert [each for each in tab.errors if "status of 4" not in each] == []
        assert tab.hosts <= {f"127.0.0.1:{web.port}"}


def test_a_draft_from_a_sentence_is_changed_and_previewed(
    visit: Visit, anthropic: FakeAnthropic
) -> None:
    tab = visit.tab
    visit.open("start", "start")
    visit.press("button[value=model]", "nothing-entered")
    assert "write a sentence, or add papers" in tab.words
    tab.type("#about", "How to prune networks without losing accuracy")
    anthropic.record = DRAFT
    visit.press("button[value=model]", "drafted-by-claude")
    assert "Written by Claude for $0.00" in tab.words
    assert visit.draft().title == "Smaller language models"
    visit.press("main a.button", "form")
    tab.type("#title", "Pruning")
    tab.type("#criterion-1-relevant", "pruning of weights of networks")
    visit.press("button[value=preview]", "preview-by-words")
    assert "Ranked on this server by words" in tab.words
    assert tab.run("document.querySelectorAll('details[open] .gained').length") > 0
    anthropic.record = None
    visit.press("form button", "preview-by-claude")
    assert "Claude has read all papers of these days" in tab.words
    marks = tab.run("[...document.querySelectorAll('.figures b')].map(one => one.innerText)")
    assert marks == ["12", "3", "1", "1 of 1"]
    tab.choose("summary")
    visit.press("main a.button", "back-in-the-form")
    assert tab.run("document.querySelector('#title').value") == "Pruning"


def test_a_draft_from_a_file(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "mine.bib").write_text(BIBTEX, encoding="utf-8")
    (tmp_path / "large.bib").write_bytes(b"@misc{a, title={x}}\n" * (10 * 2**20 // 20))
    visit.open("start", "start")
    visit.tab.attach("#file", tmp_path / "large.bib")
    visit.press("button[value=words]", "too-large")
    assert "more than 5 MB" in visit.tab.words
    visit.open("start", "start")
    visit.tab.attach("#file", tmp_path / "mine.bib")
    visit.press("button[value=words]", "drafted-from-file")
    assert "without a language model" in visit.tab.words
    form = visit.draft()
    assert "pruning" in form.criteria[0].relevant
    assert form.categories == ("cs.LG",)
    visit.press("main a.button ~ a.button", "preview")
    assert "papers you like, found" in visit.tab.words


def test_twelve_papers_are_rated(visit: Visit) -> None:
    tab = visit.tab
    visit.open("start", "start")
    visit.press("a[href$='/rate']", "rate")
    titles = tab.run("[...document.querySelectorAll('legend')].map(one => one.innerText)")
    assert len(titles) == 12
    for number, title in enumerate(titles, 1):
        tab.choose(f"#{'more' if 'Robots' in title else 'less'}-{number}")
    visit.press("button[value=words]", "rated")
    assert "robots" in visit.draft().criteria[0].relevant


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: make check-email does it")
def test_axe_finds_no_problem_after_a_button_was_pressed(visit: Visit, browser: Pipe) -> None:
    """The pages before that are in `tests/render/gallery/pages.py`."""
    slug = save_draft(visit.store, visit.person, liked=["2509.00002"])
    presses = {
        "preview": (f"{slug}/preview", "", "form button"),
        "drafted": ("start", "Pruning of networks", "button[value=words]"),
        "fault": ("start", "?", "button[value=words]"),
        "not-rated": ("rate", "", "button[value=words]"),
    }
    found = []
    tab = Tab(browser)
    for name, (end, about, button) in presses.items():
        for scheme in ("light", "dark"):
            tab.look(375, scheme)
            tab.open(visit.home + path_of(visit.person, end))
            if about:
                tab.type("#about", about)
            if name != "preview" or scheme == "light":
                tab.press(button)
            found += [(name, scheme, barrier) for barrier in tab.barriers()]
            found += [(name, scheme, tab.too_wide)] if tab.too_wide else []
    assert not found


@pytest.mark.skipif(
    not CAN_VALIDATE, reason="node or html-validate is missing: make check-email installs it"
)
def test_the_markup_after_a_button_is_valid(visit: Visit, tmp_path: Path) -> None:
    web, person = Browser(visit.port), visit.person
    slug = save_draft(visit.store, person, liked=["2509.00002"])
    rated = {"rate:2509.00001": "more"}
    found = {
        "preview": web.post(path_of(person, f"{slug}/preview")),
        "by-words": web.get(path_of(person, f"{slug}/preview") + "?by=words"),
        "fault": post_files(web, path_of(person, "start"), {"about": "?", "categories": "cs.LX"}),
        "not-rated": web.post(path_of(person, "rate"), {"categories": "cs.LX"}),
        "rated": web.post(path_of(person, "rate"), rated),
        "drafted": post_files(web, path_of(person, "start"), {"about": "Pruning <b>&"}),
    }
    assert markup_faults(tmp_path, {name: page.body for name, page in found.items()}) == ""
