"""Look at the service, keep what is wrong, and tell the operator: each thing once, with the fix.

look     what the tables say, and the calendar, and the disk
find     the rules (alert_rules.py)
record   what is new and what is over; both are logged
tell     one mail with all that is new, claimed first: of several processes one sends it; what
         could not be sent is sent in the next round
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4
from weakref import WeakKeyDictionary

from newsletter.delivery.message import notification
from newsletter.delivery.overdue import merge_incidents, unplanned_mail
from newsletter.domain.alerts import (
    MAIL_INTERVAL,
    DiskSpace,
    Incident,
    OpenAlert,
    Section,
    ServiceState,
    Thresholds,
    database_alert,
    due_to_report,
    grouped,
    headline,
)
from newsletter.domain.announcements import previous
from newsletter.domain.model import NANOS_PER_DOLLAR
from newsletter.domain.send_times import first_due
from newsletter.ingest.status import AnnouncementState, announcement_status
from newsletter.mailers import SendError, Verdict
from newsletter.operations.alert_rules import HOUR, find
from newsletter.rubric_folder import faults_of, reread, why_missing, without_file
from newsletter.store import Store, StoreError, alerts, monitoring, subscribers
from newsletter.store.polls import polls_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from sqlalchemy import Connection

    from newsletter.context import App
    from newsletter.domain.model import Rubric
    from newsletter.settings import Settings
    from newsletter.sources import PaperSource

log = logging.getLogger(__name__)

DOUBTFUL_REST = timedelta(hours=1)
"""Before a mail is tried again that may have gone out, or whose sender died."""
STRIKES = 2
"""Rounds in a row without the database until it is told: a long import also locks it for a while.
"""


@dataclass(slots=True)
class _Silence:
    """The one thing that can't be kept in the database: that it does not answer."""

    opened: OpenAlert
    in_a_row: int = 1


_silent: WeakKeyDictionary[Store, _Silence] = WeakKeyDictionary()
UNASKED = "Nobody has asked arXiv for its papers"
_lacked: WeakKeyDictionary[Store, set[tuple[str, str, date]]] = WeakKeyDictionary()
"""Of which digests the papers were not asked for, or mail was overdue, at the last round."""


def report_alerts(app: App, now: datetime) -> None:
    """One round: find what is wrong, keep it, mail what is new."""
    try:
        _find_file(app.store)
        reread(app.rubrics)
        seen = collect_state(app.store, app.settings, app.rubrics, app.source, now)
        seen = _without_haste(app.store, seen)
        with app.store.begin() as tx:
            fresh, over = alerts.record(tx, find(seen, bounds(app.settings)), now)
        _log(fresh, over)
        if app.settings.operator_email:
            _tell(app, now)
    except StoreError as fault:
        _strike(app, str(fault), now)
        return
    if app.store in _silent:
        _silent[app.store].in_a_row = 0


def _find_file(store: Store) -> None:
    """Raises StoreError where the file was taken away: whoever has it open would never notice."""
    path = Path(store.url.database or "")
    if store.is_sqlite and not path.exists():
        message = (
            f"database {path}: the file is not there any more, and what is written now is lost "
            "with it; stop the service and put the file back"
        )
        raise StoreError(message)


def collect_state(
    store: Store,
    settings: Settings,
    rubrics: Mapping[str, Rubric],
    source: PaperSource,
    now: datetime,
) -> ServiceState:
    """The whole state. Asks nobody but the database, the calendar and the disk."""
    with store.read() as tx:
        known = monitoring.read_mail_state(tx, now)
        readers = subscribers.count_by_rubric(tx)
        read = {slug: rubrics[slug] for slug in readers if slug in rubrics}
        missed = _missed(tx, settings, read, source.newest(now), now)
        forgotten = unplanned_mail(tx, now - HOUR, settings.zone, settings.send_at)
    owed = merge_incidents((*known.owed, *forgotten))
    late = _late(store, source, read, now)
    unreadable, gone = _lacking(rubrics, readers, now)
    return replace(
        known,
        late=late,
        unreadable=unreadable,
        gone=gone,
        missed=missed,
        owed=owed,
        disks=_disks(settings),
        place=str(settings.rubrics_dir),
    )


