"""A reader's rubric in two tabs, or with a button pressed twice: nothing that was typed is lost."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from newsletter.domain.reader_rubrics import VersionState
from newsletter.mailers import SendError, SendFailure
from newsletter.rubrics.form import form_of_text
from newsletter.store import reader_rubrics
from newsletter.web.app import create_app
from newsletter.web.confirm_rubric import AGAIN
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.browser import served
from tests.fakes.pages import LINKS, NOW, TUESDAY, Clock, Mailbox, make_site, reader
from tests.fakes.rubric_pages import list_day, path_of, post_files, save_draft, site_of, subjects
from tests.fakes.scoring import scores_in_abstract
from tests.web.test_reader_rubrics import FIELDS, Visit, at_once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.domain.mail import Subscription
    from newsletter.store import Store
    from tests.fakes.browser import Page

NEW = "new"


class Tab:
    """A browser tab: it posts the hidden fields of the form that it shows."""

    def __init__(self, visit: Visit, person: Subscription, slug: str = NEW) -> None:
        self.visit, self.here = visit, LINKS.reader_rubric_url(person.id, slug)
        self.page = visit.get(self.here)

    def press(self, action: str, **changes: Any) -> Page:
        page = self.visit.post(self.here, action, **self.filled(**changes))
        if page.status != 303:
            self.page = page
        return page

    def filled(self, **changes: Any) -> dict[str, Any]:
        fields = self.page.soup.select("form.rubric input[type=hidden]")
        hidden = {str(one["name"]): str(one["value"]) for one in fields}
        assert hidden, self.page.words
        return {**FIELDS, **hidden, **changes}

    def typed(self) -> str:
        field = self.page.soup.select_one("#title")
        return str(field["value"]) if field else ""


@pytest.fixture
def visit(store: Store) -> Iterator[Visit]:
    mailbox, clock = Mailbox(), Clock()
    with served(create_app(make_site(store, mailbox, clock, reader_rubrics=2))) as browser:
        yield Visit(store, browser, mailbox, clock)


def title_now(visit: Visit, slug: str) -> str:
    with visit.store.read() as tx:
        versions = reader_rubrics.versions(tx, slug)
    return form_of_text(reader_rubrics.current_text(versions)).title


@pytest.mark.parametrize("action", ["draft", "save", "preview"])
def test_the_second_tab_sees_both_texts_and_overwrites_only_when_told_again(
    visit: Visit, action: str
) -> None:
    person = reader(visit.store)
    slug = visit.draft(person)
    one, two = Tab(visit, person, slug), Tab(visit, person, slug)
    assert one.press("draft", title="First tab").status == 303
    stale = two.press(action, title="Second tab")
    assert stale.status == 409
    assert "changed in another window" in stale.words
    assert "Title: “Second tab”, it was “First tab”" in stale.words
    assert '- title: "First tab"' in stale.words
    assert '+ title: "Second tab"' in stale.words
    assert two.typed() == "Second tab"
    assert title_now(visit, slug) == "First tab"
    assert visit.mailbox.mails == []
    # Rows are added and checked without losing the mark of what was seen.
    two.press("add", title="Second tab")
    two.press("check", title="Second tab")
    assert two.press(action, title="Second tab").status in (200, 303)
    assert title_now(visit, slug) == "Second tab"


def test_a_mark_survives_rows_and_checks(visit: Visit) -> None:
    person = reader(visit.store)
    slug = visit.draft(person)
    one, two = Tab(visit, person, slug), Tab(visit, person, slug)
    for action in ("add", "categories", "check"):
        two.press(action, title="Second tab")
    one.press("draft", title="First tab")
    two.press("add", title="Second tab")
    assert two.press("draft", title="Second tab").status == 409


def test_the_same_text_in_both_tabs_is_no_conflict(visit: Visit) -> None:
    person = reader(visit.store)
    slug = visit.draft(person)
    one, two = Tab(visit, person, slug), Tab(visit, person, slug)
    assert one.press("draft", title="Same").status == 303
    assert two.press("draft", title="Same").status == 303


def test_two_new_forms_do_not_overwrite_each_other(visit: Visit) -> None:
    person = reader(visit.store)
    one, two = Tab(visit, person), Tab(visit, person)
    assert one.press("draft", title="First tab").status == 303
    stale = two.press("draft", title="Second tab")
    assert stale.status == 409
    assert "First tab" in stale.words
    [mine] = visit.everything(person)[0]
    assert title_now(visit, mine.slug) == "First tab"
    assert two.press("draft", title="Second tab").status == 303
    assert visit.states(mine.slug) == [VersionState.DRAFT, VersionState.OLD]
    texts = {form_of_text(each.text).title for each in visit.versions(mine.slug)}
    assert texts == {"First tab", "Second tab"}, "the text that was replaced is an earlier version"


def test_a_start_and_an_earlier_version_keep_the_draft_that_they_replace(visit: Visit) -> None:
    person = reader(visit.store)
    slug = visit.saved(person)
    visit.post(LINKS.reader_rubric_url(person.id, slug), "draft", **{**FIELDS, "title": "Typed"})
    assert visit.post(LINKS.reader_rubric_url(person.id, slug), "open-1").status == 303
    assert title_now(visit, slug) == "Brown dwarfs"
    assert "Typed" in {form_of_text(one.text).title for one in visit.versions(slug)}
    unsaved = visit.draft(person, title="Half written")
    assert visit.post(LINKS.reader_rubric_url(person.id), "copy-stars").status == 303
    titles = [form_of_text(one.text).title for one in visit.versions(unsaved)]
    assert titles == ["Stars (my copy)", "Half written"]
    start = LINKS.reader_rubric_url(person.id, "start").removeprefix("http://127.0.0.1")
    assert "stays among its versions" in visit.get(start).words


def test_a_form_of_a_rubric_that_was_deleted_in_another_tab_keeps_what_was_typed(
    visit: Visit,
) -> None:
    person = reader(visit.store)
    slug = visit.saved(person)
    tab = Tab(visit, person, slug)
    visit.post(f"{LINKS.reader_rubric_url(person.id, slug)}/delete")
    page = tab.press("save", title="Long thoughts")
    assert page.status == 404
    assert "deleted" in page.words
    assert tab.typed() == "Long thoughts"
    assert visit.everything(person)[0] == []
    tab.here = LINKS.reader_rubric_url(person.id)
    form = page.soup.select_one("form.rubric")
    assert form
    assert str(form["action"]).startswith(tab.here.removeprefix("http://127.0.0.1"))
    assert tab.press("draft", title="Long thoughts").status == 303


def test_one_rubric_too_many_keeps_what_was_typed(visit: Visit) -> None:
    person = reader(visit.store)
    visit.saved(person)
    tab = Tab(visit, person)
    visit.saved(person, title="Second")
    page = tab.press("save", title="Third")
    assert page.status == 409
    assert "may have 2" in page.words
    assert tab.typed() == "Third"


def test_save_pressed_twice_mails_one_link(visit: Visit) -> None:
    person = reader(visit.store)
    tab = Tab(visit, person)
    filled = tab.filled(title="Twice")
    at_once(*[lambda: visit.post(tab.here, "save", **filled)] * 4)
    assert len(visit.mailbox.mails) == 1
    [mine] = visit.everything(person)[0]
    page = Tab(visit, person, mine.slug).press("save", title="Twice")
    assert "Check your inbox" in page.words
    assert len(visit.mailbox.mails) == 1
    first = visit.link()
    visit.clock.at = NOW + AGAIN
    Tab(visit, person, mine.slug).press("save", title="Twice")
    assert len(visit.mailbox.mails) == 2
    # Both mails name the same version: either link confirms it.
    assert "is saved" in visit.post(first).words
    assert "is saved" in visit.post(visit.link()).words
    assert visit.states(mine.slug) == [VersionState.ACTIVE]


def test_save_after_the_back_button_changes_nothing(visit: Visit) -> None:
    person = reader(visit.store)
    slug = visit.draft(person)
    tab = Tab(visit, person, slug)
    tab.press("save", title="Saved")
    old = Tab(visit, person, slug)
    visit.post(visit.link())
    page = old.press("save", title="Saved")
    assert "in use already" in page.words
    assert len(visit.mailbox.mails) == 1
    assert visit.states(slug) == [VersionState.ACTIVE]


def test_a_link_that_could_not_be_mailed_is_mailed_at_the_next_click(visit: Visit) -> None:
    person = reader(visit.store)
    tab = Tab(visit, person)
    visit.mailbox.fault = SendError(SendFailure.UNSENT, "down")
    assert tab.press("save", title="Mine").status == 503
    [mine] = visit.everything(person)[0]
    assert visit.states(mine.slug) == [VersionState.DRAFT]
    visit.mailbox.fault = None
    assert "Check your inbox" in Tab(visit, person, mine.slug).press("save", title="Mine").words
    assert "is saved" in visit.post(visit.link()).words


def test_a_link_confirms_the_text_that_its_page_shows(visit: Visit) -> None:
    person = reader(visit.store)
    slug = visit.saved(person)
    Tab(visit, person, slug).press("save", title="Two")
    link = visit.link()
    shown = visit.get(link)
    assert "Two" in shown.words
    visit.clock.at = NOW + timedelta(minutes=5)
    Tab(visit, person, slug).press("save", title="Three")
    assert "A newer text was saved since" in visit.post(link).words
    assert visit.states(slug) == [VersionState.WAITING, VersionState.OLD, VersionState.ACTIVE]


def test_claude_reads_nothing_for_a_preview_of_an_earlier_text(store: Store) -> None:
    list_day(store, TUESDAY, subjects())
    person = reader(store, rubric="models")
    slug = save_draft(store, person)
    here = path_of(person, f"{slug}/preview")
    with (
        FakeAnthropic(scores_in_abstract) as claude,
        served(create_app(site_of(store, claude))) as web,
    ):
        form = web.get(here).soup.select_one("form input[name=seen]")
        assert form
        with store.begin() as tx:
            text = save_text(store, slug).replace("Pruning", "Other")
            reader_rubrics.save_draft(tx, slug, text, NOW)
        page = web.post(here, {"seen": str(form["value"])})
        assert page.status == 409
        assert "changed in another window" in page.words
        assert claude.requests == []
        fresh = page.soup.select_one("form input[name=seen]")
        assert fresh
        assert web.post(here, {"seen": str(fresh["value"])}).status == 200
        assert claude.requests


def save_text(store: Store, slug: str) -> str:
    with store.read() as tx:
        return reader_rubrics.versions(tx, slug)[0].text


def test_a_start_sent_twice_makes_one_draft(store: Store) -> None:
    list_day(store, TUESDAY, subjects())
    person = reader(store, rubric="models")
    with served(create_app(site_of(store))) as web:
        fields = {"about": "Pruning of networks", "categories": "cs.LG", "action": "words"}
        at_once(*[lambda: post_files(web, path_of(person, "start"), fields)] * 3)
    with store.read() as tx:
        [mine] = reader_rubrics.of_reader(tx, person.subscriber_id)
        assert len(reader_rubrics.versions(tx, mine.slug)) == 1
