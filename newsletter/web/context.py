"""What every page works with, and how a page is written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse

from newsletter.domain.formatting import long_date, plural, short_date
from newsletter.domain.sanitize import clean
from newsletter.render.templates import template_folder
from newsletter.store.metrics import MetricCounts
from newsletter.web.health import DatabaseProbe
from newsletter.web.rate_limit import SignupLimiter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from starlette.requests import Request

    from newsletter.context import App
    from newsletter.domain.links import Links
    from newsletter.domain.mail import Sender
    from newsletter.domain.model import Rubric
    from newsletter.mailers import Mailer
    from newsletter.render import Renderer
    from newsletter.settings import Settings
    from newsletter.store import Store

FOLDER = template_folder("web")
CACHE_PUBLIC = "public, max-age=300"
CACHE_PRIVATE = "private, max-age=300"
NO_STORE = "no-store"


@dataclass(frozen=True)
class Site:
    """Everything the pages need; made once, where the program starts."""

    app: App
    store: Store
    links: Links
    rubrics: Mapping[str, Rubric]
    settings: Settings
    mailer: Mailer
    renderer: Renderer
    sender: Sender
    clock: Callable[[], datetime]
    scheduler_problem: Callable[[], str] = str
    """What is wrong with the scheduler of this process; empty where all is well or it has none."""

    @cached_property
    def metric_counts(self) -> MetricCounts:
        """The counts of the database, of which what is old is counted once."""
        return MetricCounts()

    @cached_property
    def database_probe(self) -> DatabaseProbe:
        """Whether the database answers."""
        return DatabaseProbe(self.store)

    @cached_property
    def signup_limiter(self) -> SignupLimiter:
        """Who signed up from where, as far as this process saw it."""
        return SignupLimiter()

    @cached_property
    def prefix(self) -> str:
        """The path under which a proxy shows us, empty for the root."""
        return urlsplit(self.settings.public_url).path.rstrip("/")

    @cached_property
    def _templates(self) -> Environment:
        made = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_cleaned,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        made.filters.update(
            long_date=long_date, short_date=short_date, plural=plural, local_path=self.local_path
        )
        made.globals.update(
            prefix=self.prefix, site=self.settings.from_name, postal=self.settings.postal_address
        )
        return made

    def local_path(self, url: str) -> str:
        """One of our own addresses as a path, so that a page works under any host name."""
        return urlsplit(url).path

    @property
    def public(self) -> list[Rubric]:
        found = (rubric for rubric in self.rubrics.values() if rubric.public)
        return sorted(found, key=lambda rubric: rubric.title.casefold())

    def requested_rubric(self, request: Request) -> Rubric:
        """The rubric an archive address names. Nothing tells a wrong guess from a private one."""
        segment = request.path_params["rubric"]
        for rubric in self.rubrics.values():
            if self.links.opens(rubric, segment):
                return rubric
        raise HTTPException(404)

    def page(
        self,
        template: str,
        *,
        status: int = 200,
        cache: str = NO_STORE,
        indexed: bool = False,
        **values: Any,  # noqa: ANN401 - what a template shows
    ) -> HTMLResponse:
        """A filled template. Search engines are sent away unless the page is `listed`."""
        headers = {"Cache-Control": cache}
        if not indexed:
            headers["X-Robots-Tag"] = "noindex, nofollow"
        shown = self._templates.get_template(template).render(indexed=indexed, **values)
        return HTMLResponse(shown, status, headers)

    def notice(self, title: str, *lines: str, status: int = 200) -> HTMLResponse:
        """A page that only says something."""
        return self.page("notice.html", status=status, title=title, lines=lines)


def _cleaned(value: object) -> object:
    """Everything from outside passes here on its way into a page; our own Markup does not."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value
