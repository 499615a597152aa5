"""`Site`: the application context of the web pages, and page rendering."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse

from newsletter.domain.formatting import long_date, plural, short_date, unbroken
from newsletter.domain.model import Rubric
from newsletter.domain.reader_rubrics import is_reader_rubric
from newsletter.domain.sanitize import clean
from newsletter.render.templates import template_folder
from newsletter.scoring.stored_days import DayCache
from newsletter.store import digests, reader_rubrics
from newsletter.store.reports.metrics import MetricCounts
from newsletter.web.health import DatabaseProbe
from newsletter.web.model_calls import ModelCalls
from newsletter.web.rate_limit import SignupLimiter

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from starlette.requests import Request

    from newsletter.context import App

FOLDER = template_folder("web")
CACHE_PUBLIC = "public, max-age=300"
CACHE_PRIVATE = "private, max-age=300"
NO_STORE = "no-store"
MAX_PREVIEWS = 2
MAX_DRAFTS = 8
MAX_OPERATOR_CALLS = 3
PATIENCE = timedelta(seconds=30)
"""How long a page waits for a model. Proxies wait for an answer for a minute."""
OWN_RUBRIC = "your own rubric"
"""The title of a reader rubric that is paused or deleted."""


class RubricDeleted(HTTPException):
    """An archive URL of a reader rubric that was deleted, or whose reader was erased."""

    def __init__(self, deleted_at: datetime) -> None:
        super().__init__(410)
        self.deleted_at = deleted_at


@dataclass(frozen=True)
class Site:
    """The application context, with what only the web pages need. Made once at start."""

    app: App
    scheduler_problem: Callable[[], str] = str
    """The problem of this process's scheduler; empty if it has none, or no scheduler."""
    patience: timedelta = PATIENCE

    @cached_property
    def metric_counts(self) -> MetricCounts:
        return MetricCounts()

    @cached_property
    def database_probe(self) -> DatabaseProbe:
        return DatabaseProbe(self.app.store)

    @cached_property
    def signup_limiter(self) -> SignupLimiter:
        return SignupLimiter()

    @cached_property
    def previews(self) -> ModelCalls:
        return ModelCalls(MAX_PREVIEWS, self.patience)

    @cached_property
    def drafts(self) -> ModelCalls:
        return ModelCalls(MAX_DRAFTS, self.patience)

    @cached_property
    def operator_calls(self) -> ModelCalls:
        """What an operator starts and a page waits for: one of each kind at a time."""
        return ModelCalls(MAX_OPERATOR_CALLS, self.patience)

    @cached_property
    def papers_to_rate(self) -> dict[tuple[object, ...], list[str]]:
        """Their ids, by categories and dates: to choose them takes 0.2 s of processor."""
        return {}

    @cached_property
    def stored_days(self) -> DayCache:
        return DayCache()

    @cached_property
    def prefix(self) -> str:
        """The path of the public URL, which the proxy strips; empty for the root."""
        return urlsplit(self.app.settings.public_url).path.rstrip("/")

    @cached_property
    def _templates(self) -> Environment:
        environment = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_sanitize,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters.update(
            long_date=long_date,
            short_date=short_date,
            plural=plural,
            unbroken=unbroken,
            local_path=self.local_path,
        )
        environment.globals.update(
            prefix=self.prefix,
            site=self.app.settings.from_name,
            postal=self.app.settings.postal_address,
        )
        return environment

    def local_path(self, url: str) -> str:
        """The path of one of our URLs, so that links work under any host name."""
        return urlsplit(url).path

    @property
    def public_rubrics(self) -> list[Rubric]:
        rubrics = (rubric for rubric in self.app.rubrics.values() if rubric.public)
        return sorted(rubrics, key=lambda rubric: rubric.title.casefold())

    def title_of(self, slug: str) -> str:
        """A rubric's title; its name if its file is gone. For pages of its readers."""
        if rubric := self.app.rubrics.get(slug):
            return rubric.title
        return OWN_RUBRIC if is_reader_rubric(slug) else slug

    def requested_rubric(self, request: Request) -> Rubric:
        """The rubric of an archive URL. Raises HTTPException 404, for private rubrics too, and
        RubricDeleted.

        One that makes no digests now is as in its newest one, so that links of old emails work: its
        file is gone or has a fault, or its reader paused it.
        """
        links, segment = self.app.links, request.path_params["rubric"]
        for slug in links.slugs_in(segment):
            if is_reader_rubric(slug) and slug not in self.app.rubrics:
                if links.opens(Rubric(slug, OWN_RUBRIC, (), ()), segment):
                    return self._stored_reader_rubric(slug)
                continue
            rubric = self.app.rubrics.get(slug) or self._mailed_rubric(slug)
            if rubric and links.opens(rubric, segment):
                return rubric
        raise HTTPException(404)

    def _mailed_rubric(self, slug: str) -> Rubric | None:
        with self.app.store.read() as tx:
            newest = digests.newest(tx, slug, 1)
        return newest[0].rubric if newest else None

    def _stored_reader_rubric(self, slug: str) -> Rubric:
        with self.app.store.read() as tx:
            deleted_at = reader_rubrics.deleted_at(tx, slug)
            newest = digests.newest(tx, slug, 1) if deleted_at is None else []
        if deleted_at is not None:
            raise RubricDeleted(deleted_at)
        if not newest:
            raise HTTPException(404)
        return replace(newest[0].rubric, public=False)

    def page(
        self,
        template: str,
        *,
        status: int = 200,
        cache: str = NO_STORE,
        indexed: bool = False,
        **values: Any,  # noqa: ANN401 - what a template shows
    ) -> HTMLResponse:
        """A rendered template. Search engines may index it only if `indexed`."""
        headers = {"Cache-Control": cache}
        if not indexed:
            headers["X-Robots-Tag"] = "noindex, nofollow"
        html = self._templates.get_template(template).render(indexed=indexed, **values)
        return HTMLResponse(html, status, headers)

    def unknown_link(self) -> HTMLResponse:
        """The same page for a broken link, and for a reader who left or was erased (404)."""
        return self.notice(
            "This link does not work",
            "Nothing was changed. It belongs to a test email, to a deleted address or to a "
            "subscription that ended, or it was copied incompletely.",
            "Please use the link at the end of your latest digest.",
            status=404,
        )

    def notice(self, title: str, *lines: str, status: int = 200) -> HTMLResponse:
        """A page with a title and a few sentences."""
        return self.page("notice.html", status=status, title=title, lines=lines)


def _sanitize(value: object) -> object:
    """Applied to each value that a template prints; Markup of our own passes unchanged."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value
