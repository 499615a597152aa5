"""`newsletter rubrics ...`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

rubrics_app = typer.Typer(
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


@rubrics_app.command("check")
def check(file: Annotated[Path, typer.Argument(metavar="FILE")]) -> None:
    """Read one rubric file and say what is wrong with it, line by line."""
    from newsletter.commands.rubrics import show_rubric_check

    raise typer.Exit(show_rubric_check(file))
