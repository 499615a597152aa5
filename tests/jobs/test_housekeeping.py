"""What the service does besides the daily_scheduler, with everything it talks to on loopback."""

from __future__ import annotations

import logging
import signal
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import select

from newsletter import bootstrap
from newsletter.context import no_progress
from newsletter.domain.alerts import AlertKind
from newsletter.domain.announcements import announcement
from newsletter.domain.links import Links
from newsletter.domain.mail import EventKind, SubscriberState
from newsletter.errors import Stopped
from newsletter.inbound.processor import store_mail
from newsletter.jobs.daily import fetch_papers, read_day
from newsletter.jobs.housekeeping import add_to, run_frequent, run_hourly, run_nightly
from newsletter.jobs.scheduler_watchdog import SchedulerWatchdog
from newsletter.store import Store, alerts, digests, events, papers, signups, subscriptions
from newsletter.store.events import Event
from newsletter.store.tables import event, inbound, signup
from tests.fakes.arxiv_timeline import ArxivTimeline, Submission, TimelineSource
from tests.fakes.imap import FakeImap
from tests.fakes.installation import Installation
from tests.fakes.mail import reader, settings
from tests.fakes.replies import TO, message
from tests.fakes.sendgrid_lists import FakeLists
from tests.render.gallery import issues

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.context import App
    from newsletter.domain.mail import Subscription

RUBRICS = Path(__file__).parents[2] / "templates" / "rubrics"
NOW = datetime(2025, 11, 18, 2, 0, tzinfo=UTC)
TUESDAY = NOW.date()


@pytest.fixture
def imap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeImap]:
    with FakeImap(tmp_path) as running:
        monkeypatch.setenv("SSL_CERT_FILE", str(running.certificate))
        yield running


@pytest.fixture
def lists() -> Iterator[FakeLists]:
    with FakeLists() as running:
        yield running


class HousekeptService:
    """A service with its own clock and one reader."""

    def __init__(self, store: Store, folder: Path, **given: Any) -> None:
        options = {
            "database_url": store.url.render_as_string(hide_password=False),
            "source": "sample",
            "scorer": "local",
            "mailer": "outbox",
            "outbox_dir": folder / "outbox",
            "rubrics_dir": RUBRICS,
            "from_email": "digest@example.org",
            "postal_address": "1 Example Street",
            "public_url": "https://digest.example.org",
            "secret_key": "k" * 32,
        }
        self.now = NOW
        self.app: App = replace(
            bootstrap.build_app(settings(**{**options, **given})), clock=lambda: self.now
        )
        self.ann = reader(rubric="foundation-models")
        with store.begin() as tx:
            subscriptions.insert_new(tx, self.ann, NOW - timedelta(days=100))

    @property
    def reply(self) -> bytes:
        """Ann's wish to leave, sent to her address with its token."""
        to = self.app.links.reply_address(self.ann.id)
        return message("unsubscribe").replace(TO.encode(), to.encode())

    def state(self) -> SubscriberState:
        with self.app.store.read() as tx:
            known = subscriptions.by_id(tx, self.ann.id)
        assert known
        return known.state

    def count(self, table: Any) -> int:
        with self.app.store.read() as tx:
            return len(tx.execute(select(table)).all())


@pytest.fixture
def service(store: Store, tmp_path: Path) -> Iterator[HousekeptService]:
    made = HousekeptService(store, tmp_path)
    yield made
    made.app.store.close()


def test_a_reply_in_the_mailbox_is_obeyed(store: Store, tmp_path: Path, imap: FakeImap):
    service = HousekeptService(store, tmp_path, imap_url=imap.url)
    mail = imap.put(service.reply)

    run_frequent(service.app)

    assert service.state() is SubscriberState.UNSUBSCRIBED
    assert mail.flags == {"\\Seen"}
    assert len(list((tmp_path / "outbox").glob("*.eml"))) == 1
    service.app.store.close()


def test_18_a_from_without_a_token_proves_nothing(store: Store, tmp_path: Path, imap: FakeImap):
    service = HousekeptService(store, tmp_path, imap_url=imap.url)
    forged = message("unsubscribe", Authentication_Results="mx.example.org; dkim=pass")
    forged = forged.replace(TO.encode(), b"digest@example.org")
    imap.put(forged.replace(b"ann@example.com", service.ann.email.encode()))

    run_frequent(service.app)

    assert service.state() is SubscriberState.ACTIVE
    assert service.count(inbound) == 1
    service.app.store.close()


def test_14_what_a_dead_process_had_stored_is_worked_off(service: HousekeptService):
    to = service.app.links.reply_address(service.ann.id)
    store_mail(service.app.store, service.reply, "ann@example.com", [to], NOW)

    run_frequent(service.app)

    assert service.state() is SubscriberState.UNSUBSCRIBED


