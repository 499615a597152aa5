"""`init`: from a few answers to a first real email.

    answers     options, else questions on a terminal; each is checked at once
    files       `.env` and the rubric, complete or not at all
    subscriber  the operator's own address
    test mail   if asked

Nothing is written before the last question is answered. A file that is there keeps its owner.
"""

from __future__ import annotations

import os
import secrets
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from errno import EISDIR
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from newsletter import bootstrap
from newsletter.cli import init_questions as questions
from newsletter.cli.console import say
from newsletter.cli.demo import command_name
from newsletter.cli.preview import show_test_send
from newsletter.cli.subscribers import ImportOptions, show_add
from newsletter.domain.formatting import plural
from newsletter.domain.mail import READING
from newsletter.domain.rubric_draft import draft_locally, rubric_markdown
from newsletter.errors import OperatorError, file_error
from newsletter.files import env_file
from newsletter.render.templates import template_folder
from newsletter.rubrics.file import RubricError, load, parse
from newsletter.settings import DEFAULT_PUBLIC_URL, ENV_FILE, SettingsError, read_settings
from newsletter.store import subscriptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.settings import Settings

CONSENT = "their own address, given to newsletter init"
OWN_RUBRICS = Path("rubrics")
CRON_TRIES = 3
"""Hours in which cron runs it again: an announcement may be late."""
COLUMNS = ("name", "timezone", "send_at", "days", "max_papers", "format")


@dataclass(frozen=True, slots=True)
class InitOptions:
    """The command's options; an empty one is asked for on a terminal."""

    email: str = ""
    topic: str = ""
    categories: tuple[str, ...] = ()
    mail: str = ""
    sender: str = ""
    timezone: str = ""
    send_at: str = ""
    yes: bool = False
    test_mail: bool | None = None


@dataclass(slots=True)
class Plan:
    """What will be written: settings, and the rubric's file."""

    email: str
    rubric: str
    rubric_file: Path
    rubric_text: str
    values: dict[str, str] = field(default_factory=dict)


def show_init(options: InitOptions) -> int:
    ask = questions.Asker(on_terminal=sys.stdin.isatty() and not options.yes)
    settings = read_settings()
    plan = _plan(options, settings, ask)
    if Path(ENV_FILE).exists() and not options.yes:
        changes = ", ".join(plan.values)
        if not ask.confirm(f"{ENV_FILE} exists. Set {changes} in it, and keep its other lines?"):
            say("Nothing was written.")
            return 1
    test_mail = _wants_test_mail(options, plan, ask)
    _write(plan, settings)
    _replace_topic(plan)
    show_add(plan.email, [plan.rubric], {}, ImportOptions(CONSENT))
    if test_mail:
        show_test_send(plan.email, plan.rubric, None)
    _say_next(plan, read_settings())
    return 0


def _replace_topic(plan: Plan) -> None:
    """A topic chosen later replaces the only one of before."""
    with bootstrap.open_store(read_settings(), create=True).begin() as tx:
        found = subscriptions.of_address(tx, plan.email)
        read = [one for one in found if one.state in READING]
        if len(read) == 1 and read[0].rubric != plan.rubric:
            subscriptions.move(tx, read[0].id, plan.rubric, bootstrap.now())


def _plan(options: InitOptions, settings: Settings, ask: questions.Asker) -> Plan:
    email = ask.address(options.email)
    slug, text, folder = _topic(options, settings, ask)
    values = {"NEWSLETTER_OPERATOR_EMAIL": email}
    if folder != settings.rubrics_dir:
        values["NEWSLETTER_RUBRICS_DIR"] = str(folder)
    if not settings.secret_key.get_secret_value():
        values["NEWSLETTER_SECRET_KEY"] = secrets.token_hex(32)
    sender = ask.address(options.sender, "--from") if options.sender else email
    if options.sender:
        values["NEWSLETTER_FROM_EMAIL"] = sender
    values |= ask.mail(options.mail, sender, settings, values)
    own_pages = settings.public_url != DEFAULT_PUBLIC_URL and settings.postal_address.strip()
    if values["NEWSLETTER_MAILER"] != "outbox" and not own_pages:
        values["NEWSLETTER_OPERATOR_ONLY"] = "true"
    values |= ask.key(settings, values)
    values |= ask.hour(options.timezone, options.send_at, settings)
    return Plan(email, slug, folder / f"{slug}.md", text, values)


def _topic(options: InitOptions, settings: Settings, ask: questions.Asker) -> tuple[str, str, Path]:
    """Slug, text and folder of the rubric: a shipped one, or a new one out of a sentence."""
    shipped = {path.stem: path for path in sorted(template_folder("rubrics").glob("*.md"))}
    own = settings.rubrics_dir if settings.rubrics_dir.is_dir() else OWN_RUBRICS
    titles = {slug: load(path).title for slug, path in shipped.items()}
    topic = ask.topic(options.topic, titles)
    if topic in shipped:
        if options.categories:
            message = f"--categories is for a sentence; {topic} has its own, in its file"
            raise SettingsError(message)
        file = own / f"{topic}.md"
        kept = file.read_text(encoding="utf-8") if file.exists() else ""
        return topic, kept or shipped[topic].read_text(encoding="utf-8"), own
    categories = ask.categories(options.categories)
    try:
        text = rubric_markdown(draft_locally(topic, [], [], categories))
    except ValueError as error:
        message = f"--topic: {error}"
        raise SettingsError(message) from None
    slug = _free_slug(own, text)
    try:
        parse(text, slug, f"{slug}.md")
    except RubricError as error:
        message = f"--topic: it makes no rubric: {error}"
        raise SettingsError(message) from None
    return slug, text, own


