"""Front page, style sheet and robots.txt."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, RedirectResponse, Response

from newsletter.store import digests
from newsletter.web.context import CACHE_PUBLIC, FOLDER

if TYPE_CHECKING:
    from starlette.requests import Request

    from newsletter.web.context import Site


def show(site: Site, request: Request) -> Response:
    return front(site, chosen=request.query_params.get("rubric", ""))


def front(
    site: Site, *, chosen: str = "", email: str = "", error: str = "", status: int = 200
) -> Response:
    """The front page: public rubrics with their newest issue, and the sign-up form."""
    with site.app.store.read() as tx:
        newest = {
            rubric.slug: next(iter(digests.summaries(tx, 1, rubric.slug)), None)
            for rubric in site.public_rubrics
        }
    rows = [
        {
            "rubric": rubric,
            "archive": site.local_path(site.app.links.rubric_url(rubric)),
            "edition": (edition := newest[rubric.slug]),
            "issue": site.local_path(site.app.links.issue_url(rubric, edition.date))
            if edition
            else "",
        }
        for rubric in site.public_rubrics
    ]
    cache = CACHE_PUBLIC if status == 200 and not email else "no-store"  # noqa: PLR2004 - HTTP's own number
    return site.page(
        "home.html",
        status=status,
        cache=cache,
        indexed=True,
        rows=rows,
        chosen=chosen,
        email=email,
        error=error,
    )


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
    data = (FOLDER / "style.css").read_bytes()
    return data, hashlib.sha256(data).hexdigest()[:16]


def style(_site: Site, request: Request) -> Response:
    data, mark = _style()
    headers = {"Cache-Control": "public, max-age=3600", "ETag": f'"{mark}"'}
    if request.headers.get("if-none-match") == f'"{mark}"':
        return Response(status_code=304, headers=headers)
    return Response(data, media_type="text/css", headers=headers)


def robots(site: Site, _request: Request) -> Response:
    """Private archives are not listed, as robots.txt is public; their pages have `noindex`."""
    paths = ("subscribe", "confirm", "unsubscribe", "preferences", "search")
    lines = ["User-agent: *", *(f"Disallow: {site.prefix}/{path}" for path in paths)]
    return PlainTextResponse("\n".join(lines) + "\n", headers={"Cache-Control": CACHE_PUBLIC})
