"""`subscribers ...`: who gets mail."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from newsletter import bootstrap
from newsletter.cli.console import print_json, print_raw, screen, table
from newsletter.delivery.confirmation import InvitedCount, invite_pending
from newsletter.domain.csv_header import COLUMNS, Columns
from newsletter.domain.mail import SubscriberState
from newsletter.domain.preferences import parse_address
from newsletter.domain.subscriber_csv import (
    SubscriberFile,
    SubscriberRow,
    read_row,
    read_subscribers,
    write_subscribers,
)
from newsletter.errors import OperatorError
from newsletter.settings import Settings, SettingsError, read_settings
from newsletter.store import restore_subscriber, subscribers, suppressions
from newsletter.store.subscribers import SubscriberChange

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import Connection

    from newsletter.domain.mail import Subscriber
    from newsletter.store.subscribers import ImportResult

LIVE = (SubscriberState.PENDING, SubscriberState.ACTIVE, SubscriberState.PAUSED)


class Taking(NamedTuple):
    """How rows are taken over."""

    consent: str
    dry_run: bool = False
    skip_bad: bool = False
    overwrite: bool = False


def show_import(file: Path, taking: Taking, columns: Columns) -> int:
    settings = read_settings()
    roster = _read(file, settings, columns)
    errors = screen(errors=True)
    for fault in roster.faults:
        errors.print(f"{file} {fault}")
    if roster.faults and not taking.skip_bad:
        message = (
            f"{_count_faults(len(roster.faults))} in {file}, nothing was imported; "
            "mend what is wrong, or use --skip-bad to import the other lines"
        )
        raise OperatorError(message)
    if roster.faults and not roster.rows:
        message = (
            f"{_count_faults(len(roster.faults))} in {file} and no good line, nothing was imported"
        )
        raise OperatorError(message)
    _keep(settings, roster.rows, taking, listed=taking.dry_run)
    return 0


def read_maps(maps: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """`--map COLUMN="Their Name"`, as often as it is given. Raises SettingsError.

    Without a name the file's own column of that name is not ours.
    """
    theirs: dict[str, tuple[str, ...]] = {}
    for one in maps:
        column, equals, name = (part.strip() for part in one.partition("="))
        if column not in COLUMNS or not equals:
            known = ", ".join(COLUMNS)
            message = f'--map {one!r}: write it like email="Email Address"; ours are {known}'
            raise SettingsError(message)
        theirs[column] = (*theirs.get(column, ()), *([name] if name else []))
    return theirs


def _keep(
    settings: Settings, rows: Sequence[SubscriberRow], taking: Taking, *, listed: bool
) -> None:
    """Save the rows; then ask those who are new and without consent whether they want mail."""
    # Made before anything is stored: where it can't be, nobody is left waiting for a mail.
    asked = not taking.consent.strip() and not taking.dry_run
    app = bootstrap.build_app(settings) if asked else None
    store = app.store if app else bootstrap.open_store(settings, create=True)
    with store.begin() as tx:
        trial = tx.begin_nested()
        done = subscribers.save_all(
            tx, rows, taking.consent, bootstrap.now(), overwrite=taking.overwrite
        )
        _refuse_moves(done, taking)
        if taking.dry_run:
            trial.rollback()
        else:
            trial.commit()
    _say_changes(done, taking, listed=listed)
    if app:
        _say_invited(invite_pending(app, (row.email for row in rows), bootstrap.now()))


def _refuse_moves(done: ImportResult, taking: Taking) -> None:
    """Say which rows would give a reader another rubric. Raises Trouble unless --skip-bad."""
    errors = screen(errors=True)
    for row, merged in done.refused:
        reads = merged.person.rubric
        errors.print(f"{_named(row)} reads {reads!r}, not {row.rubric!r}")
    if done.refused and not taking.skip_bad:
        message = (
            f"{_count_faults(len(done.refused))}, nothing was changed: an address has one rubric; "
            "--overwrite gives it the new one and lets the row win over what the reader chose"
        )
        raise OperatorError(message)


def _named(row: SubscriberRow) -> str:
    return f"line {row.line}: {row.email}" if row.line else row.email


def _say_invited(invited: InvitedCount) -> None:
    if invited.sent:
        _say(f"{invited.sent} asked by mail to confirm")
    if invited.trouble:
        message = (
            f"not everyone was asked to confirm: {invited.trouble}; all are stored, "
            "do the same again later to ask the others, nobody is asked twice"
        )
        raise OperatorError(message)


def _count_faults(number: int) -> str:
    return f"{number} fault{'s' if number > 1 else ''}"


def _read(file: Path, settings: Settings, columns: Columns) -> SubscriberFile:
    try:
        data = file.read_bytes()
    except OSError as error:
        message = f"cannot read {file}: {error.strerror}"
        raise OperatorError(message) from error
    known = _known_rubrics(settings)
    if columns.rubric and columns.rubric not in known:
        message = f"--rubric {columns.rubric}: not known; known are {', '.join(sorted(known))}"
        raise SettingsError(message)
    return read_subscribers(data, known, columns)


def _known_rubrics(settings: Settings) -> Collection[str]:
    """The names of all rubric files; readers of one that can't be read wait until it is mended."""
    found = bootstrap.rubrics(settings)
    for slug, faults in found.faults.items():
        wait = f"rubric {slug} can't be read, so whoever reads it gets no mail"
        screen(errors=True).print(f"newsletter: {wait}: {'; '.join(faults)}")
    return {*found, *found.faults}


