"""Parses form bodies, urlencoded or multipart, with limits on size and number of fields."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    Form = Mapping[str, tuple[str, ...]]
    """The values of each field, in the order they came."""
    Upload = Mapping[str, bytes]
    """The last value of each field as it came: files, and the texts beside them."""

MAX_BODY = 64 * 1024
MAX_UPLOAD = 5 * 2**20
"""A library of 5,000 papers with abstracts, of which the first 500 are used."""
MAX_FIELDS = 100
MAX_LARGE_UPLOADS = 2
"""Uploads above MAX_BODY that are read and answered at once; further ones wait."""
LARGE_BODY = 256 * 1024
"""A rubric of 24,000 characters of three bytes each, which are three times as long in a form."""
LARGE_FIELDS = 1_000
"""More criteria than a rubric may have arrive whole, so that the answer can say how many."""


def with_form(
    answer: Callable[[Request, Form], Response],
) -> Callable[[Request], Awaitable[Response]]:
    """Read the body in the event loop and run `answer` in the thread pool."""

    async def endpoint(request: Request) -> Response:
        body = await read_body(request, MAX_BODY)
        form = read_form(request.headers.get("content-type", ""), body)
        return await run_in_threadpool(answer, request, form)

    return endpoint


def with_upload(
    answer: Callable[[Request, Upload], Response], may_upload: Callable[[Request], bool]
) -> Callable[[Request], Awaitable[Response]]:
    """As `with_form`, for a form with a file. No body is read if the token may not upload."""
    large = asyncio.Semaphore(MAX_LARGE_UPLOADS)

    async def endpoint(request: Request) -> Response:
        if not may_upload(request):
            return await run_in_threadpool(answer, request, {})
        kind = request.headers.get("content-type", "")
        if not is_multipart(kind):
            body = await read_body(request, MAX_BODY)
            texts = _urlencoded(body, MAX_FIELDS)
            return await run_in_threadpool(answer, request, {k: v.encode() for k, v in texts})
        parts = Parts(kind, MAX_UPLOAD)
        size = 0
        async with AsyncExitStack() as stack:
            async for piece in pieces(request, MAX_UPLOAD):
                if size <= MAX_BODY < size + len(piece):
                    await stack.enter_async_context(large)
                size += len(piece)
                parts.write(piece)
            return await run_in_threadpool(answer, request, dict(parts.end()))

    return endpoint


def with_large_form(
    answer: Callable[[Request, Form], Response],
) -> Callable[[Request], Awaitable[Response]]:
    """As `with_form`, for urlencoded forms of long texts. Other bodies are answered by 400."""

    async def endpoint(request: Request) -> Response:
        body = await read_body(request, LARGE_BODY)
        kind = request.headers.get("content-type", "").lower()
        form = _by_name(_urlencoded(body, LARGE_FIELDS))
        if not form or not kind.startswith("application/x-www-form-urlencoded"):
            raise HTTPException(400)
        return await run_in_threadpool(answer, request, form)

    return endpoint


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The complete body. Raises HTTPException 413 if it is longer than `max_bytes`."""
    return b"".join([piece async for piece in pieces(request, max_bytes)])


async def pieces(request: Request, max_bytes: int) -> AsyncIterator[bytes]:
    """The body in pieces. Raises HTTPException 413 once it is longer than `max_bytes`."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > max_bytes:
        raise _too_large(max_bytes)
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > max_bytes:
            raise _too_large(max_bytes)
        yield piece


def _too_large(max_bytes: int) -> HTTPException:
    limit = f"{max_bytes // 2**20} MB" if max_bytes >= 2**20 else f"{max_bytes // 2**10} KB"
    return HTTPException(413, f"more than {limit}")


def read_form(content_type: str, body: bytes) -> Form:
    """The fields of a body; none if it is not a form. Never raises: one-click must always work."""
    if is_multipart(content_type):
        pairs = [
            (name, value.decode("utf-8", "replace"))
            for name, value in multipart(content_type, body)
        ]
    else:
        pairs = _urlencoded(body, MAX_FIELDS)
    return _by_name(pairs)


def is_multipart(content_type: str) -> bool:
    return content_type.lower().startswith("multipart/form-data")


def _by_name(pairs: list[tuple[str, str]]) -> Form:
    """By name, without NUL characters: PostgreSQL refuses them as part of a value."""
    fields: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        fields[name] = (*fields.get(name, ()), value.replace("\0", ""))
    return fields


def place_after(form: Form, rows: int) -> int:
    """Where a list shows the message about its removed row number `at`; 0 is above the list."""
    at = first(form, "at")
    return min(int(at[:4]), rows) if at.isascii() and at.isdecimal() else 0


def first(form: Form, name: str) -> str:
    """The first value of a field, stripped; empty if missing."""
    return next(iter(form.get(name, ())), "").strip()


def _urlencoded(body: bytes, max_fields: int) -> list[tuple[str, str]]:
    try:
        text = body.decode("utf-8", "replace")
        return parse_qsl(text, keep_blank_values=True, max_num_fields=max_fields)
    except ValueError:
        return []


def multipart(content_type: str, body: bytes) -> list[tuple[str, bytes]]:
    """The fields of a multipart body; in a malformed body, those before the error.

    Starlette's parser refuses fields above 1 MB, and Inbound Parse posts whole emails.
    """
    parts = Parts(content_type, len(body))
    parts.write(body)
    return parts.end()


def _boundary(content_type: str) -> bytes:
    from python_multipart.multipart import parse_options_header

    return parse_options_header(content_type)[1].get(b"boundary", b"")


class Parts:
    """Incremental parser of a multipart body. Keeps at most `max_field` bytes of each field."""

    def __init__(self, content_type: str, max_field: int) -> None:
        from python_multipart.exceptions import FormParserError
        from python_multipart.multipart import MultipartParser

        self.fields: list[tuple[str, bytes]] = []
        self._max_field = max_field
        self._name = b""
        self._header = self._value = b""
        self._data = bytearray()
        self._parser: MultipartParser | None = None
        self._errors = (FormParserError, ValueError)
        with suppress(*self._errors):
            self._parser = MultipartParser(_boundary(content_type), self.callbacks())

    def write(self, piece: bytes) -> None:
        """Parse one piece. After an error the rest is ignored."""
        if self._parser:
            try:
                self._parser.write(piece)
            except self._errors:
                self._parser = None

    def end(self) -> list[tuple[str, bytes]]:
        if self._parser:
            with suppress(*self._errors):
                self._parser.finalize()
        return self.fields

    def callbacks(self) -> Any:  # noqa: ANN401 - the parser's own mapping of names to functions
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._on_header,
            "on_header_value": self._on_value,
            "on_header_end": self._end_header,
            "on_part_data": self._on_data,
            "on_part_end": self._end,
        }

    def _begin(self) -> None:
        self._name, self._data = b"", bytearray()

    def _on_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        from python_multipart.multipart import parse_options_header

        if self._header.lower() == b"content-disposition":
            self._name = parse_options_header(self._value)[1].get(b"name", b"")
        self._header = self._value = b""

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if len(self.fields) < MAX_FIELDS:
            self._data += data[start : min(end, start + self._max_field - len(self._data))]

    def _end(self) -> None:
        if self._name and len(self.fields) < MAX_FIELDS:
            self.fields.append((self._name.decode("utf-8", "replace"), bytes(self._data)))
