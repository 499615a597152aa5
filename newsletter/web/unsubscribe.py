"""Unsubscribing: a button for people, one POST for mail programs (RFC 8058), a way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsletter.domain.links import TEST_READER, Purpose
from newsletter.domain.mail import SubscriberState
from newsletter.store import signups, subscribers
from newsletter.web.forms import first

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.domain.mail import Subscriber
    from newsletter.web.context import Site
    from newsletter.web.forms import Form


def ask_to_leave(desk: Site, request: Request) -> Response:
    """Who would leave what, and the button. Opening this page changes nothing."""
    if refusing := _refusing(desk, request):
        return _ask_to_refuse(desk, refusing)
    subscriber_id, known = _person(desk, request)
    if subscriber_id == TEST_READER:
        return _test(desk)
    if known is None:
        return _unknown(desk)
    if known.state is SubscriberState.UNSUBSCRIBED:
        return _gone(desk, known)
    rubric = desk.rubrics.get(known.rubric)
    return desk.page(
        "leave.html",
        title="Unsubscribe",
        email=known.email,
        rubric=rubric.title if rubric else known.rubric,
        preferences=desk.local(desk.links.preferences_url(known.id)),
    )


def leave(desk: Site, request: Request, form: Form) -> Response:
    """Leave at once, whatever the body says, unless it is our own form taking it back."""
    if refusing := _refusing(desk, request):
        return _refuse(desk, refusing)
    subscriber_id, known = _person(desk, request)
    if subscriber_id == TEST_READER:
        return _test(desk)
    if known is None:
        return _unknown(desk)
    one_click = first(form, "List-Unsubscribe") == "One-Click"
    with desk.store.begin() as tx:
        if first(form, "undo"):
            # A second press finds its reader back already.
            back = (
                subscribers.restore(tx, known.id, "undone on the web", desk.clock())
                or known.state is SubscriberState.ACTIVE
            )
        else:
            subscribers.unsubscribe(
                tx, known.id, "one-click" if one_click else "web page", desk.clock()
            )
            return _gone(desk, known)
    return _back(desk, known, back=back)


def _person(desk: Site, request: Request) -> tuple[str | None, Subscriber | None]:
    subscriber_id = desk.links.read(Purpose.UNSUBSCRIBE, request.path_params["token"])
    if subscriber_id is None:
        return None, None
    with desk.store.read() as tx:
        known = subscribers.get(tx, subscriber_id)
    return subscriber_id, known if known and known.email else None


def _refusing(desk: Site, request: Request) -> str | None:
    """Who came by the link of a mail to confirm with, to refuse any more of them."""
    return desk.links.read(Purpose.REFUSE, request.path_params["token"])


def _ask_to_refuse(desk: Site, subscriber_id: str) -> Response:
    with desk.store.read() as tx:
        known = subscribers.get(tx, subscriber_id)
    if known is None or not known.email:
        return _refused(desk)
    return desk.page("refuse.html", title="Never ask this address again", email=known.email)


def _refuse(desk: Site, subscriber_id: str) -> Response:
    with desk.store.begin() as tx:
        signups.refuse(tx, subscriber_id, desk.clock())
    return _refused(desk)


def _refused(desk: Site) -> Response:
    """The same at a second press, when the address is forgotten."""
    return desk.notice(
        "This address is not asked again",
        "Whoever enters it on our page: no further mail asks you to confirm.",
        "If you read a digest, it comes as before; the link at its end ends it.",
    )


def _gone(desk: Site, known: Subscriber) -> Response:
    return desk.page("gone.html", title="You are unsubscribed", email=known.email)


def _back(desk: Site, known: Subscriber, *, back: bool) -> Response:
    if not back:
        return desk.notice(
            "This cannot be taken back here",
            "A departure can be undone for 30 days. Ask for the digest again on the front page.",
        )
    return desk.page(
        "back.html",
        title="Welcome back",
        email=known.email,
        preferences=desk.local(desk.links.preferences_url(known.id)),
    )


def _test(desk: Site) -> Response:
    return desk.notice(
        "This is the link of a test mail",
        "It belongs to no subscriber: nothing was changed.",
    )


def _unknown(desk: Site) -> Response:
    """The same for a broken link, a stranger's and an erased one's: no address is confirmed."""
    return desk.notice(
        "No further mail comes by this link",
        "If it was yours, your address was erased or the link is no longer complete.",
        "Should a digest still arrive, reply to it with the word “unsubscribe”: that always works.",
    )