def test_a_mailbox_that_is_away_holds_up_nothing(
    store: Store, tmp_path: Path, imap: FakeImap, caplog: pytest.LogCaptureFixture
):
    service = HousekeptService(store, tmp_path, imap_url=imap.url)
    mail = imap.put(service.reply)
    imap.answers["LOGIN"] = "NO not today"
    to = service.app.links.unsub_address(service.ann.id)
    store_mail(service.app.store, message("leave"), "ann@example.com", [to], NOW)

    run_frequent(service.app)

    assert "read mailbox" in caplog.text
    assert "secret" not in caplog.text
    assert service.state() is SubscriberState.UNSUBSCRIBED
    assert mail.flags == set()

    del imap.answers["LOGIN"]
    run_frequent(service.app)
    assert mail.flags == {"\\Seen"}
    service.app.store.close()


@pytest.mark.parametrize(
    ("verb", "told", "reason"),
    [("LOGIN", "NO wrong password", "refused the login"), ("SELECT", "NO gone", "no folder")],
)
def test_a_mailbox_that_cannot_be_read_for_an_hour_is_an_alert(
    store: Store, tmp_path: Path, imap: FakeImap, verb: str, told: str, reason: str
):
    service = HousekeptService(store, tmp_path, imap_url=imap.url)
    imap.answers[verb] = told

    def open_alerts(minutes: int) -> list[str]:
        for _ in range(minutes // 5):
            run_frequent(service.app)
            service.now += timedelta(minutes=5)
        with store.read() as tx:
            found = [one.alert for one in alerts.open_alerts(tx)]
        return [one.what for one in found if one.kind is AlertKind.MAILBOX]

    assert open_alerts(55) == []
    [said] = open_alerts(15)
    assert "Since 2025-11-18 02:00 UTC" in said
    assert reason in said
    del imap.answers[verb]
    assert open_alerts(20) == []
    service.app.store.close()


@dataclass
class FaultyMailbox:
    fault: Exception

    def collect(self, *_: object) -> int:
        raise self.fault


def test_a_job_that_fails_does_not_stop_the_others(
    service: HousekeptService, caplog: pytest.LogCaptureFixture
):
    to = service.app.links.unsub_address(service.ann.id)
    store_mail(service.app.store, message("leave"), "ann@example.com", [to], NOW)

    broken = FaultyMailbox(ZeroDivisionError("a mistake of ours"))
    run_frequent(replace(service.app, mailbox=broken))  # type: ignore[arg-type]

    assert service.state() is SubscriberState.UNSUBSCRIBED
    assert "read mailbox failed" in caplog.text
    assert "a mistake of ours" in caplog.text


def test_a_stop_in_the_middle_of_a_job_ends_the_round(service: HousekeptService):
    to = service.app.links.unsub_address(service.ann.id)
    store_mail(service.app.store, message("leave"), "ann@example.com", [to], NOW)

    stopping = FaultyMailbox(Stopped("asked to end"))
    run_frequent(replace(service.app, mailbox=stopping))  # type: ignore[arg-type]

    assert service.state() is SubscriberState.ACTIVE


def test_the_nightly_job_deletes_old_data_and_nothing_else(service: HousekeptService):
    store = service.app.store
    with store.begin() as tx:
        for days, email in ((91, "old@example.org"), (89, "new@example.org")):
            then = NOW - timedelta(days=days)
            events.apply(tx, [Event(EventKind.DELIVERED, email, then)], then)
        signups.request(tx, "old@example.org", "foundation-models", NOW - timedelta(days=91))
        signups.request(tx, "new@example.org", "foundation-models", NOW - timedelta(days=29))
    for days in (31, 29):
        then = NOW - timedelta(days=days)
        to = service.app.links.reply_address(reader().id)
        auto = message(f"away {days}", Auto_Submitted="auto-replied")
        store_mail(store, auto, f"a{days}@example.com", [to], then)
    run_frequent(service.app)

    run_nightly(service.app)

    assert (service.count(event), service.count(signup)) == (1, 1)
    with store.read() as tx:
        kept = tx.scalars(select(inbound.c.envelope_from).where(inbound.c.state == "done"))
        assert set(kept) == {"", "a29@example.com"}
    assert service.state() is SubscriberState.ACTIVE


def test_the_nightly_job_compares_the_lists_of_sendgrid(
    store: Store, tmp_path: Path, lists: FakeLists
):
    service = HousekeptService(
        store, tmp_path, mailer="sendgrid", sendgrid_api_key="SG.key", sendgrid_url=lists.url
    )
    lists.put("spam_reports", service.ann.email)

    run_nightly(service.app)

    assert service.state() is SubscriberState.COMPLAINED
    assert lists.emails("unsubscribes") == [service.ann.email]
    service.app.store.close()


def test_lists_in_trouble_are_logged_and_the_rest_is_done(
    store: Store, tmp_path: Path, lists: FakeLists, caplog: pytest.LogCaptureFixture
):
    service = HousekeptService(
        store, tmp_path, mailer="sendgrid", sendgrid_api_key="SG.key", sendgrid_url=lists.url
    )
    lists.faults["spam_reports"] = 500
    then = NOW - timedelta(days=91)
    with store.begin() as tx:
        events.apply(tx, [Event(EventKind.DELIVERED, "old@example.org", then)], then)

    with caplog.at_level(logging.WARNING):
        run_nightly(service.app)

    assert "sync suppressions: SendGrid answered 500" in caplog.text
    assert service.count(event) == 0
    service.app.store.close()


def test_nothing_is_begun_after_a_stop(store: Store, tmp_path: Path, imap: FakeImap):
    service = HousekeptService(store, tmp_path, imap_url=imap.url)
    service.app.stop.set()

    run_frequent(service.app)
    run_nightly(service.app)

    assert imap.commands == []
    service.app.store.close()


def test_the_jobs_come_again_and_one_at_a_time(service: HousekeptService):
    service.now = datetime.now(UTC)
    made = BackgroundScheduler(timezone=UTC)
    add_to(made, service.app, SchedulerWatchdog())
    made.start(paused=True)
    jobs = {job.id: job for job in made.get_jobs()}
    made.shutdown()

    assert set(jobs) == {"round", "hour", "night"}
    assert all(job.max_instances == 2 and job.coalesce for job in jobs.values())
    assert all(job.misfire_grace_time is None for job in jobs.values())
    assert jobs["night"].next_run_time - service.now == timedelta(minutes=10)
    later = jobs["night"].trigger.get_next_fire_time(None, NOW)
    assert (later.hour, later.minute) == (3, 20)
    assert jobs["hour"].trigger.get_next_fire_time(None, NOW) == NOW.replace(minute=38)


def test_mailed_papers_are_asked_about_when_the_announcement_is_fetched(
    service: HousekeptService,
):
    mailed = TUESDAY - timedelta(days=7)
    service.now = announcement(mailed).public_from + timedelta(hours=6)
    timeline = ArxivTimeline(lambda: service.now)
    timeline.feedless |= {mailed + timedelta(days=n) for n in range(9)}
    for number, day in enumerate((mailed, TUESDAY), 1):
        submitted = announcement(day).end - timedelta(hours=1)
        timeline.add(Submission(f"2511.0000{number}", submitted, ("cs.LG",)))
    source = TimelineSource(timeline)
    app = replace(service.app, source=source)
    fetch_papers(app, read_day(app), mailed, no_progress)
    with app.store.begin() as tx:
        [listing] = papers.listed(tx, ["cs.LG"], mailed)
        pick = replace(issues.pick(), paper=listing.paper)
        coverage = replace(issues.digest().coverage, papers=(listing.paper.id,))
        made = replace(issues.digest((pick,), coverage=coverage), date=mailed)
        digests.save(tx, made, service.now)
    service.now = announcement(TUESDAY).public_from + timedelta(hours=6)

    run_hourly(app)
    assert [what for what, _ in source.asked if what == "metadata"] == []
    fetch_papers(app, read_day(app), TUESDAY, no_progress)
    run_hourly(app)
    run_hourly(app)
    assert [what for what, _ in source.asked if what == "metadata"] == ["metadata"]


def test_a_round_that_comes_while_one_runs_does_nothing(
    store: Store, tmp_path: Path, imap: FakeImap
):
    """At a start, when becoming leader wakes all jobs: no warning."""
    service = HousekeptService(store, tmp_path, imap_url=imap.url)
    made = BackgroundScheduler(timezone=UTC)
    add_to(made, service.app, SchedulerWatchdog())
    made.start(paused=True)
    job = made.get_job("round")
    made.shutdown()
    with job.args[2]:
        job.func(*job.args)
    assert imap.commands == []
    job.func(*job.args)
    assert imap.commands
    service.app.store.close()


def test_the_service_reads_its_mailbox(tmp_path: Path, imap: FakeImap):
    installation = Installation(
        tmp_path,
        NEWSLETTER_SOURCE="sample",
        NEWSLETTER_SCORER="local",
        NEWSLETTER_FROM_EMAIL="digest@example.org",
        NEWSLETTER_IMAP_URL=imap.url,
        SSL_CERT_FILE=str(imap.certificate),
    )
    rubric = "---\ntitle: One\ncategories: [cs.LG]\n---\n## Criteria\n1. Any\n   - Relevant: all\n"
    (installation.rubrics / "one.md").write_text(rubric, encoding="utf-8")
    installation.subscribe("ann@example.org,one")
    ann = _only(installation)
    links = Links("https://digest.example.org", ["a key that only tests know 0123"], "example.org")
    mail = imap.put(message("stop").replace(TO.encode(), links.reply_address(ann.id).encode()))

    with installation.begin("serve", "--no-web") as process:
        deadline = time.monotonic() + 240
        while _only(installation).state is SubscriberState.ACTIVE and time.monotonic() < deadline:
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(240) == 0

    assert _only(installation).state is SubscriberState.UNSUBSCRIBED
    assert mail.flags == {"\\Seen"}


def _only(installation: Installation) -> Subscription:
    store = Store(installation.environment["NEWSLETTER_DATABASE_URL"])
    with store.read() as tx:
        [found] = subscriptions.all_subscriptions(tx)
    store.close()
    return found
