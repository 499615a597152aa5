"""A rubric edited after the day's digest was made: the notice, and a fresh digest."""

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
    """The notice that a digest was made from an older version of the rubric; empty if it was not.

    `public` is not compared: it applies at once.
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
    """The digest of the rubric as it is now, whether or not the day has its digest.

    Calls are booked under the slug of replays, with a budget of their own. Nothing is stored as a
    digest, and no digest's cost changes.
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
    """The papers of the day without those in the rubric's other digests."""
    with app.store.read() as tx:
        listings = [*papers.listed(tx, rubric.categories, day), *late_listings(tx, rubric, day)]
        stored = digests.load(tx, rubric.slug, day)
        open_ids = set(digests.uncovered(tx, rubric.slug, [one.paper.id for one in listings]))
    if stored:
        open_ids |= set(stored[1].coverage.papers)
    return [listing for listing in listings if listing.paper.id in open_ids]
