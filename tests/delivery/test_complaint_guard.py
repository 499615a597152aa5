"""What an old list may not do: a run that stops itself, first mails that go slowly."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from newsletter.delivery.sender import SendLimits, Tally
from newsletter.domain.addresses import fingerprint
from newsletter.domain.alerts import Thresholds
from newsletter.domain.bounce_codes import first_mails_left, too_many_gone
from newsletter.domain.mail import DeliveryState, EventKind
from newsletter.mailers import SendError, SendFailure
from newsletter.operations.alert_rules import find_alerts
from newsletter.store import Store, events, first_mails, inbound
from newsletter.store.events import Event
from newsletter.store.inbound import InboundState
from newsletter.store.reports import monitoring
from newsletter.store.tables import inbound as table
from tests.fakes.installation import Installation
from tests.fakes.mail import RUBRIC, DeliveryScenario, FakeMailer

if TYPE_CHECKING:
    from pathlib import Path

    from newsletter.domain.alerts import Alert
    from newsletter.domain.mail import Email

DAY = date(2025, 9, 23)
BOUNDS = Thresholds(timedelta(hours=3), 0, None, 0)
ALLOW = f"newsletter deliveries allow --date {DAY} --rubric {RUBRIC}"


def alerts(scenario: DeliveryScenario) -> list[Alert]:
    with scenario.store.read() as tx:
        return find_alerts(monitoring.read_mail_state(tx, scenario.clock.now()), BOUNDS)


def imported(store: Store, people: int, known: int = 0) -> DeliveryScenario:
    """Some are known readers; the others were imported and had no mail yet."""
    scenario = DeliveryScenario(store)
    everybody = scenario.add_readers(people + known)
    hashes = [one.email for one in everybody[known:]]
    with store.begin() as tx:
        first_mails.add_imported(tx, [fingerprint(one) for one in hashes], scenario.clock.now())
    scenario.make_digest(DAY)
    return scenario


def test_first_mails_double_each_hour() -> None:
    sent: list[int] = [0, 0]
    for _ in range(5):
        sent.append(first_mails_left(0, sent[-1]))
    assert sent[2:] == [100, 200, 400, 800, 1600]
    assert first_mails_left(100, 0) == 0
    assert first_mails_left(150, 100) == 50


@pytest.mark.parametrize(
    ("gone", "readers", "stops"), [(10, 200, False), (11, 200, True), (11, 99, False)]
)
def test_a_run_stops_above_five_percent_of_its_first_mails(gone: int, readers: int, stops: bool):  # noqa: FBT001
    assert too_many_gone(gone, readers) is stops


def test_first_mails_to_imported_addresses_go_slowly_and_known_readers_do_not_wait(store: Store):
    scenario = imported(store, 350, known=30)
    mailer = FakeMailer()
    counts = []
    for _ in range(3):
        scenario.send(mailer, limits=SendLimits(threads=8))
        counts.append(len(mailer.taken))
        assert scenario.send(mailer, limits=SendLimits(threads=8)).sent == 0
        scenario.clock.at += timedelta(hours=1, seconds=1)
    assert counts == [130, 330, 380]
    assert {f"reader{n}@example.org" for n in range(1, 31)} <= {
        one.to_email for one in mailer.taken[:130]
    }


def test_concurrent_runs_share_the_limit_of_first_mails(store: Store):
    scenario = imported(store, 400)
    mailer = FakeMailer()

    def run(_: int) -> Tally:
        return scenario.send(mailer, limits=SendLimits(threads=8))

    with ThreadPoolExecutor(4) as rivals:
        tallies = list(rivals.map(run, range(4)))
    assert (len(mailer.taken), [tally.halted_reason for tally in tallies]) == (100, [""] * 4)


def test_a_small_list_does_not_notice(store: Store):
    scenario = imported(store, 99)
    assert scenario.send(FakeMailer(), limits=SendLimits(threads=8)).sent == 99
    assert alerts(scenario) == []


def test_what_goes_to_files_goes_at_once(store: Store):
    scenario = imported(store, 101)
    limits = SendLimits(threads=8, first_mails_slowly=False)
    assert scenario.send(FakeMailer(), limits=limits).sent == 101


def test_the_operator_is_told_how_to_let_first_mails_go(store: Store):
    scenario = imported(store, 120)
    scenario.send(FakeMailer(), limits=SendLimits(threads=8))
    scenario.clock.at += timedelta(minutes=50)
    [alert] = alerts(scenario)
    assert (alert.title, alert.command) == ("First mails are sent slowly", ALLOW)
    assert "20 first mails" in alert.what
    with store.begin() as tx:
        assert first_mails.lift_limits(tx, RUBRIC, DAY) == 20
    assert alerts(scenario) == []
    assert scenario.send(FakeMailer(), limits=SendLimits(threads=8)).sent == 20


def no_such_user(mail: Email, every: int = 10) -> None:
    number = int(mail.to_email.removeprefix("reader").partition("@")[0])
    if number % every == 0:
        said = "smtp; 550 5.1.1 no such user"
        raise SendError(SendFailure.REFUSED, said, diagnostic=said)


def test_a_run_stops_itself_at_an_old_list_and_goes_on_when_it_is_allowed(store: Store):
    scenario = DeliveryScenario(store)
    scenario.add_readers(240)
    scenario.make_digest(DAY)
    tally = scenario.send(FakeMailer(before=no_such_user), limits=SendLimits(threads=4))
    assert (tally.rejected in range(11, 15), tally.pending > 0) == (True, True)
    assert "of the first 200 mails went to addresses that do not exist" in tally.halted_reason
    assert scenario.send(FakeMailer(), limits=SendLimits(threads=4)).sent == 0
    [alert] = alerts(scenario)
    assert (alert.title, alert.command) == ("Too many hard bounces", ALLOW)
    with store.begin() as tx:
        first_mails.lift_limits(tx, RUBRIC, DAY)
    rest = scenario.send(FakeMailer(), limits=SendLimits(threads=4))
    assert (rest.pending, rest.halted_reason) == (0, "")
    assert alerts(scenario) == []


def test_bounces_that_the_provider_tells_stop_the_rest_of_a_run(store: Store):
    scenario = DeliveryScenario(store)
    scenario.add_readers(150)
    scenario.make_digest(DAY)
    mailer = FakeMailer()
    scenario.send(mailer, limits=SendLimits(threads=4), stop=lambda: len(mailer.taken) >= 100)
    taken = [row for row in scenario.rows() if row.state == DeliveryState.ACCEPTED][:11]
    now = scenario.clock.now()
    with store.begin() as tx:
        for row in taken:
            events.apply(tx, [Event(EventKind.HARD_BOUNCE, row.email, now, row.id)], now)
    tally = scenario.send(FakeMailer(), limits=SendLimits(threads=4))
    assert tally.sent == 0
    assert "11 of the first 200" in tally.halted_reason


def test_few_readers_are_no_share(store: Store):
    scenario = DeliveryScenario(store)
    scenario.add_readers(60)
    scenario.make_digest(DAY)

    tally = scenario.send(
        FakeMailer(before=partial(no_such_user, every=2)), limits=SendLimits(threads=1)
    )
    assert (tally.rejected, tally.accepted, tally.halted_reason) == (30, 30, "")


def test_the_commands_let_a_digest_go_and_show_what_nobody_can_read(tmp_path: Path):
    installation = Installation(tmp_path)
    installation.create_database()
    store = Store(installation.environment["NEWSLETTER_DATABASE_URL"])
    scenario = imported(store, 101)
    scenario.send(FakeMailer(), limits=SendLimits(threads=8))
    now = datetime.now(UTC)
    with store.begin() as tx:
        raw, who = b"Subject: Failure\r\n\r\nIt failed.", "postmaster@x.example"
        inbound.keep(tx, raw, envelope_from=who, envelope_to="a@b.c", now=now, aligned=False)
        [letter] = tx.scalars(select(table.c.id))
        inbound.set_state(tx, letter, InboundState.UNREADABLE, None, "It failed.")
    assert "1 (newsletter deliveries reports)" in (installation.newsletter("status").out)
    assert "It failed." in installation.newsletter("deliveries", "reports").out
    words = ("deliveries", "allow", "--rubric", RUBRIC, "--date")
    assert installation.newsletter(*words, "tomorrow").status == 2
    assert installation.newsletter(*words, "1999-01-01").status == 2
    assert "1 waiting mail will be sent" in installation.newsletter(*words, str(DAY)).out
    assert scenario.send(FakeMailer(), limits=SendLimits(threads=8)).sent == 1
    assert "no mail is waiting" in installation.newsletter(*words, str(DAY)).out
    store.close()
