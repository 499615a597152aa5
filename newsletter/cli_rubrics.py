"""`newsletter rubrics ...`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from newsletter.cli_help import WholeHelp

rubrics_app = typer.Typer(
    cls=WholeHelp,
    help="What readers want: list and check rubric files.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@rubrics_app.command("list")
def list_rubrics(
    as_json: Annotated[bool, typer.Option("--json", help="one JSON list")] = False,
) -> None:
    """Every rubric of NEWSLETTER_RUBRICS_DIR, with its cut-offs and readers."""
    from newsletter.commands.rubrics import show_rubrics

    raise typer.Exit(show_rubrics(as_json=as_json))


@rubrics_app.command("replay")
def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    days: Annotated[int, typer.Option("--days", metavar="N", min=1, max=60)] = 5,
    again: Annotated[
        bool, typer.Option("--again", help="score the newest day twice: how far do runs agree?")
    ] = False,
    labels: Annotated[
        Optional[Path],  # noqa: UP045 - Typer reads this at run time
        typer.Option("--labels", metavar="LABELS", help="compare with a labelled day (JSON lines)"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what it may cost")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for a program to read")] = False,
) -> None:
    """Score the last stored days with a changed rubric: papers gained, lost, and the cost.

    Nothing is mailed and no digest changes. What is scored is kept: adopting the rubric later
    costs nothing for these days.
    """
    from newsletter.commands.replaying import show_again, show_labels, show_replay

    if labels is not None:
        raise typer.Exit(show_labels(file, labels, as_json=as_json))
    if again:
        raise typer.Exit(show_again(file, as_json=as_json))
    raise typer.Exit(show_replay(file, days, dry_run=dry_run, as_json=as_json))


@rubrics_app.command("check")
def check(file: Annotated[Path, typer.Argument(metavar="FILE")]) -> None:
    """Read one rubric file and say what is wrong with it, line by line."""
    from newsletter.commands.rubrics import show_rubric_check

    raise typer.Exit(show_rubric_check(file))
