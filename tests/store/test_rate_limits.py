"""Limits over many processes: the arithmetic here, real processes in test_limits."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from newsletter.domain.http_headers import RateLimitStatus, read_rate_limit
from newsletter.store import Store, rate_limits, tables
from newsletter.store.rate_limits import TokenCost
from tests.fakes.mail import START, Clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


def rows(store: Store) -> int:
    with store.read() as tx:
        return tx.scalar(select(func.count()).select_from(tables.pace)) or 0


def starts(
    store: Store, clock: Clock, seconds: float, try_it: Callable, step: float = 0.005
) -> list[datetime]:
    """When something may start, if it is asked for every `step` seconds."""
    found = []
    end = clock.now() + timedelta(seconds=seconds)
    while clock.now() < end:
        with store.begin() as tx:
            found += [clock.now()] * int(try_it(tx, clock.now()))
        clock.sleep(step)
    return found


def worst(times: list[datetime], seconds: float) -> int:
    """The most that fall into any stretch of so many seconds."""
    span = timedelta(seconds=seconds)
    return max(sum(first <= time < first + span for time in times) for first in times)


@pytest.mark.parametrize("limit", [3, 20, 50])
def test_the_worst_second_has_hardly_more_than_the_limit(store: Store, limit: int):
    clock = Clock()

    def claim(tx, now):
        return rate_limits.acquire(tx, "mail", now, limit, 8)

    first = starts(store, clock, 1.5, claim)
    clock.sleep(3600)
    times = first + starts(store, clock, 1.5, claim)

    assert worst(times, 1) <= max(1.15 * limit, limit)
    assert 1.4 * limit * 2 <= len(times)


def test_requests_and_tokens_are_taken_together_or_not_at_all(store: Store):
    clock = Clock()
    costs = [TokenCost("tokens", 1000 / 60, 500), TokenCost("requests", 600 / 60)]

    def claim(tx, now):
        return rate_limits.acquire_all(tx, costs, now) == 0

    times = starts(store, clock, 95, claim, step=0.5)

    # Each start owes thirty seconds of tokens; the requests alone would allow ten a second.
    assert [(time - START).total_seconds() // 30 for time in times] == [0, 1, 2, 3]
    with store.begin() as tx:
        assert rate_limits.acquire_all(tx, [TokenCost("requests", 10.0)], clock.now()) == 0


def test_what_a_call_really_took_is_settled(store: Store):
    clock = Clock()
    guess = TokenCost("tokens", 100.0, 6000)
    with store.begin() as tx:
        assert rate_limits.acquire_all(tx, [guess], clock.now()) == 0
        assert 60 <= rate_limits.acquire_all(tx, [guess], clock.now()) <= 66
        rate_limits.reconcile(tx, guess, 1000)
        assert 10 <= rate_limits.acquire_all(tx, [guess], clock.now()) <= 11
        rate_limits.reconcile(tx, TokenCost("tokens", 100.0, 0), 500)
        assert 15 <= rate_limits.acquire_all(tx, [guess], clock.now()) <= 16.5


def test_without_a_limit_there_is_no_row_and_no_wait(store: Store):
    with store.begin() as tx:
        assert rate_limits.acquire(tx, "mail", START, None, 8) == 8
        assert rate_limits.acquire_all(tx, [TokenCost("requests", None)], START) == 0
        rate_limits.reconcile(tx, TokenCost("tokens", None, 5), 10)
        rate_limits.apply_provider_limit(
            tx, "mail", START, RateLimitStatus(100, 90, START.timestamp() + 60)
        )
        assert rate_limits.wait_time(tx, "mail", START) == 0
    assert rows(store) == 0


@pytest.mark.parametrize("limit", [1.8, 30.0])
def test_waiting_the_returned_wait_time_keeps_the_full_rate(store: Store, limit: float):
    """A rest of a length of one's own misses the moment, and halves a slow pace."""
    clock = Clock()
    started = clock.now()
    for _ in range(40):
        with store.begin() as tx:
            while rate_limits.acquire(tx, "mail", clock.now(), limit, 1):
                pass
            rest = rate_limits.wait_time(tx, "mail", clock.now(), limit)
        assert 0 < rest <= 1.1 / limit + 0.002
        clock.sleep(rest)
    with store.begin() as tx:
        done = rate_limits.wait_time(tx, "mail", started, limit) * limit
    assert done >= 0.9 * (clock.now() - started).total_seconds() * limit


