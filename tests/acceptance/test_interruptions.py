"""Cases 23 and 25: the clock jumps, the database goes away, both in the middle of a run."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import create_engine, text

from newsletter.domain.mail import DeliveryState
from newsletter.domain.send_times import due_at
from newsletter.mailers import SendError, SendFailure
from newsletter.store import Store, StoreError, claims
from tests.fakes.mail import DeliveryScenario, FakeMailer

if TYPE_CHECKING:
    from newsletter.domain.mail import Email

READERS = 12


@pytest.fixture
def scenario(store: Store) -> DeliveryScenario:
    made = DeliveryScenario(store)
    made.add_readers(READERS)
    made.make_digest()
    return made


class Once:
    """True for the first of the sending threads that asks."""

    def __init__(self) -> None:
        self._asked = threading.Lock()

    def __call__(self) -> bool:
        return self._asked.acquire(blocking=False)


def addresses(mailer: FakeMailer) -> list[str]:
    return [mail.to_email for mail in mailer.taken]


@pytest.mark.parametrize("jump", [timedelta(hours=-2), timedelta(days=1)], ids=["back", "forward"])
def test_23_a_jump_of_the_clock_while_mail_goes_out_costs_nothing(
    scenario: DeliveryScenario, jump: timedelta
):
    def leap(_email: Email) -> None:
        if len(mailer.taken) >= 3 and first():
            scenario.clock.at += jump

    first = Once()
    mailer = FakeMailer(before=leap)
    tally = scenario.send(mailer)
    assert (tally.accepted, tally.unknown, tally.pending) == (READERS, 0, 0)
    assert len(addresses(mailer)) == len(set(addresses(mailer))) == READERS


def test_23_after_a_clock_jump_a_mail_may_be_unknown_and_is_never_sent_twice(
    scenario: DeliveryScenario,
):
    def leap(_email: Email) -> None:
        if len(mailer.taken) >= 3 and first():
            scenario.clock.at += timedelta(days=1)
            with scenario.store.begin() as tx:
                seen.append(claims.expire_leases(tx, scenario.clock.now(), lambda _owner: False))

    seen: list[int] = []
    first = Once()
    mailer = FakeMailer(before=leap)
    tally = scenario.send(mailer)
    [given_up] = seen
    assert given_up >= 1
    # What had left is proven by its late answer; what had not left did not leave any more.
    assert (tally.accepted, tally.pending) == (len(mailer.taken), 0)
    assert tally.accepted + tally.unknown == READERS
    assert tally.unknown <= 2
    assert len(addresses(mailer)) == len(set(addresses(mailer)))


def test_23_a_clock_set_back_neither_loops_nor_loses_who_waits_for_another_try(
    scenario: DeliveryScenario,
):
    def fail_once(email: Email) -> None:
        if email.to_email == "reader1@example.org" and scenario.clock.at >= start:
            scenario.clock.at -= timedelta(hours=2)
            raise SendError(SendFailure.UNSENT, "refused")

    start = scenario.clock.at
    mailer = FakeMailer(before=fail_once)
    scenario.send(mailer)
    assert len(scenario.clock.naps) < 10
    assert scenario.send(mailer).accepted == READERS
    assert sorted(addresses(mailer)) == sorted(scenario.states())


def test_23_a_leap_day_is_a_day():
    zone = ZoneInfo("Europe/Berlin")
    assert due_at(date(2028, 2, 29), zone, time(7)) == datetime(2028, 2, 29, 6, tzinfo=UTC)
    assert due_at(date(2028, 3, 1), zone, time(7)) == datetime(2028, 3, 1, 6, tzinfo=UTC)


def go_away(store: Store) -> None:
    """Every connection is cut, as at a failover; SQLite loses the table that claims need."""
    if store.is_sqlite:
        with store.begin() as tx:
            tx.execute(text("ALTER TABLE suppression RENAME TO hidden"))
        return
    other = create_engine(store.url, isolation_level="AUTOCOMMIT")
    with other.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
                " AND application_name = 'newsletter-jolt'"
            )
        )
    other.dispose()


def come_back(store: Store) -> None:
    if store.is_sqlite:
        with store.begin() as tx:
            tx.execute(text("ALTER TABLE hidden RENAME TO suppression"))


def test_25_a_database_that_goes_away_in_the_middle_loses_and_doubles_nobody(
    scenario: DeliveryScenario,
):
    """PostgreSQL is reached by connections of one name, so that no other test's are cut."""
    store = scenario.store
    if not store.is_sqlite:
        scenario.store = Store(
            store.url.update_query_dict({"application_name": "newsletter-jolt"}).render_as_string(
                hide_password=False
            )
        )
    first = Once()

    def cut(_email: Email) -> None:
        if len(mailer.taken) >= 4 and first():
            go_away(store)

    mailer = FakeMailer(before=cut)
    try:
        assert scenario.send(mailer).accepted == READERS
    except StoreError:
        assert len(mailer.taken) < READERS
    come_back(store)
    marked = {email for email, state in scenario.states().items() if state != DeliveryState.PENDING}
    assert set(addresses(mailer)) <= marked
    scenario.clock.at += timedelta(hours=1)
    last = scenario.send(mailer)
    assert last.total == READERS
    assert (last.pending, last.sending) == (0, 0)
    assert last.unknown <= 2
    assert len(addresses(mailer)) == len(set(addresses(mailer)))
    assert last.accepted + last.unknown == READERS
    if scenario.store is not store:
        scenario.store.close()
