"""arXiv source: paging and mapping by the `arxiv` package, with our transport and validation."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import partial
from time import sleep as real_sleep
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

from newsletter import __version__
from newsletter.domain import announcements
from newsletter.domain.model import Paper
from newsletter.domain.paging import paged
from newsletter.network import proxy_for
from newsletter.settings import DEFAULT_PUBLIC_URL, Settings
from newsletter.sources import (
    MAX_IDS,
    IncrementalSource,
    ListedPaper,
    LooksUpPapers,
    PaperSource,
    RequestQueue,
    SharesRequestQueue,
    SourceError,
)
from newsletter.sources.arxiv import rss
from newsletter.sources.arxiv.atom import identity, is_id, total_results
from newsletter.sources.arxiv.transport import ArxivResponse, ArxivTransport, Check

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import arxiv

    from newsletter.domain.progress import Progress

    Ask = Callable[[str, Check], ArxivResponse]
    """The response from a URL that passes the check. Raises SourceError."""

PAGE = 2_000
NEVER_EMPTY = ("cs.CV", "cs.LG", "cs.CL", "quant-ph")
"""Categories with papers in every announcement: hundreds a day."""


class PartialError(SourceError):
    """arXiv reports more papers than it returned."""


class ArxivSource:
    """The arXiv source. One instance limits the request rate of one process."""

    def __init__(self, settings: Settings, sleep: Callable[[float], None] = real_sleep) -> None:
        self.url = settings.arxiv_api_url
        self.rss_url = feed_address(settings)
        for address in (self.url, self.rss_url):
            proxy_for(address)
        self.transport = ArxivTransport(user_agent(settings), settings.arxiv_delay_seconds, sleep)

    def use_queue(self, queue: RequestQueue) -> None:
        self.transport.queue = queue

    def newest(self, now: datetime) -> date:
        return announcements.newest(now)

    def submitted(
        self, categories: Sequence[str], start: datetime, end: datetime, progress: Progress
    ) -> list[Paper]:
        found = self._fetch_all(query(categories, start, end), progress)
        # arXiv's bounds are whole minutes and inclusive; the window is exact and half open.
        inside = [paper for paper in found.values() if start <= paper.published < end]
        return sorted(inside, key=lambda paper: paper.id)

    def listing(self, categories: Sequence[str]) -> list[ListedPaper] | None:
        if not self.rss_url:
            return None
        items: list[ListedPaper] = []

        def check(body: bytes) -> None:
            items[:] = rss.read(body)

        # No retry: the feed is only a cross-check, and a digest must not wait for it.
        self.transport.ask(f"{self.rss_url}/{'+'.join(sorted(set(categories)))}", check, attempts=1)
        if len(items) >= rss.MAX_ITEMS:
            message = f"arXiv's feed may be truncated: {len(items)} items"
            raise PartialError(message)
        return items

    def by_id(self, ids: Sequence[str]) -> list[Paper]:
        # One malformed id would fail the whole request.
        wanted = sorted({one for one in ids if is_id(one)})
        found: dict[str, Paper] = {}
        for page in paged(wanted, MAX_IDS):
            found |= self._fetch_all("", lambda *_: None, page)
        return [found[key] for key in sorted(found)]

    def metadata(self, ids: Sequence[str]) -> list[Paper]:
        ask_once = partial(self.transport.ask, attempts=1)
        wanted = sorted({one for one in ids if is_id(one)})[:MAX_IDS]
        found = self._fetch_all("", lambda *_: None, wanted, ask_once) if wanted else {}
        return [found[key] for key in sorted(found)]

    def look_up(self, paper_id: str) -> Paper | None:
        return next(iter(self.look_up_several([paper_id])), None)

    def look_up_several(self, paper_ids: Sequence[str]) -> list[Paper]:
        # A malformed id is no paper, and would be an error of arXiv's.
        wanted = sorted({one for one in paper_ids if is_id(one)})[:MAX_IDS]
        if not wanted:
            return []
        found = self._fetch_all("", lambda *_: None, wanted, self.transport.ask_soon)
        return [found[key] for key in wanted if key in found]

    def count(self, categories: Sequence[str], start: datetime, end: datetime) -> int:
        # arXiv's bounds are inclusive minutes: the last one is before `end`.
        text = query(categories, start, end - timedelta(minutes=1))
        pages = _Pages(self.transport.ask)
        search = {"search_query": text, "start": 0, "max_results": 1}
        pages.get(f"{self.url}?{urlencode(search)}")
        return pages.total

    def shows_any(self, start: datetime, end: datetime) -> bool:
        return self.count(NEVER_EMPTY, start, end) > 0

    def _fetch_all(
        self,
        text: str,
        progress: Progress,
        ids: Sequence[str] = (),
        ask: Ask | None = None,
    ) -> dict[str, Paper]:
        """All papers of a query, or of the known ids, by id.

        When results move between pages, pages overlap and papers are missed: the query is repeated
        as long as that finds new papers. Raises PartialError when papers are still missing.
        """
        import arxiv

        pages = _Pages(ask or self.transport.ask)
        client = arxiv.Client(page_size=PAGE, delay_seconds=0, num_retries=0)
        client.query_url_format = self.url + "?{}"
        # The package has no other hook for timeouts, request rate and validation.
        client._session = pages  # type: ignore[assignment]  # noqa: SLF001
        search = arxiv.Search(
            text,
            id_list=list(ids),
            max_results=None,
            sort_by=arxiv.SortCriterion.SubmittedDate,
            sort_order=arxiv.SortOrder.Ascending,
        )
        found: dict[str, Paper] = {}
        known = -1
        while known < len(found) and (known < 0 or len(found) < pages.total):
            known = len(found)
            for result in client.results(search):
                _merge(found, to_paper(result))
                if len(found) % 100 == 0:
                    progress(len(found), pages.total)
        if len(found) < pages.total:
            message = f"arXiv returned {len(found)} of {pages.total} papers; try again later"
            raise PartialError(message)
        progress(len(found), pages.total)
        return found


class _Pages:
    """Session for `arxiv.Client` that validates each page."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.total = 0

    def get(self, url: str, **_headers: Any) -> ArxivResponse:  # noqa: ANN401 - we send our own
        start = int(parse_qs(urlsplit(url).query)["start"][0])

        def check(body: bytes) -> None:
            self.total = total_results(body, start)

        return self.ask(url, check)


