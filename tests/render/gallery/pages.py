"""Pictures of every page in every state: `python -m tests.render.gallery.pages FOLDER [WORD]`.

With WORD only pages with it in their name.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from contextlib import contextmanager
from datetime import date, timedelta
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from newsletter.domain.announcements import following
from newsletter.domain.links import TEST_READER, RubricVersion
from newsletter.domain.mail import SubscriberState
from newsletter.domain.model import DayKind
from newsletter.render.templates import design_tokens
from newsletter.rubrics.folder import RubricFolder
from newsletter.rubrics.form import CriterionFields, RubricForm, form_of, markdown
from newsletter.store import (
    Store,
    digests,
    papers,
    reader_rubrics,
    subscribers,
    subscriptions,
    votes,
)
from newsletter.store.operator import actions, reader_state
from newsletter.store.operator.actions import ActionKind, OperatorAction
from newsletter.web.app import create_app
from newsletter.web.context import Site
from tests.fakes import operator_data
from tests.fakes.browser import served
from tests.fakes.chromium import AXE, FOUND, Tab, chromium
from tests.fakes.pages import (
    LINKS,
    MODELS,
    NOW,
    SECRET,
    STARS,
    Clock,
    application,
    issue,
    paper,
    reader,
)
from tests.fakes.rubric_pages import list_day, subjects
from tests.render.gallery.mails import HOSTILE, states

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST = date(2025, 8, 4)
RUBRIC_PARTS = (("cs.LG", "stat.ML"), (CriterionFields("Cold stars", "cold", "hot", "More."),) * 2)
WITHOUT_ISSUE = (DayKind.BATCH_LATE, DayKind.SCORING_FAILED)
OPERATOR = "X-Operator"
VIEWS = [(width, scheme) for width in (320, 375, 1280) for scheme in ("light", "dark")]
HEIGHT = 3000
"""Pixels of a page that a picture shows."""


def issues(store: Store) -> dict[str, date]:
    """One digest for each state of the mail gallery, on days that follow each other."""
    day, days = FIRST, {}
    for name, (made, _, _) in states().items():
        if made.kind in WITHOUT_ISSUE or name.startswith(("format", "at-most")):
            continue
        rubric = dataclasses.replace(made.rubric, slug=STARS.slug, public=True)
        earlier = {one.paper_id for one in (*made.withdrawn, *made.news)}
        with store.begin() as tx:
            papers.keep(tx, [paper(paper_id) for paper_id in sorted(earlier)])
            digests.save(tx, dataclasses.replace(made, rubric=rubric, date=day), NOW)
        days[name], day = day, following(day)
    return days


def reader_pages(store: Store) -> dict[str, str]:
    """The pages of one reader in every state, by name."""
    found = {}
    for number, state in enumerate(SubscriberState):
        person = reader(store, email=f"{state}@example.org", id=f"{number + 1:032x}", state=state)
        if state is SubscriberState.UNSUBSCRIBED:
            with store.begin() as tx:
                subscriptions.leave(tx, person.id, "reply", NOW)
        found[f"preferences-{state}"] = LINKS.preferences_url(person.id)
        found[f"leave-{state}"] = LINKS.unsubscribe_url(person.id)
        found[f"confirm-{state}"] = LINKS.confirm_url(person.id)
    odd = reader(store, email=f"{'long' * 15}@example.org", id="f" * 32, rubric=HOSTILE[:60])
    found["preferences-odd"] = LINKS.preferences_url(odd.id)
    found["leave-odd"] = LINKS.unsubscribe_url(odd.id)
    found["leave-test"] = LINKS.unsubscribe_url(TEST_READER)
    return found


def vote_pages(store: Store) -> dict[str, str]:
    """The page to vote without and with a vote, and reading lists; call after `why_pages`."""
    new = reader(store, email="new@example.org", id="b" * 32, rubric=SECRET.slug)
    voter = reader(store, email="votes@example.org", id="c" * 32, rubric=SECRET.slug)
    with store.begin() as tx:
        for paper_id in ("2508.00001", "2508.00002"):
            votes.save(tx, voter.id, paper_id, NOW)
    return {
        "vote-new": f"{LINKS.vote_url(new.id)}?paper=2508.00002",
        "vote-given": f"{LINKS.vote_url(voter.id)}?paper=2508.00001",
        "vote-unknown": f"{LINKS.vote_url(voter.id)}?paper=2501.00001",
        "votes-given": f"{LINKS.preferences_url(voter.id)}/votes",
        "votes-none": f"{LINKS.preferences_url(new.id)}/votes",
        "reading-list": LINKS.reading_list_url(voter.id),
        "reading-list-empty": LINKS.reading_list_url(new.id),
    }


def rubric_pages(store: Store) -> dict[str, str]:
    """A reader's own rubric: a new one, a draft, one in use with a text that waits, paused."""
    person = reader(store, email="writes@example.org", id="a" * 32)
    first, second = (
        markdown(RubricForm(title, *RUBRIC_PARTS)) for title in ("Cold", '<b>Odd</b> & "warm"')
    )
    with store.begin() as tx:
        slug = reader_rubrics.create(tx, person.id, first, NOW, limit=3)
        reader_rubrics.confirm(tx, slug, reader_rubrics.submit(tx, slug, NOW) or 0, NOW)
        reader_rubrics.save_draft(tx, slug, second, NOW)
        version = reader_rubrics.submit(tx, slug, NOW) or 0
        draft = reader_rubrics.create(tx, person.id, second, NOW, limit=3)
    list_day(store, FIRST, [*subjects(14), paper("2508.00003", HOSTILE)])
    waits = RubricVersion(person.id, slug, version, NOW + timedelta(days=2))
    used = LINKS.reader_rubric_url(person.id, slug)
    found = {
        "rubric-new": LINKS.reader_rubric_url(person.id),
        "rubric-draft": LINKS.reader_rubric_url(person.id, draft),
        "rubric-used": used,
        "rubric-delete": f"{used}/delete",
        "rubric-confirm": LINKS.confirm_rubric_url(person.id, waits),
        "rubric-start": LINKS.reader_rubric_url(person.id, "start"),
        "rubric-rate": LINKS.reader_rubric_url(person.id, "rate") + "?categories=cs.LG",
        "rubric-preview": LINKS.reader_rubric_url(person.id, draft) + "/preview",
        "rubric-unknown": LINKS.reader_rubric_url(person.id, "own-unknown"),
        "preferences-rubrics": LINKS.preferences_url(person.id),
    }
    return {name: url.removeprefix("http://127.0.0.1") for name, url in found.items()}


