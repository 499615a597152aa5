"""Preferences page: topic, days, time, format, pause, and deletion of personal data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from newsletter.domain.links import TEST_READER, Purpose
from newsletter.domain.mail import WEEKDAYS, WEEKLY, Format, SubscriberState
from newsletter.domain.preferences import parse_clock, parse_format, parse_limit, parse_zone
from newsletter.domain.zone_names import offered
from newsletter.store import subscribers, subscriptions
from newsletter.web.forms import first

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.domain.mail import Subscription
    from newsletter.web.context import Site
    from newsletter.web.forms import Form

DAY_NAMES = dict(
    zip(
        WEEKDAYS,
        ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
        strict=True,
    )
)
FORMATS = {
    Format.FULL: "Full abstracts (shortened if the email would get too long)",
    Format.BRIEF: "Short excerpts: why it matched and a few sentences of the abstract",
    Format.TITLES: "Titles only",
}

UNCHANGED = "Nothing was changed. This page shows the current state."

STOPPED_REASONS = {
    SubscriberState.BOUNCED: "an email to it bounced",
    SubscriberState.COMPLAINED: "a digest was reported as spam",
}


def show(site: Site, request: Request) -> Response:
    known = _subscriber(site, request)
    return _form_page(site, known) if known else _unknown_link(site)


def change(site: Site, request: Request, form: Form) -> Response:
    known = _subscriber(site, request)
    if known is None:
        return _unknown_link(site)
    actions = {
        "save": _save,
        "pause": _pause,
        "resume": _resume,
        "back": _resubscribe,
        "erase": _erase,
    }
    action = actions.get(first(form, "action"))
    return action(site, known, form) if action else _form_page(site, known)


def _subscriber(site: Site, request: Request) -> Subscription | None:
    subscriber_id = site.app.links.read(Purpose.PREFERENCES, request.path_params["token"])
    if subscriber_id in (None, TEST_READER):
        return None
    with site.app.store.read() as tx:
        known = _current(tx, subscriber_id)
    return known if known and known.email else None


def _current(tx: Connection, subscription_id: str) -> Subscription | None:
    """The subscription of a link; where it was left, the one that is read instead."""
    known = subscriptions.by_id(tx, subscription_id)
    if known is None or known.state is not SubscriberState.UNSUBSCRIBED:
        return known
    return subscriptions.of_subscriber(tx, known.subscriber_id)[0]


def _form_page(
    site: Site,
    known: Subscription,
    *,
    message: str = "",
    entered: dict[str, str] | None = None,
    errors: dict[str, str] | None = None,
) -> Response:
    """The page with the stored values, or with the entered values and their errors."""
    mine = site.app.rubrics.get(known.rubric)
    choices = site.public_rubrics if mine is None or mine.public else [mine, *site.public_rubrics]
    values = {
        "timezone": known.timezone or "",
        "send_at": f"{known.send_at:%H:%M}" if known.send_at else "",
        "max_papers": str(known.max_papers or ""),
    }
    return site.page(
        "preferences.html",
        status=422 if errors else 200,
        title="Your preferences",
        known=known,
        choices=choices,
        values=values | (entered or {}),
        errors=errors or {},
        message=message,
        days=DAY_NAMES,
        weekly=known.days == WEEKLY,
        formats=FORMATS,
        zones=offered(),
        usual_zone=site.app.settings.timezone,
        usual_hour=f"{site.app.settings.send_at:%H:%M}",
        unsubscribe=site.local_path(site.app.links.unsubscribe_url(known.id)),
        stopped=STOPPED_REASONS.get(known.state, ""),
        waiting=known.state is SubscriberState.PENDING,
        unsubscribed=known.state is SubscriberState.UNSUBSCRIBED,
        paused=known.state is SubscriberState.PAUSED,
    )


def _save(site: Site, known: Subscription, form: Form) -> Response:
    checks: dict[str, Callable[[str], Any]] = {
        "timezone": parse_zone,
        "send_at": parse_clock,
        "max_papers": parse_limit,
        "format": parse_format,
    }
    changes: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name, check in checks.items():
        try:
            text = first(form, name)
            # A stored time zone may be one that is no longer accepted.
            same = name == "timezone" and text == known.timezone
            changes[name] = text if same else check(text) if text else None
        except ValueError as error:
            errors[name] = str(error)
    chosen = form.get("days", ())
    changes["days"] = tuple(day for day in WEEKDAYS if day in chosen)
    if first(form, "often") == WEEKLY[0]:
        changes["days"] = WEEKLY
    if not changes["days"]:
        errors["days"] = "choose at least one day, or pause the digest below"
    slug = first(form, "rubric")
    allowed = {rubric.slug for rubric in site.public_rubrics} | {known.rubric}
    if slug not in allowed:
        errors["rubric"] = "choose one of the topics"
    if errors:
        entered = {name: first(form, name) for name in ("timezone", "send_at", "max_papers")}
        return _form_page(site, known, entered=entered, errors=errors)
    changes["format"] = changes["format"] or known.format
    with site.app.store.begin() as tx:
        kept = subscriptions.set_preferences(
            tx, known.id, {"rubric": slug, **changes}, site.app.clock()
        )
    # The reader may have unsubscribed in another window; then nothing is stored.
    done = kept is not subscribers.SubscriberChange.SUPPRESSED
    return _stored_page(
        site, known, "Saved. The changes apply from the next issue on." if done else UNCHANGED
    )


def _pause(site: Site, known: Subscription, _form: Form) -> Response:
    with site.app.store.begin() as tx:
        subscribers.pause(tx, known.subscriber_id, "preferences page", site.app.clock())
    message = "Paused. You receive no digests until you resume here."
    return _state_page(site, known, SubscriberState.PAUSED, message)


def _resume(site: Site, known: Subscription, _form: Form) -> Response:
    with site.app.store.begin() as tx:
        subscribers.resume(tx, known.subscriber_id, "preferences page", site.app.clock())
    message = "Resumed. The next issue includes the best papers that you missed."
    return _state_page(site, known, SubscriberState.ACTIVE, message)


def _resubscribe(site: Site, known: Subscription, _form: Form) -> Response:
    with site.app.store.begin() as tx:
        subscriptions.restore(tx, known.id, "preferences page", site.app.clock())
    message = "Welcome back. You will receive the next issue."
    late = "Unsubscribing can be undone for 30 days. Please subscribe again on the front page."
    return _state_page(site, known, SubscriberState.ACTIVE, message, late)


def _erase(site: Site, known: Subscription, form: Form) -> Response:
    if first(form, "sure") != "yes":
        errors = {"sure": "tick the box to confirm the deletion"}
        return _form_page(site, known, errors=errors)
    with site.app.store.begin() as tx:
        subscribers.erase(tx, known.subscriber_id, site.app.clock())
    return site.notice(
        "Your data was deleted",
        "Your email address, name and preferences are deleted. This link no longer works.",
        "We keep only a hash of the address, to make sure that we never write to it again.",
    )


def _state_page(
    site: Site,
    known: Subscription,
    wanted: SubscriberState,
    message: str,
    otherwise: str = UNCHANGED,
) -> Response:
    """The page with `message` if the state is now as wanted, also after a second press."""
    with site.app.store.read() as tx:
        now = _current(tx, known.id) or known
    return _form_page(site, now, message=message if now.state is wanted else otherwise)


def _stored_page(site: Site, known: Subscription, message: str) -> Response:
    """The page with the values stored now."""
    with site.app.store.read() as tx:
        now = _current(tx, known.id)
    return _form_page(site, now or known, message=message)


def _unknown_link(site: Site) -> Response:
    return site.notice(
        "This link does not work",
        "It belongs to a test email or a deleted address, or it was copied incompletely.",
        "Please use the link at the end of your latest digest.",
    )
