"""Acceptance cases of pages and webhooks: what scanners, providers and others send by HTTP."""

from __future__ import annotations

import http.client
import json
import time
from email.message import EmailMessage
from email.policy import default
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import func, select, text

from newsletter.domain.mail import SubscriberState, Subscription
from newsletter.store import Store, subscriptions
from newsletter.store.tables import event, inbound, metadata
from newsletter.web.app import create_app
from newsletter.web.rate_limit import MAX_SIGNUPS
from tests.fakes.browser import Browser, served
from tests.fakes.pages import LINKS, NOW, Mailbox, make_site, reader, stored
from tests.fakes.waiting import wait_until
from tests.fakes.webhook import Signer
from tests.suite_size import LARGE

SIGNER = Signer()
SECRET = "a-secret-of-twenty-letters"
EVENTS, INBOUND = "/hooks/sendgrid/events", f"/hooks/sendgrid/inbound/{SECRET}"
SIGN_UPS = 500 if LARGE else 2 * MAX_SIGNUPS
FORM = {"Content-Type": "multipart/form-data; boundary=xYzZY"}


@pytest.fixture
def mailbox():
    return Mailbox()


def hooked(store: Store, mailbox: Mailbox):
    """A site with both webhooks enabled."""
    keys = {"sendgrid_event_key": SIGNER.public, "inbound_secret": SecretStr(SECRET)}
    return make_site(store, mailbox, **keys)


@pytest.fixture
def web(store, mailbox):
    with served(create_app(hooked(store, mailbox))) as browser:
        yield browser


def posted(fields: dict[str, bytes]) -> bytes:
    head = b'--xYzZY\r\nContent-Disposition: form-data; name="%s"\r\n\r\n'
    lines = [head % name.encode() + value + b"\r\n" for name, value in fields.items()]
    return b"".join(lines) + b"--xYzZY--\r\n"


def reply(person, said: str = "unsubscribe", **more: bytes) -> bytes:
    """What Inbound Parse posts when that reader replies."""
    to = LINKS.reply_address(person.id)
    mail = EmailMessage(policy=default.clone(linesep="\r\n"))
    mail["From"], mail["To"], mail["Message-ID"] = person.email, to, f"<{person.id}@x.example>"
    mail.set_content(said)
    envelope = json.dumps({"to": [to], "from": person.email}).encode()
    return posted({"envelope": envelope, "email": mail.as_bytes(), **more})


def in_the_end(found, expected) -> bool:
    """Whether it becomes so: mail is worked off after the answer."""
    return wait_until(lambda: found() == expected)


def count(store: Store, table) -> int:
    with store.read() as tx:
        return tx.scalar(select(func.count()).select_from(table))


def test_14_the_same_post_three_times_is_one_action_and_one_answer(
    web: Browser, store: Store, mailbox: Mailbox
):
    person = reader(store)
    for _ in range(3):
        assert web.ask("POST", INBOUND, reply(person), FORM).status == 200
    assert in_the_end(lambda: len(mailbox.mails), 1)
    time.sleep(0.2)
    assert (len(mailbox.mails), count(store, inbound)) == (1, 1)
    assert stored(store, person).state == SubscriberState.UNSUBSCRIBED


@pytest.mark.parametrize("size", [600_000, 1_200_000])
def test_14_a_field_beyond_a_frameworks_limit_is_taken(web: Browser, store: Store, size: int):
    person = reader(store)
    body = reply(person, spam_report=b"x" * size)
    assert web.ask("POST", INBOUND, body, FORM).status == 200
    assert in_the_end(lambda: stored(store, person).state, SubscriberState.UNSUBSCRIBED)


def test_14_a_slash_at_the_end_never_redirects(web: Browser, store: Store):
    for number, slash in enumerate(("", "/")):
        person = reader(store, email=f"r{number}@example.org")
        assert web.ask("POST", INBOUND + slash, reply(person), FORM).status == 200
        stamp = str(int(NOW.timestamp()))
        signed = {
            "X-Twilio-Email-Event-Webhook-Signature": SIGNER.sign(b"[]", stamp),
            "X-Twilio-Email-Event-Webhook-Timestamp": stamp,
        }
        assert web.ask("POST", EVENTS + slash, b"[]", signed).status == 200
        assert web.ask("POST", EVENTS + slash, b"[]", {}).status == 403


@pytest.mark.parametrize("body", ["urlencoded", "multipart"])
def test_14_a_slash_at_the_end_of_a_leave_link_does_not_redirect(
    web: Browser, store: Store, body: str
):
    person = reader(store)
    raw = b"List-Unsubscribe=One-Click"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    if body == "multipart":
        raw, kind = posted({"List-Unsubscribe": b"One-Click"}), FORM
    path = LINKS.unsubscribe_url(person.id).removeprefix(LINKS.public_url) + "/"
    assert web.ask("POST", path, raw, kind).status == 200
    assert stored(store, person).state == SubscriberState.UNSUBSCRIBED