def _say_changes(done: ImportResult, taking: Taking, *, listed: bool) -> None:
    counts = ", ".join(f"{done.counts[change]} {change.value}" for change in SubscriberChange)
    _say(f"{counts}{' (dry run: nothing was kept)' if taking.dry_run else ''}")
    if listed:
        for row, merged in done.notable:
            for one in merged.changes:
                _say(f"{_named(row)}: {one}")
            for one in merged.kept:
                stays = f"{one.name} stays {one.old}, as the reader chose"
                _say(f"{_named(row)}: {stays}; given was {one.new}")
    if kept := sum(len(merged.kept) for _, merged in done.notable):
        _say(f"{kept} preferences stay as their readers chose; --overwrite takes those of the file")
    if done.counts[SubscriberChange.SUPPRESSED]:
        _say(
            "Suppressed addresses left, bounced or complained before; they get no mail. "
            "If one asked to come back: newsletter subscribers restore ADDRESS --consent TEXT"
        )
    if done.counts[SubscriberChange.ADDED] and not taking.consent.strip():
        _say("They wait as pending until they confirm; --consent says that they agreed before.")


def show_export(out: str) -> int:
    """Those who get mail. A file can't say who left, and must never bring them back elsewhere."""
    with bootstrap.open_store(read_settings()).read() as tx:
        known = sum(subscribers.count_states(tx).values())
        served = sum(subscribers.count_by_rubric(tx).values())
        text = write_subscribers(subscribers.mailable(tx))
    if left_out := known - served:
        screen(errors=True).print(f"{left_out} who are pending, paused or gone are not in it")
    if out == "-":
        print_raw(text)
        return 0
    try:
        Path(out).touch(mode=0o600)
        Path(out).write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        message = f"cannot write {out}: {error.strerror}"
        raise OperatorError(message) from error
    return 0


def show_subscribers(*, as_json: bool) -> int:
    with bootstrap.open_store(read_settings()).read() as tx:
        found = list(subscribers.all_subscribers(tx))
        bounced = subscribers.bounced_because(tx)
    facts = [
        {
            "email": one.email,
            "rubric": one.rubric,
            "state": one.state.value,
            "name": one.name,
            "timezone": one.timezone or "",
            "send_at": f"{one.send_at:%H:%M}" if one.send_at else "",
            "consent": one.consent,
            "bounced": bounced.get(one.id, ""),
        }
        for one in found
    ]
    if as_json:
        wishes = [
            {
                "days": [*one.days],
                "max_papers": one.max_papers,
                "format": one.format.value,
                "chosen": [*one.chosen],
            }
            for one in found
        ]
        print_json([{**fact, **wish} for fact, wish in zip(facts, wishes, strict=True)])
    elif facts:
        screen().print(table("Subscribers", [*facts[0]], [[*fact.values()] for fact in facts]))
    else:
        _say("No subscribers yet: newsletter subscribers import FILE --consent TEXT")
    return 0


