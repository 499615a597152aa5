"""Mail that went into files alone is mailed once a real mailer is set: the newest, and no older."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from newsletter.domain.mail import DeliveryState
from newsletter.mailers.outbox import OutboxMailer
from newsletter.store import Store, claims, deliveries, subscriptions
from tests.fakes.database import upgraded
from tests.fakes.mail import START, DeliveryScenario, FakeMailer, outbox_settings
from tests.fakes.smtp import FakeSmtp
from tests.jobs.test_daily_run import small_installation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fakes.installation import CommandResult, Installation


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeSmtp]:
    with FakeSmtp(tmp_path) as running:
        yield running


@pytest.fixture
def installation(tmp_path: Path, store_url: str) -> Installation:
    made = small_installation(tmp_path, NEWSLETTER_DATABASE_URL=store_url)
    made.create_database()
    return made


def by_smtp(installation: Installation, server: FakeSmtp, *words: str) -> CommandResult:
    given = {
        "NEWSLETTER_MAILER": "smtp",
        "NEWSLETTER_SMTP_URL": server.url,
        "SSL_CERT_FILE": str(server.certificate),
    }
    return installation.newsletter("run", *words, **given)


def test_the_newest_digest_is_mailed_to_those_who_have_it_in_files(
    installation: Installation, server: FakeSmtp
):
    installation.subscribe("ada@example.org,small", "bo@example.org,small", "cy@example.org,small")
    assert installation.newsletter("run").status == 0
    assert len(installation.mails()) == 3
    installation.newsletter("subscribers", "remove", "cy@example.org", "--yes")
    asked = by_smtp(installation, server, "--dry-run")
    assert "2 readers have the digest of" in asked.out
    assert server.messages == []
    done = by_smtp(installation, server)
    assert done.status == 0, done.err
    said = done.out.index("2 readers have the digest of")
    assert said < done.out.index("arXiv's announcement of")
    assert "in files alone" in done.out
    to = sorted(line for mail in server.messages for line in mail.splitlines() if b"To: " in line)
    assert [line for line in to if line.startswith(b"To: ")] == [
        b"To: ada@example.org",
        b"To: bo@example.org",
    ]
    again = by_smtp(installation, server)
    assert (again.status, "in files" in again.out, len(server.messages)) == (0, False, 2)
    back = installation.newsletter("run")
    assert (back.status, len(installation.mails())) == (0, 3)


def test_nothing_older_is_mailed_and_each_delivery_names_its_mailer(store: Store, tmp_path: Path):
    scenario = DeliveryScenario(store)
    scenario.add_readers(3)
    old = scenario.make_digest(date(2025, 9, 22))
    scenario.send(OutboxMailer(outbox_settings(tmp_path)))
    new = scenario.make_digest(date(2025, 9, 23))
    scenario.send(OutboxMailer(outbox_settings(tmp_path)))
    with store.begin() as tx:
        known = subscriptions.find(tx, "reader3@example.org")
        assert known
        subscriptions.leave(tx, known.id, "page", START)
        of_day = [one.digest_id for one in deliveries.digests_of_date(tx, date(2025, 9, 23))]
        assert of_day == [new]
        assert claims.count_outbox_only(tx, of_day) == 2
        claims.requeue_outbox_only(tx, of_day, START)
        assert claims.count_outbox_only(tx, of_day) == 0
        assert claims.count_outbox_only(tx, [old]) == 2
        assert deliveries.count(tx, old) == {DeliveryState.ACCEPTED: 3}
    mailer = FakeMailer()
    scenario.send(mailer)
    assert sorted(mail.to_email for mail in mailer.taken) == [
        "reader1@example.org",
        "reader2@example.org",
    ]
    assert {(row.digest_id, row.mailer) for row in scenario.rows()} == {
        (old, "outbox"),
        (new, ""),
        (new, "outbox"),
    }


def test_of_an_older_database_it_is_known_what_lies_in_files(store_url: str):
    with upgraded(store_url, "0012") as store:
        with store.begin() as tx:
            tx.execute(text(DIGEST))
            for one, given in (("a", "ada-1.eml"), ("b", "xyz"), ("c", None)):
                tx.execute(text(READER), {"id": one})
                tx.execute(text(MAIL), {"id": one, "given": given})
        store.migrate()
        with store.read() as tx:
            found = {row.id: row.mailer for row in tx.execute(text("SELECT * FROM delivery"))}
    assert found == {"a": "outbox", "b": "", "c": ""}


DIGEST = (
    "INSERT INTO digest (id, rubric, since, date, kind, picks, announced, scanned, cost_nanos,"
    " body, at) VALUES (7, 'r', '2026-03-02', '2026-03-02', 'normal', 0, 0, 0, 0, '{}',"
    " '2026-03-02 06:00:00')"
)
READER = (
    "INSERT INTO subscriber (id, email, email_key, email_hash, name, rubric, days, format, state,"
    " state_reason, state_at, soft_bounces, consent, since) VALUES (:id, :id, :id, :id, '', 'r',"
    " '[]', 'full', 'active', '', '2026-03-02 06:00:00', 0, '', '2026-03-02 06:00:00')"
)
MAIL = (
    "INSERT INTO delivery (id, digest_id, subscriber_id, email, state, attempt, failures,"
    " provider_id, reason, created_at, changed_at) VALUES (:id, 7, :id, :id, 'accepted', 1, 0,"
    " :given, '', '2026-03-02 06:00:00', '2026-03-02 06:00:00')"
)
