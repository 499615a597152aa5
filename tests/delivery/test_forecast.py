"""What is foreseen is what the planner then does, for readers with every kind of wish."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from newsletter.delivery.forecast import ForecastMail, NextMail, forecast, next_mail_of
from newsletter.domain.announcements import is_announced
from newsletter.domain.mail import WEEKLY
from newsletter.store import subscriptions
from newsletter.store.tables import delivery, digest, subscriber, subscription
from tests.delivery.test_planner import (
    FRI,
    LAST_FRI,
    MON,
    SEVEN,
    TUE,
    UTC_ZONE,
    WED,
    PlannedService,
)

if TYPE_CHECKING:
    from newsletter.store import Store

STEP = timedelta(minutes=30)
WISHES: dict[str, dict[str, object]] = {
    "a": {},
    "b": {"days": ("mon", "thu")},
    "c": {"days": WEEKLY},
    "d": {"timezone": "Asia/Tokyo"},
    "e": {"timezone": "America/New_York", "send_at": time(22, 30)},
    "f": {"days": ("sun",), "send_at": time(9, 30)},
    "1": {"timezone": "Pacific/Auckland", "days": ("tue", "sat")},
    "2": {"days": WEEKLY, "timezone": "Asia/Kolkata"},
    "3": {"timezone": "America/Los_Angeles", "days": ("fri", "mon")},
}
NEWCOMERS = {str(n): timedelta(hours=hours) for n, hours in enumerate((0, 1, 7, 26, 80), 4)}
"""How long before the forecast they joined."""


@pytest.fixture
def service(store: Store) -> PlannedService:
    made = PlannedService(store)
    for name, wished in WISHES.items():
        made.add_reader(name, **wished)
    return made


def at(day: object, hour: int) -> datetime:
    return datetime.combine(day, time(hour), UTC)  # type: ignore[arg-type]


def advance(service: PlannedService, begin: datetime, end: datetime) -> dict[str, tuple]:
    """Wake the service every half hour; the first mail of each reader: when, and its dates."""
    first: dict[str, tuple] = {}
    now = begin
    while now < end:
        if (now.hour, now.minute) == (1, 30) and is_announced(now.date()):
            service.made(now.date())
        service.plan(now)
        for line in service.sent():
            first.setdefault(line[0], (now, line.split()[1]))
        now += STEP
    return first


def foreseen(store: Store, now: datetime) -> tuple[list[ForecastMail], dict[str, NextMail]]:
    """The forecast of all, and of each reader."""
    served = select(subscription.c.id, subscriber.c.state_at).join_from(subscription, subscriber)
    found = {}
    with store.read() as tx:
        for key, joined in tx.execute(served):
            known = subscriptions.by_id(tx, key)
            last = select(digest.c.date).join_from(delivery, digest)
            dates = tx.scalars(last.where(delivery.c.subscription_id == key)).all()
            latest = max(dates, default=None)
            assert known
            mail = next_mail_of(tx, known, joined, latest, now, UTC_ZONE, SEVEN)
            assert mail
            found[key[0]] = mail
        return forecast(tx, now, UTC_ZONE, SEVEN), found


@pytest.mark.parametrize(
    "start",
    [at(LAST_FRI, 12), at(MON, 1), at(TUE, 12), at(FRI, 2), at(FRI + timedelta(days=1), 12)],
)
def test_the_planner_does_what_was_foreseen(service: PlannedService, start: datetime):
    advance(service, at(LAST_FRI, 0), start)
    for name, ago in NEWCOMERS.items():
        service.add_reader(name, start - ago)
    service.pause("a", start - timedelta(hours=30))
    service.resume("a", start - timedelta(hours=3))
    counted, of_each = foreseen(service.store, start)
    came = advance(service, start, start + timedelta(days=9))
    assert of_each.keys() == came.keys() == {*WISHES, *NEWCOMERS}
    for name, (when, dates) in came.items():
        mail = of_each[name]
        held = f"{mail.dates[0]:%d}-{mail.dates[-1]:%d}"
        assert (name, max(mail.mail.due, start), held) == (name, when, dates)
    assert sum(one.readers for one in counted) == len(came)
    by_due = Counter(max(one.mail.due, start) for one in counted for _ in range(one.readers))
    assert by_due == Counter(when for when, _ in came.values())
    assert [one.mail.due for one in counted] == sorted(one.mail.due for one in counted)


def test_before_the_first_digest_mail_is_foreseen_too(service: PlannedService):
    counted, of_each = foreseen(service.store, at(WED, 12))
    assert sum(one.readers for one in counted) == len(WISHES)
    assert not [one for one in counted if one.ready]
    assert len(of_each) == len(WISHES)


def test_a_stored_digest_makes_its_mail_ready(service: PlannedService):
    service.made(WED)
    counted, of_each = foreseen(service.store, at(WED, 2))
    assert {one.mail.last for one in counted if one.ready} == {WED}
    assert of_each["a"].ready
    assert of_each["a"].dates == (WED,)


def test_readers_who_get_no_mail_are_not_foreseen(service: PlannedService):
    service.pause("a", at(MON, 12))
    with service.store.begin() as tx:
        subscriptions.leave_all(tx, "b" * 32, "reply", at(MON, 12))
    counted, _ = foreseen(service.store, at(TUE, 12))
    assert sum(one.readers for one in counted) == len(WISHES) - 2
