"""Preferences page: all subscriptions of a reader, pause, download and deletion of their data.

The token of any subscription opens the page of its reader. A form names a subscription by its
rubric; it is looked up among the reader's own.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.responses import Response

from newsletter.domain.formatting import long_date
from newsletter.domain.links import TEST_READER, Purpose
from newsletter.domain.mail import READING, WEEKDAYS, WEEKLY, Format, SubscriberState
from newsletter.domain.preferences import (
    DAY_NAMES,
    MAX_PAUSE,
    days_in_words,
    parse_clock,
    parse_format,
    parse_limit,
    parse_pause_end,
    parse_zone,
)
from newsletter.domain.reader_rubrics import is_reader_rubric
from newsletter.domain.send_times import zone_of
from newsletter.domain.zone_names import offered
from newsletter.store import (
    restore_subscriber,
    subscribers,
    subscriptions,
    suppressions,
)
from newsletter.store.reports import personal_data
from newsletter.web import reader_rubrics, votes_given
from newsletter.web.context import NO_STORE
from newsletter.web.forms import first

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date

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
FORMAT_NAMES = {
    Format.FULL: "full abstracts",
    Format.BRIEF: "short excerpts",
    Format.TITLES: "titles only",
}
FIELD_NAMES = {
    "rubric": "Topic",
    "days": "Frequency",
    "format": "Email content",
    "max_papers": "Maximum papers per email",
    "send_at": "Send at or after",
    "timezone": "Time zone",
    "until": "Until a day",
    "sure": "Delete my data",
}
"""Each field that may have an error, as its label says."""
PAUSES = {7: "1 week", 14: "2 weeks", 28: "4 weeks"}
TOP, DELIVERY, PAUSE, DELETE = "#top", "#delivery", "#pause", "#delete"
"""Sections of the page; the section of a subscription has the name of its rubric."""
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


class FormResult(NamedTuple):
    """What became of a form, said in its section: a message, or what was typed and its errors."""

    section: str = TOP
    message: str = ""
    fields: Mapping[str, str] = {}
    errors: Mapping[str, str] = {}


NO_FORM = FormResult()


def show(site: Site, request: Request) -> Response:
    reader = _reader(site, request)
    return _form_page(site, reader) if reader else site.unknown_link()


def change(site: Site, request: Request, form: Form) -> Response:
    reader = _reader(site, request)
    if reader is None:
        return site.unknown_link()
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


def _form_page(site: Site, reader: Reader, result: FormResult = NO_FORM) -> Response:
    """The page with the stored values, or with what was typed and its errors.

    The section of the form that was sent says what became of it, and gets the focus.
    """
    known, shown = reader.known, reader.shown
    followed = [one.rubric for one in reader.subscriptions if one.state in READING]
    own = reader_rubrics.preferences_section(site, known, followed)
    if result.section not in _sections_shown(reader):
        result = result._replace(section=TOP)
    of_address = {
        "timezone": known.timezone or "",
        "send_at": f"{known.send_at:%H:%M}" if known.send_at else "",
    }
    return site.page(
        "preferences.html",
        status=422 if result.errors else 200,
        title="Your preferences",
        known=known,
        sections=[_section(site, one, result, own["by_slug"].get(one.rubric)) for one in shown],
        choices=_choices(site, reader),
        addable=_addable(site, reader),
        values={**of_address, **result.fields},
        result=result,
        errors=result.errors,
        field_names=FIELD_NAMES,
        days=DAY_NAMES,
        formats=FORMATS,
        zones=offered(),
        usual_zone=site.app.settings.timezone,
        usual_hour=f"{site.app.settings.send_at:%H:%M}",
        stopped=STOPPED_REASONS.get(known.state, ""),
        waiting=bool(shown) and all(one.state is SubscriberState.PENDING for one in shown),
        unsubscribed=not shown,
        pause=_pause_section(site, reader, result),
        own=own,
        votes_given=votes_given.preferences_section(
            site, known, [one.id for one in reader.subscriptions]
        ),
    )


def _sections_shown(reader: Reader) -> set[str]:
    """The sections that can say what became of a form."""
    if reader.known.state in STOPPED_REASONS or not reader.shown:
        return {DELETE}
    several = {DELIVERY} if len(reader.shown) > 1 else set()
    return {DELETE, PAUSE, *several, *(one.rubric for one in reader.shown)}


def _section(
    site: Site, one: Subscription, result: FormResult, own: Mapping[str, str] | None
) -> dict[str, Any]:
    """One subscription as the page shows it, and what became of its form.

    `own` is the row of a rubric of the reader's own (`reader_rubrics.preferences_section`).
    """
    here = result.section == one.rubric
    stored = str(one.max_papers or "")
    limit = [f"at most {one.max_papers} papers"] if one.max_papers else []
    comes = days_in_words(one.days)
    return {
        "rubric": one.rubric,
        "title": own["title"] if own else site.title_of(one.rubric),
        "own": own,
        "summary": ", ".join([comes[0].upper() + comes[1:], FORMAT_NAMES[one.format], *limit]),
        "weekly": one.days == WEEKLY,
        "days": one.days,
        "format": one.format,
        "max_papers": result.fields.get("max_papers", stored) if here else stored,
        "errors": result.errors if here else {},
        "message": result.message if here else "",
        "open": here and bool(result.errors),
        "waiting": one.state is SubscriberState.PENDING,
        "unsubscribe": site.local_path(site.app.links.unsubscribe_url(one.id)),
    }


def _pause_section(site: Site, reader: Reader, result: FormResult) -> dict[str, Any]:
    """The pause as it is, with the days on which another one may end."""
    today = _today(site, reader)
    zone = zone_of(reader.known, site.app.settings.zone)
    until = reader.paused_until
    return {
        "on": any(one.state is SubscriberState.PAUSED for one in reader.shown),
        "until": long_date(until.astimezone(zone).date()) if until else "",
        "choices": [
            (days, name, long_date(today + timedelta(days))) for days, name in PAUSES.items()
        ],
        "chosen": result.fields.get("for", "7"),
        "typed": result.fields.get("until", ""),
        "first": today + timedelta(days=1),
        "last": today + timedelta(days=MAX_PAUSE),
    }


def _today(site: Site, reader: Reader) -> date:
    return site.app.clock().astimezone(zone_of(reader.known, site.app.settings.zone)).date()


def _choices(site: Site, reader: Reader) -> list[Rubric]:
    """The topics that the reader of one rubric may change to, theirs first if it is private.

    None for one who reads a rubric of their own: other topics are added to it.
    """
    if reader.shown and is_reader_rubric(reader.shown[0].rubric):
        return []
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
        return _form_page(site, reader, FormResult(message=UNCHANGED))
    changes, errors = _checked(target, form)
    if "rubric" in form:
        changes["rubric"] = first(form, "rubric")
        if changes["rubric"] not in {one.slug for one in site.public_rubrics} | {target.rubric}:
            errors["rubric"] = "choose one of the topics"
    of_address = not SECTION_FIELDS & form.keys() and len(reader.shown) > 1
    section = DELIVERY if of_address else target.rubric
    if errors:
        fields = {name: first(form, name) for name in ("timezone", "send_at", "max_papers")}
        given = {name: value for name, value in fields.items() if name in form}
        return _form_page(site, reader, FormResult(section, fields=given, errors=errors))
    with site.app.store.begin() as tx:
        kept = subscriptions.set_preferences(tx, target.id, changes, site.app.clock())
    # The reader may have unsubscribed in another window; then nothing is stored.
    if kept is subscribers.SubscriberChange.SUPPRESSED:
        return _stored_page(site, reader, FormResult(section, UNCHANGED))
    section = DELIVERY if of_address else changes.get("rubric", section)
    saved = "Saved. The changes apply from the next issue on."
    return _stored_page(site, reader, FormResult(section, saved))


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
        return _stored_page(site, reader, FormResult(slug, UNCHANGED))
    consent = f"{WAY} of {now:%Y-%m-%d %H:%M} UTC"
    with site.app.store.begin() as tx:
        suppressions.lift_rubric(tx, known.email, slug)
        if suppressions.reason_for(tx, known.email) is None:
            subscriptions.add(tx, known.subscriber_id, slug, now, consent=consent, way=WAY)
    message = f"“{site.title_of(slug)}” is added, from its next issue on."
    return _stored_page(site, reader, FormResult(slug, message))


def _pause(site: Site, reader: Reader, form: Form) -> Response:
    """Pause all digests until a day, or until the reader resumes. Replaces another pause."""
    try:
        day = _pause_end(_today(site, reader), form)
    except ValueError as error:
        fields = {name: first(form, name) for name in ("for", "until")}
        return _form_page(
            site, reader, FormResult(PAUSE, fields=fields, errors={"until": str(error)})
        )
    zone = zone_of(reader.known, site.app.settings.zone)
    until = datetime.combine(day, time(), zone).astimezone(UTC) if day else None
    now, subscriber_id = site.app.clock(), reader.known.subscriber_id
    with site.app.store.begin() as tx:
        subscribers.pause_until(tx, subscriber_id, until, WAY, now)
    message = "Paused. You receive no digests until you resume here."
    if day:
        message = f"Paused. Mails start again by themselves on {long_date(day)}."
    return _state_page(site, reader, SubscriberState.PAUSED, FormResult(PAUSE, message))


def _pause_end(today: date, form: Form) -> date | None:
    """The day that a form names; None for a pause without end. Raises ValueError."""
    chosen, until = first(form, "for"), first(form, "until")
    if chosen == "date" or (until and not chosen):
        return parse_pause_end(until, today)
    if until:
        message = "choose “Until the day below”, or empty this field"
        raise ValueError(message)
    days = next((days for days in PAUSES if str(days) == chosen), 0)
    return today + timedelta(days) if days else None


def _resume(site: Site, reader: Reader, _form: Form) -> Response:
    with site.app.store.begin() as tx:
        subscribers.resume(tx, reader.known.subscriber_id, WAY, site.app.clock())
    message = "Resumed. The next issue includes the best papers that you missed."
    return _state_page(site, reader, SubscriberState.ACTIVE, FormResult(PAUSE, message))


def _resubscribe(site: Site, reader: Reader, _form: Form) -> Response:
    with site.app.store.begin() as tx:
        restore_subscriber.undo(tx, reader.known.id, WAY, site.app.clock())
    message = "Welcome back. You will receive the next issue."
    late = "Unsubscribing can be undone for 30 days. Please subscribe again on the front page."
    return _state_page(site, reader, SubscriberState.ACTIVE, FormResult(TOP, message), late)


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
        return _form_page(site, reader, FormResult(DELETE, errors=errors))
    with site.app.store.begin() as tx:
        subscribers.erase(tx, reader.known.subscriber_id, site.app.clock())
    return site.notice(
        "Your data was deleted",
        "Your email address, name and preferences are deleted. This link no longer works.",
        "We keep only a hash of the address, to make sure that we never write to it again.",
    )


def _state_page(
    site: Site,
    reader: Reader,
    wanted: SubscriberState,
    result: FormResult,
    otherwise: str = UNCHANGED,
) -> Response:
    """The page with the message if a subscription is now as wanted, also after a second press."""
    now = _read(site, reader.known.id) or reader
    done = any(one.state is wanted for one in now.subscriptions)
    return _form_page(site, now, result if done else result._replace(message=otherwise))


def _stored_page(site: Site, reader: Reader, result: FormResult) -> Response:
    """The page with the values stored now."""
    return _form_page(site, _read(site, reader.known.id) or reader, result)
