"""Several rubrics for one address on the web: adding, leaving one or all, preferences, download."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from newsletter.delivery import planner
from newsletter.domain.links import TEST_READER, Purpose
from newsletter.domain.mail import WEEKDAYS, WEEKLY, Format, SubscriberState, Subscription
from newsletter.domain.votes import Vote
from newsletter.inbound.processor import process_new, store_mail
from newsletter.store import events, signups, subscribers, subscriptions, votes
from newsletter.store.events import Event, EventKind
from newsletter.store.reports import personal_data
from newsletter.store.tables import inbound_body, metadata, reply_answer, subscription
from newsletter.web.app import FORMS, PAGES, create_app
from tests.fakes.browser import Browser, Page, served
from tests.fakes.pages import (
    LINKS,
    NOW,
    STARS,
    THURSDAY,
    Clock,
    Mailbox,
    application,
    issue,
    make_site,
    paper,
    reader,
)
from tests.fakes.replies import message
from tests.fakes.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.domain.mail import Email
    from newsletter.store import Store

ACTIVE, PAUSED = SubscriberState.ACTIVE, SubscriberState.PAUSED
GONE, PENDING = SubscriberState.UNSUBSCRIBED, SubscriberState.PENDING
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


class Site:
    def __init__(self, store: Store, web: Browser, mailbox: Mailbox, clock: Clock) -> None:
        self.store, self.web, self.mailbox, self.clock = store, web, mailbox, clock

    def sign_up(self, rubric: str, email: str = "ada@example.org") -> tuple[Page, Email]:
        before = len(self.mailbox.mails)
        page = self.web.post("/subscribe", {"email": email, "rubric": rubric})
        assert wait_until(lambda: self.mailbox.mails[before:])
        return page, self.mailbox.mails[before]

    def read(self, email: str = "ada@example.org") -> dict[str, SubscriberState]:
        """By rubric the state of an address's subscriptions."""
        return {one.rubric: one.state for one in self.of(email)}

    def of(self, email: str = "ada@example.org") -> list[Subscription]:
        with self.store.read() as tx:
            return subscriptions.of_address(tx, email)

    def add(self, person: Subscription, rubric: str = "models") -> Subscription:
        """One more subscription of a reader."""
        with self.store.begin() as tx:
            added = subscriptions.add(tx, person.id, rubric, NOW, consent="asked")
            known = subscriptions.by_id(tx, added)
        assert known
        return known


@pytest.fixture
def site(store: Store) -> Iterator[Site]:
    mailbox, clock = Mailbox(), Clock()
    with served(create_app(make_site(store, mailbox, clock, reader_rubrics=1))) as web:
        yield Site(store, web, mailbox, clock)


def path(purpose: Purpose, subscription_id: str) -> str:
    return f"/{purpose.value}/{LINKS.token(purpose, subscription_id)}"


def leaving(person: Subscription) -> str:
    return path(Purpose.UNSUBSCRIBE, person.id)


def preferences(person: Subscription) -> str:
    return path(Purpose.PREFERENCES, person.id)


def confirming(mail: Email) -> str:
    [found] = {word for word in mail.text.split() if "/confirm/" in word}
    return found.removeprefix("http://127.0.0.1")


def test_a_known_address_adds_a_rubric_after_confirmation(site: Site):
    reader(site.store)
    page, mail = site.sign_up("models")
    unknown, to_unknown = site.sign_up("models", "new@example.org")
    assert page.text.replace("ada@", "x@") == unknown.text.replace("new@", "x@")
    assert "“Stars” already" in " ".join(mail.text.split())
    assert "You receive" not in to_unknown.text
    assert site.read() == {"stars": ACTIVE, "models": PENDING}

    shown = site.web.get(confirming(mail))
    assert "“Models”" in shown.words
    assert "Stars" not in shown.words
    assert site.read()["models"] is PENDING
    assert "receives “Models”" in site.web.post(confirming(mail)).words
    assert site.read() == {"stars": ACTIVE, "models": ACTIVE}
    [added] = [one for one in site.of() if one.rubric == "models"]
    assert added.consent.startswith("web form of 2025-09-25 06:00 UTC, confirmed")


def test_a_request_that_is_not_confirmed_changes_and_leaves_nothing(site: Site):
    person = reader(site.store)
    site.sign_up("models")
    assert site.read()["stars"] is ACTIVE
    with site.store.begin() as tx:
        signups.purge(tx, NOW + timedelta(days=31))
    assert site.of() == [stored(site, person)]


