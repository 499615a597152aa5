"""The database: migrations, both engines, and trouble said in one line."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import DateTime, event, insert, inspect, literal_column, select, text

from newsletter.store import (
    MIGRATIONS,
    Store,
    StoreError,
    newest_revision,
    suppressions,
    write_queue,
)
from newsletter.store.tables import inbound, inbound_body, metadata, paper_news, suppression
from tests.fakes.database import create_database
from tests.fakes.installation import Installation
from tests.fakes.waiting import wait_until


# SQLAlchemy reads back no index of an expression; test_query_plans.py shows that it is used.
@pytest.mark.filterwarnings("ignore:.*expression-based index")
def test_migrations_make_exactly_the_declared_tables(store):
    with store.read() as tx:
        context = MigrationContext.configure(tx, opts={"compare_type": False})
        differences = compare_metadata(context, metadata)
    # What the search reads is made in each database's own words.
    own = ("alembic_version", "archive_words", "Column('words', TSVECTOR()")
    assert not [d for d in differences if not any(name in str(d) for name in own)]


# SQLAlchemy reads back no index of an expression.
@pytest.mark.filterwarnings("ignore:.*expression-based index")
def test_partial_indexes_have_the_declared_conditions(store):
    declared = {
        index.name: index.info["where"]
        for table in metadata.sorted_tables
        for index in table.indexes
        if "where" in index.info
    }
    assert len(declared) >= 7
    with store.read() as tx:
        inspector = inspect(tx)
        found = {
            index["name"]: where
            for table in metadata.sorted_tables
            for index in inspector.get_indexes(table.name)
            for option, where in index.get("dialect_options", {}).items()
            if option.endswith("_where")
        }
    # PostgreSQL adds casts and brackets, and writes `!=` otherwise; SQLite stores booleans as 1.
    for name, where in found.items():
        plain = re.sub(r"::\w+|[()]", "", str(where)).replace("<>", "!=")
        assert plain.removesuffix(" = 1") == declared[name]
    assert found.keys() == declared.keys()


def test_sqlite_loads_no_dialect_of_postgresql(tmp_path):
    """Nor what reads a mailbox: each command would take longer to start."""
    asked = f"""
import sys
from newsletter.cli import status
from newsletter.store import Store, upsert
from newsletter.store.tables import lease
with Store("sqlite:///{tmp_path}/new.db").begin() as tx:
    upsert.insert(tx, lease)
