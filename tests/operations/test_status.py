"""`newsletter status`: what is wrong comes first, with the fix; and the watchdog's sign of life."""

from __future__ import annotations

import json
import logging
import threading
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from newsletter.delivery.planner import plan_due, rubrics_with_mail_due
from newsletter.operations.healthcheck_ping import Owed, ping, sign_if_well
from newsletter.store import Store, alerts, inbound
from newsletter.store.tables import delivery, digest
from tests.fakes.installation import Installation
from tests.fakes.service_room import START, Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUBRIC = "---\ntitle: One\ncategories: [cs.LG]\n---\n## Criteria\n1. Any\n   - Relevant: all\n"


def test_status_begins_with_what_is_wrong_and_its_fix(tmp_path: Path):
    installation = Installation(tmp_path, NEWSLETTER_SOURCE="sample", NEWSLETTER_SCORER="local")
    (installation.rubrics / "one.md").write_text(RUBRIC, encoding="utf-8")
    assert "!" not in installation.newsletter("status").out
    installation.subscribe("ann@example.org,one")
    store = Store(installation.environment["NEWSLETTER_DATABASE_URL"])
    with store.begin() as tx:
        inbound.keep(tx, b"hello", "ann@example.org", "reply@x", START, aligned=False)
        letter = inbound.next_new(tx)
        assert letter
        inbound.set_state(tx, letter.id, inbound.InboundState.REVIEW)
    store.close()
    shown = installation.newsletter("status").out
    assert shown.startswith("! Replies wait for you: 1 reply")
    assert "\n    newsletter replies list\n" in shown
    told = json.loads(installation.newsletter("status", "--json").out)["alerts"]
    assert [one["kind"] for one in told] == ["replies"]
    assert told[0]["command"] == "newsletter replies list"
    assert told[0]["told"] is None


class Watchdog(ThreadingHTTPServer):
    """Counts who asks for `/ping/token`; answers with `status`."""

    status = 200

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Answer)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/ping/token"


class _Answer(BaseHTTPRequestHandler):
    server: Watchdog

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def watchdog() -> Iterator[Watchdog]:
    with Watchdog() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def dog() -> Iterator[Watchdog]:
    with watchdog() as running:
        yield running


def plan(service: Service, now: datetime) -> None:
    chosen = service.app.settings
    for some in rubrics_with_mail_due(service.app.store, now):
        plan_due(service.app.store, some, now, chosen.zone, chosen.send_at)


def at(service: Service, hours: float) -> None:
    service.now = START + timedelta(hours=hours)
    ping(service.app, service.now)


def test_one_sign_a_day_an_hour_after_the_mail_is_due(store: Store, dog: Watchdog):
    service = Service(store, ping_url=dog.url)
    service.join()
    service.morning()
    plan(service, START + timedelta(hours=5.1))
    with store.begin() as tx:
        tx.execute(update(delivery).values(state="accepted"))
    at(service, 5.9)
    assert dog.asked == []
    at(service, 6)
    at(service, 7)
    assert dog.asked == ["/ping/token"]
    at(service, 24)
    service.dawn()
    service.dawn()
    service.morning()
    service.now = START + timedelta(hours=29.1)
    service.plan()
    at(service, 30)
    assert dog.asked == ["/ping/token"] * 2


def test_no_sign_where_something_keeps_the_morning_from_being_whole(store: Store, dog: Watchdog):
    service = Service(store, ping_url=dog.url)
    service.join()
    at(service, 8)
    assert dog.asked == []
    mailed(service)
    at(service, 8)
    assert dog.asked == ["/ping/token"]


def mailed(service: Service, state: str = "accepted") -> None:
    """This morning's digest is made, and its mail was offered."""
    service.morning()
    plan(service, START + timedelta(hours=5.1))
    with service.app.store.begin() as tx:
        tx.execute(update(delivery).values(state=state))


def test_no_sign_where_nobody_has_mail(store: Store, dog: Watchdog):
    """A database that was lost and made anew has no readers: that is no good morning."""
    service = Service(store, ping_url=dog.url)
    at(service, 8)
    service.join()
    mailed(service, "rejected")
    at(service, 8)
    assert dog.asked == []


