"""`db ...`: the database copied, saved and put back."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from newsletter import bootstrap, process
from newsletter.cli.console import progress, screen, table
from newsletter.errors import OperatorError
from newsletter.settings import SettingsError, read_settings
from newsletter.store import Store, StoreError, backup, copy, database_role, restore_holds

if TYPE_CHECKING:
    from datetime import datetime


def show_copy(to: str) -> int:
    source = bootstrap.open_store(read_settings())
    target = Store(to)
    if target.url == source.url:
        message = "--to names the database that is in use; name another one"
        raise SettingsError(message)
    _refuse_while_at_work(source)
    with progress(screen()) as report:
        copied = copy.copy(source, target, bootstrap.now(), report)
    console = screen()
    console.print(table("Copied, and compared row by row", copy.CopiedTable._fields, copied))
    console.print(
        "This database sends no more mail (newsletter db reopen takes that back). Now set "
        f"NEWSLETTER_DATABASE_URL to what --to names ({copy.describe(target)}), and "
        "NEWSLETTER_ENGINE to dbos if more than one machine is to work (PostgreSQL only); then "
        "start the service again."
    )
    return 0


def show_backup(file: Path) -> int:
    store = bootstrap.open_store(read_settings())
    size = backup.save(store, file, bootstrap.now())
    screen().print(f"{file}: {size / 2**20:,.1f} MB, whole and checked")
    return 0


def show_restore(file: Path | None, taken: datetime | None, *, nothing_sent: bool) -> int:
    """Put a backup in place, or take up a database that was put back by other means."""
    store = Store(read_settings().database_url.get_secret_value())
    now = bootstrap.now()
    if taken and taken > now:
        message = f"--taken: {taken:%Y-%m-%d %H:%M} UTC is yet to come"
        raise SettingsError(message)
    if file is not None:
        _refuse_a_live_one(store)
        taken = _put_back(store, file, taken, now)
    held = backup.activate(store, taken, now, hold=not nothing_sent)
    _say_held(held, nothing_sent=nothing_sent)
    return 0


def _put_back(store: Store, file: Path, taken: datetime | None, now: datetime) -> datetime | None:
    console = screen()
    if not store.is_sqlite:
        backup.restore_postgres(store.url, file)
        console.print(f"{file} is in place")
        return taken
    said = backup.taken_at(file)
    if taken is None and said is None:
        message = f"{file} does not say when it was saved; add --taken YYYY-MM-DDTHH:MM (in UTC)"
        raise SettingsError(message)
    aside = backup.restore_sqlite(store.url, file, now)
    kept = f"; what was there is now {aside}" if aside else ""
    console.print(f"{file} is in place{kept}")
    return taken or said


def _say_held(held: int, *, nothing_sent: bool) -> None:
    console = screen()
    if nothing_sent:
        console.print("Nothing is held: the next run goes on where the backup stood.")
        return
    console.print(
        f"{held} mails that were waiting are held, and so is what was due before now: they may "
        "have gone out after the backup. The provider's events settle those that did; of the rest "
        "say: newsletter db release --sent, or --resend. Who left after the backup is in it no "
        "more: look through your web server's log for POST /unsubscribe."
    )


def show_release(*, sent: bool) -> int:
    with bootstrap.open_store(read_settings()).begin() as tx:
        number = restore_holds.release(tx, bootstrap.now(), sent=sent)
    ending = "counted as sent" if sent else "to be sent with the next run"
    screen().print(f"{number} held mails: {ending}")
    return 0


def show_reopen() -> int:
    with bootstrap.open_store(read_settings()).begin() as tx:
        database_role.delete_fact(tx, database_role.DatabaseFactKind.MOVED)
    screen().print("This database sends mail again. See that its copy does not.")
    return 0


def _refuse_a_live_one(store: Store) -> None:
    """What is damaged, closed or not there can't be asked who is at work with it."""
    if store.is_sqlite and not Path(str(store.url.database)).exists():
        return
    with suppress(StoreError):
        store.require_schema()
        _refuse_while_at_work(store)
    store.close()


def _refuse_while_at_work(store: Store) -> None:
    with store.read() as tx:
        busy = copy.active_processes(tx, bootstrap.now(), process.is_dead)
    if busy:
        message = (
            f"{busy} (host/process) is at work with this database; stop it, SIGTERM ends it in "
            "order, and do it then: what waits to be sent is sent later"
        )
        raise OperatorError(message)
