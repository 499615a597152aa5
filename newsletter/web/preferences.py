"""What a reader may change: rubric, hour, days, length, a pause; and being forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from newsletter.domain.links import TEST_READER, Purpose
from newsletter.domain.mail import WEEKDAYS, WEEKLY, Format, SubscriberState
from newsletter.domain.preferences import parse_clock, parse_format, parse_limit, parse_zone
from newsletter.domain.zone_names import offered
from newsletter.store import subscribers
from newsletter.web.forms import first

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.domain.mail import Subscriber
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
    Format.FULL: "Whole abstracts, as far as a mail holds them",
    Format.BRIEF: "Why it matched, and the first sentences",
    Format.TITLES: "Titles only",
}

UNCHANGED = "Nothing was changed: this page shows how it is."

STOPPED = {
    SubscriberState.BOUNCED: "mail to it came back",
    SubscriberState.COMPLAINED: "a digest was reported as unwanted",
}


def show(desk: Site, request: Request) -> Response:
    known = _person(desk, request)
    return _form(desk, known) if known else _unknown(desk)


def change(desk: Site, request: Request, form: Form) -> Response:
    known = _person(desk, request)
    if known is None:
        return _unknown(desk)
    acts = {"save": _save, "pause": _pause, "resume": _resume, "back": _back, "erase": _erase}
    act = acts.get(first(form, "action"))
    return act(desk, known, form) if act else _form(desk, known)


def _person(desk: Site, request: Request) -> Subscriber | None:
    subscriber_id = desk.links.read(Purpose.PREFERENCES, request.path_params["token"])
    if subscriber_id in (None, TEST_READER):
        return None
    with desk.store.read() as tx:
        known = subscribers.get(tx, subscriber_id)
    return known if known and known.email else None


def _form(
    desk: Site,
    known: Subscriber,
    *,
    said: str = "",
    typed: dict[str, str] | None = None,
    faults: dict[str, str] | None = None,
) -> Response:
    """The page with what is known, or with what was typed and what is wrong with it."""
    mine = desk.rubrics.get(known.rubric)
    choices = desk.public if mine is None or mine.public else [mine, *desk.public]
    values = {
        "timezone": known.timezone or "",
        "send_at": f"{known.send_at:%H:%M}" if known.send_at else "",
        "max_papers": str(known.max_papers or ""),
    }
    return desk.page(
        "preferences.html",
        status=422 if faults else 200,
        title="Your preferences",
        known=known,
        choices=choices,
        values=values | (typed or {}),
        faults=faults or {},
        said=said,
        days=DAY_NAMES,
        weekly=known.days == WEEKLY,
        formats=FORMATS,
        zones=offered(),
        usual_zone=desk.settings.timezone,
        usual_hour=f"{desk.settings.send_at:%H:%M}",
        stopped=STOPPED.get(known.state, ""),
        waiting=known.state is SubscriberState.PENDING,
        gone=known.state is SubscriberState.UNSUBSCRIBED,
        paused=known.state is SubscriberState.PAUSED,
    )


def _save(desk: Site, known: Subscriber, form: Form) -> Response:
    checks: dict[str, Callable[[str], Any]] = {
        "timezone": parse_zone,
        "send_at": parse_clock,
        "max_papers": parse_limit,
        "format": parse_format,
    }
    wished: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for name, check in checks.items():
        try:
            text = first(form, name)
            # What stands already may have been taken under older rules: it may stay.
            same = name == "timezone" and text == known.timezone
            wished[name] = text if same else check(text) if text else None
        except ValueError as error:
            faults[name] = str(error)
    chosen = form.get("days", ())
    wished["days"] = tuple(day for day in WEEKDAYS if day in chosen)
    if first(form, "often") == WEEKLY[0]:
        wished["days"] = WEEKLY
    if not wished["days"]:
        faults["days"] = "choose at least one day, or pause the digest below"
    slug = first(form, "rubric")
    allowed = {rubric.slug for rubric in desk.public} | {known.rubric}
    if slug not in allowed:
        faults["rubric"] = "choose one of the list"
    if faults:
        typed = {name: first(form, name) for name in ("timezone", "send_at", "max_papers")}
        return _form(desk, known, typed=typed, faults=faults)
    wished["format"] = wished["format"] or known.format
    with desk.store.begin() as tx:
        kept = subscribers.prefer(tx, known.id, {"rubric": slug, **wished}, desk.clock())
    # Who left in another window has this form still open: nothing is kept of it.
    done = kept is not subscribers.SubscriberChange.SUPPRESSED
    return _again(desk, known, "Saved. It holds from the next issue on." if done else UNCHANGED)


def _pause(desk: Site, known: Subscriber, _given: Form) -> Response:
    with desk.store.begin() as tx:
        subscribers.pause(tx, known.id, "preferences page", desk.clock())
    said = "Paused. Nothing is sent until you end the pause here."
    return _so(desk, known, SubscriberState.PAUSED, said)


def _resume(desk: Site, known: Subscriber, _given: Form) -> Response:
    with desk.store.begin() as tx:
        subscribers.resume(tx, known.id, "preferences page", desk.clock())
    said = "The pause has ended. The next issue comes as usual, with the best of what you missed."
    return _so(desk, known, SubscriberState.ACTIVE, said)


def _back(desk: Site, known: Subscriber, _given: Form) -> Response:
    with desk.store.begin() as tx:
        subscribers.restore(tx, known.id, "preferences page", desk.clock())
    said = "Welcome back. The next issue comes as usual."
    late = "A departure can be undone for 30 days; ask for the digest again on the front page."
    return _so(desk, known, SubscriberState.ACTIVE, said, late)


def _erase(desk: Site, known: Subscriber, form: Form) -> Response:
    if first(form, "sure") != "yes":
        faults = {"sure": "tick the box, so that nobody is forgotten by accident"}
        return _form(desk, known, faults=faults)
    with desk.store.begin() as tx:
        subscribers.erase(tx, known.id, desk.clock())
    return desk.notice(
        "You are forgotten",
        "Your address, name and preferences are deleted, and this link has ended.",
        "Only a fingerprint of the address remains, by which we know never to write to it again.",
    )


def _so(
    desk: Site, known: Subscriber, wished: SubscriberState, said: str, otherwise: str = UNCHANGED
) -> Response:
    """What was wished for is told as done where it is so now, also at a second press."""
    with desk.store.read() as tx:
        now = subscribers.get(tx, known.id) or known
    return _form(desk, now, said=said if now.state is wished else otherwise)


def _again(desk: Site, known: Subscriber, said: str) -> Response:
    """The page anew, with what is stored now."""
    with desk.store.read() as tx:
        now = subscribers.get(tx, known.id)
    return _form(desk, now or known, said=said)


def _unknown(desk: Site) -> Response:
    return desk.notice(
        "This link opens no preferences",
        "It belongs to a test mail or to an erased address, or it was copied incompletely.",
        "The link at the end of your newest digest is the one that works.",
    )
