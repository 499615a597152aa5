"""SendGrid's Event Webhook and Inbound Parse endpoints.

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
https://www.twilio.com/docs/sendgrid/for-developers/parsing-email/inbound-email

The rules are in inbound/sendgrid_webhooks.py and inbound/processor.py. The headers are checked
before the body is read, and only few large bodies are read at once.
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
MAX_MAIL_BYTES = 40 * 2**20
"""Inbound Parse accepts emails of up to 30 MB."""
SMALL_BODY = 256 * 1024
MAX_LARGE_BODIES = 4
"""Bodies above SMALL_BODY that each endpoint reads at once; further ones wait."""


def events(site: Site) -> Callable[[Request], Awaitable[Response]]:
    """The signed Event Webhook; 404 until its public key is set."""
    large_bodies = asyncio.Semaphore(MAX_LARGE_BODIES)

    async def endpoint(request: Request) -> Response:
        keys, (signature, timestamp) = (
            site.app.settings.sendgrid_event_key,
            _signature_headers(request),
        )
        if not keys.strip():
            return _response(Receipt(404))
        if not sendgrid_webhooks.has_signature_headers(signature, timestamp):
            return _response(Receipt(403))
        body = bytearray()
        async with AsyncExitStack() as stack:
            async for piece in _batches(request, sendgrid_webhooks.MAX_BODY, large_bodies, stack):
                body += piece
            receipt = await run_in_threadpool(
                sendgrid_webhooks.receive_events,
                site.app.store,
                keys,
                signature,
                timestamp,
                bytes(body),
                site.app.clock(),
            )
        return _response(receipt)

    return endpoint


def inbound(site: Site) -> Callable[[Request], Awaitable[Response]]:
    """Inbound Parse: the email is stored, acknowledged, and processed afterwards.

    A wrong secret or signature is answered 503: SendGrid retries that for three days, and drops
    the email without notice on 4xx.
    """
    large_bodies = asyncio.Semaphore(MAX_LARGE_BODIES)

    async def endpoint(request: Request) -> Response:
        if not _has_valid_secret(site, request):
            return _response(Receipt(503))
        _, timestamp = _signature_headers(request)
        parts = Parts(request.headers.get("content-type", ""), READ_BYTES)
        digest = hashlib.sha256(timestamp.encode(errors="replace"))
        async with AsyncExitStack() as stack:
            async for piece in _batches(request, MAX_MAIL_BYTES, large_bodies, stack):
                digest.update(piece)
                await run_in_threadpool(parts.write, piece)
        fields = dict(parts.end())
        receipt = await run_in_threadpool(_receive_mail, site, request, fields, digest.digest())
        response = _response(receipt)
        if receipt.status == 200 and receipt.new_events:  # noqa: PLR2004 - HTTP's own number
            response.background = BackgroundTask(processor.process_new, site.app, site.app.clock())
        return response

    return endpoint


async def _batches(
    request: Request, max_bytes: int, large_bodies: asyncio.Semaphore, stack: AsyncExitStack
) -> AsyncIterator[bytes]:
    """The body in pieces of about SMALL_BODY bytes. From the second piece on it takes one of the
    places for large bodies, until `stack` ends.
    """
    batch, first = bytearray(), True
    async for piece in pieces(request, max_bytes):
        batch += piece
        if len(batch) >= SMALL_BODY:
            if first:
                await stack.enter_async_context(large_bodies)
            yield bytes(batch)
            batch, first = bytearray(), False
    yield bytes(batch)


def _signature_headers(request: Request) -> tuple[str, str]:
    """Signature and timestamp headers of SendGrid, empty if missing."""
    return request.headers.get(SIGNATURE, ""), request.headers.get(TIMESTAMP, "")


def _has_valid_secret(site: Site, request: Request) -> bool:
    secret = site.app.settings.inbound_secret.get_secret_value()
    given = request.path_params["secret"].encode(errors="replace")
    return bool(secret) and hmac.compare_digest(given, secret.encode())


def _receive_mail(
    site: Site, request: Request, fields: Mapping[str, bytes], digest: bytes
) -> Receipt:
    now = site.app.clock()
    if keys := site.app.settings.sendgrid_inbound_key.strip():
        found = sendgrid_webhooks.verify_hash(
            keys.split(","), *_signature_headers(request), digest, now
        )
        if found is not Signature.VALID:
            return Receipt(503, alert=f"inbound mail with an {found} signature was refused")
    return sendgrid_webhooks.receive_mail(site.app.store, site.app.links, fields, now)


def _response(receipt: Receipt) -> Response:
    if receipt.alert:
        log.warning("%s", receipt.alert)
    return PlainTextResponse("", receipt.status, headers={"Cache-Control": "no-store"})
