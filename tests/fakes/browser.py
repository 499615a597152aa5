"""A small browser over real HTTP: follows nothing by itself, keeps no cookie, runs no script."""

from __future__ import annotations

import http.client
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import uvicorn
from bs4 import BeautifulSoup

from newsletter.web.connection_limits import Connection
from newsletter.web.server import uvicorn_config
from tests.fakes.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping


@dataclass(frozen=True)
class Page:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @cached_property
    def soup(self) -> BeautifulSoup:
        return BeautifulSoup(self.body, "lxml")

    @cached_property
    def words(self) -> str:
        return " ".join(self.soup.get_text(" ").split())

    def links(self) -> list[str]:
        return [str(a["href"]) for a in self.soup.find_all("a", href=True)]


class Browser:
    """Asks over a new connection each time, or over one that is kept.

    `tasks` are the requests that a server in this process has not done with.
    """

    def __init__(
        self,
        port: int,
        kept: http.client.HTTPConnection | None = None,
        tasks: Collection[object] = (),
    ) -> None:
        self.port = port
        self._kept = kept
        self._tasks = tasks

    @contextmanager
    def connected(self) -> Iterator[Browser]:
        """One that keeps its connection, for hundreds of requests.

        Where the server closes it after an answer, the next request opens another.
        """
        with closing(_connection(self.port)) as kept:
            yield Browser(self.port, kept, self._tasks)

    def wait_for_background(self) -> None:
        """Wait until the server has done what follows its answers, for example sent a mail."""
        assert wait_until(lambda: not self._tasks)

    def get(self, address: str, **headers: str) -> Page:
        return self.ask("GET", address, b"", headers)

    def head(self, address: str) -> Page:
        return self.ask("HEAD", address, b"", {})

    def post(self, address: str, fields: Any = (), **headers: str) -> Page:
        body = urlencode(fields, doseq=True).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask("POST", address, body, {**kind, **headers})

    def ask(self, method: str, address: str, body: bytes, headers: Mapping[str, str]) -> Page:
        parts = urlsplit(address)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection = self._kept or _connection(self.port)
        connection.request(method, target, body or None, dict(headers))
        answer = connection.getresponse()
        found = Page(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        if not self._kept:
            connection.close()
        return found


def _connection(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=240)


@contextmanager
def served(app: Any, connection: type[Connection] = Connection) -> Iterator[Browser]:
    """The application on a free loopback port, in a thread."""
    config = uvicorn_config(app)
    config.http = connection
    config.host, config.port, config.lifespan = "127.0.0.1", 0, "off"
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Browser(port, tasks=server.server_state.tasks)
    finally:
        server.should_exit = True
        thread.join(240)
