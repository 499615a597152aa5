"""Wake-ups at any time serve each reader once, at his hour or as soon after it as we are up."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from newsletter import bootstrap
from newsletter.domain.mail import Subscriber
from newsletter.jobs.leader import LeaderElection
from newsletter.jobs.scheduler import DailyScheduler, scheduler
from newsletter.settings import Settings
from newsletter.store import subscribers

RUBRICS = Path(__file__).parents[2] / "templates" / "rubrics"
# The sample day is the announcement of Tuesday 18 November 2025, public at 01:00 UTC.
BEFORE = datetime(2025, 11, 18, 2, 0, tzinfo=UTC)


class House:
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
        self.app = replace(bootstrap.build_app(settings), clock=lambda: self.now)
        self.daily_scheduler = DailyScheduler(self.app)

    def join(self, email: str, rubric: str = "foundation-models", **wishes) -> None:
        joined = datetime(2025, 11, 1, tzinfo=UTC)
        given = Subscriber(email[0] * 32, email, rubric, **wishes)
        with self.app.store.begin() as tx:
            subscribers.save(tx, given, joined)

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
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.app.store.close()


def test_each_is_served_once_at_his_own_hour(house):
    house.join("ada@example.org", timezone="Europe/Berlin")
    house.join("bob@example.org")
    house.join("cho@example.org", timezone="Asia/Tokyo")
    assert house.served("18T05:59") == []
    assert house.served("18T06:00") == ["a"]
    assert house.served("18T07:04") == ["a", "b"]
    assert house.served("18T07:05") == ["a", "b"]
    assert house.served("18T22:00") == ["a", "b", "c"]


def test_09_a_sleep_past_the_hour_is_made_up_once(tmp_path, store):
    house = House(tmp_path, database_url=store.url.render_as_string(hide_password=False))
    house.join("ada@example.org")
    assert house.served("18T06:00") == []
    assert house.served("20T15:00") == ["a"]
    assert house.served("20T15:05") == ["a"]
    house.app.store.close()


def test_who_joins_after_the_hour_waits_for_the_next(house):
    house.join("ada@example.org")
    house.served("18T07:01")
    given = Subscriber("b" * 32, "bob@example.org", "foundation-models")
    with house.app.store.begin() as tx:
        subscribers.save(tx, given, house.now)
    assert house.served("18T09:00") == ["a"]


def test_nobody_is_mailed_on_a_weekday_not_asked_for(house):
    house.join("ada@example.org", days=("wed",))
    assert house.served("18T12:00") == []


def test_nothing_begins_once_a_stop_was_asked_for(house):
    house.join("ada@example.org")
    house.app.stop.set()
    assert house.served("18T12:00") == []


def test_mail_that_was_not_taken_is_offered_at_the_next_wake_up(house):
    house.join("ada@example.org")
    house.outbox.write_text("a file where a folder should be")
    house.served("18T07:00")
    house.outbox.unlink()
    assert house.served("18T07:05") == ["a"]


def test_of_two_services_one_runs_the_mornings_until_it_ends(house):
    house.join("ada@example.org")
    rival = DailyScheduler(
        house.app, LeaderElection(house.app.store, house.app.clock, owner="afar/1/x")
    )
    assert house.served("18T02:00") == []
    house.at("18T07:00")
    rival.build()
    assert house.mailed() == []
    house.daily_scheduler.leader.step_down()
    rival.send_due()
    assert house.mailed() == ["a"]
    house.daily_scheduler.send_due()
    assert house.mailed() == ["a"]


def test_09_who_takes_the_mornings_over_looks_at_once_for_what_was_left(house):
    """Of a leader that died in mid-mail; the next wake-up may be five minutes away."""
    rival = DailyScheduler(
        house.app, LeaderElection(house.app.store, house.app.clock, owner="afar/1/x")
    )
    house.daily_scheduler.renew_leadership()
    rival.renew_leadership()
    assert house.daily_scheduler.watchdog.wake_requested.is_set()
    assert not rival.watchdog.wake_requested.is_set()
    house.daily_scheduler.leader.step_down()
    rival.renew_leadership()
    assert rival.watchdog.wake_requested.is_set()
    rival.watchdog.wake_requested.clear()
    rival.renew_leadership()
    assert not rival.watchdog.wake_requested.is_set()


def test_09_the_scheduler_drops_no_late_wake_up(house):
    house.app.stop.set()
    made = scheduler(house.daily_scheduler)
    thread = threading.Thread(target=made.start)
    thread.start()
    while not made.running:
        time.sleep(0.01)
    jobs = made.get_jobs()
    made.shutdown(wait=True)
    thread.join(10)
    assert not thread.is_alive()
    assert sorted(job.id for job in jobs) == ["build", "renew_leadership", "send_due"]
    # Of two at once the second finds the lock taken, without a warning of the scheduler.
    assert {(job.misfire_grace_time, job.coalesce, job.max_instances) for job in jobs} == {
        (None, True, 2)
    }


def test_a_database_that_is_away_is_named_and_not_a_generators_fault(tmp_path, caplog):
    house = House(tmp_path)
    house.join("ada@example.org")
    file = house.app.store.file
    file.rename(file.with_name("elsewhere.db"))
    with caplog.at_level(logging.WARNING):
        assert house.served("18T08:00") == []
    assert f"database {file}: the file was removed" in caplog.text
    file.with_name("elsewhere.db").rename(file)
    assert len(house.served("18T09:00")) == 1
