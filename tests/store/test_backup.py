"""Saved while a run goes on, put back, and nobody mailed twice by what can be proven."""

from __future__ import annotations

import resource
import shutil
import sqlite3
import stat
import threading
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, select, text, update
from sqlalchemy.engine import make_url

from newsletter.domain.mail import DeliveryState, EventKind
from newsletter.store import Store, StoreError, deliveries, events
from newsletter.store.database import backup, database_role, restore_holds
from newsletter.store.database.database_role import DatabaseFactKind
from newsletter.store.tables import delivery, digest, subscription
from tests.conftest import POSTGRES
from tests.fakes.database import copied
from tests.fakes.installation import Installation
from tests.fakes.mail import RUBRIC, Clock, DeliveryScenario, FakeMailer
from tests.fakes.rows import everything, fill

TAKEN = datetime(2025, 9, 23, 6, 10, tzinfo=UTC)
RESTORED = datetime(2025, 9, 23, 8, 0, tzinfo=UTC)
LATER = RESTORED + timedelta(minutes=5)


@pytest.fixture
def live(migrated, tmp_path):
    with copied(Path(str(migrated["sqlite"].url.database)), tmp_path) as store:
        yield store


@contextmanager
def own_database():
    """An empty PostgreSQL database: a dump is of a whole one."""
    name = f"test_{uuid4().hex}"
    engine = create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()


def saved_in_mid_run(store, file):
    """A run over six readers, saved when the third mail left, and gone on to its end."""
    scenario = DeliveryScenario(store)
    scenario.add_readers(6)
    scenario.make_digest()
    with store.begin() as tx:
        tx.execute(update(digest).values(picks=0))  # It has no words to be searched.
    mailer = FakeMailer()
    saving = threading.Lock()

    def before(_email) -> None:
        if len(mailer.taken) >= 3:
            with saving:  # Nobody sends meanwhile, however slow the machine is.
                if not file.exists():
                    backup.save(store, file, TAKEN)

    mailer.before = before
    assert scenario.send(mailer).accepted == 6
    return scenario, mailer


def lost_and_put_back(store, file):
    store.close()
    aside = backup.restore_sqlite(store.url, file, RESTORED)
    again = Store(store.url.render_as_string())
    return again, aside


def states(store) -> dict[str, str]:
    with store.read() as tx:
        rows = tx.execute(select(delivery.c.email, delivery.c.state))
        return {row.email: row.state for row in rows}


def test_what_waited_in_the_backup_is_held_and_nobody_is_mailed_twice(live, tmp_path):
    scenario, mailer = saved_in_mid_run(live, tmp_path / "saved.db")
    store, _ = lost_and_put_back(live, tmp_path / "saved.db")
    held = backup.activate(store, None, RESTORED, hold=True)
    assert 3 <= held <= 5
    assert set(states(store).values()) == {"accepted", "unknown"}
    scenario.store = store
    before = len(mailer.taken)
    scenario.send(mailer)
    assert len(mailer.taken) == before
    with store.begin() as tx:
        [one, *_] = [row for row in scenario.rows() if row.state == "unknown"]
        news = events.Event(EventKind.DELIVERED, one.email, LATER, one.id)
        events.apply(tx, [news], LATER)
        assert restore_holds.release(tx, LATER, sent=False) == held - 1
    scenario.send(mailer)
    assert set(states(store).values()) == {"accepted"}
    assert len(mailer.taken) == before + held - 1
    store.close()


def test_nothing_is_held_where_nothing_ran_since(live, tmp_path):
    saved_in_mid_run(live, tmp_path / "saved.db")
    store, _ = lost_and_put_back(live, tmp_path / "saved.db")
    assert backup.activate(store, None, RESTORED, hold=False) == 0
    assert set(states(store).values()) <= {"accepted", "pending", "sending"}
    store.require_schema()
    store.close()


def test_the_old_file_is_kept_beside_it(live, tmp_path):
    saved_in_mid_run(live, tmp_path / "saved.db")
    whole = everything(live)
    store, aside = lost_and_put_back(live, tmp_path / "saved.db")
    store.close()
    kept = Store(f"sqlite:///{aside}")
    assert everything(kept) == whole
    kept.close()


