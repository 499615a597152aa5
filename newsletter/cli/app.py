"""The top-level commands: options, help texts, and a call. Imports nothing heavy."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Optional

import typer

from newsletter import __version__
from newsletter.cli.groups import (
    database_app,
    deliveries_app,
    replies_app,
    rubrics_app,
    subscribers_app,
)
from newsletter.cli.help import WrappedHelp
from newsletter.domain.announcements import FIRST_DAY, holiday_name, is_announced

app = typer.Typer(
    cls=WrappedHelp,
    help="A daily arXiv digest: every new paper scored against each subscriber's own rubric.",
    epilog="Start with: newsletter demo, then newsletter init. Settings: see .env.example.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(subscribers_app, name="subscribers")
app.add_typer(rubrics_app, name="rubrics")
app.add_typer(deliveries_app, name="deliveries")
app.add_typer(replies_app, name="replies")
app.add_typer(database_app, name="db")


def _day(text: str) -> date:
    """A date on which arXiv announces papers."""
    try:
        day = datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a date has no zone
    except ValueError:
        message = f"{text} is not a date like 2025-09-23"
        raise typer.BadParameter(message) from None
    if day < FIRST_DAY:
        message = f"{day} was before arXiv, which began on {FIRST_DAY}"
        raise typer.BadParameter(message)
    if not is_announced(day):
        rule = f"arXiv announces nothing ({holiday_name(day)})" if holiday_name(day) else ""
        message = f"{day} is a {day:%A}: {rule or 'arXiv announces Monday to Friday'}"
        raise typer.BadParameter(message)
    return day


Day = Annotated[
    Optional[date],  # noqa: UP045 - Typer reads this at run time
    typer.Option(
        "--date",
        metavar="YYYY-MM-DD",
        parser=_day,
        help="date of the announcement; default: the newest",
    ),
]
Slug = Annotated[str, typer.Option("--rubric", metavar="SLUG", help="the rubric, by file name")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON object on standard output")]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"newsletter {__version__}")
        raise typer.Exit


@app.callback()
def newsletter(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="show the version"),
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="output folder")] = Path(
        "demo-out"
    ),
    local: Annotated[
        bool, typer.Option("--local", help="rank the papers by their words, as without a key")
    ] = False,
) -> None:
    """Run everything on the bundled sample day: no key, no network, no service.

    Papers, scores and reasons are samples, written by hand.
    """
    from newsletter.cli.demo import show_demo

    raise typer.Exit(show_demo(out, local=local))


@app.command()
def init(
    email: Annotated[str, typer.Option("--email", metavar="ADDRESS", help="your address")] = "",
    topic: Annotated[
        str,
        typer.Option("--topic", metavar="TEXT", help="a shipped rubric's name, or a sentence"),
    ] = "",
    categories: Annotated[
        str,
        typer.Option("--categories", metavar="LIST", help="for a sentence, like cs.LG,cs.CL"),
    ] = "",
    mail: Annotated[
        str,
        typer.Option(
            "--mail",
            metavar="WAY",
            help="files, smtp or sendgrid; its secret is taken "
            "from NEWSLETTER_SMTP_URL or SENDGRID_API_KEY",
        ),
    ] = "",
    sender: Annotated[
        str, typer.Option("--from", metavar="ADDRESS", help="the sender; default: your address")
    ] = "",
    timezone: Annotated[
        str,
        typer.Option("--timezone", metavar="ZONE", help="default: the zone of this machine"),
    ] = "",
    send_at: Annotated[
        str, typer.Option("--send-at", metavar="HH:MM", help="when to mail; default: 07:00")
    ] = "",
    test_mail: Annotated[
        Optional[bool],  # noqa: UP045 - Typer reads this at run time
        typer.Option("--test-mail/--no-test-mail", help="send today's papers now"),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="ask nothing; change settings in an existing .env")
    ] = False,
) -> None:
    """Set up a first real email: asks what it needs, writes .env and a rubric.

    The key of Claude is taken from ANTHROPIC_API_KEY, or asked for; it works without.
    """
    from newsletter.cli.init import InitOptions, show_init

    names = tuple(categories.replace(",", " ").split())
    options = InitOptions(
        *(email, topic, names, mail, sender, timezone, send_at), yes=yes, test_mail=test_mail
    )
    raise typer.Exit(show_init(options))


@app.command()
def run(
    day: Day = None,
    rubric: Annotated[
        Optional[str],  # noqa: UP045 - Typer reads this at run time
        typer.Option("--rubric", metavar="SLUG", help="only this rubric; default: all"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="fetch and estimate the cost; score and send nothing")
    ] = False,
    create: Annotated[
        bool, typer.Option("--create", help="create the database if there is none")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch, score and mail one announcement to every active reader who has not got it.

    Safe to repeat: no paper is paid for again, no mail is sent again.
    """
    from newsletter.cli.run import show_price, show_run

    if dry_run:
        raise typer.Exit(show_price(day, rubric, as_json=as_json))
    raise typer.Exit(show_run(day, rubric, as_json=as_json, create=create))


