"""A morning that goes on in another database, or in one that was put back, by the real command."""

from __future__ import annotations

import signal
import time
from collections import Counter
from contextlib import ExitStack, contextmanager

import pytest
from sqlalchemy import select

from newsletter.delivery.sender import POLL_SECONDS
from newsletter.store import Store
from newsletter.store.tables import delivery
from tests.conftest import POSTGRES
from tests.fakes.database import fresh_schema
from tests.fakes.installation import Installation, sendgrid_environment
from tests.fakes.sendgrid import FakeSendGrid
from tests.fakes.waiting import wait_until

RUBRIC = "---\ntitle: One\ncategories: [cs.LG]\n---\n\n## Criteria\n\n1. Anything\n"
READERS = [f"reader{number}@example.org,one" for number in range(24)]
ALL = {row.split(",")[0] for row in READERS}


@pytest.fixture
def fake():
    with FakeSendGrid() as started:
        yield started


@pytest.fixture
def installation(tmp_path, fake):
    made = Installation(
        tmp_path,
        NEWSLETTER_SOURCE="sample",
        NEWSLETTER_SCORER="local",
        **sendgrid_environment(fake.url),
    )
    (made.rubrics / "one.md").write_text(RUBRIC, encoding="utf-8")
    made.subscribe(*READERS)
    return made


@contextmanager
def begun(installation, fake):
    """A run in the middle of its first mails; they are answered when `fake` is told to."""
    fake.delay = 30.0
    with installation.begin("run") as run:
        assert wait_until(lambda: len(fake.requests) > 2)
        yield run


def stopped(run, fake) -> None:
    run.send_signal(signal.SIGTERM)
    time.sleep(POLL_SECONDS + 1.5)  # Then it has seen it, and claims no more.
    fake.hurry()
    run.wait(240)


def states(url) -> Counter[str]:
    store = Store(url)
    with store.read() as tx:
        found = Counter(tx.execute(select(delivery.c.state)).scalars())
    store.close()
    return found


@pytest.fixture
def elsewhere(tmp_path):
    """Another database: PostgreSQL where one is named."""
    with ExitStack() as stack:
        file = f"sqlite:///{tmp_path / 'elsewhere.db'}"
        yield stack.enter_context(fresh_schema(POSTGRES)) if POSTGRES else file


def test_a_daily_run_continues_in_the_copy(installation, fake, elsewhere, tmp_path):
    with begun(installation, fake) as run:
        busy = installation.newsletter("db", "copy", "--to", elsewhere)
        stopped(run, fake)
    sent = len(fake.addresses)
    assert busy.status == 1
    assert "is at work with this database" in busy.err
    assert 0 < sent < len(ALL)
    copied = installation.newsletter("db", "copy", "--to", elsewhere)
    assert copied.status == 0, copied.err
    there = {"NEWSLETTER_DATABASE_URL": elsewhere}
    assert states(elsewhere) == {"accepted": sent, "pending": len(ALL) - sent}
    done = installation.newsletter("run", **there)
    assert done.status == 0, done.err
    back = f"sqlite:///{tmp_path / 'back.db'}"
    assert installation.newsletter("db", "copy", "--to", back, **there).status == 0
    assert installation.newsletter("run", NEWSLETTER_DATABASE_URL=back).status == 0
    assert states(back) == {"accepted": len(ALL)}
    assert Counter(fake.addresses) == dict.fromkeys(ALL, 1)


def test_a_backup_taken_during_a_run_mails_nobody_twice(installation, fake):
    with begun(installation, fake) as run:
        saved = installation.newsletter("db", "backup", "saved.db")
        assert saved.status == 0, saved.err
        fake.hurry()
        assert run.wait(240) == 0
    assert Counter(fake.addresses) == dict.fromkeys(ALL, 1)
    put_back = installation.newsletter("db", "restore", "saved.db")
    assert put_back.status == 0, put_back.err
    again = installation.newsletter("run")
    assert (again.status, "no mail is known to be accepted" in again.err) == (1, True), again.err
    assert Counter(fake.addresses) == dict.fromkeys(ALL, 1)
    found = states(installation.environment["NEWSLETTER_DATABASE_URL"])
    assert found["unknown"]
    assert set(found) <= {"accepted", "unknown"}
    status = installation.newsletter("status").out
    assert f"the outcome of {found['unknown']} mails is unknown" in status
    for words in (("db", "release"), ("deliveries", "resolve", "1")):
        neither = installation.newsletter(*words)
        assert (neither.status, "--sent or --resend" in neither.err) == (2, True)
    assert installation.newsletter("db", "release", "--sent").status == 0
    assert states(installation.environment["NEWSLETTER_DATABASE_URL"]) == {"accepted": len(ALL)}


def test_a_daily_run_completes_from_a_backup_of_its_middle(installation, fake):
    with begun(installation, fake) as run:
        stopped(run, fake)
    sent = len(fake.addresses)
    assert installation.newsletter("db", "backup", "saved.db").status == 0
    (installation.folder / "newsletter.db").write_bytes(b"the disk made this of it")
    for ending in ("-wal", "-shm"):
        (installation.folder / f"newsletter.db{ending}").unlink(missing_ok=True)
    assert installation.newsletter("run").status == 1
    put_back = installation.newsletter("db", "restore", "saved.db", "--nothing-sent")
    assert put_back.status == 0, put_back.err
    assert len(fake.addresses) == sent
    done = installation.newsletter("run")
    assert done.status == 0, done.err
    assert Counter(fake.addresses) == dict.fromkeys(ALL, 1)