def why_pages(store: Store) -> dict[str, str]:
    """What became of a paper: the empty form, and an answer of each shape."""
    issue(store, SECRET, FIRST, [paper("2508.00001", "Cold dwarfs"), paper("2508.00002", HOSTILE)])
    person = reader(store, email="asks@example.org", id="d" * 32, rubric=SECRET.slug)
    url = LINKS.why_url(person.id)
    asked = {
        "picked": "2508.00001",
        "near-miss": "2508.00002",
        "not-stored": "2509.99999",
        "no-title": HOSTILE,
    }
    answers = {f"why-{name}": f"{url}?{urlencode({'paper': text})}" for name, text in asked.items()}
    return {"why-form": url, **answers}


def add_review_items(store: Store) -> None:
    """A delivery of unknown outcome, two replies and an alert for the operator page."""
    person = reader(store, email=f"{'odd' * 20}@{'long' * 15}.example.org", id="e" * 32)
    operator_data.doubt(store, person)
    for sender in (person, None):
        operator_data.reply(store, sender, HOSTILE)
    operator_data.alert(store, what=HOSTILE, command="newsletter status")


def operator_pages(store: Store) -> dict[str, str]:
    """The next run, readers in several states, their forms, the log and the test mail."""
    person = reader(store, email="operated@example.org", id="0" * 32, name=HOSTILE)
    left = reader(store, email="gone@example.org", id="1" * 32)
    with store.begin() as tx:
        subscriptions.add(tx, person.id, MODELS.slug, NOW, consent="asked")
        subscriptions.leave(tx, left.id, "one-click", NOW)
        before = reader_state.read(tx, person.id)
        subscribers.pause(tx, person.id, "operator", NOW)
        after = reader_state.read(tx, person.id)
        kind = ActionKind.PAUSE_READER
        key = person.id
        done = OperatorAction("2" * 32, NOW, "ada", "5e551011", kind, key, before, after, key)
        actions.record(tx, done)
    readers = "/operator/readers"
    return {
        "operator-next-run": "/operator/next-run",
        "operator-readers": readers,
        "operator-reader": f"{readers}/{person.id}?done={done.id}",
        "operator-reader-left": f"{readers}/{left.id}",
        "operator-reader-new": f"{readers}/new",
        "operator-reader-import": f"{readers}/import",
        "operator-reader-remove": f"{readers}/{person.id}/remove",
        "operator-reader-restore": f"{readers}/{left.id}/restore",
        "operator-refusal": f"{readers}/{person.id}/restore",
        "operator-test-mail": "/operator/test-mail",
        "operator-doctor": "/operator/doctor",
        "operator-log": "/operator/log",
    }