def show_add(email: str, wishes: Mapping[str, str], taking: Taking) -> int:
    """`wishes` are the cells of the columns, empty where nothing was said."""
    given = {"ADDRESS": email, "--rubric SLUG": wishes["rubric"]}
    if missing := [word for word, value in given.items() if not value.strip()]:
        message = f"{' and '.join(missing)} missing; write them behind: newsletter subscribers add"
        raise SettingsError(message)
    settings = read_settings()
    roster = read_row({"email": email, **wishes}, _known_rubrics(settings))
    if roster.faults:
        raise SettingsError("; ".join(fault.message for fault in roster.faults))
    _keep(settings, roster.rows, taking, listed=True)
    return 0


def show_pause(email: str, *, resume: bool) -> int:
    with bootstrap.open_store(read_settings()).begin() as tx:
        known = _known(tx, email)
        change = subscribers.resume if resume else subscribers.pause
        done = change(tx, known.id, "operator", bootstrap.now())
    state = "resumed" if resume else "paused"
    _say(f"{known.email}: {state}" if done else f"{known.email} is {known.state.value}: no change")
    return 0


def show_remove(email: str, *, yes: bool) -> int:
    store = bootstrap.open_store(read_settings())
    with store.read() as tx:
        known = _known(tx, email)
    if not yes and known.state in LIVE:
        _confirm(
            f"Unsubscribe {known.email} from {known.rubric!r} for good? No import brings them back."
        )
    with store.begin() as tx:
        done = subscribers.unsubscribe(tx, known.id, "operator", bootstrap.now())
    _say(f"{known.email}: {'unsubscribed for good' if done else 'had left already'}")
    return 0


def show_restore(email: str, consent: str) -> int:
    """Bring one back who left or bounced, here and at the provider."""
    if not consent.strip():
        message = "--consent TEXT is empty; say how they asked to get mail again"
        raise SettingsError(message)
    settings = read_settings()
    address, store = _address(email), bootstrap.open_store(settings)
    with store.read() as tx:
        known, reason = subscribers.find(tx, address), suppressions.reason_for(tx, address)
    if refusal := restore_subscriber.refusal_reason(known, reason):
        message = f"{address} {refusal}; no command brings it back, and nothing was changed"
        raise OperatorError(message)
    if not restore_subscriber.has_left(known, reason):
        with store.read() as tx:
            _say(f"{address} is {_known(tx, address).state.value}: no change")
        return 0
    # First there, then here: were it the other way, mail could be dropped on the provider's side.
    if lists := bootstrap.lists(settings):
        lists.free(known.email if known else address)
    with store.begin() as tx:
        if not restore_subscriber.restore(tx, address, consent.strip(), bootstrap.now()):
            message = f"{address} changed meanwhile; look at: newsletter subscribers list"
            raise OperatorError(message)
    if known:
        _say(f"{known.email}: active again, with {known.rubric!r}")
    else:
        _say(
            f"{address} may be mailed again, and is no subscriber: "
            f"newsletter subscribers add {address} --rubric SLUG --consent TEXT"
        )
    return 0


def _address(text: str) -> str:
    try:
        return parse_address(text.strip())
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _confirm(question: str) -> None:
    """Go on only after a yes. Raises Trouble."""
    screen(errors=True).print(f"{question} [y/N]", end=" ")
    answer = sys.stdin.readline()
    if answer.strip().lower() not in {"y", "yes"}:
        message = "nothing was changed; answer y, or say --yes"
        raise OperatorError(message)


def _known(tx: Connection, email: str) -> Subscriber:
    known = subscribers.find(tx, email)
    if known is None:
        message = f"{email} is no subscriber; see: newsletter subscribers list"
        raise OperatorError(message)
    return known


def _say(text: str) -> None:
    screen().print(text)
