"""`newsletter subscribers ...`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

subscribers_app = typer.Typer(
    help="Who gets mail: import, export, list, add, pause, remove.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Address = Annotated[str, typer.Argument(metavar="ADDRESS")]
Consent = Annotated[
    str,
    typer.Option(
        "--consent",
        metavar="TEXT",
        help="how they agreed to get mail; without it they wait as pending",
    ),
]


@subscribers_app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV; see subscribers.example.csv")],
    consent: Consent = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check and count only")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="import the good lines")] = False,
) -> None:
    """Add or update subscribers from a CSV file.

    Every fault is reported with its line. Nothing is imported unless all is well, or --skip-bad
    says so. An address that left stays away.
    """
    from newsletter.commands.subscribers import show_import

    raise typer.Exit(show_import(file, consent, dry_run=dry_run, skip_bad=skip_bad))


@subscribers_app.command("export")
def export(
    out: Annotated[str, typer.Argument(metavar="FILE", help="- for standard output")] = "-",
) -> None:
    """Write all subscribers as a CSV file that `import` reads back."""
    from newsletter.commands.subscribers import show_export

    raise typer.Exit(show_export(out))


@subscribers_app.command("list")
def list_all(
    as_json: Annotated[bool, typer.Option("--json", help="one JSON list")] = False,
) -> None:
    """All subscribers with their state."""
    from newsletter.commands.subscribers import show_subscribers

    raise typer.Exit(show_subscribers(as_json=as_json))


@subscribers_app.command("add")
def add(
    email: Address,
    rubric: Annotated[str, typer.Option("--rubric", metavar="SLUG")],
    consent: Consent = "",
    name: Annotated[str, typer.Option("--name")] = "",
    days: Annotated[
        str, typer.Option("--days", metavar="DAYS", help="mon-fri, 'mon thu', daily or weekly")
    ] = "daily",
) -> None:
    """Add one subscriber."""
    from newsletter.commands.subscribers import show_add

    raise typer.Exit(show_add(email, rubric, name, consent, days))


@subscribers_app.command("pause")
def pause(
    email: Address,
    resume: Annotated[bool, typer.Option("--resume", help="end the pause")] = False,
) -> None:
    """Send nothing to this subscriber until the pause ends."""
    from newsletter.commands.subscribers import show_pause

    raise typer.Exit(show_pause(email, resume=resume))


@subscribers_app.command("remove")
def remove(email: Address) -> None:
    """Unsubscribe an address for good: no import brings it back."""
    from newsletter.commands.subscribers import show_remove

    raise typer.Exit(show_remove(email))
