"""Where SendGrid reports what became of a mail. The rules are in webhooks.py; this is the door."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse

from newsletter import webhooks
from newsletter.web.forms import read_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.web.desk import Desk

log = logging.getLogger(__name__)

SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"


def events(desk: Desk) -> Callable[[Request], Awaitable[Response]]:
    """The signed Event Webhook; 404 until its public key is set."""

    async def endpoint(request: Request) -> Response:
        raw = await read_body(request, webhooks.BIGGEST)
        receipt = await run_in_threadpool(
            webhooks.receive,
            desk.store,
            desk.settings.sendgrid_event_key,
            request.headers.get(SIGNATURE, ""),
            request.headers.get(TIMESTAMP, ""),
            raw,
            desk.clock(),
        )
        if receipt.alert:
            log.warning("%s", receipt.alert)
        return PlainTextResponse("", receipt.status, headers={"Cache-Control": "no-store"})

    return endpoint
