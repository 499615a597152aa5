"""What every mailer promises, for each name in MAILERS: each has a line in MAILERS_UNDER_TEST."""

from __future__ import annotations

import pkgutil
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from newsletter.mailers import MAILERS, SendError, SendFailure
from tests.fakes.mail import email, outbox_settings, reader, settings
from tests.fakes.sendgrid import FakeSendGrid, refusal
from tests.fakes.smtp import FakeSmtp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from newsletter.settings import Settings

    MailerUnderTest = tuple[Settings, Callable[[], int], Callable[[], None]]


@contextmanager
def files(folder: Path, _patch: pytest.MonkeyPatch) -> Iterator[MailerUnderTest]:
    given = outbox_settings(folder)

    def break_it() -> None:
        given.outbox_dir.write_text("no folder any more")

    yield given, lambda: len(list(given.outbox_dir.glob("*.eml"))), break_it


@contextmanager
def smtp(folder: Path, environment: pytest.MonkeyPatch) -> Iterator[MailerUnderTest]:
    with FakeSmtp(folder) as server:
        environment.setenv("SSL_CERT_FILE", str(server.certificate))

        def break_it() -> None:
            server.answers["MAIL"] = "550 unknown sender"

        yield settings(smtp_url=server.url), lambda: len(server.messages), break_it


@contextmanager
def sendgrid(_folder: Path, _environment: pytest.MonkeyPatch) -> Iterator[MailerUnderTest]:
    with FakeSendGrid() as fake:

        def break_it() -> None:
            fake.fault_for = lambda _payload: refusal(401, "no credits")

        given = settings(sendgrid_api_key="SG.secret", sendgrid_url=fake.url)
        yield given, lambda: len(fake.messages), break_it


MAILERS_UNDER_TEST = {"outbox": files, "smtp": smtp, "sendgrid": sendgrid}


@pytest.fixture(params=sorted(MAILERS))
def under_test(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, MailerUnderTest]]:
    assert request.param in MAILERS_UNDER_TEST, f"add a set-up for the mailer {request.param}"
    with MAILERS_UNDER_TEST[request.param](tmp_path, monkeypatch) as made:
        yield request.param, made


def test_it_takes_one_mail_and_names_it(under_test: tuple[str, MailerUnderTest]):
    name, (given, taken, _) = under_test
    mailer = pkgutil.resolve_name(MAILERS[name])(given)

    assert isinstance(mailer.send(email()), str)

    assert taken() == 1


def test_it_is_used_by_many_threads_at_once(under_test: tuple[str, MailerUnderTest]):
    name, (given, taken, _) = under_test
    mailer = pkgutil.resolve_name(MAILERS[name])(given)
    threads = [threading.Thread(target=mailer.send, args=(email(reader(n)),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken() == 8


def test_what_makes_all_mail_impossible_halts_and_is_said(under_test: tuple[str, MailerUnderTest]):
    name, (given, taken, break_it) = under_test
    mailer = pkgutil.resolve_name(MAILERS[name])(given)
    break_it()

    with pytest.raises(SendError) as caught:
        mailer.send(email())

    assert caught.value.failure is SendFailure.HALT
    assert len(str(caught.value).splitlines()) == 1
    assert taken() == 0
