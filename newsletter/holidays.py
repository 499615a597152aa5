"""Evenings on which arXiv sends no announcement, as it lists them itself (pure data and one rule).

Copied by hand, once a year, from the section "On Deferred Mailings" of
info.arxiv.org/help/availability.html; arXiv tells of others on status.arxiv.org. An evening that
is missing here costs nobody a paper: it is found by what arXiv shows (docs/ingest.md).

No Friday has an announcement. A Friday that arXiv lists defers the next one, on Sunday evening.
"""

from __future__ import annotations

from datetime import date, timedelta

LISTED: dict[date, str] = {
    date(2024, 1, 15): "Martin Luther King Jr. Day",
    date(2024, 5, 22): "deferred by arXiv",
    date(2024, 6, 19): "Juneteenth",
    date(2024, 7, 4): "Independence Day",
    date(2024, 9, 2): "Labor Day",
    date(2024, 10, 8): "deferred by arXiv",
    date(2024, 11, 28): "Thanksgiving",
    date(2024, 12, 25): "Christmas Day",
    date(2024, 12, 26): "winter holidays",
    date(2024, 12, 31): "New Year's Eve",
    date(2025, 1, 1): "New Year's Day",
    date(2025, 1, 20): "Martin Luther King Jr. Day",
    date(2025, 6, 19): "Juneteenth",
    date(2025, 7, 6): "Independence Day weekend",
    date(2025, 9, 1): "Labor Day",
    date(2025, 11, 27): "Thanksgiving",
    date(2025, 12, 25): "Christmas Day",
    date(2025, 12, 30): "winter holidays",
    date(2026, 1, 1): "New Year's Day",
    date(2026, 1, 19): "Martin Luther King Jr. Day",
    date(2026, 6, 19): "Juneteenth",
    date(2026, 7, 3): "Independence Day weekend",
    date(2026, 9, 7): "Labor Day",
    date(2026, 11, 26): "Thanksgiving",
    date(2026, 12, 25): "Christmas Day",
    date(2026, 12, 29): "winter holidays",
    date(2026, 12, 31): "New Year's Eve",
}
"""US Eastern dates as arXiv lists them, and what they are."""
FRIDAY, SUNDAY = 4, 6


def deferred(evening: date) -> str:
    """Why arXiv sends nothing on an evening; the empty string where nothing is known of that."""
    if evening.weekday() == SUNDAY:
        return LISTED.get(evening) or LISTED.get(evening - timedelta(days=2), "")
    return "" if evening.weekday() == FRIDAY else LISTED.get(evening, "")
