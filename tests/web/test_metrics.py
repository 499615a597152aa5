"""`/metrics`: format and values."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from newsletter.domain.alerts import AlertKind
from newsletter.domain.announcements import following
from newsletter.domain.mail import SubscriberState
from newsletter.domain.model import NANOS_PER_DOLLAR
from newsletter.store import Store, alerts, inbound, incidents, leases
from newsletter.store.reports import monitoring
from newsletter.store.reports.metrics import MetricCounts
from newsletter.store.tables import call, delivery
from newsletter.web.app import create_app
from newsletter.web.metrics import MetricFamily, exposition, show
from tests.fakes.browser import served
from tests.fakes.mail import Clock, DeliveryScenario
from tests.fakes.pages import NOW, STARS, TUESDAY, issue, make_site, paper, reader
from tests.fakes.prometheus import parse
from tests.fakes.simulated_service import Service

if TYPE_CHECKING:
    from newsletter.web.context import Site

BROKEN = [
    "a 1",
    "# HELP a_total w\n# TYPE a_total gauge\na_total 1\n",
    "# HELP a w\n# TYPE a counter\na 1\n",
    "# HELP a w\n# TYPE a gauge\nb 1\n",
    "# HELP a w\n# TYPE a gauge\na 1\na 2\n",
    "# HELP a w\n# TYPE a gauge\na{b=1} 1\n",
    '# HELP a w\n# TYPE a gauge\na{b="x"y"} 1\n',
    '# HELP a w\n# TYPE a gauge\na{b="x\\y"} 1\n',
    "# HELP a w\n# TYPE a gauge\na one\n",
    "# HELP a w\n# TYPE a gauge\n",
    "# HELP a w\n# TYPE a gauge\na 1",
    "# HELP a_ms w\n# TYPE a_ms gauge\na_ms 1\n",
    "# TYPE a gauge\na 1\n",
    "# HELP a w\n# TYPE a gauge\na 1\n\n",
]


@pytest.mark.parametrize("text", BROKEN)
def test_the_parser_of_these_tests_is_strict(text: str):
    with pytest.raises(AssertionError):
        parse(text)


def test_label_values_are_escaped():
    hostile = 'a"b\\c\nd{e="f"} 9'
    text = exposition([MetricFamily("things", "Of\nall \\ kinds", {hostile: 2, "": 1}, "name")])
    assert parse(text) == {
        'newsletter_things{name=""}': 1,
        r'newsletter_things{name="a\"b\\c\nd{e=\"f\"} 9"}': 2,
    }


def scraped(at: Site) -> dict[str, float]:
    return parse(bytes(show(at, None).body).decode())  # type: ignore[arg-type]


def test_an_empty_database_has_all_metrics(store: Store):
    with served(create_app(make_site(store))) as web:
        page = web.get("/metrics")
    assert page.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = parse(page.text)
    assert found['newsletter_deliveries{state="unknown"}'] == 0
    assert found['newsletter_alerts{kind="late"}'] == 0
    assert found['newsletter_papers_total{outcome="scored"}'] == 0
    assert found["newsletter_spent_dollars_total"] == 0
    assert found["newsletter_budget_day_dollars"] == 0.15


def test_papers_cost_and_subscribers_equal_the_tables(store: Store):
    made = issue(store, STARS, TUESDAY, [paper("1"), paper("2"), paper("3")])
    assert made
    reader(store)
    reader(store, email="bo@example.org", state=SubscriberState.PAUSED)
    service = Service(store)
    service.now = NOW
    service.pay("stars", NANOS_PER_DOLLAR // 4)
    service.now = NOW - timedelta(days=1)
    service.pay("stars", NANOS_PER_DOLLAR)
    service.now = NOW - timedelta(days=40)
    service.pay("stars", 2 * NANOS_PER_DOLLAR)
    with store.begin() as tx:
        lost = {"state": "lost", "cost_nanos": 0, "usage": None}
        tx.execute(update(call).where(call.c.cost_nanos == NANOS_PER_DOLLAR).values(lost))
    found = scraped(make_site(store))
    announced = found["newsletter_papers_announced_total"]
    outcomes = [n for name, n in found.items() if name.startswith("newsletter_papers_total")]
    assert announced == sum(outcomes) > 0
    assert found['newsletter_subscribers{state="active"}'] == 1
    assert found['newsletter_subscribers{state="paused"}'] == 1
    assert found["newsletter_spent_dollars_total"] == 2.25
    assert found["newsletter_uncertain_dollars"] == 1
    assert found["newsletter_spent_day_dollars"] == 0.25
    assert found["newsletter_spent_month_dollars"] == 0.25
    assert found['newsletter_tokens_total{kind="input"}'] == 2000
    assert found['newsletter_tokens_total{kind="output"}'] == 200
    assert found['newsletter_tokens_total{kind="cache_read"}'] == 0


def test_queues_ages_and_alerts(store: Store):
    scenario = DeliveryScenario(store, Clock(NOW - timedelta(hours=3)))
    scenario.add_readers(3)
    scenario.make_digest(TUESDAY)
    with store.begin() as tx:
        first, second, _ = (row.id for row in scenario.rows())
        for key, state in ((first, "unknown"), (second, "accepted")):
            values = {"state": state, "changed_at": NOW - timedelta(hours=2)}
            tx.execute(update(delivery).where(delivery.c.id == key).values(values))
        inbound.keep(
            tx, b"hello", "a@example.org", "reply@x", NOW - timedelta(days=2), aligned=False
        )
        letter = inbound.next_new(tx)
        assert letter
        inbound.set_state(tx, letter.id, inbound.InboundState.PERSONAL)
        incidents.record_duration(tx, "score", 12.5, NOW)
        leases.heartbeat(tx, "one", "serve", NOW - timedelta(seconds=30))
        leases.heartbeat(tx, "two", "serve", NOW - timedelta(seconds=90))
    service = Service(store)
    service.now = NOW
    for _ in range(2):
        service.round(0)
    found = scraped(make_site(store))
    assert found['newsletter_deliveries{state="unknown"}'] == 1
    assert found['newsletter_deliveries{state="accepted"}'] == 1
    assert found["newsletter_oldest_pending_age_seconds"] == 3 * 3600
    assert found["newsletter_oldest_unknown_age_seconds"] == 2 * 3600
    assert found["newsletter_oldest_reply_age_seconds"] == 2 * 86400
    assert found["newsletter_replies_waiting"] == 1
    assert found['newsletter_step_duration_seconds{step="score"}'] == 12.5
    assert found['newsletter_heartbeat_age_seconds{role="serve"}'] == 30
    assert found['newsletter_processes{role="serve"}'] == 2
    assert found['newsletter_alerts{kind="unknown"}'] == 1
    assert found['newsletter_alerts{kind="overdue"}'] == 1
    with store.read() as tx:
        assert {one.alert.kind for one in alerts.open_alerts(tx)} >= {
            AlertKind.UNKNOWN,
            AlertKind.REPLIES,
        }


def test_incremental_counts_equal_full_counts(store: Store):
    """A process that counts daily gets the same sums as one that counts for the first time."""
    kept, service = MetricCounts(), Service(store)
    scenario = DeliveryScenario(store, Clock(NOW))
    scenario.add_readers(2)
    announced = TUESDAY
    for day in range(20):
        now = service.now = NOW + timedelta(days=day)
        service.pay("stars", 1000 + day)
        scenario.make_digest(announced)
        announced = following(announced)
        with store.read() as tx:
            for name in ("calls", "mails"):
                seen = getattr(kept, name)(tx, now)
                assert seen == getattr(MetricCounts(), name)(tx, now), (name, day)
    with store.read() as tx:
        assert monitoring.spent_since(tx, NOW) == (sum(1000 + day for day in range(20)), 0)
        assert kept.mails(tx, now) == {"pending": 40}
