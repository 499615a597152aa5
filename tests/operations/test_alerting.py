"""Each trouble is provoked as it happens, told once with the fix, and again when it is back."""

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
from newsletter.jobs.daily import build_digests, fetch_papers
from newsletter.jobs.instrumentation import record_results
from newsletter.mailers import SendError, Verdict
from newsletter.scorers.claude.scorer import ClaudeScorer
from newsletter.sources import SourceError
from newsletter.store import Store, alerts, claims, events, inbound, subscribers
from newsletter.store.events import Event
from newsletter.store.tables import delivery
from newsletter.store.tables import digest as digests
from newsletter.store.tables import inbound as letters
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.mail import Clock, DeliveryScenario, settings
from tests.fakes.scoring import honest
from tests.fakes.service_room import OPERATOR, START, TUESDAY, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from newsletter.domain.mail import Email

UNSENT = SendError(Verdict.UNSENT, "the server is away")
DOLLAR = 1_000_000_000


@pytest.fixture
def service(store: Store) -> Service:
    return Service(store)


def words(mail: Email) -> str:
    return " ".join(mail.text.split())


def open_kinds(service: Service) -> set[str]:
    with service.app.store.read() as tx:
        return {one.alert.kind.label for one in alerts.open_alerts(tx)}


def is_told_once(
    service: Service,
    provoke: Callable[[], object],
    mend: Callable[[], object],
    *said: str,
    wait: int = 5,
) -> None:
    """Told once while it lasts; not when it is over; told again when it comes back."""
    before = len(service.told)
    provoke()
    mails = service.round(wait)[before:]
    assert len(mails) == 1, open_kinds(service)
    for part in said:
        assert part in words(mails[0]), words(mails[0])
    assert said[0] in mails[0].subject
    for minutes in (5, 5, 60, 60):
        service.round(minutes)
    assert len(service.told) == before + 1
    mend()
    for _ in range(3):
        service.round()
    assert open_kinds(service) == set()
    assert len(service.told) == before + 1
    service.round(60)
    provoke()
    again = service.round(wait)[before:]
    assert len(again) == 2
    assert said[0].partition(":")[0] in again[1].subject


def test_a_quiet_service_tells_nothing(service: Service):
    service.join()
    service.morning()
    assert service.round(60 * 12) == []


def test_a_late_batch(service: Service):
    service.join()

    def stay_away() -> None:
        service.dawn()
        service.archive.late = True
        service.morning()
        told = len(service.told)
        service.round(110)
        assert len(service.told) == told

    def come() -> None:
        service.archive.late = False
        service.morning(16)

    is_told_once(
        service,
        stay_away,
        come,
        "ArXiv's batch is late: 2025-11-18",
        "public from 2025-11-18 01:00 UTC",
        "not all there: cs.LG",
        "status.arxiv.org",
        wait=10,
    )


def test_a_batch_counts_as_late_from_the_hour_that_is_set(store: Store):
    service = Service(store, late_hours=0.5)
    service.join()
    service.archive.late = True
    service.morning()
    assert len(service.round(0)) == 1


def test_a_service_that_begins_long_after_the_announcement_has_not_looked_yet(service: Service):
    service.join()
    service.round(12 * 60)
    service.morning()
    service.round()
    assert service.told == []


