"""The command groups: db, deliveries, replies, rubrics, subscribers. Imports nothing heavy."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Optional

import typer

from newsletter.cli.help import WrappedHelp, sent_or_resend

database_app = typer.Typer(
    cls=WrappedHelp,
    help="Copy, back up and restore the database.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _moment(text: str) -> datetime:
    """A time, in UTC unless it has an offset."""
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

    Stop the service first. A killed copy continues when started again. Afterwards this database
    sends no more mail. Leave the password out of the URL: PGPASSWORD and ~/.pgpass are read.
    """
    from newsletter.cli.database import show_copy

    raise typer.Exit(show_copy(to))


@database_app.command("backup")
def backup(file: Annotated[Path, typer.Argument(metavar="FILE")]) -> None:
    """Write a consistent backup into a new file; the service may keep running.

    PostgreSQL needs pg_dump.
    """
    from newsletter.cli.database import show_backup

    raise typer.Exit(show_backup(file))


@database_app.command("restore")
def restore(
    file: Annotated[
        Optional[Path],  # noqa: UP045 - Typer reads this at run time
        typer.Argument(metavar="[FILE]", help="default: it was restored by other means"),
    ] = None,
    taken: Annotated[
        Optional[datetime],  # noqa: UP045 - Typer reads this at run time
        typer.Option(
            "--taken",
            metavar="TIME",
            parser=_moment,
            help="when the backup was taken (UTC), if the file does not tell",
        ),
    ] = None,
    nothing_sent: Annotated[
        bool, typer.Option("--nothing-sent", help="nothing ran since the backup: hold no mail")
    ] = False,
) -> None:
    """Restore a backup, and hold mail that may have been sent since it was taken.

    Stop the service first.
    """
    from newsletter.cli.database import show_restore

    raise typer.Exit(show_restore(file, taken, nothing_sent=nothing_sent))


@database_app.command("release")
def release(
    sent: Annotated[
        Optional[bool],  # noqa: UP045 - typer reads it at run time
        typer.Option("--sent/--resend", help="they were sent, or send them now"),
    ] = None,
) -> None:
    """Decide about mail held since a restore. --resend may mail somebody twice."""
    from newsletter.cli.database import show_release

    raise typer.Exit(show_release(sent=sent_or_resend(sent)))


@database_app.command("reopen")
def reopen() -> None:
    """Send mail from this database again, although it was copied."""
    from newsletter.cli.database import show_reopen

    raise typer.Exit(show_reopen())