def test_a_request_for_what_was_left_touches_it_only_when_confirmed(site: Site):
    person = reader(site.store)
    other = site.add(person)
    site.web.post(leaving(other))
    _, mail = site.sign_up("models")
    assert site.read() == {"stars": ACTIVE, "models": GONE}
    site.web.post(confirming(mail))
    assert site.read() == {"stars": ACTIVE, "models": ACTIVE}
    assert {one.id for one in site.of()} == {person.id, other.id}


def test_each_request_is_confirmed_by_its_own_link(site: Site):
    reader(site.store)
    _, first = site.sign_up("models")
    site.clock.at = NOW + timedelta(hours=2)
    _, second = site.sign_up("stars")
    assert "You receive that digest already" in second.text
    site.web.post(confirming(first))
    assert site.read() == {"stars": ACTIVE, "models": ACTIVE}


def stored(site: Site, person: Subscription) -> Subscription:
    with site.store.read() as tx:
        known = subscriptions.by_id(tx, person.id)
    assert known
    return known


def test_a_link_or_one_click_leaves_its_own_rubric_and_offers_all(site: Site):
    person = reader(site.store)
    other = site.add(person)
    shown = site.web.get(leaving(person))
    assert "You also receive “Models”" in shown.words
    assert "Unsubscribe from all" in shown.words

    page = site.web.post(leaving(person), {**ONE_CLICK, "all": "yes"})
    assert site.read() == {"stars": GONE, "models": ACTIVE}
    assert "You still receive “Models”" in page.words

    site.clock.at = NOW + timedelta(minutes=1)
    page = site.web.post(leaving(person), {"all": "yes"})
    assert site.read() == {"stars": GONE, "models": GONE}
    assert "receives no more digests. Thank you" in page.words
    page = site.web.post(leaving(other), {"undo": "1"})
    assert "“Models” again" in page.words
    assert site.read() == {"stars": GONE, "models": ACTIVE}


def test_undo_after_all_brings_back_what_was_left_together(site: Site):
    person = reader(site.store)
    site.add(person)
    site.web.post(leaving(person), {"all": "yes"})
    page = site.web.post(leaving(person), {"undo": "1"})
    assert "Models" in page.words
    assert site.read() == {"stars": ACTIVE, "models": ACTIVE}


def test_preferences_show_all_with_a_cadence_and_an_unsubscribe_each(site: Site):
    person = reader(site.store)
    other = site.add(person)
    page = site.web.get(preferences(other))
    assert {one.text for one in page.soup.find_all("h2")} >= {"Models", "Stars"}
    links = {one["href"] for one in page.soup.find_all("a", class_="button")}
    write = LINKS.reader_rubric_url(other.id, "start").removeprefix("http://127.0.0.1")
    assert links == {leaving(person), leaving(other), write}
    ids = [one["id"] for one in page.soup.find_all(id=True)]
    assert len(ids) == len(set(ids))

    saved = site.web.post(
        preferences(other),
        {"action": "save", "of": "models", "often": "weekly", "format": "titles", "max_papers": ""},
    )
    assert "Saved" in saved.words
    assert (stored(site, other).days, stored(site, other).format) == (WEEKLY, Format.TITLES)
    assert (stored(site, person).days, stored(site, person).format) == (WEEKDAYS, Format.FULL)

    site.web.post(preferences(person), {"action": "save", "send_at": "06:30", "timezone": ""})
    assert f"{stored(site, other).send_at:%H:%M}" == "06:30"
    assert stored(site, other).days == WEEKLY


def test_errors_stand_in_the_section_that_they_are_about(site: Site):
    person = reader(site.store)
    site.add(person)
    form = {"action": "save", "of": "stars", "often": "days", "format": "full", "max_papers": "0"}
    page = site.web.post(preferences(person), form)
    assert page.status == 422
    [wrong] = page.soup.find_all(attrs={"aria-invalid": "true"})
    assert wrong.find_parent("form").find("input", attrs={"name": "of"})["value"] == "stars"
    assert len(page.soup.find_all(class_="fault", id=True)) == 2
    assert stored(site, person) == person_as_stored(person)


def person_as_stored(person: Subscription) -> Subscription:
    from dataclasses import replace

    return replace(person, subscriber_id=person.id, since=NOW)


def test_a_topic_is_added_on_the_preferences_page(site: Site):
    person = reader(site.store)
    page = site.web.post(preferences(person), {"action": "add", "rubric": "models"})
    assert "“Models” is added" in page.words
    assert site.read() == {"stars": ACTIVE, "models": ACTIVE}
    for slug in ("secret", "models", "nothing"):
        page = site.web.post(preferences(person), {"action": "add", "rubric": slug})
        assert "Nothing was changed" in page.words
    assert site.read() == {"stars": ACTIVE, "models": ACTIVE}


