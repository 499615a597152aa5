# ruff: noqa: RUF001 - typography is meant: dashes and quotation marks as a reader expects them
"""How the day was made sure of, and what was withdrawn since, in a reader's words (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from newsletter.domain.formatting import short_date
from newsletter.domain.sanitize import clean
from newsletter.render.text import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsletter.domain.model import Coverage, Crosscheck, Digest, Unproven, Withdrawal

MOST_NAMED = 12
MOST_WITHDRAWN = 5
LONGEST_TITLE = 160
LONGEST_REASON = 200
STATES = {
    "early": "Made before arXiv’s own list of the day was out.",
    "stale": "arXiv’s own list still showed an earlier day, so it was not used.",
    "absent": "arXiv’s own list could not be read.",
    "empty": "arXiv’s own list named no new paper.",
}
APART = {
    "not in the API yet": "not in arXiv’s database yet, to follow when {} there",
    "submitted before the window": "held by arXiv since before this day’s deadline",
    "announced before, cross-listed now": "announced before and cross-listed now",
    "not in that category by the API": "not in that category by arXiv’s database",
}
HOW = {
    "two looks": "two looks, ten minutes apart or more, saw the same papers",
    "one look": "looked at once",
    "a day": "looked at a day later",
    "patience": "arXiv was still adding, or showed far less than usual; what comes later follows",
}


@dataclass(frozen=True, slots=True)
class Gone:
    """A withdrawn paper; `said` are its author's words, cut to a line."""

    id: str
    title: str
    sent: str
    said: str


def checked(coverage: Coverage) -> list[str]:
    """The receipt's sentences; none where there was nothing to compare with."""
    check = coverage.crosscheck
    if check is None:
        return []
    lines = [STATES.get(check.state, ""), _named(check), _apart(check), *_otherwise(check)]
    lines += [_in_doubt(one) for one in check.unproven]
    if check.missed:
        days = ", ".join(short_date(day) for day in check.missed[:MOST_NAMED])
        lines.append(f"arXiv announced nothing on {days}; what was due then is here.")
    return [line for line in lines if line]


def withdrawn(digest: Digest, most: int = MOST_WITHDRAWN) -> list[Gone]:
    return [_gone(one) for one in digest.withdrawn[:most]]


def more_withdrawn(digest: Digest) -> int:
    return max(0, len(digest.withdrawn) - MOST_WITHDRAWN)


def _named(check: Crosscheck) -> str:
    counts = [
        f"{clean(name)} {there:,} of {of:,}" for name, (there, of) in sorted(check.named.items())
    ]
    return f"Checked against arXiv’s own list: {_few(counts)}." if counts else ""


def _apart(check: Crosscheck) -> str:
    """What the list names and the day does not have."""
    parts = [
        f"{count:,} {APART[why].format('it is' if count == 1 else 'they are')}"
        for why, count in check.apart.items()
        if why in APART
    ]
    return f"Of these, {'; '.join(parts)}." if parts else ""


def _otherwise(check: Crosscheck) -> list[str]:
    """The categories that the list did not settle, by what did."""
    by: dict[str, list[str]] = {}
    for name, how in sorted(check.whole.items()):
        by.setdefault(how, []).append(clean(name))
    return [f"{_few(names)}: {HOW[how]}." for how, names in by.items() if how in HOW]


def _in_doubt(one: Unproven) -> str:
    """What a list that was missed leaves unproven."""
    days = _few([short_date(day) for day in one.dates])
    names = _few([clean(name) for name in one.categories])
    return (
        f"arXiv’s own list of {days} was not read in {names}: a paper submitted before "
        f"{short_date(one.before)} and first listed there then is not here."
    )


def _few(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _gone(one: Withdrawal) -> Gone:
    return Gone(
        id=clean(one.paper_id),
        title=shown(one.title, LONGEST_TITLE) or "Untitled",
        sent=short_date(one.sent),
        said=shown(one.said, LONGEST_REASON),
    )