def _lacking(
    rubrics: Mapping[str, Rubric], readers: Mapping[str, int], now: datetime
) -> tuple[tuple[Incident, ...], tuple[Incident, ...]]:
    """The rubric files that are wrong, and the rubrics with readers that have no file."""
    unreadable, gone = (
        tuple(
            Incident(slug, now.date(), now, readers.get(slug, 0), why_missing(rubrics, slug))
            for slug in sorted(slugs)
        )
        for slugs in (faults_of(rubrics), without_file(rubrics, readers))
    )
    return unreadable, gone


def _without_haste(store: Store, seen: ServiceState) -> ServiceState:
    """Without what may be mended by now: arXiv that nobody asked, and mail that did not go out,
    count from the second round on. A service that was just started, or woke, does both at once.
    """
    asked = {("asked", case.rubric, case.day) for case in seen.missed if case.reason}
    mailed = {("mailed", case.rubric, case.day) for case in seen.owed}
    hasty = (asked | mailed) - _lacked.get(store, set())
    _lacked[store] = asked | mailed
    return replace(
        seen,
        missed=tuple(one for one in seen.missed if ("asked", one.rubric, one.day) not in hasty),
        owed=tuple(one for one in seen.owed if ("mailed", one.rubric, one.day) not in hasty),
    )


def bounds(settings: Settings) -> Thresholds:
    month = settings.monthly_budget_usd
    return Thresholds(
        late=timedelta(hours=settings.late_hours),
        day_nanos=int(settings.budget_usd * NANOS_PER_DOLLAR),
        month_nanos=None if month is None else int(month * NANOS_PER_DOLLAR),
        disk_bytes=int(settings.disk_free_gb * 1e9),
    )


def _late(
    store: Store, source: PaperSource, read: Mapping[str, Rubric], now: datetime
) -> tuple[Incident, ...]:
    """The newest batch, where somebody looked for it and has not seen the whole of it.

    A service that was down when it came knows nothing of it until its first look; what has begun
    to come is late from then on that it began.
    """
    wanted = sorted({name for rubric in read.values() for name in rubric.categories})
    stands = announcement_status(store, source, wanted, now)
    if stands.state not in {AnnouncementState.LATE, AnnouncementState.INCOMPLETE}:
        return ()
    since = stands.public_from
    if stands.state is AnnouncementState.INCOMPLETE:
        with store.read() as tx:
            looks = polls_of(tx, stands.date, now)
        # The look may have been made anew since: then it is later than this moment, and not seen.
        since = max((one.out_at for one in looks.values() if one.out_at), default=now)
    reason = (
        f"Of arXiv's announcement of {stands.date}, public from {stands.public_from:%Y-%m-%d %H:%M}"
        f" UTC on, this is not all there: {', '.join(stands.missing)}."
    )
    return (Incident("", stands.date, max(since, stands.public_from), reason=reason),)


def _missed(
    tx: Connection, settings: Settings, read: Mapping[str, Rubric], newest: date, now: datetime
) -> tuple[Incident, ...]:
    """Digests of the last two announcements whose papers are there, or were never asked for, and
    when their first mail was due.

    Whether it is due by now is for the rules to say: a batch in bulk may take until then.
    """
    days = (previous(newest), newest)
    made = monitoring.digests_of(tx, days)
    asked = bool(polls_of(tx, newest, now))
    found = []
    for day in days:
        there = monitoring.fetched_at(tx, day)
        for slug, rubric in read.items():
            idle = day == newest and not asked and not there
            if (slug, day) in made or not (idle or there.keys() >= set(rubric.categories)):
                continue
            due = first_due(
                day, monitoring.send_preferences(tx, slug), settings.zone, settings.send_at
            )
            if due:
                ready = max(
                    (there[name] for name in rubric.categories if name in there), default=due
                )
                found.append(Incident(slug, day, max(due, ready), reason=UNASKED if idle else ""))
    return tuple(found)


