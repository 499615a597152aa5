"""`newsletter subscribers ...`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from newsletter.cli_help import WholeHelp

subscribers_app = typer.Typer(
    cls=WholeHelp,
    help="Who gets mail: import, export, list, add, pause, remove, restore.",
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


Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="let this win over what readers chose, and move them between rubrics"
    ),
]


@subscribers_app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV; see subscribers.example.csv")],
    consent: Consent = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="check, and list each change as old -> new")
    ] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="import the good lines")] = False,
    overwrite: Overwrite = False,
    maps: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="COLUMN=NAME",
            help='what the file calls a column: email="Email Address"; name twice joins two',
        ),
    ] = None,
    ignore: Annotated[
        bool, typer.Option("--ignore-columns", help="leave out columns that are not known")
    ] = False,
    rubric: Annotated[
        str, typer.Option("--rubric", metavar="SLUG", help="the rubric of the whole file")
    ] = "",
) -> None:
    """Add or update subscribers from a CSV file.

    Every fault is reported with its line. Nothing is imported unless all is well, or --skip-bad
    says so. A column that is absent, or an empty cell, changes nothing. An address that left
    stays away.
    """
    from newsletter.commands.subscribers import Taking, read_maps, show_import
    from newsletter.csv_header import Columns

    columns = Columns(read_maps(maps or ()), rubric.strip(), ignore)
    raise typer.Exit(show_import(file, Taking(consent, dry_run, skip_bad, overwrite), columns))


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
    rubrics: Annotated[list[str], typer.Option("--rubric", metavar="SLUG")],
    consent: Consent = "",
    name: Annotated[str, typer.Option("--name")] = "",
    timezone: Annotated[
        str, typer.Option("--timezone", metavar="ZONE", help="like Europe/Berlin")
    ] = "",
    send_at: Annotated[str, typer.Option("--send-at", metavar="HH:MM")] = "",
    days: Annotated[
        str, typer.Option("--days", metavar="DAYS", help="mon-fri, 'mon thu', daily or weekly")
    ] = "",
    length: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="full, brief or titles")
    ] = "",
    max_papers: Annotated[
        str, typer.Option("--max-papers", metavar="N", help="at most so many papers a mail")
    ] = "",
    overwrite: Overwrite = False,
) -> None:
    """Add one subscriber, or change what is said of one that is known."""
    from newsletter.commands.subscribers import Taking, show_add

    if len(rubrics) > 1:
        message = "an address has one rubric; give --rubric once"
        raise typer.BadParameter(message)
    wishes = {
        "rubric": rubrics[0],
        "name": name,
        "timezone": timezone,
        "send_at": send_at,
        "days": days,
        "format": length,
        "max_papers": max_papers,
    }
    raise typer.Exit(show_add(email, wishes, Taking(consent, overwrite=overwrite)))


@subscribers_app.command("pause")
def pause(
    email: Address,
    resume: Annotated[bool, typer.Option("--resume", help="end the pause")] = False,
) -> None:
    """Send nothing to this subscriber until the pause ends."""
    from newsletter.commands.subscribers import show_pause

    raise typer.Exit(show_pause(email, resume=resume))


@subscribers_app.command("remove")
def remove(
    email: Address,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Unsubscribe an address for good: no import brings it back."""
    from newsletter.commands.subscribers import show_remove

    raise typer.Exit(show_remove(email, yes=yes))


@subscribers_app.command("restore")
def restore(
    email: Address,
    consent: Annotated[
        str, typer.Option("--consent", metavar="TEXT", help="how they asked to get mail again")
    ],
) -> None:
    """Bring back an address that left or bounced; never one that complained or was erased.

    It is also taken off the provider's lists, which would drop the mail.
    """
    from newsletter.commands.subscribers import show_restore

    raise typer.Exit(show_restore(email, consent))
