"""A paper's page, and downloads of papers as BibTeX, RIS and Markdown."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from newsletter.domain.search_query import BARE_ID, parse_reference
from newsletter.inbound.why import answer_public
from newsletter.render import why as why_render
from newsletter.render.author_note import doi_link, links_of, note_of
from newsletter.render.citations import FORMATS, Citation, meta_tags
from newsletter.render.paper_view import MAX_TITLE
from newsletter.render.truncate import one_line
from newsletter.store import digests, paper_versions, papers, search
from newsletter.store.why import papers_by_title
from newsletter.web import issue_view
from newsletter.web.archive import requested_date, requested_query, searched_rubrics
from newsletter.web.context import CACHE_PRIVATE, CACHE_PUBLIC

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from newsletter.domain.model import Digest, Paper
    from newsletter.web.context import Site

MAX_FOUND = 500
"""Papers of a search in one download."""
DOWNLOAD = re.compile(r"(?P<name>.+)\.(?P<kind>bib|ris|md)")
PAPER_ID = re.compile(BARE_ID, re.ASCII)


def show_paper(site: Site, request: Request) -> Response:
    """`/papers/2509.12345`, `/papers/math/0309136`, and `….bib`. 404 for a paper not stored."""
    name = request.path_params["id"].rstrip("/")
    wanted = DOWNLOAD.fullmatch(name)
    paper = _stored(site, wanted["name"] if wanted else name)
    if wanted:
        return _download(paper.id, wanted["kind"], [Citation(paper)], CACHE_PUBLIC)
    answer = answer_public(site.app, paper.id, [rubric.slug for rubric in site.public_rubrics])
    view = why_render.view_of(answer, site.app.links.issue_url)
    with site.app.store.read() as tx:
        later = paper_versions.newest(tx, paper.id)
    return site.page(
        "paper.html",
        cache=CACHE_PUBLIC,
        indexed=any(section.issue_url for section in view.sections),
        paper=paper,
        card=issue_view.paper_card(paper),
        plain_title=one_line(paper.title, MAX_TITLE),
        metas=meta_tags(paper),
        note=note_of(paper),
        links=links_of(paper),
        doi=doi_link(paper.doi),
        sections=view.sections,
        horizon=view.horizon,
        later=later,
        here=f"{site.prefix}/papers/{paper.id}",
    )


def find_paper(site: Site, request: Request) -> Response:
    """`/papers?paper=...`: the page of the paper with this id or title; 404 if none is stored.

    Without any, it is the search.
    """
    named = request.query_params.get("paper", "").strip()
    if not named:
        return RedirectResponse(f"{site.prefix}/search", 303)
    reference = parse_reference(named)
    with site.app.store.read() as tx:
        if reference.paper_id:
            found = list(papers.by_ids(tx, [reference.paper_id]))
        else:
            found = papers_by_title(tx, reference.title, 1) if reference.title else []
    if found:
        return RedirectResponse(f"{site.prefix}/papers/{found[0].id}", 303)
    return site.notice(
        "No such paper here",
        "No stored paper has this arXiv id, or a title that begins so.",
        "Readers may ask by the link “Why not …?” at the end of their email: then arXiv is asked.",
        status=404,
    )


def _stored(site: Site, paper_id: str) -> Paper:
    if PAPER_ID.fullmatch(paper_id):
        with site.app.store.read() as tx:
            for paper in papers.by_ids(tx, [paper_id]):
                return paper
    raise HTTPException(404)


def download_period(site: Site, request: Request) -> Response:
    """The picks of a day or a month of one rubric."""
    rubric = site.requested_rubric(request)
    period, kind = request.path_params["when"], request.path_params["kind"]
    month = re.fullmatch(r"\d{4}-\d{2}", period)
    first = requested_date(site, f"{period}-01" if month else period)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1) if month else first
    with site.app.store.read() as tx:
        stored = digests.between(tx, rubric.slug, first, last)
    if not stored or kind not in FORMATS:
        raise HTTPException(404)
    cache = CACHE_PUBLIC if rubric.public else CACHE_PRIVATE
    return _download(f"{rubric.slug}-{period}", kind, _citations(stored), cache)


def _citations(stored: Sequence[Digest]) -> list[Citation]:
    """Each picked paper once, as its first issue had it."""
    found: dict[str, Citation] = {}
    for digest in stored:
        for pick in digest.picks:
            reason = pick.score.comment if pick.score else ""
            found.setdefault(pick.paper.id, Citation(pick.paper, reason))
    return list(found.values())


def download_search(site: Site, request: Request) -> Response:
    """What a search finds, at most MAX_FOUND papers."""
    kind = request.path_params["kind"]
    if kind not in FORMATS:
        raise HTTPException(404)
    query = requested_query(request)
    slugs = [rubric.slug for rubric in searched_rubrics(site, request)]
    with site.app.store.read() as tx:
        hits = search.find(tx, slugs, query, limit=MAX_FOUND).hits
        known = {paper.id: paper for paper in papers.by_ids(tx, [hit.paper_id for hit in hits])}
    chosen = [Citation(known[hit.paper_id], hit.comment) for hit in hits if hit.paper_id in known]
    return _download("search", kind, chosen, CACHE_PRIVATE)


def _download(name: str, kind: str, citations: Sequence[Citation], cache: str) -> Response:
    media_type, write = FORMATS[kind]
    file = f"{name.replace('/', '-')}.{kind}"
    headers = {
        "Cache-Control": cache,
        "Content-Disposition": f'attachment; filename="{file}"',
        "X-Robots-Tag": "noindex",
    }
    return Response(write(citations), media_type=f"{media_type}; charset=utf-8", headers=headers)
