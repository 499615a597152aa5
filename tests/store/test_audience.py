"""Readers grouped by delivery schedule: zone, hour and days."""

from __future__ import annotations

from datetime import time, timedelta
from typing import TYPE_CHECKING

from newsletter.domain.mail import WEEKDAYS, SubscriberState
from newsletter.store import audience, subscriptions, suppressions
from newsletter.store.suppressions import Reason
from tests.fakes.mail import RUBRIC, START, reader

if TYPE_CHECKING:
    from newsletter.store import Store


def test_the_first_reader_of_each_schedule_stands_for_all(store: Store):
    tokyo = {"timezone": "Asia/Tokyo", "send_at": time(6, 30), "days": ("mon", "fri")}
    readers = [
        reader(1, since=START),
        reader(2, since=START - timedelta(days=2)),
        reader(3, since=START - timedelta(days=1), **tokyo),
        reader(4, since=START, **tokyo),
        reader(5, since=START - timedelta(days=9), state=SubscriberState.PAUSED),
        reader(6, since=START - timedelta(days=9), rubric="other"),
        reader(7, since=START - timedelta(days=9)),
    ]
    with store.begin() as tx:
        for one in readers:
            subscriptions.insert_new(tx, one, one.since)
        suppressions.suppress(tx, readers[-1].email, Reason.COMPLAINED, "hook", START)
        found = audience.first_readers(tx, RUBRIC)
    assert {
        (one.timezone, one.send_at, one.days, one.since, one.email, one.rubric) for one in found
    } == {
        (None, None, WEEKDAYS, START - timedelta(days=2), "", RUBRIC),
        (*tokyo.values(), START - timedelta(days=1), "", RUBRIC),
    }
