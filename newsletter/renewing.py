"""New versions of papers that are known: what arXiv's list of the day says was replaced.

Without that list, what readers were sent lately is looked up instead: a withdrawal must be noticed.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from newsletter.held import missed_lists
from newsletter.sources import SourceError
from newsletter.store import versions
from newsletter.withdrawals import is_withdrawn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date, datetime

    from newsletter.model import Paper
    from newsletter.sources import Growing, Named
    from newsletter.store import Store

log = logging.getLogger(__name__)

SENT_LATELY = timedelta(days=30)
MOST = 1_000
"""Papers looked up in one go: ten requests."""


def renew(store: Store, source: Growing, replaced: Iterable[Named], now: datetime) -> int:
    """Fetch and keep the versions that are named and not stored; how many there were.

    Trouble with the source is logged: no morning waits for what is old, and it is asked again.
    """
    named = {one.id: one.version for one in replaced}
    with store.read() as tx:
        have = versions.known(tx, sorted(named))
    return _look_up(store, source, [key for key in have if have[key] < named[key]], now)


def renew_sent(
    store: Store, source: Growing, before: date, categories: Sequence[str], now: datetime
) -> int:
    """Look up what was sent lately, if the list of the announcement before `before` was missed."""
    with store.read() as tx:
        if not missed_lists(tx, before, categories):
            return 0
        sent = versions.sent_since(tx, before - SENT_LATELY, MOST)
    return _look_up(store, source, sent, now)


def keep_versions(store: Store, papers: Iterable[Paper], now: datetime) -> int:
    """Keep those of the papers that are later than what is stored of them."""
    later = [paper for paper in papers if paper.version > 1]
    gone = {paper.id for paper in later if is_withdrawn(paper)}
    if not later:
        return 0
    with store.begin() as tx:
        return versions.keep(tx, later, gone, now)


def _look_up(store: Store, source: Growing, ids: Sequence[str], now: datetime) -> int:
    if not ids:
        return 0
    try:
        return keep_versions(store, source.by_id(ids), now)
    except SourceError as error:
        log.warning("new versions of %d papers are not known yet: %s", len(ids), error)
        return 0
