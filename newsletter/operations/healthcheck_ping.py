"""A sign of life each day that went well, for a watchdog that is elsewhere ("dead man's switch").

It says what no alert of ours can: that nothing of us runs any more. See healthchecks.io.
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
"""What keeps a day from having gone well."""


def ping(app: App, now: datetime) -> None:
    """Once a day, an hour after the usual hour of the mail: where all was made and nothing waits.

    On a day without an announcement the last one counts, so that the watchdog may expect one sign
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
    """The mails of the newest announcement, and how many of them were taken by who carries them."""

    mails: int
    arrived: int


def sign_if_well(app: App, owed: Owed, now: datetime) -> None:
    """Give the sign where somebody was owed mail and has it.

    On a day on which nobody is, for arXiv announced nothing or everybody reads weekly, mail of the
    last days must show that there are readers at all: a database that was lost has none.
    """
    with app.store.read() as tx:
        lately = monitoring.accepted_since(tx, now - LATELY)
        nothing = monitoring.announced_nothing(tx, app.source.newest(now))
    if owed.arrived or (not owed.mails and (lately or nothing)):
        ping_due(app, now)


def ping_due(app: App, now: datetime) -> None:
    """Ask for the address now; a failure is only logged, and tried again in the next round."""
    if not app.settings.ping_url:
        return
    request = urllib.request.Request(  # noqa: S310 - the setting takes http(s) only
        app.settings.ping_url, headers={"User-Agent": "arxiv-newsletter"}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310 - as above
            pass
    except (OSError, HTTPException, ValueError) as error:
        # The address itself is a secret of the watchdog's.
        reason = getattr(error, "code", None) or type(error).__name__
        log.warning("the sign of life was not taken: %s", reason)
        return
    with app.store.begin() as tx:
        alerts.keep_ping(tx, now.astimezone(app.settings.zone).date(), now)
    log.info("gave the sign of life")


def _went_well(app: App, newest: date, now: datetime) -> bool:
    seen = collect_state(app.store, app.settings, app.rubrics, app.source, now)
    with app.store.read() as tx:
        made = monitoring.digests_of(tx, (newest,))
        read = set(subscribers.count_by_rubric(tx))
    wrong = {alert.kind for alert in find(seen, bounds(app.settings))}
    return bool(read) and not wrong & SPOILS and all((slug, newest) in made for slug in read)
