"""Alerting: collect the state, apply the rules, store alerts and mail the new ones once.

collect  read the state from the tables, the calendar and the disk
find     apply the rules (alert_rules.py)
record   store what is new and what is over; both are logged
mail     send one mail with all new alerts; they are claimed first, so that one process sends it;
         a failed mail is sent in the next round
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
    with_reader_rubrics_merged,
)
from newsletter.domain.announcements import previous
from newsletter.domain.send_times import first_due
from newsletter.ingest.status import AnnouncementState, announcement_status
from newsletter.mailers import SendError, SendFailure
from newsletter.operations.alert_rules import HOUR, find_alerts
from newsletter.rubrics.folder import faults_of, reread, why_missing, without_file
from newsletter.store import Store, StoreError, alerts, audience, subscriptions
from newsletter.store.polls import polls_of
from newsletter.store.reports import monitoring

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
"""Wait before a report is sent again that may have been sent, or whose sender died."""
OUTAGE_ROUNDS = 2
"""Rounds in a row without the database before it is reported: a long import also locks it.
"""


@dataclass(slots=True)
class DatabaseOutage:
    """A database outage: the one alert that can't be stored in the database."""

    opened: OpenAlert
    rounds: int = 1


_outages: WeakKeyDictionary[Store, DatabaseOutage] = WeakKeyDictionary()
NOT_POLLED = "arXiv was not polled"
_seen_last_round: WeakKeyDictionary[Store, set[tuple[str, str, date]]] = WeakKeyDictionary()
"""Digests for which arXiv was not polled, or mail was overdue, in the last round."""


def report_alerts(app: App, now: datetime) -> None:
    """One round: find the alerts, store them, mail the new ones."""
    try:
        _require_file(app.store)
        reread(app.rubrics)
        state = collect_state(app.store, app.settings, app.rubrics, app.source, now)
        state = _confirmed(app.store, state)
        with app.store.begin() as tx:
            fresh, over = alerts.record(tx, find_alerts(state, thresholds(app.settings)), now)
        _log(fresh, over)
        if app.settings.operator_email:
            _mail_new(app, now)
    except StoreError as fault:
        _record_outage(app, str(fault), now)
        return
    if app.store in _outages:
        _outages[app.store].rounds = 0


def _require_file(store: Store) -> None:
    """Raises StoreError if the file was removed: a process that has it open would not notice."""
    path = Path(store.url.database or "")
    if store.is_sqlite and not path.exists():
        message = (
            f"database {path}: the file was removed, and what is written now is lost; stop the "
            "service and put the file back"
        )
        raise StoreError(message)


def collect_state(
    store: Store,
    settings: Settings,
    rubrics: Mapping[str, Rubric],
    source: PaperSource,
    now: datetime,
) -> ServiceState:
    """Read the state from the database, the calendar and the disk."""
    with store.read() as tx:
        known = monitoring.read_mail_state(tx, now)
        readers = subscriptions.count_by_rubric(tx)
        read = {slug: rubrics[slug] for slug in readers if slug in rubrics}
        missing_digests = _missing_digests(tx, settings, read, source.newest(now), now)
        unplanned = unplanned_mail(tx, now - HOUR, settings.zone, settings.send_at)
    invalid, missing = _rubric_faults(rubrics, readers, now)
    state = replace(
        known,
        late_announcements=_late_announcements(store, source, read, now),
        invalid_rubrics=invalid,
        missing_rubrics=missing,
        rubrics_dir=str(settings.rubrics_dir),
        missing_digests=missing_digests,
        overdue_mail=merge_incidents((*known.overdue_mail, *unplanned)),
        disks=_disks(settings),
    )
    return with_reader_rubrics_merged(state)


def _rubric_faults(
    rubrics: Mapping[str, Rubric], readers: Mapping[str, int], now: datetime
) -> tuple[tuple[Incident, ...], tuple[Incident, ...]]:
    """Rubric files that are invalid, and rubrics with readers that have no file."""
    invalid, missing = (
        tuple(
            Incident(slug, now.date(), now, readers.get(slug, 0), why_missing(rubrics, slug))
            for slug in sorted(slugs)
        )
        for slugs in (faults_of(rubrics), without_file(rubrics, readers))
    )
    return invalid, missing


def _confirmed(store: Store, state: ServiceState) -> ServiceState:
    """Leave out overdue mail and announcements not polled until they are seen in two rounds.

    A service that was just started, or woke from sleep, does both at once.
    """
    not_polled = {("poll", one.rubric, one.day) for one in state.missing_digests if one.reason}
    overdue = {("mail", one.rubric, one.day) for one in state.overdue_mail}
    unconfirmed = (not_polled | overdue) - _seen_last_round.get(store, set())
    _seen_last_round[store] = not_polled | overdue
    return replace(
        state,
        missing_digests=tuple(
            one for one in state.missing_digests if ("poll", one.rubric, one.day) not in unconfirmed
        ),
        overdue_mail=tuple(
            one for one in state.overdue_mail if ("mail", one.rubric, one.day) not in unconfirmed
        ),
    )


