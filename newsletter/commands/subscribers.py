"""`subscribers ...`: who gets mail."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from newsletter import wiring
from newsletter.inviting import Invited, invite_pending
from newsletter.people import Subscriber, SubscriberState
from newsletter.roster import Roster, Row, read_roster, write_roster
from newsletter.rubrics import load_all
from newsletter.settings import Settings, SettingsError, read_settings
from newsletter.store import Store, intake, subscribers
from newsletter.store.subscribers import Change
from newsletter.terminal import print_json, screen, table
from newsletter.trouble import Trouble

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

UNCONFIRMED = "import"
"""Where a pending subscriber comes from; the day it is confirmed is added to that."""


def show_import(file: Path, consent: str, *, dry_run: bool, skip_bad: bool) -> int:
    settings = read_settings()
    roster = _read(file, settings)
    errors = screen(errors=True)
    for fault in roster.faults:
        errors.print(f"{file} {fault}")
    if roster.faults and not skip_bad:
        message = (
            f"{_faults(roster)} in {file}, nothing was imported; "
            "mend what is wrong, or use --skip-bad to import the other lines"
        )
        raise Trouble(message)
    if roster.faults and not roster.rows:
        message = f"{_faults(roster)} in {file} and no good line, nothing was imported"
        raise Trouble(message)
    if dry_run:
        changes = _rehearse(wiring.open_store(settings), roster.rows, consent)
        _say_changes(changes, consent, dry_run=True)
    else:
        _keep(settings, roster.rows, consent)
    return 0


def _keep(settings: Settings, rows: Sequence[Row], consent: str) -> None:
    """Save the rows; then ask those who are new and without consent whether they want mail."""
    # Made before anything is stored: where it can't be, nobody is left waiting for a mail.
    desk = None if consent.strip() else wiring.post(settings)
    store = desk.store if desk else wiring.open_store(settings)
    with store.begin() as tx:
        changes = keep_rows(tx, rows, consent, wiring.now())
    _say_changes(changes, consent, dry_run=False)
    if desk:
        _say_invited(invite_pending(desk, (row.email for row in rows), wiring.now()))


def _say_invited(invited: Invited) -> None:
    if invited.sent:
        _say(f"{invited.sent} asked by mail to confirm")
    if invited.trouble:
        message = (
            f"not everyone was asked to confirm: {invited.trouble}; all are stored, "
            "do the same again later to ask the others, nobody is asked twice"
        )
        raise Trouble(message)


def _faults(roster: Roster) -> str:
    return f"{len(roster.faults)} fault{'s' if len(roster.faults) > 1 else ''}"


def keep_rows(tx: Connection, rows: Iterable[Row], consent: str, now: datetime) -> Counter[Change]:
    """Save each row: active with its consent, or waiting for a confirmation without."""
    return intake.save_all(tx, (of_row(row, consent, now) for row in rows), now)


def of_row(row: Row, consent: str, now: datetime) -> Subscriber:
    return Subscriber(
        id=uuid4().hex,
        email=row.email,
        rubric=row.rubric,
        name=row.name,
        timezone=row.timezone,
        send_at=row.send_at,
        days=row.days,
        max_papers=row.max_papers,
        format=row.format,
        state=SubscriberState.ACTIVE if consent.strip() else SubscriberState.PENDING,
        consent=consent.strip() or UNCONFIRMED,
        since=now,
    )


def _rehearse(store: Store, rows: Iterable[Row], consent: str) -> Counter[Change]:
    """The same import, undone at its end: its counts are those the real one will have."""
    with store.begin() as tx:
        trial = tx.begin_nested()
        changes = keep_rows(tx, rows, consent, wiring.now())
        trial.rollback()
    return changes


def _read(file: Path, settings: Settings) -> Roster:
    try:
        data = file.read_bytes()
    except OSError as error:
        message = f"cannot read {file}: {error.strerror}"
        raise Trouble(message) from error
    return read_roster(data, load_all(settings.rubrics_dir))


def _say_changes(changes: Counter[Change], consent: str, *, dry_run: bool) -> None:
    counts = ", ".join(f"{changes[change]} {change.value}" for change in Change)
    _say(f"{counts}{' (dry run: nothing was kept)' if dry_run else ''}")
    if changes[Change.SUPPRESSED]:
        _say("Suppressed addresses left, bounced or complained before; they get no mail.")
    if changes[Change.ADDED] and not consent.strip():
        _say("They wait as pending until they confirm; --consent says that they agreed before.")


def show_export(out: str) -> int:
    """Those who get mail. A file can't say who left, and must never bring them back elsewhere."""
    with wiring.open_store(read_settings()).read() as tx:
        known = sum(subscribers.count_states(tx).values())
        served = sum(subscribers.readers(tx).values())
        text = write_roster(subscribers.served(tx))
    if left_out := known - served:
        screen(errors=True).print(f"{left_out} who are pending, paused or gone are not in it")
    if out == "-":
        # UTF-8 whatever the terminal's encoding: `import` reads it back.
        sys.stdout.buffer.write(text.encode())
        return 0
    try:
        Path(out).write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        message = f"cannot write {out}: {error.strerror}"
        raise Trouble(message) from error
    return 0


