"""Wake-ups at any time mail each reader once, at their hour or as soon after it as possible."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from newsletter import bootstrap
from newsletter.domain.mail import Subscription
from newsletter.jobs.leader import LeaderElection
from newsletter.jobs.scheduler import DailyScheduler, scheduler
from newsletter.settings import Settings
from newsletter.store import subscriptions
from tests.fakes.database import create_database

RUBRICS = Path(__file__).parents[2] / "templates" / "rubrics"
# The sample day is the announcement of Tuesday 18 November 2025, public at 01:00 UTC.
BEFORE = datetime(2025, 11, 18, 2, 0, tzinfo=UTC)


class ScheduledService:
    """A service with its own clock."""

    def __init__(self, folder: Path, **more) -> None:
        database = f"sqlite:///{folder / 'n.db'}"
        given = {"scorer": "local", "rubrics_dir": RUBRICS, "database_url": database} | more
        settings = Settings(
            _env_file=None,
            source="sample",
            mailer="outbox",
            outbox_dir=folder / "outbox",
            from_email="digest@example.org",
            **given,
        )
        self.now = BEFORE
        self.outbox = folder / "outbox"
        create_database(given["database_url"])
        self.app = replace(bootstrap.build_app(settings), clock=lambda: self.now)
        self.daily_scheduler = DailyScheduler(self.app)

    def join(self, email: str, rubric: str = "foundation-models", **wishes) -> None:
        joined = datetime(2025, 11, 1, tzinfo=UTC)
        given = Subscription(email[0] * 32, email, rubric, **wishes)
        with self.app.store.begin() as tx:
            subscriptions.insert_new(tx, given, joined)

    def served(self, at: str) -> list[str]:
        """Who has mail after a wake-up of both jobs at that time of November 2025."""
        self.at(at)
        self.daily_scheduler.send_due()
        self.daily_scheduler.build()
        return self.mailed()

    def at(self, at: str) -> None:
        self.now = datetime.fromisoformat(f"2025-11-{at}").replace(tzinfo=UTC)

    def mailed(self) -> list[str]:
        return sorted(path.name[0] for path in self.outbox.glob("*.eml"))


@pytest.fixture
def service(tmp_path):
    made = ScheduledService(tmp_path)
    yield made
    made.app.store.close()


def test_each_is_served_once_at_their_own_hour(service):
    service.join("ada@example.org", timezone="Europe/Berlin")
    service.join("bob@example.org")
    service.join("cho@example.org", timezone="Asia/Tokyo")
    assert service.served("18T05:59") == []
    assert service.served("18T06:00") == ["a"]
    assert service.served("18T07:04") == ["a", "b"]
    assert service.served("18T07:05") == ["a", "b"]
    assert service.served("18T22:00") == ["a", "b", "c"]


def test_09_a_sleep_past_the_hour_is_made_up_once(tmp_path, store):
    service = ScheduledService(
        tmp_path, database_url=store.url.render_as_string(hide_password=False)
    )
    service.join("ada@example.org")
    assert service.served("18T06:00") == []
    assert service.served("20T15:00") == ["a"]
    assert service.served("20T15:05") == ["a"]
    service.app.store.close()


def test_who_joins_after_the_hour_waits_for_the_next(service):
    service.join("ada@example.org")
    service.served("18T07:01")
    given = Subscription("b" * 32, "bob@example.org", "foundation-models")
    with service.app.store.begin() as tx:
        subscriptions.insert_new(tx, given, service.now)
    assert service.served("18T09:00") == ["a"]


def test_nobody_is_mailed_on_a_weekday_not_asked_for(service):
    service.join("ada@example.org", days=("wed",))
    assert service.served("18T12:00") == []


def test_nothing_begins_once_a_stop_was_asked_for(service):
    service.join("ada@example.org")
    service.app.stop.set()
    assert service.served("18T12:00") == []


def test_mail_that_was_not_taken_is_offered_at_the_next_wake_up(service):
    service.join("ada@example.org")
    service.outbox.write_text("a file where a folder should be")
    service.served("18T07:00")
    service.outbox.unlink()
    assert service.served("18T07:05") == ["a"]


def test_of_two_services_one_leads_until_it_ends(service):
    service.join("ada@example.org")
    rival = DailyScheduler(
        service.app, LeaderElection(service.app.store, service.app.clock, owner="afar/1/x")
    )
    assert service.served("18T02:00") == []
    service.at("18T07:00")
    rival.build()
    assert service.mailed() == []
    service.daily_scheduler.leader.step_down()
    rival.send_due()
    assert service.mailed() == ["a"]
    service.daily_scheduler.send_due()
    assert service.mailed() == ["a"]


def test_09_a_new_leader_looks_at_once_for_work_that_was_left(service):
    """Of a leader that died in mid-mail; the next wake-up may be five minutes away."""
    rival = DailyScheduler(
        service.app, LeaderElection(service.app.store, service.app.clock, owner="afar/1/x")
    )
    service.daily_scheduler.renew_leadership()
    rival.renew_leadership()
    assert service.daily_scheduler.watchdog.wake_requested.is_set()
    assert not rival.watchdog.wake_requested.is_set()
    service.daily_scheduler.leader.step_down()
    rival.renew_leadership()
    assert rival.watchdog.wake_requested.is_set()
    rival.watchdog.wake_requested.clear()
    rival.renew_leadership()
    assert not rival.watchdog.wake_requested.is_set()


def test_09_the_scheduler_drops_no_late_wake_up(service):
    service.app.stop.set()
    made = scheduler(service.daily_scheduler)
    thread = threading.Thread(target=made.start)
    thread.start()
    while not made.running:
        time.sleep(0.01)
    jobs = made.get_jobs()
    made.shutdown(wait=True)
    thread.join(120)
    assert not thread.is_alive()
    assert sorted(job.id for job in jobs) == ["build", "renew_leadership", "send_due"]
    # Of two at once the second finds the lock taken, without a warning of the scheduler.
    assert {(job.misfire_grace_time, job.coalesce, job.max_instances) for job in jobs} == {
        (None, True, 2)
    }


def test_a_database_that_is_away_is_named_and_not_a_generators_fault(tmp_path, caplog):
    service = ScheduledService(tmp_path)
    service.join("ada@example.org")
    file = service.app.store.file
    file.rename(file.with_name("elsewhere.db"))
    with caplog.at_level(logging.WARNING):
        assert service.served("18T08:00") == []
    assert f"database {file}: the file was removed" in caplog.text
    file.with_name("elsewhere.db").rename(file)
    assert len(service.served("18T09:00")) == 1


def test_after_an_outage_the_next_renewal_wakes_all_jobs_and_no_pause_is_kept(service):
    """Not after the five minutes to the next wake-up, nor the fifteen between two tries."""
    service.join("ada@example.org")
    service.at("18T06:00")
    service.daily_scheduler.renew_leadership()
    wakes = service.daily_scheduler.watchdog.wake_requested
    wakes.clear()
    with service.app.store.begin() as tx:
        tx.exec_driver_sql("ALTER TABLE fetched RENAME TO away")
    service.daily_scheduler.build()
    assert service.mailed() == []
    assert not wakes.is_set()
    with service.app.store.begin() as tx:
        tx.exec_driver_sql("ALTER TABLE away RENAME TO fetched")
    service.daily_scheduler.renew_leadership()
    assert wakes.is_set()
    service.daily_scheduler.build()
    assert service.served("18T07:00") == ["a"]
