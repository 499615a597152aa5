from __future__ import annotations

import json
import logging
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from newsletter.mailers import SendError, SendFailure
from newsletter.mailers.sendgrid.mailer import SendGridMailer, payload
from tests.fakes.loopback import free_port
from tests.fakes.mail import LINKS, email, reader, settings
from tests.fakes.sendgrid import FakeSendGrid, Fault, refusal
from tests.fakes.tls import Authority
from tests.fakes.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from newsletter.mailers import Mailer


@pytest.fixture
def fake() -> Iterator[FakeSendGrid]:
    with FakeSendGrid() as running:
        yield running


def mailer(url: str, timeout: float = 120.0) -> Mailer:
    given = settings(sendgrid_api_key="SG.secret-key", sendgrid_url=url)
    return SendGridMailer(given, timeout=timeout, clock=lambda: 1_000_000.0)


def refused(url: str, timeout: float = 120.0) -> SendError:
    with pytest.raises(SendError) as caught:
        mailer(url, timeout).send(email())
    return caught.value


def test_a_mail_arrives_as_one_request_with_everything_in_it(fake: FakeSendGrid):
    person = reader()
    made = email(person, "d" * 32)

    assert mailer(fake.url).send(made) == "fake-1"

    [(path, headers, request)] = fake.requests
    assert path == "/v3/mail/send"
    assert headers["Authorization"] == "Bearer SG.secret-key"
    assert headers["Content-Type"] == "application/json"
    to = {"email": person.email, "name": person.name}
    reader_of_it = {"to": [to], "custom_args": {"dg_delivery_id": "d" * 32}}
    assert request["personalizations"] == [reader_of_it]
    assert [part["type"] for part in request["content"]] == ["text/plain", "text/html"]
    assert request["reply_to"] == {"email": LINKS.reply_address(person.id)}
    assert request["headers"]["Message-ID"] == f"<{'d' * 32}@mail.example.org>"
    assert request["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert request["tracking_settings"] == {
        "click_tracking": {"enable": False, "enable_text": False},
        "open_tracking": {"enable": False},
        "subscription_tracking": {"enable": False},
    }
    assert "categories" not in request


