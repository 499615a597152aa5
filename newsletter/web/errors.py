"""Error pages. Starlette logs the cause."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

from newsletter.domain.formatting import long_date
from newsletter.web.context import RubricDeleted

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.web.context import Site

log = logging.getLogger(__name__)

MESSAGES = {
    400: ("Not understood", "The form could not be read, or has too many fields. Nothing changed."),
    403: ("Not allowed", "You may not open this page or use this form. Nothing was changed."),
    404: ("Not found", "There is no page at this address. It may have been copied incompletely."),
    405: ("Not possible", "This address does not accept this kind of request."),
    413: ("Too large", "What was sent contains {detail}. Nothing was changed."),
}


def http_error(site: Site, _request: Request, error: Exception) -> Response:
    status, detail = 500, ""
    if isinstance(error, HTTPException):
        status, detail = error.status_code, error.detail
    title, line = MESSAGES.get(status, ("Not possible", "This request could not be answered."))
    response = site.notice(title, line.format(detail=detail), status=status)
    if isinstance(error, HTTPException) and error.headers:
        response.headers.update(error.headers)
    return response


def rubric_deleted(site: Site, _request: Request, error: Exception) -> Response:
    """The answer to a link of an old email. It names nobody: anyone with the link can see it."""
    day = long_date(error.deleted_at.date()) if isinstance(error, RubricDeleted) else ""
    return site.notice(
        "This rubric was deleted",
        f"It was deleted on {day}, with its text and what its issues said.",
        "Still there: the emails that were sent, the papers at arXiv, and the votes, "
        "reading list and other subscriptions of its reader. The links at the end of any other "
        "email from here lead to them.",
        status=410,
    )


def store_error(site: Site, _request: Request, _error: Exception) -> Response:
    line = "The database does not answer. Nothing was changed. Please try again in a minute."
    response = site.notice("Temporarily unavailable", line, status=503)
    response.headers["Retry-After"] = "60"
    return response


def server_error(site: Site, _request: Request, _error: Exception) -> Response:
    line = "An error occurred on our side and was logged. Please try again later."
    return site.notice("Something went wrong", line, status=500)


async def client_disconnected(request: Request, _error: Exception) -> Response:
    """The client closed the connection before the request was complete."""
    log.info("client disconnected during a %s request", request.method)
    return PlainTextResponse("", 400)
