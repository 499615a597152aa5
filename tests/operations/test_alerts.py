"""When an alert is told, and how many become one mail, without a service."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta

import pytest

from newsletter.domain.alerts import (
    MAIL_INTERVAL,
    MAX_SUBJECTS,
    REMINDER_INTERVAL,
    Alert,
    AlertKind,
    OpenAlert,
    database_alert,
    due_to_report,
    grouped,
    headline,
)

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)


def alert(subject: str = "stars", what: str = "5 of 9 papers failed.", **more) -> Alert:
    kind = more.pop("kind", AlertKind.SCORING)
    return Alert(kind, subject, what, more.pop("fix", "Look."), **more)


def opened(of: Alert | None = None, number: int = 1, **more) -> OpenAlert:
    return OpenAlert(number, of or alert(), NOW - timedelta(days=9), NOW, **more)


def test_a_new_alert_is_told_and_not_again_within_a_week() -> None:
    assert due_to_report([opened()], NOW)
    assert not due_to_report([opened(told_at=NOW - REMINDER_INTERVAL + INSTANT)], NOW)
    assert due_to_report([opened(told_at=NOW - REMINDER_INTERVAL)], NOW)


@pytest.mark.parametrize(
    ("wait", "told"), [(-INSTANT, True), (timedelta(0), True), (INSTANT, False)]
)
def test_one_that_waits_is_told_from_its_time_on(wait: timedelta, told: bool) -> None:  # noqa: FBT001
    assert bool(due_to_report([opened(not_before=NOW + wait)], NOW)) is told


def test_more_of_a_cause_waits_until_an_hour_after_it_was_told() -> None:
    other = opened(alert("machines", "7 of 31 papers failed."), 2)
    for age, told in ((MAIL_INTERVAL - INSTANT, []), (MAIL_INTERVAL, [other])):
        assert due_to_report([opened(told_at=NOW - age), other], NOW) == told
    elsewhere = opened(alert(kind=AlertKind.BUDGET), 3)
    assert due_to_report([opened(told_at=NOW), elsewhere], NOW) == [elsewhere]


def test_figures_and_names_make_no_other_cause_but_words_do() -> None:
    assert alert().cause == alert("machines", "1,117.5 of 22 papers failed.").cause
    assert alert().cause != alert(what="5 of 9 papers are late.").cause
    assert alert().cause != alert(fix="Wait.").cause


def test_an_alert_has_a_title_and_a_key_of_at_most_two_hundred_letters() -> None:
    assert (alert().title, alert().key) == ("Scoring failed", "scoring:stars")
    assert len(alert("s" * 300).key) == 200
    assert database_alert("It is gone.").kind is AlertKind.DATABASE


def test_one_section_for_each_cause_in_the_order_of_the_kinds() -> None:
    many = [
        opened(alert(kind=AlertKind.DISK, what="2 MB are left."), 1),
        opened(alert("stars", command="newsletter doctor"), 2),
        opened(alert("machines", command="newsletter doctor"), 3),
        opened(alert("stars", command="newsletter status"), 4),
    ]
    failed, disk = grouped(many)
    assert (failed.title, disk.title) == ("Scoring failed", "The disk is nearly full")
    assert failed.about == "stars, machines"
    assert failed.commands == ("newsletter doctor", "newsletter status")
    assert failed.since == "2026-11-11 08:00 UTC"
    assert headline([failed, disk]) == "2 alerts"
    assert headline([failed]) == "Scoring failed: stars, machines"
    assert headline(grouped([opened(alert(""))])) == "Scoring failed"
    assert headline([]) == "0 alerts"


@pytest.mark.parametrize(("many", "more"), [(MAX_SUBJECTS, ""), (MAX_SUBJECTS + 2, " and 2 more")])
def test_so_many_are_named_and_the_others_counted(many: int, more: str) -> None:
    [section] = grouped([opened(alert(f"s{n}"), n) for n in range(many)])
    named = section.about.removesuffix(more)
    assert named.split(", ") == [f"s{n}" for n in range(MAX_SUBJECTS)]


def test_the_section_says_since_when_the_first_of_them_is_there() -> None:
    first = OpenAlert(1, alert(), NOW - timedelta(days=2), NOW)
    second = OpenAlert(2, alert("machines"), NOW - timedelta(days=5), NOW)
    assert grouped([first, second])[0].since == "2026-11-15 08:00 UTC"


def test_an_hour_between_mails_of_a_cause_and_a_week_between_reminders() -> None:
    assert (timedelta(hours=1), timedelta(days=7)) == (MAIL_INTERVAL, REMINDER_INTERVAL)


def test_what_was_found_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        alert().what = "something else"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        opened().told_at = NOW  # type: ignore[misc]
    assert not hasattr(alert(), "__dict__")
    assert not hasattr(opened(), "__dict__")
