"""How many mails are sent at once: more where the provider answers slowly, within the limits."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from newsletter.delivery.limits import TARGET_PER_SECOND, Concurrency, SendLimits
from newsletter.delivery.sender import Tally
from newsletter.mailers import max_concurrent
from newsletter.mailers.outbox import OutboxMailer
from newsletter.mailers.sendgrid.mailer import SendGridMailer
from newsletter.mailers.smtp import SmtpMailer
from tests.fakes.mail import DeliveryScenario, FakeMailer, settings

if TYPE_CHECKING:
    from pathlib import Path

    from newsletter.domain.mail import Email
    from newsletter.store import Store


def after(seconds: float, mails: int = 40, **limits: object) -> int:
    made = Concurrency(SendLimits(**{"threads": 8, "max_threads": 40, **limits}))
    for _ in range(mails):
        made.record_success(seconds)
    return made.now()


@pytest.mark.parametrize(
    ("seconds", "at_once"),
    [(0.0, 8), (0.02, 8), (0.04, 8), (0.1, 20), (0.15, 30), (0.2, 40), (20.0, 40)],
)
def test_slow_answers_are_met_by_more_requests_at_once(seconds: float, at_once: int):
    assert after(seconds) == at_once
    assert at_once <= max(8, TARGET_PER_SECOND * seconds)


def test_no_more_than_the_limits_need():
    assert after(0.2, max_threads=0) == 8
    assert after(0.2, threads=1, max_threads=0) == 1
    assert after(0.2, per_second=50) == 10
    assert after(0.2, per_second=2) == 8
    assert after(0.2, per_second=10_000) == 40


def test_a_run_begins_with_few_and_does_so_again_after_a_failure():
    made = Concurrency(SendLimits(threads=8, max_threads=40))
    for _ in range(7):
        made.record_success(0.2)
    assert made.now() == 8
    made.record_success(0.2)
    assert made.now() == 40
    made.record_failure()
    assert made.now() == 8


def test_one_slow_answer_among_quick_ones_changes_nothing():
    made = Concurrency(SendLimits(threads=8, max_threads=40))
    for seconds in (*[0.02] * 20, 19.0):
        made.record_success(seconds)
    assert made.now() == 8


class SlowMailer(FakeMailer):
    """Takes a while for each mail, and notes how many it had at once.

    After the first mails it waits until it has `many` at once.
    """

    at_once = most = begun = 0
    many = 8

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.reached = threading.Event()

    def send(self, email: Email) -> str:
        with self.lock:
            self.at_once += 1
            self.begun += 1
            self.most = max(self.most, self.at_once)
            first = self.begun <= self.many
            if self.at_once >= self.many:
                self.reached.set()
        time.sleep(0.1)
        if not first:
            self.reached.wait(240)
        try:
            return super().send(email)
        finally:
            with self.lock:
                self.at_once -= 1


def send(store: Store, mailer: FakeMailer, people: int, **limits: object) -> Tally:
    scenario = DeliveryScenario(store)
    scenario.add_readers(people)
    scenario.make_digest()
    given = SendLimits(**{"threads": 4, "max_threads": 12, **limits})
    return scenario.send(mailer, limits=given, clock=lambda: datetime.now(UTC), sleep=time.sleep)


def test_a_run_sends_more_at_once_to_a_slow_provider(store: Store):
    mailer = SlowMailer()
    assert send(store, mailer, 60) == Tally(accepted=60)
    assert 8 <= mailer.most <= 12
    assert len({mail.to_email for mail in mailer.taken}) == len(mailer.taken) == 60


def test_only_a_provider_that_takes_many_at_once_gets_more(tmp_path: Path):
    """A mail server limits connections of one client (Postfix: 50), and four runs share them."""
    smtp = SmtpMailer(settings(smtp_url="smtp://127.0.0.1:25"))
    assert max_concurrent(smtp) == max_concurrent(OutboxMailer(settings(outbox_dir=tmp_path))) == 0
    assert max_concurrent(SendGridMailer(settings(sendgrid_api_key="SG.x"))) == 40
