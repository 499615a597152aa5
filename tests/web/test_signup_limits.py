"""One network address asks so often, others are not hindered, and little is remembered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from newsletter.web.rate_limit import SignupLimiter

NOW = datetime(2025, 9, 25, 6, 0, tzinfo=UTC)


def asked(limiter: SignupLimiter, host: str, times: int, now: datetime = NOW) -> int:
    """How many of so many asks are within what one may ask."""
    return sum(limiter.count(host, now) <= limiter.limit for _ in range(times))


def test_19_a_caller_may_ask_again_after_an_hour():
    limiter = SignupLimiter(limit=3)
    assert asked(limiter, "192.0.2.1", 5) == 3
    assert asked(limiter, "192.0.2.2", 5) == 3
    assert asked(limiter, "192.0.2.1", 5, NOW + timedelta(minutes=59)) == 0
    assert asked(limiter, "192.0.2.1", 5, NOW + timedelta(minutes=60)) == 3


def test_19_a_clock_that_was_set_back_shuts_nobody_out():
    limiter = SignupLimiter(limit=3)
    assert asked(limiter, "192.0.2.1", 5) == 3
    assert asked(limiter, "192.0.2.1", 5, NOW - timedelta(hours=2)) == 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8::1", "2001:db8::ffff:1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::2%eth1"),
    ],
)
def test_19_spellings_of_one_caller_count_together(one: str, other: str):
    limiter = SignupLimiter(limit=3)
    assert asked(limiter, one, 2) + asked(limiter, other, 2) == 3


@pytest.mark.parametrize("host", ["", "unix:", "not an address", "x" * 10_000, "\udcff"])
def test_19_whatever_a_caller_is_called_it_is_counted(host: str):
    assert asked(SignupLimiter(limit=3), host, 5) == 3


def test_19_what_is_kept_is_bounded_and_no_address():
    limiter = SignupLimiter(capacity=100)
    for number in range(1_000):
        limiter.count(f"192.0.2.{number}", NOW)
    assert len(limiter) == 100
    assert "192.0.2" not in repr(vars(limiter))