def hide_tables(store: Store) -> None:
    """What the doors write to is gone, as in a database that is broken or being restored."""
    with store.begin() as tx:
        for table in (event, inbound):
            tx.execute(text(f"ALTER TABLE {table.name} RENAME TO hidden_{table.name}"))


def show_tables(store: Store) -> None:
    with store.begin() as tx:
        for table in (event, inbound):
            tx.execute(text(f"ALTER TABLE hidden_{table.name} RENAME TO {table.name}"))


def test_14_without_its_database_a_webhook_answers_503(web: Browser, store: Store):
    person = reader(store)
    raw = json.dumps(
        [{"event": "spamreport", "email": person.email, "timestamp": int(NOW.timestamp())}]
    ).encode()
    hide_tables(store)
    try:
        assert web.ask("POST", INBOUND, reply(person), FORM).status == 503
        assert web.ask("POST", EVENTS, raw, signature(raw)).status == 503
        assert stored(store, person).state == SubscriberState.ACTIVE
    finally:
        show_tables(store)
    assert web.ask("POST", INBOUND, reply(person), FORM).status == 200
    assert in_the_end(lambda: stored(store, person).state, SubscriberState.UNSUBSCRIBED)


def signature(raw: bytes) -> dict[str, str]:
    stamp = str(int(NOW.timestamp()))
    return {
        "X-Twilio-Email-Event-Webhook-Signature": SIGNER.sign(raw, stamp),
        "X-Twilio-Email-Event-Webhook-Timestamp": stamp,
    }


@pytest.mark.parametrize(
    "poison",
    [
        b"\x00\xff" * 500,
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n" * 20_000,
        b"Content-Type: text/plain; charset=no-such-charset\r\n\r\n\xff\xfe",
        b"From: " + b"<" * 50_000 + b"\r\n\r\nunsubscribe",
        b"Subject: =?utf-8?B?////?=\r\nContent-Transfer-Encoding: base64\r\n\r\n%%%",
    ],
    ids=["nul", "parts", "charset", "brackets", "base64"],
)
def test_14_a_mail_that_cannot_be_processed_is_stored_and_stops_no_other(
    web: Browser, store: Store, poison: bytes
):
    person = reader(store)
    to = LINKS.reply_address(person.id)
    envelope = json.dumps({"to": [to], "from": "x@y.example"}).encode()
    body = posted({"envelope": envelope, "email": poison})
    assert web.ask("POST", INBOUND, body, FORM).status == 200
    assert web.ask("POST", INBOUND, reply(person), FORM).status == 200
    assert in_the_end(lambda: stored(store, person).state, SubscriberState.UNSUBSCRIBED)


def test_19_all_sign_ups_of_one_victim_are_one_mail(web: Browser, store: Store, mailbox: Mailbox):
    for number in range(SIGN_UPS):
        spelling = ("victim@example.org", "Victim@EXAMPLE.org")[number % 2]
        page = web.post(
            "/subscribe",
            {"email": spelling, "rubric": "stars"},
            **{"X-Forwarded-For": f"198.51.100.{number % 250}"},
        )
        assert page.status == 200
    assert in_the_end(lambda: len(mailbox.mails) >= 1, expected=True)
    time.sleep(0.2)
    assert len(mailbox.mails) == 1
    with store.read() as tx:
        assert len(list(subscriptions.all_subscriptions(tx))) == 1


def test_19_all_sign_ups_of_one_caller_are_fifty_mails(
    web: Browser, store: Store, mailbox: Mailbox
):
    pages = set()
    for number in range(SIGN_UPS):
        email = f"victim{number}@example.org"
        page = web.post("/subscribe", {"email": email, "rubric": "stars"})
        pages.add((page.status, page.text.replace(email, "")))
    # Each says what holds, and says the same whatever the address.
    assert sorted(status for status, _ in pages) == [200, 429]
    assert in_the_end(lambda: len(mailbox.mails), MAX_SIGNUPS)
    time.sleep(0.2)
    assert len(mailbox.mails) == MAX_SIGNUPS
    with store.read() as tx:
        assert len(list(subscriptions.all_subscriptions(tx))) == MAX_SIGNUPS


def test_19_another_caller_is_not_shut_out_by_one_who_asks_too_often(
    web: Browser, mailbox: Mailbox
):
    for number in range(MAX_SIGNUPS + 5):
        sign_up(web, f"victim{number}@example.org", source="127.0.0.3")
    assert in_the_end(lambda: len(mailbox.mails), MAX_SIGNUPS)
    sign_up(web, "ada@example.org", source="127.0.0.4")
    assert in_the_end(lambda: len(mailbox.mails), MAX_SIGNUPS + 1)


