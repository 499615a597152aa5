"""Ask the source again, each week, about the papers that were mailed in the last 90 days.

    claim     choose papers that are due and store that the request begins
    request   at most 100 papers, not retried: the request for a new announcement never waits long
    store     what the source says; news of it goes into each rubric's next digest

A process that is killed in between leaves its papers to another day, as a failed request does.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from newsletter.sources import MAX_IDS, MetadataSource, SourceError
from newsletter.store import paper_metadata, paper_versions

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from newsletter.sources import PaperSource
    from newsletter.store import Store

log = logging.getLogger(__name__)


def check_metadata(
    store: Store,
    source: PaperSource,
    clock: Callable[[], datetime],
    may_ask: Callable[[], bool],
    max_requests: int,
) -> int:
    """Ask about the papers that are due; return the number of answered ones.

    `may_ask` is called before each request. A failed request is logged and ends the check.
    """
    answered = 0
    if not isinstance(source, MetadataSource):
        return answered
    for _ in range(max_requests):
        if not may_ask():
            break
        # The search may take seconds in a large database: it holds no lock.
        with store.read() as tx:
            due = paper_metadata.due(tx, clock(), MAX_IDS)
        if not due:
            break
        with store.begin() as tx:
            ids = paper_metadata.claim(tx, due, clock())
        try:
            found = source.metadata(ids) if ids else []
        except SourceError as error:
            log.info("%d mailed papers are asked about another day: %s", len(ids), error)
            break
        now = clock()
        with store.begin() as tx:
            paper_versions.keep(tx, found, now)
            paper_metadata.mark_seen(tx, ids, now)
            paper_metadata.keep(tx, found, now)
        answered += len(ids)
    return answered