unwanted = ("sqlalchemy.dialects.postgresql", "urllib.request", "imaplib")
print([one for one in sys.modules if one.startswith(unwanted)])
"""
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=600
    )
    assert done.stdout.strip() == "[]"


def test_migrating_twice_changes_nothing(store):
    store.migrate()
    store.require_schema()


def test_the_files_of_migrations_are_in_alembics_order():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == newest_revision()


def test_an_older_release_leaves_a_newer_database_alone(store):
    with store.begin() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for act in (store.require_schema, store.migrate):
        with pytest.raises(StoreError, match="newer release"):
            act()


def test_a_moment_comes_back_as_it_went_in_utc(store):
    at = datetime(2026, 3, 1, 6, 30, tzinfo=UTC)
    row = {"email_hash": "h", "reason": "r", "source": "s", "at": at}
    with store.begin() as tx:
        tx.execute(insert(suppression).values(row))
    with store.read() as tx:
        assert tx.execute(select(suppression.c.at)).scalar_one() == at


def test_what_fails_half_way_leaves_nothing(store):
    row = {"email_hash": "h", "reason": "r", "source": "s", "at": datetime.now(UTC)}
    with pytest.raises(StoreError), store.begin() as tx:
        tx.execute(insert(suppression).values(row))
        tx.execute(insert(suppression).values(row))
    with store.read() as tx:
        assert not tx.execute(select(suppression)).all()


def test_sqlite_is_durable_and_checks_keys(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/n.db")
    store.require_schema()
    with store.read() as tx:
        facts = [
            tx.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    store.close()
    assert facts == ["wal", 2, 1]


def test_a_locked_database_is_said_in_one_line(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/n.db")
    event.listen(store.engine, "connect", lambda one, _: one.execute("PRAGMA busy_timeout=50"))
    store.require_schema()
    other = sqlite3.connect(tmp_path / "n.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="another process is writing"), store.begin():
        pass
    other.close()
    store.close()


@pytest.mark.parametrize("url", ["nonsense", "oracle9://x/y", "sqlite+nothing:///x"])
def test_a_wrong_address_names_the_setting(url):
    with pytest.raises(StoreError, match="NEWSLETTER_DATABASE_URL"):
        Store(url)


def test_an_unreachable_folder_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot make the folder .*file is a file, not a folder"):
        Store(f"sqlite:///{tmp_path}/file/n.db").migrate()


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "",
        "postgres://u:hidden@h/x",
        "mysql://u:hidden@h/x",
        "oracle://x",
        "postgresql://u:hidden@h/x",
        "postgresql+asyncpg://u:hidden@h/x",
        "postgresql+psycopg://u:hidden@h:port/x",
        "sqlite+aiosqlite:///x",
        "postgresql+psycopg://u:a@hidden@h/x",
        "postgresql+psycopg://u:a@hidden/b@h:5432/x",
        "postgresql+psycopg://u@h:hidden@h/x",
    ],
)
def test_an_address_that_cannot_serve_is_refused_with_the_fix(url):
    with pytest.raises(StoreError) as caught:
        Store(url)
    message = str(caught.value)
    assert message.startswith("NEWSLETTER_DATABASE_URL: ")
    assert "use sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST/NAME" in message
    assert "hidden" not in message
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///file::memory:?uri=true",
        "sqlite:///file:x?mode=memory&uri=true",
    ],
)
def test_a_database_in_memory_is_refused(url):
    with pytest.raises(StoreError, match="NEWSLETTER_DATABASE_URL: a database in memory") as caught:
        Store(url)
    assert caught.value.exit_status == 2


def test_threads_of_one_process_wait_for_each_other_and_do_not_poll(store):
    if not store.is_sqlite:
        pytest.skip("PostgreSQL has many writers")

    def never_wait(connection, _record) -> None:
        connection.execute("PRAGMA busy_timeout=0")

    event.listen(store.engine, "connect", never_wait)
    holding, written = threading.Event(), []

    def write() -> None:
        holding.wait(240)
        with store.begin() as tx:
            written.append(tx.scalar(text("SELECT 1")))

    thread = threading.Thread(target=write)
    thread.start()
    with store.begin() as tx:
        tx.execute(text("DELETE FROM suppression"))
        holding.set()
        time.sleep(0.05)
    thread.join(240)
    assert written == [1]


def test_another_process_is_next_however_fast_one_writes_on(tmp_path):
    """The second Store stands for another process: it shares no lock of threads with the first."""
    one, other = (Store(f"sqlite:///{tmp_path}/n.db") for _ in range(2))
    one.migrate()
    begun, asked, written, pages = (*(threading.Event() for _ in range(3)), [])

    def write() -> None:
        begun.wait(240)
        asked.set()
        with other.begin() as tx:
            tx.execute(text("DELETE FROM suppression"))
        written.set()

    thread = threading.Thread(target=write)
    thread.start()
    while len(pages) < 1000 and not written.is_set():
        with one.begin() as tx:
            tx.execute(text("DELETE FROM suppression"))
            begun.set()
            time.sleep(0.02)
            if asked.is_set():
                pages.append(tx)
    thread.join(240)
    one.close()
    other.close()
    assert len(pages) < 500


def test_a_write_lock_that_is_never_free_times_out_with_one_line(tmp_path):
    path = str(tmp_path / "n.db.turn")
    with (
        write_queue.next_writer(path, 1),
        pytest.raises(TimeoutError, match="other processes"),
        write_queue.next_writer(path, 0.01),
    ):
        pass


@pytest.fixture
def held(tmp_path):
    """A store that has worked with its file, and holds it open."""
    create_database(f"sqlite:///{tmp_path}/n.db")
    store = Store(f"sqlite:///{tmp_path}/n.db")
    with store.begin() as tx:
        tx.execute(text("DELETE FROM suppression"))
    yield store
    store.close()


def test_nothing_is_written_into_a_file_that_was_removed(held):
    held.file.rename(held.file.with_name("moved.db"))
    for act in (held.begin, held.read):
        with pytest.raises(StoreError, match="the file was removed while"), act():
            pass
    assert not held.file.exists()
    held.file.with_name("moved.db").rename(held.file)
    held.require_answer()


def test_no_other_process_takes_the_log_of_writes_from_a_living_one(tmp_path):
    """SQLite's locks are POSIX locks: whoever closes the file once more in a process ends them."""
    held = Store(f"sqlite:///{tmp_path / 'held.db'}")
    held.migrate()
    with held.read() as first, held.read() as second:
        assert [one.scalar(text("SELECT 1")) for one in (first, second)] == [1, 1]
    other = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT 1 FROM origin')"
    subprocess.run([sys.executable, "-c", other, str(held.file)], check=True)
    with held.begin() as tx:
        reason, now = suppressions.Reason.UNSUBSCRIBED, datetime(2026, 1, 1, tzinfo=UTC)
        suppressions.suppress(tx, "ann@example.org", reason, "x", now)
    seen = Store(f"sqlite:///{held.file}")
    with seen.read() as tx:
        assert suppressions.reason_for(tx, "ann@example.org")
    seen.close()
    held.close()


