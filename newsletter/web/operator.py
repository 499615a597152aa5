"""The operator's page: today, the last thirty days, what waits for a person, a look at any digest.

Off unless NEWSLETTER_OPERATOR_PASSWORD or NEWSLETTER_OPERATOR_HEADER is set (operator_auth.py).
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse

from newsletter.delivery.personalize import Personalizer
from newsletter.domain import announcements
from newsletter.domain.links import TEST_READER
from newsletter.domain.mail import Subscriber
from newsletter.domain.sanitize import clean
from newsletter.operations import review
from newsletter.operations.review import ReviewDecision
from newsletter.store import alerts, digests, operator_views, subscribers
from newsletter.web import operator_auth as door
from newsletter.web.charts import MonthSummary, summary
from newsletter.web.context import NEVER
from newsletter.web.forms import first
from newsletter.web.middleware import POLICY

if TYPE_CHECKING:
    from datetime import date

    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.domain.alerts import OpenAlert
    from newsletter.domain.model import Rubric
    from newsletter.store.claims import Doubt
    from newsletter.store.operator_views import ReviewReply
    from newsletter.web.context import Site
    from newsletter.web.forms import Form

DAYS = 30
LONG = timedelta(days=DAYS)
MOST = 25
"""Of each queue, so many are shown; the rest come up as these are dealt with."""
ADDRESS = re.compile(r"([^\s<>@\",;:]{1,64})@([^\s<>@\",;:]{1,255})")
FRAMED = POLICY + "; frame-src 'self'"
# The mail brings its own styles; the sandbox keeps whatever else it might hold from acting.
MAIL_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
)
SAID = {each.name.lower(): each for each in ReviewDecision}
KINDS = {"review": "may ask to leave", "letter": "a letter"}


def show(desk: Site, request: Request) -> Response:
    who = door.session(desk, request)
    if who is None:
        return door.ask(desk)
    newest, last = days_of(desk)
    with desk.store.read() as tx:
        found = operator_views.since(tx, list(desk.rubrics), last - timedelta(days=DAYS - 1))
        replies = operator_views.replies(tx, MOST)
        doubts = operator_views.doubts(tx, MOST)
        open_alerts = alerts.opened(tx)
        read = subscribers.readers(tx)
        over = [one for one in alerts.since(tx, desk.clock() - LONG) if one.cleared_at]
    shown: MonthSummary = summary(found, list(desk.rubrics.values()), newest, last, DAYS)
    said = SAID.get(request.query_params.get("said", ""), "")
    return desk.page(
        "operator.html",
        title="Operator",
        said=str(said),
        newest=newest,
        last=last,
        first_day=last - timedelta(days=DAYS - 1),
        shown=shown,
        alerts=[_alert(one) for one in open_alerts],
        over=[_alert(one) for one in reversed(over[-MOST:])],
        replies=[_reply(one) for one in replies[1]],
        reply_count=replies[0],
        doubts=[_doubt(one) for one in doubts[1]],
        doubt_count=doubts[0],
        read=read,
        token=door.token(desk, who),
        by_cookie=who.by_cookie,
    )


def days_of(desk: Site) -> tuple[date, date]:
    """The date of the newest announcement, and the last day of the charts: that or today.

    At a weekend there is nothing to be made, and Friday's digests are still today's.
    """
    now = desk.clock()
    newest = announcements.newest(now)
    return newest, max(newest, now.astimezone(desk.settings.zone).date())


def answer_reply(desk: Site, request: Request, form: Form) -> Response:
    door.require_own_form(desk, request, form)
    unsubscribe = _choice(form, "done", "unsubscribe") == "unsubscribe"
    with desk.store.begin() as tx:
        done = review.answer_reply(tx, first(form, "id"), desk.clock(), unsubscribe=unsubscribe)
    return _back(desk, done)


def resolve_mail(desk: Site, request: Request, form: Form) -> Response:
    door.require_own_form(desk, request, form)
    sent = _choice(form, "sent", "resend") == "sent"
    with desk.store.begin() as tx:
        done = review.resolve_mail(tx, first(form, "id"), desk.clock(), sent=sent)
    return _back(desk, done)


def preview(desk: Site, request: Request) -> Response:
    """A page around the newest digest's mail."""
    if door.session(desk, request) is None:
        return door.ask(desk)
    rubric = _named(desk, request)
    with desk.store.read() as tx:
        newest = next(iter(digests.editions(tx, 1, rubric.slug)), None)
    page = desk.page(
        "operator_preview.html",
        title=f"Preview: {rubric.title}",
        rubric=rubric,
        newest=newest,
        previews=_sorted(desk),
    )
    page.headers["Content-Security-Policy"] = FRAMED
    return page


def preview_mail(desk: Site, request: Request) -> Response:
    """The mail itself, as a reader gets it, with links that change nothing."""
    door.require(desk, request)
    rubric = _named(desk, request)
    with desk.store.read() as tx:
        found = digests.latest(tx, rubric.slug)
        before = digests.date_before(tx, rubric.slug, found[1].date) if found else None
    if found is None:
        raise HTTPException(404)
    nobody = Subscriber(TEST_READER, "reader@example.org", rubric.slug, since=desk.clock())
    copy = Personalizer(desk.renderer, desk.links, desk.sender, found[1], before).copy(nobody)
    headers = {
        "Content-Security-Policy": MAIL_POLICY,
        "X-Frame-Options": "SAMEORIGIN",
        # Opened by itself, a sandboxed page must not claim a window of its own.
        "Cross-Origin-Opener-Policy": "unsafe-none",
        "Cache-Control": NEVER,
        "X-Robots-Tag": "noindex, nofollow",
    }
    return HTMLResponse(copy.html, headers=headers)


def _named(desk: Site, request: Request) -> Rubric:
    found = desk.rubrics.get(request.path_params["rubric"])
    if found is None:
        raise HTTPException(404)
    return found


def _sorted(desk: Site) -> list[Rubric]:
    return sorted(desk.rubrics.values(), key=lambda rubric: rubric.title.casefold())


def _choice(form: Form, *known: str) -> str:
    """Which button was pressed. Raises HTTPException 400 for none of ours."""
    pressed = first(form, "action")
    if pressed not in known:
        raise HTTPException(400)
    return pressed


def _back(desk: Site, done: ReviewDecision) -> Response:
    return RedirectResponse(f"{desk.prefix}/operator?said={done.name.lower()}", 303)


def _alert(one: OpenAlert) -> dict[str, Any]:
    told = one.alert
    return {
        "title": told.title,
        "subject": told.subject,
        "what": masked(told.what),
        "fix": told.fix,
        "command": told.command,
        "since": one.first_seen,
        "until": one.cleared_at,
    }


def _reply(one: ReviewReply) -> dict[str, Any]:
    return {
        "id": one.id,
        "sender": masked(one.sender),
        "kind": KINDS.get(one.state.value, one.state.value),
        "known": bool(one.subscriber_id),
        "said": masked(clean(one.said)).strip(),
        "at": one.received_at,
    }


def _doubt(one: Doubt) -> dict[str, Any]:
    return {
        "id": one.id,
        "email": masked(one.email),
        "rubric": one.rubric,
        "date": one.date,
        "reason": masked(one.reason),
        "since": one.since,
    }


def masked(text: str) -> str:
    """Addresses with their first letter and their domain alone: enough to know whose it is."""
    return ADDRESS.sub(lambda found: f"{found[1][0]}…@{found[2]}", text)
