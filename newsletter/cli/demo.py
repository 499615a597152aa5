"""`demo`: the sample day for two readers, written as files: mails, web pages and an index."""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import SecretStr

from newsletter import bootstrap
from newsletter.cli.console import screen, table
from newsletter.cli.run import facts_of, report_failures, run_day
from newsletter.context import no_progress
from newsletter.domain.announcements import announcement
from newsletter.domain.formatting import dollars, long_date
from newsletter.domain.sanitize import clean
from newsletter.domain.subscriber_csv import read_subscribers
from newsletter.errors import OperatorError, file_error
from newsletter.ingest.mailed_papers import check_metadata
from newsletter.jobs.daily import fetch_papers, read_day, score_and_compose
from newsletter.render.templates import template_folder
from newsletter.rubrics.folder import faults_of
from newsletter.settings import DEFAULT_PUBLIC_URL, Settings
from newsletter.sources import sample
from newsletter.store import subscriber_import, subscriptions
from newsletter.web.app import create_app
from newsletter.web.context import Site
from newsletter.web.export import PageExport, relink

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from rich.console import Console

    from newsletter.context import App
    from newsletter.domain.model import Digest
    from newsletter.jobs.daily import DailyRun

SUBSCRIBERS = b"""email,rubric,name,timezone,send_at,days,max_papers,format
ada@example.org,foundation-models,Ada,Europe/Berlin,07:00,mon-fri,,full
henrietta@example.org,my-first-rubric,Henrietta,America/New_York,06:30,daily,20,full
"""
SUBSCRIBED = datetime.combine(sample.DAY - timedelta(days=30), time(9), UTC)
HEADINGS = ("rubric", "announced", "read", "picked", "near misses", "tokens", "cost")
KEY = "the key of the demo signs links that only lead to its files"
ON_ARXIV = re.compile(
    r"https?://(?:(?:[a-z.]*\.)?arxiv\.org/.*?|doi\.org/10\.48550/arxiv\.)(\d{4}\.\d{5})",
    re.IGNORECASE,
)
PAPERS, NOTICE = "papers.html", "notice.html"


@dataclass(frozen=True, slots=True)
class SampleMail:
    """A mail as it was written, and the issue that it holds."""

    reader: str
    file: str
    subject: str
    html: str
    text: str
    digest: Digest
    archive: str


def show_demo(out: Path, *, local: bool) -> int:
    """The sample day for two example subscribers, all in one folder."""
    with TemporaryDirectory() as work:
        app = bootstrap.build_app(_settings(Path(work), "local" if local else "sample"))
        known = {*app.rubrics, *faults_of(app.rubrics)}
        readers = read_subscribers(SUBSCRIBERS, known).rows
        with app.store.begin() as tx:
            subscriber_import.save_all(tx, readers, "example subscribers of the demo", SUBSCRIBED)
        _make_earlier_issue(app)
        app = _on(app, sample.DAY)
        daily_run = run_day(app, None, None, as_json=False)
        if status := report_failures(daily_run):
            return status
        try:
            _write(out, app, _mails(app, daily_run), local=local)
        except OSError as error:
            message = f"cannot write: {file_error(error)}; name another folder with --out"
            raise OperatorError(message) from error
        app.store.close()
    _show(screen(), daily_run, out, local=local)
    return 0


def _make_earlier_issue(app: App) -> None:
    """Make the issue of the earlier day, and ask what became of its papers since; mail nothing."""
    then = _on(app, sample.EARLIER)
    state = read_day(then, sample.EARLIER)
    fetch_papers(then, state, sample.EARLIER, no_progress)
    score_and_compose(then, state, no_progress)
    check_metadata(app.store, app.source, _on(app, sample.DAY).clock, lambda: True, 1)


def _on(app: App, day: date) -> App:
    """The service as it is in the morning of a day."""
    morning = announcement(day).public_from + timedelta(hours=5)
    return replace(app, clock=lambda: morning)


def _settings(work: Path, scorer: str) -> Settings:
    return Settings(
        _env_file=None,
        database_url=SecretStr(f"sqlite:///{work / 'newsletter.db'}"),
        source="sample",
        scorer=scorer,
        mailer="outbox",
        outbox_dir=work / "outbox",
        rubrics_dir=template_folder("rubrics"),
        from_name="arXiv digest (sample)",
        from_email="digest@example.org",
        postal_address="arXiv digest demo, 1 Example Street, 12345 Exampleton",
        public_url=DEFAULT_PUBLIC_URL,
        secret_key=SecretStr(KEY),
    )