def test_what_was_left_can_be_added_again_also_a_private_rubric(site: Site):
    person = reader(site.store)
    other = site.add(person, "secret")
    site.web.post(leaving(other))
    assert "Secret plans" in site.web.get(preferences(person)).words
    site.web.post(preferences(person), {"action": "add", "rubric": "secret"})
    assert site.read() == {"stars": ACTIVE, "secret": ACTIVE}


@pytest.mark.parametrize("end", [SubscriberState.COMPLAINED, SubscriberState.BOUNCED])
def test_no_form_adds_to_an_address_that_is_stopped(site: Site, end: SubscriberState):
    person = reader(site.store)
    with site.store.begin() as tx:
        subscriptions.end_all(tx, person.id, end, "event", NOW)
    site.web.post(preferences(person), {"action": "add", "rubric": "models"})
    assert list(site.read()) == ["stars"]


def test_a_pause_is_for_all_and_says_until_when(site: Site):
    person = reader(site.store)
    other = site.add(person)
    site.web.post(preferences(other), {"action": "pause"})
    assert site.read() == {"stars": PAUSED, "models": PAUSED}
    assert "Resume all digests" in site.web.get(preferences(person)).words
    site.web.post(preferences(person), {"action": "resume"})
    assert site.read() == {"stars": ACTIVE, "models": ACTIVE}


# What is another's, stale, or of a subscriber who left.


ROUTES = [route for route in {**PAGES, **FORMS} if "{token}" in route]


def everything(site: Site, person: Subscription) -> dict[str, list[dict[str, object]]]:
    with site.store.read() as tx:
        return personal_data.stored_about(tx, person.id)


FORMS_TO_TRY: list[dict[str, str]] = [
    {},
    ONE_CLICK,
    {"all": "yes"},
    {"undo": "1"},
    {"action": "save", "of": "models", "often": "weekly", "format": "titles"},
    {"action": "save", "of": "stars", "send_at": "06:30", "timezone": "Asia/Tokyo"},
    {"action": "add", "rubric": "models"},
    {"action": "pause"},
    {"action": "resume"},
    {"action": "back"},
    {"action": "download"},
    {"vote": "more", "paper": "2509.00001"},
    {"remove": "2509.00001"},
    {"action": "erase", "sure": "yes"},
]


def answers(site: Site, address: str) -> list[Page]:
    """What a GET and each form are answered there, over one connection."""
    with site.web.connected() as web:
        return [web.get(address), *(web.post(address, form) for form in FORMS_TO_TRY)]


@pytest.mark.parametrize("route", ROUTES)
def test_another_readers_token_shows_and_changes_nothing_of_this_one(site: Site, route: str):
    ada, bob = reader(site.store), reader(site.store, email="bob@example.org", name="Bob")
    site.add(ada)
    before = everything(site, ada)
    for purpose in Purpose:
        for page in answers(site, route.replace("{token}", LINKS.token(purpose, bob.id))):
            assert "ada@example.org" not in page.text
            assert ada.id not in page.text
    assert everything(site, ada) == before


CONFIRM, UNSUBSCRIBE = "/confirm/{token}", "/unsubscribe/{token}"
TOKENS_OF_NOBODY = [
    "nonsense",
    LINKS.token(Purpose.REPLY, "a" * 32),
    LINKS.token(Purpose.PREFERENCES, "b" * 32),
    LINKS.token(Purpose.UNSUBSCRIBE, TEST_READER),
    "a" * 48,
]


@pytest.mark.parametrize("route", ROUTES)
def test_a_token_of_nobody_shows_and_changes_nothing(site: Site, route: str):
    ada = reader(site.store)
    before = everything(site, ada)
    # A link to confirm that has expired and the link of a test email are answered as usual.
    statuses = {400, 404, 405} | ({200} if route in {CONFIRM, UNSUBSCRIBE} else set())
    for token in TOKENS_OF_NOBODY:
        for page in answers(site, route.replace("{token}", token)):
            assert page.status in statuses, token
            assert "ada@example.org" not in page.text, token
        assert everything(site, ada) == before, token


