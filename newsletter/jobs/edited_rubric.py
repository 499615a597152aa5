"""A rubric that was edited after the digest of the day was made: to be said, and to be tried."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from newsletter.jobs.tasks import ComposedDigest, compose_digest
from newsletter.scoring.replay import StoredDay, rescore
from newsletter.scoring.workload import late_listings, scoring_limits, triage_day
from newsletter.store import digests, papers

if TYPE_CHECKING:
    from datetime import date

    from newsletter.context import App
    from newsletter.domain.model import Digest, Listing, Rubric
    from newsletter.domain.progress import StageProgress

SHOWN = 12
"""Hex digits of a fingerprint."""


def older_version(digest: Digest, rubric: Rubric, file: str) -> str:
    """What to say where a digest was made from an older version of the rubric; empty elsewhere.

    Whether it is public is no matter of the digest: that holds at once.
    """
    if replace(digest.rubric, public=rubric.public) == rubric:
        return ""
    was, now = digest.rubric.fingerprint, rubric.fingerprint
    what = f"fingerprint {was[:SHOWN]}"
    what += f" (now {now[:SHOWN]})" if was != now else " (the same for the model, the rest differs)"
    return (
        f"the digest of {digest.date} is made from an older version, {what}; "
        f"`newsletter rubrics replay {file}` shows the new one, "
        f"`newsletter preview --rubric {rubric.slug} --fresh` its mail"
    )


def fresh_digest(app: App, rubric: Rubric, day: date, report: StageProgress) -> ComposedDigest:
    """What the rubric would give as it stands now, whether or not the day has its digest.

    It is scored under the account of replays, within a budget of this call's own; nothing is
    frozen, and no digest's cost changes.
    """
    listings = _announced(app, rubric, day)
    found = triage_day(app.store, rubric, day, listings)
    scored = rescore(
        app.store,
        app.scorer,
        rubric,
        StoredDay(day, found.to_read),
        scoring_limits(app.settings, app.stop),
        clock=app.clock,
        progress=partial(report, f"Scoring {rubric.slug}"),
    )
    return compose_digest(app, rubric, day, listings, found, scored)


def _announced(app: App, rubric: Rubric, day: date) -> list[Listing]:
    """The papers of the day but those of the rubric's other digests."""
    with app.store.read() as tx:
        listings = [*papers.listed(tx, rubric.categories, day), *late_listings(tx, rubric, day)]
        stored = digests.load(tx, rubric.slug, day)
        open_ids = set(digests.uncovered(tx, rubric.slug, [one.paper.id for one in listings]))
    if stored:
        open_ids |= set(stored[1].coverage.papers)
    return [listing for listing in listings if listing.paper.id in open_ids]
