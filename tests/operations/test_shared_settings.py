"""The planner stores what all processes must share; others find by it what differs."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from newsletter.domain.alerts import AlertKind
from newsletter.domain.links import Links
from newsletter.operations.alert_rules import find_alerts
from newsletter.operations.alerting import thresholds
from newsletter.operations.shared_settings import SharedSettings
from newsletter.settings import Settings
from newsletter.store import Store, leases
from newsletter.store.reports import monitoring
from tests.fakes.scoring import RUBRIC

NOW = datetime(2026, 3, 3, 7, 0, tzinfo=UTC)
KEY = "a key that only tests know 0123"
PLANNER = {
    "anthropic_api_key": SecretStr("sk-ant-planner"),
    "sendgrid_api_key": SecretStr("SG.planner"),
    "from_email": "digest@example.org",
    "public_url": "https://digest.example.org",
}
W2 = "afar/7/birth/w2"


class Clock:
    """A clock that stands still until it is moved."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def shared(key=KEY, rubric=RUBRIC, clock=None, version="claude/1", **settings) -> SharedSettings:
    read = Settings(_env_file=None, **(PLANNER | settings))
    links = Links("https://digest.example.org", [key], "")
    return SharedSettings(read, links, version, {rubric.slug: rubric}, clock or Clock())


@pytest.fixture
def planned(store: Store) -> Store:
    """A database in which a planner stored its settings."""
    with store.begin() as tx:
        assert shared().may_plan(tx, replace=False, now=NOW)
    return store


@pytest.mark.parametrize(
    ("process", "named"),
    [
        (shared(), []),
        (shared(key=KEY + "4"), ["NEWSLETTER_SECRET_KEY"]),
        (
            shared(sendgrid_api_key=SecretStr("")),
            ["NEWSLETTER_MAILER", "SENDGRID_API_KEY"],
        ),
        (shared(mailer="outbox"), ["NEWSLETTER_MAILER"]),
        (
            shared(anthropic_api_key=SecretStr("")),
            ["ANTHROPIC_API_KEY", "NEWSLETTER_SCORER"],
        ),
        (shared(model="claude-sonnet-5"), ["NEWSLETTER_MODEL"]),
        (shared(version="claude/2"), ["prompt version"]),
        (shared(from_email="other@example.org"), ["NEWSLETTER_FROM_EMAIL"]),
        (shared(reply_domain="reply.example.org"), ["NEWSLETTER_REPLY_DOMAIN"]),
        (shared(public_url="http://localhost"), ["NEWSLETTER_PUBLIC_URL"]),
        (shared(rubric=replace(RUBRIC, relevance=3)), [f"rubric {RUBRIC.slug}"]),
        # Of a mailer that nobody uses, and of this machine alone.
        (shared(smtp_url=SecretStr("smtp://a:b@mail.example.org")), []),
        (shared(outbox_dir="elsewhere", scoring_concurrency=2), []),
    ],
)
def test_what_differs_is_named(planned: Store, process: SharedSettings, named: list[str]) -> None:
    with planned.read() as tx:
        assert process.differences(tx) == named


def test_before_any_planner_nothing_is_known(store: Store) -> None:
    with store.read() as tx:
        assert shared().differences(tx) is None


def test_a_new_planner_replaces_the_settings_and_one_that_only_waited_does_not(
    planned: Store,
) -> None:
    old, new = shared(), shared(from_name="Another name")
    with planned.begin() as tx:
        assert old.differences(tx) == []
        assert not new.may_plan(tx, replace=False, now=NOW)
        assert new.may_plan(tx, replace=True, now=NOW)
        assert new.differences(tx) == []
        assert old.differences(tx) == ["NEWSLETTER_FROM_NAME"]


def test_the_planner_stores_a_rubric_file_that_is_new_edited_or_gone(planned: Store) -> None:
    rubrics = {RUBRIC.slug: RUBRIC}
    settings = Settings(_env_file=None, **PLANNER)
    links = Links("https://digest.example.org", [KEY], "")
    planner, worker = SharedSettings(settings, links, "claude/1", rubrics), shared()

    def differs() -> list[str] | None:
        with planned.begin() as tx:
            assert planner.may_plan(tx, replace=True, now=NOW)
            return worker.differences(tx)

    assert differs() == []
    rubrics["new"] = replace(RUBRIC, slug="new")
    assert differs() == ["rubric new"]
    del rubrics["new"]
    assert differs() == []
    rubrics[RUBRIC.slug] = replace(RUBRIC, novelty=2)
    assert differs() == [f"rubric {RUBRIC.slug}"]


def test_no_value_is_in_the_database(planned: Store) -> None:
    with planned.read() as tx:
        row = tx.execute(text("SELECT * FROM shared_settings")).one()
    kept = json.dumps([str(each) for each in row])
    for value in ("sk-ant-planner", "SG.planner", KEY, "digest@example.org", "claude-haiku"):
        assert value not in kept


def test_a_process_that_differs_says_so_at_most_once_a_minute(
    planned: Store, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    process = shared(clock=clock, sendgrid_api_key=SecretStr("SG.other"))
    with caplog.at_level(logging.WARNING):
        for clock.seconds in (0.0, 2.0, 59.0, 61.0):
            assert not process.report(planned, W2, "worker", NOW)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "worker w2 takes no task: not the same" in said[0]
    assert "SENDGRID_API_KEY" in said[0]
    assert "SG." not in said[0]


def test_a_process_that_differs_is_an_alert_until_it_agrees(planned: Store) -> None:
    limits = thresholds(Settings(_env_file=None))

    def alerts(at: datetime) -> list[str]:
        with planned.read() as tx:
            found = find_alerts(monitoring.read_mail_state(tx, at), limits)
        return [one.what for one in found if one.kind is AlertKind.SETTINGS_DIFFER]

    process = shared(sendgrid_api_key=SecretStr("SG.other"))
    assert alerts(NOW) == []
    process.report(planned, W2, "worker", NOW)
    [what] = alerts(NOW)
    assert "worker w2 takes no task" in what
    assert what.endswith("SENDGRID_API_KEY.")
    assert alerts(NOW + timedelta(minutes=2)) == []  # It is silent: nobody knows what it would say.
    with planned.begin() as tx:
        process.store(tx, "planner", NOW)
    assert process.report(planned, W2, "worker", NOW)
    assert alerts(NOW) == []
    with planned.read() as tx:
        assert [one.differs for one in leases.workers(tx)] == [""]
