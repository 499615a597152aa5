"""Where SendGrid reports what became of a mail, and brings what readers reply.

The rules are in inbound/sendgrid_webhooks.py and inbound/processor.py. What the head of a request
shows is checked before its body is read, and few large bodies are read at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse

from newsletter.domain.model import READ_BYTES
from newsletter.inbound import processor, sendgrid_webhooks
from newsletter.inbound.sendgrid_webhooks import Receipt, Signature
from newsletter.web.forms import Parts, pieces

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.web.context import Site

log = logging.getLogger(__name__)

SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"
LARGEST_MAIL = 40 * 2**20
"""Inbound Parse takes mails of up to 30 MB."""
SMALL = 256 * 1024
LARGE_AT_ONCE = 4
"""Bodies above `SMALL` that are read at once at each door; others wait where they are."""


def events(desk: Site) -> Callable[[Request], Awaitable[Response]]:
    """The signed Event Webhook; 404 until its public key is set."""
    large = asyncio.Semaphore(LARGE_AT_ONCE)

    async def endpoint(request: Request) -> Response:
        keys, (signature, timestamp) = desk.settings.sendgrid_event_key, _signed(request)
        if not keys.strip():
            return _answer(Receipt(404))
        if not sendgrid_webhooks.may_be_signed(signature, timestamp):
            return _answer(Receipt(403))
        body = bytearray()
        async with AsyncExitStack() as stack:
            async for piece in _batches(request, sendgrid_webhooks.BIGGEST, large, stack):
                body += piece
            receipt = await run_in_threadpool(
                sendgrid_webhooks.receive,
                desk.store,
                keys,
                signature,
                timestamp,
                bytes(body),
                desk.clock(),
            )
        return _answer(receipt)

    return endpoint


def inbound(desk: Site) -> Callable[[Request], Awaitable[Response]]:
    """Mail that came in, by Inbound Parse: stored, answered, and worked off afterwards.

    Whatever is wrong with the secret or the signature is answered 503: SendGrid repeats that
    for
    three days, but drops a mail for good, and in silence, on 4xx.
    """
    large = asyncio.Semaphore(LARGE_AT_ONCE)

    async def endpoint(request: Request) -> Response:
        if not _knows_secret(desk, request):
            return _answer(Receipt(503))
        _, timestamp = _signed(request)
        parts = Parts(request.headers.get("content-type", ""), READ_BYTES)
        hashed = hashlib.sha256(timestamp.encode(errors="replace"))
        async with AsyncExitStack() as stack:
            async for piece in _batches(request, LARGEST_MAIL, large, stack):
                hashed.update(piece)
                await run_in_threadpool(parts.write, piece)
        fields = dict(parts.end())
        receipt = await run_in_threadpool(_take, desk, request, fields, hashed.digest())
        response = _answer(receipt)
        if receipt.status == 200 and receipt.new_events:  # noqa: PLR2004 - HTTP's own number
            response.background = BackgroundTask(processor.work_off, desk.app, desk.clock())
        return response

    return endpoint


async def _batches(
    request: Request, most: int, large: asyncio.Semaphore, stack: AsyncExitStack
) -> AsyncIterator[bytes]:
    """The body in pieces of some `SMALL` bytes; from the second on it is one of the large ones,
    until `stack` ends.
    """
    batch, first = bytearray(), True
    async for piece in pieces(request, most):
        batch += piece
        if len(batch) >= SMALL:
            if first:
                await stack.enter_async_context(large)
            yield bytes(batch)
            batch, first = bytearray(), False
    yield bytes(batch)


def _signed(request: Request) -> tuple[str, str]:
    """Signature and timestamp of SendGrid's, empty where there are none."""
    return request.headers.get(SIGNATURE, ""), request.headers.get(TIMESTAMP, "")


def _knows_secret(desk: Site, request: Request) -> bool:
    secret = desk.settings.inbound_secret.get_secret_value()
    given = request.path_params["secret"].encode(errors="replace")
    return bool(secret) and hmac.compare_digest(given, secret.encode())


def _take(desk: Site, request: Request, fields: Mapping[str, bytes], hashed: bytes) -> Receipt:
    now = desk.clock()
    if keys := desk.settings.sendgrid_inbound_key.strip():
        found = sendgrid_webhooks.verify_hash(keys.split(","), *_signed(request), hashed, now)
        if found is not Signature.VALID:
            return Receipt(503, alert=f"inbound mail with an {found} signature was not taken")
    return sendgrid_webhooks.receive_mail(desk.store, desk.links, fields, now)


def _answer(receipt: Receipt) -> Response:
    if receipt.alert:
        log.warning("%s", receipt.alert)
    return PlainTextResponse("", receipt.status, headers={"Cache-Control": "no-store"})
