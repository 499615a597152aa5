"""What a digest says beside its papers: how its day was made sure of, and what was withdrawn."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from newsletter.announcements import announcement, previous
from newsletter.held import unproven
from newsletter.model import Crosscheck
from newsletter.store import digests, looks, papers, versions
from newsletter.window import window_of

if TYPE_CHECKING:
    from datetime import date, timedelta

    from sqlalchemy import Connection

    from newsletter.model import Digest, Rubric


def with_afterword(tx: Connection, digest: Digest, lookback: timedelta) -> Digest:
    """The digest with its crosscheck, and with the withdrawals that its readers were not told of.

    A day without mail tells of none: they wait for one that is read.
    """
    check = crosscheck(tx, digest.rubric, digest.date, lookback)
    coverage = replace(digest.coverage, crosscheck=check)
    told = versions.withdrawn_untold(tx, digest.rubric.slug)
    withdrawn = tuple(told) if digest.kind in digests.MAILED else ()
    return replace(digest, coverage=coverage, withdrawn=withdrawn)


def crosscheck(tx: Connection, rubric: Rubric, day: date, lookback: timedelta) -> Crosscheck | None:
    """How the announcement of `day` was made sure of, as far as this rubric's categories go.

    `lookback` is how far back each announcement is read again.
    """
    check = looks.check_of(tx, day)
    if check is None:
        return None
    wanted = set(rubric.categories)
    apart = {(paper_id, why) for paper_id, name, why in check.apart if name in wanted}
    fetched = papers.fetches(tx, rubric.categories)
    start = window_of(tx, day, rubric.categories).start
    missed, before = [], previous(day)
    while announcement(before).start >= start:
        missed.append(before)
        before = previous(before)
    return Crosscheck(
        state=check.state,
        named={name: counts for name, counts in check.named.items() if name in wanted},
        apart=dict(sorted(Counter(why for _, why in apart).items())),
        whole={one.category: one.how for one in fetched if one.date == day and one.how},
        missed=tuple(reversed(missed)),
        unproven=unproven(tx, day, rubric.categories, lookback),
    )
