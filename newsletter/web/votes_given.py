"""The votes that a reader gave, with undo and "forget all": a part of the preferences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from newsletter.domain.links import TEST_READER, Purpose
from newsletter.domain.votes import VOTE_NAMES
from newsletter.render.paper_view import MAX_TITLE
from newsletter.render.truncate import one_line
from newsletter.store import subscriptions, votes
from newsletter.web.forms import first, place_after

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.domain.mail import Subscription
    from newsletter.domain.votes import GivenVote
    from newsletter.web.context import Site
    from newsletter.web.forms import Form

MAX_SHOWN = 500


class Voter(NamedTuple):
    """A reader by a preferences link: the subscription that it names, all, and their votes."""

    subscription_id: str
    subscription_ids: list[str]
    votes: list[GivenVote]


def show(site: Site, request: Request) -> Response:
    with site.app.store.read() as tx:
        voter = _voter(site, tx, request)
    return _page(site, voter) if voter else site.unknown_link()


def change(site: Site, request: Request, form: Form) -> Response:
    """Delete one vote (`undo=SUBSCRIPTION PAPER`) or all."""
    message = ""
    with site.app.store.begin() as tx:
        voter = _voter(site, tx, request)
        if voter is None:
            return site.unknown_link()
        subscription_id, _, paper_id = first(form, "undo").partition(" ")
        if subscription_id in voter.subscription_ids:
            votes.undo(tx, subscription_id, paper_id)
            message = "The vote is deleted."
        elif first(form, "action") == "forget":
            for one in voter.subscription_ids:
                votes.forget_all(tx, one)
            message = "All your votes are deleted. Your reading list stays."
        voter = _voter(site, tx, request) or voter
    at = place_after(form, len(voter.votes[:MAX_SHOWN]))
    return _page(site, voter, message, at)


def preferences_section(
    site: Site, known: Subscription, subscription_ids: Sequence[str]
) -> dict[str, Any]:
    """What `votes_given_link.html` shows on the preferences page."""
    with site.app.store.read() as tx:
        count = votes.count_of(tx, known.subscriber_id)
        saved = len(votes.reading_list(tx, subscription_ids))
    links = site.app.links
    return {
        "count": count,
        "saved": saved,
        "url": f"{site.local_path(links.preferences_url(known.id))}/votes",
        "reading_list": site.local_path(links.reading_list_url(known.id)),
    }


def _voter(site: Site, tx: Connection, request: Request) -> Voter | None:
    subscription_id = site.app.links.read(Purpose.PREFERENCES, request.path_params["token"])
    if subscription_id in (None, TEST_READER):
        return None
    known = subscriptions.by_id(tx, subscription_id)
    if known is None or not known.email:
        return None
    ids = [one.id for one in subscriptions.of_subscriber(tx, known.subscriber_id)]
    return Voter(known.id, ids, votes.given_by(tx, ids))


def _page(site: Site, voter: Voter, message: str = "", at: int = 0) -> Response:
    """The page, with the message above the row number `at`, or above all (0)."""
    rows = [
        {
            "key": f"{one.subscription_id} {one.paper_id}",
            "paper_id": one.paper_id,
            "title": one_line(one.title, MAX_TITLE) or "Untitled",
            "vote": VOTE_NAMES[one.vote],
            "rubric": site.title_of(one.rubric),
            "day": one.at.date(),
        }
        for one in voter.votes[:MAX_SHOWN]
    ]
    links = site.app.links
    return site.page(
        "votes_given.html",
        title="Your votes",
        rows=rows,
        count=len(voter.votes),
        message=message,
        at=at,
        preferences=site.local_path(links.preferences_url(voter.subscription_id)),
        reading_list=site.local_path(links.reading_list_url(voter.subscription_id)),
    )
