"""Healthcheck ping: one HTTP request each good day to an external monitor (healthchecks.io).

A missing ping ("dead man's switch") reports what no alert can: that the service does not run.
"""

from __future__ import annotations

import logging
import urllib.error
import urllib.request
from datetime import date, datetime, timedelta
from http.client import HTTPException
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.alerts import AlertKind
from newsletter.operations.alert_rules import find
from newsletter.operations.alerting import bounds, collect_state
from newsletter.store import alerts, monitoring, subscribers

if TYPE_CHECKING:
    from newsletter.context import App

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10
LATELY = timedelta(days=8)
AFTER_THE_HOUR = timedelta(hours=1)
SPOILS = {
    *(AlertKind.LATE, AlertKind.MORNING, AlertKind.SCORING, AlertKind.MISSED),
    *(AlertKind.OVERDUE, AlertKind.HALTED, AlertKind.DATABASE),
}
"""Alerts that stop the ping."""


def ping(app: App, now: datetime) -> None:
    """Ping once a day, an hour after the usual send time, if all digests are made and sent.

    On a day without an announcement the last one counts, so that the monitor may expect one ping
    each day.
    """
    here = now.astimezone(app.settings.zone)
    hour = datetime.combine(here.date(), app.settings.send_at, app.settings.zone)
    if not app.settings.ping_url or now < hour + AFTER_THE_HOUR:
        return
    with app.store.read() as tx:
        if alerts.has_ping(tx, here.date()):
            return
    newest = app.source.newest(now)
    with app.store.read() as tx:
        owed = Owed(*monitoring.count_mails(tx, newest))
    if _went_well(app, newest, now):
        sign_if_well(app, owed, now)


class Owed(NamedTuple):
    """The mails of the newest announcement, and how many the provider accepted."""

    mails: int
    arrived: int


def sign_if_well(app: App, owed: Owed, now: datetime) -> None:
    """Ping if mail was due and has arrived.

    On a day without due mail, mail of the last days must show that there are readers at all: an
    empty database has none.
    """
    with app.store.read() as tx:
        lately = monitoring.accepted_since(tx, now - LATELY)
        nothing = monitoring.announced_nothing(tx, app.source.newest(now))
    if owed.arrived or (not owed.mails and (lately or nothing)):
        ping_due(app, now)


def ping_due(app: App, now: datetime) -> None:
    """Send the ping now. A failure is logged and retried in the next round."""
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
    seen = collect_state(app.store, app.settings, app.rubrics, app.source, now)
    with app.store.read() as tx:
        made = monitoring.digests_of(tx, (newest,))
        read = set(subscribers.count_by_rubric(tx))
    wrong = {alert.kind for alert in find(seen, bounds(app.settings))}
    return bool(read) and not wrong & SPOILS and all((slug, newest) in made for slug in read)
