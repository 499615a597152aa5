"""Alerts for the operator: kinds, when each is due, grouping into one mail (pure).

    open ──due_to_tell──> those to be told now ──grouped──> the sections of one mail

An alert is told once for each time that it begins, and again after a week if it is still open.
`operations/alert_rules.py` has the rules that raise them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAIL_INTERVAL = timedelta(hours=1)
"""Least time between two mails about one cause."""
REMINDER_INTERVAL = timedelta(days=7)
MAX_SUBJECTS = 20


class AlertKind(StrEnum):
    """What can be wrong; the value is the title that the operator reads."""

    LATE = "arXiv's batch is late"
    RUBRIC = "a rubric can't be read"
    SCORING = "scoring failed"
    MORNING = "the morning fails"
    MISSED = "a morning was missed"
    OVERDUE = "mail is overdue"
    HALTED = "mailing was stopped"
    BOUNCES = "too many addresses are gone"
    FIRST_MAILS = "first mails go slowly"
    UNKNOWN = "mails in doubt"
    COMPLAINTS_NEAR = "readers complain"
    COMPLAINTS = "too many complaints"
    BUDGET_NEAR = "a budget is nearly spent"
    BUDGET = "a budget is spent"
    DISK = "the disk is nearly full"
    DATABASE = "the database is in trouble"
    MAILBOX = "the mailbox of replies can't be read"
    REPLIES = "replies wait for you"
    SIGNUPS = "sign-ups are held back"

    @property
    def label(self) -> str:
        """For metrics and keys."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Alert:
    """`subject` tells it from others of its kind; `command` is one to run, where there is one."""

    kind: AlertKind
    subject: str
    what: str
    fix: str
    command: str = ""

    @property
    def title(self) -> str:
        return self.kind[:1].upper() + self.kind[1:]

    @property
    def key(self) -> str:
        return f"{self.kind.label}:{self.subject}"[:200]

    @property
    def cause(self) -> tuple[AlertKind, str, str]:
        """Alerts with the same cause have one fix: numbers and subjects are ignored."""
        return self.kind, re.sub(r"\d[\d.,]*", "#", self.what), self.fix


def database_alert(reason: str) -> Alert:
    """Alert for a database that fails."""
    return Alert(
        AlertKind.DATABASE,
        "",
        reason,
        "Until that is mended no digest is made and no mail is sent. Check the disk, the "
        "permissions and that the database server runs; then ask it:",
        "newsletter doctor",
    )


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """A stored alert."""

    id: int
    alert: Alert
    first_seen: datetime
    last_seen: datetime
    told_at: datetime | None = None
    not_before: datetime | None = None
    cleared_at: datetime | None = None


def due_to_report(opened: Iterable[OpenAlert], now: datetime) -> list[OpenAlert]:
    """What a mail of now must say: what is new, and what is open since the last week's reminder.

    Where a cause was told within the last hour, more of the same waits until that is over: many
    rubrics that fail one after the other are one mail, or two.
    """
    waiting = list(opened)
    recent = {
        one.alert.cause for one in waiting if one.told_at and now - one.told_at < MAIL_INTERVAL
    }
    return [
        one
        for one in waiting
        if (one.told_at is None or now - one.told_at >= REMINDER_INTERVAL)
        and (one.not_before is None or one.not_before <= now)
        and one.alert.cause not in recent
    ]


class Section(NamedTuple):
    """Alerts of one cause in words, as a template shows them."""

    title: str
    about: str
    what: str
    fix: str
    commands: tuple[str, ...]
    since: str


def grouped(told: Sequence[OpenAlert]) -> list[Section]:
    """One section for each cause, in the order of the kinds."""
    kinds = list(AlertKind)
    inorder = sorted(told, key=lambda one: (kinds.index(one.alert.kind), one.alert.cause))
    return [_section([*same]) for _, same in groupby(inorder, key=lambda one: one.alert.cause)]


def _section(same: Sequence[OpenAlert]) -> Section:
    first = same[0].alert
    subjects = list(dict.fromkeys(one.alert.subject for one in same if one.alert.subject))
    more = len(subjects) - MAX_SUBJECTS
    return Section(
        title=first.title,
        about=", ".join(subjects[:MAX_SUBJECTS]) + (f" and {more} more" if more > 0 else ""),
        what=first.what,
        fix=first.fix,
        commands=tuple(dict.fromkeys(one.alert.command for one in same if one.alert.command)),
        since=f"{min(one.first_seen for one in same):%Y-%m-%d %H:%M} UTC",
    )


def headline(sections: Sequence[Section]) -> str:
    """`Scoring failed: stars of 2025-09-23`, or how many things there are."""
    if len(sections) != 1:
        return f"{len(sections)} alerts"
    one = sections[0]
    return f"{one.title}: {one.about}" if one.about else one.title


MAX_COMPLAINT_SHARE = 0.003
MIN_COMPLAINTS = 3
"""Below this number in a month their share says nothing."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One thing that was seen: of a rubric's day (or of all rubrics), since when, how many, why."""

    rubric: str
    day: date
    since: datetime
    number: int = 0
    reason: str = ""

    @property
    def subject(self) -> str:
        return f"{self.rubric} of {self.day}" if self.rubric else str(self.day)


@dataclass(frozen=True, slots=True)
class DiskSpace:
    place: str
    free_bytes: int


@dataclass(frozen=True, slots=True)
class ServiceState:
    """The state of the service at one moment. Money in nano-dollars.

    `late` are batches that arXiv has not shown; `unreadable` rubric files that are wrong, with how
    many readers wait, `gone` those that are not there and have readers, `place` where they lie;
    `failed`, `unread` and `morning` what was noted of the last week's mornings; `missed` digests
    that are not made, since their first mail was due; `owed` and `doubts` mails late by an hour,
    planned or not; `halted` with as many hard bounces as stopped it; `slowed` first mails to new
    addresses that wait; `spent` each rubric's last days.
    """

    now: datetime
    late: tuple[Incident, ...] = ()
    unreadable: tuple[Incident, ...] = ()
    gone: tuple[Incident, ...] = ()
    failed: tuple[Incident, ...] = ()
    unread: tuple[Incident, ...] = ()
    morning: tuple[Incident, ...] = ()
    missed: tuple[Incident, ...] = ()
    owed: tuple[Incident, ...] = ()
    halted: tuple[Incident, ...] = ()
    slowed: tuple[Incident, ...] = ()
    doubts: tuple[Incident, ...] = ()
    spent: tuple[Incident, ...] = ()
    month_nanos: int = 0
    complained: int = 0
    accepted: int = 0
    signups: tuple[Incident, ...] = ()
    mailbox: tuple[Incident, ...] = ()
    replies: int = 0
    replies_since: datetime | None = None
    disks: tuple[DiskSpace, ...] = ()
    place: str = ""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From when on it matters."""

    late: timedelta
    day_nanos: int
    month_nanos: int | None
    disk_bytes: int


def complaint_share(complained: int, accepted: int) -> float:
    """Readers who complained, by the mails they are measured by; nothing where they are few."""
    if complained < MIN_COMPLAINTS:
        return 0.0
    return complained / accepted if accepted else 1.0


def stops_mail(complained: int, accepted: int) -> bool:
    """Whether so many readers complained that nothing more may be mailed."""
    return complaint_share(complained, accepted) > MAX_COMPLAINT_SHARE