def show_subscribers(*, as_json: bool) -> int:
    with wiring.open_store(read_settings()).read() as tx:
        found = list(subscribers.everyone(tx))
    facts = [
        {
            "email": one.email,
            "rubric": one.rubric,
            "state": one.state.value,
            "name": one.name,
            "timezone": one.timezone or "",
            "send_at": f"{one.send_at:%H:%M}" if one.send_at else "",
            "consent": one.consent,
        }
        for one in found
    ]
    if as_json:
        wishes = [
            {"days": [*one.days], "max_papers": one.max_papers, "format": one.format.value}
            for one in found
        ]
        print_json([{**fact, **wish} for fact, wish in zip(facts, wishes, strict=True)])
    elif facts:
        screen().print(table("Subscribers", [*facts[0]], [[*fact.values()] for fact in facts]))
    else:
        _say("No subscribers yet: newsletter subscribers import FILE --consent TEXT")
    return 0


def show_add(email: str, rubric: str, name: str, consent: str, days: str) -> int:
    given = {"ADDRESS": email, "--rubric SLUG": rubric}
    if missing := [word for word, value in given.items() if not value.strip()]:
        message = f"{' and '.join(missing)} missing; write them behind: newsletter subscribers add"
        raise SettingsError(message)
    settings = read_settings()
    roster = read_roster(
        write_roster([Subscriber("", email, rubric, name, days=(days,))]),
        load_all(settings.rubrics_dir),
    )
    if roster.faults:
        raise SettingsError("; ".join(fault.message for fault in roster.faults))
    _keep(settings, roster.rows, consent)
    return 0


def show_pause(email: str, *, resume: bool) -> int:
    with wiring.open_store(read_settings()).begin() as tx:
        known = _known(tx, email)
        change = subscribers.resume if resume else subscribers.pause
        done = change(tx, known.id, "operator", wiring.now())
    state = "resumed" if resume else "paused"
    _say(f"{known.email}: {state}" if done else f"{known.email} is {known.state.value}: no change")
    return 0


def show_remove(email: str) -> int:
    with wiring.open_store(read_settings()).begin() as tx:
        known = _known(tx, email)
        done = subscribers.unsubscribe(tx, known.id, "operator", wiring.now())
    _say(f"{known.email}: {'unsubscribed for good' if done else 'had left already'}")
    return 0


def _known(tx: Connection, email: str) -> Subscriber:
    known = subscribers.find(tx, email)
    if known is None:
        message = f"{email} is no subscriber; see: newsletter subscribers list"
        raise Trouble(message)
    return known


def _say(text: str) -> None:
    screen().print(text)
