"""Healthcheck ping: one HTTP request a day to an external monitor such as healthchecks.io.

The monitor reports a missing ping, which means that the service does not run: no alert can.
"""

from __future__ import annotations

import logging
import urllib.error
import urllib.request
from datetime import date, datetime, timedelta
from http.client import HTTPException
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.alerts import AlertKind
from newsletter.operations.alert_rules import find_alerts
from newsletter.operations.alerting import collect_state, thresholds
from newsletter.store import alerts, subscriptions
from newsletter.store.reports import monitoring

if TYPE_CHECKING:
    from newsletter.context import App

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10
RECENTLY = timedelta(days=8)
SEND_TIME_DELAY = timedelta(hours=1)
PING_BLOCKERS = {
    *(AlertKind.LATE, AlertKind.RUN_FAILED, AlertKind.SCORING, AlertKind.MISSED),
    *(AlertKind.OVERDUE, AlertKind.HALTED, AlertKind.DATABASE),
}
"""Alerts that stop the ping."""


def ping(app: App, now: datetime) -> None:
    """Ping once a day, an hour after the default send time, if all digests are made and sent.

    On a day without an announcement the previous one counts, so the monitor can expect a ping
    every day.
    """
    here = now.astimezone(app.settings.zone)
    send_at = datetime.combine(here.date(), app.settings.send_at, app.settings.zone)
    if not app.settings.ping_url or now < send_at + SEND_TIME_DELAY:
        return
    with app.store.read() as tx:
        if alerts.has_ping(tx, here.date()):
            return
    newest = app.source.newest(now)
    with app.store.read() as tx:
        mails = MailCounts(*monitoring.count_mails(tx, newest))
    if _went_well(app, newest, now):
        ping_if_delivered(app, mails, now)


class MailCounts(NamedTuple):
    """Mails of the newest announcement."""

    planned: int
    accepted: int


def ping_if_delivered(app: App, mails: MailCounts, now: datetime) -> None:
    """Ping if mail was due and accepted.

    On a day without due mail, recent mail must prove that there are readers: an empty database
    has none.
    """
    with app.store.read() as tx:
        recent = monitoring.accepted_since(tx, now - RECENTLY)
        nothing = monitoring.announced_nothing(tx, app.source.newest(now))
    if mails.accepted or (not mails.planned and (recent or nothing)):
        send_ping(app, now)


def send_ping(app: App, now: datetime) -> None:
    """Send the ping. A failure is logged and retried in the next round."""
    if not app.settings.ping_url:
        return
    request = urllib.request.Request(  # noqa: S310 - the setting takes http(s) only
        app.settings.ping_url, headers={"User-Agent": "arxiv-newsletter"}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310 - as above
            pass
    except (OSError, HTTPException, ValueError) as error:
        # The address itself is a secret.
        reason = getattr(error, "code", None) or type(error).__name__
        log.warning("healthcheck ping failed: %s", reason)
        return
    with app.store.begin() as tx:
        alerts.keep_ping(tx, now.astimezone(app.settings.zone).date(), now)
    log.info("healthcheck ping sent")


def _went_well(app: App, newest: date, now: datetime) -> bool:
    state = collect_state(app.store, app.settings, app.rubrics, app.source, now)
    with app.store.read() as tx:
        made = monitoring.digests_of(tx, (newest,))
        read = set(subscriptions.count_by_rubric(tx))
    kinds = {alert.kind for alert in find_alerts(state, thresholds(app.settings))}
    return bool(read) and not kinds & PING_BLOCKERS and all((slug, newest) in made for slug in read)