def test_nothing_is_written_when_the_file_was_replaced(held):
    shutil.copy(held.file, held.file.with_name("backup.db"))
    held.file.with_name("backup.db").replace(held.file)
    with pytest.raises(StoreError, match="was replaced by another one"), held.begin():
        pass
    with pytest.raises(StoreError, match="was replaced by another one"):
        held.require_answer()


def test_a_database_and_its_folder_are_for_their_owner_alone(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/var/n.db")
    store.migrate()
    with store.begin() as tx:
        tx.execute(text("DELETE FROM suppression"))
        found = {path.name: path.stat().st_mode & 0o777 for path in store.file.parent.iterdir()}
    store.close()
    assert {"n.db", "n.db-wal", "n.db-shm", "n.db.turn"} <= found.keys()
    assert set(found.values()) == {0o600}
    assert store.file.parent.stat().st_mode & 0o777 == 0o700


RUBRIC = "---\ntitle: A\ncategories: [cs.LG]\n---\n## Criteria\n1. Cold\n"


def no_database(data: bytearray) -> None:
    data[:16] = b"x" * 16


def no_pages(data: bytearray) -> None:
    data[4096:] = bytes(len(data) - 4096)


def cut_short(data: bytearray) -> None:
    del data[len(data) // 2 :]


def no_text(data: bytearray) -> None:
    """SQLite itself fails at saying this one: its message is no UTF-8."""
    data[data.index(b"CREATE TABLE paper") + 13] = 0xCD


@pytest.mark.parametrize("spoil", [no_database, no_pages, cut_short, no_text])
def test_a_damaged_file_is_one_line_with_the_way_back(held, tmp_path, spoil):
    held.close()
    data = bytearray(held.file.read_bytes())
    spoil(data)
    held.file.write_bytes(data)
    installation = Installation(tmp_path, NEWSLETTER_DATABASE_URL=f"sqlite:///{held.file}")
    (installation.rubrics / "one.md").write_text(RUBRIC, encoding="utf-8")
    for words in (("status",), ("run",), ("subscribers", "list")):
        done = installation.newsletter(*words)
        assert (done.status, done.err.count("\n")) == (1, 1), done.err
        assert done.err.startswith(f"newsletter: database {held.file}: ")
        assert "PRAGMA integrity_check" in done.err
        assert "newsletter db restore" in done.err


def test_only_a_value_that_was_read_lets_the_file_be_checked(held):
    """The check takes seconds on a large file: a slip of a caller must not wait for it."""
    held.close()
    data = bytearray(held.file.read_bytes())
    data[-4096:] = b"\xff" * 4096
    held.file.write_bytes(data)
    slip = TypeError("a slip")
    for transaction in (held.begin, held.read):
        with pytest.raises(TypeError, match="a slip"), transaction():
            raise slip
    unreadable = select(literal_column("'never'", DateTime()))
    with pytest.raises(StoreError, match="the file is damaged"), held.read() as tx:
        tx.execute(unreadable).all()


def test_mails_of_an_older_release_are_kept_once_and_cut(store_url):
    store = Store(store_url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with store.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0009")
        for number, raw in enumerate((b"a" * 300_000, b"a" * 300_000, b"b", None)):
            row = {"id": str(number), "raw": raw, "at": "2026-01-01 00:00:00"}
            connection.execute(text(OLD_MAIL), row)
    store.migrate()
    with store.read() as tx:
        mails = dict(tx.execute(select(inbound.c.id, inbound.c.body_id)).all())
        bodies = dict(tx.execute(select(inbound_body.c.id, inbound_body.c.raw)).all())
    store.close()
    assert (mails["0"], mails["3"]) == (mails["1"], None)
    assert {mails["0"]: b"a" * 2**18, mails["2"]: b"b"} == bodies


OLD_MAIL = (
    "INSERT INTO inbound (id, envelope_from, envelope_to, aligned, raw, state, said, received_at)"
    " VALUES (:id, 'a', 'b', FALSE, :raw, 'new', '', :at)"
)


def test_withdrawals_that_an_older_release_told_are_not_told_again(store_url):
    store = Store(store_url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with store.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0021")
        for statement in OLD_NOTICE:
            connection.execute(text(statement))
    store.migrate()
    with store.read() as tx:
        told = tx.execute(select(paper_news)).one()
    store.close()
    assert tuple(told) == ("stars", "1", "withdrawn", 7)


OLD_NOTICE = (
    """INSERT INTO paper (id, version, title, authors, abstract, primary_category, categories,
    published, updated, comment) VALUES ('1', 1, 't', '[]', '', 'cs.LG', '[]',
    '2026-01-01 00:00:00', '2026-01-01 00:00:00', '')""",
    """INSERT INTO digest (id, rubric, date, since, kind, picks, announced, scanned, cost_nanos,
    body, at) VALUES (7, 'stars', '2026-01-02', '2026-01-02', 'normal', 1, 1, 1, 0, '{}',
    '2026-01-02 00:00:00')""",
    "INSERT INTO notice (rubric, paper_id, digest_id) VALUES ('stars', '1', 7)",
)


def test_postgresql_ends_a_session_that_is_idle_inside_a_transaction(store):
    """A machine that vanished there must not keep its locks."""
    if store.is_sqlite:
        pytest.skip("SQLite's lock ends with its process")
    with store.read() as tx:
        assert tx.scalar(text("SHOW idle_in_transaction_session_timeout")) == "30s"
    # As that server does, but sooner.
    with pytest.raises(StoreError, match="idle-in-transaction"), store.begin() as tx:
        session = tx.scalar(text("SELECT pg_backend_pid()"))
        tx.execute(text("SET LOCAL idle_in_transaction_session_timeout = '50ms'"))
        assert wait_until(lambda: session not in sessions(store))
        tx.execute(text("SELECT 1"))


def sessions(store) -> set[int]:
    with store.read() as tx:
        return set(tx.scalars(text("SELECT pid FROM pg_stat_activity")))