@pytest.mark.parametrize(("days", "asked"), [(7, 1), (9, 0)])
def test_on_a_day_without_mail_that_of_the_last_days_counts(
    store: Store, dog: Watchdog, days: int, asked: int
):
    service = Service(store, ping_url=dog.url)
    service.join()
    mailed(service)
    sign_if_well(service.app, Owed(0, 0), START + timedelta(days=days))
    sign_if_well(service.app, Owed(1, 0), START + timedelta(days=days))
    assert len(dog.asked) == asked


@pytest.mark.parametrize(("kind", "asked"), [("arXiv announced nothing", 1), ("batch late", 0)])
def test_the_sign_is_given_where_nothing_was_announced(
    store: Store, dog: Watchdog, kind: str, asked: int
):
    service = Service(store, ping_url=dog.url)
    service.join()
    service.morning()
    with store.begin() as tx:
        tx.execute(update(digest).values(kind=kind))
    sign_if_well(service.app, Owed(0, 0), service.now)
    assert len(dog.asked) == asked


def test_a_run_without_a_database_fails_makes_none_and_gives_no_sign(tmp_path: Path, dog: Watchdog):
    """As on a machine whose volume is not mounted: this was silence for ever."""
    installation = Installation(tmp_path, NEWSLETTER_SOURCE="sample", NEWSLETTER_PING_URL=dog.url)
    (installation.rubrics / "one.md").write_text(RUBRIC, encoding="utf-8")
    file = tmp_path / "newsletter.db"
    for empty in (False, True):
        if empty:
            file.touch()
        done = installation.newsletter("run")
        assert (done.status, done.out) == (1, "")
        assert done.err.startswith(f"newsletter: there is no database at {file}")
        assert "newsletter run --create" in done.err
    assert file.stat().st_size == 0
    done = installation.newsletter("run", "--create")
    assert (done.status, dog.asked) == (0, [])
    assert "No subscribers" in done.out
    assert installation.newsletter("run").status == 0
    assert dog.asked == []


def test_commands_that_only_look_create_no_database(tmp_path: Path):
    """A database made by `status` would let the next `run` pass over a volume not mounted."""
    installation = Installation(tmp_path)
    (installation.rubrics / "one.md").write_text(RUBRIC, encoding="utf-8")
    file = tmp_path / "newsletter.db"
    for command in (
        *("status", "subscribers list", "subscribers export -", "replies list"),
        *("deliveries list", "subscribers pause a@example.org"),
        *(f"db backup {tmp_path / 'saved'}", "db reopen"),
    ):
        done = installation.newsletter(*command.split())
        assert (done.status, done.out) == (1, ""), command
        assert f"there is no database at {file}" in done.err
        assert "newsletter subscribers import" in done.err
    # Without readers these have something to say.
    assert "one" in installation.newsletter("rubrics", "list").out
    installation.newsletter("doctor", "--offline")
    assert not file.exists()


def test_no_sign_while_mail_is_overdue(store: Store, dog: Watchdog):
    service = Service(store, ping_url=dog.url)
    service.join()
    service.morning()
    plan(service, START + timedelta(hours=5.1))
    at(service, 7)
    assert dog.asked == []


def test_a_watchdog_that_fails_is_logged_without_its_address_and_asked_again(
    store: Store, dog: Watchdog, caplog: pytest.LogCaptureFixture
):
    service = Service(store, ping_url=dog.url)
    service.join()
    mailed(service)
    dog.status = 500
    with caplog.at_level(logging.WARNING):
        at(service, 8)
    assert "healthcheck ping failed: 500" in caplog.text
    assert "token" not in caplog.text
    dog.status = 200
    at(service, 8.1)
    at(service, 8.2)
    assert len(dog.asked) == 2


def test_without_an_address_nobody_is_asked(store: Store):
    service = Service(store)
    at(service, 8)
    with store.read() as tx:
        assert not alerts.has_ping(tx, START.date())


def test_a_good_run_by_hand_gives_the_sign_too(tmp_path: Path, dog: Watchdog):
    installation = Installation(
        tmp_path,
        NEWSLETTER_SOURCE="sample",
        NEWSLETTER_SCORER="local",
        NEWSLETTER_PING_URL=dog.url,
    )
    (installation.rubrics / "one.md").write_text(RUBRIC, encoding="utf-8")
    installation.subscribe("ann@example.org,one")
    installation.outbox.write_text("a file where a folder should be")
    assert installation.newsletter("run").status == 1
    assert dog.asked == []
    installation.outbox.unlink()
    assert installation.newsletter("run").status == 0
    assert dog.asked == ["/ping/token"]
