"""SIGKILL after each statement that writes, of a draft and a preview that are paid for; and of the
real server while the answer is awaited.
"""

from __future__ import annotations

import http.client
import importlib
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from newsletter.domain.links import Links
from newsletter.domain.reader_rubrics import trial_account
from newsletter.rubrics.file import parse
from newsletter.store import Store, ledger, reader_rubrics
from newsletter.store.ledger import CallState
from newsletter.store.tables import call as calls
from newsletter.web import rubric_preview, rubric_starts
from tests.acceptance.test_serve import answer
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.browser import Browser
from tests.fakes.installation import Installation
from tests.fakes.pages import THURSDAY, reader
from tests.fakes.rubric_pages import (
    DRAFT,
    RUBRIC,
    list_day,
    path_of,
    post_files,
    save_draft,
    site_of,
)
from tests.fakes.scoring import month_total, scores_in_abstract, sum_of_calls, wall_clock
from tests.fakes.waiting import wait_until
from tests.web.test_rubric_kills import Countdown, killed
from tests.web.test_rubric_preview import marked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from newsletter.domain.mail import Subscription
    from newsletter.web.context import Site

ABOUT = "How to prune networks without losing accuracy"
BUDGET_NANOS = 30_000_000
PAID = (CallState.ANSWERED, CallState.DONE)


@pytest.fixture
def person(store: Store) -> Subscription:
    list_day(store, THURSDAY, [marked(n, 9 if n % 2 else 3, 8) for n in range(1, 5)])
    # A child would load it each time.
    importlib.import_module("anthropic")
    return reader(store, rubric="models")


@pytest.fixture
def anthropic() -> Iterator[FakeAnthropic]:
    with FakeAnthropic(scores_in_abstract) as fake:
        yield fake


def token_of(person: Subscription) -> str:
    return path_of(person, "start").split("/")[2]


def booked(store: Store, person: Subscription) -> dict[str, list[frozenset[str]]]:
    """The papers of each call on the reader's account, by state; what holds after any kill."""
    account = trial_account(person.subscriber_id)
    with store.read() as tx:
        spent = ledger.spent(tx, account, wall_clock().date())
        rows = tx.execute(select(calls.c.state, calls.c.papers, calls.c.rubric)).all()
    assert {row.rubric for row in rows} <= {account}
    assert spent <= BUDGET_NANOS
    assert month_total(store) == sum_of_calls(store) == spent
    found: dict[str, list[frozenset[str]]] = {}
    for row in rows:
        found.setdefault(row.state, []).append(frozenset(row.papers.values()))
    return found


def test_a_killed_draft_is_whole_or_absent_and_its_answer_is_paid_once(
    store: Store, person: Subscription, anthropic: FakeAnthropic
) -> None:
    anthropic.record = DRAFT

    def make(own: Store, _countdown: Countdown) -> Site:
        return site_of(own, anthropic, wall_clock)

    given = {"about": ABOUT.encode(), "action": b"model"}
    path, steps = {"token": token_of(person)}, 0
    while killed(store, steps + 1, rubric_starts.start, path, given, make):
        steps += 1
        with store.read() as tx:
            texts = [
                version.text
                for one in reader_rubrics.of_reader(tx, person.subscriber_id)
                for version in reader_rubrics.versions(tx, one.slug)
            ]
        assert [parse(text, "draft", "draft").title for text in texts] in ([], [DRAFT["title"]])
        assert sum(len(booked(store, person).get(state, ())) for state in PAID) <= 1
    assert steps >= 5
    found = booked(store, person)
    assert len(found[CallState.DONE]) == 1
    assert len(anthropic.answered) - 1 <= len(found.get(CallState.LOST, ()))
    asked = len(anthropic.requests)
    assert not killed(store, 0, rubric_starts.start, path, given, make)
    assert len(anthropic.requests) == asked


