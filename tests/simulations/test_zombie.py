"""Who was asleep while its work was taken over wakes up and changes nothing."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from newsletter.delivery.sender import deliver
from newsletter.domain.mail import DeliveryState
from newsletter.mailers.sendgrid.mailer import SendGridMailer
from newsletter.scorers import ScorerError, ScoringRequest
from newsletter.scoring.session import ScoringSession
from newsletter.store import Store, claims, ledger
from newsletter.store.papers import keep
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.mail import DeliveryScenario, settings, written
from tests.fakes.scoring import DAY, DOLLAR, RUBRIC, claude, papers, scores_in_abstract
from tests.fakes.sendgrid import FakeSendGrid
from tests.simulations.suspended_worker import suspended_worker
from tests.simulations.workers import WorkerForkServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from newsletter.domain.mail import Delivery, Email

POSTGRES = os.environ.get("NEWSLETTER_TEST_DATABASE_URL", "")
needs_postgres = pytest.mark.skipif(
    not POSTGRES, reason="needs PostgreSQL: set NEWSLETTER_TEST_DATABASE_URL"
)


def test_after_its_lease_no_request_leaves(store: Store) -> None:
    """The operator was told meanwhile, and said to send it again."""
    scenario = DeliveryScenario(store)
    scenario.add_readers(1)
    scenario.make_digest()

    def asleep(given: Delivery) -> Email:
        scenario.clock.sleep(11 * 60)
        with store.begin() as tx:
            assert claims.expire_leases(tx, scenario.clock.now(), lambda _owner: False) == 1
            assert claims.resolve(tx, given.id, scenario.clock.now(), sent=False)
        return written(given)

    with FakeSendGrid() as fake:
        mailer = SendGridMailer(settings(sendgrid_api_key="SG.x", sendgrid_url=fake.url))
        clock, told = scenario.clock, {"stop": lambda: bool(scenario.clock.naps)}
        deliver(
            store, mailer, scenario.digest_id, asleep, clock=clock.now, sleep=clock.sleep, **told
        )
        assert fake.requests == []
        assert list(scenario.states().values()) == [DeliveryState.PENDING]
        scenario.send(mailer)
        assert len(fake.addresses) == 1


def test_after_its_lease_no_call_leaves_and_none_is_paid(store: Store) -> None:
    now = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
    late = now + timedelta(minutes=11)
    given = papers(4)
    with FakeAnthropic(scores_in_abstract) as fake:
        scorer = claude(fake)
        with store.begin() as tx:
            keep(tx, given)
        call = scorer.call(ScoringRequest(RUBRIC, tuple(given)), now)
        budget = ledger.Budget(10 * DOLLAR)
        call_id = ScoringSession(store, scorer, RUBRIC, DAY, budget, lambda: now).reserve(call)
        woken = ScoringSession(store, scorer, RUBRIC, DAY, budget, lambda: late)
        with pytest.raises(ScorerError, match="lease ended"):
            woken.ask(call, call_id, keep_doubtful=True)
        assert fake.requests == []
        assert woken.remaining_budget() == 10 * DOLLAR


@pytest.fixture(scope="module")
def server() -> Iterator[WorkerForkServer]:
    made = WorkerForkServer()
    yield made
    made.close()


@needs_postgres
def test_a_suspended_sender_whose_tasks_were_taken_sends_nothing(
    server: WorkerForkServer, tmp_path: Path
):
    """Both hold lanes of one digest; the one that is put to sleep has mails under way."""
    with suspended_worker(server, POSTGRES, tmp_path, "mail") as suspended:
        assert suspended.overtaken()
        # What it had under way came to its end: the answer after the lease is still proof.
        assert set(suspended.mails().values()) == {"accepted"}


@needs_postgres
def test_a_suspended_scorer_whose_tasks_were_taken_changes_nothing(
    server: WorkerForkServer, tmp_path: Path
):
    """It sleeps between a call and its answer, which is paid and comes when others have asked."""
    with suspended_worker(server, POSTGRES, tmp_path, "score") as suspended:
        assert suspended.overtaken()
        assert set(suspended.mails().values()) == {"accepted"}
