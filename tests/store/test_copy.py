"""A database into another one: whole, compared, resumable, and never two that both mail."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, func, insert, select, text, update

from newsletter import process
from newsletter.domain.mail import DeliveryState
from newsletter.store import Store, StoreError, leases
from newsletter.store.database import copy, database_role
from newsletter.store.database.database_role import DatabaseFact, DatabaseFactKind
from newsletter.store.tables import (
    archive_text,
    delivery,
    digest,
    metadata,
    subscriber,
    suppression,
)
from tests.fakes.database import copied
from tests.fakes.rows import everything, fill, value

NOW = datetime(2025, 9, 23, 6, 0, tzinfo=UTC)


class Killed(Exception):
    pass


def quiet(_stage: str, _done: int, _total: int) -> None:
    pass


@pytest.fixture
def source(migrated, tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    with copied(Path(str(migrated["sqlite"].url.database)), folder) as made:
        yield made


@pytest.fixture
def third(migrated, tmp_path):
    folder = tmp_path / "third"
    folder.mkdir()
    with copied(Path(str(migrated["sqlite"].url.database)), folder) as made:
        yield made


def test_a_round_trip_loses_nothing(source, store, third):
    fill(source, 7)
    there = copy.copy(source, store, NOW, quiet)
    assert everything(store) == everything(source)
    back = copy.copy(store, third, NOW, quiet)
    assert everything(third) == everything(source)
    assert there == back
    assert {one.rows for one in there} == {7}


def test_a_killed_copy_goes_on_where_it_was(source, store):
    killed_in = "Copying score"
    fill(source, 5)

    def kill(stage: str, _done: int, _total: int) -> None:
        if stage == killed_in:
            raise Killed

    with pytest.raises(Killed):
        copy.copy(source, store, NOW, kill)
    with pytest.raises(StoreError, match="was not finished"):
        store.require_schema()
    written = []
    copy.copy(source, store, NOW, lambda stage, done, _total: written.append((stage, done)))
    assert everything(store) == everything(source)
    assert killed_in not in dict(written)
    store.require_schema()


def test_what_changed_since_the_kill_is_copied_again(source, store):
    fill(source, 5)

    def kill(stage: str, _done: int, _total: int) -> None:
        if stage == "Copying delivery":
            raise Killed

    with pytest.raises(Killed):
        copy.copy(source, store, NOW, kill)
    with source.begin() as tx:
        tx.execute(update(subscriber).values(name="Another"))
        tx.execute(text("DELETE FROM event"))
    copy.copy(source, store, NOW, quiet)
    assert everything(store) == everything(source)


def test_pages_of_a_large_table_are_joined(source, store):
    with source.begin() as tx:
        row = {"reason": "bounced", "source": "x", "at": NOW}
        names = [f"{'aB'[n % 2]}{n}" for n in range(2 * copy.PAGE + 3)]
        tx.execute(insert(suppression), [{**row, "email_hash": name} for name in names])

    def kill(stage: str, done: int, _total: int) -> None:
        if stage == "Copying suppression" and done == copy.PAGE:
            raise Killed

    with pytest.raises(Killed):
        copy.copy(source, store, NOW, kill)
    begun = []
    copy.copy(source, store, NOW, lambda *said: begun.append(said))
    assert begun[0] == ("Copying suppression", 2 * copy.PAGE, len(names))
    assert everything(store) == everything(source)


def test_what_is_written_meanwhile_is_noticed(source, store):
    fill(source, 3)

    def write(stage: str, _done: int, _total: int) -> None:
        if stage == "Copying suppression":
            with source.begin() as tx:
                tx.execute(update(subscriber).values(state="unsubscribed"))

    with pytest.raises(StoreError, match="subscriber differs"):
        copy.copy(source, store, NOW, write)
    copy.copy(source, store, NOW, quiet)
    assert everything(store) == everything(source)


def test_a_target_with_other_data_is_left_alone(source, store):
    fill(source, 1)
    with store.begin() as tx:
        tx.execute(insert(suppression).values(email_hash="h", reason="r", source="s", at=NOW))
    with pytest.raises(StoreError, match=r"holds data already \(suppression\)"):
        copy.copy(source, store, NOW, quiet)
    with store.read() as tx:
        assert tx.scalar(select(func.count()).select_from(suppression)) == 1


def test_the_half_made_copy_of_another_database_is_left_alone(source, store):
    with store.begin() as tx:
        database_role.record_fact(
            tx, DatabaseFactKind.COPYING, DatabaseFact("sqlite elsewhere.db", NOW)
        )
    with pytest.raises(StoreError, match=r"half-made copy of sqlite elsewhere\.db"):
        copy.copy(source, store, NOW, quiet)


def test_the_source_mails_no_more_and_the_target_does(source, store):
    copy.copy(source, store, NOW, quiet)
    with pytest.raises(StoreError, match="newsletter db reopen"):
        source.require_home()
    source.require_schema()
    store.require_home()
    store.require_schema()


def test_the_next_digest_gets_a_number_of_its_own(source, store):
    fill(source, 9)
    copy.copy(source, store, NOW, quiet)
    with store.begin() as tx:
        row = {column.name: value(column, 9) for column in digest.columns if column.name != "id"}
        key = tx.execute(insert(digest).values(row)).inserted_primary_key
    assert key == (10,)


def test_the_search_finds_what_was_copied(source, store):
    fill(source, 2)
    with source.begin() as tx:
        tx.execute(update(archive_text).values(title="Quantized gravity"))
    copy.copy(source, store, NOW, quiet)
    with store.read() as tx:
        if store.is_sqlite:
            query = "SELECT count(*) FROM archive_words WHERE archive_words MATCH 'gravity'"
        else:
            query = "SELECT count(*) FROM pg_indexes WHERE indexname = 'ix_archive_words'"
        assert tx.scalar(text(query))


def test_a_nul_in_a_text_stops_nothing(source, store):
    fill(source, 1)
    with source.begin() as tx:
        tx.execute(update(subscriber).values(name="a\0b"))
    copy.copy(source, store, NOW, quiet)
    with store.read() as tx:
        assert tx.scalar(select(subscriber.c.name)) == "a\ufffdb"


@pytest.mark.parametrize(
    ("owner", "lease", "busy"),
    [
        ("{host}/{pid}/{mark}/a", NOW + timedelta(minutes=1), True),
        ("{host}/{pid}/{mark}/a", NOW - timedelta(minutes=1), False),
        ("elsewhere/{pid}/1/a", NOW + timedelta(minutes=1), True),
        ("{host}/{pid}/another/a", NOW + timedelta(minutes=1), False),
    ],
    ids=["ours", "ours, too late", "elsewhere", "dead"],
)
def test_a_process_that_is_sending_mail_is_named(store, owner, lease, busy):
    host, pid, mark = process.process_id().split("/")
    owner = owner.format(host=host, pid=pid, mark=mark)
    fill(store, 1)
    change = {"state": DeliveryState.SENDING.value, "lease_owner": owner, "lease_until": lease}
    with store.begin() as tx:
        tx.execute(text("DELETE FROM life"))
        tx.execute(update(delivery).values(**change))
        said = copy.active_processes(tx, NOW, process.is_dead)
    assert said == ("/".join(owner.split("/")[:2]) if busy else "")


def test_an_address_is_described_without_its_password():
    store = Store("postgresql+psycopg://anna:geheim@db.example.org/news")
    assert copy.describe(store) == "postgresql db.example.org:5432/news"


def test_a_running_service_is_named(store):
    with store.begin() as tx:
        leases.heartbeat(tx, "elsewhere/12/birth", "serve", NOW)
        assert copy.active_processes(tx, NOW, process.is_dead) == "elsewhere/12"
        assert copy.active_processes(tx, NOW + timedelta(minutes=6), process.is_dead) == ""


def test_a_copy_that_ended_is_known_until_the_target_is_gone(source, store, third):
    fill(source, 2)
    assert copy.finished_copy(source, store) is None
    copy.copy(source, store, NOW, quiet)
    done = copy.finished_copy(source, store)
    assert done is not None
    assert done.at == NOW
    assert copy.finished_copy(source, third) is None, "another target"
    with store.begin() as tx:
        half = DatabaseFact(copy.describe(source), NOW)
        database_role.record_fact(tx, DatabaseFactKind.COPYING, half)
    assert copy.finished_copy(source, store) is None, "it was killed at its very end"
    with store.begin() as tx:
        database_role.delete_fact(tx, DatabaseFactKind.COPYING)
        for table in reversed(metadata.sorted_tables):
            tx.execute(delete(table))
    assert copy.finished_copy(source, store) is None, "an empty database of the same name"
