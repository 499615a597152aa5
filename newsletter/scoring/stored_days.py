"""Stored days in memory: papers, with what a preview computes from them whatever its text.

A process keeps the days that were used last. An announcement that grows is another day here: the
ids of its papers are asked for each time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from functools import cached_property
from typing import TYPE_CHECKING

from newsletter.domain.similarity import CountedPapers
from newsletter.scoring.triage import triage
from newsletter.store import papers as paper_store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from sqlalchemy import Connection

    from newsletter.domain.model import Paper, Rubric
    from newsletter.scoring.triage import Triage

MAX_PAPERS = 5_000
"""Kept at most: five days of all that a busy category set announces. 1,000 papers take 6 MB.
"""


class KnownDay:
    """The papers of one date. What is computed for one text stays for the next."""

    def __init__(self, date: date, papers: Sequence[Paper]) -> None:
        self.date = date
        self.papers = papers
        self._triage: tuple[object, Triage] | None = None

    @cached_property
    def words(self) -> CountedPapers:
        return CountedPapers(self.papers)

    def triage(self, rubric: Rubric) -> Triage:
        """Computed anew only for other excluded words; without these, authors change nothing."""
        key = (rubric.exclude, rubric.authors if rubric.exclude else ())
        known = self._triage
        if known is None or known[0] != key:
            self._triage = known = (key, triage(rubric, self.papers))
        return known[1]


class DayCache:
    """The days used last, at most `limit` papers, for all threads of the process."""

    def __init__(self, limit: int = MAX_PAPERS) -> None:
        self._limit = limit
        self._days: OrderedDict[tuple[date, tuple[str, ...]], KnownDay] = OrderedDict()
        self._lock = threading.Lock()

    def day(
        self, tx: Connection, date: date, ids: Sequence[str], late: Sequence[Paper]
    ) -> KnownDay:
        """The day with the papers of these ids, then the late ones."""
        key = date, (*ids, *(paper.id for paper in late))
        with self._lock:
            if known := self._days.get(key):
                self._days.move_to_end(key)
                return known
        # Without the lock: another thread may read the same day meanwhile, which harms nothing.
        read = KnownDay(date, [*paper_store.by_ids(tx, ids), *late])
        with self._lock:
            self._days[key] = read
            self._days.move_to_end(key)
            while len(self._days) > 1 and self._papers() > self._limit:
                self._days.popitem(last=False)
        return read

    def _papers(self) -> int:
        return sum(len(day.papers) for day in self._days.values())
