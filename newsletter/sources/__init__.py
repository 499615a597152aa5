"""Where papers come from. A source is one file here and one line in SOURCES."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from newsletter.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from newsletter.domain.model import Paper
    from newsletter.domain.progress import Progress


class SourceError(OperatorError):
    """The source did not answer, or answered something that is no answer. Never "0 papers"."""


class ListingKind(StrEnum):
    """What an announcement says of a paper in one category."""

    NEW = "new"
    CROSS = "cross"
    REPLACE = "replace"
    REPLACE_CROSS = "replace-cross"


class ListedPaper(NamedTuple):
    """A line of the source's own list of its newest announcement."""

    id: str
    version: int
    kind: ListingKind
    categories: tuple[str, ...]


class PaperSource(Protocol):
    def newest(self, now: datetime) -> date:
        """The date of the newest announcement that is public at `now` (UTC)."""

    def submitted(
        self, categories: Sequence[str], start: datetime, end: datetime, progress: Progress
    ) -> list[Paper]:
        """Papers in any of the categories whose first version came in [start, end), UTC.

        Each once, by id. Raises SourceError when the answer is missing, partial or no answer.
        """


@runtime_checkable
class GrowingSource(PaperSource, Protocol):
    """A source that shows an announcement bit by bit, and whose answers can be cross-checked.

    Of any other source one look is the whole truth.
    """

    def named(self, categories: Sequence[str]) -> list[ListedPaper] | None:
        """What the source's list of the newest announcement names; None where there is no list.

        It may be of an earlier day whatever it says. Raises SourceError.
        """

    def by_id(self, ids: Sequence[str]) -> list[Paper]:
        """Those of the papers that the source knows, by id. Raises SourceError."""

    def count(self, categories: Sequence[str], start: datetime, end: datetime) -> int:
        """How many papers `submitted` would give; both bounds are whole minutes. One request.

        Raises SourceError.
        """

    def shows_any(self, start: datetime, end: datetime) -> bool:
        """Whether papers of [start, end) are shown in categories that are never empty.

        Raises SourceError.
        """


class RequestQueue(Protocol):
    """Where all machines that ask one source stand in line."""

    def wait(self) -> float:
        """Seconds until a request may leave; 0 when it is this one's turn, which is then taken."""

    def hold(self, seconds: float) -> None:
        """Let nobody's turn come for so long."""


@runtime_checkable
class SharesRequestQueue(Protocol):
    """A source that keeps its pace over all machines once it is told where."""

    def stand_in(self, queue: RequestQueue) -> None: ...


SOURCES = {
    "arxiv": "newsletter.sources.arxiv.source:ArxivSource",
    "sample": "newsletter.sources.sample:SampleSource",
}

CHECKS = {"arxiv": "newsletter.sources.arxiv.check:check"}
"""Whom `newsletter doctor` asks: a function of settings and a timeout that answers `Told`."""