@pytest.mark.parametrize("asked", [1.0, 7.0, 10**9])
@pytest.mark.parametrize("limit", [None, 5.0])
def test_one_429_pauses_all_processes_within_bounds(
    store: Store, asked: float, limit: float | None
):
    clock = Clock()
    with store.begin() as tx:
        rate_limits.pause(tx, "mail", clock.now(), asked)
        left = rate_limits.wait_time(tx, "mail", clock.now())
    rest = min(asked, 300.0)
    assert rest <= left <= rest * 1.1

    clock.sleep(rest - 0.1)
    with store.begin() as tx:
        assert rate_limits.acquire(tx, "mail", clock.now(), limit, 8) == 0
        assert rate_limits.acquire_all(tx, [TokenCost("mail", limit)], clock.now()) > 0
    clock.sleep(0.2)
    with store.begin() as tx:
        assert rate_limits.acquire(tx, "mail", clock.now(), limit, 8) == (1 if limit else 8)


def test_a_short_pause_does_not_shorten_a_long_one(store: Store):
    with store.begin() as tx:
        rate_limits.pause(tx, "mail", START, 100)
        rate_limits.pause(tx, "mail", START + timedelta(seconds=10), 5)
        assert rate_limits.wait_time(tx, "mail", START + timedelta(seconds=10)) >= 90


def test_what_is_left_is_spread_until_the_provider_counts_anew(store: Store):
    clock = Clock()
    reset = clock.now().timestamp() + 20
    with store.begin() as tx:
        rate_limits.apply_provider_limit(tx, "mail", clock.now(), RateLimitStatus(600, 40, reset))

    def claim(tx, now):
        return rate_limits.acquire(tx, "mail", now, 50.0, 8)

    slow = starts(store, clock, 20, claim, step=0.02)
    after = starts(store, clock, 1, claim)

    assert 38 <= len(slow) <= 42
    assert len(after) >= 45


def test_a_sufficient_allowance_ends_the_slow_rate_and_nonsense_is_bounded(store: Store):
    second = START.timestamp()
    with store.begin() as tx:
        rate_limits.apply_provider_limit(tx, "mail", START, RateLimitStatus(600, 0, second + 10**9))
        assert rate_limits.acquire(tx, "mail", START, None, 8) == 1
        assert rate_limits.acquire(tx, "mail", START + timedelta(seconds=290), None, 8) == 0
        assert rate_limits.acquire(tx, "mail", START + timedelta(seconds=301), None, 8) == 8
        rate_limits.apply_provider_limit(tx, "mail", START, RateLimitStatus(600, 500, second + 60))
        assert rate_limits.acquire(tx, "mail", START + timedelta(seconds=1), None, 8) == 8


def test_a_clock_that_is_set_back_blocks_requests_only_briefly(store: Store):
    clock = Clock()
    back = clock.now() - timedelta(hours=5)
    with store.begin() as tx:
        assert rate_limits.acquire(tx, "mail", clock.now(), 10.0, 1) == 1
        rate_limits.pause(tx, "mail", clock.now(), 60)
        assert rate_limits.acquire_all(tx, [TokenCost("tokens", 10.0, 100)], clock.now()) == 0

        assert rate_limits.acquire(tx, "mail", back, 10.0, 1) == 1
        assert rate_limits.acquire(tx, "mail", back, 10.0, 1) == 0
        assert rate_limits.acquire(tx, "mail", back + timedelta(seconds=0.1), 10.0, 1) == 1
        assert rate_limits.wait_time(tx, "mail", back) == 0
        assert rate_limits.acquire_all(tx, [TokenCost("tokens", 10.0, 100)], back) == 0


NAMES = ("x-limit", "x-remaining", "x-reset")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (("600", "17", "1758600000"), RateLimitStatus(600, 17, 1758600000)),
        (("600", "17", "2025-09-23T04:00:00Z"), RateLimitStatus(600, 17, 1758600000)),
        (("600", "17", "2025-09-23T04:00:00"), RateLimitStatus(600, 17, 1758600000)),
        (("600", "700", "1758600000"), None),
        (("600", "-1", "1758600000"), None),
        (("nan", "1", "1758600000"), None),
        (("inf", "1", "1758600000"), None),
        (("600", "17", "soon"), None),
        (("600", "17", "9" * 400), None),
        (("600", "many", "1758600000"), None),
    ],
)
def test_rate_limit_headers_are_checked(said, expected):
    assert read_rate_limit(dict(zip(NAMES, said, strict=True)), *NAMES) == expected
    assert read_rate_limit({}, *NAMES) is None
