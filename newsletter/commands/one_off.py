"""`preview` and `test-send`: one copy, outside of everything that counts."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from newsletter import wiring
from newsletter.commands.morning import check_slug
from newsletter.copies import Copies
from newsletter.daily import Room, fetch_for, make_digest
from newsletter.links import TEST_READER
from newsletter.mailers import SendError
from newsletter.model import DayKind, Digest, Format, Subscriber
from newsletter.settings import read_settings
from newsletter.store import subscribers
from newsletter.terminal import progress, screen
from newsletter.trouble import Trouble

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path


def show_preview(rubric: str, day: date | None, out: Path, reader: str) -> int:
    settings = read_settings()
    room = wiring.build(settings)
    digest = _digest(room, rubric, day)
    copy = Copies(room.renderer, room.links, room.sender, digest).copy(
        _reader(room, rubric, reader)
    )
    text = out.with_suffix(".txt")
    try:
        out.write_text(copy.html, encoding="utf-8", newline="")
        text.write_text(copy.text, encoding="utf-8", newline="")
    except OSError as error:
        message = f"cannot write {out}: {error.strerror}"
        raise Trouble(message) from error
    _say(f"{copy.subject}\nWritten to {out} and {text}; nothing was sent.")
    return 0


def show_test_send(to: str, rubric: str, day: date | None) -> int:
    settings = read_settings()
    room = wiring.build(settings)
    check_slug(room, rubric)
    reader = Subscriber(id=TEST_READER, email=to, rubric=rubric, since=room.clock())
    digest = _digest(room, rubric, day)
    email = Copies(room.renderer, room.links, room.sender, digest).email(
        reader, uuid4().hex, room.clock(), test=True
    )
    try:
        room.mailer.send(email)
    except SendError as error:
        message = f"the test mail to {to} was not handed over: {error}"
        raise Trouble(message) from error
    _say(f"{email.subject}: sent to {to} by {settings.mailer_name}")
    return 0


def _digest(room: Room, slug: str, day: date | None) -> Digest:
    check_slug(room, slug)
    rubric = room.rubrics[slug]
    with progress(screen(errors=True)) as report:
        fetched = fetch_for(room, [rubric], day, report)
        digest = make_digest(room, rubric, fetched.date, report)
    if digest.kind is DayKind.SCORING_FAILED:
        message = f"{slug}: scoring failed, so there is nothing to show; run it again"
        raise Trouble(message)
    return digest


def _reader(room: Room, slug: str, address: str) -> Subscriber:
    """The subscriber asked for, else the first of this rubric, else the operator; links inert."""
    with room.store.read() as tx:
        found = subscribers.find(tx, address) if address else None
        if address and found is None:
            message = f"{address} is no subscriber"
            raise Trouble(message)
        first = next(iter(subscribers.active(tx, slug)), None)
    chosen = found or first
    return Subscriber(
        id=TEST_READER,
        email=chosen.email if chosen else room.settings.operator_email or "reader@example.org",
        rubric=slug,
        name=chosen.name if chosen else "",
        max_papers=chosen.max_papers if chosen else None,
        format=chosen.format if chosen else Format.FULL,
        since=chosen.since if chosen else room.clock(),
    )


def _say(text: str) -> None:
    screen().print(text)
