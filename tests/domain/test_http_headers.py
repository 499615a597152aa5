"""Retry-After, HTTP dates and rate-limit resets: one parser for all vendors."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from newsletter.domain.http_headers import http_date, reset_after, retry_after

NOW = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("1.5", 1.5),
        ("Fri, 20 Nov 2026 06:00:30 GMT", 30),
        ("Fri, 20 Nov 2026 06:00:30 -0000", 30),
        ("Fri, 20 Nov 2026 05:00:00 GMT", 0),
        ("-7", None),
        ("nan", None),
        ("\u0667", None),
        ("9" * 400, None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_a_number_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@pytest.mark.parametrize("value", [None, "", "soon", "Fri, 99 Nov 2026 06:00:30 GMT"])
def test_unusable_date_is_none(value: str | None) -> None:
    assert http_date(value) is None


def test_reset_is_a_unix_time_or_an_rfc_3339_moment() -> None:
    assert reset_after(str(int(NOW.timestamp()) + 9), NOW) == 9
    assert reset_after("2026-11-20T06:00:09Z", NOW) == 9
    for unusable in (None, "", "soon", "0", "2026-11-20T05:00:00Z"):
        assert reset_after(unusable, NOW) is None
