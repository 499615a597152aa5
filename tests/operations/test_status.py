"""`newsletter status` begins with the alerts; the healthcheck ping."""

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
from newsletter.domain.votes import Vote
from newsletter.operations.healthcheck_ping import MailCounts, ping, ping_if_delivered
from newsletter.store import Store, alerts, inbound, votes
from newsletter.store.tables import delivery, digest
from tests.fakes.installation import Installation
from tests.fakes.pages import MODELS, STARS, TUESDAY, issue, paper, reader
from tests.fakes.simulated_service import START, Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUBRIC = "---\ntitle: One\ncategories: [cs.LG]\n---\n## Criteria\n1. Any\n   - Relevant: all\n"


def test_status_begins_with_the_alerts(tmp_path: Path):
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
    assert shown.startswith("! Replies need review: 1 reply")
    assert "\n    newsletter replies list\n" in shown
    told = json.loads(installation.newsletter("status", "--json").out)["alerts"]
    assert [one["kind"] for one in told] == ["replies"]
    assert told[0]["command"] == "newsletter replies list"
    assert told[0]["told"] is None


def test_status_says_what_votes_have_in_common(tmp_path: Path):
    """Votes about papers of a rubric without a file are not told: there are no words for them."""
    installation = Installation(tmp_path)
    installation.create_database()
    (installation.rubrics / "stars.md").write_text(RUBRIC, encoding="utf-8")
    assert json.loads(installation.newsletter("status", "--json").out)["votes"] == {}
    store = Store(installation.environment["NEWSLETTER_DATABASE_URL"])
    papers = [paper(f"2509.0000{number}") for number in range(5)]
    for rubric in (STARS, MODELS):
        issue(store, rubric, TUESDAY, papers)
        person = reader(store, rubric=rubric.slug, email=f"{rubric.slug}@example.org")
        with store.begin() as tx:
            for number in range(4):
                way = Vote.OFF_TOPIC if number else Vote.MORE
                assert votes.cast(tx, person.id, papers[number].id, way, START)
    store.close()
    line = "4 votes: 1 for more, 3 for less (3 off topic, 0 weak)."
    assert f"votes on stars: {line}\n" in installation.newsletter("status").out
    assert json.loads(installation.newsletter("status", "--json").out)["votes"] == {"stars": [line]}


class HealthcheckServer(ThreadingHTTPServer):
    """Counts who asks for `/ping/token`; answers with `status`."""

    status = 200

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Answer)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/ping/token"


class _Answer(BaseHTTPRequestHandler):
    server: HealthcheckServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def healthcheck_server() -> Iterator[HealthcheckServer]:
    with HealthcheckServer() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def monitor() -> Iterator[HealthcheckServer]:
    with healthcheck_server() as running:
        yield running


def plan(service: Service, now: datetime) -> None:
    chosen = service.app.settings
    for some in rubrics_with_mail_due(service.app.store, now):
        plan_due(service.app.store, some, now, chosen.zone, chosen.send_at)


def at(service: Service, hours: float) -> None:
    service.now = START + timedelta(hours=hours)
    ping(service.app, service.now)


def test_one_ping_a_day_an_hour_after_the_mail_is_due(store: Store, monitor: HealthcheckServer):
    service = Service(store, ping_url=monitor.url)
    service.join()
    service.build_digests()
    plan(service, START + timedelta(hours=5.1))
    with store.begin() as tx:
        tx.execute(update(delivery).values(state="accepted"))
    at(service, 5.9)
    assert monitor.asked == []
    at(service, 6)
    at(service, 7)
    assert monitor.asked == ["/ping/token"]
    at(service, 24)
    service.next_announcement()
    service.next_announcement()
    service.build_digests()
    service.now = START + timedelta(hours=29.1)
    service.plan()
    at(service, 30)
    assert monitor.asked == ["/ping/token"] * 2


def test_no_ping_while_an_alert_blocks_it(store: Store, monitor: HealthcheckServer):
    service = Service(store, ping_url=monitor.url)
    service.join()
    at(service, 8)
    assert monitor.asked == []
    mailed(service)
    at(service, 8)
    assert monitor.asked == ["/ping/token"]


def mailed(service: Service, state: str = "accepted") -> None:
    """This morning's digest is made, and its mail was offered."""
    service.build_digests()
    plan(service, START + timedelta(hours=5.1))
    with service.app.store.begin() as tx:
        tx.execute(update(delivery).values(state=state))


def test_no_ping_if_no_mail_was_accepted(store: Store, monitor: HealthcheckServer):
    """A database that was lost and made anew has no readers: that is no good morning."""
    service = Service(store, ping_url=monitor.url)
    at(service, 8)
    service.join()
    mailed(service, "rejected")
    at(service, 8)
    assert monitor.asked == []


@pytest.mark.parametrize(("days", "asked"), [(7, 1), (9, 0)])
def test_on_a_day_without_mail_recent_mail_counts(
    store: Store, monitor: HealthcheckServer, days: int, asked: int
):
    service = Service(store, ping_url=monitor.url)
    service.join()
    mailed(service)
    ping_if_delivered(service.app, MailCounts(0, 0), START + timedelta(days=days))
    ping_if_delivered(service.app, MailCounts(1, 0), START + timedelta(days=days))
    assert len(monitor.asked) == asked


