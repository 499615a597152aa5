"""The overview: alerts, figures of 30 days, review queues.

Off unless NEWSLETTER_OPERATOR_PASSWORD or NEWSLETTER_OPERATOR_HEADER is set (auth.py).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from newsletter.domain import announcements
from newsletter.domain.votes import describe_votes
from newsletter.rubrics.folder import of_operator
from newsletter.store import alerts, subscriptions, votes
from newsletter.store.reports import operator_views
from newsletter.store.task_queue import read_queue
from newsletter.web.charts import MonthSummary, summary
from newsletter.web.operator import auth, review
from newsletter.web.operator.actions import operator_page

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.domain.alerts import OpenAlert
    from newsletter.domain.model import Rubric
    from newsletter.web.context import Site

DAYS = 30
SHOWN_FOR = timedelta(days=DAYS)
MAX_SHOWN = 25
"""Cleared alerts, the newest."""


def show(site: Site, request: Request) -> Response:
    session = auth.session(site, request)
    if session is None:
        return auth.login_page(site, auth.requested_page(request))
    newest, last = shown_days(site)
    rubrics = of_operator(site.app.rubrics)
    with site.app.store.read() as tx:
        found = operator_views.since(tx, list(rubrics), last - timedelta(days=DAYS - 1))
        reply_count = operator_views.count_replies(tx)
        unknown_count = operator_views.count_unknown(tx)
        open_alerts = alerts.open_alerts(tx)
        queue = read_queue(tx, site.app.clock())
        read = subscriptions.count_by_rubric(tx)
        described = _described_votes(tx, rubrics)
        cleared = [
            each for each in alerts.open_since(tx, site.app.clock() - SHOWN_FOR) if each.cleared_at
        ]
    shown: MonthSummary = summary(found, list(rubrics.values()), newest, last, DAYS)
    return operator_page(
        site,
        session,
        "operator.html",
        here="",
        title="Operator",
        newest=newest,
        last=last,
        first_day=last - timedelta(days=DAYS - 1),
        shown=shown,
        alerts=[_alert(each) for each in open_alerts],
        queue=queue,
        cleared=[_alert(each) for each in reversed(cleared[-MAX_SHOWN:])],
        reply_count=reply_count,
        unknown_count=unknown_count,
        read=read,
        votes=described,
    )


def _described_votes(tx: Connection, rubrics: Mapping[str, Rubric]) -> dict[str, list[str]]:
    """What the votes of each rubric have in common, by its title; nothing without such lines."""
    voted = votes.voted_on(tx, rubrics)
    found = {
        rubric.title: describe_votes(rubric, votes.scored(tx, slug, rubric.fingerprint))
        for slug, rubric in rubrics.items()
        if slug in voted
    }
    return {title: lines for title, lines in found.items() if lines}


def shown_days(site: Site) -> tuple[date, date]:
    """The date of the newest announcement, and the last day of the charts: that or today.

    At a weekend the newest announcement is Friday's.
    """
    now = site.app.clock()
    newest = announcements.newest(now)
    return newest, max(newest, now.astimezone(site.app.settings.zone).date())


def _alert(opened: OpenAlert) -> dict[str, Any]:
    alert = opened.alert
    return {
        "title": alert.title,
        "subject": alert.subject,
        "what": review.masked(alert.what),
        "fix": alert.fix,
        "command": alert.command,
        "since": opened.first_seen,
        "until": opened.cleared_at,
    }
