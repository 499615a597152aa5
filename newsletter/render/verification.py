# ruff: noqa: RUF001 - typographic dashes and quotation marks are intended
"""Provenance notes: how the papers of a day were verified (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsletter.domain.formatting import first_names, short_date
from newsletter.domain.sanitize import clean

if TYPE_CHECKING:
    from newsletter.domain.model import Coverage, Crosscheck, Unproven

MAX_LISTED = 12
FEED_STATE_TEXTS = {
    "early": "Made before arXiv’s own list of the day was out.",
    "stale": "arXiv’s own list still showed an earlier day, so it was not used.",
    "absent": "arXiv’s own list could not be read.",
    "empty": "arXiv’s own list named no new paper.",
}
MISMATCH_TEXTS = {
    "not in the API yet": "not in arXiv’s database yet, to follow when {} there",
    "submitted before the window": "held by arXiv since before this day’s deadline",
    "announced before, cross-listed now": "announced before and cross-listed now",
    "not in that category by the API": "not in that category by arXiv’s database",
}
COMPLETED_BY_TEXTS = {
    "two looks": "two queries at least ten minutes apart found the same papers",
    "one look": "queried once",
    "a day": "queried a day later",
    "patience": "arXiv was still adding papers, or listed far fewer than usual; late papers follow",
}


def sentences(coverage: Coverage) -> list[str]:
    """How the announcement was compared with arXiv's RSS feed; empty without a comparison."""
    check = coverage.crosscheck
    if check is None:
        return []
    lines = [
        FEED_STATE_TEXTS.get(check.state, ""),
        _listed(check),
        _mismatches(check),
        *_completed_by(check),
    ]
    lines += [_unproven(days) for days in check.unproven]
    if check.missed:
        days = ", ".join(short_date(day) for day in check.missed[:MAX_LISTED])
        lines.append(f"arXiv announced nothing on {days}; what was due then is here.")
    return [line for line in lines if line]


def _listed(check: Crosscheck) -> str:
    counts = [
        f"{clean(category)} {found:,} of {listed:,}"
        for category, (found, listed) in sorted(check.named.items())
    ]
    return f"Checked against arXiv’s own list: {first_names(counts, MAX_LISTED)}." if counts else ""


def _mismatches(check: Crosscheck) -> str:
    """Papers on arXiv's list that are not in this digest's announcement, by reason."""
    parts = [
        f"{count:,} {MISMATCH_TEXTS[reason].format('it is' if count == 1 else 'they are')}"
        for reason, count in check.apart.items()
        if reason in MISMATCH_TEXTS
    ]
    return f"Of these, {'; '.join(parts)}." if parts else ""


def _completed_by(check: Crosscheck) -> list[str]:
    """How completeness was decided for the categories that the list did not prove."""
    categories: dict[str, list[str]] = {}
    for category, method in sorted(check.whole.items()):
        categories.setdefault(method, []).append(clean(category))
    return [
        f"{first_names(names, MAX_LISTED)}: {COMPLETED_BY_TEXTS[method]}."
        for method, names in categories.items()
        if method in COMPLETED_BY_TEXTS
    ]


def _unproven(unread: Unproven) -> str:
    """Papers that may be missing because arXiv's list was not read."""
    days = first_names([short_date(day) for day in unread.dates], MAX_LISTED)
    categories = first_names([clean(category) for category in unread.categories], MAX_LISTED)
    return (
        f"arXiv’s own list of {days} was not read in {categories}: a paper submitted before "
        f"{short_date(unread.before)} and first listed there then is not here."
    )
