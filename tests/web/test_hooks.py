"""SendGrid's webhooks over HTTP. Their rules are tested in tests/inbound/."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr

from newsletter.domain.mail import SubscriberState
from newsletter.store import suppressions
from newsletter.store.suppressions import Reason
from newsletter.web.app import create_app
from tests.fakes.browser import served
from tests.fakes.pages import LINKS, NOW, make_site, reader, stored
from tests.fakes.waiting import wait_until

PATH = "/hooks/sendgrid/events"
KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = base64.b64encode(
    KEY.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
).decode()


def signed(body, at=NOW):
    stamp = str(int(at.timestamp()))
    signature = KEY.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    return {
        "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
        "X-Twilio-Email-Event-Webhook-Timestamp": stamp,
        "Content-Type": "application/json",
    }


def complaint(email):
    event = {"event": "spamreport", "email": email, "timestamp": int(NOW.timestamp())}
    return json.dumps([event]).encode()


@pytest.fixture
def web(store):
    with served(create_app(make_site(store, sendgrid_event_key=PUBLIC))) as browser:
        yield browser


def reason(store, person):
    with store.read() as tx:
        return suppressions.reason_for(tx, person.email)


def test_a_signed_complaint_is_applied(web, store):
    person = reader(store)
    body = complaint(person.email)
    page = web.ask("POST", PATH, body, signed(body))
    assert (page.status, page.body) == (200, b"")
    assert reason(store, person) == Reason.COMPLAINED


def test_11_a_forged_signature_is_refused(web, store):
    person = reader(store)
    body = complaint(person.email)
    assert web.ask("POST", PATH, body + b" ", signed(body)).status == 403
    assert web.ask("POST", PATH, body, {}).status == 403
    assert reason(store, person) is None


def test_without_key_the_event_webhook_is_off(store):
    with served(create_app(make_site(store))) as shut:
        assert shut.ask("POST", PATH, b"[]", signed(b"[]")).status == 404


def test_a_large_body_and_a_get_are_refused(web):
    body = b"[" + b" " * (10 * 2**20) + b"]"
    assert web.ask("POST", PATH, body, signed(body)).status == 413
    assert web.get(PATH).status == 405


SECRET = "a secret of twenty letters"
INBOUND = f"/hooks/sendgrid/inbound/{SECRET.replace(' ', '%20')}"


@pytest.fixture
def web_with_inbound(store):
    """A browser of the application with an inbound secret."""
    with served(create_app(make_site(store, inbound_secret=SecretStr(SECRET)))) as browser:
        yield browser


def parse_post(mail, to):
    """A post of Inbound Parse with `send_raw`, and its content type."""
    envelope = json.dumps({"to": [to], "from": "ada@example.org"}).encode()
    parts = {"envelope": envelope, "email": mail, "dkim": b"none", "SPF": b"none"}
    head = b'--xYzZY\r\nContent-Disposition: form-data; name="%s"\r\n\r\n'
    lines = [head % name.encode() + text + b"\r\n" for name, text in parts.items()]
    return b"".join(lines) + b"--xYzZY--\r\n", "multipart/form-data; boundary=xYzZY"


def reply(to, words="unsubscribe", rest=b""):
    head = (
        f"From: ada@example.org\r\nTo: {to}\r\nSubject: Re: digest\r\nMessage-ID: <1@x.org>\r\n\r\n"
    )
    return head.encode() + words.encode() + b"\r\n" + rest


def becomes_state(store, person, state):
    """Whether the reader's state becomes that one: the mail is worked off after the answer."""
    return wait_until(lambda: stored(store, person).state == state)


def test_a_reply_unsubscribes(web_with_inbound, store):
    browser = web_with_inbound
    person = reader(store)
    to = LINKS.reply_address(person.id)
    body, kind = parse_post(reply(to), to)
    page = browser.ask("POST", INBOUND, body, {"Content-Type": kind})
    assert (page.status, page.body) == (200, b"")
    assert becomes_state(store, person, SubscriberState.UNSUBSCRIBED)
    assert reason(store, person) == Reason.UNSUBSCRIBED


def test_14_an_email_of_30_megabytes_is_accepted(web_with_inbound, store):
    browser = web_with_inbound
    person = reader(store)
    to = LINKS.unsub_address(person.id)
    body, kind = parse_post(reply(to, rest=b"x" * 76 + b"\r\n" * 15 * 2**20), to)
    assert len(body) > 30 * 10**6
    assert browser.ask("POST", INBOUND, body, {"Content-Type": kind}).status == 200
    assert becomes_state(store, person, SubscriberState.UNSUBSCRIBED)


def test_14_a_wrong_secret_is_answered_503_so_that_sendgrid_retries(web_with_inbound, store):
    browser = web_with_inbound
    person = reader(store)
    to = LINKS.reply_address(person.id)
    body, kind = parse_post(reply(to), to)
    wrong = INBOUND.replace("twenty", "eighty")
    assert browser.ask("POST", wrong, body, {"Content-Type": kind}).status == 503
    with served(create_app(make_site(store))) as shut:
        assert shut.ask("POST", INBOUND, body, {"Content-Type": kind}).status == 503
    browser.wait_for_background()
    assert stored(store, person).state == SubscriberState.ACTIVE


def test_14_with_a_key_inbound_mail_must_be_signed(store):
    site = make_site(store, inbound_secret=SecretStr(SECRET), sendgrid_inbound_key=PUBLIC)
    person = reader(store)
    to = LINKS.reply_address(person.id)
    body, kind = parse_post(reply(to), to)
    with served(create_app(site)) as browser:
        assert browser.ask("POST", INBOUND, body, {"Content-Type": kind}).status == 503
        headers = {**signed(body), "Content-Type": kind}
        assert browser.ask("POST", INBOUND, body, headers).status == 200
        assert becomes_state(store, person, SubscriberState.UNSUBSCRIBED)


def test_a_post_without_email_is_accepted_and_dropped(web_with_inbound):
    browser = web_with_inbound
    for body, kind in ((b"", ""), (b"x" * 99, "multipart/form-data"), (b"a=1", "text/plain")):
        assert browser.ask("POST", INBOUND, body, {"Content-Type": kind}).status == 200
