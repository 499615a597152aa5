"""Acceptance cases of a run, by the real command against a SendGrid on loopback."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from newsletter.domain.mail import DeliveryState, EventKind
from newsletter.store import Store, events
from newsletter.store.events import Event
from newsletter.store.tables import delivery
from tests.fakes.installation import Installation, sendgrid_environment
from tests.fakes.pace import Pace, hold_after
from tests.fakes.sendgrid import FakeSendGrid, Fault, refusal
from tests.fakes.waiting import wait_until

RUBRIC = "---\ntitle: One\ncategories: [cs.LG]\n---\n\n## Criteria\n\n1. Anything\n"
READERS = [f"reader{number}@example.org,one" for number in range(12)]


@pytest.fixture
def fake():
    with FakeSendGrid(delay=0.3) as started:
        yield started


@pytest.fixture
def installation(tmp_path, store_url, fake):
    made = Installation(
        tmp_path,
        NEWSLETTER_DATABASE_URL=store_url,
        NEWSLETTER_SOURCE="sample",
        NEWSLETTER_SCORER="local",
        **sendgrid_environment(fake.url),
    )
    (made.rubrics / "one.md").write_text(RUBRIC, encoding="utf-8")
    made.create_database()
    return made


def states(installation) -> list[str]:
    store = Store(installation.environment["NEWSLETTER_DATABASE_URL"])
    with store.read() as tx:
        found = list(tx.execute(select(delivery.c.state)).scalars())
    store.close()
    return found


def wait_for_mail(fake) -> None:
    assert wait_until(lambda: fake.requests)


def test_09_two_runs_in_one_second_send_each_mail_once(installation, fake):
    installation.subscribe(*READERS)
    with installation.begin("run", "--json") as one, installation.begin("run", "--json") as other:
        for run in (one, other):
            _, said = run.communicate(timeout=300)
            assert run.returncode == 0, said
    assert len(fake.addresses) == len(set(fake.addresses)) == len(READERS)
    [again] = json.loads(installation.newsletter("run", "--json").out)["issues"]
    assert (again["sent"], again["already"]) == (0, len(READERS))


def test_24_a_test_mail_in_the_middle_of_a_run_disturbs_nothing(installation, fake):
    installation.subscribe(*READERS)
    held = hold_after(0)
    fake.wait_for_turn = held.wait_for_turn
    with installation.begin("run", "--json") as run:
        wait_for_mail(fake)
        fake.wait_for_turn = lambda: True
        sent = installation.newsletter("test-send", "--to", "me@example.org", "--rubric", "one")
        held.count(1)
        _, said = run.communicate(timeout=300)
    assert (run.returncode, sent.status) == (0, 0), said + sent.err
    assert sorted(fake.addresses) == sorted(
        ["me@example.org", *(row.partition(",")[0] for row in READERS)]
    )
    assert set(states(installation)) == {DeliveryState.ACCEPTED}
    [mail] = [m for m in fake.messages if "me@example.org" in json.dumps(m["personalizations"])]
    assert "[TEST]" in json.dumps(mail)


def test_24_an_address_that_left_gets_no_test_either(installation, fake):
    installation.subscribe(*READERS[:1])
    assert (
        installation.newsletter("subscribers", "remove", "reader0@example.org", "--yes").status == 0
    )
    done = installation.newsletter("test-send", "--to", "Reader0@example.org", "--rubric", "one")
    assert (done.status, "must not be mailed" in done.err) == (1, True)
    assert fake.requests == []


def test_24_a_test_mail_of_a_day_without_papers(installation, fake):
    (installation.rubrics / "one.md").write_text(
        RUBRIC.replace("cs.LG", "q-fin.GN"), encoding="utf-8"
    )
    done = installation.newsletter("test-send", "--to", "me@example.org", "--rubric", "one")
    assert done.status == 0, done.err
    assert (fake.addresses, states(installation)) == (["me@example.org"], [])


def test_24_a_dry_run_asks_no_provider_anything(installation, fake):
    installation.subscribe(*READERS)
    assert installation.newsletter("run", "--dry-run").status == 0
    assert (fake.requests, states(installation)) == ([], [])


def test_03_a_run_reports_mails_with_an_unknown_outcome(installation, fake):
    """Nothing known to be out is a failure, whoever runs it by a timer; a part of it is told."""
    installation.subscribe(*READERS[:2])
    fake.faults.extend([Fault(500), Fault(500)])
    lost = installation.newsletter("run")
    assert (lost.status, "newsletter deliveries list" in lost.err) == (1, True), lost.out
    assert "Nothing new" not in lost.out
    installation.subscribe("late@example.org,one", "wrong@example.org,one")
    fake.fault_for = lambda payload: (
        refusal(400, "Does not contain a valid address.", "personalizations.0.to.0.email")
        if "wrong@" in json.dumps(payload)
        else None
    )
    part = installation.newsletter("run")
    assert (part.status, "one: the outcome of 2 mails is unknown" in part.out) == (0, True), (
        part.err
    )
    assert "one: 1 mail rejected" in part.out


def test_25_a_stop_drains_and_leaves_nothing_sending(installation, fake):
    installation.subscribe(*READERS)
    fake.delay = 0.0
    # All answers wait for the signal, and all but one until the run has stored one: then it has
    # seen the signal, and claims no more.
    held = Pace(0, 2, 2, patience=15.0)
    fake.wait_for_turn = held.wait_for_turn
    with installation.begin("run", "--json") as run:
        wait_for_mail(fake)
        run.send_signal(signal.SIGTERM)
        held.count(1)
        assert wait_until(lambda: DeliveryState.ACCEPTED in states(installation))
        held.count(2)
        _, said = run.communicate(timeout=240)
    assert (run.returncode, "stopped on request" in said) == (1, True), said
    left = states(installation)
    assert set(left) == {DeliveryState.ACCEPTED, DeliveryState.PENDING}
    assert left.count(DeliveryState.ACCEPTED) == len(fake.messages)
    assert installation.newsletter("run").status == 0
    assert len(fake.addresses) == len(set(fake.addresses)) == len(READERS)


def change(installation, *statements: str) -> None:
    store = Store(installation.environment["NEWSLETTER_DATABASE_URL"])
    with store.begin() as tx:
        for statement in statements:
            tx.execute(text(statement))
    store.close()


def test_25_a_database_that_cannot_be_written_sends_nothing(installation, fake, store_url):
    installation.subscribe(*READERS[:1])
    joint = "&" if "?" in store_url else "?"
    shut = (
        store_url.replace("sqlite:///", "sqlite:///file:") + "?mode=ro&uri=true"
        if store_url.startswith("sqlite")
        else f"{store_url}{joint}target_session_attrs=read-only"
    )
    done = installation.newsletter("run", NEWSLETTER_DATABASE_URL=shut)
    assert (done.status, "Traceback" in done.err) == (1, False)
    assert done.err.startswith("newsletter: database")
    assert fake.requests == []
    assert installation.newsletter("run").status == 0


def test_25_a_migration_half_done_is_said_and_nothing_is_sent(installation, fake):
    installation.subscribe(*READERS[:1])
    change(installation, "UPDATE alembic_version SET version_num = 'unheard'")
    done = installation.newsletter("run")
    assert (done.status, "Traceback" in done.err) == (1, False)
    assert done.err.startswith("newsletter: ")
    assert fake.requests == []


def test_25_a_corrupt_row_is_said_and_nothing_is_sent(installation, fake):
    installation.subscribe(*READERS[:2])
    assert installation.newsletter("run").status == 0
    change(installation, "UPDATE digest SET body = '{'", "DELETE FROM delivery")
    fake.requests.clear()
    done = installation.newsletter("run")
    assert (done.status, "Traceback" in done.err) == (1, False)
    assert "damaged" in done.err
    assert fake.requests == []


def test_13_run_alone_tries_readers_again_whom_soft_bounces_ended(installation):
    installation.subscribe(*READERS[:2])
    store = Store(installation.environment["NEWSLETTER_DATABASE_URL"])
    now = datetime.now(UTC)
    bounces = [now - timedelta(days=age) for age in (22, 18, 14, 10, 8)]
    with store.begin() as tx:
        for at in bounces:
            events.apply(tx, [Event(EventKind.SOFT_BOUNCE, "reader0@example.org", at)], at)
    assert installation.newsletter("run").status == 0
    with store.read() as tx:
        sent = set(tx.scalars(select(delivery.c.email)))
    store.close()
    assert sent == {"reader0@example.org", "reader1@example.org"}
