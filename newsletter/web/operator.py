"""The operator page: alerts, figures of 30 days, review queues, previews of digests.

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
from newsletter.domain.mail import Subscription
from newsletter.domain.sanitize import clean
from newsletter.domain.votes import describe_votes
from newsletter.operations import review
from newsletter.operations.review import ReviewDecision
from newsletter.store import alerts, digests, subscriptions, votes
from newsletter.store.reports import operator_views
from newsletter.store.task_queue import read_queue
from newsletter.web import operator_auth
from newsletter.web.charts import MonthSummary, summary
from newsletter.web.context import NO_STORE
from newsletter.web.forms import first
from newsletter.web.middleware import POLICY

if TYPE_CHECKING:
    from datetime import date

    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.domain.alerts import OpenAlert
    from newsletter.domain.model import Rubric
    from newsletter.store.claims import UnknownDelivery
    from newsletter.store.reports.operator_views import ReviewReply
    from newsletter.web.context import Site
    from newsletter.web.forms import Form

DAYS = 30
SHOWN_FOR = timedelta(days=DAYS)
MAX_SHOWN = 25
"""Maximum rows of each queue; the others follow as these are resolved."""
ADDRESS = re.compile(r"([^\s<>@\",;:]{1,64})@([^\s<>@\",;:]{1,255})")
FRAME_POLICY = POLICY + "; frame-src 'self'"
# The email has inline styles. The sandbox disables scripts, forms and links to this site.
MAIL_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
)
DECISIONS = {each.name.lower(): each for each in ReviewDecision}
REPLY_KINDS = {"review": "possible unsubscribe request", "letter": "message"}


def show(site: Site, request: Request) -> Response:
    session = operator_auth.session(site, request)
    if session is None:
        return operator_auth.login_page(site)
    newest, last = shown_days(site)
    with site.app.store.read() as tx:
        found = operator_views.since(tx, list(site.app.rubrics), last - timedelta(days=DAYS - 1))
        replies = operator_views.replies(tx, MAX_SHOWN)
        unknown = operator_views.unknown_deliveries(tx, MAX_SHOWN)
        open_alerts = alerts.open_alerts(tx)
        queue = read_queue(tx, site.app.clock())
        read = subscriptions.count_by_rubric(tx)
        given = {
            rubric.title: describe_votes(rubric, votes.scored(tx, slug, rubric.fingerprint))
            for slug, rubric in site.app.rubrics.items()
        }
        cleared = [
            each for each in alerts.open_since(tx, site.app.clock() - SHOWN_FOR) if each.cleared_at
        ]
    shown: MonthSummary = summary(found, list(site.app.rubrics.values()), newest, last, DAYS)
    said = DECISIONS.get(request.query_params.get("said", ""), "")
    return site.page(
        "operator.html",
        title="Operator",
        said=str(said),
        newest=newest,
        last=last,
        first_day=last - timedelta(days=DAYS - 1),
        shown=shown,
        alerts=[_alert(each) for each in open_alerts],
        queue=queue,
        cleared=[_alert(each) for each in reversed(cleared[-MAX_SHOWN:])],
        replies=[_reply(each) for each in replies[1]],
        reply_count=replies[0],
        unknown=[_unknown_mail(each) for each in unknown[1]],
        unknown_count=unknown[0],
        read=read,
        votes={title: lines for title, lines in given.items() if lines},
        token=operator_auth.csrf_token(site, session),
        by_cookie=session.by_cookie,
    )


def shown_days(site: Site) -> tuple[date, date]:
    """The date of the newest announcement, and the last day of the charts: that or today.

    At a weekend the newest announcement is Friday's.
    """
    now = site.app.clock()
    newest = announcements.newest(now)
    return newest, max(newest, now.astimezone(site.app.settings.zone).date())


def answer_reply(site: Site, request: Request, form: Form) -> Response:
    operator_auth.require_csrf_token(site, request, form)
    unsubscribe = _pressed_button(form, "done", "unsubscribe") == "unsubscribe"
    with site.app.store.begin() as tx:
        done = review.answer_reply(tx, first(form, "id"), site.app.clock(), unsubscribe=unsubscribe)
    return _redirect(site, done)


def resolve_mail(site: Site, request: Request, form: Form) -> Response:
    operator_auth.require_csrf_token(site, request, form)
    sent = _pressed_button(form, "sent", "resend") == "sent"
    with site.app.store.begin() as tx:
        done = review.resolve_mail(tx, first(form, "id"), site.app.clock(), sent=sent)
    return _redirect(site, done)


def preview(site: Site, request: Request) -> Response:
    """A page with the email of the newest digest in a frame."""
    if operator_auth.session(site, request) is None:
        return operator_auth.login_page(site)
    rubric = _requested_rubric(site, request)
    with site.app.store.read() as tx:
        newest = next(iter(digests.summaries(tx, 1, rubric.slug)), None)
    page = site.page(
        "operator_preview.html",
        title=f"Preview: {rubric.title}",
        rubric=rubric,
        newest=newest,
        previews=_by_title(site),
    )
    page.headers["Content-Security-Policy"] = FRAME_POLICY
    return page


def preview_mail(site: Site, request: Request) -> Response:
    """The email itself. Its links belong to the test reader and change nothing."""
    operator_auth.require(site, request)
    rubric = _requested_rubric(site, request)
    with site.app.store.read() as tx:
        found = digests.latest(tx, rubric.slug)
        before = digests.date_before(tx, rubric.slug, found[1].date) if found else None
    if found is None:
        raise HTTPException(404)
    test_reader = Subscription(
        TEST_READER, "reader@example.org", rubric.slug, since=site.app.clock()
    )
    copy = Personalizer(
        site.app.renderer, site.app.links, site.app.sender, found[1], before
    ).personalize(test_reader)
    headers = {
        "Content-Security-Policy": MAIL_POLICY,
        "X-Frame-Options": "SAMEORIGIN",
        # Browsers refuse a sandboxed top-level page with another value (HTML standard).
        "Cross-Origin-Opener-Policy": "unsafe-none",
        "Cache-Control": NO_STORE,
        "X-Robots-Tag": "noindex, nofollow",
    }
    return HTMLResponse(copy.html, headers=headers)


def _requested_rubric(site: Site, request: Request) -> Rubric:
    found = site.app.rubrics.get(request.path_params["rubric"])
    if found is None:
        raise HTTPException(404)
    return found


def _by_title(site: Site) -> list[Rubric]:
    return sorted(site.app.rubrics.values(), key=lambda rubric: rubric.title.casefold())


def _pressed_button(form: Form, *known: str) -> str:
    """The value of the pressed button. Raises HTTPException 400 if unknown."""
    pressed = first(form, "action")
    if pressed not in known:
        raise HTTPException(400)
    return pressed


def _redirect(site: Site, done: ReviewDecision) -> Response:
    return RedirectResponse(f"{site.prefix}/operator?said={done.name.lower()}", 303)


def _alert(opened: OpenAlert) -> dict[str, Any]:
    alert = opened.alert
    return {
        "title": alert.title,
        "subject": alert.subject,
        "what": masked(alert.what),
        "fix": alert.fix,
        "command": alert.command,
        "since": opened.first_seen,
        "until": opened.cleared_at,
    }


def _reply(reply: ReviewReply) -> dict[str, Any]:
    return {
        "id": reply.id,
        "sender": masked(reply.sender),
        "kind": REPLY_KINDS.get(reply.state.value, reply.state.value),
        "known": bool(reply.subscription_id),
        "said": masked(clean(reply.said)).strip(),
        "at": reply.received_at,
    }


def _unknown_mail(mail: UnknownDelivery) -> dict[str, Any]:
    return {
        "id": mail.id,
        "email": masked(mail.email),
        "rubric": mail.rubric,
        "date": mail.date,
        "reason": masked(mail.reason),
        "since": mail.since,
    }


def masked(text: str) -> str:
    """`text` with each email address reduced to its first letter and domain."""
    return ADDRESS.sub(lambda found: f"{found[1][0]}…@{found[2]}", text)
