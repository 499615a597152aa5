"""The door of the Event Webhook, over real HTTP; its rules are proved in test_webhooks.py."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from newsletter.store import suppressions
from newsletter.store.suppressions import Reason
from newsletter.web.app import create_app
from tests.fakes.browser import served
from tests.fakes.pages import NOW, desk, reader

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
    work = desk(store)
    settings = work.settings.model_copy(update={"sendgrid_event_key": PUBLIC})
    with served(create_app(replace(work, settings=settings))) as browser:
        yield browser


def reason(store, person):
    with store.read() as tx:
        return suppressions.reason_for(tx, person.email)


def test_a_signed_complaint_is_believed(web, store):
    person = reader(store)
    body = complaint(person.email)
    page = web.ask("POST", PATH, body, signed(body))
    assert (page.status, page.body) == (200, b"")
    assert reason(store, person) == Reason.COMPLAINED


def test_a_forged_one_is_not(web, store):
    person = reader(store)
    body = complaint(person.email)
    assert web.ask("POST", PATH, body + b" ", signed(body)).status == 403
    assert web.ask("POST", PATH, body, {}).status == 403
    assert reason(store, person) is None


def test_without_its_key_the_door_is_shut(store):
    with served(create_app(desk(store))) as shut:
        assert shut.ask("POST", PATH, b"[]", signed(b"[]")).status == 404


def test_a_body_beyond_measure_and_a_get_are_refused(web):
    body = b"[" + b" " * (10 * 2**20) + b"]"
    assert web.ask("POST", PATH, body, signed(body)).status == 413
    assert web.get(PATH).status == 405