def test_no_header_that_sendgrid_forbids_is_set():
    forbidden = {
        *("x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "to", "from"),
        *("content-transfer-encoding", "subject", "reply-to", "cc", "bcc"),
    }
    assert not forbidden & {name.lower() for name in payload(email())["headers"]}


def test_nothing_personal_is_in_the_trail():
    person = reader(name="Ann Example", email="ann@example.org")
    [to] = payload(email(person))["personalizations"]
    trail = json.dumps(to["custom_args"])
    assert "ann" not in trail.lower()
    assert person.id not in trail


def test_24_a_test_mail_leaves_no_trail():
    assert "custom_args" not in json.dumps(payload(email(test=True)))


@pytest.mark.parametrize(
    ("fault", "failure"),
    [
        (Fault(200, {}), SendFailure.HALT),
        (Fault(201), SendFailure.HALT),
        (Fault(204), SendFailure.HALT),
        (Fault(301, headers={"Location": "/x"}), SendFailure.HALT),
        (Fault(302, headers={"Location": "/x"}), SendFailure.HALT),
        (Fault(307, headers={"Location": "/x"}), SendFailure.HALT),
        (refusal(400, "no", "personalizations.0.to.0.email"), SendFailure.REFUSED),
        (refusal(400, "duplicate", "personalizations"), SendFailure.REFUSED),
        (refusal(400, "no", "personalizations.0.custom_args"), SendFailure.HALT),
        (refusal(400, "no", "from.email"), SendFailure.HALT),
        (refusal(400, "no", "content"), SendFailure.HALT),
        (refusal(400, "no", "asm"), SendFailure.HALT),
        (refusal(400, "no", None), SendFailure.HALT),
        (Fault(400, b"<html>"), SendFailure.HALT),
        (Fault(400, {"errors": "no"}), SendFailure.HALT),
        (Fault(400, {"errors": []}), SendFailure.HALT),
        (Fault(400, []), SendFailure.HALT),
        (refusal(401, "Maximum credits exceeded"), SendFailure.HALT),
        (refusal(403, "from address", "from"), SendFailure.HALT),
        (Fault(404), SendFailure.HALT),
        (Fault(405), SendFailure.HALT),
        (Fault(408), SendFailure.UNKNOWN),
        (Fault(413), SendFailure.HALT),
        (Fault(415), SendFailure.HALT),
        (Fault(422), SendFailure.HALT),
        (refusal(429, "too many"), SendFailure.THROTTLED),
        (Fault(500), SendFailure.UNKNOWN),
        (Fault(502, b"bad gateway"), SendFailure.UNKNOWN),
        (Fault(503), SendFailure.UNKNOWN),
        (Fault(504), SendFailure.UNKNOWN),
        (Fault(act="reset"), SendFailure.UNKNOWN),
        (Fault(act="garbage"), SendFailure.UNKNOWN),
        (Fault(act="truncate"), SendFailure.UNKNOWN),
        (Fault(act="stall"), SendFailure.UNKNOWN),
    ],
    ids=lambda value: value.act or str(value.status) if isinstance(value, Fault) else str(value),
)
def test_every_answer_has_its_failure(fake: FakeSendGrid, fault: Fault, failure: SendFailure):
    fake.faults.append(fault)

    error = refused(fake.url, timeout=0.4 if fault.act == "stall" else 120.0)

    assert error.failure is failure
    assert wait_until(lambda: fake.requests)
    assert len(fake.requests) == 1
    assert "secret-key" not in str(error)
    assert "reader1" not in str(error)


def test_04_a_refused_connection_and_an_unknown_name_are_provably_unsent():
    assert refused(f"http://127.0.0.1:{free_port()}").failure is SendFailure.UNSENT


def test_04_a_tls_failure_is_provably_unsent(fake: FakeSendGrid):
    assert refused(fake.url.replace("http:", "https:")).failure is SendFailure.UNSENT
    assert fake.requests == []


def test_04_a_reset_while_the_request_is_being_written_is_provably_unsent():
    server = socket.create_server(("127.0.0.1", 0))

    def slam() -> None:
        connection, _ = server.accept()
        connection.recv(1000)
        connection.close()

    thread = threading.Thread(target=slam)
    thread.start()
    with pytest.raises(SendError) as caught:
        mailer(f"http://127.0.0.1:{server.getsockname()[1]}").send(email(html="x" * 20_000_000))
    thread.join()
    server.close()
    assert caught.value.failure is SendFailure.UNSENT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "7"}, 7.0),
        ({"Retry_After": "Mon, 12 Jan 1970 13:47:00 GMT"}, 20.0),
        ({"Retry_After": "Mon, 12 Jan 1970 13:00:00 GMT"}, 0.0),
        ({"Retry_After": "soon", "X_RateLimit_Reset": "1000030"}, 30.0),
        ({"X_RateLimit_Reset": "1000030"}, 30.0),
        ({"X_RateLimit_Reset": "10"}, None),
        ({"X_RateLimit_Reset": "-1"}, None),
        ({"X_RateLimit_Reset": "²"}, None),
        ({}, None),
    ],
)
def test_05_the_wait_asked_for_is_read_in_every_form(
    fake: FakeSendGrid, headers: dict[str, str], seconds: float | None
):
    fake.faults.append(refusal(429, "too many", **headers))
    assert refused(fake.url).retry_after == seconds


def test_08_a_redirect_is_not_followed_and_the_key_stays_here(fake: FakeSendGrid):
    with FakeSendGrid() as elsewhere:
        for status in (301, 302, 303, 307, 308):
            fake.faults.append(Fault(status, headers={"Location": f"{elsewhere.url}/v3"}))
            assert refused(fake.url).failure is SendFailure.HALT
        assert elsewhere.requests == []
    assert len(fake.requests) == 5


def test_08_key_and_addresses_are_in_no_log_even_at_debug(
    fake: FakeSendGrid, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    logging.getLogger().setLevel(logging.DEBUG)
    fake.faults.append(refusal(400, "no", "from"))

    refused(fake.url)
    sent = mailer(fake.url)
    sent.send(email())

    assert "secret-key" not in caplog.text
    assert "reader1" not in caplog.text
    assert "secret-key" not in repr(sent)


def test_over_tls_certificate_authorities_are_read_once_for_all_mails(
    fake: FakeSendGrid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    authority = Authority(tmp_path)
    fake.speak_tls(authority.server("127.0.0.1"))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    shared = mailer(fake.url)
    shared.send(email())

    authority.path.unlink()

    shared.send(email())
    assert len(fake.messages) == 2


def test_threads_share_one_mailer(fake: FakeSendGrid):
    shared = mailer(fake.url)
    threads = [threading.Thread(target=shared.send, args=(email(reader(n)),)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fake.addresses) == sorted(f"reader{n}@example.org" for n in range(16))
