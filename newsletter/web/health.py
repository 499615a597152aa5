"""For whoever watches the process."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

from newsletter.store import StoreError, digests

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.web.desk import Desk

log = logging.getLogger(__name__)

HEADERS = {"Cache-Control": "no-store"}


def alive(_desk: Desk, _request: Request) -> Response:
    return PlainTextResponse("ok\n", headers=HEADERS)


def ready(desk: Desk, _request: Request) -> Response:
    """200 when the database answers with the schema in place; else 503, the reason in the log."""
    try:
        with desk.store.read() as tx:
            digests.editions(tx, 1)
    except StoreError as fault:
        log.warning("not ready: %s", fault)
        return PlainTextResponse("not ready: the database does not answer\n", 503, headers=HEADERS)
    return PlainTextResponse("ready\n", headers=HEADERS)
