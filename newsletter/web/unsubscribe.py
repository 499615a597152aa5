"""Unsubscribe page: a button, one-click POST for mail programs (RFC 8058), and undo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsletter.domain.links import TEST_READER, Purpose
from newsletter.domain.mail import READING, SubscriberState
from newsletter.store import restore_subscriber, signups, subscriptions
from newsletter.web.forms import first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.domain.mail import Subscription
    from newsletter.web.context import Site
    from newsletter.web.forms import Form


def show_unsubscribe(site: Site, request: Request) -> Response:
    """The page with the button. Opening it changes nothing."""
    if blocked_id := _blocked_subscriber(site, request):
        return _show_block(site, blocked_id)
    subscriber_id, known = _subscriber(site, request)
    if subscriber_id == TEST_READER:
        return _test_link(site)
    if known is None:
        return _unknown_link(site)
    if known.state is SubscriberState.UNSUBSCRIBED:
        return _unsubscribed_page(site, known)
    return site.page(
        "unsubscribe.html",
        title="Unsubscribe",
        email=known.email,
        rubric=site.title_of(known.rubric),
        others=_others(site, known),
        preferences=site.local_path(site.app.links.preferences_url(known.id)),
    )


def unsubscribe(site: Site, request: Request, form: Form) -> Response:
    """Unsubscribe from this rubric with any body, except those of the buttons for all and undo."""
    if blocked_id := _blocked_subscriber(site, request):
        return _block(site, blocked_id)
    subscriber_id, known = _subscriber(site, request)
    if subscriber_id == TEST_READER:
        return _test_link(site)
    if known is None:
        return _unknown_link(site)
    if first(form, "undo"):
        return _undo(site, known)
    now = site.app.clock()
    one_click = first(form, "List-Unsubscribe") == "One-Click"
    with site.app.store.begin() as tx:
        if first(form, "all") and not one_click:
            subscriptions.leave_all(tx, known.subscriber_id, "web page, all", now)
        else:
            subscriptions.leave(tx, known.id, "one-click" if one_click else "web page", now)
    return _unsubscribed_page(site, known)


def _undo(site: Site, known: Subscription) -> Response:
    with site.app.store.begin() as tx:
        back = restore_subscriber.undo(tx, known.id, "undone on the web", site.app.clock())
    # At a second press the reader is already subscribed again.
    if not back and known.state is SubscriberState.ACTIVE:
        back = [known]
    return _restored_page(site, known, back)


def _others(site: Site, known: Subscription) -> list[str]:
    """Titles of the other rubrics that the reader gets."""
    with site.app.store.read() as tx:
        found = subscriptions.of_subscriber(tx, known.subscriber_id)
    return [
        site.title_of(one.rubric) for one in found if one.id != known.id and one.state in READING
    ]


def _subscriber(site: Site, request: Request) -> tuple[str | None, Subscription | None]:
    subscriber_id = site.app.links.read(Purpose.UNSUBSCRIBE, request.path_params["token"])
    if subscriber_id is None:
        return None, None
    with site.app.store.read() as tx:
        known = subscriptions.by_id(tx, subscriber_id)
    return subscriber_id, known if known and known.email else None


def _blocked_subscriber(site: Site, request: Request) -> str | None:
    """The subscriber of a link that stops confirmation emails."""
    return site.app.links.read(Purpose.REFUSE, request.path_params["token"])


def _show_block(site: Site, subscriber_id: str) -> Response:
    with site.app.store.read() as tx:
        known = subscriptions.by_id(tx, subscriber_id)
    if known is None or not known.email:
        return _blocked_page(site)
    return site.page("block_address.html", title="Stop confirmation emails", email=known.email)


def _block(site: Site, subscriber_id: str) -> Response:
    with site.app.store.begin() as tx:
        signups.refuse(tx, subscriber_id, site.app.clock())
    return _blocked_page(site)


def _blocked_page(site: Site) -> Response:
    """The same page at a second press, when the address is deleted."""
    return site.notice(
        "No more confirmation emails",
        "If someone enters this address on our site, we send no confirmation email.",
        "If you are subscribed to a digest, you still receive it. The link at its end stops it.",
    )


def _unsubscribed_page(site: Site, known: Subscription) -> Response:
    return site.page(
        "unsubscribed.html",
        title="You are unsubscribed",
        email=known.email,
        rubric=site.title_of(known.rubric),
        others=_others(site, known),
        preferences=site.local_path(site.app.links.preferences_url(known.id)),
    )


def _restored_page(site: Site, known: Subscription, back: Sequence[Subscription]) -> Response:
    if not back:
        return site.notice(
            "This can no longer be undone here",
            "Unsubscribing can be undone for 30 days. Please subscribe again on the front page.",
        )
    return site.page(
        "resubscribed.html",
        title="Welcome back",
        email=known.email,
        rubrics=[site.title_of(one.rubric) for one in back],
        preferences=site.local_path(site.app.links.preferences_url(known.id)),
    )


def _test_link(site: Site) -> Response:
    return site.notice(
        "This link belongs to a test email",
        "It belongs to no subscriber. Nothing was changed.",
    )


def _unknown_link(site: Site) -> Response:
    """The same page for a broken, unknown or deleted address, so that it reveals nothing.

    Not 200: a mail program that posted the link (RFC 8058) would show that it worked.
    """
    return site.notice(
        "This link does not work",
        "Nothing was changed. The link was copied incompletely, was made with a key that this site "
        "no longer has, or belongs to a deleted address.",
        "To unsubscribe, reply to your newest digest with the word “unsubscribe”, or use the "
        "preferences link at its end.",
        status=404,
    )
