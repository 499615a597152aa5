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

from newsletter.domain.alerts import Kind
from newsletter.operations.alert_rules import find
from newsletter.operations.alerting import bounds, look
from newsletter.store import alerts, monitoring, subscribers

if TYPE_CHECKING:
    from newsletter.context import Room

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10
LATELY = timedelta(days=8)
AFTER_THE_HOUR = timedelta(hours=1)
SPOILS = {
    *(Kind.LATE, Kind.MORNING, Kind.SCORING, Kind.MISSED),
    *(Kind.OVERDUE, Kind.HALTED, Kind.DATABASE),
}
"""What keeps a day from having gone well."""


def give_sign(room: Room, now: datetime) -> None:
    """Once a day, an hour after the usual hour of the mail: where all was made and nothing waits.

    On a day without an announcement the last one counts, so that the watchdog may expect one sign
    each day.
    """
    here = now.astimezone(room.settings.zone)
    hour = datetime.combine(here.date(), room.settings.send_at, room.settings.zone)
    if not room.settings.ping_url or now < hour + AFTER_THE_HOUR:
        return
    with room.store.read() as tx:
        if alerts.pinged(tx, here.date()):
            return
    newest = room.source.newest(now)
    with room.store.read() as tx:
        owed = Owed(*monitoring.mails_of(tx, newest))
    if _went_well(room, newest, now):
        sign_if_well(room, owed, now)


class Owed(NamedTuple):
    """The mails of the newest announcement, and how many of them were taken by who carries them."""

    mails: int
    arrived: int


def sign_if_well(room: Room, owed: Owed, now: datetime) -> None:
    """Give the sign where somebody was owed mail and has it.

    On a day on which nobody is, for arXiv announced nothing or everybody reads weekly, mail of the
    last days must show that there are readers at all: a database that was lost has none.
    """
    with room.store.read() as tx:
        lately = monitoring.arrived_since(tx, now - LATELY)
        nothing = monitoring.announced_nothing(tx, room.source.newest(now))
    if owed.arrived or (not owed.mails and (lately or nothing)):
        sign(room, now)


def sign(room: Room, now: datetime) -> None:
    """Ask for the address now; a failure is only logged, and tried again in the next round."""
    if not room.settings.ping_url:
        return
    request = urllib.request.Request(  # noqa: S310 - the setting takes http(s) only
        room.settings.ping_url, headers={"User-Agent": "arxiv-newsletter"}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310 - as above
            pass
    except (OSError, HTTPException, ValueError) as error:
        # The address itself is a secret of the watchdog's.
        reason = getattr(error, "code", None) or type(error).__name__
        log.warning("the sign of life was not taken: %s", reason)
        return
    with room.store.begin() as tx:
        alerts.keep_ping(tx, now.astimezone(room.settings.zone).date(), now)
    log.info("gave the sign of life")


def _went_well(room: Room, newest: date, now: datetime) -> bool:
    seen = look(room.store, room.settings, room.rubrics, room.source, now)
    with room.store.read() as tx:
        made = monitoring.digested(tx, (newest,))
        read = set(subscribers.readers(tx))
    wrong = {alert.kind for alert in find(seen, bounds(room.settings))}
    return bool(read) and not wrong & SPOILS and all((slug, newest) in made for slug in read)
