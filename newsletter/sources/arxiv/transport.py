"""HTTP transport to arXiv: one request at a time, rate limit, timeouts, retry with back-off.

arXiv's terms ask for one request in three seconds over one connection
(info.arxiv.org/help/api/tou.html). It throttles with 429, 503 and lately 406, and sometimes with
a page of status 200; each of these starts a pause.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from newsletter.domain import http_headers
from newsletter.network import session
from newsletter.sources import RequestQueue, SourceBusyError, SourceError

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 5
MAX_ATTEMPTS_OFFLINE = 2
"""Without a connection fail early, to inform the user; `serve` retries by itself."""
CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS, MAX_RESPONSE_SECONDS = 10.0, 60.0, 240.0
MAX_RESPONSE_BYTES = 64 * 2**20
MAX_PAUSE = 300.0
MAX_WAIT_SECONDS = 10.0
"""How long a request for one paper, which a person waits for, may wait for its turn."""
BUSY = "arXiv is being asked for other papers; ask again in a minute"
OK = 200
THROTTLING = (406, 429, 503)
TRANSIENT = (408, 425, 500, 502, 504)
ACCEPT = "application/atom+xml, application/rss+xml, application/xml;q=0.9, */*;q=0.1"


class UnreachableError(SourceError):
    """No response: reset, timeout, truncated, or a server error."""


class NoConnectionError(UnreachableError):
    """No connection: unknown host name, no route, or connection refused."""


class ThrottledError(SourceError):
    """arXiv throttles: retry after `retry_after` seconds, 0 where it names no time."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class RefusedError(SourceError):
    """A status that a retry does not change."""


class InvalidResponseError(SourceError):
    """Status 200 without a valid page: HTML, an error entry, truncated, or missing fields."""


@dataclass(frozen=True, slots=True)
class ArxivResponse:
    """A response, with the two attributes that `arxiv.Client` reads."""

    status_code: int
    content: bytes


Check = Callable[[bytes], None]
"""Validates a body; raises a SourceError."""


class ArxivTransport:
    """Sends, validates and retries. Pauses grow from `delay`, the seconds between requests."""

    def __init__(
        self,
        agent: str,
        delay: float,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        read_timeout: float = READ_TIMEOUT_SECONDS,
    ) -> None:
        self.headers = {"User-Agent": agent, "Accept": ACCEPT}
        self.delay = delay
        self.sleep = sleep
        self.clock = clock
        self.read_timeout = read_timeout
        self.next_request_at = 0.0
        self.lock = threading.Lock()
        self.single = threading.Lock()
        self.queue: RequestQueue | None = None

    def ask(self, url: str, check: Check, attempts: int = MAX_ATTEMPTS) -> ArxivResponse:
        """The first response that passes `check`. Raises the SourceError of the last attempt."""
        with self.lock:
            for attempt in range(attempts - 1):
                try:
                    return self._once(url, check)
                except (UnreachableError, ThrottledError, InvalidResponseError) as error:
                    if isinstance(error, NoConnectionError) and (
                        attempt + 1 >= MAX_ATTEMPTS_OFFLINE
                    ):
                        raise
                    pause = self._pause(error, attempt)
                    if self.queue and isinstance(error, ThrottledError):
                        self.queue.hold(pause)
                    log.info("retrying arXiv in %.0f s: %s", pause, error)
                    self.sleep(pause)
            return self._once(url, check)

    def ask_soon(self, url: str, check: Check) -> ArxivResponse:
        """The response to one request that waits for MAX_WAIT_SECONDS at most.

        Only one thread waits here: others, and those that would wait longer, get SourceBusyError.
        """
        if not self.single.acquire(blocking=False):
            raise SourceBusyError(BUSY)
        try:
            until = self.clock() + MAX_WAIT_SECONDS
            if not self.lock.acquire(timeout=MAX_WAIT_SECONDS):
                raise SourceBusyError(BUSY)
            try:
                return self._once(url, check, until)
            finally:
                self.lock.release()
        finally:
            self.single.release()

    def _once(self, url: str, check: Check, until: float | None = None) -> ArxivResponse:
        if (wait := self.next_request_at - self.clock()) > 0:
            self._wait(wait, until)
        while self.queue and (wait := self.queue.wait()) > 0:
            self._wait(wait, until)
        try:
            answer = self._get(url)
        finally:
            self.next_request_at = self.clock() + self.delay
        check(answer.content)
        return answer

    def _wait(self, seconds: float, until: float | None) -> None:
        """Sleep. Raises SourceBusyError if that would last beyond `until`."""
        if until is not None and self.clock() + seconds > until:
            raise SourceBusyError(BUSY)
        self.sleep(seconds)

    def _pause(self, error: SourceError, attempt: int) -> float:
        """Seconds before the next attempt. Raises `error` if Retry-After exceeds the maximum."""
        pause = self.delay * 2.0**attempt
        if isinstance(error, ThrottledError):
            if error.retry_after > MAX_PAUSE:
                raise error
            pause = max(pause, error.retry_after or 10 * pause)
        return min(pause, MAX_PAUSE)

    def _get(self, url: str) -> ArxivResponse:
        import requests
        import urllib3

        # A mirror's address may have a password before the @.
        host = urlsplit(url).netloc.rpartition("@")[2]
        timeout = (CONNECT_TIMEOUT_SECONDS, self.read_timeout)
        try:
            with (
                session(url) as opened,
                opened.get(url, headers=self.headers, timeout=timeout, stream=True) as response,
            ):
                _check_status(response.status_code, response.headers.get("Retry-After"), host)
                return ArxivResponse(response.status_code, self._body(response.raw, host))
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            if why := _no_connection(error):
                message = (
                    f"arXiv ({host}) cannot be reached: {why} ({type(error).__name__}); "
                    "check this machine's network"
                )
                raise NoConnectionError(message) from error
            message = (
                f"arXiv ({host}): incomplete response ({type(error).__name__}); try again later"
            )
            raise UnreachableError(message) from error

    def _body(self, raw: Any, host: str) -> bytes:  # noqa: ANN401 - urllib3 types it loosely
        """The whole body. The read timeout restarts with each byte: the total is limited here."""
        deadline = self.clock() + MAX_RESPONSE_SECONDS
        body = bytearray()
        while piece := raw.read1(2**16, decode_content=True):
            body += piece
            if self.clock() > deadline or len(body) > MAX_RESPONSE_BYTES:
                message = f"arXiv ({host}): response too large or too slow; try again later"
                raise UnreachableError(message)
        return bytes(body)


def _no_connection(error: Exception) -> str:
    """Why there was no connection; empty where there was one."""
    import requests
    import urllib3

    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_TIMEOUT_SECONDS:.0f} s"
    if isinstance(reason, urllib3.exceptions.NameResolutionError):
        return "unknown host name"
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return "connection refused or no route"
    return ""


def _check_status(status: int, retry_after: str | None, host: str) -> None:
    if status == OK:
        return
    message = f"arXiv ({host}) answered with HTTP status {status}"
    if status in THROTTLING:
        # The sources' only wall clock: Retry-After may be a date.
        wait = http_headers.retry_after(retry_after, datetime.now(UTC)) or 0.0
        message += f" (throttled, retry after {wait:.0f} s)" if wait else " (throttled)"
        raise ThrottledError(message, wait)
    if status in TRANSIENT:
        message += "; try again later, or see status.arxiv.org"
        raise UnreachableError(message)
    message += "; check NEWSLETTER_ARXIV_API_URL and the categories of the rubrics"
    raise RefusedError(message)