deliveries_app = typer.Typer(
    cls=WrappedHelp,
    help="Mails whose outcome is unknown, and digests that wait.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
replies_app = typer.Typer(
    cls=WrappedHelp,
    help="Replies that a person has to read.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
AsJson = Annotated[bool, typer.Option("--json", help="one JSON list")]


@deliveries_app.command("list")
def list_unknown(as_json: AsJson = False) -> None:
    """List mails whose outcome is unknown: the provider may have accepted them."""
    from newsletter.cli.review import show_unknown

    raise typer.Exit(show_unknown(as_json=as_json))


@deliveries_app.command("resolve")
def resolve(
    delivery_id: Annotated[str, typer.Argument(metavar="ID")],
    sent: Annotated[
        Optional[bool],  # noqa: UP045 - typer reads it at run time
        typer.Option("--sent/--resend", help="it was sent, or send it with the next run"),
    ] = None,
) -> None:
    """Record the outcome of an unknown mail. --resend may mail somebody twice."""
    from newsletter.cli.review import show_resolve

    raise typer.Exit(show_resolve(delivery_id, sent=sent_or_resend(sent)))


@deliveries_app.command("allow")
def allow(
    rubric: Annotated[str, typer.Option("--rubric", metavar="SLUG")],
    day: Annotated[
        str, typer.Option("--date", metavar="DAY", help="date of the digest, like 2025-09-25")
    ],
) -> None:
    """Send the rest of a digest that was stopped or slowed because of new addresses."""
    from newsletter.cli.review import show_allow

    raise typer.Exit(show_allow(rubric, day))


@deliveries_app.command("reports")
def reports(as_json: AsJson = False) -> None:
    """List bounce reports of 30 days that could not be parsed or matched to a mail."""
    from newsletter.cli.review import show_reports

    raise typer.Exit(show_reports(as_json=as_json))


@replies_app.command("list")
def list_replies(as_json: AsJson = False) -> None:
    """List unclear replies and personal mail, oldest first."""
    from newsletter.cli.review import show_replies

    raise typer.Exit(show_replies(as_json=as_json))


@replies_app.command("answer")
def answer(
    reply_id: Annotated[str, typer.Argument(metavar="ID", help="the first characters are enough")],
    unsubscribe: Annotated[
        bool, typer.Option("--unsubscribe", help="unsubscribe its sender")
    ] = False,
) -> None:
    """Close a reply; with --unsubscribe, unsubscribe its sender too."""
    from newsletter.cli.review import show_answer

    raise typer.Exit(show_answer(reply_id, unsubscribe=unsubscribe))


rubrics_app = typer.Typer(
    cls=WrappedHelp,
    help="List, draft, check, replay and compare rubrics.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@rubrics_app.command("list")
def list_rubrics(
    readers: Annotated[
        bool, typer.Option("--readers", help="those that readers wrote, and their cost")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON list")] = False,
) -> None:
    """List the rubrics of NEWSLETTER_RUBRICS_DIR, with cut-offs and readers."""
    from newsletter.cli.rubrics import show_reader_rubrics, show_rubrics

    raise typer.Exit((show_reader_rubrics if readers else show_rubrics)(as_json=as_json))


@rubrics_app.command("pause")
def pause_rubric(
    slug: Annotated[str, typer.Argument(metavar="SLUG", help="like own-abcdefghijkl")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="shown to the reader")],
) -> None:
    """Pause a rubric that a reader wrote: it makes no digests."""
    from newsletter.cli.rubrics import show_pause

    raise typer.Exit(show_pause(slug, reason))


@rubrics_app.command("resume")
def resume_rubric(slug: Annotated[str, typer.Argument(metavar="SLUG")]) -> None:
    """End the operator's pause of a rubric that a reader wrote."""
    from newsletter.cli.rubrics import show_resume

    raise typer.Exit(show_resume(slug))


@rubrics_app.command("replay")
def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    days: Annotated[int, typer.Option("--days", metavar="N", min=1, max=60)] = 5,
    again: Annotated[
        bool, typer.Option("--again", help="score the newest day twice and compare")
    ] = False,
    labels: Annotated[
        Optional[Path],  # noqa: UP045 - Typer reads this at run time
        typer.Option("--labels", metavar="LABELS", help="compare with a labelled day (JSON lines)"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only estimate the cost")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Score the last stored days with a changed rubric: papers gained, lost, and the cost.

    Nothing is mailed and no digest changes. Scores are stored, so adopting the rubric later
    costs nothing for these days.
    """
    from newsletter.cli.replay import show_again, show_labels, show_replay

    if labels is not None:
        raise typer.Exit(show_labels(file, labels, as_json=as_json))
    if again:
        raise typer.Exit(show_again(file, as_json=as_json))
    raise typer.Exit(show_replay(file, days, dry_run=dry_run, as_json=as_json))


@rubrics_app.command("bench")
def bench(
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    prompts: Annotated[
        list[str], typer.Option("--prompt", metavar="VERSION", help="1 or 2; repeat it to compare")
    ] = ["1", "2"],  # noqa: B006 - Typer copies it
    repeats: Annotated[
        int, typer.Option("--repeats", metavar="N", min=1, max=10, help="each in another order")
    ] = 2,
    budget_usd: Annotated[
        float, typer.Option("--budget-usd", metavar="USD", min=0, help="for all calls together")
    ] = 5.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only estimate the cost")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="skip the confirmation question")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Compare prompt versions over labelled days: recall, precision, drift, noise, cost.

    DIR holds rubric.md, and for each day papers-YYYY-MM-DD.jsonl (or .jsonl.gz) and
    labels-YYYY-MM-DD.jsonl. Answers are kept in DIR, so a repeated bench costs nothing.
    The better version becomes yours with NEWSLETTER_PROMPT_VERSION.
    """
    from newsletter.cli.rubrics_bench import show_bench

    if unknown := [one for one in prompts if one not in ("1", "2")]:
        message = f"there is no prompt version {unknown[0]}; use 1 or 2"
        raise typer.BadParameter(message)
    raise typer.Exit(
        show_bench(
            folder,
            list(dict.fromkeys(prompts)),
            repeats=repeats,
            budget_usd=budget_usd,
            dry_run=dry_run,
            yes=yes,
            as_json=as_json,
        )
    )


@rubrics_app.command("draft")
def draft(
    about: Annotated[
        str, typer.Option("--about", metavar="TEXT", help="a sentence: what you want to read about")
    ] = "",
    files: Annotated[
        Optional[list[Path]],  # noqa: UP045 - Typer reads this at run time
        typer.Option("--from", metavar="FILE", help="papers you like; repeat it for more files"),
    ] = None,
    author: Annotated[
        str, typer.Option("--author", metavar="NAME", help="always send papers by them")
    ] = "",
    categories: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--category", metavar="NAME", help="an arXiv category, like cs.LG; repeat it"),
    ] = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--out", metavar="FILE", help="a new file; default: standard output"),
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="without Claude, for nothing")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only estimate the cost")] = False,
) -> None:
    """Draft a rubric from a sentence, or from papers: BibTeX, RIS, Zotero's CSV, arXiv ids.

    With ANTHROPIC_API_KEY Claude writes the criteria, in one call whose highest price is shown.
    Without it, or with --local, the draft lists words that tell these papers from others.
    """
    from newsletter.cli.rubrics_draft import DraftOptions, show_draft

    options = DraftOptions(about, files or [], author, categories or [], out, local, dry_run)
    raise typer.Exit(show_draft(options))


@rubrics_app.command("check")
def check(file: Annotated[Path, typer.Argument(metavar="FILE")]) -> None:
    """Check one rubric file, line by line, and estimate what a day costs."""
    from newsletter.cli.rubrics import show_rubric_check

    raise typer.Exit(show_rubric_check(file))


subscribers_app = typer.Typer(
    cls=WrappedHelp,
    help="Import, export, list, add, pause, remove and restore subscribers.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Address = Annotated[str, typer.Argument(metavar="ADDRESS")]
Consent = Annotated[
    str,
    typer.Option(
        "--consent",
        metavar="TEXT",
        help="how they agreed to get mail; without it they stay pending",
    ),
]


Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="replace preferences that readers chose"),
]


@subscribers_app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV; see subscribers.example.csv")],
    consent: Consent = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="check, and list each change as old -> new")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="skip faulty lines, import the others")
    ] = False,
    overwrite: Overwrite = False,
    maps: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="COLUMN=NAME",
            help='name of a column in the file: email="Email Address"; name twice joins two',
        ),
    ] = None,
    ignore: Annotated[
        bool, typer.Option("--ignore-columns", help="ignore unknown columns")
    ] = False,
    rubric: Annotated[
        str, typer.Option("--rubric", metavar="SLUG", help="one rubric for all rows")
    ] = "",
) -> None:
    """Add or update subscribers from a CSV file.

    Every fault is reported with its line. One fault stops the import, unless --skip-bad is given.
    An absent column or an empty cell changes nothing. One row is one subscription: an address may
    stand in several rows. What an address unsubscribed from is not added again.
    """
    from newsletter.cli.subscribers import ImportOptions, read_maps, show_import
    from newsletter.domain.csv_header import Columns

    columns = Columns(read_maps(maps or ()), rubric.strip(), ignore)
    raise typer.Exit(
        show_import(file, ImportOptions(consent, dry_run, skip_bad, overwrite), columns)
    )


