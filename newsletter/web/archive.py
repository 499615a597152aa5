"""The archive of a rubric: all days, a month, an issue, the feed, and the search over it."""

from __future__ import annotations

import re
from datetime import date, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from newsletter.domain.announcements import BEGAN, following, is_announced
from newsletter.store import digests, paper_versions, search
from newsletter.web import feed as atom_feed
from newsletter.web import issue_view
from newsletter.web.context import FRESH, OWN

if TYPE_CHECKING:
    from starlette.requests import Request

    from newsletter.domain.model import Rubric
    from newsletter.web.context import Site

EVER = 10_000
IN_FEED = 20
ON_PAGE = 20
LONGEST_QUERY = 200
LAST_PAGE = 50
AHEAD = timedelta(days=10)
"""How far a link in a mail may point before its issue is there: over a weekend with holidays."""


def show_days(desk: Site, request: Request) -> Response:
    rubric = desk.opened(request)
    with desk.store.read() as tx:
        editions = digests.editions(tx, EVER, rubric.slug)
    months = [
        {
            "first": month[0].date.replace(day=1),
            "url": desk.local(desk.links.month_url(rubric, month[0].date)),
            "editions": [(e, desk.local(desk.links.issue_url(rubric, e.date))) for e in month],
        }
        for month in (
            list(run) for _, run in groupby(editions, key=lambda e: (e.date.year, e.date.month))
        )
    ]
    return _page(desk, rubric, "days.html", months=months)


def show_issue_or_month(desk: Site, request: Request) -> Response:
    rubric = desk.opened(request)
    when = request.path_params["when"]
    if re.fullmatch(r"\d{4}-\d{2}", when):
        return _month(desk, rubric, _date(desk, f"{when}-01"))
    return _issue(desk, rubric, _date(desk, when))


def _date(desk: Site, text: str) -> date:
    """The date in an address. Raises HTTPException 404, also where there was or will be no issue:
    before arXiv began, and further on than the link to the next day leads.
    """
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise HTTPException(404)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise HTTPException(404) from None
    if not BEGAN.replace(day=1) <= day <= desk.clock().date() + AHEAD:
        raise HTTPException(404)
    return day


def _month(desk: Site, rubric: Rubric, first: date) -> Response:
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    with desk.store.read() as tx:
        found = digests.between(tx, rubric.slug, first, last)
        dates = digests.dates(tx, rubric.slug)
    if not found:
        raise HTTPException(404)
    before = max((day for day in dates if day < first), default=None)
    after = min((day for day in dates if day > last), default=None)
    return _page(
        desk,
        rubric,
        "month.html",
        first=first,
        rows=[issue_view.row(digest, _url(desk, rubric, digest.date)) for digest in found],
        total=issue_view.total(found),
        top=issue_view.best(found, lambda day: _url(desk, rubric, day)),
        previous=_month_link(desk, rubric, before),
        next=_month_link(desk, rubric, after),
    )


def _month_link(desk: Site, rubric: Rubric, day: date | None) -> tuple[str, str] | None:
    return (f"{day:%B %Y}", desk.local(desk.links.month_url(rubric, day))) if day else None


def _issue(desk: Site, rubric: Rubric, day: date) -> Response:
    with desk.store.read() as tx:
        found = digests.load(tx, rubric.slug, day)
        gone = paper_versions.withdrawn_of(tx, found[0]) if found else {}
        dates = digests.dates(tx, rubric.slug)
    before = max((other for other in dates if other < day), default=None)
    after = min((other for other in dates if other > day), default=None)
    if found and after is None:
        after = following(day)
    around = {
        "previous": (before, _url(desk, rubric, before)) if before else None,
        "next": (after, _url(desk, rubric, after)) if after else None,
        "month": desk.local(desk.links.month_url(rubric, day)) if found else "",
    }
    if found:
        return _page(desk, rubric, "issue.html", **issue_view.shown(found[1], gone), **around)
    if not is_announced(day) or day > desk.clock().date() + AHEAD or (dates and day < dates[0]):
        raise HTTPException(404)
    # Mails link to the next day for ever: it answers, whether its issue comes or never will.
    return _page(desk, rubric, "no_issue.html", day=day, passed=after is not None, **around)


def feed(desk: Site, request: Request) -> Response:
    rubric = desk.opened(request)
    with desk.store.read() as tx:
        newest = digests.newest(tx, rubric.slug, IN_FEED)
        made = {edition.date: edition.at for edition in digests.editions(tx, IN_FEED, rubric.slug)}
    body = atom_feed.feed(rubric, newest, made, desk.links, desk.settings.from_name)
    headers = {"Cache-Control": FRESH if rubric.public else OWN}
    if not rubric.public:
        headers["X-Robots-Tag"] = "noindex"
    return Response(body, media_type="application/atom+xml", headers=headers)


def search_rubric(desk: Site, request: Request) -> Response:
    rubric = desk.opened(request)
    return _found(desk, request, [rubric], desk.local(desk.links.rubric_url(rubric)) + "search")


def search_all(desk: Site, request: Request) -> Response:
    """All public rubrics at once."""
    return _found(desk, request, desk.public, f"{desk.prefix}/search")


def _found(desk: Site, request: Request, rubrics: list[Rubric], here: str) -> Response:
    query = request.query_params.get("q", "")[:LONGEST_QUERY]
    given = request.query_params.get("page", "1")
    page = min(int(given), LAST_PAGE) if re.fullmatch(r"[1-9]\d{0,3}", given) else 1
    by_slug = {rubric.slug: rubric for rubric in rubrics}
    with desk.store.read() as tx:
        skip = (page - 1) * ON_PAGE
        hits = search.find(tx, list(by_slug), query, limit=ON_PAGE + 1, skip=skip)
    only = rubrics[0] if len(rubrics) == 1 else None
    return desk.page(
        "search.html",
        keep=OWN,
        query=query,
        terms=search.terms(query),
        hits=[
            issue_view.hit(h, by_slug[h.rubric], _url(desk, by_slug[h.rubric], h.date))
            for h in hits[:ON_PAGE]
        ],
        page=page,
        more=len(hits) > ON_PAGE and page < LAST_PAGE,
        here=here,
        rubric=only,
        archive=desk.local(desk.links.rubric_url(only)) if only else "",
    )


def _url(desk: Site, rubric: Rubric, day: date) -> str:
    return desk.local(desk.links.issue_url(rubric, day))


def _page(desk: Site, rubric: Rubric, template: str, **values: Any) -> Response:  # noqa: ANN401 - what a template shows
    return desk.page(
        template,
        keep=FRESH if rubric.public else OWN,
        listed=rubric.public,
        rubric=rubric,
        archive=desk.local(desk.links.rubric_url(rubric)),
        feed=desk.local(desk.links.feed_url(rubric)),
        **values,
    )
