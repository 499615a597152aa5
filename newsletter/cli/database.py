"""`db ...`: copy, back up and restore the database."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from newsletter import bootstrap, process
from newsletter.cli.console import progress, say, screen, table
from newsletter.errors import OperatorError
from newsletter.settings import SettingsError, read_settings
from newsletter.store import Store, StoreAddressError, StoreError
from newsletter.store.database import backup, copy, database_role, restore_holds

if TYPE_CHECKING:
    from datetime import datetime


def show_copy(to: str) -> int:
    source = bootstrap.open_store(read_settings())
    target = _store_of_option(to)
    if target.url == source.url:
        message = "--to names the database that is in use; name another one"
        raise SettingsError(message)
    console = screen()
    if done := copy.finished_copy(source, target):
        console.print(
            f"Done already: this database was copied to {done.place} on {done.at:%Y-%m-%d %H:%M} "
            "UTC, and nothing was copied now. Set NEWSLETTER_DATABASE_URL to that one, or stay "
            "with this one by: newsletter db reopen"
        )
        return 0
    _refuse_if_in_use(source)
    with progress(screen()) as report:
        copied = copy.copy(source, target, bootstrap.now(), report)
    console.print(table("Copied, and compared row by row", copy.CopiedTable._fields, copied))
    console.print(
        "This database sends no more mail (to undo: newsletter db reopen). Now set "
        f"NEWSLETTER_DATABASE_URL to the URL of --to ({copy.describe(target)}), and "
        "NEWSLETTER_ENGINE to dbos for more than one machine (PostgreSQL only); then "
        "start the service again."
    )
    return 0


def _store_of_option(to: str) -> Store:
    try:
        return Store(to)
    except StoreAddressError as error:
        message = f"--to: {error.fault}"
        raise SettingsError(message) from None


def show_backup(file: Path) -> int:
    store = bootstrap.open_store(read_settings())
    size = backup.save(store, file, bootstrap.now())
    say(f"{file}: {size / 2**20:,.1f} MB, complete and verified")
    return 0


def show_restore(file: Path | None, taken: datetime | None, *, nothing_sent: bool) -> int:
    """Restore a backup, or accept a database that was restored by other means."""
    store = Store(read_settings().database_url.get_secret_value())
    now = bootstrap.now()
    if taken and taken > now:
        message = f"--taken: {taken:%Y-%m-%d %H:%M} UTC is in the future"
        raise SettingsError(message)
    if file is not None:
        _refuse_if_live(store)
        taken = _replace_with_backup(store, file, taken, now)
    held = backup.activate(store, taken, now, hold=not nothing_sent)
    _say_held(held, nothing_sent=nothing_sent)
    return 0


def _replace_with_backup(
    store: Store, file: Path, taken: datetime | None, now: datetime
) -> datetime | None:
    console = screen()
    if not store.is_sqlite:
        backup.restore_postgres(store.url, file)
        console.print(f"{file} is restored")
        return taken
    said = backup.taken_at(file)
    if taken is None and said is None:
        message = f"{file} does not tell when it was taken; add --taken YYYY-MM-DDTHH:MM (in UTC)"
        raise SettingsError(message)
    aside = backup.restore_sqlite(store.url, file, now)
    kept = f"; the previous file is now {aside}" if aside else ""
    console.print(f"{file} is restored{kept}")
    return taken or said


def _say_held(held: int, *, nothing_sent: bool) -> None:
    console = screen()
    if nothing_sent:
        console.print("No mail is held: the next run continues from the backup.")
        return
    console.print(
        f"{held} waiting mails are held, and so is mail that was due before now: it may have been "
        "sent after the backup. The provider's events settle what was sent; decide about the rest "
        "with newsletter db release --sent or --resend. Unsubscribes after the backup are lost: "
        "search your web server's log for POST /unsubscribe."
    )


def show_release(*, sent: bool) -> int:
    with bootstrap.open_store(read_settings()).begin() as tx:
        number = restore_holds.release(tx, bootstrap.now(), sent=sent)
    outcome = "marked as sent" if sent else "will be sent with the next run"
    say(f"{number} held mails: {outcome}")
    return 0


def show_reopen() -> int:
    with bootstrap.open_store(read_settings()).begin() as tx:
        database_role.delete_fact(tx, database_role.DatabaseFactKind.MOVED)
    say("This database sends mail again. Make sure that its copy does not.")
    return 0


def _refuse_if_live(store: Store) -> None:
    """Skip the check if the database is missing, damaged or closed."""
    if store.is_sqlite and not Path(str(store.url.database)).exists():
        return
    with suppress(StoreError):
        store.require_schema()
        _refuse_if_in_use(store)
    store.close()


def _refuse_if_in_use(store: Store) -> None:
    with store.read() as tx:
        busy = copy.active_processes(tx, bootstrap.now(), process.is_dead)
    if busy:
        message = (
            f"{busy} (host/process) is at work with this database; stop it with SIGTERM and "
            "try again: waiting mail is sent later"
        )
        raise OperatorError(message)