@subscribers_app.command("export")
def export(
    out: Annotated[str, typer.Argument(metavar="FILE", help="- for standard output")] = "-",
) -> None:
    """Write everyone who gets mail as a CSV file that `import` can read."""
    from newsletter.cli.subscribers import show_export

    raise typer.Exit(show_export(out))


@subscribers_app.command("list")
def list_all(
    as_json: Annotated[bool, typer.Option("--json", help="one JSON list")] = False,
) -> None:
    """List all subscriptions with their state."""
    from newsletter.cli.subscribers import show_subscribers

    raise typer.Exit(show_subscribers(as_json=as_json))


@subscribers_app.command("add")
def add(
    email: Address,
    rubrics: Annotated[
        list[str], typer.Option("--rubric", metavar="SLUG", help="may be given several times")
    ],
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
        str, typer.Option("--max-papers", metavar="N", help="maximum papers per email")
    ] = "",
    overwrite: Overwrite = False,
) -> None:
    """Subscribe one address to rubrics, or change the given details of its subscriptions."""
    from newsletter.cli.subscribers import ImportOptions, show_add

    cells = {
        "name": name,
        "timezone": timezone,
        "send_at": send_at,
        "days": days,
        "format": length,
        "max_papers": max_papers,
    }
    raise typer.Exit(show_add(email, rubrics, cells, ImportOptions(consent, overwrite=overwrite)))


@subscribers_app.command("pause")
def pause(
    email: Address,
    resume: Annotated[bool, typer.Option("--resume", help="end the pause")] = False,
) -> None:
    """Pause mail to a subscriber, or resume it."""
    from newsletter.cli.subscribers import show_pause

    raise typer.Exit(show_pause(email, resume=resume))


@subscribers_app.command("remove")
def remove(
    email: Address,
    rubrics: Annotated[
        list[str] | None,
        typer.Option("--rubric", metavar="SLUG", help="only these; default: all"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="skip the confirmation question")] = False,
) -> None:
    """Unsubscribe an address permanently: no import adds it again."""
    from newsletter.cli.subscribers import show_remove

    raise typer.Exit(show_remove(email, rubrics or (), yes=yes))


@subscribers_app.command("restore")
def restore_subscriber(
    email: Address,
    consent: Annotated[
        str, typer.Option("--consent", metavar="TEXT", help="how they asked to get mail again")
    ],
    rubrics: Annotated[
        list[str] | None,
        typer.Option("--rubric", metavar="SLUG", help="default: what it unsubscribed from last"),
    ] = None,
) -> None:
    """Reactivate an address that unsubscribed or bounced; never one that complained or was erased.

    It is also removed from the provider's suppression lists, which would drop the mail.
    """
    from newsletter.cli.subscribers import show_restore

    raise typer.Exit(show_restore(email, rubrics or (), consent))
