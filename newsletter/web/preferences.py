"""Preferences page: all subscriptions of a reader, pause, download and deletion of their data.

The token of any subscription opens the page of its reader. A form names a subscription by its
rubric; it is looked up among the reader's own.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.responses import Response

from newsletter.domain.formatting import short_date
from newsletter.domain.links import TEST_READER, Purpose
from newsletter.domain.mail import READING, WEEKDAYS, WEEKLY, Format, SubscriberState
from newsletter.domain.preferences import (
    DAY_NAMES,
    parse_clock,
    parse_format,
    parse_limit,
    parse_zone,
)
from newsletter.domain.zone_names import offered
from newsletter.store import (
    restore_subscriber,
    subscribers,
    subscriptions,
    suppressions,
)
from newsletter.store.reports import personal_data
from newsletter.web import votes_given
from newsletter.web.context import NO_STORE
from newsletter.web.forms import first

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from starlette.requests import Request

    from newsletter.domain.mail import Subscription
    from newsletter.domain.model import Rubric
    from newsletter.web.context import Site
    from newsletter.web.forms import Form

FORMATS = {
    Format.FULL: "Full abstracts (shortened if the email would get too long)",
    Format.BRIEF: "Short excerpts: why it matched and a few sentences of the abstract",
    Format.TITLES: "Titles only",
}
CHECKS: dict[str, Callable[[str], Any]] = {
    "timezone": parse_zone,
    "send_at": parse_clock,
    "max_papers": parse_limit,
    "format": parse_format,
}
SECTION_FIELDS = {"often", "days", "format", "max_papers"}
"""Fields of one subscription: a form that has one of them says its days, or none."""
WAY = "preferences page"
UNCHANGED = "Nothing was changed. This page shows the current state."
STOPPED_REASONS = {
    SubscriberState.BOUNCED: "an email to it bounced",
    SubscriberState.COMPLAINED: "a digest was reported as spam",
}
SHOWN = (*READING, SubscriberState.PENDING)


class Reader(NamedTuple):
    """The subscription of the token, and all that its reader has now."""

    known: Subscription
    subscriptions: list[Subscription]
    paused_until: datetime | None

    @property
    def shown(self) -> list[Subscription]:
        return [one for one in self.subscriptions if one.state in SHOWN]


class Entered(NamedTuple):
    """A form with errors: the rubric that it is about, its fields, and their errors."""

    rubric: str = ""
    fields: Mapping[str, str] = {}
    errors: Mapping[str, str] = {}


def show(site: Site, request: Request) -> Response:
    reader = _reader(site, request)
    return _form_page(site, reader) if reader else _unknown_link(site)


def change(site: Site, request: Request, form: Form) -> Response:
    reader = _reader(site, request)
    if reader is None:
        return _unknown_link(site)
    actions = {
        "save": _save,
        "add": _add,
        "pause": _pause,
        "resume": _resume,
        "back": _resubscribe,
        "download": _download,
        "erase": _erase,
    }
    action = actions.get(first(form, "action"))
    return action(site, reader, form) if action else _form_page(site, reader)


def _reader(site: Site, request: Request) -> Reader | None:
    subscription_id = site.app.links.read(Purpose.PREFERENCES, request.path_params["token"])
    if subscription_id in (None, TEST_READER):
        return None
    return _read(site, subscription_id)


def _read(site: Site, subscription_id: str) -> Reader | None:
    with site.app.store.read() as tx:
        known = subscriptions.by_id(tx, subscription_id)
        if known is None or not known.email:
            return None
        found = subscriptions.of_subscriber(tx, known.subscriber_id)
        return Reader(known, found, subscribers.paused_until(tx, known.subscriber_id))


def _form_page(
    site: Site, reader: Reader, *, message: str = "", entered: Entered | None = None
) -> Response:
    """The page with the stored values, or with the entered values and their errors."""
    entered, known, shown = entered or Entered(), reader.known, reader.shown
    of_address = {
        "timezone": known.timezone or "",
        "send_at": f"{known.send_at:%H:%M}" if known.send_at else "",
    }
    until = reader.paused_until
    return site.page(
        "preferences.html",
        status=422 if entered.errors else 200,
        title="Your preferences",
        known=known,
        sections=[_section(site, one, entered) for one in shown],
        choices=_choices(site, reader),
        addable=_addable(site, reader),
        values={**of_address, **entered.fields},
        errors=entered.errors,
        message=message,
        days=DAY_NAMES,
        formats=FORMATS,
        zones=offered(),
        usual_zone=site.app.settings.timezone,
        usual_hour=f"{site.app.settings.send_at:%H:%M}",
        stopped=STOPPED_REASONS.get(known.state, ""),
        waiting=bool(shown) and all(one.state is SubscriberState.PENDING for one in shown),
        unsubscribed=not shown,
        paused=any(one.state is SubscriberState.PAUSED for one in shown),
        votes_given=votes_given.preferences_section(site, known),
        paused_until=short_date(until.date()) if until else "",
    )


def _section(site: Site, one: Subscription, entered: Entered) -> dict[str, Any]:
    """One subscription as the page shows it."""
    here = entered.rubric == one.rubric
    stored = str(one.max_papers or "")
    return {
        "rubric": one.rubric,
        "title": site.title_of(one.rubric),
        "weekly": one.days == WEEKLY,
        "days": one.days,
        "format": one.format,
        "max_papers": entered.fields.get("max_papers", stored) if here else stored,
        "errors": entered.errors if here else {},
        "waiting": one.state is SubscriberState.PENDING,
        "unsubscribe": site.local_path(site.app.links.unsubscribe_url(one.id)),
    }


def _choices(site: Site, reader: Reader) -> list[Rubric]:
    """The topics that the reader of one rubric may change to, their own first if it is private."""
    mine = site.app.rubrics.get(reader.shown[0].rubric) if reader.shown else None
    return site.public_rubrics if mine is None or mine.public else [mine, *site.public_rubrics]


def _addable(site: Site, reader: Reader) -> list[Rubric]:
    """The topics that a reader may add: public ones, and those that they left."""
    read = {one.rubric for one in reader.shown}
    left = {one.rubric for one in reader.subscriptions} - read
    own = [site.app.rubrics[slug] for slug in sorted(left) if slug in site.app.rubrics]
    found = {rubric.slug: rubric for rubric in (*site.public_rubrics, *own)}
    return [rubric for slug, rubric in found.items() if slug not in read]


def _save(site: Site, reader: Reader, form: Form) -> Response:
    """Save the fields that the form has; the others stay as they are."""
    target = _target(reader, form)
    if target is None:
        return _form_page(site, reader, message=UNCHANGED)
    changes, errors = _checked(target, form)
    if "rubric" in form:
        changes["rubric"] = first(form, "rubric")
        if changes["rubric"] not in {one.slug for one in site.public_rubrics} | {target.rubric}:
            errors["rubric"] = "choose one of the topics"
    if errors:
        fields = {name: first(form, name) for name in ("timezone", "send_at", "max_papers")}
        given = {name: value for name, value in fields.items() if name in form}
        return _form_page(site, reader, entered=Entered(target.rubric, given, errors))
    with site.app.store.begin() as tx:
        kept = subscriptions.set_preferences(tx, target.id, changes, site.app.clock())
    # The reader may have unsubscribed in another window; then nothing is stored.
    done = kept is not subscribers.SubscriberChange.SUPPRESSED
    return _stored_page(
        site, reader, "Saved. The changes apply from the next issue on." if done else UNCHANGED
    )


def _target(reader: Reader, form: Form) -> Subscription | None:
    """The subscription that a form is about: the named one, else that of the token.

    The token may be of one that was left; then the reader's first.
    """
    if "of" in form:
        return next((one for one in reader.shown if one.rubric == first(form, "of")), None)
    if reader.known.state in SHOWN or not reader.shown:
        return reader.known
    return reader.shown[0]


def _checked(target: Subscription, form: Form) -> tuple[dict[str, Any], dict[str, str]]:
    """The values of the fields, and the errors in them."""
    changes: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name, check in CHECKS.items():
        if name not in form:
            continue
        try:
            text = first(form, name)
            # A stored time zone may be one that is no longer accepted.
            same = name == "timezone" and text == target.timezone
            changes[name] = text if same else check(text) if text else None
        except ValueError as error:
            errors[name] = str(error)
    if "format" in changes:
        changes["format"] = changes["format"] or target.format
    if SECTION_FIELDS & form.keys():
        chosen = form.get("days", ())
        weekly = first(form, "often") == WEEKLY[0]
        changes["days"] = WEEKLY if weekly else tuple(day for day in WEEKDAYS if day in chosen)
        if not changes["days"]:
            errors["days"] = "choose at least one day, or pause the digest below"
    return changes, errors


def _add(site: Site, reader: Reader, form: Form) -> Response:
    """Subscribe to one more rubric. The token proves the address, so nothing is left to confirm."""
    slug, now = first(form, "rubric"), site.app.clock()
    allowed = {rubric.slug for rubric in _addable(site, reader)}
    known = reader.known
    if slug not in allowed or not reader.shown or known.state in STOPPED_REASONS:
        return _form_page(site, reader, message=UNCHANGED)
    consent = f"{WAY} of {now:%Y-%m-%d %H:%M} UTC"
    with site.app.store.begin() as tx:
        suppressions.lift_rubric(tx, known.email, slug)
        if suppressions.reason_for(tx, known.email) is None:
            subscriptions.add(tx, known.subscriber_id, slug, now, consent=consent, way=WAY)
    return _stored_page(site, reader, f"“{site.title_of(slug)}” is added, from its next issue on.")


def _pause(site: Site, reader: Reader, _form: Form) -> Response:
    with site.app.store.begin() as tx:
        subscribers.pause(tx, reader.known.subscriber_id, WAY, site.app.clock())
    message = "Paused. You receive no digests until you resume here."
    return _state_page(site, reader, SubscriberState.PAUSED, message)


def _resume(site: Site, reader: Reader, _form: Form) -> Response:
    with site.app.store.begin() as tx:
        subscribers.resume(tx, reader.known.subscriber_id, WAY, site.app.clock())
    message = "Resumed. The next issue includes the best papers that you missed."
    return _state_page(site, reader, SubscriberState.ACTIVE, message)


def _resubscribe(site: Site, reader: Reader, _form: Form) -> Response:
    with site.app.store.begin() as tx:
        restore_subscriber.undo(tx, reader.known.id, WAY, site.app.clock())
    message = "Welcome back. You will receive the next issue."
    late = "Unsubscribing can be undone for 30 days. Please subscribe again on the front page."
    return _state_page(site, reader, SubscriberState.ACTIVE, message, late)


def _download(site: Site, reader: Reader, _form: Form) -> Response:
    """Everything that is stored of the reader, as JSON."""
    with site.app.store.read() as tx:
        stored = personal_data.stored_about(tx, reader.known.subscriber_id)
    body = json.dumps(stored, ensure_ascii=False, indent=1)
    name = f"newsletter-data-{site.app.clock():%Y-%m-%d}.json"
    headers = {
        "Cache-Control": NO_STORE,
        "X-Robots-Tag": "noindex, nofollow",
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    return Response(body, media_type="application/json", headers=headers)


def _erase(site: Site, reader: Reader, form: Form) -> Response:
    if first(form, "sure") != "yes":
        errors = {"sure": "tick the box to confirm the deletion"}
        return _form_page(site, reader, entered=Entered(errors=errors))
    with site.app.store.begin() as tx:
        subscribers.erase(tx, reader.known.subscriber_id, site.app.clock())
    return site.notice(
        "Your data was deleted",
        "Your email address, name and preferences are deleted. This link no longer works.",
        "We keep only a hash of the address, to make sure that we never write to it again.",
    )


def _state_page(
    site: Site, reader: Reader, wanted: SubscriberState, message: str, otherwise: str = UNCHANGED
) -> Response:
    """The page with `message` if a subscription is now as wanted, also after a second press."""
    now = _read(site, reader.known.id) or reader
    done = any(one.state is wanted for one in now.subscriptions)
    return _form_page(site, now, message=message if done else otherwise)


def _stored_page(site: Site, reader: Reader, message: str) -> Response:
    """The page with the values stored now."""
    return _form_page(site, _read(site, reader.known.id) or reader, message=message)


def _unknown_link(site: Site) -> Response:
    return site.notice(
        "This link does not work",
        "It belongs to a test email or a deleted address, or it was copied incompletely.",
        "Please use the link at the end of your latest digest.",
    )
