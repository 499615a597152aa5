"""One polite line to arXiv: one request at a time, spaced, timed, tried again with patience.

arXiv's terms ask for one request in three seconds over one connection
(info.arxiv.org/help/api/tou.html). It throttles with 429, 503 and lately 406, and sometimes with
a friendly page of status 200; each of these starts a cool-down.
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
from newsletter.sources import RequestQueue, SourceError

log = logging.getLogger(__name__)

TRIES = 5
TRIES_WITHOUT_NETWORK = 2
"""Where no connection is made at all a person is told soon; `serve` asks again by itself."""
CONNECT_SECONDS, SILENCE_SECONDS, ANSWER_SECONDS = 10.0, 60.0, 240.0
LARGEST_ANSWER = 64 * 2**20
LONGEST_PAUSE = 300.0
OK = 200
THROTTLING = (406, 429, 503)
PASSING = (408, 425, 500, 502, 504)
ACCEPT = "application/atom+xml, application/rss+xml, application/xml;q=0.9, */*;q=0.1"


class UnreachableError(SourceError):
    """No answer: refused, reset, silent for too long, broken off, or a server in trouble."""


class NoConnectionError(UnreachableError):
    """There was nobody to ask: no such name, no way there, or nobody listens."""


class ThrottledError(SourceError):
    """arXiv asks for patience: `retry_after` seconds, or 0 where it names no time."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class RefusedError(SourceError):
    """A status that asking again does not change."""


class NoAnswerError(SourceError):
    """Status 200, yet no page of results: HTML, an error entry, cut off, or lacking fields."""


@dataclass(frozen=True, slots=True)
class ArxivResponse:
    """What came back; the two names are those that `arxiv.Client` reads of a response."""

    status_code: int
    content: bytes


Check = Callable[[bytes], None]
"""Raises a SourceError for a body that is no answer."""


class ArxivTransport:
    """Asks, checks, and asks again. Pauses follow from `delay`, the seconds between requests."""

    def __init__(
        self,
        agent: str,
        delay: float,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        silence: float = SILENCE_SECONDS,
    ) -> None:
        self.headers = {"User-Agent": agent, "Accept": ACCEPT}
        self.delay = delay
        self.sleep = sleep
        self.clock = clock
        self.silence = silence
        self.free_at = 0.0
        self.turn = threading.Lock()
        self.queue: RequestQueue | None = None

    def ask(self, url: str, check: Check, tries: int = TRIES) -> ArxivResponse:
        """The first answer that passes `check`. Raises the SourceError of the last try."""
        with self.turn:
            for attempt in range(tries - 1):
                try:
                    return self._once(url, check)
                except (UnreachableError, ThrottledError, NoAnswerError) as error:
                    if isinstance(error, NoConnectionError) and (
                        attempt + 1 >= TRIES_WITHOUT_NETWORK
                    ):
                        raise
                    pause = self._pause(error, attempt)
                    if self.queue and isinstance(error, ThrottledError):
                        self.queue.hold(pause)
                    log.info("asking arXiv again in %.0f s: %s", pause, error)
                    self.sleep(pause)
            return self._once(url, check)

    def _once(self, url: str, check: Check) -> ArxivResponse:
        if (wait := self.free_at - self.clock()) > 0:
            self.sleep(wait)
        while self.queue and (wait := self.queue.wait()) > 0:
            self.sleep(wait)
        try:
            answer = self._get(url)
        finally:
            self.free_at = self.clock() + self.delay
        check(answer.content)
        return answer

    def _pause(self, error: SourceError, attempt: int) -> float:
        """Seconds before the next try. Raises `error` where arXiv asks for more than we wait."""
        pause = self.delay * 2.0**attempt
        if isinstance(error, ThrottledError):
            if error.retry_after > LONGEST_PAUSE:
                raise error
            pause = max(pause, error.retry_after or 10 * pause)
        return min(pause, LONGEST_PAUSE)

    def _get(self, url: str) -> ArxivResponse:
        import requests
        import urllib3

        host = urlsplit(url).netloc
        timeout = (CONNECT_SECONDS, self.silence)
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
                    "look at this machine's network"
                )
                raise NoConnectionError(message) from error
            message = (
                f"arXiv ({host}) gave no whole answer: {type(error).__name__}; try again later"
            )
            raise UnreachableError(message) from error

    def _body(self, raw: Any, host: str) -> bytes:  # noqa: ANN401 - urllib3 types it loosely
        """The whole body. The read timeout starts anew with each byte, so time is kept here."""
        deadline = self.clock() + ANSWER_SECONDS
        body = bytearray()
        while piece := raw.read1(2**16, decode_content=True):
            body += piece
            if self.clock() > deadline or len(body) > LARGEST_ANSWER:
                message = f"arXiv ({host}) sends without end; try again later"
                raise UnreachableError(message)
        return bytes(body)


def _no_connection(error: Exception) -> str:
    """Why no connection was made; empty where one was."""
    import requests
    import urllib3

    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS:.0f} s"
    if isinstance(reason, urllib3.exceptions.NameResolutionError):
        return "its name is not known here"
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return "nobody takes the connection"
    return ""


def _check_status(status: int, retry_after: str | None, host: str) -> None:
    if status == OK:
        return
    message = f"arXiv ({host}) answered with HTTP status {status}"
    if status in THROTTLING:
        # The sources' only wall clock: Retry-After may be a date.
        wait = http_headers.retry_after(retry_after, datetime.now(UTC)) or 0.0
        message += f": it asks for {wait:.0f} s of patience" if wait else ": it asks for patience"
        raise ThrottledError(message, wait)
    if status in PASSING:
        message += "; try again later, or look at status.arxiv.org"
        raise UnreachableError(message)
    message += "; check NEWSLETTER_ARXIV_API_URL and the categories of the rubrics"
    raise RefusedError(message)