def _disks(settings: Settings) -> tuple[DiskSpace, ...]:
    """Where the database and the outbox lie; two places on one disk are one."""
    url = settings.database_url.get_secret_value()
    places = [Path(url.partition(":///")[2])] if url.startswith("sqlite") else []
    if settings.mailer_name == "outbox":
        places.append(settings.outbox_dir)
    found: dict[int, DiskSpace] = {}
    for place in places:
        there = next(one for one in (place, *place.absolute().parents) if one.is_dir())
        found.setdefault(
            there.stat().st_dev, DiskSpace(str(there.absolute()), shutil.disk_usage(there).free)
        )
    return tuple(found.values())


def _log(fresh: Sequence[OpenAlert], over: int) -> None:
    for one in fresh:
        subject = f" ({one.alert.subject})" if one.alert.subject else ""
        what = f"{one.alert.kind}{subject}: {one.alert.what} {one.alert.fix} {one.alert.command}"
        log.warning("%s", what.strip(), extra={"alert": one.alert.kind.label})
    if over:
        log.info("%d alerts are over", over)


def _tell(app: App, now: datetime) -> None:
    """Mail what waits to be told. It is claimed before, so that no other process mails it too.

    Who dies in between leaves it claimed, as if it might have gone out: it is told after a while.
    """
    with app.store.begin() as tx:
        waiting = due_to_report(alerts.open_alerts(tx), now)
        ended = alerts.resolved_since_reported(tx)
        ours = alerts.claim(tx, waiting, now, now + DOUBTFUL_REST)
    if not ours:
        return
    ids = [one.id for one in ours]
    try:
        _mail(app, grouped(ours), grouped(ended), now)
    except SendError as error:
        log.warning("the operator could not be told by mail: %s", error)
        if error.verdict is not Verdict.UNKNOWN:
            with app.store.begin() as tx:
                alerts.release_claim(tx, ids)
        return
    with app.store.begin() as tx:
        alerts.mark_reported(tx, ids, now)


def _strike(app: App, reason: str, now: datetime) -> None:
    """The database does not answer, or takes nothing: told by the rules of all alerts, but from
    the memory of this process.
    """
    log.warning("%s", reason, extra={"alert": "database"})
    found = OpenAlert(0, database_alert(reason), now, now)
    silence = _silent.get(app.store)
    if silence is None or now - silence.opened.last_seen > MAIL_INTERVAL:
        _silent[app.store] = _Silence(found)
        return
    silence.in_a_row += 1
    silence.opened = opened = replace(silence.opened, alert=found.alert, last_seen=now)
    due = silence.in_a_row >= STRIKES and due_to_report([opened], now)
    if not due or not app.settings.operator_email:
        return
    try:
        _mail(app, grouped([opened]), (), now)
    except SendError as error:
        log.warning("the operator could not be told by mail: %s", error)
        if error.verdict is Verdict.UNKNOWN:
            silence.opened = replace(opened, not_before=now + DOUBTFUL_REST)
        return
    silence.opened = replace(opened, told_at=now, not_before=None)


def _mail(app: App, sections: Sequence[Section], ended: Sequence[Section], now: datetime) -> None:
    """Raises SendError."""
    subject, html, text = app.renderer.mail(
        "alert",
        headline=headline(sections),
        sections=sections,
        ended=[f"{one.title}: {one.about}" if one.about else one.title for one in ended],
    )
    app.mailer.send(
        notification(
            to_email=app.settings.operator_email,
            to_name="",
            subject=subject,
            html=html,
            text=text,
            letter_id=uuid4().hex,
            sender=app.sender,
            now=now,
        )
    )
