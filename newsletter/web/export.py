"""Write web pages as files that link to one another, to look at them without a server."""

from __future__ import annotations

import asyncio
import html
import posixpath
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.applications import Starlette
    from starlette.types import Message

LINK = re.compile(r'\b(href|src|action)="([^"]*)"')
TOKEN = re.compile(r"[a-z2-7]{48}")
OK = 200
HTML_TYPE = "text/html"
FILE_TYPES = {".bib", ".css", ".html", ".md", ".ris", ".txt", ".xml"}
MAX_PAGES = 200
"""Archive links that lead to ever more pages would be a fault; no demo has so many."""


class PageExport:
    """The pages of `app` that are reachable from `paths`, by file name."""

    def __init__(self, app: Starlette, paths: Iterable[str]) -> None:
        self.files: dict[str, bytes] = {}
        self._tokens: dict[str, str] = {}
        asyncio.run(self._crawl(app, list(paths)))

    def file_of(self, path: str) -> str:
        """The file name of a path; the signed tokens of readers are numbered."""
        for token in TOKEN.findall(path):
            path = path.replace(token, self._tokens.setdefault(token, f"{len(self._tokens) + 1}"))
        bare = path.strip("/")
        # An arXiv id has a dot as well.
        is_file = posixpath.splitext(bare)[1] in FILE_TYPES
        return bare if is_file else posixpath.join(bare, "index.html")

    async def _crawl(self, app: Starlette, waiting: list[str]) -> None:
        seen: set[str] = set()
        while waiting and len(seen) < MAX_PAGES:
            path = waiting.pop(0)
            if path in seen:
                continue
            seen.add(path)
            status, kind, body = await _get(app, path)
            if status != OK:
                continue
            self.files[self.file_of(path)] = body
            if kind.startswith(HTML_TYPE):
                waiting += _local_paths(body.decode())


def relink(text: str, target: Callable[[str, str], str]) -> str:
    """`text` with each link replaced by `target(attribute, url)`."""

    def replaced(found: re.Match[str]) -> str:
        return f'{found[1]}="{html.escape(target(found[1], html.unescape(found[2])))}"'

    return LINK.sub(replaced, text)


def _local_paths(text: str) -> list[str]:
    """Paths that links of a page lead to, without forms, which a file can't answer."""
    urls = [html.unescape(url) for name, url in LINK.findall(text) if name != "action"]
    return [urlsplit(url).path for url in urls if url.startswith("/") and not urlsplit(url).query]


async def _get(app: Starlette, path: str) -> tuple[int, str, bytes]:
    """Status, content type and body of a GET request, inside this process."""
    answered: dict[str, str] = {}
    parts: list[bytes] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            kinds = (value for name, value in message["headers"] if name == b"content-type")
            answered["status"] = str(message["status"])
            answered["kind"] = next(kinds, b"").decode()
        else:
            parts.append(message.get("body", b""))

    await app(_scope(path), receive, send)
    return int(answered["status"]), answered["kind"], b"".join(parts)


def _scope(path: str) -> dict[str, object]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 0),
        "server": ("localhost", 80),
    }
