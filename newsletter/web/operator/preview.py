"""The newest digest of each rubric as its email, in a sandboxed frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse

from newsletter.domain.mail import Format
from newsletter.operations import send_test
from newsletter.rubrics.folder import of_operator
from newsletter.store import digests
from newsletter.web.context import NO_STORE
from newsletter.web.middleware import POLICY
from newsletter.web.operator import auth
from newsletter.web.operator.actions import operator_page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.domain.model import Rubric
    from newsletter.web.context import Site

FRAME_POLICY = POLICY + "; frame-src 'self'"
# The email has inline styles. The sandbox disables scripts, forms and links to this site.
MAIL_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
)


def show(site: Site, request: Request) -> Response:
    """A page with the email of the newest digest in a frame."""
    session = auth.session(site, request)
    if session is None:
        return auth.login_page(site, auth.requested_page(request))
    rubric = _requested_rubric(site, request)
    with site.app.store.read() as tx:
        newest = next(iter(digests.summaries(tx, 1, rubric.slug)), None)
    page = operator_page(
        site,
        session,
        "operator_preview.html",
        here=None,
        title=f"Preview: {rubric.title}",
        rubric=rubric,
        newest=newest,
        previews=_by_title(site),
    )
    page.headers["Content-Security-Policy"] = FRAME_POLICY
    return page


def show_mail(site: Site, request: Request) -> Response:
    """The email itself. Its links belong to the test reader and change nothing."""
    auth.require(site, request)
    rubric = _requested_rubric(site, request)
    with site.app.store.read() as tx:
        found = digests.latest(tx, rubric.slug)
    if found is None:
        raise HTTPException(404)
    asked = request.query_params.get("format", "")
    wanted = Format(asked) if asked in set(Format) else Format.FULL
    reader = send_test.reader_for(site.app, rubric.slug, "reader@example.org", wanted)
    copy = send_test.personalizer(site.app, found[1]).personalize(reader)
    headers = {
        "Content-Security-Policy": MAIL_POLICY,
        "X-Frame-Options": "SAMEORIGIN",
        # Browsers refuse a sandboxed top-level page with another value (HTML standard).
        "Cross-Origin-Opener-Policy": "unsafe-none",
        "Cache-Control": NO_STORE,
        "X-Robots-Tag": "noindex, nofollow",
    }
    return HTMLResponse(copy.html, headers=headers)


def _requested_rubric(site: Site, request: Request) -> Rubric:
    found = of_operator(site.app.rubrics).get(request.path_params["rubric"])
    if found is None:
        raise HTTPException(404)
    return found


def _by_title(site: Site) -> list[Rubric]:
    rubrics = of_operator(site.app.rubrics).values()
    return sorted(rubrics, key=lambda rubric: rubric.title.casefold())
