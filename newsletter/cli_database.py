"""`newsletter db ...`: the database copied, saved and put back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Optional

import typer

from newsletter.cli_help import WholeHelp, sent_or_resend

database_app = typer.Typer(
    cls=WholeHelp,
    help="The database copied, saved and put back.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _moment(text: str) -> datetime:
    """A time; UTC unless it says otherwise."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text} is not a time like 2025-09-23T05:00"
        raise typer.BadParameter(message) from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


@database_app.command("copy")
def copy(
    to: Annotated[str, typer.Option("--to", metavar="URL", help="an empty database")],
) -> None:
    """Copy everything into another, empty database, SQLite or PostgreSQL, and compare each row.

    Stop the service first. Killed, it goes on when it is started again. Afterwards this database
    sends no more mail. Leave the password out of the URL: PGPASSWORD and ~/.pgpass are read.
    """
    from newsletter.commands.moving import show_copy

    raise typer.Exit(show_copy(to))


@database_app.command("backup")
def backup(file: Annotated[Path, typer.Argument(metavar="FILE")]) -> None:
    """Save one consistent moment of the database into a new file, while the service works.

    SQLite by itself, PostgreSQL by pg_dump.
    """
    from newsletter.commands.moving import show_backup

    raise typer.Exit(show_backup(file))


@database_app.command("restore")
def restore(
    file: Annotated[
        Optional[Path],  # noqa: UP045 - Typer reads this at run time
        typer.Argument(metavar="[FILE]", help="left out: it was put back by other means"),
    ] = None,
    taken: Annotated[
        Optional[datetime],  # noqa: UP045 - Typer reads this at run time
        typer.Option(
            "--taken",
            metavar="TIME",
            parser=_moment,
            help="when the backup was taken (UTC), if it does not say so itself",
        ),
    ] = None,
    nothing_sent: Annotated[
        bool, typer.Option("--nothing-sent", help="nothing has run since the backup: hold nothing")
    ] = False,
) -> None:
    """Put a backup in place, and hold what may have been mailed since it was taken.

    Stop the service first.
    """
    from newsletter.commands.moving import show_restore

    raise typer.Exit(show_restore(file, taken, nothing_sent=nothing_sent))


@database_app.command("release")
def release(
    sent: Annotated[
        Optional[bool],  # noqa: UP045 - typer reads it at run time
        typer.Option("--sent/--resend", help="they did go out, or send them now"),
    ] = None,
) -> None:
    """Say what became of the mails held since a restore. --resend may mail somebody twice."""
    from newsletter.commands.moving import show_release

    raise typer.Exit(show_release(sent=sent_or_resend(sent)))


@database_app.command("reopen")
def reopen() -> None:
    """Send mail from this database again, although it was copied away."""
    from newsletter.commands.moving import show_reopen

    raise typer.Exit(show_reopen())
