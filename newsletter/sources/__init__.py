"""Sources of papers. A source is one file here and one line in SOURCES."""

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
    """No valid response from the source. Never treated as "0 papers"."""


class SourceBusyError(SourceError):
    """A request at the source's pace would have to wait too long; nothing was sent."""


class ListingKind(StrEnum):
    """Announcement type of a paper, in arXiv's terms."""

    NEW = "new"
    CROSS = "cross"
    REPLACE = "replace"
    REPLACE_CROSS = "replace-cross"


class ListedPaper(NamedTuple):
    """An entry of the source's feed of its newest announcement."""

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
        """Papers in any of the categories whose first version was submitted in [start, end), UTC.

        Sorted by id, without duplicates. Raises SourceError for a missing, partial or bad response.
        """


@runtime_checkable
class IncrementalSource(PaperSource, Protocol):
    """A source that shows an announcement incrementally, with a feed for cross-checks.

    For any other source one poll is complete.
    """

    def listing(self, categories: Sequence[str]) -> list[ListedPaper] | None:
        """The entries of the feed of the newest announcement; None where there is no feed.

        It may be of an earlier day. Raises SourceError.
        """

    def by_id(self, ids: Sequence[str]) -> list[Paper]:
        """The papers with these ids, sorted by id; unknown ids are left out. Raises SourceError."""

    def count(self, categories: Sequence[str], start: datetime, end: datetime) -> int:
        """Number of papers `submitted` would return; both bounds are whole minutes. One request.

        Raises SourceError.
        """

    def shows_any(self, start: datetime, end: datetime) -> bool:
        """Whether busy categories show any paper of [start, end).

        Raises SourceError.
        """


@runtime_checkable
class LooksUpPapers(Protocol):
    """A source that can be asked for single papers, whether they were announced or not.

    One request, which is not repeated. Raises SourceError; SourceBusyError where another look-up is
    under way, or where the request would have to wait for long.
    """

    def look_up(self, paper_id: str) -> Paper | None:
        """The paper, or None if there is none with this id."""

    def look_up_several(self, paper_ids: Sequence[str]) -> list[Paper]:
        """The papers with these ids, at most MAX_IDS; unknown ids are left out."""


@runtime_checkable
class MetadataSource(Protocol):
    """A source that shows the current metadata of papers that it announced before."""

    def metadata(self, ids: Sequence[str]) -> list[Paper]:
        """The newest versions of at most MAX_IDS papers; unknown ids are left out.

        Not retried, so that no other request waits for it. Raises SourceError.
        """


MAX_IDS = 100
"""Ids in one request: as many as fit into a URL of safe length."""


class RequestQueue(Protocol):
    """Request queue shared by all machines that query one source."""

    def wait(self) -> float:
        """Seconds until a request may be sent; 0 takes the slot."""

    def hold(self, seconds: float) -> None:
        """Block all requests for `seconds`."""


@runtime_checkable
class SharesRequestQueue(Protocol):
    """A source that can share its request rate with other machines."""

    def use_queue(self, queue: RequestQueue) -> None: ...


SOURCES = {
    "arxiv": "newsletter.sources.arxiv.source:ArxivSource",
    "sample": "newsletter.sources.sample:SampleSource",
}

CHECKS = {"arxiv": "newsletter.sources.arxiv.check:check"}
"""Checks of `newsletter doctor`: (settings, timeout) -> CheckResult."""
