"""The command line: reads words, calls one function, shows what came of it."""

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
from newsletter.cli.help import WholeHelp
from newsletter.domain.announcements import FIRST_DAY, holiday_name, is_announced

app = typer.Typer(
    cls=WholeHelp,
    help="A daily arXiv digest: every new paper scored against each subscriber's own rubric.",
    epilog="Start with: newsletter demo. Settings are environment variables; see .env.example.",
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
    """A date that an announcement can bear."""
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
        help="arXiv's announcement of that date; the newest one when left out",
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
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="and leave")
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="where all of it goes")] = Path(
        "demo-out"
    ),
) -> None:
    """The whole job on the bundled sample day: no key, no network, no service."""
    from newsletter.cli.run import show_demo

    raise typer.Exit(show_demo(out))


@app.command()
def run(
    day: Day = None,
    rubric: Annotated[
        Optional[str],  # noqa: UP045 - Typer reads this at run time
        typer.Option("--rubric", metavar="SLUG", help="only this rubric; all when left out"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="fetch, and say what it would cost; nothing is sent")
    ] = False,
    create: Annotated[
        bool, typer.Option("--create", help="even where there is no database yet")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Do this morning's job, now, for everyone active who has no mail of that digest yet.

    Running it again does nothing twice: no paper is paid for again, no mail is sent again.
    """
    from newsletter.cli.run import show_price, show_run

    if dry_run:
        raise typer.Exit(show_price(day, rubric, as_json=as_json))
    raise typer.Exit(show_run(day, rubric, as_json=as_json, create=create))


@app.command()
def serve(
    host: Annotated[str, typer.Option("--host", metavar="H")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="P", min=0, max=65535)] = 8000,
    no_web: Annotated[bool, typer.Option("--no-web", help="only the mornings")] = False,
    no_schedule: Annotated[bool, typer.Option("--no-schedule", help="only the pages")] = False,
    no_work: Annotated[
        bool, typer.Option("--no-work", help="plan, and leave the work to newsletter worker")
    ] = False,
) -> None:
    """Run for good: each reader's mail at his own hour, and the pages. SIGTERM ends it in order."""
    from newsletter.cli.serve import show_serve

    status = show_serve(host, port, web=not no_web, schedule=not no_schedule, work=not no_work)
    raise typer.Exit(status)


@app.command()
def worker(
    name: Annotated[
        str, typer.Option("--id", metavar="NAME", help="no two alike; of the host when left out")
    ] = "",
    host: Annotated[str, typer.Option("--host", metavar="H")] = "127.0.0.1",
    port: Annotated[
        Optional[int],  # noqa: UP045 - Typer reads this at run time
        typer.Option(
            "--port", metavar="P", min=0, max=65535, help="8001, or where that is taken any"
        ),
    ] = None,
) -> None:
    """One more machine that does what serve plans. Needs NEWSLETTER_ENGINE=dbos and PostgreSQL."""
    from newsletter.cli.worker import show_worker

    raise typer.Exit(show_worker(host, port, name))


@app.command()
def preview(
    rubric: Slug,
    day: Day = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE")] = Path("preview.html"),
    reader: Annotated[
        str, typer.Option("--for", metavar="ADDRESS", help="a subscriber; the first when left out")
    ] = "",
    fresh: Annotated[
        bool, typer.Option("--fresh", help="as the rubric file is now, if the day has its digest")
    ] = False,
) -> None:
    """Write the HTML that would be sent, byte for byte, with links that do nothing.

    The text part goes beside it, with the ending .txt. Papers that were not scored yet are scored
    (and paid for once); nothing is sent.
    """
    from newsletter.cli.preview import show_preview

    raise typer.Exit(show_preview(rubric, day, out, reader, fresh=fresh))


@app.command("test-send")
def send_test(
    to: Annotated[str, typer.Option("--to", metavar="ADDRESS", help="who gets it, nobody else")],
    rubric: Slug,
    day: Day = None,
) -> None:
    """Send one digest to one address, marked [TEST].

    It touches no delivery, no figure and no archive, and its links do nothing.
    """
    from newsletter.cli.preview import show_test_send

    raise typer.Exit(show_test_send(to, rubric, day))


@app.command()
def status(as_json: AsJson = False) -> None:
    """The last digests, deliveries by state, cost to date, and what needs a hand."""
    from newsletter.cli.status import show_status

    raise typer.Exit(show_status(as_json=as_json))


@app.command()
def migrate() -> None:
    """Bring the database's schema up to date."""
    from newsletter.cli.status import show_migrate

    raise typer.Exit(show_migrate())


@app.command()
def doctor(
    offline: Annotated[
        bool, typer.Option("--offline", help="only what can be seen on this machine")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Every setting, key, DNS record, table and door, with the fix. Changes and costs nothing.

    Ends with 0 when all is well or only warned of, 1 when something fails, 2 when settings are
    wrong.
    """
    from newsletter.cli.doctor import show_doctor

    raise typer.Exit(show_doctor(offline=offline, as_json=as_json))
