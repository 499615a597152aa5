"""`newsletter deliveries ...` and `newsletter replies ...`: what only a person can decide."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from newsletter.cli_help import WholeHelp, sent_or_resend

deliveries_app = typer.Typer(
    cls=WholeHelp,
    help="Mails of which nobody knows whether they went out, and mailings that wait.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
replies_app = typer.Typer(
    cls=WholeHelp,
    help="Replies that a person has to read.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
AsJson = Annotated[bool, typer.Option("--json", help="one JSON list")]


@deliveries_app.command("list")
def list_doubts(as_json: AsJson = False) -> None:
    """The mails in doubt: the provider may have taken them before the answer was lost."""
    from newsletter.commands.desk import show_doubts

    raise typer.Exit(show_doubts(as_json=as_json))


@deliveries_app.command("resolve")
def resolve(
    delivery_id: Annotated[str, typer.Argument(metavar="ID")],
    sent: Annotated[
        Optional[bool],  # noqa: UP045 - typer reads it at run time
        typer.Option("--sent/--resend", help="it did go out, or send it with the next run"),
    ] = None,
) -> None:
    """Say what became of a mail in doubt. --resend may mail somebody twice: be sure."""
    from newsletter.commands.desk import show_resolve

    raise typer.Exit(show_resolve(delivery_id, sent=sent_or_resend(sent)))


@deliveries_app.command("allow")
def allow(
    rubric: Annotated[str, typer.Option("--rubric", metavar="SLUG")],
    day: Annotated[str, typer.Option("--date", metavar="DAY", help="of the digest: 2025-09-25")],
) -> None:
    """Mail the rest of a digest that stopped itself, or goes slowly, because of new addresses."""
    from newsletter.commands.desk import show_allow

    raise typer.Exit(show_allow(rubric, day))


@deliveries_app.command("reports")
def reports(as_json: AsJson = False) -> None:
    """Reports of mail servers in 30 days that nobody could read, or about no known mail."""
    from newsletter.commands.desk import show_reports

    raise typer.Exit(show_reports(as_json=as_json))


@replies_app.command("list")
def list_replies(as_json: AsJson = False) -> None:
    """Replies that were not clear, and letters to the sender, the oldest first."""
    from newsletter.commands.desk import show_replies

    raise typer.Exit(show_replies(as_json=as_json))


@replies_app.command("answer")
def answer(
    reply_id: Annotated[str, typer.Argument(metavar="ID", help="its beginning is enough")],
    unsubscribe: Annotated[
        bool, typer.Option("--unsubscribe", help="it did ask to leave: unsubscribe its sender")
    ] = False,
) -> None:
    """Take a reply off the list: as dealt with, or as the wish to leave that it was."""
    from newsletter.commands.desk import show_answer

    raise typer.Exit(show_answer(reply_id, unsubscribe=unsubscribe))
