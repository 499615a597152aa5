"""The page on which a reader votes about a paper of their digests, and saves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.links import TEST_READER, Purpose
from newsletter.domain.votes import VOTE_NAMES, Vote
from newsletter.render.paper_view import MAX_TITLE, entries
from newsletter.render.truncate import one_line
from newsletter.store import digests, papers, votes
from newsletter.web import issue_view
from newsletter.web.forms import first

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.domain.model import Paper
    from newsletter.web.context import Site
    from newsletter.web.forms import Form

MAX_ID = 32


class RatedPaper(NamedTuple):
    """A paper of a subscription's digests, with what its reader said about it."""

    subscription_id: str
    paper: Paper
    vote: Vote | None
    saved: bool


def show(site: Site, request: Request) -> Response:
    """The paper and the buttons; without a paper, those of the newest issue. Changes nothing."""
    subscription_id, paper_id = _asked(site, request)
    if subscription_id == TEST_READER:
        return _test_link(site)
    if subscription_id and not paper_id:
        return _newest_issue(site, subscription_id)
    with site.app.store.read() as tx:
        rated = _rated(tx, subscription_id, paper_id)
    return _page(site, rated) if rated else _unknown_link(site)


def vote(site: Site, request: Request, form: Form) -> Response:
    """Store the vote or saved paper of the pressed button. A second press shows the same page."""
    subscription_id, paper_id = _asked(site, request)
    if subscription_id == TEST_READER:
        return _test_link(site)
    message = ""
    with site.app.store.begin() as tx:
        if subscription_id and _rated(tx, subscription_id, paper_id):
            message = _store(tx, subscription_id, paper_id, first(form, "vote"), site)
        rated = _rated(tx, subscription_id, paper_id)
    return _page(site, rated, message) if rated else _unknown_link(site)


def _store(tx: Connection, subscription_id: str, paper_id: str, said: str, site: Site) -> str:
    """Do what a button says; the message for the reader. An unknown button does nothing."""
    now = site.app.clock()
    if said in set(Vote):
        votes.cast(tx, subscription_id, paper_id, Vote(said), now)
        return "Thank you. Your vote counts from the next issue on."
    if said == "save":
        votes.save(tx, subscription_id, paper_id, now)
        return "Saved to your reading list."
    if said == "unsave":
        votes.unsave(tx, [subscription_id], paper_id)
        return "Removed from your reading list."
    if said == "undo":
        votes.undo(tx, subscription_id, paper_id)
        return "Your vote is deleted."
    return ""


def _asked(site: Site, request: Request) -> tuple[str | None, str]:
    subscription_id = site.app.links.read(Purpose.VOTE, request.path_params["token"])
    return subscription_id, request.query_params.get("paper", "")[:MAX_ID]


def _rated(tx: Connection, subscription_id: str | None, paper_id: str) -> RatedPaper | None:
    """None where the reader left, or was never sent a digest that covers the paper."""
    if subscription_id is None or votes.rubric_of(tx, subscription_id, paper_id) is None:
        return None
    [paper] = papers.by_ids(tx, [paper_id])
    return RatedPaper(subscription_id, paper, *votes.of_paper(tx, subscription_id, paper_id))


def _page(site: Site, rated: RatedPaper, message: str = "") -> Response:
    links = site.app.links
    return site.page(
        "vote.html",
        title="Rate a paper",
        plain_title=one_line(rated.paper.title, MAX_TITLE),
        paper=rated.paper,
        card=issue_view.paper_card(rated.paper),
        vote=VOTE_NAMES[rated.vote] if rated.vote else "",
        saved=rated.saved,
        message=message,
        reading_list=site.local_path(links.reading_list_url(rated.subscription_id)),
    )


def _newest_issue(site: Site, subscription_id: str) -> Response:
    """The picks of the newest digest, each with a link to its own page."""
    with site.app.store.read() as tx:
        rubric = votes.own_rubric(tx, subscription_id)
        found = digests.latest(tx, rubric) if rubric else None
    if rubric is None:
        return _unknown_link(site)
    digest = found[1] if found else None
    return site.page(
        "vote_issue.html",
        title="Rate papers",
        day=digest.date if digest else None,
        entries=entries(digest.picks, judged=digest.judged) if digest else [],
        here=site.local_path(site.app.links.vote_url(subscription_id)),
    )


def _test_link(site: Site) -> Response:
    return site.notice(
        "This link belongs to a test email",
        "It belongs to no subscriber. Nothing was changed.",
    )


def _unknown_link(site: Site) -> Response:
    """The same page for a broken link, a reader who left, and a paper of others' digests."""
    return site.notice(
        "This link does not work",
        "Nothing was changed. The paper is in none of your digests, your subscription ended, or "
        "the link was copied incompletely.",
        "Please use the links in your latest digest.",
        status=404,
    )
