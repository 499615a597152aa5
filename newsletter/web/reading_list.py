"""A reader's reading list: a private page, BibTeX, and an Atom feed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from starlette.responses import Response

from newsletter.domain.links import TEST_READER, Purpose
from newsletter.render import citations
from newsletter.store import papers, subscriptions, votes
from newsletter.web import feed as atom
from newsletter.web import issue_view
from newsletter.web.context import NO_STORE
from newsletter.web.forms import first, place_after

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection
    from starlette.requests import Request

    from newsletter.domain.model import Paper
    from newsletter.web.context import Site
    from newsletter.web.forms import Form

MAX_ID = 32


class SavedList(NamedTuple):
    """The papers that a reader saved, in all their subscriptions. The link names one of them."""

    subscription_id: str
    subscription_ids: list[str]
    papers: list[tuple[Paper, datetime]]


def show(site: Site, request: Request) -> Response:
    with site.app.store.read() as tx:
        saved = _saved(site, tx, request)
    return _page(site, saved) if saved else site.unknown_link()


def remove(site: Site, request: Request, form: Form) -> Response:
    """Take one paper off the list. Its vote stays."""
    with site.app.store.begin() as tx:
        if saved := _saved(site, tx, request):
            votes.unsave(tx, saved.subscription_ids, first(form, "remove")[:MAX_ID])
            saved = _saved(site, tx, request)
    if saved is None:
        return site.unknown_link()
    return _page(site, saved, "Removed.", place_after(form, len(saved.papers)))


def bibtex(site: Site, request: Request) -> Response:
    with site.app.store.read() as tx:
        saved = _saved(site, tx, request)
    if saved is None:
        return site.unknown_link()
    text = citations.bibtex([citations.Citation(paper) for paper, _ in saved.papers])
    headers = _private({"Content-Disposition": 'attachment; filename="reading-list.bib"'})
    return Response(text, media_type="application/x-bibtex; charset=utf-8", headers=headers)


def feed(site: Site, request: Request) -> Response:
    with site.app.store.read() as tx:
        saved = _saved(site, tx, request)
    if saved is None:
        return site.unknown_link()
    url = site.app.links.reading_list_url(saved.subscription_id)
    author = site.app.settings.from_name
    body = atom.reading_list_feed(saved.papers, url, f"{url}/feed.xml", author)
    return Response(body, media_type="application/atom+xml", headers=_private({}))


def _private(headers: dict[str, str]) -> dict[str, str]:
    return {"Cache-Control": NO_STORE, "X-Robots-Tag": "noindex, nofollow", **headers}


def _saved(site: Site, tx: Connection, request: Request) -> SavedList | None:
    """The list of a link's reader; None where the link is not ours or the reader was erased.

    Readers who unsubscribed keep their list.
    """
    token = request.path_params["token"]
    subscription_id = site.app.links.read(Purpose.READING_LIST, token)
    if subscription_id in (None, TEST_READER):
        return None
    known = subscriptions.by_id(tx, subscription_id)
    if known is None or not known.email:
        return None
    ids = [one.id for one in subscriptions.of_subscriber(tx, known.subscriber_id)]
    saved = votes.reading_list(tx, ids)
    found = {paper.id: paper for paper in papers.by_ids(tx, [one.paper_id for one in saved])}
    return SavedList(known.id, ids, [(found[one.paper_id], one.at) for one in saved])


def _page(site: Site, saved: SavedList, message: str = "", at: int = 0) -> Response:
    """The page, with the message above the paper number `at`, or above all (0)."""
    here = site.local_path(site.app.links.reading_list_url(saved.subscription_id))
    return site.page(
        "reading_list.html",
        title="Your reading list",
        cards=[(one, issue_view.paper_card(one), since.date()) for one, since in saved.papers],
        here=here,
        message=message,
        at=at,
    )
