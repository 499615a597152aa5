"""Archive pages of a rubric: list of issues, month, issue, Atom feed and search."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from newsletter.domain.announcements import FIRST_DAY, is_announced
from newsletter.domain.search_query import parse_query
from newsletter.render.paper_view import MAX_TITLE
from newsletter.render.truncate import one_line
from newsletter.store import digests, paper_versions, search
from newsletter.web import feed as atom_feed
from newsletter.web import issue_view
from newsletter.web.context import CACHE_PRIVATE, CACHE_PUBLIC

if TYPE_CHECKING:
    from starlette.requests import Request

    from newsletter.domain.model import Rubric
    from newsletter.domain.search_query import SearchQuery
    from newsletter.web.context import Site

ALL_DAYS = 10_000
FEED_ENTRIES = 20
TITLES_PER_DAY = 3
RESULTS_PER_PAGE = 20
MAX_QUERY = 200
MAX_PAGE = 50
MAX_DAYS_AHEAD = timedelta(days=10)
"""How far ahead the link to the next issue may point: a weekend with holidays."""


def show_days(site: Site, request: Request) -> Response:
    rubric = site.requested_rubric(request)
    with site.app.store.read() as tx:
        editions = digests.summaries(tx, ALL_DAYS, rubric.slug)
        titles = search.best_titles(tx, rubric.slug, TITLES_PER_DAY)
    months = [
        {
            "first": month[0].date.replace(day=1),
            "url": site.local_path(site.app.links.month_url(rubric, month[0].date)),
            "editions": [
                {
                    "summary": summary,
                    "url": site.local_path(site.app.links.issue_url(rubric, summary.date)),
                    "titles": [
                        one_line(title, MAX_TITLE) for title in titles.get(summary.date, ())
                    ],
                }
                for summary in month
            ],
        }
        for month in (
            list(run) for _, run in groupby(editions, key=lambda e: (e.date.year, e.date.month))
        )
    ]
    return _page(site, rubric, "days.html", months=months)


def show_issue_or_month(site: Site, request: Request) -> Response:
    rubric = site.requested_rubric(request)
    period = request.path_params["when"]
    if re.fullmatch(r"\d{4}-\d{2}", period):
        return _month(site, rubric, requested_date(site, f"{period}-01"))
    return _issue(site, rubric, requested_date(site, period))


def requested_date(site: Site, text: str) -> date:
    """The date in a URL. Raises HTTPException 404, also for dates before arXiv began or more than
    MAX_DAYS_AHEAD in the future.
    """
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise HTTPException(404)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise HTTPException(404) from None
    if not FIRST_DAY.replace(day=1) <= day <= site.app.clock().date() + MAX_DAYS_AHEAD:
        raise HTTPException(404)
    return day


def _month(site: Site, rubric: Rubric, first: date) -> Response:
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    with site.app.store.read() as tx:
        stored = digests.between(tx, rubric.slug, first, last)
        dates = digests.dates(tx, rubric.slug)
    if not stored:
        raise HTTPException(404)
    before = max((day for day in dates if day < first), default=None)
    after = min((day for day in dates if day > last), default=None)
    return _page(
        site,
        rubric,
        "month.html",
        first=first,
        downloads=site.local_path(site.app.links.month_url(rubric, first)).rstrip("/"),
        rows=[issue_view.issue_row(digest, _url(site, rubric, digest.date)) for digest in stored],
        total=issue_view.month_totals(stored),
        top=issue_view.top_papers(stored, lambda day: _url(site, rubric, day)),
        previous=_month_link(site, rubric, before),
        next=_month_link(site, rubric, after),
    )


def _month_link(site: Site, rubric: Rubric, day: date | None) -> tuple[str, str] | None:
    return (f"{day:%B %Y}", site.local_path(site.app.links.month_url(rubric, day))) if day else None


def _issue(site: Site, rubric: Rubric, day: date) -> Response:
    with site.app.store.read() as tx:
        stored = digests.load(tx, rubric.slug, day)
        withdrawn = paper_versions.withdrawn_of(tx, stored[0]) if stored else {}
        dates = digests.dates(tx, rubric.slug)
    before = max((other for other in dates if other < day), default=None)
    after = min((other for other in dates if other > day), default=None)
    neighbours = {
        "previous": (before, _url(site, rubric, before)) if before else None,
        "next": (after, _url(site, rubric, after)) if after else None,
        "month": site.local_path(site.app.links.month_url(rubric, day)) if stored else "",
    }
    if stored:
        return _page(
            site,
            rubric,
            "issue.html",
            downloads=_url(site, rubric, day).rstrip("/"),
            **issue_view.issue_values(stored[1], withdrawn),
            **neighbours,
        )
    if (
        not is_announced(day)
        or day > site.app.clock().date() + MAX_DAYS_AHEAD
        or (dates and day < dates[0])
    ):
        raise HTTPException(404)
    # Old emails link to the next day: this page answers even if that issue never comes.
    return _page(
        site,
        rubric,
        "no_issue.html",
        day=day,
        passed=after is not None,
        paused=rubric.slug not in site.app.rubrics,
        **neighbours,
    )


def feed(site: Site, request: Request) -> Response:
    rubric = site.requested_rubric(request)
    with site.app.store.read() as tx:
        newest = digests.newest(tx, rubric.slug, FEED_ENTRIES)
        stored_at = {
            edition.date: edition.at for edition in digests.summaries(tx, FEED_ENTRIES, rubric.slug)
        }
    body = atom_feed.feed(rubric, newest, stored_at, site.app.links, site.app.settings.from_name)
    headers = {"Cache-Control": CACHE_PUBLIC if rubric.public else CACHE_PRIVATE}
    if not rubric.public:
        headers["X-Robots-Tag"] = "noindex"
    return Response(body, media_type="application/atom+xml", headers=headers)


def search_rubric(site: Site, request: Request) -> Response:
    rubric = site.requested_rubric(request)
    return _search_page(
        site, request, [rubric], site.local_path(site.app.links.rubric_url(rubric)) + "search"
    )


def search_all(site: Site, request: Request) -> Response:
    """Search in all public rubrics."""
    return _search_page(site, request, site.public_rubrics, f"{site.prefix}/search")


def searched_rubrics(site: Site, request: Request) -> list[Rubric]:
    """The rubric of the URL, or all public ones."""
    if "rubric" in request.path_params:
        return [site.requested_rubric(request)]
    return site.public_rubrics


def requested_query(request: Request) -> SearchQuery:
    near_misses = request.query_params.get("in") == "near-misses"
    return parse_query(request.query_params.get("q", "")[:MAX_QUERY], near_misses=near_misses)


def _search_page(site: Site, request: Request, rubrics: list[Rubric], here: str) -> Response:
    query = requested_query(request)
    given = request.query_params.get("page", "1")
    page = min(int(given), MAX_PAGE) if re.fullmatch(r"[1-9]\d{0,3}", given) else 1
    by_slug = {rubric.slug: rubric for rubric in rubrics}
    with site.app.store.read() as tx:
        skip = (page - 1) * RESULTS_PER_PAGE
        result = search.find(tx, list(by_slug), query, limit=RESULTS_PER_PAGE, skip=skip)
        others = search.count(tx, list(by_slug), replace(query, near_misses=not query.near_misses))
    only = rubrics[0] if len(rubrics) == 1 else None
    return site.page(
        "search.html",
        cache=CACHE_PRIVATE,
        query=request.query_params.get("q", "")[:MAX_QUERY],
        searched=query,
        hits=[
            issue_view.search_result(
                h, by_slug[h.rubric], _url(site, by_slug[h.rubric], h.date), query
            )
            for h in result.hits
        ],
        papers=result.papers,
        others=others,
        page=page,
        more=result.papers > page * RESULTS_PER_PAGE and page < MAX_PAGE,
        here=here,
        paper_page=f"{site.prefix}/papers/",
        search_all=f"{site.prefix}/search",
        rubric=only,
        archive=site.local_path(site.app.links.rubric_url(only)) if only else "",
    )


def _url(site: Site, rubric: Rubric, day: date) -> str:
    return site.local_path(site.app.links.issue_url(rubric, day))


def _page(site: Site, rubric: Rubric, template: str, **values: Any) -> Response:  # noqa: ANN401 - what a template shows
    return site.page(
        template,
        cache=CACHE_PUBLIC if rubric.public else CACHE_PRIVATE,
        indexed=rubric.public,
        rubric=rubric,
        archive=site.local_path(site.app.links.rubric_url(rubric)),
        feed=site.local_path(site.app.links.feed_url(rubric)),
        **values,
    )
