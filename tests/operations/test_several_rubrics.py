"""Alerts about a rubric whose only reader reads another one too."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import select, update

from newsletter.context import no_progress
from newsletter.domain.mail import EventKind
from newsletter.jobs.daily import build_digests, fetch_papers, read_day
from newsletter.operations.alerting import collect_state
from newsletter.store import events, subscriptions
from newsletter.store.events import Event
from newsletter.store.tables import delivery, digest
from tests.fakes.simulated_service import START, Service

if TYPE_CHECKING:
    from newsletter.domain.alerts import ServiceState
    from newsletter.domain.mail import Subscription
    from newsletter.store import Store


def reader_of_both(service: Service) -> Subscription:
    person = service.join("stars")
    with service.app.store.begin() as tx:
        subscriptions.add(tx, person.id, "models", START, consent="asked")
    return person


def words(service: Service) -> list[str]:
    return [" ".join(f"{mail.subject} {mail.text}".split()) for mail in service.alert_mails]


def seen(service: Service) -> ServiceState:
    app = service.app
    return collect_state(app.store, app.settings, app.rubrics, app.source, service.now)


def test_a_service_that_serves_both_mails_no_alert(store: Store) -> None:
    service = Service(store)
    reader_of_both(service)
    service.next_announcement()
    service.build_digests()
    for minutes in (5, 60, 24 * 60 - 65):
        assert service.round(minutes) == []


def test_overdue_mail_of_one_rubric_is_told_though_the_other_mail_arrived(store: Store) -> None:
    service = Service(store)
    reader_of_both(service)
    service.next_announcement()
    service.build_digests()
    service.round(6 * 60)
    service.planning = False
    models = select(digest.c.id).where(digest.c.rubric == "models")
    with store.begin() as tx:
        late = delivery.c.digest_id.in_(models)
        assert tx.execute(update(delivery).where(late).values(state="pending")).rowcount == 1
    for minutes in (5, 60, 5):
        service.round(minutes)
    [told] = words(service)
    assert "Mail is overdue: models of 2025-11-18" in told
    assert "1 mail due since" in told
    assert "stars of" not in told


def test_mail_that_nobody_planned_is_told_for_each_rubric(store: Store) -> None:
    service = Service(store)
    reader_of_both(service)
    service.planning = False
    service.next_announcement()
    service.build_digests()
    service.round(5 * 60 + 59)
    service.round(1)
    service.round(5)
    [told] = words(service)
    for rubric in ("models", "stars"):
        assert f"newsletter run --date 2025-11-18 --rubric {rubric}" in told


def test_a_missing_digest_of_the_added_rubric_is_told(store: Store) -> None:
    service = Service(store)
    reader_of_both(service)
    service.next_announcement()
    stars = replace(service.app, rubrics={"stars": service.app.rubrics["stars"]})
    fetch_papers(service.app, read_day(service.app), None, no_progress)
    build_digests(stars, read_day(stars), no_progress)
    service.round(6 * 60 + 1)
    [told] = words(service)
    assert "A digest is missing: models of 2025-11-18" in told


def test_a_complaint_ends_both_and_counts_once(store: Store) -> None:
    service = Service(store)
    person = reader_of_both(service)
    service.next_announcement()
    service.build_digests()
    service.round(6 * 60)
    with store.begin() as tx:
        events.apply(tx, [Event(EventKind.COMPLAINT, person.email, service.now)], service.now)
    assert seen(service).complaints == 1
    with store.read() as tx:
        assert subscriptions.count_by_rubric(tx) == {}
    assert seen(service).overdue_mail == ()