class BehindProxy:
    """The application behind a proxy that sets the operator header."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        named = (OPERATOR.lower().encode(), b"ada")
        await self._app({**scope, "headers": [*scope["headers"], named]}, receive, send)


def rubric_files(folder: Path) -> RubricFolder:
    """A file for each rubric, and one that cannot be read."""
    folder.mkdir()
    texts = {rubric.slug: markdown(form_of(rubric)) for rubric in (STARS, MODELS, SECRET)}
    for slug, text in {**texts, "broken": f"---\ntitle: [x]\n---\n{HOSTILE}\n"}.items():
        (folder / f"{slug}.md").write_text(text, encoding="utf-8")
    return RubricFolder(folder)


@contextmanager
def gallery(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A served site: its URL, and the path of every page by name."""
    store = Store(f"sqlite:///{folder / 'gallery.db'}")
    store.migrate()
    days = issues(store)
    issue(store, SECRET, days["picks-048"], [paper("secret", "A private matter")])
    add_review_items(store)
    last = max(days.values())
    pages = {
        "home": "/",
        "days": "/archive/stars/",
        "days-none": "/archive/models/",
        "month": f"/archive/stars/{FIRST:%Y-%m}/",
        **{f"issue-{name}": f"/archive/stars/{day}/" for name, day in days.items()},
        "issue-private": LINKS.issue_url(SECRET, days["picks-048"]),
        "issue-to-come": f"/archive/stars/{following(last)}/",
        "search": "/search?q=language+model",
        "search-empty": "/search",
        "search-nothing": "/search?q=%3Cscript%3E",
        "search-near-misses": "/search?q=model&in=near-misses",
        "paper": "/papers/2508.00001",
        "paper-odd": "/papers/2508.00002",
        "paper-none": "/papers?paper=2501.00001",
        "not-found": "/archive/nowhere/",
        **reader_pages(store),
        **rubric_pages(store),
        **why_pages(store),
        **vote_pages(store),
        "leave-unknown": "/unsubscribe/nobody",
        "confirm-unknown": "/confirm/nobody",
        "operator": "/operator",
        "operator-review": "/operator/review?said=undone",
        "operator-rubrics": "/operator/rubrics",
        "operator-rubric": "/operator/rubrics/stars",
        "operator-rubric-broken": "/operator/rubrics/broken",
        "operator-rubric-edit": "/operator/rubrics/stars/edit",
        "operator-rubric-edit-text": "/operator/rubrics/broken/edit",
        "operator-rubric-new": "/operator/new-rubric",
        "operator-rubric-delete": "/operator/rubrics/broken/delete",
        **operator_pages(store),
        "operator-preview": "/operator/preview/stars",
        "operator-preview-none": "/operator/preview/models",
    }
    pages = {name: url.removeprefix("http://127.0.0.1") for name, url in pages.items()}
    clock = Clock(NOW + timedelta(days=1))
    app = application(store, clock=clock, operator_header=OPERATOR, reader_rubrics=3)
    site = Site(dataclasses.replace(app, rubrics=rubric_files(folder / "rubrics")))
    with served(BehindProxy(create_app(site))) as web:
        yield f"http://127.0.0.1:{web.port}", pages
    store.close()


def tokens_page() -> str:
    """The design tokens: each colour in light and dark, and the other values."""
    values = design_tokens()
    rows = "".join(
        f"<tr><th>--{name}</th><td style='background:{light}'></td><td>{light}</td>"
        f"<td style='background:{dark}'></td><td>{dark}</td></tr>"
        for name, light in values.items()
        if (dark := values.get(f"dark-{name}"))
    )
    others = "".join(
        f"<tr><th>--{name}</th><td colspan='4'>{escape(value)}</td></tr>"
        for name, value in values.items()
        if f"dark-{name}" not in values and not name.startswith("dark-")
    )
    head = '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Design tokens</title>'
    style = "<style>body{columns:2;font:14px sans-serif}td{width:4.5rem;padding:2px 6px}</style>"
    return f"{head}{style}<table>{rows}{others}</table>"


def write(folder: Path, only: str = "") -> list[str]:
    """Take pictures of every page. Returns problems: too wide, or found by axe-core."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, problems = [], []
    with (
        tempfile.TemporaryDirectory() as scratch,
        gallery(Path(scratch)) as (home, pages),
        chromium(Path(scratch) / "profile") as pipe,
    ):
        tab = Tab(pipe)
        for name, path in pages.items():
            if only in name:
                shots, found = _views(tab, home + path, name, folder)
                rows.append(f"<h2>{escape(name)}</h2><p>{shots}</p>")
                problems += found
        (folder / "tokens.html").write_text(tokens_page(), encoding="utf-8")
        tab.look(1000)
        tab.open((folder / "tokens.html").resolve().as_uri())
        (folder / "tokens.png").write_bytes(tab.picture())
    head = '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Pages</title>'
    (folder / "pages.html").write_text(head + "".join(rows), encoding="utf-8")
    return problems


def _views(tab: Tab, url: str, name: str, folder: Path) -> tuple[str, list[str]]:
    """The pictures of one page, as HTML, and its problems."""
    shots, problems = [], []
    for width, scheme in VIEWS:
        file = f"page-{name}-{width}-{scheme}.png"
        tab.look(width, scheme)
        tab.open(url)
        if tab.too_wide:
            problems.append(f"{file}: {tab.too_wide} px too wide")
        if AXE.is_file():
            problems += [f"{file}: {barrier}" for barrier in tab.barriers()]
        (folder / file).write_bytes(tab.picture(HEIGHT))
        shots.append(f'<a href="{file}"><img src="{file}" height="300" alt=""></a>')
    return " ".join(shots), problems


if __name__ == "__main__":
    if not FOUND:
        sys.exit("there is no Chromium here: apt-get install chromium")
    target = Path(sys.argv[1])
    found = write(target, *sys.argv[2:3])
    print(f"open {target / 'pages.html'}")  # noqa: T201 - a command
    sys.exit("\n".join(found) or 0)
