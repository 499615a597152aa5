"""SMTP connections kept between mails: what a mail costs, and what a lost connection proves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from newsletter.delivery.sender import SendLimits, Tally
from newsletter.domain.mail import DeliveryState
from newsletter.mailers import SendError, SendFailure, connections_kept
from newsletter.mailers.smtp import SmtpMailer
from newsletter.mailers.smtp_connection import ConnectionPool, SmtpServer
from tests.fakes.mail import DeliveryScenario, email, reader, settings
from tests.fakes.smtp import FakeSmtp
from tests.fakes.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from newsletter.store import Store


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., FakeSmtp]]:
    """Start a server with a trusted certificate."""
    running: list[FakeSmtp] = []

    def start(**options: Any) -> FakeSmtp:
        server = FakeSmtp(tmp_path, **options)
        running.append(server)
        monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
        return server.__enter__()

    yield start
    for server in running:
        server.__exit__()


def mailer(server: FakeSmtp, timeout: float = 60.0) -> SmtpMailer:
    return SmtpMailer(settings(smtp_url=server.url), timeout=timeout, answer_seconds=120.0)


def verbs(server: FakeSmtp) -> list[str]:
    return [line.split(" ")[0].upper() for line in server.commands]


def ended(server: FakeSmtp) -> bool:
    """Whether as many connections were closed with QUIT as were opened; waits for the last."""
    return wait_until(lambda: verbs(server).count("QUIT") >= server.connections) and (
        verbs(server).count("QUIT") == server.connections
    )


TRANSACTION = ["MAIL", "RCPT", "DATA"]


def test_one_connection_carries_a_run_of_mails_with_rset_between(serve: Callable[..., FakeSmtp]):
    server = serve()
    sender = mailer(server)
    with connections_kept(sender):
        for number in range(3):
            sender.send(email(reader(number)))
    assert ended(server)
    reused = ["RSET", *TRANSACTION]
    assert verbs(server) == ["EHLO", "AUTH", *TRANSACTION, *reused, *reused, "QUIT"]
    assert (server.connections, len(server.messages)) == (1, 3)


def test_a_single_mail_keeps_no_connection(serve: Callable[..., FakeSmtp]):
    server = serve()
    sender = mailer(server)
    for number in range(2):
        sender.send(email(reader(number)))
    assert ended(server)
    assert server.connections == 2


def test_a_run_that_ends_closes_no_connection_of_another_run(serve: Callable[..., FakeSmtp]):
    server = serve()
    sender = mailer(server)
    with connections_kept(sender):
        sender.send(email(reader(1)))
        with connections_kept(sender):
            sender.send(email(reader(2)))
        sender.send(email(reader(3)))
        assert "QUIT" not in verbs(server)
    assert ended(server)
    assert server.connections == 1


@pytest.mark.parametrize("step", ["RSET", "MAIL"])
@pytest.mark.parametrize("answer", ["drop", "421 4.4.2 idle", "421 4.7.0 too many mails", "451 no"])
def test_a_mail_goes_by_a_new_connection_if_the_kept_one_fails_before_it(
    serve: Callable[..., FakeSmtp], step: str, answer: str
):
    server = serve(later={step: answer})
    sender = mailer(server)
    with connections_kept(sender):
        for number in range(3):
            sender.send(email(reader(number)))
    assert (server.connections, len(server.messages)) == (3, 3)


def test_an_idle_connection_that_the_server_closed_is_replaced(serve: Callable[..., FakeSmtp]):
    server = serve(idle_seconds=0.1)
    sender = mailer(server)
    with connections_kept(sender):
        sender.send(email(reader(1)))
        assert wait_until(lambda: server.timed_out)
        sender.send(email(reader(2)))
    assert (server.connections, len(server.messages)) == (2, 2)


def test_a_connection_that_was_idle_for_long_is_closed_and_not_tried(
    serve: Callable[..., FakeSmtp],
):
    server = serve()
    pool = ConnectionPool(max_idle=0.0)
    with pool.kept():
        pool.give_back(SmtpServer(settings(smtp_url=server.url), 5.0).connect())
        assert pool.take() is None
    assert ended(server)
    assert "RSET" not in verbs(server)


def test_a_reused_connection_has_the_short_timeout_again(serve: Callable[..., FakeSmtp]):
    """The answer to a message may take long (two minutes here), that to RSET may not."""
    server = serve(later={"RSET": "stall"})
    sender = mailer(server, timeout=2.0)
    with connections_kept(sender):
        sender.send(email(reader(1)))
        began = time.monotonic()
        sender.send(email(reader(2)))
        assert time.monotonic() - began < 100
    assert (server.connections, len(server.messages)) == (2, 2)


@pytest.mark.parametrize(
    ("answers", "failure", "taken"),
    [
        ({"RCPT": "drop"}, SendFailure.UNSENT, 1),
        ({"RCPT": "550 5.1.1 no such user"}, SendFailure.REFUSED, 1),
        ({"RCPT": "421 4.7.0 too many"}, SendFailure.THROTTLED, 1),
        ({"DATA": "drop"}, SendFailure.UNSENT, 1),
        ({"DATA": "451 later"}, SendFailure.UNSENT, 1),
        ({"END": "drop"}, SendFailure.UNKNOWN, 2),
        ({"END": "554 spam"}, SendFailure.REFUSED, 1),
        ({"END": "421 closing"}, SendFailure.THROTTLED, 1),
    ],
    ids=str,
)
def test_from_the_recipient_on_nothing_is_repeated_and_the_outcome_is_as_on_a_new_connection(
    serve: Callable[..., FakeSmtp], answers: dict[str, str], failure: SendFailure, taken: int
):
    server = serve(later=answers)
    sender = mailer(server)
    with connections_kept(sender):
        sender.send(email(reader(1)))
        with pytest.raises(SendError) as caught:
            sender.send(email(reader(2)))
        assert caught.value.failure is failure
        assert (server.connections, len(server.messages)) == (1, taken)
        # Whatever happened, the next mail does not use that connection.
        sender.send(email(reader(3)))
    assert (server.connections, len(server.messages)) == (2, taken + 1)


def test_a_sender_that_a_new_connection_refuses_halts(serve: Callable[..., FakeSmtp]):
    server = serve()
    sender = mailer(server)
    with connections_kept(sender):
        sender.send(email(reader(1)))
        server.answers["MAIL"] = "550 not your address"
        with pytest.raises(SendError) as caught:
            sender.send(email(reader(2)))
    assert caught.value.failure is SendFailure.HALT
    assert (server.connections, len(server.messages)) == (2, 1)


def test_a_server_that_is_gone_after_a_mail_leaves_the_next_one_unsent(
    serve: Callable[..., FakeSmtp],
):
    server = serve(later={"RSET": "drop"}, login=False)
    sender = mailer(server)
    with connections_kept(sender):
        sender.send(email(reader(1)))
        server.answers["EHLO"] = "drop"
        with pytest.raises(SendError) as caught:
            sender.send(email(reader(2)))
    assert caught.value.failure is SendFailure.UNSENT
    assert len(server.messages) == 1


def test_a_utf8_sender_dialogue_does_not_leak_into_the_next_mail(serve: Callable[..., FakeSmtp]):
    server = serve()
    sender = mailer(server)
    with connections_kept(sender):
        sender.send(email(reader(email="用户@bücher.example")))
        sender.send(email(reader(2)))
    first, second = [line for line in server.commands if line.startswith("MAIL")]
    assert first.endswith(" SMTPUTF8")
    assert not second.endswith(" SMTPUTF8")


def test_a_run_uses_one_connection_for_each_thread(serve: Callable[..., FakeSmtp], store: Store):
    server = serve()
    scenario = DeliveryScenario(store)
    scenario.add_readers(20)
    scenario.make_digest()
    tally = scenario.send(mailer(server), limits=SendLimits(threads=3))
    assert tally == Tally(accepted=20)
    assert server.connections <= 3
    assert ended(server)


@pytest.mark.parametrize("step", ["RSET", "MAIL", "RCPT", "DATA"])
def test_connections_that_break_before_the_message_lose_and_double_nothing(
    serve: Callable[..., FakeSmtp], store: Store, step: str
):
    server = serve(later={step: "drop"})
    scenario = DeliveryScenario(store)
    scenario.add_readers(6)
    scenario.make_digest()
    tally = scenario.send(mailer(server), limits=SendLimits(threads=2))
    assert tally == Tally(accepted=6)
    assert len({raw.partition(b"Message-ID: ")[2][:40] for raw in server.messages}) == 6
    assert len(server.messages) == 6


def test_a_lost_answer_on_a_kept_connection_is_unknown_and_not_repeated(
    serve: Callable[..., FakeSmtp], store: Store
):
    server = serve(later={"END": "drop"})
    scenario = DeliveryScenario(store)
    scenario.add_readers(4)
    scenario.make_digest()
    tally = scenario.send(mailer(server), limits=SendLimits(threads=1))
    assert tally == Tally(accepted=2, unknown=2)
    assert len(server.messages) == 4
    assert set(scenario.states().values()) == {DeliveryState.ACCEPTED, DeliveryState.UNKNOWN}