def query(categories: Sequence[str], start: datetime, end: datetime) -> str:
    """Search query for first versions of [start, end), widened to whole minutes."""
    either = " OR ".join(f"cat:{category}" for category in sorted(set(categories)))
    return f"({either}) AND submittedDate:[{_minute(start)} TO {_minute(end)}]"


def to_paper(result: arxiv.Result) -> Paper:
    paper_id, version = identity(result.entry_id)
    primary = result.primary_category or result.categories[0]
    return Paper(
        id=paper_id,
        version=version,
        title=_one_line(result.title),
        authors=tuple(name for author in result.authors if (name := _one_line(author.name))),
        abstract=_one_line(result.summary),
        primary_category=primary,
        categories=tuple(dict.fromkeys([primary, *result.categories])),
        published=result.published,
        updated=result.updated,
        comment=_one_line(result.comment or ""),
        journal_ref=_one_line(result.journal_ref or ""),
        doi=_one_line(result.doi or ""),
    )


def feed_address(settings: Settings) -> str:
    """URL of the feed; empty when only the API URL was changed from its default."""
    fields = type(settings).model_fields
    own_api = settings.arxiv_api_url != fields["arxiv_api_url"].default
    named = settings.arxiv_rss_url != fields["arxiv_rss_url"].default
    return settings.arxiv_rss_url if named or not own_api else ""


def user_agent(settings: Settings) -> str:
    """User-Agent header, with the public URL where there is one."""
    name = f"arxiv-newsletter/{__version__}"
    public = settings.public_url != DEFAULT_PUBLIC_URL
    return f"{name} (+{settings.public_url})" if public else name


def _merge(found: dict[str, Paper], paper: Paper) -> None:
    known = found.get(paper.id)
    if known is None or known.version < paper.version:
        found[paper.id] = paper


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%d%H%M}"


_: type[PaperSource] = ArxivSource
_growing: type[IncrementalSource] = ArxivSource
_queued: type[SharesRequestQueue] = ArxivSource
_asked: type[LooksUpPapers] = ArxivSource
