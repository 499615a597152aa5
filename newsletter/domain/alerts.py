"""Alerts for the operator: kinds, when each is due, grouping into one mail (pure).

    open alerts ──due_to_report──> alerts to mail now ──grouped──> sections of one mail

An alert is mailed once each time it is raised, and again after a week if it is still open.
The rules that raise alerts are in `operations/alert_rules.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.formatting import first_names
from newsletter.domain.reader_rubrics import is_reader_rubric

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAIL_INTERVAL = timedelta(hours=1)
"""Least time between two mails about one cause."""
REMINDER_INTERVAL = timedelta(days=7)
MAX_SUBJECTS = 20


class AlertKind(StrEnum):
    """The value is the title that the operator reads. The name is stored."""

    LATE = "arXiv's announcement is late"
    RUBRIC = "a rubric file is invalid or missing"
    SCORING = "scoring failed"
    RUN_FAILED = "the daily run fails"
    MISSED = "a digest is missing"
    OVERDUE = "mail is overdue"
    HALTED = "sending was stopped"
    BOUNCES = "too many hard bounces"
    FIRST_MAILS = "first mails are sent slowly"
    UNKNOWN = "mails with unknown outcome"
    COMPLAINTS_NEAR = "spam complaints"
    COMPLAINTS = "too many spam complaints"
    BUDGET_NEAR = "a budget is nearly spent"
    BUDGET = "a budget is spent"
    DISK = "the disk is nearly full"
    DATABASE = "the database fails"
    MAILBOX = "the reply mailbox can't be read"
    REPLIES = "replies need review"
    SIGNUPS = "sign-ups are refused"
    SETTINGS_DIFFER = "a process has other settings"
    STANDSTILL = "tasks make no progress"

    @property
    def label(self) -> str:
        """Name in metrics, JSON and the table."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Alert:
    """`subject` distinguishes alerts of one kind; `command`, if any, is the one to run."""

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
    return Alert(
        AlertKind.DATABASE,
        "",
        reason,
        "Until this is fixed no digest is made and no mail is sent. Check the disk, the "
        "permissions and that the database server runs; then:",
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
    """Alerts to mail now: new ones, and those whose weekly reminder is due.

    If a cause was mailed within the last hour, further alerts of that cause wait until the hour is
    over: many rubrics that fail one after another cause one or two mails.
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
    """Alerts of one cause, as a template shows them."""

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
    return Section(
        title=first.title,
        about=first_names(subjects, MAX_SUBJECTS),
        what=first.what,
        fix=first.fix,
        commands=tuple(dict.fromkeys(one.alert.command for one in same if one.alert.command)),
        since=f"{min(one.first_seen for one in same):%Y-%m-%d %H:%M} UTC",
    )


def headline(sections: Sequence[Section]) -> str:
    """`Scoring failed: stars of 2025-09-23`, or the number of alerts."""
    if len(sections) != 1:
        return f"{len(sections)} alerts"
    one = sections[0]
    return f"{one.title}: {one.about}" if one.about else one.title


MAX_COMPLAINT_SHARE = 0.003
MIN_COMPLAINTS = 3
"""Fewer complaints in a month prove nothing, whatever their share."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One observation about the digest of a rubric and date; an empty rubric means all of them."""

    rubric: str
    day: date
    since: datetime
    number: int = 0
    reason: str = ""

    @property
    def subject(self) -> str:
        return f"{self.rubric} of {self.day}" if self.rubric else str(self.day)

    @property
    def options(self) -> str:
        """The options of a command that name this digest, or the digests of the date."""
        of_one = self.rubric and self.rubric != READER_RUBRICS
        return f"--date {self.day} --rubric {self.rubric}" if of_one else f"--date {self.day}"

    @property
    def slug(self) -> str:
        """The rubric in a command that needs one."""
        return "SLUG" if self.rubric == READER_RUBRICS else self.rubric


READER_RUBRICS = "reader rubrics"
"""Stands for all reader rubrics: what happens to them is one alert for all."""


def merge_reader_rubrics(found: Iterable[Incident]) -> tuple[Incident, ...]:
    """The incidents of all reader rubrics of a day as one, after the others."""
    others, by_day = [], dict[date, list[Incident]]()
    for one in found:
        if is_reader_rubric(one.rubric):
            by_day.setdefault(one.day, []).append(one)
        else:
            others.append(one)
    return (*others, *(_merged(day, some) for day, some in by_day.items()))


def _merged(day: date, some: Sequence[Incident]) -> Incident:
    since, number = min(one.since for one in some), sum(one.number for one in some)
    reason = next((f"{one.rubric}: {one.reason}" for one in some if one.reason), "")
    rubrics = len({one.rubric for one in some})
    if reason and rubrics > 1:
        reason = f"{rubrics} of them, the first {reason}"
    return Incident(READER_RUBRICS, day, since, number, reason)


@dataclass(frozen=True, slots=True)
class DiskSpace:
    place: str
    free_bytes: int


@dataclass(frozen=True, slots=True)
class DifferingProcess:
    """A live process whose settings are not the planner's; `settings` names them."""

    name: str
    role: str
    settings: str


@dataclass(frozen=True, slots=True)
class ServiceState:
    """The state of the service at one moment. Money in nano-dollars."""

    now: datetime
    late_announcements: tuple[Incident, ...] = ()
    rubrics_dir: str = ""
    invalid_rubrics: tuple[Incident, ...] = ()
    missing_rubrics: tuple[Incident, ...] = ()
    """Rubrics that have readers but no file."""
    run_failures: tuple[Incident, ...] = ()
    scoring_failures: tuple[Incident, ...] = ()
    budget_shortfalls: tuple[Incident, ...] = ()
    """Digests in which papers were not scored because the budget was spent."""
    missing_digests: tuple[Incident, ...] = ()
    """Digests that do not exist, since their first mail was due."""
    overdue_mail: tuple[Incident, ...] = ()
    """Mail due for more than an hour, whether or not it is planned."""
    unknown_mail: tuple[Incident, ...] = ()
    """Mail whose outcome is unknown for more than an hour."""
    halted_digests: tuple[Incident, ...] = ()
    """`number` is the count of hard bounces, if they are the reason."""
    held_first_mails: tuple[Incident, ...] = ()
    """First mails to imported addresses that wait for the hourly limit."""
    rubric_spending: tuple[Incident, ...] = ()
    month_nanos: int = 0
    """Spent or reserved this month."""
    month_unknown_nanos: int = 0
    """The part of it that may not have been billed."""
    complaints: int = 0
    accepted_mails: int = 0
    refused_signups: tuple[Incident, ...] = ()
    mailbox_failures: tuple[Incident, ...] = ()
    waiting_replies: int = 0
    oldest_reply: datetime | None = None
    disks: tuple[DiskSpace, ...] = ()
    differing: tuple[DifferingProcess, ...] = ()
    standstill: str = ""
    """Why open tasks make no progress; empty where they do."""
    running: bool = False
    """A run is in progress."""


def with_reader_rubrics_merged(state: ServiceState) -> ServiceState:
    """The state with one incident for all reader rubrics in place of one for each.

    Their small budgets are meant to be spent: that is none.
    """
    spent = [one for one in state.rubric_spending if not is_reader_rubric(one.rubric)]
    return replace(
        state,
        invalid_rubrics=merge_reader_rubrics(state.invalid_rubrics),
        scoring_failures=merge_reader_rubrics(state.scoring_failures),
        missing_digests=merge_reader_rubrics(state.missing_digests),
        overdue_mail=merge_reader_rubrics(state.overdue_mail),
        unknown_mail=merge_reader_rubrics(state.unknown_mail),
        halted_digests=merge_reader_rubrics(state.halted_digests),
        held_first_mails=merge_reader_rubrics(state.held_first_mails),
        rubric_spending=tuple(spent),
    )


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Limits from which on the state raises alerts."""

    late: timedelta
    day_nanos: int
    month_nanos: int | None
    disk_bytes: int


def complaint_share(complaints: int, accepted: int) -> float:
    """Readers who complained, per accepted mail; 0 if they are fewer than MIN_COMPLAINTS."""
    if complaints < MIN_COMPLAINTS:
        return 0.0
    return complaints / accepted if accepted else 1.0


def stops_mail(complaints: int, accepted: int) -> bool:
    """Whether so many readers complained that no digest may be mailed."""
    return complaint_share(complaints, accepted) > MAX_COMPLAINT_SHARE
