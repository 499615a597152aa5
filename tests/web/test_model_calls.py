"""A model that hangs while a reader waits: pages in time, nothing paid twice, few threads held."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from newsletter.domain.reader_rubrics import trial_account
from newsletter.store.ledger import CallState
from newsletter.store.tables import call as calls
from newsletter.web.app import create_app
from newsletter.web.context import MAX_DRAFTS, MAX_PREVIEWS
from newsletter.web.model_calls import ModelCalls, StillRunning, TooManyCalls
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.browser import served
from tests.fakes.pages import MODELS, THURSDAY, issue, reader
from tests.fakes.rubric_pages import DRAFT, list_day, path_of, post_files, save_draft, site_of
from tests.fakes.scoring import scores_in_abstract, wall_clock
from tests.fakes.waiting import let_threads_end, wait_until
from tests.web.test_rubric_preview import marked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from newsletter.domain.mail import Subscription
    from newsletter.store import Store
    from newsletter.web.context import Site
    from tests.fakes.browser import Page

SHORT = timedelta(milliseconds=50)


class Hanging(FakeAnthropic):
    """It answers when it is told to."""

    def __init__(self) -> None:
        super().__init__(scores_in_abstract)
        self.go_on = threading.Event()

    def output_seconds(self, message: dict[str, Any]) -> float:
        del message
        self.go_on.wait(240)
        return 0.0


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    with Hanging() as fake:
        yield fake
        fake.go_on.set()
        let_threads_end()


def impatient(store: Store, fake: FakeAnthropic) -> Site:
    return replace(site_of(store, fake, wall_clock), patience=SHORT)


def booked(store: Store, person: Subscription) -> dict[str, int]:
    """The number of the reader's calls by state."""
    mine = calls.c.rubric == trial_account(person.subscriber_id)
    with store.read() as tx:
        found = tx.execute(select(calls.c.state, func.count()).where(mine).group_by(calls.c.state))
        return {CallState(state): number for state, number in found}


def previewed(store: Store, email: str = "ada@example.org") -> tuple[Subscription, str]:
    """A reader with a draft, and the path of its preview."""
    person = reader(store, email=email, rubric="models")
    return person, path_of(person, f"{save_draft(store, person)}/preview")


def test_a_preview_returns_while_a_call_hangs_and_pays_once(store: Store, hanging: Hanging) -> None:
    given = [marked(n, 9, 8) for n in range(1, 5)]
    list_day(store, THURSDAY, given)
    issue(store, MODELS, THURSDAY, given[:1])
    person, here = previewed(store)
    site = impatient(store, hanging)
    with served(create_app(site)) as web:
        page = web.post(here)
        assert page.status == 200
        assert "Claude is still reading for you" in page.words
        assert page.soup.select("main form") == []
        assert wait_until(lambda: hanging.requests)
        assert booked(store, person) == {CallState.INTENT: 1}
        # Pressed again, in this page or another one: nothing new begins.
        for again in (web.post(here), web.post(here), web.get(here)):
            assert "Claude is still reading for you" in again.words
        assert len(hanging.requests) == 1
        hanging.go_on.set()
        assert wait_until(lambda: not site.previews.is_running(person.subscriber_id))
        done = web.get(f"{here}?after=reading")
        assert "Claude has ended reading" in done.words
        assert "Claude has read all papers" in done.words
        assert booked(store, person) == {CallState.DONE: len(hanging.requests)}
    paid = hanging.bill_nanos
    with served(create_app(site_of(store, hanging, wall_clock))) as web:
        assert "Claude has read all papers" in web.post(here).words
    assert hanging.bill_nanos == paid


def test_what_went_wrong_after_the_page_was_sent_is_said_at_the_next_look(
    store: Store, hanging: Hanging
) -> None:
    list_day(store, THURSDAY, [marked(n, 9, 8) for n in range(1, 5)])
    person, here = previewed(store)
    hanging.fault("drop after", times=9)
    site = impatient(store, hanging)
    with served(create_app(site)) as web:
        assert "Claude is still reading for you" in web.post(here).words
        hanging.go_on.set()
        assert wait_until(lambda: not site.previews.is_running(person.subscriber_id))
        assert "Claude could not be asked" in web.get(f"{here}?after=reading").words
    assert CallState.INTENT not in booked(store, person)


def test_a_draft_is_made_without_the_model_that_hangs_and_its_answer_is_paid_once(
    store: Store, hanging: Hanging
) -> None:
    person = reader(store, rubric="models")
    start = path_of(person, "start")
    fields = {"about": "Pruning of networks", "categories": "cs.LG", "action": "model"}
    hanging.record = DRAFT
    site = impatient(store, hanging)
    with served(create_app(site)) as web:
        page = post_files(web, start, fields)
        assert page.status == 200
        assert "Claude is still writing" in page.words
        assert "Made on this server without a language model" in page.words
        again = post_files(web, start, fields)
        assert "Claude is already writing for you" in again.words
        hanging.go_on.set()
        assert wait_until(lambda: not site.drafts.is_running(person.subscriber_id))
    with served(create_app(site_of(store, hanging, wall_clock))) as web:
        assert "Written by Claude" in post_files(web, start, fields).words
    assert len(hanging.requests) == 1
    assert booked(store, person) == {CallState.DONE: 1}


def test_ten_readers_who_click_hold_two_calls_and_no_page(store: Store, hanging: Hanging) -> None:
    list_day(store, THURSDAY, [marked(n, 9, 8) for n in range(1, 5)])
    paths = [previewed(store, f"r{n}@example.org")[1] for n in range(10)]
    pages: list[Page] = []
    with served(create_app(impatient(store, hanging))) as web:
        threads = [
            threading.Thread(target=lambda path=path: pages.append(web.post(path)))
            for path in paths
        ]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert web.get("/").status == 200
        said = [page.words for page in pages]
        assert sum("Claude is still reading for you" in words for words in said) == MAX_PREVIEWS
        assert sum("reads for other readers" in words for words in said) == 10 - MAX_PREVIEWS
    assert len(hanging.requests) <= MAX_PREVIEWS
    assert MAX_PREVIEWS + MAX_DRAFTS < 20, "of 40 threads that answer pages"


def test_few_calls_at_once_and_one_a_reader() -> None:
    gate = threading.Event()
    held = ModelCalls(2, SHORT)
    for reader_id in ("a", "b"):
        with pytest.raises(StillRunning) as begun:
            held.run(reader_id, gate.wait)
        assert begun.value.started
    with pytest.raises(StillRunning) as repeated:
        held.run("a", gate.wait)
    assert not repeated.value.started
    with pytest.raises(TooManyCalls):
        held.run("c", gate.wait)
    gate.set()
    assert wait_until(lambda: not held.is_running("a") and not held.is_running("b"))
    assert held.last_result("a") is True
    patient = ModelCalls(1, timedelta(minutes=1))
    assert patient.run("c", lambda: "done") == "done"
    with pytest.raises(TimeoutError):
        patient.run("c", failing)
    assert patient.last_result("c") is None


def failing() -> None:
    raise TimeoutError


def test_a_call_that_ends_in_the_moment_when_its_page_stops_waiting_has_its_result() -> None:
    """Red before: the page got the TimeoutError of its own waiting."""
    gate = threading.Event()
    held = ModelCalls(1, SHORT)

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code is not ModelCalls.run.__code__:
            return None
        if event == "exception":
            gate.set()
            assert wait_until(lambda: not held.is_running("a"))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        assert held.run("a", lambda: gate.wait() and "done") == "done"
    finally:
        sys.settrace(before)
