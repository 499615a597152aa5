"""Evenings on which arXiv sends no announcement, as it lists them itself (pure data).

Copied by hand, once a year, from the section "On Deferred Mailings" of
info.arxiv.org/help/availability.html; arXiv tells of others on status.arxiv.org. An evening that
is missing here costs nobody a paper: it is found by what arXiv shows (docs/ingest.md).
The Fridays that arXiv lists as well are left out: no Friday has an announcement.
"""

from __future__ import annotations

from datetime import date

DEFERRED: dict[date, str] = {
    date(2025, 1, 1): "New Year's Day",
    date(2025, 1, 20): "Martin Luther King Jr. Day",
    date(2025, 6, 19): "Juneteenth",
    date(2025, 7, 6): "Independence Day weekend",
    date(2025, 9, 1): "Labor Day",
    date(2025, 11, 27): "Thanksgiving",
    date(2026, 1, 1): "New Year's Day",
    date(2026, 1, 19): "Martin Luther King Jr. Day",
    date(2026, 9, 7): "Labor Day",
    date(2026, 11, 26): "Thanksgiving",
    date(2026, 12, 29): "winter holidays",
    date(2026, 12, 31): "New Year's Eve",
}
"""US Eastern evenings and what they are; the date an announcement bears is the day after."""
