"""The review page: each decision, its log, its undo; double clicks, stale forms, two operators."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, select, update

from newsletter.domain.mail import DeliveryState, SubscriberState, Subscription
from newsletter.errors import OperatorError
from newsletter.operations import review
from newsletter.store import Store, claims, subscribers, suppressions
from newsletter.store.operator import actions
from newsletter.store.operator.actions import ActionKind
from newsletter.store.reports import operator_views
from newsletter.store.tables import delivery, mail_group
from tests.fakes import operator_data
from tests.fakes.browser import Page, served
from tests.fakes.chromium import AXE, FOUND, Tab, chromium
from tests.fakes.pages import NOW, Clock, reader, stored
from tests.web.test_operator import (
    HEADER,
    PASSWORD,
    Operator,
    cookie,
    hidden_fields,
    log_in,
    operator_app,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from newsletter.store.operator.actions import OperatorAction

REVIEW, REPLIES, MAILS = "/operator/review", "/operator/replies", "/operator/deliveries"
ACTIVE, GONE = SubscriberState.ACTIVE, SubscriberState.UNSUBSCRIBED


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def operator(store: Store, clock: Clock) -> Iterator[Operator]:
    operator_data.month(store, 3)
    with served(operator_app(store, clock, operator_password=PASSWORD)) as web:
        yield Operator(web)


def leaving(store: Store) -> tuple[Subscription, str]:
    """A reader, and the id of their reply that may ask to leave."""
    person = reader(store, email=operator_data.LEAVING)
    return person, operator_data.reply(store, person)


def press(operator: Operator, path: str, key: str, action: str) -> Page:
    return operator.press(path, REVIEW, id=key, action=action)


def shown(operator: Operator, answer: Page) -> Page:
    """The page that an answer redirects to."""
    assert answer.status == 303, answer.words
    return operator.get(answer.headers["location"])


def undo(operator: Operator, page: Page) -> Page:
    fields = hidden_fields(page, "/operator/log/undo")
    return operator.web.post("/operator/log/undo", fields, **operator.headers)


def recorded(store: Store) -> list[OperatorAction]:
    with store.read() as tx:
        return actions.newest(tx, 99)


def mail_state(store: Store, key: str) -> str | None:
    with store.read() as tx:
        return tx.scalar(select(delivery.c.state).where(delivery.c.id == key))


def test_the_page_shows_what_was_written_without_addresses(operator: Operator, store: Store):
    _, known = leaving(store)
    long = operator_data.reply(store, None, "word " * 1000)
    operator_data.doubt(store, reader(store, email="d@example.org"))
    page = operator.get(REVIEW)
    assert "&lt;b&gt;Thanks" in page.text
    assert "about “Stars”" in page.words
    assert "first 2,000 characters" in page.words
    for shortened in ("l…@example.org", "w…@example.com", "b…@example.net", "d…@example.org"):
        assert shortened in page.words
    for address in (operator_data.LEAVING, operator_data.LETTER, "bo@example.net", "d@example.org"):
        assert address not in page.text
    buttons = {
        hidden["value"]: len(form.find_all("button"))
        for form in page.soup.find_all("form", action=REPLIES)
        if (hidden := form.find("input", attrs={"name": "id"}))
    }
    assert buttons == {known: 2, long: 1}
    overview = operator.get()
    assert "2 replies" in overview.words
    assert "1 mail whose outcome is unknown" in overview.words


def test_a_closed_reply_changes_nothing_else_and_can_be_opened_again(
    operator: Operator, store: Store
):
    person, key = leaving(store)
    page = shown(operator, press(operator, REPLIES, key, "done"))
    assert "The reply is closed. Nothing else was changed." in page.words
    assert page.soup.find("form", action=REPLIES) is None
    assert stored(store, person).state is ACTIVE
    assert [(one.kind, one.subject) for one in recorded(store)] == [(ActionKind.ANSWER_REPLY, key)]
    back = shown(operator, undo(operator, page))
    assert "This was undone." in back.words
    assert hidden_fields(back, REPLIES, key)["id"] == key


def test_a_sender_is_unsubscribed_and_brought_back_by_undo(
    operator: Operator, store: Store, clock: Clock
):
    person, key = leaving(store)
    page = shown(operator, press(operator, REPLIES, key, "unsubscribe"))
    assert "The sender is unsubscribed from “Stars”" in page.words
    assert stored(store, person).state is GONE
    [action] = recorded(store)
    assert action.subscriber_id == person.subscriber_id
    undo(operator, page)
    assert stored(store, person).state is ACTIVE
    with store.read() as tx:
        assert suppressions.reason_for(tx, person.email) is None
        assert operator_views.count_replies(tx) == 1
    clock.at += timedelta(minutes=1)
    assert "undone before" in undo(operator, page).words
    assert "It was undone by" in operator.get(f"{REVIEW}?done={action.id}").words


def test_an_unsubscribe_is_not_undone_after_a_month_or_another_change(
    operator: Operator, store: Store, clock: Clock
):
    person, key = leaving(store)
    page = shown(operator, press(operator, REPLIES, key, "unsubscribe"))
    clock.at = NOW + timedelta(days=31)
    renewed = Operator(operator.web)
    refused = undo(renewed, renewed.get(f"{REVIEW}?done={recorded(store)[0].id}"))
    assert refused.status == 409
    assert "for 30 days" in refused.words
    assert stored(store, person).state is GONE
    assert recorded(store)[0].undone_at is None
    clock.at = NOW
    with store.begin() as tx:
        subscribers.erase(tx, person.subscriber_id, NOW)
    assert undo(operator, page).status == 409


def test_unknown_mails_are_resolved_and_made_unknown_again(operator: Operator, store: Store):
    keys = [operator_data.doubt(store, reader(store, email=f"d{n}@example.org")) for n in (1, 2)]
    for key, action, state, said in zip(
        keys,
        ("sent", "resend"),
        (DeliveryState.ACCEPTED, DeliveryState.PENDING),
        ("marked as sent", "queued again for the next run"),
        strict=True,
    ):
        page = shown(operator, press(operator, MAILS, key, action))
        assert f"The mail is {said}." in page.words
        assert mail_state(store, key) == state
        undo(operator, page)
        assert mail_state(store, key) == DeliveryState.UNKNOWN
        assert hidden_fields(operator.get(REVIEW), MAILS, key)["id"] == key
    with store.read() as tx:
        assert {one.reason for one in claims.unknown_deliveries(tx)} == {
            "no whole answer for reader5@example.org"
        }


def test_a_mail_that_was_claimed_since_is_not_made_unknown_again(operator: Operator, store: Store):
    key = operator_data.doubt(store, reader(store, email="d@example.org"))
    page = shown(operator, press(operator, MAILS, key, "resend"))
    with store.begin() as tx:
        taken = {"state": DeliveryState.SENDING.value, "changed_at": NOW + timedelta(minutes=1)}
        tx.execute(update(delivery).where(delivery.c.id == key).values(taken))
    refused = undo(operator, page)
    assert refused.status == 409
    assert "changed this after" in refused.words
    assert mail_state(store, key) == DeliveryState.SENDING


def test_a_claim_between_reading_and_undoing_wins(operator: Operator, store: Store):
    key = operator_data.doubt(store, reader(store, email="d@example.org"))
    press(operator, MAILS, key, "resend")
    [action] = recorded(store)
    with store.begin() as tx:
        taken = {"state": DeliveryState.SENDING.value, "changed_at": NOW + timedelta(minutes=1)}
        tx.execute(update(delivery).where(delivery.c.id == key).values(taken))
        with pytest.raises(OperatorError, match="is being sent"):
            review.reopen_mail(tx, action, NOW)
    assert mail_state(store, key) == DeliveryState.SENDING


def test_a_batch_is_one_entry_and_decided_as_a_whole(operator: Operator, store: Store):
    keys = [operator_data.doubt(store, reader(store, email=f"d{n}@example.org")) for n in (1, 2)]
    with store.begin() as tx:
        digest_id = tx.scalar(select(delivery.c.digest_id).where(delivery.c.id == keys[0]))
        values = {"id": "b" * 32, "digest_id": digest_id, "state": "unknown", "readers": 2}
        values |= {"rendering": "full", "lease_owner": "x", "lease_until": NOW}
        values |= {"reason": "no answer", "started_at": NOW, "changed_at": NOW}
        tx.execute(insert(mail_group).values(values))
        tx.execute(update(delivery).where(delivery.c.id.in_(keys)).values(group_id="b" * 32))
    page = operator.get(REVIEW)
    assert len(page.soup.find_all("form", action=MAILS)) == 1
    assert "2 readers in one request" in page.words
    done = shown(operator, press(operator, MAILS, "b" * 32, "sent"))
    assert "The batch is marked as sent." in done.words
    assert done.soup.find("form", action="/operator/log/undo") is None
    assert {mail_state(store, key) for key in keys} == {DeliveryState.ACCEPTED}
    assert recorded(store)[0].kind is ActionKind.RESOLVE_BATCH


@pytest.mark.parametrize(("path", "action"), [(REPLIES, "unsubscribe"), (MAILS, "resend")])
def test_a_double_click_decides_once_and_a_stale_form_nothing(
    operator: Operator, store: Store, path: str, action: str
):
    person, reply = leaving(store)
    mail = operator_data.doubt(store, person)
    key = reply if path == REPLIES else mail
    mine = hidden_fields(operator.get(REVIEW), path, key) | {"action": action}
    other = Operator(operator.web)
    theirs = hidden_fields(other.get(REVIEW), path, key) | {
        "action": "done" if path == REPLIES else "sent"
    }
    answers = [operator.web.post(path, mine, **operator.headers) for _ in range(2)]
    assert [one.status for one in answers] == [303, 303]
    assert answers[0].headers["location"] == answers[1].headers["location"]
    late = other.web.post(path, theirs, **other.headers)
    assert late.status == 409
    assert "Someone changed this after you opened the form" in late.words
    assert "by password login" in late.words
    assert len(recorded(store)) == 1
    if path == REPLIES:
        assert stored(store, person).state is GONE
    else:
        assert mail_state(store, mail) == DeliveryState.PENDING


def test_of_two_operators_who_decide_at_once_one_is_told(operator: Operator, store: Store):
    _, key = leaving(store)
    other = Operator(operator.web)
    forms = [
        (one, hidden_fields(one.get(REVIEW), REPLIES, key) | {"action": action})
        for one, action in ((operator, "done"), (other, "unsubscribe"))
    ]
    with ThreadPoolExecutor(2) as pool:
        with store.begin() as tx:
            actions.lock(tx)
            both = [pool.submit(one.web.post, REPLIES, form, **one.headers) for one, form in forms]
            time.sleep(0.3)
            assert not any(one.done() for one in both)
        answers = [one.result().status for one in both]
    assert sorted(answers) == [303, 409]
    assert len(recorded(store)) == 1


def test_a_form_without_id_or_of_another_session_is_refused(operator: Operator, store: Store):
    _, key = leaving(store)
    fields = hidden_fields(operator.get(REVIEW), REPLIES, key) | {"action": "done"}
    post = operator.web.post
    assert post(REPLIES, fields | {"form": "x"}, **operator.headers).status == 400
    assert post(REPLIES, fields | {"token": "0" * 64}, **operator.headers).status == 403
    assert post(REPLIES, fields, Cookie=cookie(log_in(operator.web))).status == 403
    odd = fields | {"id": "nothing", "form": "1" * 32}
    assert post(REPLIES, odd, **operator.headers).status == 409
    assert recorded(store) == []


@pytest.mark.skipif(not FOUND, reason="there is no Chromium here")
def test_two_operators_decide_in_a_real_browser_without_scripts(tmp_path: Path):
    store = Store(f"sqlite:///{tmp_path / 'n.db'}")
    store.migrate()
    operator_data.month(store, 3)
    person, _ = leaving(store)
    mail = operator_data.doubt(store, reader(store, email=f"{'long' * 15}@example.org"))
    with (
        served(operator_app(store, operator_password=PASSWORD, operator_header=HEADER)) as web,
        chromium(tmp_path / "profile") as pipe,
    ):
        home = f"http://127.0.0.1:{web.port}"
        first, second = Tab(pipe), Tab(pipe)
        first.open(f"{home}/operator")
        first.type("#password", PASSWORD)
        first.press("main form button")
        found = []
        for width, scheme in ((320, "light"), (375, "dark"), (1280, "light"), (1280, "dark")):
            first.look(width, scheme)
            first.open(home + REVIEW)
            found += [(width, "too wide")] * (first.too_wide > 0)
            if AXE.is_file():
                found += [(width, scheme, each) for each in first.barriers()]
        assert not found
        for tab in (first, second):
            tab.forbid_scripts()
            tab.open(home + REVIEW)
        first.type("main input[name=token]", "0" * 64)
        first.press("button[value=unsubscribe]")
        assert "This form was opened in an earlier login" in first.words
        assert stored(store, person).state is ACTIVE
        first.open(home + REVIEW)
        first.press_twice("button[value=unsubscribe]")
        assert "The sender is unsubscribed from “Stars”" in first.words
        assert stored(store, person).state is GONE
        second.press("button[value=unsubscribe]")
        assert "Someone changed this after you opened the form" in second.words
        second.press("main a")
        first.press_twice(f"form[action='{MAILS}'] button[value=sent]")
        assert "The mail is marked as sent." in first.words
        assert mail_state(store, mail) == DeliveryState.ACCEPTED
        second.press(f"form[action='{MAILS}'] button[value=resend]")
        assert "Someone changed this" in second.words
        first.press("form[action='/operator/log/undo'] button")
        assert "This was undone." in first.words
        assert mail_state(store, mail) == DeliveryState.UNKNOWN
        assert len(recorded(store)) == 2
        refused = ("status of 409", "status of 403")
        told = [
            each for each in first.errors + second.errors if not any(r in each for r in refused)
        ]
        assert told == []
        assert first.hosts | second.hosts == {f"127.0.0.1:{web.port}"}
    store.close()