def test_a_mail_planned_later_is_held_if_it_was_due_before(store):
    scenario = DeliveryScenario(store)
    scenario.add_readers(2)
    with store.begin() as tx:
        restore_holds.hold_all(tx, TAKEN, RESTORED)
    scenario.make_digest(date(2025, 9, 23))
    assert set(scenario.states().values()) == {DeliveryState.UNKNOWN}
    mailer = FakeMailer()
    scenario.send(mailer)
    assert not mailer.taken
    scenario.make_digest(date(2025, 9, 24))
    assert scenario.send(mailer).accepted == 2


@pytest.mark.parametrize(("due", "state"), [(RESTORED, "unknown"), (LATER, "pending")])
def test_who_is_due_after_the_restore_is_served(store, due, state):
    scenario = DeliveryScenario(store)
    scenario.make_digest()
    scenario.add_readers(1)
    with store.begin() as tx:
        restore_holds.hold_all(tx, TAKEN, RESTORED)
        everyone = subscription.c.rubric == RUBRIC
        deliveries.create_rows(tx, scenario.digest_id, everyone, LATER, due)
    assert list(states(store).values()) == [state]


def test_who_came_after_the_restore_got_nothing_before_it(store):
    scenario = DeliveryScenario(store, Clock(LATER))
    scenario.add_readers(1)
    with store.begin() as tx:
        restore_holds.hold_all(tx, TAKEN, RESTORED)
    scenario.make_digest()
    assert list(states(store).values()) == ["pending"]


def test_a_backup_is_for_its_owner_alone_and_never_replaces_one(live, tmp_path):
    file = tmp_path / "saved.db"
    backup.save(live, file, TAKEN)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(tmp_path.glob("*saved*")) == [file]
    with pytest.raises(StoreError, match="exists already"):
        backup.save(live, file, TAKEN)
    with live.read() as tx:
        assert database_role.stored_facts(tx)[DatabaseFactKind.SAVED].at == TAKEN


def test_a_database_put_back_from_an_open_copy_is_for_its_owner_alone(live, tmp_path):
    file, place = tmp_path / "saved.db", tmp_path / "var" / "n.db"
    backup.save(live, file, TAKEN)
    file.chmod(0o644)
    backup.restore_sqlite(make_url(f"sqlite:///{place}"), file, RESTORED)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700


def test_a_folder_that_is_missing_is_made_for_its_owner_alone(live, tmp_path):
    file = tmp_path / "backups" / "monday.backup"
    assert backup.save(live, file, TAKEN) == file.stat().st_size
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_an_unwritable_backup_path_is_named_in_the_error(live, tmp_path):
    (tmp_path / "backups").write_text("a file, no folder")
    with pytest.raises(StoreError, match=r"cannot write the backup .*monday\.backup"):
        backup.save(live, tmp_path / "backups" / "monday.backup", TAKEN)


def test_a_disk_that_is_too_small_for_the_backup_is_named_in_the_error(live, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, before[1]))
    try:
        with pytest.raises(StoreError, match=r"cannot write the backup .*monday.*\(df -h\)"):
            backup.save(live, tmp_path / "monday.backup", TAKEN)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.glob("*monday*"))


def test_a_backup_file_cannot_be_used_as_the_database(live, tmp_path):
    file = tmp_path / "saved.db"
    backup.save(live, file, TAKEN)
    store = Store(f"sqlite:///{file}")
    with pytest.raises(StoreError, match="backup of 2025-09-23 06:10 UTC"):
        store.require_schema()
    store.close()


def test_what_is_no_backup_is_refused(tmp_path, live):
    file = tmp_path / "letter.txt"
    file.write_text("Dear all, this is no database", encoding="utf-8")
    with pytest.raises(StoreError, match="no database that can be read"):
        backup.taken_at(file)
    with pytest.raises(StoreError, match="there is no backup"):
        backup.taken_at(tmp_path / "nothing.db")
    raw = tmp_path / "raw.db"
    with sqlite3.connect(live.url.database) as here, sqlite3.connect(raw) as there:
        here.backup(there)
    assert backup.taken_at(raw) is None
    here.close()
    there.close()


