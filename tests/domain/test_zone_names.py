"""No hint that is hours wrong: the zone database judges what is offered."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from newsletter.domain.zone_names import SUGGESTED, fault_of, zones
from newsletter.settings import SettingsError, read_settings

YEAR = [datetime(2025, month, 15, 12, tzinfo=UTC) for month in range(1, 13)]


def offered(text: str) -> list[str]:
    return [name for name in re.findall(r"[A-Z]\w+(?:/\w+)+", fault_of(text)) if name != text]


@pytest.mark.parametrize("hours", range(-11, 14))
def test_an_offset_is_met_by_zones_of_that_offset(hours: int):
    for text in (f"UTC{hours:+d}", f"GMT{hours:+d}", f"utc{hours:+03d}:00", f"{hours:+03d}00"):
        if not hours:
            assert "write UTC" in fault_of(text)
            continue
        assert "is an offset" in fault_of(text)
        for name in offered(text):
            here = {at.astimezone(ZoneInfo(name)).utcoffset() for at in YEAR}
            assert timedelta(hours=hours) in here
    assert "Asia/Shanghai" in fault_of("UTC+8")


@pytest.mark.parametrize(
    "text", ["EST", "est", "EDT", "CST", "PST", "IST", "BST", "GMT", "CET", "JST", "AEST", "MSK"]
)
def test_an_abbreviation_is_met_by_zones_that_bear_it(text: str):
    assert "is an abbreviation" in fault_of(text)
    assert offered(text)
    for name in offered(text):
        assert text.upper() in {at.astimezone(ZoneInfo(name)).tzname() for at in YEAR}


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("EST", "is an abbreviation; it may mean America/New_York"),
        ("UTC+8", "is an offset, not a zone"),
        ("europe/berlin", "did you mean Europe/Berlin?"),
    ],
)
def test_the_service_s_own_zone_is_refused_like_a_readers(
    zone: str, said: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NEWSLETTER_TIMEZONE", zone)
    with pytest.raises(SettingsError, match=f"NEWSLETTER_TIMEZONE: .*{re.escape(said)}") as caught:
        read_settings()
    assert repr(zone) not in str(caught.value)


def test_what_may_mean_several_zones_offers_each():
    assert offered("CST")[:2] == ["America/Chicago", "America/Mexico_City"]
    assert "Asia/Shanghai" in offered("CST")
    assert offered("IST") == ["Europe/Dublin", "Asia/Jerusalem", "Asia/Kolkata"]


def test_names_of_places_and_utc_are_taken():
    assert {*SUGGESTED} <= zones()
    for name in (*SUGGESTED, "UTC", "Japan", "EST5EDT", "Etc/GMT-8"):
        assert fault_of(name) == ""
    assert fault_of("utc") == "'utc' is not a zone; did you mean UTC?"
