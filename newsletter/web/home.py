"""Front page, style sheet and robots.txt."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, RedirectResponse, Response

from newsletter.render.paper_view import MAX_TITLE, entries
from newsletter.render.templates import TOKENS
from newsletter.render.truncate import one_line
from newsletter.store import digests, search
from newsletter.web.context import CACHE_PUBLIC, FOLDER

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from starlette.requests import Request

    from newsletter.domain.model import Rubric
    from newsletter.render.paper_view import PaperEntry
    from newsletter.store.digests import DigestSummary
    from newsletter.web.context import Site


NOT_CRAWLED = (
    *("subscribe", "search", "confirm", "unsubscribe", "preferences", "vote", "why"),
    *("reading-list", "rubrics"),
)
"""How the paths begin that search engines leave alone: forms, and all pages of one reader."""


def show(site: Site, request: Request) -> Response:
    return front(site, chosen=request.query_params.get("rubric", ""))


def front(
    site: Site, *, chosen: str = "", email: str = "", error: str = "", status: int = 200
) -> Response:
    """The front page: the sign-up form, the best paper of the newest issue, all public rubrics."""
    with site.app.store.read() as tx:
        rows = [_topic(site, tx, rubric) for rubric in site.public_rubrics]
        newest = max(
            (row for row in rows if row.best), key=lambda row: row.newest_date, default=None
        )
        card = _newest_card(tx, newest) if newest else None
    cache = CACHE_PUBLIC if status == 200 and not email else "no-store"  # noqa: PLR2004 - HTTP's own number
    return site.page(
        "home.html",
        status=status,
        cache=cache,
        indexed=True,
        judged=site.app.settings.scorer_name != "local",
        rows=rows,
        newest=newest,
        card=card,
        chosen=chosen,
        email=email,
        error=error,
    )


@dataclass(frozen=True, slots=True)
class Topic:
    """A public rubric with its newest issue; `best` is the title of that issue's first pick."""

    rubric: Rubric
    archive: str
    newest: DigestSummary | None
    issue: str
    best: str

    @property
    def newest_date(self) -> date:
        return self.newest.date if self.newest else date.min


def _topic(site: Site, tx: Connection, rubric: Rubric) -> Topic:
    newest = next(iter(digests.summaries(tx, 1, rubric.slug)), None)
    url = site.local_path(site.app.links.issue_url(rubric, newest.date)) if newest else ""
    titles = search.best_titles(tx, rubric.slug, 1, on=newest.date) if newest else {}
    best = next((one_line(found[0], MAX_TITLE) for found in titles.values()), "")
    archive = site.local_path(site.app.links.rubric_url(rubric))
    return Topic(rubric, archive, newest, url, best)


def _newest_card(tx: Connection, topic: Topic) -> PaperEntry | None:
    """The first pick of the topic's newest issue."""
    stored = digests.load(tx, topic.rubric.slug, topic.newest_date)
    if stored is None or not stored[1].picks:
        return None
    return entries(stored[1].picks[:1], judged=stored[1].judged)[0]


def redirect_to_form(site: Site, _request: Request) -> Response:
    """GET on the address that the form posts to."""
    return RedirectResponse(f"{site.prefix}/#subscribe", 303)


def redirect_slash(site: Site, request: Request) -> Response:
    """Redirect to the path with or without its trailing slash.

    The Location has no host: behind a proxy, readers use another name, scheme and prefix.
    """
    path = request.scope["path"]
    path = path[:-1] if path.endswith("/") else f"{path}/"
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"{site.prefix}{path}{query}", 307)


@cache
def _style() -> tuple[bytes, str]:
    data = TOKENS.read_bytes() + (FOLDER / "style.css").read_bytes()
    return data, hashlib.sha256(data).hexdigest()[:16]


def style(_site: Site, request: Request) -> Response:
    data, mark = _style()
    headers = {"Cache-Control": "public, max-age=3600", "ETag": f'"{mark}"'}
    if request.headers.get("if-none-match") == f'"{mark}"':
        return Response(status_code=304, headers=headers)
    return Response(data, media_type="text/css", headers=headers)


def robots(site: Site, _request: Request) -> Response:
    """Private archives are not listed, as robots.txt is public; their pages have `noindex`."""
    lines = ["User-agent: *", *(f"Disallow: {site.prefix}/{path}" for path in NOT_CRAWLED)]
    return PlainTextResponse("\n".join(lines) + "\n", headers={"Cache-Control": CACHE_PUBLIC})