def test_a_killed_preview_pays_for_no_stored_answer_again(
    store: Store, person: Subscription, anthropic: FakeAnthropic
) -> None:
    def make(own: Store, _countdown: Countdown) -> Site:
        return site_of(own, anthropic, wall_clock)

    slug = save_draft(store, person)
    path, steps = {"token": token_of(person), "slug": slug}, 0
    while killed(store, steps + 1, preview_in_process, path, {}, make):
        steps += 1
        found = booked(store, person)
        paid = Counter(key for state in PAID for papers in found.get(state, ()) for key in papers)
        assert set(paid.values()) <= {1}
    assert steps >= 5
    found = booked(store, person)
    assert sorted(key for papers in found[CallState.DONE] for key in papers) == [
        marked(n, 9, 8).id for n in range(1, 5)
    ]
    lost = Counter(key for papers in found.get(CallState.LOST, ()) for key in papers)
    ids = {marked(n, 9, 8).title: marked(n, 9, 8).id for n in range(1, 5)}
    for title, times in Counter(anthropic.papers_paid).items():
        assert times - 1 <= lost[ids[title]]


def preview_in_process(site, request, form):
    request.scope["query_string"] = b""
    return rubric_preview.read_more(site, request, form)


@contextmanager
def serving(installation: Installation) -> Iterator[tuple[object, Browser]]:
    with installation.serving("--no-schedule") as (process, port):
        assert answer(f"http://127.0.0.1:{port}/healthz") == 200
        yield process, Browser(port)


def test_the_server_is_killed_while_claude_writes_and_reads(tmp_path: Path) -> None:
    """By the real command: what was in flight counts as spent, and both are done afterwards."""
    with (
        FakeAnthropic(scores_in_abstract, latency=30.0) as slow,
        FakeAnthropic(scores_in_abstract) as quick,
    ):
        made = Installation(
            tmp_path,
            NEWSLETTER_SOURCE="sample",
            NEWSLETTER_READER_RUBRICS="2",
            NEWSLETTER_SCORING_MODE="now",
            NEWSLETTER_PUBLIC_URL="http://127.0.0.1",
            ANTHROPIC_API_KEY="sk-test",
        )
        (made.rubrics / "models.md").write_text(RUBRIC, encoding="utf-8")
        made.create_database()
        store = Store(made.environment["NEWSLETTER_DATABASE_URL"])
        list_day(store, THURSDAY, [marked(n, 9, 8) for n in range(1, 5)])
        person = reader(store, rubric="models")
        slug = save_draft(store, person)
        links = Links("http://127.0.0.1", [made.environment["NEWSLETTER_SECRET_KEY"]], "")
        token = urlsplit(links.reader_rubric_url(person.id, "start")).path.split("/")[2]
        start, preview = f"/rubrics/{token}/start", f"/rubrics/{token}/{slug}/preview"
        given = {"about": ABOUT, "action": "model"}
        made.environment["ANTHROPIC_BASE_URL"] = slow.url
        with serving(made) as (process, web):
            posts = (lambda: post_files(web, start, given), lambda: web.post(preview))
            waiting = [threading.Thread(target=quietly, args=(post,)) for post in posts]
            for one in waiting:
                one.start()
            assert wait_until(lambda: len(slow.requests) == len(posts))
            process.kill()
            for one in waiting:
                one.join(240)
        quick.record = DRAFT
        made.environment["ANTHROPIC_BASE_URL"] = quick.url
        with serving(made) as (_, web):
            assert web.get(preview).status == 200
            assert "Written by Claude" in post_files(web, start, given).words
            quick.record = None
            save_draft(store, person)
            page = web.post(preview)
            assert "Claude has read all papers" in page.words
            asked = len(quick.requests)
            assert "Claude has read all papers" in web.post(preview).words
            assert len(quick.requests) == asked
        states = Counter(state for state, found in booked(store, person).items() for _ in found)
        assert states == {CallState.LOST: 2, CallState.DONE: asked}
        store.close()


def quietly(post):
    with suppress(OSError, http.client.HTTPException):
        post()
