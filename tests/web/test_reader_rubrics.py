"""A reader's own rubric over HTTP: form, draft, mailed link, versions, pause, deletion."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from newsletter.domain.mail import SubscriberState
from newsletter.domain.reader_rubrics import VersionState
from newsletter.rubrics.file import parse
from newsletter.store import reader_rubrics, subscriptions
from newsletter.web.app import create_app
from tests.fakes.browser import Browser, served
from tests.fakes.pages import LINKS, Clock, Mailbox, make_site, reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.domain.mail import Subscription
    from newsletter.domain.reader_rubrics import ReaderRubricVersion
    from newsletter.store import Store
    from tests.fakes.browser import Page

HOST = "http://127.0.0.1"
LIMIT = 2
FIELDS = {
    "title": "Brown dwarfs",
    "category": ["astro-ph.SR", "", ""],
    "criterion_title": ["Cold ones", ""],
    "criterion_relevant": ["below 1,000 K", ""],
    "criterion_irrelevant": ["planets", ""],
    "criterion_more": ["", ""],
    "relevance": "6",
    "novelty": "5",
}


class Visit:
    """A browser on a served site, its outbox and its clock."""

    def __init__(self, store: Store, browser: Browser, mailbox: Mailbox, clock: Clock) -> None:
        self.store, self.browser, self.mailbox, self.clock = store, browser, mailbox, clock

    def get(self, url: str) -> Page:
        return self.browser.get(url.removeprefix(HOST))

    def post(self, url: str, action: str = "", **fields: Any) -> Page:
        return self.browser.post(url.removeprefix(HOST), {**fields, "action": action})

    def link(self) -> str:
        """The link in the newest mail that confirms a rubric."""
        found = re.search(rf"{HOST}(/rubrics/\S+/confirm/\S+)", self.mailbox.mails[-1].text)
        assert found
        return found[1]

    def draft(self, person: Subscription, **changes: Any) -> str:
        """Keep a draft as the form does; return its slug."""
        page = self.post(LINKS.reader_rubric_url(person.id), "draft", **{**FIELDS, **changes})
        assert page.status == 303, page.words
        return page.headers["location"].rpartition("/")[2].partition("?")[0]

    def saved(self, person: Subscription, **changes: Any) -> str:
        """Save a rubric by the mailed link; return its slug."""
        slug = self.draft(person, **changes)
        self.post(LINKS.reader_rubric_url(person.id, slug), "save", **{**FIELDS, **changes})
        assert "is saved" in self.post(self.link()).words
        return slug

    def versions(self, slug: str) -> list[ReaderRubricVersion]:
        with self.store.read() as tx:
            return reader_rubrics.versions(tx, slug)

    def states(self, slug: str) -> list[VersionState]:
        return [one.state for one in self.versions(slug)]

    def everything(self, person: Subscription) -> list[Any]:
        """All that is stored of a reader's rubrics and subscriptions."""
        with self.store.read() as tx:
            mine = reader_rubrics.of_reader(tx, person.subscriber_id)
            texts = [reader_rubrics.versions(tx, one.slug) for one in mine]
            return [mine, texts, subscriptions.of_subscriber(tx, person.subscriber_id)]


@pytest.fixture
def visit(store: Store) -> Iterator[Visit]:
    mailbox, clock = Mailbox(), Clock()
    with served(create_app(make_site(store, mailbox, clock, reader_rubrics=LIMIT))) as browser:
        yield Visit(store, browser, mailbox, clock)


def test_a_rubric_is_written_saved_by_the_mailed_link_and_mailed_from_then_on(visit: Visit):
    person = reader(visit.store)
    slug = visit.draft(person)
    here = LINKS.reader_rubric_url(person.id, slug)
    assert "This is a draft" in visit.get(here).words
    assert visit.mailbox.mails == []
    asked = visit.post(here, "save", **FIELDS)
    assert "Check your inbox" in asked.words
    assert visit.states(slug) == [VersionState.WAITING]
    [mail] = visit.mailbox.mails
    assert mail.to_email == "ada@example.org"
    assert "Brown dwarfs" in mail.subject
    assert "Cold ones" in mail.text
    page = visit.get(visit.link())
    assert "Cold ones" in page.words
    assert visit.states(slug) == [VersionState.WAITING]
    assert "Your rubric is saved" in visit.post(visit.link()).words
    assert visit.states(slug) == [VersionState.ACTIVE]
    rubric = parse(visit.versions(slug)[0].text, slug, slug)
    assert (rubric.title, rubric.relevance, rubric.novelty) == ("Brown dwarfs", 6, 5)
    assert rubric.criteria[0].body == "- Relevant: below 1,000 K\n- Irrelevant: planets"
    with visit.store.read() as tx:
        found = {one.rubric: one for one in subscriptions.of_subscriber(tx, person.subscriber_id)}
    assert found[slug].state is SubscriberState.ACTIVE
    assert "confirmed it by a link" in found[slug].consent
    assert "It was saved before" in visit.post(visit.link()).words
