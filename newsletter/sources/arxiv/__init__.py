"""arXiv's query API, over the `arxiv` package: its paging and mapping, our line and our checks."""

from __future__ import annotations

from datetime import UTC, date, datetime
from time import sleep as real_sleep
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from newsletter import __version__, announcements
from newsletter.model import Paper
from newsletter.settings import DEFAULT_PUBLIC_URL, Settings
from newsletter.sources import PaperSource, Progress, SourceError
from newsletter.sources.arxiv.atom import identity, total_results
from newsletter.sources.arxiv.line import Answer, Line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import arxiv

PAGE = 2_000


class PartialError(SourceError):
    """arXiv says there are more papers than it gave."""


class Arxiv:
    """The source of every real morning. One instance keeps the pace of one process."""

    def __init__(self, settings: Settings, sleep: Callable[[float], None] = real_sleep) -> None:
        self.url = settings.arxiv_api_url
        self.line = Line(user_agent(settings), settings.arxiv_delay_seconds, sleep)

    def newest(self, now: datetime) -> date:
        return announcements.newest(now)

    def submitted(
        self, categories: Sequence[str], start: datetime, end: datetime, progress: Progress
    ) -> list[Paper]:
        found = self._everything(query(categories, start, end), progress)
        # arXiv's bounds are whole minutes and inclusive; the window is exact and half open.
        inside = [paper for paper in found.values() if start <= paper.published < end]
        return sorted(inside, key=lambda paper: paper.id)

    def _everything(self, text: str, progress: Progress) -> dict[str, Paper]:
        """All papers of a query by id.

        Pages that overlap, because the list moved between them, leave a gap somewhere: then all
        is asked again as long as that brings something new. Raises PartialError when it does not.
        """
        import arxiv

        pages = _Pages(self.line)
        client = arxiv.Client(page_size=PAGE, delay_seconds=0, num_retries=0)
        client.query_url_format = self.url + "?{}"
        # The package has no other way to a timeout, to our pauses and to a checked body.
        client._session = pages  # type: ignore[assignment]  # noqa: SLF001
        search = arxiv.Search(
            text,
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
            message = f"arXiv gave {len(found)} of {pages.total} papers; try again later"
            raise PartialError(message)
        progress(len(found), pages.total)
        return found


class _Pages:
    """Stands where `arxiv.Client` expects its session, and lets only whole pages through."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.total = 0

    def get(self, url: str, **_headers: Any) -> Answer:  # noqa: ANN401 - we send our own
        start = int(parse_qs(urlsplit(url).query)["start"][0])

        def check(body: bytes) -> None:
            self.total = total_results(body, start)

        return self.line.ask(url, check)


def query(categories: Sequence[str], start: datetime, end: datetime) -> str:
    """The search text for first versions of [start, end); its minutes reach just around it."""
    either = " OR ".join(f"cat:{category}" for category in sorted(set(categories)))
    return f"({either}) AND submittedDate:[{_minute(start)} TO {_minute(end)}]"


def to_paper(result: arxiv.Result) -> Paper:
    paper_id, version = identity(result.entry_id)
    primary = result.primary_category or result.categories[0]
    return Paper(
        id=paper_id,
        version=version,
        title=_line_of(result.title),
        authors=tuple(name for author in result.authors if (name := _line_of(author.name))),
        abstract=_line_of(result.summary),
        primary_category=primary,
        categories=tuple(dict.fromkeys([primary, *result.categories])),
        published=result.published,
        updated=result.updated,
        comment=_line_of(result.comment or ""),
    )


def user_agent(settings: Settings) -> str:
    """Who asks, as arXiv wants to know it, with an address where there is a public one."""
    name = f"arxiv-newsletter/{__version__}"
    public = settings.public_url != DEFAULT_PUBLIC_URL
    return f"{name} (+{settings.public_url})" if public else name


def _merge(found: dict[str, Paper], paper: Paper) -> None:
    known = found.get(paper.id)
    if known is None or known.version < paper.version:
        found[paper.id] = paper


def _line_of(text: str) -> str:
    return " ".join(text.split())


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%d%H%M}"


_: type[PaperSource] = Arxiv
