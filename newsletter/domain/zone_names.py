"""Time zone names: abbreviations and offsets are refused with suggestions (pure).

An abbreviation or an offset stands for several zones, and does not say when clocks change. So a
real zone is asked for, and likely ones are offered.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

SUGGESTED = (
    *("America/New_York", "America/Chicago", "America/Denver", "America/Phoenix"),
    *("America/Los_Angeles", "America/Anchorage", "Pacific/Honolulu", "America/Toronto"),
    *("America/Halifax", "America/St_Johns", "America/Mexico_City", "America/Bogota"),
    *("America/Lima", "America/Caracas", "America/Santiago", "America/Sao_Paulo"),
    *("America/Argentina/Buenos_Aires", "America/Panama", "America/Havana", "America/Noronha"),
    *("Europe/London", "Europe/Dublin", "Europe/Lisbon", "Europe/Berlin", "Europe/Paris"),
    *("Europe/Madrid", "Europe/Rome", "Europe/Athens", "Europe/Kyiv", "Europe/Helsinki"),
    *("Europe/Istanbul", "Europe/Moscow", "Atlantic/Reykjavik", "Atlantic/Azores"),
    *("Africa/Accra", "Africa/Lagos", "Africa/Cairo", "Africa/Johannesburg", "Africa/Nairobi"),
    *("Asia/Jerusalem", "Asia/Riyadh", "Asia/Tehran", "Asia/Dubai", "Asia/Kabul"),
    *("Asia/Karachi", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Dhaka", "Asia/Yangon"),
    *("Asia/Bangkok", "Asia/Jakarta", "Asia/Shanghai", "Asia/Singapore", "Asia/Hong_Kong"),
    *("Asia/Taipei", "Asia/Manila", "Australia/Perth", "Asia/Tokyo", "Asia/Seoul"),
    *("Australia/Darwin", "Australia/Adelaide", "Australia/Brisbane", "Australia/Sydney"),
    *("Pacific/Noumea", "Pacific/Auckland", "Pacific/Tongatapu", "Pacific/Pago_Pago"),
)
"""The zones that are offered: those of large populations, for each offset in use at least one."""
ABBREVIATIONS = {
    "ET": ("America/New_York", "America/Toronto"),
    "CT": ("America/Chicago", "America/Mexico_City"),
    "MT": ("America/Denver", "America/Phoenix"),
    "PT": ("America/Los_Angeles",),
    "SGT": ("Asia/Singapore",),
    "HKT": ("Asia/Hong_Kong",),
    "ICT": ("Asia/Bangkok",),
    "GST": ("Asia/Dubai",),
    "TRT": ("Europe/Istanbul",),
    "BRT": ("America/Sao_Paulo",),
    "ART": ("America/Argentina/Buenos_Aires",),
}
"""Abbreviations in use that the zone database does not have."""
ABBREVIATION = re.compile(r"[A-Z]{2,5}")
OFFSET = re.compile(r"(?:UTC|GMT|Z)?\s*([+\-\u2212])\s*(\d{1,2})(?::?([0-5]\d))?", re.IGNORECASE)
WINTER, SUMMER = datetime(2026, 1, 15, 12, tzinfo=UTC), datetime(2026, 7, 15, 12, tzinfo=UTC)
MAX_SUGGESTIONS = 4
NEAR = 0.6


@cache
def zones() -> frozenset[str]:
    # Listing them reads a folder tree: once, not for every row of a file or page that is asked for.
    return frozenset(available_timezones())


@cache
def offered() -> tuple[str, ...]:
    """The names of places, and UTC: neither abbreviations nor offsets."""
    return tuple(sorted(zone for zone in zones() if _is_offered(zone)))


def _is_offered(zone: str) -> bool:
    return zone == "UTC" or ("/" in zone and not zone.startswith("Etc/"))


def fault_of(text: str) -> str:
    """Why `text` is not taken as a zone, with what to write; empty where it is one."""
    name = text.upper()
    if offset := OFFSET.fullmatch(text):
        return _offset_fault(text, offset)
    if ABBREVIATION.fullmatch(name) and name != "UTC" and (meant := _meant(name)):
        return f"{text!r} is an abbreviation; it may mean {_listed(meant)}: write one of these"
    if text == "UTC" or text in SUGGESTED or text in zones():
        return ""
    by_case = {zone.lower(): zone for zone in offered()}
    near = get_close_matches(text.lower(), by_case, 1, NEAR)
    hint = f"did you mean {by_case[near[0]]}?" if near else "write it like Europe/Berlin"
    return f"{text!r} is not a zone; {hint}"


def _offset_fault(text: str, found: re.Match[str]) -> str:
    size = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
    offset = size if found[1] == "+" else -size
    if not offset:
        return f"{text!r} is an offset, not a zone; write UTC"
    near = [zone for zone in SUGGESTED if _standard(zone) == offset]
    hint = f"zones of that offset are {_listed(near)}" if near else "write it like Europe/Berlin"
    return f"{text!r} is an offset, not a zone: it does not say when clocks change; {hint}"


def _meant(abbreviation: str) -> list[str]:
    if abbreviation in ABBREVIATIONS:
        return list(ABBREVIATIONS[abbreviation])
    return [zone for zone in SUGGESTED if abbreviation in _abbreviations(zone)]


@cache
def _standard(zone: str) -> timedelta:
    """The offset of a zone from UTC, without summer time."""
    here = ZoneInfo(zone)
    offsets = [at.astimezone(here).utcoffset() for at in (WINTER, SUMMER)]
    return min(offset for offset in offsets if offset is not None)


@cache
def _abbreviations(zone: str) -> frozenset[str]:
    here = ZoneInfo(zone)
    return frozenset(at.astimezone(here).tzname() or "" for at in (WINTER, SUMMER))


def _listed(names: list[str]) -> str:
    return ", ".join(names[:MAX_SUGGESTIONS])
