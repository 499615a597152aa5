"""Where SendGrid reports what became of a mail, and brings what readers reply.

The rules are in webhooks.py and inbox.py; this is the door.
"""

from __future__ import annotations

import hmac
import logging
from typing import TYPE_CHECKING

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse

from newsletter import inbox, webhooks
from newsletter.daily import safely
from newsletter.web.forms import multipart, read_body
from newsletter.webhooks import Receipt, Signature

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.web.desk import Desk

log = logging.getLogger(__name__)

SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"
LARGEST_MAIL = 40 * 2**20
"""Inbound Parse takes mails of up to 30 MB."""


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
        return _answer(receipt)

    return endpoint


def inbound(desk: Desk) -> Callable[[Request], Awaitable[Response]]:
    """Mail that came in, by Inbound Parse: stored, answered, and worked off afterwards.

    Whatever is wrong with the secret or the signature is answered 503: SendGrid repeats that for
    three days, but drops a mail for good, and in silence, on 4xx.
    """

    async def endpoint(request: Request) -> Response:
        raw = await read_body(request, LARGEST_MAIL)
        receipt = await run_in_threadpool(_take, desk, request, raw)
        response = _answer(receipt)
        if receipt.status == 200 and receipt.new_events:  # noqa: PLR2004 - HTTP's own number
            response.background = BackgroundTask(inbox.work_off, _post(desk), desk.clock())
        return response

    return endpoint


def _take(desk: Desk, request: Request, raw: bytes) -> Receipt:
    secret = desk.settings.inbound_secret.get_secret_value()
    given = request.path_params["secret"]
    if not secret or not hmac.compare_digest(given.encode(), secret.encode()):
        return Receipt(503)
    now = desk.clock()
    if keys := desk.settings.sendgrid_inbound_key.strip():
        signature, timestamp = (
            request.headers.get(SIGNATURE, ""),
            request.headers.get(TIMESTAMP, ""),
        )
        found = webhooks.verify(keys.split(","), signature, timestamp, raw, now)
        if found is not Signature.VALID:
            return Receipt(503, alert=f"inbound mail with an {found} signature was not taken")
    fields = dict(multipart(request.headers.get("content-type", ""), raw))
    return webhooks.receive_mail(desk.store, desk.links, fields, now)


def _post(desk: Desk) -> inbox.Post:
    carried = (desk.store, desk.mailer, desk.renderer, desk.links, desk.sender, desk.rubrics)
    return inbox.Post(*carried, safely=safely)


def _answer(receipt: Receipt) -> Response:
    if receipt.alert:
        log.warning("%s", receipt.alert)
    return PlainTextResponse("", receipt.status, headers={"Cache-Control": "no-store"})