def _free_slug(folder: Path, text: str) -> str:
    """`mine`, or `mine-2` and so on where another rubric has that name."""
    for number in range(1, 1000):
        slug = f"mine-{number}" if number > 1 else "mine"
        file = folder / f"{slug}.md"
        if not file.exists() or file.read_text(encoding="utf-8") == text:
            return slug
    message = f"{folder} has too many rubrics called mine"
    raise OperatorError(message)


def _write(plan: Plan, settings: Settings) -> None:
    """Both files, or neither: they are prepared first, and put in place if the database opens."""
    env, rubric = Path(ENV_FILE), plan.rubric_file
    drafts = {one: one.with_name(f".{one.name}.{os.getpid()}") for one in (rubric, env)}
    try:
        text = {env: env_file.changed_text(env, plan.values), rubric: plan.rubric_text}
        rubric.parent.mkdir(parents=True, exist_ok=True)
        for target, draft in drafts.items():
            if target.is_dir():
                raise IsADirectoryError(EISDIR, f"{target} is a folder")
            # Before its content: the file holds secrets.
            draft.touch(mode=0o600 if target is env else 0o644)
            draft.write_text(text[target], encoding="utf-8")
            if target.exists():
                keep_owner(draft, target)
        bootstrap.open_store(settings, create=True).close()
        for target, draft in drafts.items():
            draft.replace(target)
    except (OSError, ValueError) as error:
        said = file_error(error) if isinstance(error, OSError) else str(error)
        message = f"{ENV_FILE} and {rubric} were not written: {said}"
        raise OperatorError(message) from error
    finally:
        for draft in drafts.values():
            with suppress(OSError):
                draft.unlink(missing_ok=True)
    say(f"Wrote {env} ({plural(len(plan.values), 'setting')}) and {rubric}.")


def keep_owner(draft: Path, target: Path) -> None:
    """Give `draft` the owner of `target`: the user of the service must be able to read it.

    A group of which this user is no member cannot be kept, and nothing depends on it.
    """
    before = target.stat()
    try:
        os.chown(draft, before.st_uid, before.st_gid)
    except PermissionError:
        readable_by_all = draft.stat().st_mode & stat.S_IROTH
        if before.st_uid != os.geteuid() and not readable_by_all:
            raise


def _wants_test_mail(options: InitOptions, plan: Plan, ask: questions.Asker) -> bool:
    if options.test_mail is not None:
        return options.test_mail
    if not ask.on_terminal:
        return False
    what = (
        "write today's papers to a file"
        if plan.values["NEWSLETTER_MAILER"] == "outbox"
        else (f"send today's papers to {plan.email}")
    )
    return ask.confirm(f"Shall a test mail {what} now? It takes some minutes.", default=True)


def _say_next(plan: Plan, settings: Settings) -> None:
    command, hour = command_name(), f"{settings.send_at:%H:%M}"
    say("")
    if plan.values.get("NEWSLETTER_OPERATOR_ONLY"):
        say(
            "Mail goes to you alone. For other readers: NEWSLETTER_PUBLIC_URL, "
            "NEWSLETTER_POSTAL_ADDRESS, and NEWSLETTER_OPERATOR_ONLY out of .env."
        )
    if plan.values["NEWSLETTER_MAILER"] == "outbox":
        say("Mail is written to files: after a run, open var/outbox/index.html.")
    say(f"Your rubric is {plan.rubric_file}: edit it at any time. Next:")
    for line in (
        f"{command} run      # fetch and mail the newest announcement now",
        f"{command} doctor   # check everything",
    ):
        say(f"  {line}")
    say("To keep it running, one of these:")
    for line in (
        f"{command} serve    # mails at {hour} {settings.timezone}; with the web pages",
        *_ways_to_keep_running(settings),
    ):
        say(f"  {line}")


def cron_command(called: Path) -> str:
    """How to call the program by whole paths, as crontab has a PATH of its own."""
    # Called by `python -m newsletter`: that file cannot be executed.
    if called.name == "__main__.py":
        return f"{sys.executable} -m newsletter"
    return str(called.absolute())


def _ways_to_keep_running(settings: Settings) -> Iterator[str]:
    """Lines for cron, and in a checkout, which has their files, for systemd and Docker."""
    program, here = cron_command(Path(sys.argv[0])), Path.cwd()
    machine = ZoneInfo(questions.machine_zone())
    today = bootstrap.now().astimezone(settings.zone).date()
    local = datetime.combine(today, settings.send_at, settings.zone).astimezone(machine)
    hours = f"{local.hour}-{min(local.hour + CRON_TRIES, 23)}"
    yield f"{local.minute} {hours} * * 1-5  cd {here} && {program} run    # a line of crontab -e"
    if (here / "deploy" / "newsletter.service").is_file():
        yield "systemctl enable --now newsletter    # as a service: docs/operating.md, step 1"
    if (here / "compose.yaml").is_file():
        yield "docker compose up -d    # in Docker: docs/operating.md, step 1"
