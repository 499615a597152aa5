"""One process leads; who is alive is known; a database of the release before is widened."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from alembic import command
from alembic.config import Config
from sqlalchemy import inspect, text

from newsletter.store import MIGRATIONS, Store, leases
from tests.fakes.database import upgraded

NOW = datetime(2026, 3, 3, 7, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=20)


def test_a_lease_has_one_holder_and_moves_at_each_renewal(store):
    with store.begin() as tx:
        assert leases.holder(tx, "mornings") is None
        assert leases.acquire(tx, "mornings", "a", None, NOW)
        assert not leases.acquire(tx, "mornings", "b", None, NOW)
        first = leases.holder(tx, "mornings")
        assert first == leases.Lease("a", 1, NOW)
        assert leases.acquire(tx, "mornings", "a", first, LATER)
        assert leases.holder(tx, "mornings") == leases.Lease("a", 2, LATER)


def test_of_two_who_saw_the_same_holder_one_gets_the_lease(store):
    with store.begin() as tx:
        leases.acquire(tx, "mornings", "a", None, NOW)
        seen = leases.holder(tx, "mornings")
        assert leases.acquire(tx, "mornings", "b", seen, LATER)
        assert not leases.acquire(tx, "mornings", "c", seen, LATER)
        # The old holder, woken up, is told that it leads no more.
        assert not leases.acquire(tx, "mornings", "a", seen, LATER)


def test_a_lease_is_given_back_by_its_holder_alone(store):
    with store.begin() as tx:
        leases.acquire(tx, "mornings", "a", None, NOW)
        leases.release(tx, "mornings", "b")
        assert leases.holder(tx, "mornings") is not None
        leases.release(tx, "mornings", "a")
        assert leases.holder(tx, "mornings") is None


def test_heartbeats_are_one_row_for_each_process(store):
    with store.begin() as tx:
        leases.heartbeat(tx, "host/1/aa", "serve", NOW)
        leases.heartbeat(tx, "host/2/bb", "worker", NOW)
        leases.heartbeat(tx, "host/1/aa", "serve", LATER)
        assert leases.workers(tx) == [
            leases.WorkerHeartbeat("host/1/aa", "serve", LATER),
            leases.WorkerHeartbeat("host/2/bb", "worker", NOW),
        ]
        assert leases.delete_stale(tx, LATER) == 1
        leases.deregister(tx, "host/1/aa")
        assert leases.workers(tx) == []


def test_digests_of_the_release_before_keep_their_mails(store_url):
    store = Store(store_url)
    _upgrade(store, "0003")
    with store.begin() as tx:
        tx.execute(
            text(
                "INSERT INTO digest (id, rubric, date, kind, picks, announced, scanned, cost_nanos,"
                " body, at) VALUES (7, 'r', '2026-03-02', 'normal', 0, 0, 0, 0, '{}', :now)"
            ),
            {"now": f"{NOW:%Y-%m-%d %H:%M:%S}"},
        )
        tx.execute(
            text(
                "INSERT INTO mailing (digest_id, candidates, excluded, halted, at)"
                " VALUES (7, 0, '{}', '', :now)"
            ),
            {"now": f"{NOW:%Y-%m-%d %H:%M:%S}"},
        )
    store.migrate()
    with store.begin() as tx:
        row = tx.execute(text("SELECT id, date, since FROM digest")).one()
        assert str(row.since) == str(row.date) == str(date(2026, 3, 2))
        assert tx.execute(text("SELECT digest_id FROM mailing")).scalar() == row.id
    if store.is_sqlite:
        with store.read() as tx:
            assert tx.execute(text("PRAGMA foreign_key_check")).all() == []
    store.close()


def _upgrade(store: Store, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with store.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def test_a_database_with_open_tasks_of_the_release_before_is_migrated(store_url: str) -> None:
    """Its tasks are planned anew; its calls stay, and those under way are found by an index."""
    with upgraded(store_url, "0015") as store:
        with store.begin() as tx:
            tx.exec_driver_sql(
                "INSERT INTO unit (id, kind, date, subject, ids, gen, state, reason, sent, tries,"
                " owner, touched, made_at) VALUES ('u', 'mail', '2026-03-03', '7/0', '[]', 1,"
                " 'open', '', 0, 0, '', '2026-03-03 07:00', '2026-03-03 07:00')"
            )
        store.migrate()
        found = inspect(store.engine)
        assert "unit" not in found.get_table_names()
        assert "ix_call_intent" in {index["name"] for index in found.get_indexes("call")}
