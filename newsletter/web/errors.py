"""What a reader sees when a page can't be shown. Starlette logs the cause."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.web.context import Site

log = logging.getLogger(__name__)

WORDS = {
    403: ("Not allowed", "This page, or this form, is not for everybody. Nothing was changed."),
    404: ("Not found", "There is no page at this address. It may have been copied incompletely."),
    405: ("Not possible", "This address does not take that kind of request."),
    413: ("Too long", "That was more than this form takes. Nothing was changed."),
}


def refused(desk: Site, _request: Request, fault: Exception) -> Response:
    status = fault.status_code if isinstance(fault, HTTPException) else 500
    title, line = WORDS.get(status, ("Not possible", "This request could not be answered."))
    response = desk.notice(title, line, status=status)
    if isinstance(fault, HTTPException) and fault.headers:
        response.headers.update(fault.headers)
    return response


def unavailable(desk: Site, _request: Request, _fault: Exception) -> Response:
    line = "The database does not answer. Nothing was changed; please try again in a minute."
    response = desk.notice("One moment, please", line, status=503)
    response.headers["Retry-After"] = "60"
    return response


def broken(desk: Site, _request: Request, _fault: Exception) -> Response:
    line = "Something went wrong on our side, and it was noted. Please try again later."
    return desk.notice("That did not work", line, status=500)


async def left(request: Request, _fault: Exception) -> Response:
    """The connection ended before the request did. Nobody is there to be told."""
    log.info("a %s request ended before all of it was sent", request.method)
    return PlainTextResponse("", 400)