@pytest.mark.parametrize(("kind", "asked"), [("arXiv announced nothing", 1), ("batch late", 0)])
def test_a_ping_if_nothing_was_announced(
    store: Store, monitor: HealthcheckServer, kind: str, asked: int
):
    service = Service(store, ping_url=monitor.url)
    service.join()
    service.build_digests()
    with store.begin() as tx:
        tx.execute(update(digest).values(kind=kind))
    ping_if_delivered(service.app, MailCounts(0, 0), service.now)
    assert len(monitor.asked) == asked


def test_a_run_without_a_database_fails_creates_none_and_sends_no_ping(
    tmp_path: Path, monitor: HealthcheckServer
):
    """As on a machine whose volume is not mounted: this was silence for ever."""
    installation = Installation(
        tmp_path, NEWSLETTER_SOURCE="sample", NEWSLETTER_PING_URL=monitor.url
    )
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
    assert (done.status, monitor.asked) == (0, [])
    assert "No subscribers" in done.out
    assert installation.newsletter("run").status == 0
    assert monitor.asked == []


def test_read_only_commands_create_no_database(tmp_path: Path):
    """A database made by `status` would let the next `run` pass over a volume not mounted."""
    installation = Installation(tmp_path)
    (installation.rubrics / "one.md").write_text(RUBRIC, encoding="utf-8")
    file = tmp_path / "newsletter.db"
    for command in (
        *("status", "subscribers list", "subscribers export -", "replies list"),
        *("deliveries list", "subscribers pause a@example.org"),
        *(f"db backup {tmp_path / 'saved'}", "db reopen"),
        f"rubrics replay {installation.rubrics / 'one.md'}",
    ):
        done = installation.newsletter(*command.split())
        assert (done.status, done.out) == (1, ""), command
        assert f"there is no database at {file}" in done.err
        assert "newsletter subscribers import" in done.err
    # These have something to show without a database.
    assert "one" in installation.newsletter("rubrics", "list").out
    installation.newsletter("doctor", "--offline")
    assert not file.exists()


def test_previews_without_a_database_create_none(tmp_path: Path):
    installation = Installation(tmp_path, NEWSLETTER_SOURCE="sample")
    (installation.rubrics / "one.md").write_text(RUBRIC, encoding="utf-8")
    (tmp_path / "readers.csv").write_text("email,rubric\nann@example.org,one\n", encoding="utf-8")
    nobody = installation.newsletter("run", "--dry-run")
    assert (nobody.status, "No subscribers" in nobody.out) == (0, True), nobody.err
    assert "announced" not in nobody.out
    priced = installation.newsletter("run", "--dry-run", "--rubric", "one")
    assert "costs at most" in priced.out, priced.err
    shown = installation.newsletter("preview", "--rubric", "one", "--out", "shown.html")
    assert (shown.status, (tmp_path / "shown.html").is_file()) == (0, True), shown.err
    tried = installation.newsletter("subscribers", "import", "readers.csv", "--dry-run")
    assert (tried.status, "1" in tried.out) == (0, True), tried.err
    # Paid scores would be lost with a temporary database.
    paid = installation.newsletter("preview", "--rubric", "one", ANTHROPIC_API_KEY="sk-test")
    assert (paid.status, "newsletter migrate" in paid.err) == (1, True)
    assert not list(tmp_path.glob("newsletter.db*"))


def test_no_ping_while_mail_is_overdue(store: Store, monitor: HealthcheckServer):
    service = Service(store, ping_url=monitor.url)
    service.join()
    service.build_digests()
    plan(service, START + timedelta(hours=5.1))
    at(service, 7)
    assert monitor.asked == []


def test_a_failed_ping_is_logged_without_the_address_and_retried(
    store: Store, monitor: HealthcheckServer, caplog: pytest.LogCaptureFixture
):
    service = Service(store, ping_url=monitor.url)
    service.join()
    mailed(service)
    monitor.status = 500
    with caplog.at_level(logging.WARNING):
        at(service, 8)
    assert "healthcheck ping failed: 500" in caplog.text
    assert "token" not in caplog.text
    monitor.status = 200
    at(service, 8.1)
    at(service, 8.2)
    assert len(monitor.asked) == 2


def test_no_ping_without_an_address(store: Store):
    service = Service(store)
    at(service, 8)
    with store.read() as tx:
        assert not alerts.has_ping(tx, START.date())


def test_a_complete_run_by_hand_pings_too(tmp_path: Path, monitor: HealthcheckServer):
    installation = Installation(
        tmp_path,
        NEWSLETTER_SOURCE="sample",
        NEWSLETTER_SCORER="local",
        NEWSLETTER_PING_URL=monitor.url,
    )
    (installation.rubrics / "one.md").write_text(RUBRIC, encoding="utf-8")
    installation.subscribe("ann@example.org,one")
    installation.outbox.write_text("a file where a folder should be")
    assert installation.newsletter("run").status == 1
    assert monitor.asked == []
    installation.outbox.unlink()
    assert installation.newsletter("run").status == 0
    assert monitor.asked == ["/ping/token"]
