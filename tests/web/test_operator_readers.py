"""The operator's pages about readers: list, one reader, every action, its log and its undo."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import time, timedelta
from time import process_time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, update

from newsletter.domain.mail import WEEKLY, DeliveryState, EventKind, Format, SubscriberState
from newsletter.domain.subscriber_csv import SubscriberRow, read_subscribers
from newsletter.domain.votes import Vote
from newsletter.mailers import SendError, SendFailure
from newsletter.operations import readers as operations
from newsletter.store import (
    Store,
    digests,
    events,
    subscriber_import,
    subscribers,
    subscriptions,
    suppressions,
    votes,
)
from newsletter.store.events import Event
from newsletter.store.operator import reader_state
from newsletter.store.operator.actions import ActionKind
from newsletter.store.tables import delivery, subscriber, subscription
from tests.fakes import operator_data
from tests.fakes.operators import Lists, Person, form_fields, recorded
from tests.fakes.pages import (
    NOW,
    STARS,
    THURSDAY,
    Clock,
    Mailbox,
    issue,
    paper,
    reader,
)
from tests.fakes.pages import stored as stored_first

if TYPE_CHECKING:
    from newsletter.domain.mail import Subscription
    from tests.fakes.browser import Page

READERS = "/operator/readers"
ACTIVE, GONE, PAUSED = (
    SubscriberState.ACTIVE,
    SubscriberState.UNSUBSCRIBED,
    SubscriberState.PAUSED,
)


def page_of(person: Subscription) -> str:
    return f"{READERS}/{person.subscriber_id}"


def state(store: Store, person: Subscription) -> object:
    with store.read() as tx:
        return reader_state.read(tx, person.subscriber_id)


def stored(store: Store, person: Subscription) -> Subscription:
    found = stored_first(store, person)
    assert found
    return found


def emails(page: Page) -> list[str]:
    return [link.get_text() for link in page.soup.select("table th[scope=row] a")]


def test_readers_are_found_by_address_name_rubric_and_state(store: Store, ada: Person):
    grace = reader(store, email="Grace@Example.org", name="Grace H. 100%")
    reader(store, email="bob@example.net", rubric="models")
    away = reader(store, email="away@example.org")
    gone = reader(store, email="gone@example.org")
    with store.begin() as tx:
        subscribers.pause(tx, away.subscriber_id, "operator", NOW)
        subscriptions.leave(tx, gone.id, "reply", NOW)
        subscriptions.add(tx, grace.subscriber_id, "models", NOW)
        subscriptions.leave(tx, grace.id, "one-click", NOW)

    page = ada.get(READERS)

    def found(**fields: str) -> list[str]:
        return emails(ada.fill(page, READERS, **fields))

    everyone = ["away@example.org", "bob@example.net", "gone@example.org", "Grace@Example.org"]
    assert emails(ada.get(READERS)) == everyone
    assert found(text="GRACE@example.ORG") == ["Grace@Example.org"]
    assert found(text="race h. 100%") == ["Grace@Example.org"]
    assert found(text="100_") == found(text="nobody") == []
    assert found(rubric="models") == ["bob@example.net", "Grace@Example.org"]
    assert found(state="paused") == ["away@example.org"]
    assert found(state="unsubscribed") == ["gone@example.org"]
    assert found(state="active") == ["bob@example.net", "Grace@Example.org"]
    assert found(state="unsubscribed", rubric="stars") == ["gone@example.org", "Grace@Example.org"]
    assert found(state="<x>") == everyone
    assert emails(ada.get(f"{READERS}?state=paused&rubric=stars")) == ["away@example.org"]
    with store.begin() as tx:
        subscribers.erase(tx, gone.subscriber_id, NOW)
    assert found(text="gone") == []
    assert ada.get(page_of(gone)).status == 404
    assert ada.get(f"{READERS}/{'0' * 32}").status == 404


def test_the_list_has_pages_and_no_url_has_an_address(store: Store, ada: Person):
    for number in range(60):
        reader(store, email=f"r{number:02}@example.org")
    page = ada.get(READERS)
    assert len(emails(page)) == 50
    assert "60 readers, page 1 of 2" in page.words
    second = ada.fill(page, READERS, text="example.org", page="2")
    assert len(emails(second)) == 10
    assert not [
        a for tag in page.soup.find_all(["a", "form"]) for a in tag.attrs.values() if "@" in a
    ]


def test_the_export_is_that_of_the_command(store: Store, ada: Person):
    reader(store, name="Ada, née L.")
    gone = reader(store, email="gone@example.org")
    with store.begin() as tx:
        subscriptions.leave(tx, gone.id, "reply", NOW)
    file = ada.fill(ada.get(READERS), f"{READERS}/export")
    assert file.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'filename="subscribers.csv"' in file.headers["content-disposition"]
    assert file.headers["cache-control"] == "no-store"
    with store.read() as tx:
        assert file.text == operations.export(tx)
    [row] = read_subscribers(file.text, {"stars"}).rows
    assert (row.email, row.name) == ("ada@example.org", "Ada, née L.")
    assert ada.get(f"{READERS}/export").status == 404


def test_a_stranger_sees_no_reader(store: Store, ada: Person):
    person = reader(store)
    stranger = ada.web
    for path in (READERS, page_of(person), f"{page_of(person)}/remove", f"{READERS}/new"):
        assert stranger.get(path).status == 403
    assert stranger.post(READERS, {"text": "ada"}).status == 403
    assert stranger.post(f"{page_of(person)}/pause", {}).status == 403


def test_the_page_says_why_a_reader_gets_mail_or_none(store: Store, ada: Person):
    issue(store, STARS, THURSDAY, [paper("1"), paper("2")])
    person = reader(store, name="Ada <b>")
    with store.begin() as tx:
        digest_id = next(each.id for each in digests.summaries(tx, 1, "stars"))
        row = operator_data.row(digest_id, person, DeliveryState.REJECTED)
        tx.execute(insert(delivery).values({**row, "reason": "550 no such mailbox"}))
        votes.cast(tx, person.id, "1", Vote.MORE, NOW)
        said = {"delivery_id": str(row["id"]), "reason": "5.1.1 unknown user"}
        events.apply(tx, [Event(EventKind.HARD_BOUNCE, person.email, NOW, **said)], NOW)
        late = Event(EventKind.SOFT_BOUNCE, person.email, NOW, reason="4.2.2 mailbox full")
        events.apply(tx, [late], NOW)
    page = ada.get(page_of(person))
    assert "Ada <b>" in page.words
    assert "Bounced. Mail to this address came back." in page.words
    mails = page.soup.find(id="mails").find_parent("section").get_text(" ")
    for words in ("2025-09-25", "Stars", "rejected", "550 no such mailbox", "5.1.1 unknown user"):
        assert words in mails
    why = page.soup.find(id="why").find_parent("section").get_text(" ")
    assert "the address, suppressed" in " ".join(why.split())
    assert "1 vote;" in why
    assert "soft bounce 2025-09-25 06:00 UTC : 4.2.2 mailbox full" in " ".join(why.split())
    assert "4.2.2" not in mails


def test_pause_resume_and_undo(store: Store, ada: Person, bo: Person):
    person = reader(store)
    before = state(store, person)
    page = ada.shown(ada.fill(ada.get(page_of(person)), f"{page_of(person)}/pause"))
    assert "Done: pause reader." in page.words
    assert stored(store, person).state is PAUSED
    [action] = recorded(store)
    assert (action.operator, action.kind, action.subject, action.subscriber_id) == (
        "ada", ActionKind.PAUSE_READER, person.id, person.id,
    )  # fmt: skip
    log = bo.get("/operator/log")
    assert "ada@example.org · by ada" in log.words
    assert "state: active → paused" in log.words
    back = bo.shown(bo.undo(log))
    assert "The action was undone" in back.words
    assert state(store, person) == before
    assert "undone before" in ada.undo(page).words
    assert "Undone by bo" in ada.get(page_of(person)).words
    ada.shown(ada.fill(ada.get(page_of(person)), f"{page_of(person)}/pause"))
    resumed = ada.shown(ada.fill(ada.get(page_of(person)), f"{page_of(person)}/resume"))
    assert "Done: resume reader." in resumed.words
    assert stored(store, person).state is ACTIVE
    undone = ada.shown(ada.undo(resumed))
    assert "The action was undone." in undone.words
    assert stored(store, person).state is PAUSED


def test_a_page_shows_only_what_was_done_to_its_reader(store: Store, ada: Person):
    person, other = reader(store), reader(store, email="b@example.org")
    page = ada.fill(ada.get(page_of(person)), f"{page_of(person)}/pause")
    query = page.headers["location"].partition("?")[2]
    assert "Done:" in ada.get(f"{page_of(person)}?{query}").words
    assert "Done:" not in ada.get(f"{page_of(other)}?{query}").words


def test_without_database_a_form_is_answered_by_503(ada: Person, store: Store):
    if not store.is_sqlite:
        pytest.skip("its file is moved away")
    person = reader(store)
    fields = form_fields(ada.get(page_of(person)), f"{page_of(person)}/pause")
    away = store.file.rename(store.file.with_suffix(".away"))
    assert ada.post(f"{page_of(person)}/pause", fields).status == 503
    assert ada.post("/operator/log/undo", {**fields, "id": "1" * 32}).status == 503
    away.rename(store.file)
    assert ada.post(f"{page_of(person)}/pause", fields).status == 303


def test_undo_never_overwrites_what_the_reader_did_since(store: Store, ada: Person):
    person = reader(store)
    page = ada.shown(ada.fill(ada.get(page_of(person)), f"{page_of(person)}/pause"))
    with store.begin() as tx:
        subscriptions.leave(tx, person.id, "reply", NOW)
    refused = ada.undo(page)
    assert refused.status == 409
    assert "overwrite a later change" in refused.words
    assert stored(store, person).state is GONE


def test_a_form_counts_once_and_only_for_what_the_operator_saw(
    store: Store, ada: Person, bo: Person
):
    person = reader(store)
    path = f"{page_of(person)}/pause"
    fields = form_fields(ada.get(page_of(person)), path)
    theirs = form_fields(bo.get(page_of(person)), path)
    first, again = (ada.post(path, fields) for _ in range(2))
    assert first.status == again.status == 303
    assert first.headers["location"] == again.headers["location"]
    late = bo.post(path, theirs)
    assert late.status == 409
    assert "Someone changed this after you opened the form" in late.words
    assert "pause reader, by ada, 2025-09-25 06:00 UTC" in late.words
    assert bo.post(path, {**theirs, "token": fields["token"], "form": "a" * 32}).status == 403
    assert ada.post(path, {**fields, "form": "no id"}).status == 400
    assert len(recorded(store)) == 1
    unknown = ada.post(f"{READERS}/{'0' * 32}/pause", {**fields, "form": "b" * 32})
    assert unknown.status == 404


def test_two_operators_press_at_the_same_moment(store: Store, ada: Person, bo: Person):
    person = reader(store)
    path = f"{page_of(person)}/pause"
    forms = [(one, form_fields(one.get(page_of(person)), path)) for one in (ada, bo)]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda both: both[0].post(path, both[1]).status, forms))
    assert sorted(answers) == [303, 409]
    assert len(recorded(store)) == 1
    assert stored(store, person).state is PAUSED


def test_edit_changes_zone_hour_days_format_and_length(store: Store, ada: Person):
    person = reader(store)
    before = state(store, person)
    path = f"{page_of(person)}/edit"
    wished = {"name": "Ada L.", "timezone": "Europe/Berlin", "send_at": "06:30"}
    page = ada.shown(ada.fill(ada.get(page_of(person)), path, "address", **wished))
    assert "timezone: none → Europe/Berlin" in page.words
    wished = {"days": "mon-wed", "format": "brief", "max_papers": "7"}
    ada.shown(ada.fill(page, path, person.id, **wished))
    found = stored(store, person)
    assert (found.name, found.timezone, f"{found.send_at:%H:%M}") == (
        "Ada L.", "Europe/Berlin", "06:30",
    )  # fmt: skip
    assert (found.days, found.format, found.max_papers) == (
        ("mon", "tue", "wed"), Format.BRIEF, 7,
    )  # fmt: skip
    page = ada.get(page_of(person))
    empty = {"name": "", "timezone": "", "send_at": ""}
    page = ada.shown(ada.fill(page, path, "address", **empty))
    ada.shown(ada.fill(page, path, person.id, days="daily", format="full", max_papers=""))
    assert state(store, person) == before
    unchanged = ada.fill(ada.get(page_of(person)), path, "address")
    assert "No value differs from the stored one." in unchanged.words


def test_wrong_values_are_shown_beside_their_fields(store: Store, ada: Person):
    person = reader(store)
    path = f"{page_of(person)}/edit"
    page = ada.fill(ada.get(page_of(person)), path, "address", timezone="CET", send_at="25:00")
    assert page.status == 422
    assert "is an abbreviation" in page.soup.find(id="fault-timezone").get_text()
    assert page.soup.find(id="timezone")["value"] == "CET"
    wrong = {"days": "", "format": "huge", "max_papers": "0"}
    page = ada.fill(ada.get(page_of(person)), path, person.id, **wrong)
    assert len(page.soup.select(".fault")) == 2
    assert page.soup.find(id=f"days-{person.id}")["aria-invalid"] == "true"
    assert recorded(store) == []


def test_what_the_reader_chose_is_overwritten_only_knowingly(store: Store, ada: Person):
    person = reader(store)
    with store.begin() as tx:
        wished = {"timezone": "Asia/Tokyo"}
        subscriptions.set_preferences(tx, person.id, wished, NOW)
    path = f"{page_of(person)}/edit"
    asked = ada.fill(ada.get(page_of(person)), path, "address", timezone="UTC", name="Ada")
    assert "timezone: the reader chose Asia/Tokyo; you give UTC" in asked.words
    assert (stored(store, person).timezone, stored(store, person).name) == ("Asia/Tokyo", "")
    done = ada.shown(ada.fill(asked, path))
    assert "Done: edit reader." in done.words
    assert (stored(store, person).timezone, stored(store, person).name) == ("UTC", "Ada")
    ada.shown(ada.undo(done))
    assert stored(store, person).chosen == ("timezone",)
    opened = ada.get(page_of(person))
    with store.begin() as tx:
        subscriptions.set_preferences(tx, person.id, {"timezone": "Asia/Seoul"}, NOW)
    late = ada.fill(opened, path, "address", timezone="UTC")
    assert "Someone changed this after you opened the form" in late.words


def test_remove_asks_first_and_undo_brings_the_reader_back(store: Store, ada: Person, lists: Lists):
    person = reader(store)
    with store.begin() as tx:
        subscriptions.add(tx, person.subscriber_id, "models", NOW, consent="asked")
    before = state(store, person)
    asked = ada.get(f"{page_of(person)}/remove")
    assert "unsubscribe from Stars" in asked.words
    assert "unsubscribe from Models" in asked.words
    assert state(store, person) == before
    removed = ada.shown(ada.fill(asked, f"{page_of(person)}/remove"))
    assert stored(store, person).state is GONE
    with store.read() as tx:
        assert suppressions.reason_for(tx, person.email)
    assert ada.get(f"{page_of(person)}/remove").status == 409
    ada.shown(ada.undo(removed))
    assert state(store, person) == before
    assert lists.freed == [person.email]
    with store.read() as tx:
        assert suppressions.reason_for(tx, person.email, "models") is None


def test_one_of_two_subscriptions_is_removed_and_restored(store: Store, ada: Person):
    person = reader(store)
    with store.begin() as tx:
        subscriptions.add(tx, person.subscriber_id, "models", NOW, consent="asked")
    asked = ada.get(f"{page_of(person)}/remove?of={person.id}")
    assert "Models" not in asked.words
    ada.shown(ada.fill(asked, f"{page_of(person)}/remove"))
    with store.read() as tx:
        left = {one.rubric: one.state for one in subscriptions.of_address(tx, person.email)}
    assert left == {"stars": GONE, "models": ACTIVE}
    page = ada.get(page_of(person))
    link = page.soup.find("a", string="Restore this subscription")["href"]
    done = ada.shown(ada.fill(ada.get(link), f"{page_of(person)}/restore", consent="by phone"))
    assert "Done: restore reader." in done.words
    with store.read() as tx:
        found = {one.rubric: one.consent for one in subscriptions.of_address(tx, person.email)}
    assert found == {"stars": "by phone", "models": "asked"}
    assert ada.get(f"{page_of(person)}/remove?of={'0' * 32}").status == 404


def test_restore_needs_consent_and_frees_the_address_at_the_provider(
    store: Store, ada: Person, lists: Lists
):
    person = reader(store)
    with store.begin() as tx:
        subscriptions.leave(tx, person.id, "one-click", NOW)
    path = f"{page_of(person)}/restore"
    asked = ada.get(path)
    assert "subscribe to Stars again" in asked.words
    assert "The consent is missing" in ada.fill(asked, path, consent=" ").words
    assert (lists.freed, stored(store, person).state) == ([], GONE)
    gone = state(store, person)
    done = ada.shown(ada.fill(asked, path, consent="mail of 3 May"))
    assert (lists.freed, stored(store, person).state) == ([person.email], ACTIVE)
    assert stored(store, person).consent == "mail of 3 May"
    ada.shown(ada.undo(done))
    assert state(store, person) == gone
    assert ada.get(f"{READERS}/{reader(store, email='b@example.org').id}/restore").status == 409


def test_an_active_reader_whose_address_is_suppressed_is_shown_so(store: Store, ada: Person):
    person = reader(store)
    with store.begin() as tx:
        suppressions.suppress(tx, person.email, suppressions.Reason.BOUNCED, "list", NOW)
    page = ada.get(page_of(person))
    assert "The address is suppressed (bounced), so nothing is sent to it." in page.words
    assert "Next mails" not in page.words
    asked = ada.get(page.soup.find("a", string="Restore")["href"])
    assert "allow mail to this address again; it is bounced" in asked.words
    done = ada.shown(ada.fill(asked, f"{page_of(person)}/restore", consent="by phone"))
    assert "suppressed" not in done.soup.find("main").p.find_next("p").get_text()
    with store.read() as tx:
        assert suppressions.reason_for(tx, person.email) is None


def test_a_complaint_is_never_restored(store: Store, ada: Person, lists: Lists):
    person = reader(store)
    with store.begin() as tx:
        subscriptions.end_all(tx, person.id, SubscriberState.COMPLAINED, "spam report", NOW)
    page = ada.get(page_of(person))
    assert "Nothing reactivates this address." in page.words
    assert page.soup.find("a", string="Restore") is None
    refused = ada.get(f"{page_of(person)}/restore")
    assert refused.status == 409
    assert "reported a digest as unwanted" in refused.words
    other = form_fields(ada.get(f"{READERS}/new"), f"{READERS}/new")
    forged = {"token": other["token"], "form": "c" * 32, "stamp": "", "consent": "x"}
    assert ada.post(f"{page_of(person)}/restore", forged).status == 409
    assert lists.freed == []


NEW = f"{READERS}/new"


def test_a_reader_is_added_with_consent_or_asked_by_mail(
    store: Store, ada: Person, mailbox: Mailbox, clock: Clock
):
    wished = {"email": "Grace@example.org", "consent": "signed up at the fair", "days": "mon"}
    page = ada.shown(ada.fill(ada.get(NEW), NEW, rubric=["stars", "models"], **wished))
    assert "Grace@example.org" in page.words
    assert "none → none" not in page.words
    assert "days: none → mon" in page.words
    with store.read() as tx:
        found = subscriptions.of_address(tx, "grace@example.org")
    assert {(one.rubric, one.state, one.days, one.consent) for one in found} == {
        (rubric, ACTIVE, ("mon",), "signed up at the fair") for rubric in ("stars", "models")
    }
    assert mailbox.mails == []
    page = ada.shown(ada.fill(ada.get(NEW), NEW, rubric="stars", email="new@example.org"))
    assert "The confirmation mail was sent" in page.words
    assert [mail.to_email for mail in mailbox.mails] == ["new@example.org"]
    assert "Pending." in page.words
    asked = ada.fill(page, f"{page_path(page)}/invite")
    assert "asks nobody twice" in asked.words
    ada.shown(ada.undo(page))
    with store.read() as tx:
        assert subscriptions.find(tx, "new@example.org") is None
    assert ada.get(page_path(page)).status == 404
    # A double click on Undo, then a look at a page whose reader is no more.
    assert "The action was undone" in ada.shown(ada.undo(page)).words
    clock.at += timedelta(minutes=1)
    assert "undone before" in ada.undo(page).words


def page_path(page: Page) -> str:
    """The page of the reader that a page is about."""
    form = page.soup.find("form", action=lambda path: path and path.endswith("/edit"))
    return str(form["action"]).removesuffix("/edit")


def test_faults_of_a_new_reader_are_shown_beside_their_fields(store: Store, ada: Person):
    page = ada.fill(ada.get(NEW), NEW, email="nobody", timezone="Mars")
    assert page.status == 422
    assert "is not an address" in page.soup.find(id="fault-email").get_text()
    assert "is not a zone" in page.soup.find(id="fault-timezone").get_text()
    assert "choose at least one" in page.soup.find(id="fault-rubric").get_text()
    page = ada.fill(ada.get(NEW), NEW, email="a@example.org", rubric="nothing")
    assert "is not known" in page.soup.find(id="fault-rubric").get_text()
    assert recorded(store) == []


def test_adding_a_known_address_shows_first_what_it_would_change(store: Store, ada: Person):
    person = reader(store)
    with store.begin() as tx:
        subscriptions.set_preferences(tx, person.id, {"timezone": "Asia/Tokyo"}, NOW)
    wished = {"email": "ADA@example.org", "timezone": "UTC", "name": "Ada", "consent": "by phone"}
    asked = ada.fill(ada.get(NEW), NEW, rubric=["stars", "models"], **wished)
    assert "This address is a reader already" in asked.words
    assert "timezone stays Asia/Tokyo, as the reader chose" in asked.words
    assert "rubrics stars -> stars models" in asked.words
    assert recorded(store) == []
    ada.shown(ada.fill(asked, NEW, rubric=["stars", "models"]))
    with store.read() as tx:
        found = subscriptions.of_address(tx, person.email)
    assert {(one.rubric, one.name, one.timezone) for one in found} == {
        ("stars", "Ada", "Asia/Tokyo"), ("models", "Ada", "Asia/Tokyo"),
    }  # fmt: skip
    again = ada.fill(ada.get(NEW), NEW, rubric="stars", email="ada@example.org", consent="x")
    assert again.status == 409
    assert "They are a reader with these values already." in again.words


def test_a_suppressed_address_is_not_added(store: Store, ada: Person):
    with store.begin() as tx:
        suppressions.suppress(tx, "gone@example.org", suppressions.Reason.BOUNCED, "x", NOW)
    refused = ada.fill(ada.get(NEW), NEW, rubric="stars", email="gone@example.org", consent="x")
    assert refused.status == 409
    assert "bounced or complained before" in refused.words
    assert recorded(store) == []


def test_two_clicks_add_one_reader_and_send_one_mail(
    store: Store, ada: Person, bo: Person, mailbox: Mailbox
):
    fields = {**form_fields(ada.get(NEW), NEW), "email": "new@example.org", "rubric": "stars"}
    theirs = {**form_fields(bo.get(NEW), NEW), "email": "new@example.org", "rubric": "stars"}
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: ada.post(NEW, fields), range(2)))
    assert [one.status for one in both] == [303, 303]
    assert both[0].headers["location"] == both[1].headers["location"]
    assert len(mailbox.mails) == 1
    assert "They are a reader with these values already." in bo.post(NEW, theirs).words
    assert len(recorded(store)) == 1


def test_a_mail_that_was_not_sent_is_told_and_can_be_sent_later(ada: Person, mailbox: Mailbox):
    mailbox.fault = SendError(SendFailure.UNSENT, "550 relay access denied")
    page = ada.shown(ada.fill(ada.get(NEW), NEW, rubric="stars", email="new@example.org"))
    assert "No confirmation mail was sent: 550 relay access denied" in page.words
    mailbox.fault = None
    page = ada.shown(ada.fill(page, f"{page_path(page)}/invite"))
    assert "Done: send confirmation mail. The confirmation mail was sent." in page.words
    assert len(mailbox.mails) == 1


def test_undo_of_an_added_reader_stops_at_the_first_mail(store: Store, ada: Person):
    issue(store, STARS, THURSDAY, [paper("1"), paper("2")])
    wished = {"email": "new@example.org", "consent": "by phone"}
    page = ada.shown(ada.fill(ada.get(NEW), NEW, rubric="stars", **wished))
    with store.begin() as tx:
        person = subscriptions.find(tx, "new@example.org")
        assert person
        digest_id = next(each.id for each in digests.summaries(tx, 1, "stars"))
        tx.execute(
            insert(delivery).values(operator_data.row(digest_id, person, DeliveryState.PENDING))
        )
    refused = ada.undo(page)
    assert refused.status == 409
    assert "mailed already" in refused.words
    assert stored(store, person).state is ACTIVE


def test_5000_readers_are_listed_quickly(store: Store, ada: Person):
    rows = [
        SubscriberRow(0, f"r{number:04}@example.org", ("stars", "models")[number % 2])
        for number in range(5000)
    ]
    with store.begin() as tx:
        subscriber_import.save_all(tx, rows, "asked", NOW)
    page = ada.get(READERS)
    for fields in ({}, {"text": "99@"}, {"state": "paused", "rubric": "stars"}, {"page": "99"}):
        ada.fill(page, READERS, **fields)
        # The quickest of some: a busy machine makes the others dearer.
        assert min(seconds_to_list(ada, page, fields) for _ in range(5)) < 0.4


def seconds_to_list(person: Person, page: Page, fields: dict[str, str]) -> float:
    begin = process_time()
    assert person.fill(page, READERS, **fields).status == 200
    return process_time() - begin


def test_the_next_run_says_how_many_get_what_at_which_hour(store: Store, ada: Person, clock: Clock):
    clock.at = NOW - timedelta(days=3)
    early = reader(store, email="early@example.org", timezone="Asia/Tokyo", send_at=time(18))
    for number in range(3):
        reader(store, email=f"r{number}@example.org")
    weekly = reader(store, email="weekly@example.org", rubric="models", days=WEEKLY)
    with store.begin() as tx:
        long_ago = NOW - timedelta(days=40)
        for table in (subscriber, subscription):
            tx.execute(update(table).values(state_at=long_ago))
    issue(store, STARS, THURSDAY, [paper("1"), paper("2")])
    clock.at = NOW
    page = ada.get("/operator/next-run")
    assert "that of Friday, 26 September 2025" in page.words
    rows = [" ".join(row.get_text(" ").split()) for row in page.soup.select("tbody tr")]
    assert rows == [
        "Models 1 not made yet",
        "Stars 4 made: normal, 1 paper",
        "07:00 3 Stars 25 Sep 2025",
        "09:00 1 Stars 25 Sep 2025",
        "07:00 1 Models 26 Sep 2025 , the week not made yet",
    ]
    words = ada.get(page_of(early)).words
    assert "Stars: from Thursday, 25 Sep 2025, 18:00 (Asia/Tokyo)" in words
    assert "with the announcement of 25 Sep 2025" in words
    assert "the digest is not made yet" in ada.get(page_of(weekly)).words
    ada.shown(ada.fill(ada.get(page_of(early)), f"{page_of(early)}/pause"))
    assert "Next mails" not in ada.get(page_of(early)).words
    assert "09:00" not in ada.get("/operator/next-run").words
    assert ada.web.get("/operator/next-run").status == 403