def test_a_damaged_backup_is_refused(live, tmp_path):
    file = tmp_path / "saved.db"
    fill(live, 50)
    backup.save(live, file, TAKEN)
    whole = bytearray(file.read_bytes())
    whole[8192:40960] = b"x" * (40960 - 8192)
    file.write_bytes(whole)
    with pytest.raises(StoreError, match=r"damaged|can't|cannot|no database"):
        backup.taken_at(file)


def test_the_commands_save_and_put_back(tmp_path):
    installation = Installation(tmp_path)
    installation.create_database()
    assert installation.newsletter("db", "backup", "saved.db").status == 0
    done = installation.newsletter("db", "restore", "saved.db")
    assert done.status == 0, done.err
    assert "0 waiting mails are held" in done.out
    assert list(tmp_path.glob("newsletter.db.before-*"))
    assert installation.newsletter("status").status == 0
    assert "0 held mails" in installation.newsletter("db", "release", "--sent").out
    future = installation.newsletter("db", "restore", "--taken", "2999-01-01")
    assert future.status == 2


def test_the_command_copies_and_the_old_database_mails_no_more(tmp_path, store_url):
    installation = Installation(tmp_path, NEWSLETTER_SOURCE="sample")
    (installation.rubrics / "one.md").write_text(
        "---\ntitle: One\ncategories: [cs.LG]\n---\n\n## Criteria\n\n1. Anything\n"
    )
    installation.subscribe("reader@example.org,one")
    done = installation.newsletter(
        "db", "copy", "--to", store_url.replace("newsletter.db", "new.db")
    )
    assert done.status == 0, done.err
    assert "NEWSLETTER_DATABASE_URL" in done.out
    refused = installation.newsletter("run")
    assert refused.status == 1
    assert "newsletter db reopen" in refused.err
    assert installation.newsletter("status").status == 0
    moved = {"NEWSLETTER_DATABASE_URL": store_url.replace("newsletter.db", "new.db")}
    assert installation.newsletter("run", **moved).status == 0
    assert len(installation.mails()) == 1
    assert installation.newsletter("db", "reopen").status == 0
    itself = installation.environment["NEWSLETTER_DATABASE_URL"]
    assert installation.newsletter("db", "copy", "--to", itself).status == 2


@pytest.mark.skipif(not POSTGRES, reason="no PostgreSQL is named")
@pytest.mark.skipif(not shutil.which("pg_dump"), reason="pg_dump is not installed")
def test_postgresql_is_saved_and_put_back(tmp_path):
    file = tmp_path / "saved.dump"
    with own_database() as first, own_database() as second:
        one, two = Store(first), Store(second)
        one.migrate()
        fill(one, 3)
        backup.save(one, file, TAKEN)
        backup.restore_postgres(two.url, file)
        assert everything(two) == everything(one)
        with pytest.raises(StoreError, match="restored from a dump"):
            two.require_schema()
        backup.activate(two, None, RESTORED, hold=True)
        two.require_schema()
        with two.read() as tx:
            restored = database_role.stored_facts(tx)[DatabaseFactKind.RESTORED]
        assert (restored.at, restored.until) == (TAKEN, RESTORED)
        with pytest.raises(StoreError, match="already exists"):
            backup.restore_postgres(two.url, file)
        one.close()
        two.close()


def test_a_full_disk_is_named_as_one(live):
    with (
        pytest.raises(StoreError, match=r"is full; look whether the disk is full \(df -h\)"),
        live.begin() as tx,
    ):
        tx.exec_driver_sql("PRAGMA max_page_count = 1")
        tx.exec_driver_sql("CREATE TABLE more (words TEXT)")
        tx.exec_driver_sql("INSERT INTO more VALUES (?)", ("x" * 100_000,))
