"""`--help` with wrapped lines: Click cuts each command's line at the terminal width."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter

NO_LIMIT = 10_000


class WrappedHelp(TyperGroup):
    """A command group whose list wraps long lines instead of cutting them."""

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, command.get_short_help_str(NO_LIMIT))
            for name, command in found
            if command is not None and not command.hidden
        ]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def sent_or_resend(sent: bool | None) -> bool:
    """Require one of the two options; the parser would name only the first as missing."""
    if sent is None:
        message = "give --sent or --resend"
        raise typer.BadParameter(message)
    return sent