def test_19_who_is_no_proxy_cannot_say_who_calls(web: Browser, mailbox: Mailbox):
    for number in range(MAX_SIGNUPS + 20):
        said = {"X-Forwarded-For": f"198.51.100.{number}"}
        sign_up(web, f"victim{number}@example.org", source="127.0.0.3", **said)
    assert in_the_end(lambda: len(mailbox.mails), MAX_SIGNUPS)
    time.sleep(0.2)
    assert len(mailbox.mails) == MAX_SIGNUPS


def sign_up(web: Browser, email: str, source: str, **headers: str) -> None:
    """From another address of this machine, of which uvicorn trusts only the first as a proxy."""
    connection = http.client.HTTPConnection("127.0.0.1", web.port, 20, source_address=(source, 0))
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode({"email": email, "rubric": "stars"})
    connection.request("POST", "/subscribe", body, {**kind, **headers})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status in {200, 429}


def test_19_the_mail_to_confirm_holds_nothing_a_stranger_typed(web: Browser, mailbox: Mailbox):
    fields = {"email": "ada@example.org", "rubric": "stars"}
    typed = {"name": "BUY PILLS http://pills.example", "subject": "PILLS", "text": "PILLS"}
    assert web.post("/subscribe", {**fields, **typed}).status == 200
    assert in_the_end(lambda: len(mailbox.mails), 1)
    [mail] = mailbox.mails
    assert "PILLS" not in repr(mail).upper()
    assert (mail.to_email, mail.to_name) == ("ada@example.org", "")


def everything(store: Store) -> dict[str, list[object]]:
    """All rows of all tables."""
    with store.read() as tx:
        return {
            table.name: [tuple(row) for row in tx.execute(select(table))]
            for table in metadata.sorted_tables
        }


header = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=120)
about_ada = st.fixed_dictionaries(
    {
        "event": st.sampled_from(
            ["processed", "delivered", "bounce", "dropped", "spamreport", "unsubscribe", "x"]
        ),
        "email": st.sampled_from(["ada@example.org", "", "no@example.org"]),
        "timestamp": st.one_of(st.just(int(NOW.timestamp())), st.integers(), st.none()),
    },
    optional={
        "type": st.sampled_from(["bounce", "blocked"]),
        "status": st.sampled_from(["5.1.1", "5.7.1", ""]),
        "sg_message_id": st.text(max_size=20),
        "delivery_id": st.one_of(st.text(max_size=40), st.integers(), st.none()),
        "reason": st.text(max_size=40),
    },
)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=8,
)


def as_json(found: object) -> bytes:
    return json.dumps(found).encode()


batch = st.one_of(
    st.lists(st.one_of(about_ada, anything), max_size=5).map(
        lambda found: json.dumps(found).encode()
    ),
    anything.map(lambda found: json.dumps(found).encode()),
    st.binary(max_size=300),
)
FUZZ = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(raw=batch, forged=header, stamp=header, alter=st.integers(0, 3))
def test_11_no_event_without_a_valid_signature_changes_anything(
    web: Browser, store: Store, raw: bytes, forged: str, stamp: str, alter: int
):
    if not count(store, metadata.tables["subscriber"]):
        reader(store)
    right = signature(raw)
    names = list(right)
    sent = [
        (raw, {names[0]: forged, names[1]: stamp}),
        (raw, {**right, names[0]: forged}),
        (raw + b"\n", right),
        (raw, {names[0]: right[names[0]]}),
    ][alter]
    before = everything(store)
    assert web.ask("POST", EVENTS, *sent).status == 403
    assert everything(store) == before


@FUZZ
@given(raw=batch)
def test_11_no_signed_batch_breaks_the_event_webhook(web: Browser, raw: bytes):
    assert web.ask("POST", EVENTS, raw, signature(raw)).status == 200


kind = st.one_of(st.just(FORM["Content-Type"]), header)
fields = st.dictionaries(
    st.sampled_from(["envelope", "email", "dkim", "SPF", "to", "x"]), st.binary(max_size=200)
)


@FUZZ
@given(body=st.one_of(fields.map(posted), st.binary(max_size=300)), kind=kind)
def test_14_nothing_posted_as_mail_breaks_inbound_parse(web: Browser, body: bytes, kind: str):
    page = web.ask("POST", INBOUND, body, {"Content-Type": kind})
    assert page.status == 200


@pytest.fixture
def person(store: Store) -> Subscription:
    return reader(store)


@FUZZ
@given(secret=st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1), kind=kind)
def test_14_no_mail_without_the_secret_changes_anything(
    web: Browser, store: Store, person: Subscription, secret: str, kind: str
):
    before = everything(store)
    page = web.ask(
        "POST", f"/hooks/sendgrid/inbound/{secret}", reply(person), {"Content-Type": kind}
    )
    assert page.status == 503
    assert everything(store) == before
