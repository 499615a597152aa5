"""Limits over several processes in short; `make bench-limits` runs it in full."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from newsletter.delivery.limits import MailRateLimiter
from newsletter.domain.model import Usage
from newsletter.mailers.sendgrid.mailer import SendGridMailer
from newsletter.scorers import CallFailure, CallResponse, ScorerError, ScoringCall, ScoringRequest
from newsletter.scoring.rate_limit import RateLimited, ScoringRateLimiter
from newsletter.sources.arxiv.transport import ArxivTransport
from newsletter.store import rate_limits
from newsletter.store.rate_limits import SharedRequestQueue as Turns
from tests.conftest import BACKENDS
from tests.fakes import arxiv, scoring
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.mail import START, Clock, DeliveryScenario, FakeMailer, settings
from tests.fakes.sendgrid import FakeSendGrid, Fault

if TYPE_CHECKING:
    from newsletter.store import Store

ROOT = Path(__file__).parents[2]
RATE = {"X-RateLimit-Limit": "600", "X-RateLimit-Remaining": "3"}
SOON = {**RATE, "X-RateLimit-Reset": str(int(START.timestamp()) + 30)}
LOW = {
    "anthropic-ratelimit-requests-limit": "1000",
    "anthropic-ratelimit-requests-remaining": "10",
    "anthropic-ratelimit-requests-reset": "2026-11-20T06:01:00Z",
}


# Where there are two databases, on the one that is made for several processes.
@pytest.mark.parametrize("store_url", BACKENDS[-1:], indirect=True)
def test_three_processes_share_rate_limits_and_pauses(store_url: str):
    script = [sys.executable, "-m", "bench", "limits", "--json"]
    given = ["--seconds", "2.5", "--busy", "--database", store_url]
    done = subprocess.run(
        [*script, *given], cwd=ROOT, capture_output=True, text=True, timeout=900, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert figures["broken"] == []
    assert figures["mail"]["requests"] >= 75
    assert figures["scoring"]["requests"] == 18
    assert figures["arxiv"]["requests"] == 6


def test_mails_are_sent_a_little_below_the_limit(store: Store):
    """Evenly let go they arrive in heaps, and the fullest second is to keep the limit, too."""
    clock, granted = Clock(), 0
    for _ in range(200):
        with store.begin() as tx:
            granted += MailRateLimiter(per_second=40).acquire(tx, clock.now(), 8)
        clock.sleep(0.05)
    assert 345 <= granted <= 370


def test_a_429_of_sendgrid_in_one_process_pauses_another(store: Store):
    scenario = DeliveryScenario(store)
    scenario.add_readers(2)
    scenario.make_digest()
    with FakeSendGrid() as fake:
        fake.faults.append(Fault(429, headers={"Retry-After": "40"}))
        mailer = SendGridMailer(settings(sendgrid_api_key="SG.x", sendgrid_url=fake.url))
        ended = iter([False, True, True])
        scenario.send(mailer, stop=lambda: next(ended, True))
    other = DeliveryScenario(store, Clock(), scenario.digest_id)

    assert other.send(FakeMailer()).accepted == 2
    assert 40 <= sum(other.clock.naps) <= 50


def test_the_remaining_quota_of_sendgrid_is_shared_by_all(store: Store):
    scenario = DeliveryScenario(store)
    scenario.add_readers(20)
    scenario.make_digest()
    with FakeSendGrid() as fake:
        fake.faults.append(Fault(202, headers=SOON))
        mailer = SendGridMailer(settings(sendgrid_api_key="SG.x", sendgrid_url=fake.url))
        scenario.send(mailer)
    assert sum(scenario.clock.naps) >= 10

    other = MailRateLimiter()
    with store.begin() as tx:
        assert other.acquire(tx, START, 8) == 0


CALL = ScoringCall(ScoringRequest(scoring.RUBRIC, ()), "m", {}, 1, scoring.MORNING, tokens=6000)


def test_a_scoring_call_waits_for_requests_and_tokens(store: Store):
    limits = ScoringRateLimiter(requests_per_minute=60, tokens_per_minute=60_000)
    with store.begin() as tx:
        limits.acquire(tx, CALL, scoring.MORNING)
        with pytest.raises(RateLimited) as wait:
            limits.acquire(tx, CALL, scoring.MORNING)
    assert 6 <= wait.value.seconds <= 6.6
    used = CallResponse(
        b"", Usage("m", input_tokens=500, cache_read_tokens=9000, cache_write_tokens=500)
    )
    with store.begin() as tx:
        limits.record_answer(tx, CALL, used, scoring.MORNING)
        with pytest.raises(RateLimited) as wait:
            limits.acquire(tx, CALL, scoring.MORNING)
    assert 1 <= wait.value.seconds <= 1.1


def test_a_call_that_failed_gives_its_tokens_back_and_a_429_stops_all(store: Store):
    limits = ScoringRateLimiter(tokens_per_minute=60_000)
    broken = ScorerError(CallFailure.UNREACHABLE, "no route")
    throttled = ScorerError(CallFailure.BUSY, "429", 7.0, throttled=True)
    with store.begin() as tx:
        limits.acquire(tx, CALL, scoring.MORNING)
        limits.record_failure(tx, CALL, broken, scoring.MORNING)
        limits.acquire(tx, CALL, scoring.MORNING)
        limits.record_failure(tx, CALL, throttled, scoring.MORNING)
        with pytest.raises(RateLimited) as wait:
            ScoringRateLimiter().acquire(tx, CALL, scoring.MORNING)
    assert 7 <= wait.value.seconds <= 7.7


def test_calls_that_cost_nothing_are_not_counted(store: Store):
    limits = ScoringRateLimiter(requests_per_minute=1)
    free = replace(CALL, tokens=0)
    with store.begin() as tx:
        for _ in range(3):
            limits.acquire(tx, free, scoring.MORNING)


def test_a_429_of_anthropic_pauses_other_calls(store: Store):
    with FakeAnthropic(scoring.scores_in_abstract, latency=0.05) as fake:
        fake.fault(429, headers={"retry-after": "0.6"})
        some = scoring.limits(max_backoff=0.6, concurrency=1)
        scoring.scored(store, scoring.claude(fake), scoring.papers(32), some)
    times = [seen.at for seen in fake.requests]
    assert len(times) == 3
    assert times[1] - times[0] >= 0.6


def test_the_remaining_quota_of_anthropic_is_applied(store: Store):
    with FakeAnthropic(scoring.scores_in_abstract) as fake:
        fake.reply_headers.update(LOW)
        call = scoring.claude(fake).call(ScoringRequest(scoring.RUBRIC, (scoring.paper(1),)), START)
        answer = scoring.claude(fake).ask(call)
    assert call.tokens > 500
    with store.begin() as tx:
        ScoringRateLimiter().record_answer(tx, call, answer, scoring.MORNING)
        ScoringRateLimiter().acquire(tx, call, scoring.MORNING)
        with pytest.raises(RateLimited) as wait:
            ScoringRateLimiter().acquire(tx, call, scoring.MORNING)
    # Ten requests in a minute.
    assert 6 <= wait.value.seconds <= 6.7


def test_requests_to_arxiv_are_queued_and_wait_after_retry_after(store: Store):
    clock = Clock()
    turns = Turns(store, clock.now, 3.0)
    other = Turns(store, clock.now, 3.0)
    with arxiv.FakeArxiv([]) as fake:
        line = ArxivTransport("test", 3.0, clock.sleep, lambda: clock.now().timestamp())
        line.queue = turns
        line.ask(fake.url, lambda _body: None)
        assert 3 <= other.wait() <= 3.3
        fake.fail(arxiv.status(429, Retry_After="17"))
        line.ask(fake.url, lambda _body: None)
    assert other.wait() > 0
    assert sum(clock.naps) >= 3 + 17


def test_a_transport_without_a_shared_queue_writes_nothing(store: Store):
    with arxiv.FakeArxiv([]) as fake:
        ArxivTransport("test", 0.0).ask(fake.url, lambda _body: None)
    with store.read() as tx:
        assert rate_limits.wait_time(tx, "arxiv", START) == 0