def thresholds(settings: Settings) -> Thresholds:
    return Thresholds(
        late=timedelta(hours=settings.late_hours),
        day_nanos=settings.budget_nanos,
        month_nanos=settings.monthly_budget_nanos,
        disk_bytes=int(settings.disk_free_gb * 1e9),
    )


def _late_announcements(
    store: Store, source: PaperSource, read: Mapping[str, Rubric], now: datetime
) -> tuple[Incident, ...]:
    """The newest announcement, if it was polled and is not complete.

    A service that was down knows nothing of an announcement until its first poll. An incomplete
    announcement counts as late from the time its first part appeared.
    """
    wanted = sorted({name for rubric in read.values() for name in rubric.categories})
    status = announcement_status(store, source, wanted, now)
    if status.state not in {AnnouncementState.LATE, AnnouncementState.INCOMPLETE}:
        return ()
    since = status.public_from
    if status.state is AnnouncementState.INCOMPLETE:
        with store.read() as tx:
            polls = polls_of(tx, status.date, now)
        # A poll may have been repeated since; then it is later than `now` and not read.
        since = max((one.out_at for one in polls.values() if one.out_at), default=now)
    reason = (
        f"Of arXiv's announcement of {status.date}, public from {status.public_from:%Y-%m-%d %H:%M}"
        f" UTC, these categories are incomplete: {', '.join(status.missing)}."
    )
    return (Incident("", status.date, max(since, status.public_from), reason=reason),)


def _missing_digests(
    tx: Connection, settings: Settings, read: Mapping[str, Rubric], newest: date, now: datetime
) -> tuple[Incident, ...]:
    """Digests of the last two announcements that do not exist, and when their first mail was due.

    Their papers are stored, or arXiv was not polled. The rules decide whether they are overdue.
    """
    days = (previous(newest), newest)
    existing = monitoring.digests_of(tx, days)
    polled = bool(polls_of(tx, newest, now))
    found = []
    for day in days:
        fetched = monitoring.fetched_at(tx, day)
        for slug, rubric in read.items():
            not_polled = day == newest and not polled and not fetched
            if (slug, day) in existing or not (
                not_polled or fetched.keys() >= set(rubric.categories)
            ):
                continue
            readers = audience.first_readers(tx, slug)
            due = first_due(day, readers, settings.zone, settings.send_at)
            if due:
                ready = max(
                    (fetched[name] for name in rubric.categories if name in fetched), default=due
                )
                found.append(
                    Incident(slug, day, max(due, ready), reason=NOT_POLLED if not_polled else "")
                )
    return tuple(found)


def _disks(settings: Settings) -> tuple[DiskSpace, ...]:
    """The disks of the database and the outbox, each once."""
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


def _mail_new(app: App, now: datetime) -> None:
    """Mail the alerts that are due. They are claimed first, so that no other process mails them.

    If this process dies in between they stay claimed for DOUBTFUL_REST, as if sent.
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
        log.warning("alert mail failed: %s", error)
        if error.failure is not SendFailure.UNKNOWN:
            with app.store.begin() as tx:
                alerts.release_claim(tx, ids)
        return
    with app.store.begin() as tx:
        alerts.mark_reported(tx, ids, now)


def _record_outage(app: App, reason: str, now: datetime) -> None:
    """Alert that the database is away. The rules are those of all alerts, but the state is kept
    in this process.
    """
    log.warning("%s", reason, extra={"alert": "database"})
    found = OpenAlert(0, database_alert(reason), now, now)
    outage = _outages.get(app.store)
    if outage is None or now - outage.opened.last_seen > MAIL_INTERVAL:
        _outages[app.store] = DatabaseOutage(found)
        return
    outage.rounds += 1
    outage.opened = opened = replace(outage.opened, alert=found.alert, last_seen=now)
    due = outage.rounds >= OUTAGE_ROUNDS and due_to_report([opened], now)
    if not due or not app.settings.operator_email:
        return
    try:
        _mail(app, grouped([opened]), (), now)
    except SendError as error:
        log.warning("alert mail failed: %s", error)
        if error.failure is SendFailure.UNKNOWN:
            outage.opened = replace(opened, not_before=now + DOUBTFUL_REST)
        return
    outage.opened = replace(opened, told_at=now, not_before=None)


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
            mail_id=uuid4().hex,
            sender=app.sender,
            now=now,
        )
    )
