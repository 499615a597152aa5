"""Ask the source all questions of one poll, in this order.

    window      the papers submitted in the announcement's window
    feed        the papers that arXiv's feed lists, and by id those that the API did not return
    shown       whether arXiv shows the announcement, although our categories have no paper in it
    late        papers of earlier windows, in the categories that are complete by now
    versions    newer versions of known papers

Later questions depend on earlier answers and on stored listings, which are only read here.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from newsletter.domain.announcements import previous
from newsletter.domain.completeness import FeedCheck
from newsletter.ingest.decide import Observation, complete_categories, late_cutoffs
from newsletter.ingest.feed_check import (
    NEW_HERE,
    Feed,
    FeedComparison,
    FeedState,
    compare,
    unknown_ids,
)
from newsletter.ingest.late_papers import categories_with_feed, find_held_papers
from newsletter.sources import IncrementalSource, SourceError
from newsletter.store import paper_versions, papers

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from newsletter.domain.model import Paper
    from newsletter.domain.progress import Progress
    from newsletter.ingest.decide import PollRequest
    from newsletter.sources import PaperSource
    from newsletter.store import Store

log = logging.getLogger(__name__)

RECHECK_WINDOW = timedelta(days=30)
MAX_RECHECKED = 1_000
"""Papers looked up for withdrawals after a missed feed: ten requests."""


def observe(
    store: Store, source: PaperSource, request: PollRequest, progress: Progress
) -> Observation:
    """Poll an announcement. Raises SourceError."""
    seen = _observe_window(store, source, request, progress)
    complete = complete_categories(seen, request)
    seen = _observe_late_papers(store, source, request, seen, complete, progress)
    if isinstance(source, IncrementalSource):
        newer = _newer_versions(store, source, seen)
        sent = _recheck_sent(store, source, request) if request.with_feed and complete else []
        seen = replace(seen, versions=[*newer, *sent])
    return seen


def _observe_window(
    store: Store, source: PaperSource, request: PollRequest, progress: Progress
) -> Observation:
    window = request.window
    submitted = source.submitted(request.categories, window.start, window.end, progress)
    found = {paper.id: paper for paper in submitted}
    if not (request.with_feed and isinstance(source, IncrementalSource)):
        return Observation(found, is_out=request.is_out or bool(found))
    comparison = _ask_feed(store, source, request, found)
    found |= {paper.id: paper for paper in comparison.found_by_id}
    is_out = (
        request.is_out
        or bool(found)
        or comparison.check.state == FeedState.FRESH
        or source.shows_any(window.start, window.end)
    )
    return Observation(found, is_out=is_out, comparison=comparison)


def _ask_feed(
    store: Store, source: IncrementalSource, request: PollRequest, found: Mapping[str, Paper]
) -> FeedComparison:
    """Compare the feed with the API's papers. A SourceError is only logged."""
    try:
        lines = source.listing(request.categories)
        if lines is not None:
            ids = sorted({line.id for line in lines if line.kind in NEW_HERE})
            with store.read() as tx:
                known = papers.dated_entries(tx, request.categories, ids)
            feed = Feed(lines, request.categories, found, known, request.window)
            if unknown := unknown_ids(feed):
                looked_up = {paper.id: paper for paper in source.by_id(unknown)}
                feed = replace(feed, looked_up=looked_up)
            return compare(feed, request.now)
    except SourceError as error:
        log.info("arXiv's feed of %s is not used: %s", request.window.date, error)
    return FeedComparison(FeedCheck(FeedState.ABSENT))


def _observe_late_papers(
    store: Store,
    source: PaperSource,
    request: PollRequest,
    seen: Observation,
    complete: Collection[str],
    progress: Progress,
) -> Observation:
    """Ask for papers of earlier windows, in the complete categories."""
    since = late_cutoffs(request, sorted(complete))
    if not since:
        return seen
    first = min(since.values())
    late = source.submitted(sorted(since), first, request.window.start, progress)
    if request.with_feed and isinstance(source, IncrementalSource):
        held, began = find_held_papers(store, source, since, request.lookback)
        late, since = [*late, *held], since | began
    return replace(seen, late_papers=late, late_since=since)


def _newer_versions(store: Store, source: IncrementalSource, seen: Observation) -> list[Paper]:
    """The versions that the feed lists as replaced and that are neither stored nor observed."""
    if seen.comparison is None:
        return []
    listed = {line.id: line.version for line in seen.comparison.replaced}
    held = [paper for paper, _ in seen.comparison.late]
    with store.read() as tx:
        have = paper_versions.known(tx, sorted(listed))
    for paper in [*seen.papers.values(), *held, *seen.late_papers]:
        have[paper.id] = max(paper.version, have.get(paper.id, 0))
    return _look_up(source, [key for key in listed if have.get(key, listed[key]) < listed[key]])


def _recheck_sent(store: Store, source: IncrementalSource, request: PollRequest) -> list[Paper]:
    """Papers that were mailed lately, if the previous feed was missed: some may be withdrawn."""
    day = request.window.date
    with store.read() as tx:
        if categories_with_feed(tx, previous(day)).issuperset(request.categories):
            return []
        sent = paper_versions.sent_since(tx, day - RECHECK_WINDOW, MAX_RECHECKED)
    return _look_up(source, sent)


def _look_up(source: IncrementalSource, ids: Sequence[str]) -> list[Paper]:
    """The newest versions by id. They never delay a digest: a SourceError is only logged."""
    try:
        return source.by_id(ids) if ids else []
    except SourceError as error:
        log.warning("looking up new versions of %d papers failed: %s", len(ids), error)
        return []