@pytest.fixture
def model() -> Any:
    with FakeAnthropic(honest) as serving:
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
        service.dawn()
        service.morning()

    def mend() -> None:
        model.faults.clear()
        service.morning(16)

    is_told_once(
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
    service.morning()
    [mail] = service.round()
    assert mail.subject.startswith("[arXiv digest] Scoring failed: models of 2025-11-18, stars")
    assert mail.text.count("ANTHROPIC_API_KEY") == 1
    assert mail.text.count("newsletter run") == 1


def test_more_of_a_cause_that_was_just_told_waits_an_hour(service: Service):
    service.join()
    service.morning()
    for number in range(6):
        record_results(service.app, TUESDAY, [(f"r{number}", None, f"{number} of 9 not scored")])
        service.round()
    assert len(service.told) == 1
    assert "r0 of" in service.told[0].subject
    service.round(60)
    assert len(service.told) == 2
    assert "r1 of 2025-11-18, r2 of 2025-11-18" in words(service.told[1])


def test_a_morning_that_fails_for_everybody(service: Service):
    service.join()

    def fail() -> None:
        service.archive.fault = SourceError("arXiv answered 503")
        service.dawn()
        service.morning()
        # A first question without an answer is weather.
        told = len(service.told)
        service.round(10)
        assert len(service.told) == told
        service.morning(50)

    def mend() -> None:
        service.archive.fault = None
        service.morning(16)

    is_told_once(
        service,
        fail,
        mend,
        "The morning fails",
        "Since 2025-11-18 02:00 UTC",
        "arXiv answered 503",
        "newsletter doctor",
    )


def test_a_morning_that_was_missed(service: Service):
    service.join()
    is_told_once(
        service,
        lambda: miss(service),
        lambda: build_digests(service.app, no_progress),
        "A morning was missed",
        "stars of 2025-11-18",
        "due at 2025-11-18 07:00 UTC",
        "newsletter run --date 2025-11-18",
        wait=0,
    )


def miss(service: Service) -> None:
    """The papers come, and whatever should make a digest of them does not; until 08:01."""
    service.dawn()
    fetch_papers(service.app, list(service.app.rubrics.values()), None, no_progress)
    told = len(service.told)
    service.round(5 * 60)
    assert len(service.told) == told
    service.now += timedelta(minutes=61)


def test_a_morning_that_never_began(service: Service):
    service.join()

    def nobody_wakes() -> None:
        service.dawn()
        told = len(service.told)
        service.round(5 * 60 + 59)
        assert len(service.told) == told

    is_told_once(
        service,
        nobody_wakes,
        service.morning,
        "A morning was missed: stars of 2025-11-18",
        "arXiv was not asked for its papers, its first reader was due at 2025-11-18 07:00 UTC",
        "newsletter run --date 2025-11-18",
    )


def test_what_failed_is_not_told_as_missed_too(service: Service, model: FakeAnthropic):
    with_model(service, model)
    service.join()
    model.fault(401, times=1000)
    service.morning()
    service.round()
    service.round(12 * 60)
    assert open_kinds(service) == {"scoring"}


def town_of(service: Service, people: int = 2) -> DeliveryScenario:
    """Readers of a digest that is frozen; nobody reads the rubrics of the daily_scheduler."""
    scenario = DeliveryScenario(service.app.store, Clock(service.now))
    scenario.add_readers(people, since=START - timedelta(days=9))
    scenario.make_digest(TUESDAY)
    return scenario


def all_to(state: str, service: Service) -> None:
    with service.app.store.begin() as tx:
        tx.execute(update(delivery).values(state=state, changed_at=service.now))


def test_mail_that_is_overdue(service: Service):
    scenario = town_of(service)
    assert service.round(59) == []

    def wait_for_mail() -> None:
        all_to("pending", service)
        # Whoever woke a moment ago is sending it while this looks.
        told = len(service.told)
        service.round(1)
        assert len(service.told) == told

    is_told_once(
        service,
        wait_for_mail,
        lambda: scenario.send(service.postman),
        "Mail is overdue: cold-stars of 2025-11-18",
        "2 mails due since 2025-11-18 02:00 UTC",
        "newsletter run --date 2025-11-18 --rubric cold-stars",
    )


def test_readers_for_whom_no_mail_was_planned(service: Service):
    service.join()
    service.join(number=7)
    service.planning = False

    def make_and_plan_nothing() -> None:
        service.dawn()
        service.morning()
        told = len(service.told)
        # Due at seven.
        service.round(5 * 60 + 59)
        service.round(1)
        assert len(service.told) == told

    is_told_once(
        service,
        make_and_plan_nothing,
        service.plan,
        "Mail is overdue: stars of 2025-11-18",
        "2 mails due since 2025-11-18 07:00 UTC were not sent",
        "newsletter run --date 2025-11-18 --rubric stars",
    )


def test_whose_hour_has_not_come_for_an_hour_is_not_overdue(service: Service):
    service.planning = False
    service.join()
    service.join(number=7, timezone="America/New_York")
    # Made at ten: what is late for having been made late is planned at the next wake-up.
    service.dawn()
    service.morning(minutes=8 * 60)
    assert service.round(59) == []
    assert service.round(1) == []
    [mail] = service.round()
    assert "1 mail due since 2025-11-18 10:00 UTC" in words(mail)


def test_a_weekly_reader_is_missed_too(service: Service):
    weekly = service.join(days=WEEKLY)
    service.join(number=8)
    for _ in range(4):
        service.dawn()
        service.morning()
        assert service.round(7 * 60) == []
    service.planning = False
    with service.app.store.begin() as tx:
        tx.execute(delete(delivery).where(delivery.c.subscriber_id == weekly.id))
    assert service.round() == []
    [mail] = service.round()
    assert "Mail is overdue: stars of 2025-11-21" in mail.subject
    assert "1 mail due since 2025-11-21 07:00 UTC" in words(mail)


def test_mail_that_waits_and_mail_that_nobody_planned_are_one_alert(service: Service):
    service.join()
    service.join(number=8)
    service.dawn()
    service.morning()
    service.round(5 * 60)
    service.planning = False
    with service.app.store.begin() as tx:
        first = tx.scalar(select(func.min(delivery.c.id)))
        tx.execute(delete(delivery).where(delivery.c.id == first))
        tx.execute(update(delivery).values(state="pending"))
    service.round(60)
    [mail] = service.round()
    assert "2 mails due since 2025-11-18 07:00 UTC" in words(mail)


def test_a_run_that_was_halted(service: Service):
    scenario = town_of(service, 1)

    def halt() -> None:
        all_to("pending", service)
        service.postman.fault = SendError(Verdict.HALT, "SendGrid answered 401: the key is wrong")
        scenario.send(service.postman)
        service.postman.fault = None

    is_told_once(
        service,
        halt,
        lambda: scenario.send(service.postman),
        "Mailing was stopped: cold-stars of 2025-11-18",
        "SendGrid answered 401: the key is wrong",
        "newsletter run --date 2025-11-18 --rubric cold-stars",
    )


def test_mails_in_doubt(service: Service):
    scenario = town_of(service)

    def doubt() -> None:
        all_to("pending", service)
        service.postman.fault = SendError(Verdict.UNKNOWN, "no answer")
        scenario.clock.at = service.now
        scenario.send(service.postman)
        service.postman.fault = None
        told = len(service.told)
        service.round(30)
        assert len(service.told) == told

    def resolve() -> None:
        with service.app.store.begin() as tx:
            for one in claims.unknown_deliveries(tx):
                claims.resolve(tx, one.id, service.now, sent=True)

    is_told_once(
        service,
        doubt,
        resolve,
        "Mails in doubt: cold-stars of 2025-11-18",
        "2 mails in doubt since 2025-11-18 02:00 UTC",
        "newsletter deliveries list",
        wait=40,
    )


@pytest.mark.parametrize(
    ("readers", "title", "share"),
    [
        (2000, "Readers complain", "0.15%"),
        (500, "Too many complaints", "0.60%"),
    ],
)
def test_complaints(service: Service, readers: int, title: str, share: str):
    scenario = town_of(service, readers)
    all_to("accepted", service)

    def complain() -> None:
        told = [
            Event(EventKind.COMPLAINT, f"reader{n}@example.org", service.now) for n in range(1, 4)
        ]
        with service.app.store.begin() as tx:
            events.apply(tx, told[:2], service.now)
        count = len(service.told)
        service.round()
        assert len(service.told) == count
        all_to("accepted", service)
        with service.app.store.begin() as tx:
            tx.execute(digests.update().values(at=service.now))
            events.apply(tx, told, service.now)

    def a_month_passes() -> None:
        service.now += timedelta(days=31)

    assert len(scenario.rows()) == readers
    said = f"3 readers reported mail as spam, of {readers:,} mails"
    is_told_once(service, complain, a_month_passes, title, said, share)


def test_one_reader_who_reports_all_his_mails_stops_nobody(service: Service):
    town_of(service, 20)
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

    is_told_once(
        service,
        spend,
        lambda: service.set(budget_usd="1"),
        "A budget is nearly spent: stars",
        "$0.13 of the $0.15 of its day",
        "NEWSLETTER_BUDGET_USD",
        "newsletter run --dry-run",
    )


def test_a_budget_that_is_near_each_day_is_one_alert(service: Service):
    for number in range(6):
        service.pay("stars", int(0.14 * DOLLAR), TUESDAY + timedelta(days=number))
        service.round(24 * 60)
    assert len(service.told) == 1


def test_a_digest_that_is_held_for_want_of_money(service: Service, model: FakeAnthropic):
    with_model(service, model)
    service.set(budget_usd="0.002")
    service.join()
    service.morning()
    [mail] = service.round()
    assert "Scoring failed: stars of 2025-11-18" in mail.subject
    assert "the budget left 27 of 27 papers unread" in words(mail)
    assert "NEWSLETTER_BUDGET_USD" in words(mail)
    service.round()
    assert len(service.told) == 1


def test_the_money_that_left_papers_unread(service: Service):
    service.join()
    service.morning()
    issue = build_digests(service.app, no_progress).results[0]
    digest = issue.digest
    assert digest
    short = replace(
        digest,
        coverage=replace(
            digest.coverage, announced=50, outcomes={Outcome.UNSCORED_BUDGET: 5, Outcome.SCORED: 45}
        ),
    )

    is_told_once(
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
def test_the_budget_of_a_month(store: Store, spent: str, title: str):
    service = Service(store, budget_usd="100", monthly_budget_usd="1")
    service.pay("stars", int(float(spent) * DOLLAR))

    is_told_once(
        service,
        lambda: service.set(monthly_budget_usd="1"),
        lambda: service.set(monthly_budget_usd="9"),
        f"{title}: month of 2025-11",
        "of the $1.00 of the month",
        "NEWSLETTER_MONTHLY_BUDGET_USD",
        "newsletter status",
    )


def test_a_disk_that_is_nearly_full(tmp_path: Path):
    store = Store(f"sqlite:///{tmp_path / 'n.db'}")
    store.migrate()
    service = Service(store)

    is_told_once(
        service,
        lambda: service.set(disk_free_gb=100_000),
        lambda: service.set(disk_free_gb=0),
        "The disk is nearly full",
        "GB are free where",
        f"du -xh --max-depth=1 {tmp_path}",
    )
    store.close()


@dataclass
class Gone:
    """A service on a file that can be taken away."""

    folder: Path

    def __post_init__(self) -> None:
        self.path = self.folder / "n.db"
        self.store = Store(f"sqlite:///{self.path}")
        self.store.migrate()
        self.service = Service(self.store)

    def lose(self) -> None:
        self.store.close()
        self.path.rename(self.folder / "kept.db")
        self.path.mkdir()

    def find(self) -> None:
        self.path.rmdir()
        (self.folder / "kept.db").rename(self.path)


@pytest.fixture
def gone(tmp_path: Path) -> Iterator[Gone]:
    made = Gone(tmp_path)
    yield made
    made.store.close()


def test_a_database_that_is_gone_is_told_by_mail_all_the_same(
    gone: Gone, caplog: pytest.LogCaptureFixture
):
    service = gone.service

    def lose() -> None:
        gone.lose()
        count = len(service.told)
        service.round()
        assert len(service.told) == count

    with caplog.at_level(logging.WARNING):
        lose()
        service.round()
    [mail] = service.told
    assert "The database is in trouble" in mail.subject
    assert "unable to open database file" in words(mail)
    assert "Since 2025-11-18 02:05 UTC" in words(mail)
    assert "newsletter doctor" in words(mail)
    assert "unable to open database file" in caplog.text
    for minutes in (5, 5, 60, 60):
        service.round(minutes)
    assert len(service.told) == 1
    gone.find()
    service.round(65)
    lose()
    assert len(service.round()) == 2
    gone.find()


def test_a_file_that_is_taken_away_from_a_service_that_has_it_open_is_told(gone: Gone):
    gone.path.rename(gone.folder / "kept.db")
    gone.service.round()
    [mail] = gone.service.round()
    assert "The database is in trouble" in mail.subject
    assert "the file is not there any more" in words(mail)
    assert not gone.path.exists()
    gone.service.round(60)
    assert len(gone.service.told) == 1
    (gone.folder / "kept.db").rename(gone.path)
    gone.service.round(65)
    assert len(gone.service.told) == 1


def test_a_database_that_comes_and_goes_is_told_once_an_hour_at_most(gone: Gone):
    for _ in range(12):
        gone.lose()
        gone.service.round()
        gone.service.round()
        gone.find()
        gone.service.round()
    assert len(gone.service.told) == 1


def test_one_round_in_which_it_was_locked_is_not_told(gone: Gone):
    for _ in range(12):
        gone.lose()
        gone.service.round()
        gone.find()
        gone.service.round()
    assert gone.service.told == []


def test_a_database_that_is_gone_for_weeks_is_said_again_once_a_week(gone: Gone):
    gone.lose()
    for _ in range(15 * 24):
        gone.service.round(60)
    assert len(gone.service.told) == 3
    assert "Since 2025-11-18 03:00 UTC" in words(gone.service.told[-1])
    gone.find()


def test_a_silent_database_that_could_not_be_told_is_told_later(gone: Gone):
    service = gone.service
    gone.lose()
    service.postman.fault = UNSENT
    for _ in range(3):
        service.round()
    assert service.postman.calls == 2
    service.postman.fault = SendError(Verdict.UNKNOWN, "no answer")
    for _ in range(12):
        service.round()
    assert service.postman.calls == 3
    service.postman.fault = None
    assert len(service.round()) == 1
    gone.find()


def test_a_database_that_can_only_be_read_makes_no_storm(tmp_path: Path):
    store = Store(f"sqlite:///{tmp_path / 'n.db'}")
    store.migrate()
    service = Service(store, disk_free_gb=100_000)
    quick = Store(str(store.url))
    event.listen(quick.engine, "connect", lambda one, _: one.execute("PRAGMA busy_timeout=50"))
    service.app = replace(service.app, store=quick)
    # Somebody writes for as long as this block lasts; nobody else can.
    with store.begin():
        for _ in range(4):
            service.round()
    assert [mail.subject for mail in service.told] == ["[arXiv digest] The database is in trouble"]
    quick.close()
    store.close()


def test_replies_that_wait(service: Service):
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

    is_told_once(
        service,
        come,
        answer,
        "Replies wait for you",
        "2 replies for you to read",
        "came at 2025-11-18 02:00 UTC",
        "newsletter replies list",
    )
    assert "<code>newsletter replies answer</code>" in service.told[0].html
    assert not [mail for mail in service.told if "ann@" in mail.text + mail.html]


def review(service: Service, number: int = 0) -> None:
    with service.app.store.begin() as tx:
        raw = f"Message-ID: <{number}@x>\r\n\r\nhello".encode()
        inbound.keep(tx, raw, "ann@example.org", "reply@x", service.now, aligned=False)
        found = inbound.next_new(tx)
        assert found
        inbound.set_state(tx, found.id, inbound.InboundState.LETTER)


def test_a_mail_goes_to_the_operator_alone_and_asks_for_no_answer(service: Service):
    service.join()
    service.morning()
    review(service)
    [mail] = service.round()
    assert service.postman.taken == [mail]
    assert mail.to_email == OPERATOR
    assert ("Auto-Submitted", "auto-generated") in mail.headers
    assert not [name for name, _ in mail.headers if name.startswith("List-")]
    assert mail.delivery_id == ""


def test_what_could_not_be_sent_is_sent_in_the_next_round(service: Service):
    review(service)
    service.postman.fault = UNSENT
    service.round()
    service.round()
    assert (service.postman.calls, service.told) == (2, [])
    service.postman.fault = None
    assert len(service.round()) == 1
    assert len(service.round()) == 1


def test_what_may_have_been_sent_waits_an_hour(service: Service):
    review(service)
    service.postman.fault = SendError(Verdict.UNKNOWN, "no answer")
    service.round()
    for _ in range(11):
        service.round()
    assert service.postman.calls == 1
    service.postman.fault = None
    assert len(service.round()) == 1


def test_without_an_address_it_is_logged_and_told_once_there_is_one(
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


def test_what_is_open_for_a_week_is_said_again_once_a_week(service: Service):
    review(service)
    for _ in range(15 * 4):
        service.round(6 * 60)
    assert len(service.told) == 3


def test_the_next_mail_says_what_is_over(service: Service):
    review(service)
    service.round()
    with service.app.store.begin() as tx:
        for one in inbound.review_queue(tx):
            inbound.set_state(tx, one.id, inbound.InboundState.DONE)
    service.round(20)
    service.pay("stars", DOLLAR)
    [_, mail] = service.round()
    assert "Resolved since the last email - Replies wait for you" in words(mail)
    service.pay("models", DOLLAR)
    [*_, last] = service.round(60)
    assert "Over since" not in words(last)


def test_one_look_in_which_it_is_missing_is_not_its_end(service: Service):
    review(service)
    service.round()
    for state in (inbound.InboundState.DONE, inbound.InboundState.REVIEW):
        with service.app.store.begin() as tx:
            tx.execute(update(letters).values(state=state))
        service.round()
    with service.app.store.read() as tx:
        [one] = alerts.open_alerts(tx)
    assert (one.first_seen, len(service.told)) == (START + timedelta(minutes=5), 1)


def test_several_things_are_one_mail(service: Service):
    review(service)
    service.pay("stars", DOLLAR)
    [mail] = service.round()
    assert mail.subject == "[arXiv digest] 2 alerts"
    assert "newsletter replies list" in mail.text
    assert "newsletter run --dry-run" in mail.text


def test_two_processes_that_look_at_once_make_one_alert_of_it(service: Service):
    review(service)
    with service.app.store.begin() as tx:
        subscribers.count_states(tx)
    twin = Service(service.app.store)
    service.round()
    twin.round()
    assert len(service.told) + len(twin.told) == 1
    with service.app.store.read() as tx:
        assert len(alerts.open_alerts(tx)) == 1


def test_of_many_processes_that_look_at_the_same_moment_one_tells(service: Service):
    review(service)
    url = service.app.store.url.render_as_string(hide_password=False)
    crowd = [Service(Store(url)) for _ in range(4)]
    gate = Barrier(len(crowd))

    def look(one: Service) -> None:
        # A server takes its time, in which the others look.
        one.postman.pause = 0.3
        gate.wait()
        one.round()

    hands = [Thread(target=look, args=(one,)) for one in crowd]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    assert sum(len(one.told) for one in crowd) == 1
    for one in crowd:
        one.round()
        one.app.store.close()
    assert sum(len(one.told) for one in crowd) == 1


def test_what_another_has_claimed_since_it_was_read_is_not_ours(service: Service):
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


class Dies(BaseException):
    """A process is killed; nothing of ours catches it."""


def test_an_alert_whose_sender_dies_is_told_by_another(service: Service):
    review(service)
    service.postman.fault = Dies()  # type: ignore[assignment]
    with pytest.raises(Dies):
        service.round()
    twin = Service(service.app.store)
    twin.now = service.now
    # It may have been sent.
    for _ in range(11):
        assert twin.round() == []
    assert len(twin.round()) == 1
    assert len(twin.round(60)) == 1
