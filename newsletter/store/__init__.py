"""The database: engine, transactions, migrations. All SQL is in this folder.

Functions take a `Connection` that `Store.begin()` opened, so that the caller decides what is
one transaction; what must be durable before an outside call is committed before it.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, func, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from newsletter.errors import OperatorError, file_error
from newsletter.store import write_queue
from newsletter.store.database.database_file import DAMAGED, DatabaseFile

if TYPE_CHECKING:
    from collections.abc import Iterator

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 0x6D696772617465
BUSY_MILLISECONDS = 30_000
"""How long SQLite is asked again for the write lock that another process has."""
TURN_SECONDS = 60.0
CONNECTIONS = {"pool_size": 5, "max_overflow": 10, "pool_timeout": 30, "pool_recycle": 3600}
"""Of one process to a server. More threads than that wait for one another, for 30 s at most:
docs/operating.md counts them together.
"""
TCP = {
    "connect_timeout": 10,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""A server that vanished is noticed within a minute, not in the kernel's quarter of an hour."""
IDLE_TRANSACTION = "SET idle_in_transaction_session_timeout = '30s'"
"""A machine that vanished inside a transaction must not keep its locks: others wait for them."""
READERS_OF_VALUES = ("sqlalchemy.", "sqlite3.", "newsletter.store.")
DRIVERS = ("sqlite", "sqlite+pysqlite", "postgresql+psycopg")


class StoreError(OperatorError):
    """The database can't be used. The message says why and what to do."""


class StoreAddressError(StoreError):
    """NEWSLETTER_DATABASE_URL is wrong."""

    exit_status = 2

    def __init__(self, what: str = "") -> None:
        reason = what or "not a database address"
        self.fault = f"{reason}; use sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST/NAME"
        super().__init__(f"NEWSLETTER_DATABASE_URL: {self.fault}")


class Store:
    """One database. `begin()` opens a transaction for writing, `read()` one for reading."""

    def __init__(self, url: str) -> None:
        self.url = _checked(url)
        self._database_file = DatabaseFile(str(self.url.database))
        self.engine = _engine(self.url, self._database_file)
        # A second SQLite writer polls with growing pauses: threads queue at this lock,
        # processes in `write_queue`.
        self._turn = threading.RLock() if self.is_sqlite else nullcontext()

    @property
    def file(self) -> Path:
        """Where an SQLite database lies, whether it is there or not."""
        return self._database_file.path

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction, committed at the end. On SQLite it takes the write lock at once."""
        with self.translated(), self._turn, ExitStack() as stack:
            with self._next_writer():
                self._require_same_file()
                connection = stack.enter_context(self.engine.begin())
            yield connection

    @contextmanager
    def _next_writer(self) -> Iterator[None]:
        """Queue for SQLite's write lock; a server needs no queue."""
        with ExitStack() as stack:
            if self.is_sqlite:
                try:
                    turn = write_queue.next_writer(f"{self.file}.turn", TURN_SECONDS)
                    stack.enter_context(turn)
                except OSError as error:
                    message = f"database {self.url.database}: no write lock: {error}"
                    raise StoreError(message) from error
            yield

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Read one consistent state; takes no write lock."""
        self._require_same_file()
        with self.translated(), self.engine.connect() as connection:
            yield connection.execution_options(newsletter_read=True)

    def migrate(self) -> None:
        """Bring the schema up to date in one transaction; another process that migrates waits.

        Raises StoreError for a database of a newer release.
        """
        # Alembic takes longer to load than most commands to run, and is needed once a release.
        from alembic import command
        from alembic.config import Config

        from newsletter.store.database import database_role

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        with self.translated(), self.engine.begin() as connection:
            if not self.is_sqlite:
                connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            _refuse_newer(current_revision(connection), newest_revision())
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            database_role.record_home(connection)

    def is_new(self) -> bool:
        """Whether nothing was ever stored in it: for SQLite no file, or one without our tables."""
        if self.is_sqlite and not (self.file.is_file() and self.file.stat().st_size):
            return True
        with self.read() as connection:
            return not current_revision(connection)

    def require_schema(self) -> None:
        """Migrate SQLite by itself; of PostgreSQL ask that `newsletter migrate` was run.

        Raises StoreError also for a database that is a backup or a half-made copy.
        """
        with self.read() as connection:
            here = current_revision(connection)
        head = newest_revision()
        _refuse_newer(here, head)
        if here < head and not self.is_sqlite:
            message = (
                f"the database schema is {here or 'empty'}, {head} is needed; "
                "run: newsletter migrate"
            )
            raise StoreError(message)
        if here < head:
            self.migrate()
        self._require_open()

    def _require_open(self) -> None:
        from newsletter.store.database import database_role

        with self.read() as connection:
            why = database_role.unusable_reason(connection)
        if why:
            message = f"the database can't be used: {why}"
            raise StoreError(message)

    def require_home(self) -> None:
        """Raises StoreError where this database was copied to another one, which sends its mail."""
        from newsletter.store.database import database_role

        with self.read() as connection:
            moved = database_role.moved_reason(connection)
        if moved:
            raise StoreError(moved)

    def require_answer(self) -> None:
        """Raises StoreError where the database does not answer now."""
        with self.read() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        self.engine.dispose()
        self._database_file.forget()

    def _require_same_file(self) -> None:
        if self.is_sqlite and (what := self._database_file.changed()):
            message = (
                f"database {self.file}: the file {what} while this process worked with it, so "
                "nothing is written; put it back, or start this again to work with what is there"
            )
            raise StoreError(message)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Translate database errors into a StoreError of one line for the operator."""
        try:
            yield
        except DBAPIError as error:
            cause = str(error.orig).strip().splitlines()[0] if error.orig else "no answer"
            if self.is_sqlite and any(word in cause.lower() for word in DAMAGED):
                raise self._damaged(cause) from error
            where = self.url.database if self.is_sqlite else self.url.host
            message = f"database {where}: {cause}{advice(cause)}"
            raise StoreError(message) from error
        except (ValueError, TypeError, LookupError) as error:
            # A damaged file may return values of any kind. To check it takes seconds.
            if self.is_sqlite and _is_of_store(error) and self._database_file.is_damaged():
                cause = f"{type(error).__name__} in what was read"
                raise self._damaged(cause) from error
            raise

    def _damaged(self, cause: str) -> StoreError:
        return StoreError(
            f"database {self.file}: {cause}; the file is damaged: look with sqlite3 {self.file} "
            "'PRAGMA integrity_check', and put the last backup back: newsletter db restore FILE"
        )