@pytest.mark.parametrize("route", ROUTES)
def test_a_token_for_another_purpose_opens_nothing(site: Site, route: str):
    ada = reader(site.store)
    page = route.split("/")[1]
    others = {
        "unsubscribe": {Purpose.UNSUBSCRIBE, Purpose.REFUSE},
        "rubrics": {Purpose.PREFERENCES},
    }
    right = others[page] if page in others else {Purpose(page)}
    before = everything(site, ada)
    for purpose in set(Purpose) - right:
        for page in answers(site, route.replace("{token}", LINKS.token(purpose, ada.id))):
            assert "ada@example.org" not in page.text
    assert everything(site, ada) == before


def test_the_token_of_a_subscriber_who_was_erased_opens_nothing(site: Site):
    ada = reader(site.store)
    with site.store.begin() as tx:
        subscribers.erase(tx, ada.id, NOW)
        rows = tx.execute(subscription.select()).all()
    for route in ROUTES:
        for purpose in Purpose:
            for page in answers(site, route.replace("{token}", LINKS.token(purpose, ada.id))):
                assert "ada@example.org" not in page.text
    with site.store.read() as tx:
        assert tx.execute(subscription.select()).all() == rows


def test_the_token_of_a_rubric_that_was_left_does_not_bring_it_back(site: Site):
    ada = reader(site.store)
    other = site.add(ada)
    site.web.post(leaving(other))
    site.clock.at = NOW + timedelta(days=31)
    for form in ({"undo": "1"}, {"action": "back"}, {"action": "save", "of": "models"}):
        site.web.post(leaving(other) if "undo" in form else preferences(other), form)
    assert site.read() == {"stars": ACTIVE, "models": GONE}
    saved = {"action": "save", "send_at": "05:00", "timezone": ""}
    assert "Saved" in site.web.post(preferences(other), saved).words, "it is their own page"


# The download.


def test_no_table_that_names_a_subscriber_is_left_out_of_the_download():
    named = ("subscri", "email", "reader", "address")
    for table in metadata.sorted_tables:
        naming = {column.name for column in table.columns if any(n in column.name for n in named)}
        # A count of readers names none of them.
        naming -= {"readers"}
        assert not naming or personal_data.naming_columns(table), (table.name, naming)


def test_the_download_has_what_is_stored_of_the_reader_and_nothing_of_others(site: Site):
    ada, bob = reader(site.store), reader(site.store, email="bob@example.org", name="Bob Secret")
    site.add(ada)
    issue(site.store, STARS, THURSDAY, [paper("2509.00001"), paper("2509.00002")])
    planner.plan_all(site.store, "stars", THURSDAY, NOW)
    for one in (ada, bob):
        raw = message(f"I am {one.email}, hello", Message_ID=f"<{one.id}@x>")
        store_mail(site.store, raw, one.email, [LINKS.reply_address(one.id)], NOW)
    process_new(application(site.store), NOW)
    with site.store.begin() as tx:
        for one in (ada, bob):
            votes.save(tx, one.id, "2509.00001", NOW)
            votes.cast(tx, one.id, "2509.00001", Vote.LESS, NOW)
            events.apply(tx, [Event(EventKind.DEFERRED, one.email, NOW, reason=one.email)], NOW)
    page = site.web.post(preferences(ada), {"action": "download"})
    assert page.headers["content-type"] == "application/json"
    assert "attachment" in page.headers["content-disposition"]
    assert page.headers["cache-control"] == "no-store"
    stored_rows = json.loads(page.text)
    assert {
        "subscriber",
        "subscription",
        "delivery",
        "vote",
        "saved_paper",
        "inbound",
        "event",
    } <= (stored_rows.keys())
    assert {one["rubric"] for one in stored_rows["subscription"]} == {"stars", "models"}
    assert "I am ada@example.org" in stored_rows["inbound_body"][0]["raw"]
    for other in ("bob@example.org", "Bob Secret", bob.id):
        assert other not in page.text


def test_an_erased_reader_leaves_no_text_and_no_address(site: Site):
    ada = reader(site.store)
    for said in ("A few words of ada@example.org", "help"):
        raw = message(said, Message_ID=f"<{said[:4].strip()}@x>")
        store_mail(site.store, raw, ada.email, [LINKS.reply_address(ada.id)], NOW)
    process_new(application(site.store), NOW)
    assert "reply_answer" in everything(site, ada)
    site.web.post(preferences(ada), {"action": "erase", "sure": "yes"})
    with site.store.read() as tx:
        for table in metadata.sorted_tables:
            if table.name != "erasure":
                assert "ada@example.org" not in str(tx.execute(table.select()).all()), table.name
        assert tx.execute(reply_answer.select()).all() == []
        assert tx.execute(inbound_body.select()).all() == []
