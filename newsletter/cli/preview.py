"""`preview` and `test-send`: one copy of a digest, which records nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsletter import bootstrap
from newsletter.cli.console import progress, say, screen
from newsletter.cli.run import check_slug, say_older
from newsletter.domain.links import TEST_READER
from newsletter.domain.mail import Format, Subscription
from newsletter.domain.preferences import parse_address
from newsletter.errors import OperatorError, file_error
from newsletter.jobs.daily import fetch_papers, read_day
from newsletter.jobs.edited_rubric import fresh_digest
from newsletter.jobs.tasks import make_digest
from newsletter.operations import send_test
from newsletter.settings import SettingsError, read_settings
from newsletter.store import subscriptions

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from newsletter.context import App
    from newsletter.domain.model import Digest


def show_preview(rubric: str, day: date | None, out: Path, reader: str, *, fresh: bool) -> int:
    settings = read_settings()
    if settings.scorer_name != "local":
        # Paid scores are kept, so they need a database that stays.
        return _preview(
            bootstrap.build_app(settings, create=False), rubric, day, out, reader, fresh=fresh
        )
    with bootstrap.temporary_database(settings) as trial:
        return _preview(bootstrap.build_app(trial), rubric, day, out, reader, fresh=fresh)


def _preview(
    app: App, rubric: str, day: date | None, out: Path, reader: str, *, fresh: bool
) -> int:
    text = _text_path(out)
    check_slug(app, rubric)
    # Before the papers are paid for.
    recipient = _reader(app, rubric, reader)
    digest = _digest(app, rubric, day, fresh=fresh)
    copy = send_test.personalizer(app, digest).personalize(recipient)
    try:
        out.write_text(copy.html, encoding="utf-8", newline="")
        text.write_text(copy.text, encoding="utf-8", newline="")
    except OSError as error:
        message = f"cannot write {file_error(error)}"
        raise OperatorError(message) from error
    say(f"{copy.subject}\nWritten to {out} and {text}; nothing was sent.")
    return 0


def _text_path(out: Path) -> Path:
    """Path of the text part. Raises SettingsError if `out` cannot be the HTML file."""
    if not out.name or out.is_dir() or out.suffix == ".txt":
        message = f"--out {out}: name a file for the HTML, like preview.html; text goes beside it"
        raise SettingsError(message)
    return out.with_suffix(".txt")


def show_test_send(to: str, rubric: str, day: date | None) -> int:
    settings = read_settings()
    try:
        to = parse_address(to)
    except ValueError as error:
        message = f"--to: {error}"
        raise SettingsError(message) from None
    app = bootstrap.build_app(settings)
    check_slug(app, rubric)
    with app.store.read() as tx:
        send_test.refuse_suppressed(tx, to, settings.operator_email)
    email = send_test.build(app, _digest(app, rubric, day), send_test.reader_for(app, rubric, to))
    say(send_test.send(app, email))
    return 0


def _digest(app: App, slug: str, day: date | None, *, fresh: bool = False) -> Digest:
    check_slug(app, slug)
    make = fresh_digest if fresh else make_digest
    with progress(screen(errors=True)) as report:
        state = read_day(app, day, slug)
        fetch_papers(app, state, day, report)
        [rubric] = state.rubrics
        digest, problem, _ = make(app, rubric, state.date, report)
    if problem:
        message = f"{slug}: no digest to show: {problem}"
        raise OperatorError(message)
    say_older(app, rubric, digest)
    return digest


def _reader(app: App, slug: str, address: str) -> Subscription:
    """The subscriber asked for, else the first of this rubric, else the operator; links inert."""
    with app.store.read() as tx:
        found = subscriptions.find(tx, address) if address else None
        if address and found is None:
            message = f"{address} is no subscriber; see: newsletter subscribers list"
            raise OperatorError(message)
        first = next(subscriptions.mailable(tx, slug), None)
    chosen = found or first
    return Subscription(
        id=TEST_READER,
        email=chosen.email if chosen else app.settings.operator_email or "reader@example.org",
        rubric=slug,
        name=chosen.name if chosen else "",
        max_papers=chosen.max_papers if chosen else None,
        format=chosen.format if chosen else Format.FULL,
        since=chosen.since if chosen else app.clock(),
    )
