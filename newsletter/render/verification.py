# ruff: noqa: RUF001 - typographic dashes and quotation marks are intended
"""Provenance notes: how the papers of a day were verified, and what was withdrawn later (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from newsletter.domain.formatting import short_date
from newsletter.domain.sanitize import clean
from newsletter.render.truncate import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsletter.domain.model import Coverage, Crosscheck, Digest, Unproven, Withdrawal

MAX_LISTED = 12
MAX_WITHDRAWN = 5
MAX_TITLE = 160
MAX_REASON = 200
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


@dataclass(frozen=True, slots=True)
class WithdrawnPaper:
    """A withdrawn paper, the date of its digest, and the author's reason."""

    id: str
    title: str
    sent: str
    reason: str


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


def withdrawn(digest: Digest, max_papers: int = MAX_WITHDRAWN) -> list[WithdrawnPaper]:
    return [_withdrawn_paper(each) for each in digest.withdrawn[:max_papers]]


def more_withdrawn(digest: Digest) -> int:
    return max(0, len(digest.withdrawn) - MAX_WITHDRAWN)


def _listed(check: Crosscheck) -> str:
    counts = [
        f"{clean(category)} {found:,} of {listed:,}"
        for category, (found, listed) in sorted(check.named.items())
    ]
    return f"Checked against arXiv’s own list: {_shortened(counts)}." if counts else ""


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
        f"{_shortened(names)}: {COMPLETED_BY_TEXTS[method]}."
        for method, names in categories.items()
        if method in COMPLETED_BY_TEXTS
    ]


def _unproven(unread: Unproven) -> str:
    """Papers that may be missing because arXiv's list was not read."""
    days = _shortened([short_date(day) for day in unread.dates])
    categories = _shortened([clean(category) for category in unread.categories])
    return (
        f"arXiv’s own list of {days} was not read in {categories}: a paper submitted before "
        f"{short_date(unread.before)} and first listed there then is not here."
    )


def _shortened(names: Sequence[str]) -> str:
    more = len(names) - MAX_LISTED
    return ", ".join(names[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def _withdrawn_paper(withdrawal: Withdrawal) -> WithdrawnPaper:
    return WithdrawnPaper(
        id=clean(withdrawal.paper_id),
        title=one_line(withdrawal.title, MAX_TITLE) or "Untitled",
        sent=short_date(withdrawal.sent),
        reason=one_line(withdrawal.said, MAX_REASON),
    )
