"""Every alert: cause the fault, read the mail, clear it, cause it again."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from threading import Barrier, Thread
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete, event, func, select, update

from newsletter.context import no_progress
from newsletter.delivery import limits
from newsletter.domain.mail import WEEKLY, EventKind
from newsletter.domain.model import Outcome
from newsletter.jobs.daily import build_digests, fetch_papers, read_day
from newsletter.jobs.instrumentation import record_results
from newsletter.mailers import SendError, SendFailure
from newsletter.scorers.claude.scorer import ClaudeScorer
from newsletter.sources import SourceError
from newsletter.store import Store, alerts, claims, events, inbound, subscribers
from newsletter.store.events import Event
from newsletter.store.tables import delivery
from newsletter.store.tables import digest as digests
from newsletter.store.tables import inbound as letters
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.database import create_database
from tests.fakes.mail import Clock, DeliveryScenario, settings
from tests.fakes.scoring import scores_in_abstract
from tests.fakes.simulated_service import OPERATOR, START, TUESDAY, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from newsletter.domain.mail import Email

UNSENT = SendError(SendFailure.UNSENT, "the server is away")
DOLLAR = 1_000_000_000


@pytest.fixture
def service(store: Store) -> Service:
    return Service(store)


def words(mail: Email) -> str:
    return " ".join(mail.text.split())


def open_kinds(service: Service) -> set[str]:
    with service.app.store.read() as tx:
        return {one.alert.kind.label for one in alerts.open_alerts(tx)}


def assert_mailed_once(
    service: Service,
    cause: Callable[[], object],
    fix: Callable[[], object],
    *said: str,
    wait: int = 5,
) -> None:
    """One mail while the fault lasts, none when it is over, another when it comes back."""
    before = len(service.alert_mails)
    cause()
    mails = service.round(wait)[before:]
    assert len(mails) == 1, open_kinds(service)
    for part in said:
        assert part in words(mails[0]), words(mails[0])
    assert said[0] in mails[0].subject
    for minutes in (5, 5, 60, 60):
        service.round(minutes)
    assert len(service.alert_mails) == before + 1
    fix()
    for _ in range(3):
        service.round()
    assert open_kinds(service) == set()
    assert len(service.alert_mails) == before + 1
    service.round(60)
    cause()
    again = service.round(wait)[before:]
    assert len(again) == 2
    assert said[0].partition(":")[0] in again[1].subject


def test_a_service_without_faults_mails_no_alert(service: Service):
    service.join()
    service.build_digests()
    assert service.round(60 * 12) == []


def test_a_late_announcement(service: Service):
    service.join()

    def stay_away() -> None:
        service.next_announcement()
        service.source.late = True
        service.build_digests()
        told = len(service.alert_mails)
        service.round(110)
        assert len(service.alert_mails) == told

    def come() -> None:
        service.source.late = False
        service.build_digests(16)

    assert_mailed_once(
        service,
        stay_away,
        come,
        "ArXiv's announcement is late: 2025-11-18",
        "public from 2025-11-18 01:00 UTC",
        "these categories are incomplete: cs.LG",
        "status.arxiv.org",
        wait=10,
    )


def test_the_setting_says_from_when_an_announcement_is_late(store: Store):
    service = Service(store, late_hours=0.5)
    service.join()
    service.source.late = True
    service.build_digests()
    assert len(service.round(0)) == 1


def test_an_announcement_is_not_late_before_its_first_poll(service: Service):
    service.join()
    service.round(12 * 60)
    service.build_digests()
    service.round()
    assert service.alert_mails == []


@pytest.fixture
def model() -> Any:
    with FakeAnthropic(scores_in_abstract) as serving:
        yield serving


def with_model(service: Service, model: FakeAnthropic, **more: Any) -> None:
    chosen = settings(
        anthropic_api_key="sk-test", anthropic_base_url=model.url, scoring_mode="now", **more
    )
    service.app = replace(service.app, scorer=ClaudeScorer(chosen))


def test_scoring_that_failed(service: Service, model: FakeAnthropic):
    with_model(service, model)
    service.join()

    def fail() -> None:
        model.faults.clear()
        model.fault(401, times=1000)
        service.next_announcement()
        service.build_digests()

    def mend() -> None:
        model.faults.clear()
        service.build_digests(16)

    assert_mailed_once(
        service,
        fail,
        mend,
        "Scoring failed",
        "stars of 2025-11-18",
        "ANTHROPIC_API_KEY",
        "newsletter run --date 2025-11-18",
    )


def test_many_rubrics_that_fail_for_one_reason_are_one_alert(
    service: Service, model: FakeAnthropic
):
    with_model(service, model)
    service.join("stars")
    service.join("models")
    model.fault(401, times=1000)
    service.build_digests()
    [mail] = service.round()
    assert mail.subject.startswith("[arXiv digest] Scoring failed: models of 2025-11-18, stars")
    assert mail.text.count("ANTHROPIC_API_KEY") == 1
    assert mail.text.count("newsletter run") == 1


def test_further_alerts_of_a_cause_wait_an_hour(service: Service):
    service.join()
    service.build_digests()
    for number in range(6):
        record_results(service.app, TUESDAY, [(f"r{number}", None, f"{number} of 9 not scored")])
        service.round()
    assert len(service.alert_mails) == 1
    assert "r0 of" in service.alert_mails[0].subject
    service.round(60)
    assert len(service.alert_mails) == 2
    assert "r1 of 2025-11-18, r2 of 2025-11-18" in words(service.alert_mails[1])


def test_a_daily_run_that_fails(service: Service):
    service.join()

    def fail() -> None:
        service.source.fault = SourceError("arXiv answered 503")
        service.next_announcement()
        service.build_digests()
        # A single failed request is not worth an alert.
        told = len(service.alert_mails)
        service.round(10)
        assert len(service.alert_mails) == told
        service.build_digests(50)

    def mend() -> None:
        service.source.fault = None
        service.build_digests(16)

    assert_mailed_once(
        service,
        fail,
        mend,
        "The daily run fails",
        "Since 2025-11-18 02:00 UTC",
        "arXiv answered 503",
        "newsletter doctor",
    )


def test_a_missing_digest(service: Service):
    service.join()
    assert_mailed_once(
        service,
        lambda: miss(service),
        lambda: build_digests(service.app, read_day(service.app), no_progress),
        "A digest is missing",
        "stars of 2025-11-18",
        "the first mail was due at 2025-11-18 07:00 UTC",
        "newsletter run --date 2025-11-18",
        wait=0,
    )


def miss(service: Service) -> None:
    """The papers come, and whatever should make a digest of them does not; until 08:01."""
    service.next_announcement()
    fetch_papers(service.app, read_day(service.app), None, no_progress)
    told = len(service.alert_mails)
    service.round(5 * 60)
    assert len(service.alert_mails) == told
    service.now += timedelta(minutes=61)


def test_a_daily_run_that_never_started(service: Service):
    service.join()

    def nobody_wakes() -> None:
        service.next_announcement()
        told = len(service.alert_mails)
        service.round(5 * 60 + 59)
        assert len(service.alert_mails) == told

    assert_mailed_once(
        service,
        nobody_wakes,
        service.build_digests,
        "A digest is missing: stars of 2025-11-18",
        "arXiv was not polled, the first mail was due at 2025-11-18 07:00 UTC",
        "newsletter run --date 2025-11-18",
    )


def test_failed_scoring_is_not_also_a_missing_digest(service: Service, model: FakeAnthropic):
    with_model(service, model)
    service.join()
    model.fault(401, times=1000)
    service.build_digests()
    service.round()
    service.round(12 * 60)
    assert open_kinds(service) == {"scoring"}


def digest_with_readers(service: Service, people: int = 2) -> DeliveryScenario:
    """Readers of a stored digest; the rubrics of the daily run have none."""
    scenario = DeliveryScenario(service.app.store, Clock(service.now))
    scenario.add_readers(people, since=START - timedelta(days=9))
    scenario.make_digest(TUESDAY)
    return scenario


def all_to(state: str, service: Service) -> None:
    with service.app.store.begin() as tx:
        tx.execute(update(delivery).values(state=state, changed_at=service.now))


def test_overdue_mail(service: Service):
    scenario = digest_with_readers(service)
    assert service.round(59) == []

    def wait_for_mail() -> None:
        all_to("pending", service)
        # After a start, the first round counts nothing as overdue: mail is being sent.
        told = len(service.alert_mails)
        service.round(1)
        assert len(service.alert_mails) == told

    assert_mailed_once(
        service,
        wait_for_mail,
        lambda: scenario.send(service.mailer),
        "Mail is overdue: cold-stars of 2025-11-18",
        "2 mails due since 2025-11-18 02:00 UTC",
        "newsletter run --date 2025-11-18 --rubric cold-stars",
    )


def test_readers_without_planned_mail(service: Service):
    service.join()
    service.join(number=7)
    service.planning = False

    def make_and_plan_nothing() -> None:
        service.next_announcement()
        service.build_digests()
        told = len(service.alert_mails)
        # Due at seven.
        service.round(5 * 60 + 59)
        service.round(1)
        assert len(service.alert_mails) == told

    assert_mailed_once(
        service,
        make_and_plan_nothing,
        service.plan,
        "Mail is overdue: stars of 2025-11-18",
        "2 mails due since 2025-11-18 07:00 UTC were not sent",
        "newsletter run --date 2025-11-18 --rubric stars",
    )


def test_mail_is_not_overdue_within_an_hour_of_its_send_time(service: Service):
    service.planning = False
    service.join()
    service.join(number=7, timezone="America/New_York")
    # Made at ten: what is late for having been made late is planned at the next wake-up.
    service.next_announcement()
    service.build_digests(minutes=8 * 60)
    assert service.round(59) == []
    assert service.round(1) == []
    [mail] = service.round()
    assert "1 mail due since 2025-11-18 10:00 UTC" in words(mail)


def test_overdue_mail_of_a_weekly_reader(service: Service):
    weekly = service.join(days=WEEKLY)
    service.join(number=8)
    for _ in range(4):
        service.next_announcement()
        service.build_digests()
        assert service.round(7 * 60) == []
    service.planning = False
    with service.app.store.begin() as tx:
        tx.execute(delete(delivery).where(delivery.c.subscriber_id == weekly.id))
    assert service.round() == []
    [mail] = service.round()
    assert "Mail is overdue: stars of 2025-11-21" in mail.subject
    assert "1 mail due since 2025-11-21 07:00 UTC" in words(mail)


def test_planned_and_unplanned_overdue_mail_are_one_alert(service: Service):
    service.join()
    service.join(number=8)
    service.next_announcement()
    service.build_digests()
    service.round(5 * 60)
    service.planning = False
    with service.app.store.begin() as tx:
        first = tx.scalar(select(func.min(delivery.c.id)))
        tx.execute(delete(delivery).where(delivery.c.id == first))
        tx.execute(update(delivery).values(state="pending"))
    service.round(60)
    [mail] = service.round()
    assert "2 mails due since 2025-11-18 07:00 UTC" in words(mail)


def test_a_halted_run(service: Service):
    scenario = digest_with_readers(service, 1)

    def halt() -> None:
        all_to("pending", service)
        service.mailer.fault = SendError(
            SendFailure.HALT, "SendGrid answered 401: the key is wrong"
        )
        scenario.send(service.mailer)
        service.mailer.fault = None

    assert_mailed_once(
        service,
        halt,
        lambda: scenario.send(service.mailer),
        "Sending was stopped: cold-stars of 2025-11-18",
        "SendGrid answered 401: the key is wrong",
        "newsletter run --date 2025-11-18 --rubric cold-stars",
    )


def test_mails_with_unknown_outcome(service: Service):
    scenario = digest_with_readers(service)

    def doubt() -> None:
        all_to("pending", service)
        service.mailer.fault = SendError(SendFailure.UNKNOWN, "no answer")
        scenario.clock.at = service.now
        scenario.send(service.mailer)
        service.mailer.fault = None
        told = len(service.alert_mails)
        service.round(30)
        assert len(service.alert_mails) == told

    def resolve() -> None:
        with service.app.store.begin() as tx:
            for one in claims.unknown_deliveries(tx):
                claims.resolve(tx, one.id, service.now, sent=True)

    assert_mailed_once(
        service,
        doubt,
        resolve,
        "Mails with unknown outcome: cold-stars of 2025-11-18",
        "The outcome of 2 mails is unknown since 2025-11-18 02:00 UTC",
        "newsletter deliveries list",
        wait=40,
    )


@pytest.mark.parametrize(
    ("readers", "title", "share"),
    [
        (2000, "Spam complaints", "0.15%"),
        (500, "Too many spam complaints", "0.60%"),
    ],
)
def test_complaints(service: Service, readers: int, title: str, share: str):
    scenario = digest_with_readers(service, readers)
    all_to("accepted", service)

    def complain() -> None:
        told = [
            Event(EventKind.COMPLAINT, f"reader{n}@example.org", service.now) for n in range(1, 4)
        ]
        with service.app.store.begin() as tx:
            events.apply(tx, told[:2], service.now)
        count = len(service.alert_mails)
        service.round()
        assert len(service.alert_mails) == count
        all_to("accepted", service)
        with service.app.store.begin() as tx:
            tx.execute(digests.update().values(at=service.now))
            events.apply(tx, told, service.now)

    def a_month_passes() -> None:
        service.now += timedelta(days=31)

    assert len(scenario.rows()) == readers
    said = f"3 readers reported mail as spam, of {readers:,} mails"
    assert_mailed_once(service, complain, a_month_passes, title, said, share)


def test_one_reader_who_reports_every_mail_stops_no_digest(service: Service):
    digest_with_readers(service, 20)
    all_to("accepted", service)
    told = [
        Event(EventKind.COMPLAINT, "reader1@example.org", service.now + timedelta(seconds=n))
        for n in range(5)
    ]
    with service.app.store.begin() as tx:
        events.apply(tx, told, service.now)
    assert service.round() == []
    with service.app.store.read() as tx:
        assert limits.complaint_reason(tx, service.now) == ""


def test_a_budget_that_is_nearly_spent(service: Service):
    service.pay("stars", int(0.119 * DOLLAR))
    assert service.round() == []

    def spend() -> None:
        service.set(budget_usd="0.15")
        service.pay("stars", int(0.01 * DOLLAR))

    assert_mailed_once(
        service,
        spend,
        lambda: service.set(budget_usd="1"),
        "A budget is nearly spent: stars",
        "cost $0.13 of the daily budget of $0.15",
        "NEWSLETTER_BUDGET_USD",
        "newsletter run --dry-run",
    )


def test_a_budget_nearly_spent_every_day_is_one_alert(service: Service):
    for number in range(6):
        service.pay("stars", int(0.14 * DOLLAR), TUESDAY + timedelta(days=number))
        service.round(24 * 60)
    assert len(service.alert_mails) == 1


def test_a_digest_that_is_held_because_of_the_budget(service: Service, model: FakeAnthropic):
    with_model(service, model)
    service.set(budget_usd="0.002")
    service.join()
    service.build_digests()
    [mail] = service.round()
    assert "Scoring failed: stars of 2025-11-18" in mail.subject
    assert "the budget left 27 of 27 papers unread" in words(mail)
    assert "NEWSLETTER_BUDGET_USD" in words(mail)
    service.round()
    assert len(service.alert_mails) == 1


def test_papers_not_scored_because_of_the_budget(service: Service):
    service.join()
    service.build_digests()
    issue = build_digests(service.app, read_day(service.app), no_progress).results[0]
    digest = issue.digest
    assert digest
    short = replace(
        digest,
        coverage=replace(
            digest.coverage, announced=50, outcomes={Outcome.UNSCORED_BUDGET: 5, Outcome.SCORED: 45}
        ),
    )

    assert_mailed_once(
        service,
        lambda: record_results(service.app, TUESDAY, [("stars", short, "")]),
        lambda: record_results(service.app, TUESDAY, [("stars", digest, "")]),
        "A budget is spent: stars",
        "5 of 50 papers were not scored: budget exhausted",
        "NEWSLETTER_BUDGET_USD",
    )


@pytest.mark.parametrize(
    ("spent", "title"),
    [
        ("0.85", "A budget is nearly spent"),
        ("0.995", "A budget is spent"),
    ],
)
def test_the_monthly_budget(store: Store, spent: str, title: str):
    service = Service(store, budget_usd="100", monthly_budget_usd="1")
    service.pay("stars", int(float(spent) * DOLLAR))

    assert_mailed_once(
        service,
        lambda: service.set(monthly_budget_usd="1"),
        lambda: service.set(monthly_budget_usd="9"),
        f"{title}: month of 2025-11",
        "of the monthly budget of $1.00",
        "NEWSLETTER_MONTHLY_BUDGET_USD",
        "newsletter status",
    )


def test_a_disk_that_is_nearly_full(tmp_path: Path):
    create_database(url := f"sqlite:///{tmp_path / 'n.db'}")
    store = Store(url)
    service = Service(store)

    assert_mailed_once(
        service,
        lambda: service.set(disk_free_gb=100_000),
        lambda: service.set(disk_free_gb=0),
        "The disk is nearly full",
        "GB are free on the disk of",
        f"du -xh --max-depth=1 {tmp_path}",
    )
    store.close()


@dataclass
class RemovableDatabase:
    """A service whose database file can be removed and restored."""

    folder: Path

    def __post_init__(self) -> None:
        self.path = self.folder / "n.db"
        create_database(f"sqlite:///{self.path}")
        self.store = Store(f"sqlite:///{self.path}")
        self.store.require_schema()
        self.service = Service(self.store)

    def remove(self) -> None:
        self.store.close()
        self.path.rename(self.folder / "kept.db")
        self.path.mkdir()

    def restore(self) -> None:
        self.path.rmdir()
        (self.folder / "kept.db").rename(self.path)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[RemovableDatabase]:
    made = RemovableDatabase(tmp_path)
    yield made
    made.store.close()


def test_a_database_outage_is_mailed(database: RemovableDatabase, caplog: pytest.LogCaptureFixture):
    service = database.service

    def lose() -> None:
        database.remove()
        count = len(service.alert_mails)
        service.round()
        assert len(service.alert_mails) == count

    with caplog.at_level(logging.WARNING):
        lose()
        service.round()
    [mail] = service.alert_mails
    assert "The database fails" in mail.subject
    assert "unable to open database file" in words(mail)
    assert "Since 2025-11-18 02:05 UTC" in words(mail)
    assert "newsletter doctor" in words(mail)
    assert "unable to open database file" in caplog.text
    for minutes in (5, 5, 60, 60):
        service.round(minutes)
    assert len(service.alert_mails) == 1
    database.restore()
    service.round(65)
    lose()
    assert len(service.round()) == 2
    database.restore()


def test_a_database_file_removed_while_open_is_reported(database: RemovableDatabase):
    database.path.rename(database.folder / "kept.db")
    database.service.round()
    [mail] = database.service.round()
    assert "The database fails" in mail.subject
    assert "the file was removed" in words(mail)
    assert not database.path.exists()
    database.service.round(60)
    assert len(database.service.alert_mails) == 1
    (database.folder / "kept.db").rename(database.path)
    database.service.round(65)
    assert len(database.service.alert_mails) == 1


def test_an_intermittent_database_is_reported_at_most_once_an_hour(database: RemovableDatabase):
    for _ in range(12):
        database.remove()
        database.service.round()
        database.service.round()
        database.restore()
        database.service.round()
    assert len(database.service.alert_mails) == 1


def test_a_database_locked_for_one_round_is_not_reported(database: RemovableDatabase):
    for _ in range(12):
        database.remove()
        database.service.round()
        database.restore()
        database.service.round()
    assert database.service.alert_mails == []


def test_an_outage_of_weeks_is_reported_again_once_a_week(database: RemovableDatabase):
    database.remove()
    for _ in range(15 * 24):
        database.service.round(60)
    assert len(database.service.alert_mails) == 3
    assert "Since 2025-11-18 03:00 UTC" in words(database.service.alert_mails[-1])
    database.restore()


def test_an_outage_whose_mail_failed_is_reported_later(database: RemovableDatabase):
    service = database.service
    database.remove()
    service.mailer.fault = UNSENT
    for _ in range(3):
        service.round()
    assert service.mailer.calls == 2
    service.mailer.fault = SendError(SendFailure.UNKNOWN, "no answer")
    for _ in range(12):
        service.round()
    assert service.mailer.calls == 3
    service.mailer.fault = None
    assert len(service.round()) == 1
    database.restore()


def test_a_database_that_cannot_be_written_is_one_mail(tmp_path: Path):
    create_database(url := f"sqlite:///{tmp_path / 'n.db'}")
    store = Store(url)
    service = Service(store, disk_free_gb=100_000)
    quick = Store(str(store.url))
    event.listen(quick.engine, "connect", lambda one, _: one.execute("PRAGMA busy_timeout=50"))
    service.app = replace(service.app, store=quick)
    # This transaction holds the write lock during the block.
    with store.begin():
        for _ in range(4):
            service.round()
    assert [mail.subject for mail in service.alert_mails] == ["[arXiv digest] The database fails"]
    quick.close()
    store.close()


def test_replies_to_review(service: Service):
    def come() -> None:
        with service.app.store.begin() as tx:
            for number in range(2):
                raw = f"Message-ID: <{number}{service.now}@x>\r\n\r\nhello".encode()
                inbound.keep(tx, raw, "ann@example.org", "reply@x", service.now, aligned=False)
                found = inbound.next_new(tx)
                assert found
                inbound.set_state(tx, found.id, inbound.InboundState.REVIEW)

    def answer() -> None:
        with service.app.store.begin() as tx:
            for one in inbound.review_queue(tx):
                inbound.set_state(tx, one.id, inbound.InboundState.DONE)

    assert_mailed_once(
        service,
        come,
        answer,
        "Replies need review",
        "2 replies to read",
        "came at 2025-11-18 02:00 UTC",
        "newsletter replies list",
    )
    assert "<code>newsletter replies answer</code>" in service.alert_mails[0].html
    assert not [mail for mail in service.alert_mails if "ann@" in mail.text + mail.html]


def review(service: Service, number: int = 0) -> None:
    with service.app.store.begin() as tx:
        raw = f"Message-ID: <{number}@x>\r\n\r\nhello".encode()
        inbound.keep(tx, raw, "ann@example.org", "reply@x", service.now, aligned=False)
        found = inbound.next_new(tx)
        assert found
        inbound.set_state(tx, found.id, inbound.InboundState.PERSONAL)


def test_an_alert_goes_to_the_operator_alone_as_an_automatic_mail(service: Service):
    service.join()
    service.build_digests()
    review(service)
    [mail] = service.round()
    assert service.mailer.taken == [mail]
    assert mail.to_email == OPERATOR
    assert ("Auto-Submitted", "auto-generated") in mail.headers
    assert not [name for name, _ in mail.headers if name.startswith("List-")]
    assert mail.delivery_id == ""


def test_an_unsent_alert_is_sent_in_the_next_round(service: Service):
    review(service)
    service.mailer.fault = UNSENT
    service.round()
    service.round()
    assert (service.mailer.calls, service.alert_mails) == (2, [])
    service.mailer.fault = None
    assert len(service.round()) == 1
    assert len(service.round()) == 1


def test_an_alert_that_may_have_been_sent_waits_an_hour(service: Service):
    review(service)
    service.mailer.fault = SendError(SendFailure.UNKNOWN, "no answer")
    service.round()
    for _ in range(11):
        service.round()
    assert service.mailer.calls == 1
    service.mailer.fault = None
    assert len(service.round()) == 1


def test_without_an_operator_address_alerts_are_logged_and_mailed_later(
    store: Store, caplog: pytest.LogCaptureFixture
):
    service = Service(store, operator_email="")
    review(service)
    with caplog.at_level(logging.INFO):
        service.round()
        service.round()
    assert caplog.text.count("newsletter replies list") == 1
    service.set(operator_email=OPERATOR)
    assert len(service.round()) == 1


def test_an_open_alert_is_mailed_again_once_a_week(service: Service):
    review(service)
    for _ in range(15 * 4):
        service.round(6 * 60)
    assert len(service.alert_mails) == 3


def test_the_next_mail_lists_resolved_alerts(service: Service):
    review(service)
    service.round()
    with service.app.store.begin() as tx:
        for one in inbound.review_queue(tx):
            inbound.set_state(tx, one.id, inbound.InboundState.DONE)
    service.round(20)
    service.pay("stars", DOLLAR)
    [_, mail] = service.round()
    assert "Resolved since the last email - Replies need review" in words(mail)
    service.pay("models", DOLLAR)
    [*_, last] = service.round(60)
    assert "Over since" not in words(last)


def test_an_alert_not_seen_in_one_round_stays_open(service: Service):
    review(service)
    service.round()
    for state in (inbound.InboundState.DONE, inbound.InboundState.REVIEW):
        with service.app.store.begin() as tx:
            tx.execute(update(letters).values(state=state))
        service.round()
    with service.app.store.read() as tx:
        [one] = alerts.open_alerts(tx)
    assert (one.first_seen, len(service.alert_mails)) == (START + timedelta(minutes=5), 1)


def test_several_alerts_are_one_mail(service: Service):
    review(service)
    service.pay("stars", DOLLAR)
    [mail] = service.round()
    assert mail.subject == "[arXiv digest] 2 alerts"
    assert "newsletter replies list" in mail.text
    assert "newsletter run --dry-run" in mail.text


def test_two_processes_store_one_alert(service: Service):
    review(service)
    with service.app.store.begin() as tx:
        subscribers.count_states(tx)
    second = Service(service.app.store)
    service.round()
    second.round()
    assert len(service.alert_mails) + len(second.alert_mails) == 1
    with service.app.store.read() as tx:
        assert len(alerts.open_alerts(tx)) == 1


def test_of_many_processes_at_the_same_moment_one_sends_the_mail(service: Service):
    review(service)
    url = service.app.store.url.render_as_string(hide_password=False)
    services = [Service(Store(url)) for _ in range(4)]
    gate = Barrier(len(services))

    def report(one: Service) -> None:
        # While the mail is being sent, the other processes run their rounds.
        one.mailer.pause = 0.3
        gate.wait()
        one.round()

    threads = [Thread(target=report, args=(one,)) for one in services]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(len(one.alert_mails) for one in services) == 1
    for one in services:
        one.round()
        one.app.store.close()
    assert sum(len(one.alert_mails) for one in services) == 1


def test_an_alert_claimed_by_another_process_cannot_be_claimed(service: Service):
    review(service)
    later = START + timedelta(hours=1)
    service.set(operator_email="")
    service.round()
    with service.app.store.read() as tx:
        read = alerts.open_alerts(tx)
    assert len(read) == 1
    for ours in (1, 0):
        with service.app.store.begin() as tx:
            assert len(alerts.claim(tx, read, service.now, later)) == ours
    with service.app.store.begin() as tx:
        alerts.mark_reported(tx, [one.id for one in read], service.now)
        assert alerts.claim(tx, read, later, later) == []


class Killed(BaseException):
    """A killed process: no handler catches it."""


def test_an_alert_whose_sender_dies_is_mailed_by_another_process(service: Service):
    review(service)
    service.mailer.fault = Killed()  # type: ignore[assignment]
    with pytest.raises(Killed):
        service.round()
    second = Service(service.app.store)
    second.now = service.now
    # It may have been sent.
    for _ in range(11):
        assert second.round() == []
    assert len(second.round()) == 1
    assert len(second.round(60)) == 1
