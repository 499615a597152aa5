"""Doctor check: one request to arXiv's API and one to its feed, at arXiv's request rate."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from newsletter.domain.findings import CheckResult, Finding, fail, ok, warn
from newsletter.domain.http_headers import http_date
from newsletter.network import session
from newsletter.sources import SourceError
from newsletter.sources.arxiv import rss
from newsletter.sources.arxiv.atom import total_results
from newsletter.sources.arxiv.source import query, user_agent
from newsletter.sources.arxiv.transport import ACCEPT

if TYPE_CHECKING:
    from newsletter.settings import Settings

CATEGORY = "cs.LG"
WINDOW = datetime(2025, 9, 19, 18, tzinfo=UTC), datetime(2025, 9, 22, 18, tzinfo=UTC)
"""Any past announcement: only the response matters."""
MAX_RESPONSE_BYTES = 16 * 2**20
OK = 200


class _Response:
    """The response to one request. Raises SourceError unless its status is 200."""

    def __init__(self, url: str, agent: str, timeout: float, **params: str | int) -> None:
        import requests

        headers = {"User-Agent": agent, "Accept": ACCEPT}
        try:
            with (
                session(url) as opened,
                opened.get(
                    url, params=params, headers=headers, timeout=timeout, stream=True
                ) as answer,
            ):
                self.status = answer.status_code
                self.date = answer.headers.get("Date", "")
                self.body = answer.raw.read(MAX_RESPONSE_BYTES, decode_content=True)
        except (requests.RequestException, OSError) as error:
            message = f"no answer ({type(error).__name__})"
            raise SourceError(message) from None
        if self.status != OK:
            message = f"it answered with HTTP status {self.status}"
            raise SourceError(message)


def check(settings: Settings, timeout: float) -> CheckResult:
    agent = user_agent(settings)
    api, date = _api(settings.arxiv_api_url, agent, timeout)
    time.sleep(settings.arxiv_delay_seconds)
    return CheckResult((api, _feed(f"{settings.arxiv_rss_url}/{CATEGORY}", agent, timeout)), date)


def _api(url: str, agent: str, timeout: float) -> tuple[Finding, datetime | None]:
    name = "arxiv api"
    try:
        asked = _Response(
            url,
            agent,
            timeout,
            search_query=query([CATEGORY], *WINDOW),
            start=0,
            max_results=1,
            sortBy="submittedDate",
            sortOrder="ascending",
        )
        total_results(asked.body, 0)
    except SourceError as error:
        fix = "check NEWSLETTER_ARXIV_API_URL and outbound network access; see status.arxiv.org"
        return fail(name, f"{url}: {error}", fix), None
    return ok(name, f"{url} answers"), http_date(asked.date)


def _feed(url: str, agent: str, timeout: float) -> Finding:
    name = "arxiv feed"
    try:
        items = rss.read(_Response(url, agent, timeout).body)
    except SourceError as error:
        fix = "digests are made without the cross-check; check NEWSLETTER_ARXIV_RSS_URL"
        return warn(name, f"{url}: {error}", fix)
    return ok(name, f"{url} answers with {len(items)} items")
