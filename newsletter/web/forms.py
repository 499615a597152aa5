"""Forms as people and mail programs send them: urlencoded or multipart, small, never trusted."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import HTTP
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    Form = Mapping[str, tuple[str, ...]]
    """The values of each field, in the order they came."""

LARGEST_BODY = 64 * 1024
MOST_FIELDS = 100


def with_form(
    answer: Callable[[Request, Form], Response],
) -> Callable[[Request], Awaitable[Response]]:
    """Read the body here, where waiting is cheap, and answer in the thread pool."""

    async def endpoint(request: Request) -> Response:
        body = await read_body(request, LARGEST_BODY)
        form = read_form(request.headers.get("content-type", ""), body)
        return await run_in_threadpool(answer, request, form)

    return endpoint


async def read_body(request: Request, most: int) -> bytes:
    """The whole body. Raises HTTPException 413 as soon as it is longer than `most` bytes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise HTTPException(413)
    return bytes(body)


def read_form(content_type: str, body: bytes) -> Form:
    """The fields of a body; none where it is no form. Never raises: leaving must always work."""
    if content_type.lower().startswith("multipart/form-data"):
        pairs = _multipart(content_type, body)
    else:
        pairs = _urlencoded(body)
    fields: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        fields[name] = (*fields.get(name, ()), value)
    return fields


def first(form: Form, name: str) -> str:
    """The first value of a field, without space around it; empty where there is none."""
    return next(iter(form.get(name, ())), "").strip()


def _urlencoded(body: bytes) -> list[tuple[str, str]]:
    try:
        text = body.decode("utf-8", "replace")
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        return []


def _multipart(content_type: str, body: bytes) -> list[tuple[str, str]]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode("utf-8", "replace")
    message = message_from_bytes(head + body, policy=HTTP)
    pairs = []
    for part in list(message.iter_parts())[:MOST_FIELDS] if message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            pairs.append((name, content.decode("utf-8", "replace")))
    return pairs