def _mails(app: App, daily_run: DailyRun) -> list[SampleMail]:
    """The mails of the outbox, the fullest first."""
    digests = {result.rubric.slug: result.digest for result in daily_run.results}
    made = []
    with app.store.read() as tx:
        readers = [one for slug in digests for one in subscriptions.mailable(tx, slug)]
    for reader in readers:
        [path] = app.settings.outbox_dir.glob(f"{reader.email.replace('@', '-')}-*.eml")
        message = message_from_bytes(path.read_bytes(), policy=default)
        text = message.get_body(("plain",))
        if text is None or (digest := digests[reader.rubric]) is None:
            continue
        made.append(
            SampleMail(
                reader.name,
                f"mail/{reader.name.lower()}.html",
                str(message["subject"]),
                path.with_suffix(".html").read_text(encoding="utf-8"),
                text.get_content(),
                digest,
                urlsplit(app.links.issue_url(digest.rubric, digest.date)).path,
            )
        )
    return sorted(made, key=lambda mail: -len(mail.digest.picks))


def _write(out: Path, app: App, mails: Sequence[SampleMail], *, local: bool) -> None:
    public = app.settings.public_url
    linked = re.compile(re.escape(public) + r"(/[\w./-]*)")
    paths = ["/", *(found for mail in mails for found in linked.findall(mail.html))]
    pages = PageExport(create_app(Site(app)), dict.fromkeys(paths))
    links = _FileLinks(pages, public)
    written = {f"web/{name}": content for name, content in pages.files.items()}
    written |= {mail.file: mail.html.encode() for mail in mails}
    for name, content in written.items():
        file = out / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix in {".html", ".xml"}:
            content = links.in_file(name, content.decode()).encode()  # noqa: PLW2901 - with its links
        file.write_bytes(content)
    templates = Environment(
        loader=FileSystemLoader(template_folder("demo")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: clean(value) if isinstance(value, str) else value,
    )
    templates.filters["long_date"] = long_date
    values = {
        "mails": mails,
        "page": lambda path: f"web/{pages.file_of(path)}",
        "papers": sample.read(),
        "earlier": sample.read_earlier(),
        "earlier_day": sample.EARLIER,
        "local": local,
        "day": sample.DAY,
        "command": command_name(),
    }
    for name in ("index.html", PAPERS, NOTICE):
        (out / name).write_text(templates.get_template(name).render(values), encoding="utf-8")


class _FileLinks:
    """Where the links of mails and pages lead in the folder of the demo."""

    def __init__(self, pages: PageExport, public_url: str) -> None:
        self._pages, self._public_url = pages, public_url

    def in_file(self, name: str, text: str) -> str:
        folder = PurePosixPath(name).parent
        return relink(text, lambda attribute, url: self._target(str(folder), attribute, url))

    def _target(self, folder: str, attribute: str, url: str) -> str:
        if paper := ON_ARXIV.match(url):
            return os.path.relpath(PAPERS, folder) + f"#{paper[1]}"
        if url.startswith("mailto:") or attribute == "action":
            return os.path.relpath(NOTICE, folder)
        path = url.removeprefix(self._public_url)
        if not path.startswith("/"):
            return url
        parts = urlsplit(path)
        file = self._pages.file_of(parts.path)
        if file not in self._pages.files:
            return os.path.relpath(NOTICE, folder)
        # A page with a query is not among the files; the one without may have other anchors.
        anchor = f"#{parts.fragment}" if parts.fragment and not parts.query else ""
        return os.path.relpath(f"web/{file}", folder) + anchor


def _show(console: Console, daily_run: DailyRun, out: Path, *, local: bool) -> None:
    how = "ranked by words, no scores" if local else "scores and reasons written by hand"
    title = f"Sample day {daily_run.date}: invented papers, {how}"
    rows = []
    for result in daily_run.results:
        facts = facts_of(result)
        counts = [facts[name] for name in ("announced", "scanned", "picked", "near_misses")]
        rows.append((facts["rubric"], *counts, facts["tokens"], dollars(facts["cost_nanos"])))
    console.print(table(title, HEADINGS, rows))
    if not local:
        console.print(
            "Tokens and cost: what the same papers take with claude-haiku-5-5, estimated."
        )
    console.print(f"Open {out / 'index.html'} in a browser. Next:")
    command = command_name()
    other = "" if local else " --local"
    meant = "the same day as a model would score it" if local else "the same day without a model"
    console.print(f"  {command} demo{other:<12}# {meant}")
    console.print(f"  {command} init{'':<12}# your topic and address: the first real email")
    console.print(f"  {command} run --dry-run{'':<3}# what a real day holds and costs")


def command_name() -> str:
    """How this program was called, as one would type it again."""
    called = Path(sys.argv[0])
    found = shutil.which(called.name)
    if called.name == "__main__.py" or (found and Path(found) == called.absolute()):
        return "newsletter"
    return str(called)