def _is_of_store(error: Exception) -> bool:
    """Whether it was raised where values are read from the database, not by a caller's own code."""
    frames = (frame for frame, _ in walk_tb(error.__traceback__))
    return any(
        str(frame.f_globals.get("__name__")).startswith(READERS_OF_VALUES) for frame in frames
    )


def _checked(url: str) -> URL:
    """The address in its parts. Errors never show it: it may hold a password."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # A port that is no number is a ValueError.
        raise StoreAddressError from None
    if fault := _fault(url, parsed):
        raise StoreAddressError(fault)
    return parsed


def _fault(url: str, parsed: URL) -> str:
    if parsed.drivername not in DRIVERS:
        return f"{parsed.drivername} can't be used"
    if parsed.get_backend_name() == "sqlite":
        fault = "a database in memory, which would lose everything, can't be used"
        return fault if _is_in_memory(parsed) else ""
    if url.count("@") > 1:
        # SQLAlchemy takes what is after the first @ for the host, and drivers print the host.
        return (
            "it has more than one @; write @ : / # ? % of a user name or password as "
            "%40 %3A %2F %23 %3F %25"
        )
    return ""


def sqlite_file(url: str) -> Path | None:
    """Where an SQLite database lies, whether it is there or not; None for a server.

    Raises StoreAddressError.
    """
    parsed = _checked(url)
    return Path(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None


def _is_in_memory(url: URL) -> bool:
    """SQLite keeps it in no file, or in one that it deletes (sqlite.org/inmemorydb.html)."""
    place = (url.database or "").removeprefix("file:")
    return place in ("", ":memory:") or url.query.get("mode") == "memory"


def newest_revision() -> str:
    """The last step of the schema. A migration's file is named by its revision, in order."""
    return max(path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def _refuse_newer(here: str, head: str) -> None:
    if here > head:
        message = f"the database is of a newer release ({here}, we know {head}); upgrade"
        raise StoreError(message)


def current_revision(connection: Connection) -> str:
    """The step that the database is at; empty for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return str(found or "")


def _engine(url: URL, file: DatabaseFile) -> Engine:
    if url.get_backend_name() != "sqlite":
        engine = create_engine(url, pool_pre_ping=True, connect_args=TCP, **CONNECTIONS)
        event.listen(engine, "connect", _limit_idle_transactions)
        return engine

    def make_file(*_: object) -> None:
        try:
            file.make_folder()
        except OSError as error:
            message = f"cannot make the folder of {url.database}: {file_error(error)}"
            raise StoreError(message) from error
        # What can't be made, SQLite can't open either, and says so.
        with suppress(OSError):
            file.make()

    engine = create_engine(url, connect_args={"isolation_level": None, "check_same_thread": False})
    event.listen(engine, "do_connect", make_file)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - a DBAPI connection
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={BUSY_MILLISECONDS}",
        "journal_mode=WAL",
        # A power cut must not forget a committed `sending` mark: that would be a second mail.
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _limit_idle_transactions(connection: Any, _record: object) -> None:  # noqa: ANN401 - as above
    connection.execute(IDLE_TRANSACTION)
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get("newsletter_read")
    # Deferred transactions that later write fail at once on a busy database; immediate ones wait.
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def advice(cause: str) -> str:
    """What to do about an error of the database; begins with a semicolon."""
    if "locked" in cause:
        return "; another process is writing: stop it or try again"
    if "unable to open" in cause or "readonly" in cause:
        return "; check the path and its permissions"
    if "disk I/O" in cause or "is full" in cause:
        return "; look whether the disk is full (df -h), and make room"
    return ""