@app.command()
def serve(
    host: Annotated[str, typer.Option("--host", metavar="H")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="P", min=0, max=65535)] = 8000,
    no_web: Annotated[bool, typer.Option("--no-web", help="schedule only, no web pages")] = False,
    no_schedule: Annotated[
        bool, typer.Option("--no-schedule", help="web pages only, no schedule")
    ] = False,
    no_work: Annotated[
        bool, typer.Option("--no-work", help="plan only; newsletter worker runs the tasks")
    ] = False,
) -> None:
    """Run the schedule and the web pages until SIGTERM: mail at each reader's own hour."""
    from newsletter.cli.serve import show_serve

    status = show_serve(host, port, web=not no_web, schedule=not no_schedule, work=not no_work)
    raise typer.Exit(status)


@app.command()
def worker(
    name: Annotated[
        str, typer.Option("--id", metavar="NAME", help="unique name; default: host and process")
    ] = "",
    host: Annotated[str, typer.Option("--host", metavar="H")] = "127.0.0.1",
    port: Annotated[
        Optional[int],  # noqa: UP045 - Typer reads this at run time
        typer.Option(
            "--port", metavar="P", min=0, max=65535, help="default: 8001, or any free port"
        ),
    ] = None,
) -> None:
    """Run tasks that serve plans. Needs NEWSLETTER_ENGINE=dbos and PostgreSQL."""
    from newsletter.cli.worker import show_worker

    raise typer.Exit(show_worker(host, port, name))


@app.command()
def preview(
    rubric: Slug,
    day: Day = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE")] = Path("preview.html"),
    reader: Annotated[
        str,
        typer.Option("--for", metavar="ADDRESS", help="for this subscriber; default: the first"),
    ] = "",
    fresh: Annotated[
        bool, typer.Option("--fresh", help="use the rubric file as it is now")
    ] = False,
) -> None:
    """Write the HTML that would be sent, byte for byte, with links that do nothing.

    The text part is written beside it as .txt. Papers without a score are scored (and paid for
    once); nothing is sent.
    """
    from newsletter.cli.preview import show_preview

    raise typer.Exit(show_preview(rubric, day, out, reader, fresh=fresh))


@app.command("test-send")
def send_test(
    to: Annotated[str, typer.Option("--to", metavar="ADDRESS", help="the only recipient")],
    rubric: Slug,
    day: Day = None,
) -> None:
    """Send one digest to one address, marked [TEST].

    Nothing is recorded, and its links do nothing.
    """
    from newsletter.cli.preview import show_test_send

    raise typer.Exit(show_test_send(to, rubric, day))


@app.command("why")
def explain_paper(
    paper: Annotated[str, typer.Argument(metavar="PAPER", help="an arXiv id, or a title")],
    rubric: Annotated[
        Optional[str],  # noqa: UP045 - Typer reads this at run time
        typer.Option("--rubric", metavar="SLUG", help="only this rubric; default: all"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what became of a paper: picked, near miss, excluded, not read; and why."""
    from newsletter.cli.why import show_why

    raise typer.Exit(show_why(paper, rubric, as_json=as_json))


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show open alerts, the last digests, deliveries by state, cost, and actions needed."""
    from newsletter.cli.status import show_status

    raise typer.Exit(show_status(as_json=as_json))


@app.command()
def migrate() -> None:
    """Migrate the database schema."""
    from newsletter.cli.status import show_migrate

    raise typer.Exit(show_migrate())


@app.command()
def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="local checks only")] = False,
    as_json: AsJson = False,
) -> None:
    """Check settings, keys, DNS, database and webhooks. Changes and costs nothing.

    Exit status: 0 passed, perhaps with warnings; 1 failed; 2 wrong settings.
    """
    from newsletter.cli.doctor import show_doctor

    raise typer.Exit(show_doctor(offline=offline, as_json=as_json))
