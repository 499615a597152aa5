"""SIGKILL after each statement that writes, and around the mail, of a save and its confirmation."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from starlette.requests import Request

from newsletter.domain.links import RubricVersion
from newsletter.domain.mail import SubscriberState
from newsletter.domain.reader_rubrics import VersionState
from newsletter.rubrics.file import parse
from newsletter.store import Store, reader_rubrics, subscriptions
from newsletter.web import confirm_rubric
from newsletter.web import reader_rubrics as pages
from tests.fakes.pages import LINKS, NOW, Mailbox, make_site, reader
from tests.web.test_reader_rubrics import FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.responses import Response

    from newsletter.domain.mail import Email, Subscription
    from newsletter.web.context import Site

FORM = {name: tuple(v) if isinstance(v, list) else (v,) for name, v in FIELDS.items()}
SAVE = {**FORM, "action": ("save",)}


class Countdown:
    """Kills this process at its `left`-th step."""

    def __init__(self, left: int) -> None:
        self.left = left

    def statement(self, _connection: object, _cursor: object, sql: str, *_: object) -> None:
        if not sql.lstrip().upper().startswith(("SELECT", "PRAGMA")):
            self.step()

    def step(self) -> None:
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)


class CountingMailbox(Mailbox):
    """A mail is two steps: before it left, and after."""

    def __init__(self, countdown: Countdown) -> None:
        super().__init__()
        self.countdown = countdown

    def send(self, email: Email) -> str:
        self.countdown.step()
        sent = super().send(email)
        self.countdown.step()
        return sent


def saving_site(store: Store, countdown: Countdown) -> Site:
    return make_site(store, CountingMailbox(countdown), reader_rubrics=2)


def killed(
    store: Store,
    after: int,
    answer: Callable[..., Response],
    path: dict[str, str],
    form: Mapping[str, Any],
    make: Callable[[Store, Countdown], Site] = saving_site,
) -> bool:
    """Whether a process that answers a request was killed at a step; it ended otherwise."""
    url = store.url.render_as_string(hide_password=False)
    child = os.fork()
    if child == 0:
        try:
            own, countdown = Store(url), Countdown(after)
            site = make(own, countdown)
            event.listen(own.engine, "after_cursor_execute", countdown.statement)
            answer(site, Request({"type": "http", "path_params": path}), form)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def stored(store: Store, person: Subscription) -> tuple[str, list[VersionState], bool]:
    """The slug, the states of its versions, and whether its reader gets it; all of it whole."""
    with store.read() as tx:
        mine = reader_rubrics.of_reader(tx, person.subscriber_id)
        read = subscriptions.of_subscriber(tx, person.subscriber_id)
        if not mine:
            return "", [], False
        [rubric] = mine
        versions = reader_rubrics.versions(tx, rubric.slug)
    for one in versions:
        assert parse(one.text, rubric.slug, "text").title == "Brown dwarfs"
    active = [one.version for one in versions if one.state is VersionState.ACTIVE]
    assert active == ([rubric.active_version] if rubric.active_version else [])
    mailed = {one.rubric: one.state for one in read}.get(rubric.slug) is SubscriberState.ACTIVE
    return rubric.slug, [one.state for one in versions], mailed


def test_a_killed_save_leaves_a_draft_or_a_text_that_waits(store: Store):
    person = reader(store)
    path = {"token": LINKS.reader_rubric_url(person.id).split("/")[-2]}
    steps, seen = 0, set()
    while killed(store, steps + 1, pages.write_new, path, SAVE):
        steps += 1
        _, states, mailed = stored(store, person)
        seen.add(tuple(states[:1]))
        assert not mailed
        assert states.count(VersionState.DRAFT) <= 1
        assert states.count(VersionState.WAITING) <= 1
    assert steps > 3
    assert seen == {(), (VersionState.DRAFT,), (VersionState.WAITING,)}
    slug, states, _ = stored(store, person)
    assert slug
    assert states[0] is VersionState.WAITING


def test_a_killed_confirmation_is_done_with_its_subscription_or_not_at_all(store: Store):
    person = reader(store)
    token = LINKS.reader_rubric_url(person.id).split("/")[-2]
    assert not killed(store, 0, pages.write_new, {"token": token}, SAVE)
    slug, _, _ = stored(store, person)
    saved = RubricVersion(person.subscriber_id, slug, 1, NOW + timedelta(hours=1))
    mark = LINKS.confirm_rubric_url(person.id, saved).rpartition("/")[2]
    path = {"token": token, "slug": slug, "mark": mark}
    steps = 0
    while killed(store, steps + 1, confirm_rubric.confirm, path, {}):
        steps += 1
        assert stored(store, person) in (
            (slug, [VersionState.WAITING], False),
            (slug, [VersionState.ACTIVE], True),
        )
    assert steps > 3
    assert stored(store, person) == (slug, [VersionState.ACTIVE], True)
    assert not killed(store, 0, confirm_rubric.confirm, path, {})
    assert stored(store, person) == (slug, [VersionState.ACTIVE], True)
