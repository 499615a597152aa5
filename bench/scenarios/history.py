"""What commands and pages cost over a year of history: seconds of processor, and whole scans.

    python -m bench history [--database URL [--keep]] [--file FILE] [--days 250] [--only WORD]

A year is 5,000 digests of 20 rubrics, 1,250,000 deliveries to 5,000 readers, 100,000 papers and
100,000 calls. With `--file` the SQLite database stays there, and the next run measures it again;
with `--keep` the database of that URL itself is filled if it is new, and stays.
Each command is a process of its own; each page is asked for over loopback, after a first time that
is not counted. Of three times the least is shown.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select, text

from bench.harness.year import Year, fill, rubric
from bench.scenarios.daily_run import ROOT, database, write_rubrics
from newsletter.domain.links import Purpose
from newsletter.domain.mail import Subscription
from newsletter.rubrics.file import parse
from newsletter.store import Store, reader_rubrics, subscriptions, votes
from newsletter.store.search import prepare
from newsletter.store.tables import digest_paper, subscriber
from newsletter.web.app import create_app
from newsletter.web.context import Site
from tests.fakes.browser import served
from tests.fakes.pages import LINKS, Clock, application
from tests.fakes.query_plans import StatementLog, full_scans
from tests.fakes.reader_rubrics import save_rubric
from tests.fakes.reader_rubrics import text as rubric_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.domain.model import Rubric
    from tests.fakes.browser import Browser

TIMES = 3
HEADER = "X-Operator"
READER, VOTES = "5" * 32, 30
MINE = "My own subject"
OWN_RUBRICS = 100
"""Rubrics that readers wrote, one of them READER's."""
MAILED = text("""
INSERT INTO delivery (id, digest_id, subscriber_id, subscription_id, email, state, attempt,
    failures, reason, fate, mailer, created_at, changed_at)
SELECT CAST(:prefix AS VARCHAR(24)) || CAST(10000000 + id AS VARCHAR(8)), id, :reader, :reader,
    'pages@example.org', 'accepted', 1, 0, '', 'delivered', 'sendgrid', at, at
FROM digest WHERE rubric = 'rubric-0'
""")
READERS_PAGES = (
    *(Purpose.UNSUBSCRIBE, Purpose.PREFERENCES, Purpose.WHY, Purpose.READING_LIST),
    Purpose.CONFIRM,
)
SECRET = re.compile(r"[A-Za-z0-9_-]{40,}")
KEY = {"ANTHROPIC_API_KEY": "sk-bench", "ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}
COMMANDS = (
    ("--help", {}),
    ("status", {}),
    ("status --json", {}),
    ("subscribers list", {}),
    ("subscribers list --json", {}),
    ("rubrics list", {}),
    ("rubrics check rubrics/rubric-0.md", {}),
    ("rubrics check rubrics/rubric-0.md", KEY),
    ("deliveries list", {}),
    ("replies list", {}),
    ("doctor --offline", {}),
)


def cost(command: str, folder: Path, env: dict[str, str]) -> tuple[float, float, int]:
    """Seconds of processor and of the clock, and the exit status of the command."""
    began = time.perf_counter()
    words = [sys.executable, "-m", "newsletter", *command.split()]
    with subprocess.Popen(  # noqa: S603 - ourselves
        words, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        _, status, used = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime, time.perf_counter() - began, run.returncode


def environment(folder: Path, url: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),
        "NEWSLETTER_DATABASE_URL": url,
        "NEWSLETTER_RUBRICS_DIR": str(folder / "rubrics"),
    }


def commands(folder: Path, url: str, only: str) -> None:
    env = environment(folder, url)
    print("| command | s of processor | s | exit status |\n|---|---:|---:|---:|")
    for command, more in COMMANDS:
        if only in command:
            used, took, status = min(cost(command, folder, env | more) for _ in range(TIMES))
            key = " (with a key)" if more else ""
            print(f"| `{command}`{key} | {used:.2f} | {took:.2f} | {status} |")


def addresses(day: str, paper: str) -> Iterator[str]:
    """The pages of everybody; those of a reader; those of the operator."""
    archive = "/archive/rubric-0"
    yield from ("/", f"{archive}/", f"{archive}/{day[:7]}/", f"{archive}/{day}/")
    yield from (f"{archive}/feed.xml", f"{archive}/search?q=attention", f"{archive}/{day[:7]}.bib")
    yield from (f"/papers/{paper}", "/search?q=attention", '/search?q="language+model"+graph')
    yield from ("/search?q=sparse+quantization&page=3", "/search?q=author:li+from:2025-09")
    yield from (f"{archive}/{day}.bib", f"{archive}/{day[:7]}.ris", f"{archive}/{day[:7]}.md")
    yield "/search?q=attention&in=near-misses"
    yield from (f"/search.{kind}?q=attention" for kind in ("bib", "ris", "md"))
    yield from (f"/{one}/{LINKS.token(one, READER)}" for one in READERS_PAGES)
    vote, why = (LINKS.token(one, READER) for one in (Purpose.VOTE, Purpose.WHY))
    yield from (f"/preferences/{LINKS.token(Purpose.PREFERENCES, READER)}/votes",)
    yield from (f"/vote/{vote}?paper={paper}", f"/why/{why}?paper={paper}")
    yield from (f"{one}/rubric-0" for one in ("/operator/preview", "/operator/rubrics"))
    yield from ("/operator", "/operator/preview/rubric-0/mail", "/operator/review")
    yield from ("/operator/next-run", "/operator/test-mail", "/operator/log", "/operator/rubrics")
    yield from ("/operator/readers", "/operator/readers?q=reader49", f"/operator/readers/{READER}")
    yield from ("/metrics", "/readyz")


def pages_of_reader_rubrics(own: Rubric) -> Iterator[str]:
    """Those of READER's rubric; its preview ranks five days of papers."""
    rubrics = LINKS.reader_rubric_url(READER, "").removeprefix("http://127.0.0.1")
    yield from (f"{rubrics}{name}" for name in ("new", "start", "rate"))
    yield from (f"{rubrics}{own.slug}{end}" for end in ("", "/delete", "/preview"))
    yield f"/archive/{LINKS.segment(own)}/"


def pages(store: Store, year: Year, now: datetime, only: str) -> None:
    rubrics = {slug: rubric(slug) for slug in year.slugs()}
    paper, own = _vote(store, now), _own_rubrics(store)
    settings = {"operator_header": HEADER, "reader_rubrics": 3}
    known = application(store, clock=Clock(now), **settings)
    app = create_app(Site(replace(known, rubrics={**rubrics, **own})))
    mine = next(one for one in own.values() if one.title == MINE)
    print("\n| page | ms of processor | kB | status | whole scans |\n|---|---:|---:|---:|---|")
    day = year.announced(now)[0]
    with served(app) as web:
        for address in (*addresses(f"{day}", paper), *pages_of_reader_rubrics(mine)):
            if only in address:
                print(_page(store, web, address))


def _own_rubrics(store: Store) -> dict[str, Rubric]:
    """Save rubrics of readers, unless they are there; all that are active."""
    catalog = partial(reader_rubrics.changed_texts, store, None, ())
    if not (catalog() or (0, {}))[1]:
        with store.read() as tx:
            others = select(subscriber.c.id).where(
                subscriber.c.id != READER, subscriber.c.email != ""
            )
            readers = tx.scalars(others.limit(OWN_RUBRICS - 1)).all()
        for number, reader_id in enumerate(readers):
            save_rubric(store, reader_id, rubric_text(f"Their subject {number}"))
        save_rubric(store, READER, rubric_text(MINE))
    texts = (catalog() or (0, {}))[1]
    found = {slug: parse(markdown, slug, slug) for (slug, _), markdown in texts.items()}
    return {slug: replace(one, public=False) for slug, one in found.items()}


def _vote(store: Store, now: datetime) -> str:
    """Add a reader of all digests, with votes and a reading list; returns the newest pick."""
    picks = select(digest_paper.c.paper_id).where(
        digest_paper.c.rubric == "rubric-0", digest_paper.c.picked
    )
    with store.begin() as tx:
        if subscriptions.by_id(tx, READER) is None:
            new = Subscription(READER, "pages@example.org", "rubric-0", consent="of the bench")
            subscriptions.insert_new(tx, new, now)
            tx.execute(MAILED, {"prefix": READER[:24], "reader": READER})
        found = tx.scalars(picks.order_by(digest_paper.c.digest_id.desc()).limit(VOTES)).all()
        for paper_id in found:
            votes.save(tx, READER, paper_id, now)
    return str(found[0])


def _page(store: Store, web: Browser, address: str) -> str:
    with StatementLog() as log:
        page = web.get(address, **{HEADER: "ada"})
    with store.read() as tx:
        found = sorted({line for one in log.sent for line in full_scans(tx, *one)})
    used = []
    for _ in range(TIMES):
        began = time.process_time()
        web.get(address, **{HEADER: "ada"})
        used.append(1000 * (time.process_time() - began))
    shown = f"`{SECRET.sub('TOKEN', address)}` | {min(used):.0f} | {len(page.body) / 1000:.0f}"
    return f"| {shown} | {page.status} | {'; '.join(found) or 'none'} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", default="", help="the URL of a PostgreSQL; SQLite without it")
    parser.add_argument("--keep", action="store_true", help="use the database of that URL itself")
    parser.add_argument("--file", type=Path, help="an SQLite file that is made, or used again")
    parser.add_argument("--days", type=int, default=Year.days)
    parser.add_argument("--only", default="", help="only commands and pages with this in them")
    given = parser.parse_args()
    year, now = Year(days=given.days), datetime.now(UTC)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rubrics(folder / "rubrics", year.rubrics)
        with _database(given, folder) as url:
            store = filled(url, year, now)
            print(f"{store.url.get_backend_name()}, {_size(store)}\n")
            commands(folder, url, given.only)
            pages(store, year, now, given.only)
            store.close()


@contextmanager
def _database(given: argparse.Namespace, folder: Path) -> Iterator[str]:
    """The address of the database that stays, or of a new one."""
    if given.file:
        yield f"sqlite:///{given.file.absolute()}"
    elif given.keep:
        yield given.database
    else:
        with database("postgresql" if given.database else "sqlite", folder, given.database) as url:
            yield url


def filled(url: str, year: Year, now: datetime) -> Store:
    """The database at `url`, with a year of history: made now if it is new."""
    store = Store(url)
    if not store.is_new():
        return store
    began = time.process_time()
    store.migrate()
    fill(store, year, now)
    with store.begin() as tx:
        prepare(tx)
        if not store.is_sqlite:
            tx.execute(text("ANALYZE"))
    print(f"filled with {time.process_time() - began:.0f} s of processor")
    return store


def _size(store: Store) -> str:
    names = ("digest", "delivery", "paper", "score", "call", "archive_text")
    with store.read() as tx:
        counts = [(n, tx.scalar(text(f"SELECT count(*) FROM {n}"))) for n in names]  # noqa: S608 - our own names
    return ", ".join(f"{number:,} {name}" for name, number in counts)
