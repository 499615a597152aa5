"""Sign-ups per network address and hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from newsletter.web.rate_limit import SignupLimiter

NOW = datetime(2025, 9, 25, 6, 0, tzinfo=UTC)


def allowed(limiter: SignupLimiter, host: str, times: int, now: datetime = NOW) -> int:
    """How many of `times` requests are within the limit."""
    return sum(limiter.count(host, now) <= limiter.limit for _ in range(times))


def test_19_a_network_may_sign_up_again_after_an_hour():
    limiter = SignupLimiter(limit=3)
    assert allowed(limiter, "192.0.2.1", 5) == 3
    assert allowed(limiter, "192.0.2.2", 5) == 3
    assert allowed(limiter, "192.0.2.1", 5, NOW + timedelta(minutes=59)) == 0
    assert allowed(limiter, "192.0.2.1", 5, NOW + timedelta(minutes=60)) == 3


def test_19_a_clock_set_back_blocks_nobody():
    limiter = SignupLimiter(limit=3)
    assert allowed(limiter, "192.0.2.1", 5) == 3
    assert allowed(limiter, "192.0.2.1", 5, NOW - timedelta(hours=2)) == 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8::1", "2001:db8::ffff:1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::2%eth1"),
    ],
)
def test_19_addresses_of_one_network_count_together(one: str, other: str):
    limiter = SignupLimiter(limit=3)
    assert allowed(limiter, one, 2) + allowed(limiter, other, 2) == 3


@pytest.mark.parametrize("host", ["", "unix:", "not an address", "x" * 10_000, "\udcff"])
def test_19_any_client_host_is_counted(host: str):
    assert allowed(SignupLimiter(limit=3), host, 5) == 3


def test_19_memory_is_bounded_and_holds_no_address():
    limiter = SignupLimiter(capacity=100)
    for number in range(1_000):
        limiter.count(f"192.0.2.{number}", NOW)
    assert len(limiter) == 100
    assert "192.0.2" not in repr(vars(limiter))
