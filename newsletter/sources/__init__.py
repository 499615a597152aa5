"""Where papers come from. A source is one file here and one line in SOURCES."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from newsletter.trouble import Trouble

if TYPE_CHECKING:
    from datetime import date, datetime

    from newsletter.model import Paper

Progress = Callable[[int, int], None]
"""Called with (papers so far, papers in all); all is 0 while unknown."""


class SourceError(Trouble):
    """The source did not answer, or answered something that is no answer. Never "0 papers"."""


class PaperSource(Protocol):
    def newest(self, now: datetime) -> date:
        """The date of the newest announcement that is public at `now` (UTC)."""

    def submitted(
        self, categories: Sequence[str], start: datetime, end: datetime, progress: Progress
    ) -> list[Paper]:
        """Papers in any of the categories whose first version came in [start, end), UTC.

        Each once, by id. Raises SourceError when the answer is missing, partial or no answer.
        """


SOURCES = {
    "arxiv": "newsletter.sources.arxiv:Arxiv",
    "sample": "newsletter.sources.sample:Sample",
}

CHECKS = {"arxiv": "newsletter.sources.arxiv.check:check"}
"""Whom `newsletter doctor` asks: a function of settings and a timeout that answers `Told`."""
