"""Alert rules: from the state of the service to alerts (pure)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from newsletter.domain.alerts import (
    MAX_COMPLAINT_SHARE,
    READER_RUBRICS,
    Alert,
    AlertKind,
    Incident,
    ServiceState,
    Thresholds,
    complaint_share,
    stops_mail,
)
from newsletter.domain.bounce_codes import FIRST_AN_HOUR
from newsletter.domain.formatting import dollars, plural
from newsletter.errors import RUN_AGAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

HOUR = timedelta(hours=1)
NEAR_BUDGET = 0.8
SPENT_BUDGET = 0.99
"""Share at which a budget counts as spent: the last cents rarely suffice for another call."""
NEAR_COMPLAINTS = 0.001
"""Mailbox providers ask for a share below this, and block above MAX_COMPLAINT_SHARE."""


def find_alerts(state: ServiceState, limits: Thresholds) -> list[Alert]:
    """The alerts of this state, the most severe kinds first."""
    found = [alert for rule in RULES for alert in rule(state, limits)]
    return [_while_running(one) for one in found] if state.running else found


WAIT_FIRST = {AlertKind.SCORING, AlertKind.MISSED, AlertKind.OVERDUE, AlertKind.RUN_FAILED}
"""What a run that is in progress may end by itself."""


def _while_running(alert: Alert) -> Alert:
    if alert.kind not in WAIT_FIRST:
        return alert
    return replace(
        alert,
        fix="A run is in progress: wait until it ends. `newsletter status` shows how far it is. If "
        f"this alert is still there then: {alert.fix}",
    )


def _late_announcements(state: ServiceState, limits: Thresholds) -> Iterator[Alert]:
    for one in state.late_announcements:
        if state.now - one.since >= limits.late:
            yield Alert(
                AlertKind.LATE,
                one.subject,
                one.reason,
                "It is polled until it is complete; then digests are mailed. Check "
                "https://status.arxiv.org, and whether this machine reaches arXiv.",
            )


def _run_failures(state: ServiceState, _limits: Thresholds) -> Iterator[Alert]:
    for one in state.run_failures:
        if state.now - one.since >= HOUR:  # A single failed request is not worth an alert.
            yield Alert(
                AlertKind.RUN_FAILED,
                one.subject,
                f"Since {_utc(one.since)} no digest can be made: {one.reason}",
                "It is retried every 15 minutes. To check everything it needs:",
                "newsletter doctor",
            )


def _rubric_files(state: ServiceState, _limits: Thresholds) -> Iterator[Alert]:
    for one in state.invalid_rubrics:
        if one.rubric == READER_RUBRICS:
            yield Alert(
                AlertKind.RUBRIC,
                one.rubric,
                f"{one.reason.rstrip('.')}. {_held_until_fixed(one.number)}",
                "All other rubrics are served. Their readers can write them anew on the "
                "preferences page. To list reader rubrics:",
                "newsletter rubrics list --readers",
            )
            continue
        yield Alert(
            AlertKind.RUBRIC,
            one.rubric,
            f"{one.reason.rstrip('.')}. {_held_until_fixed(one.number)}",
            "All other rubrics are served. Fix the file, or remove it from the folder if it is no "
            "rubric; it is read again at the next run. To see its faults:",
            f"newsletter rubrics check {state.rubrics_dir}/{one.rubric}.md",
        )
    for one in state.missing_rubrics:
        yield Alert(
            AlertKind.RUBRIC,
            one.rubric,
            # The same words for every rubric: if the whole folder is missing, it is one alert.
            f"It has no file in {state.rubrics_dir}. The digests of "
            f"{plural(one.number, 'reader')} are held until there is one.",
            "All other rubrics are served. Restore the file, or give its readers another rubric "
            "with `newsletter subscribers import FILE --overwrite`. To list them:",
            "newsletter subscribers list",
        )


def _held_until_fixed(readers: int) -> str:
    if not readers:
        return "It has no readers yet."
    return f"The digests of {plural(readers, 'reader')} are held until the file is fixed."


def _scoring_failures(state: ServiceState, _limits: Thresholds) -> Iterator[Alert]:
    for one in state.scoring_failures:
        again = RUN_AGAIN in one.reason
        yield Alert(
            AlertKind.SCORING,
            one.subject,
            one.reason,
            "The digest is held; paid answers are kept. `newsletter serve` retries every 15 "
            "minutes until the next announcement; after that, or to mail "
            f"everybody at once{'' if again else ', once doctor passes'}:",
            f"{'' if again else 'newsletter doctor && '}newsletter run --date {one.day}",
        )


def _missing_digests(state: ServiceState, _limits: Thresholds) -> Iterator[Alert]:
    explained = {(one.rubric, one.day) for one in state.scoring_failures}
    explained |= {("", one.day) for one in state.run_failures}
    for one in state.missing_digests:
        known = (one.rubric, one.day) in explained or ("", one.day) in explained
        if not known and state.now - one.since >= HOUR:
            yield Alert(
                AlertKind.MISSED,
                one.subject,
                f"{one.reason or 'The papers are stored'}, the first mail was due at "
                f"{_utc(one.since)}, and there is no digest.",
                "Find the cause in the log, then make the digest:",
                f"newsletter run --date {one.day}",
            )


def _overdue_mail(state: ServiceState, _limits: Thresholds) -> Iterator[Alert]:
    stopped = {(one.rubric, one.day) for one in state.halted_digests}
    for one in state.overdue_mail:
        if (one.rubric, one.day) not in stopped:
            yield Alert(
                AlertKind.OVERDUE,
                one.subject,
                f"{plural(one.number, 'mail')} due since {_utc(one.since)} were not sent.",
                "Find in the log what stops the service from sending. To mail everybody at once:",
                f"newsletter run {one.options}",
            )


def _halted_digests(state: ServiceState, _limits: Thresholds) -> Iterator[Alert]:
    for one in state.halted_digests:
        if one.number:
            yield Alert(
                AlertKind.BOUNCES,
                one.subject,
                one.reason,
                "Those addresses get no more mail; the other mails wait. Find out where the list "
                "of addresses comes from and how old it is. To send the other mails anyway:",
                f"newsletter deliveries allow --date {one.day} --rubric {one.slug}",
            )
            continue
        yield Alert(
            AlertKind.HALTED,
            one.subject,
            one.reason,
            "Fix the cause above. The remaining mails are retried every five minutes; to mail "
            "everybody at once:",
            f"newsletter run {one.options}",
        )


def _held_first_mails(state: ServiceState, _limits: Thresholds) -> Iterator[Alert]:
    for one in state.held_first_mails:
        yield Alert(
            AlertKind.FIRST_MAILS,
            one.subject,
            f"{plural(one.number, 'first mail')} to imported addresses "
            f"wait{'s' if one.number == 1 else ''}: {FIRST_AN_HOUR} are sent in the first hour, "
            "and twice as many in each hour after it.",
            "An old list has addresses that bounce, and many bounces at once harm the sender's "
            "reputation. Sending goes on while `newsletter serve` runs, and with each `newsletter "
            "run`. If you know that the list is good, send all at once:",
            f"newsletter deliveries allow --date {one.day} --rubric {one.slug}",
        )


def _unknown_mail(state: ServiceState, _limits: Thresholds) -> Iterator[Alert]:
    for one in state.unknown_mail:
        yield Alert(
            AlertKind.UNKNOWN,
            one.subject,
            f"The outcome of {plural(one.number, 'mail')} is unknown since {_utc(one.since)}: the "
            "provider may have accepted them.",
            "They are not sent again automatically: readers could get a second copy. Look them up "
            "in the provider's activity log, and record the outcome of each with `newsletter "
            "deliveries resolve`:",
            "newsletter deliveries list",
        )


def _complaints(state: ServiceState, _limits: Thresholds) -> Iterator[Alert]:
    share = complaint_share(state.complaints, state.accepted_mails)
    if share <= NEAR_COMPLAINTS:
        return
    blocked = stops_mail(state.complaints, state.accepted_mails)
    yield Alert(
        AlertKind.COMPLAINTS if blocked else AlertKind.COMPLAINTS_NEAR,
        "",
        f"{state.complaints} readers reported mail as spam, of {state.accepted_mails:,} mails of "
        f"30 days: {share:.2%}.",
        f"Above {MAX_COMPLAINT_SHARE:.1%} mailbox providers block a sender, and no digest is "
        "mailed until the share has fallen; they ask for less than "
        f"{NEAR_COMPLAINTS:.1%}. Find out which readers did not ask for mail: where do the last "
        "imported addresses come from, and do their owners know the sender's name? "
        "Readers who complained get no more mail:",
        "newsletter subscribers list",
    )


def _budgets(state: ServiceState, limits: Thresholds) -> Iterator[Alert]:
    reached = {one.rubric for one in state.budget_shortfalls}
    for one in _latest(state.budget_shortfalls):
        yield Alert(
            AlertKind.BUDGET,
            one.rubric,
            f"{one.reason} (digest of {one.day}).",
            "The most promising papers were scored first, and the digest lists the others. Raise "
            "NEWSLETTER_BUDGET_USD (or NEWSLETTER_MONTHLY_BUDGET_USD), or narrow the rubric. To "
            "estimate the cost of a day:",
            "newsletter run --dry-run",
        )
    near = [one for one in state.rubric_spending if one.number >= NEAR_BUDGET * limits.day_nanos]
    for one in _latest(near):
        if limits.day_nanos and one.rubric not in reached:
            yield Alert(
                AlertKind.BUDGET_NEAR,
                one.rubric,
                f"The digest of {one.day} cost {dollars(one.number)} of the daily budget of "
                f"{dollars(limits.day_nanos)}.",
                "On a day with more papers some would not be scored. To prevent that, raise "
                "NEWSLETTER_BUDGET_USD. To estimate the cost of a day:",
                "newsletter run --dry-run",
            )
    yield from _monthly_budget(state, limits)


def _monthly_budget(state: ServiceState, limits: Thresholds) -> Iterator[Alert]:
    if not limits.month_nanos or state.month_nanos < NEAR_BUDGET * limits.month_nanos:
        return
    spent = state.month_nanos >= SPENT_BUDGET * limits.month_nanos
    yield Alert(
        AlertKind.BUDGET if spent else AlertKind.BUDGET_NEAR,
        f"month of {state.now:%Y-%m}",
        f"{dollars(state.month_nanos)} of the monthly budget of {dollars(limits.month_nanos)} "
        "are spent or reserved.",
        "When it is spent, no papers are scored and digests are held until the month ends. To "
        "prevent that, raise NEWSLETTER_MONTHLY_BUDGET_USD. To see what was spent:",
        "newsletter status",
    )


def _disks(state: ServiceState, limits: Thresholds) -> Iterator[Alert]:
    for disk in state.disks:
        if disk.free_bytes < limits.disk_bytes:
            yield Alert(
                AlertKind.DISK,
                disk.place,
                f"{disk.free_bytes / 1e9:.1f} GB are free on the disk of {disk.place}.",
                "On a full disk the database can't be written: no digest is made and no mail is "
                "sent. Free some space; to see what uses it:",
                f"du -xh --max-depth=1 {disk.place}",
            )


def _mailbox_failures(state: ServiceState, _limits: Thresholds) -> Iterator[Alert]:
    for one in state.mailbox_failures:
        if state.now - one.since >= HOUR:  # A restart of the server is not worth an alert.
            yield Alert(
                AlertKind.MAILBOX,
                "",
                f"Since {_utc(one.since)} replies can't be read: {one.reason}",
                "Requests to unsubscribe stay unread until this is fixed. Check "
                "the user, the password and the folder in NEWSLETTER_IMAP_URL, then:",
                "newsletter doctor",
            )


def _waiting_replies(state: ServiceState, _limits: Thresholds) -> Iterator[Alert]:
    if state.waiting_replies and state.oldest_reply:
        yield Alert(
            AlertKind.REPLIES,
            "",
            f"{plural(state.waiting_replies, 'reply', 'replies')} to read, not understood or "
            f"addressed to you; the oldest came at {_utc(state.oldest_reply)}.",
            "One may be a request to unsubscribe. Read them, and close each with `newsletter "
            "replies answer`:",
            "newsletter replies list",
        )


def _refused_signups(state: ServiceState, _limits: Thresholds) -> Iterator[Alert]:
    newest: dict[str, Incident] = {one.rubric: one for one in state.refused_signups}
    for one in newest.values():
        yield Alert(
            AlertKind.SIGNUPS,
            one.rubric,
            one.reason,
            "People who signed up were told to try again later. If it is an attack, let the proxy "
            "refuse it; if all requests seem to come from your own proxy, name it in "
            "FORWARDED_ALLOW_IPS. To check the proxy and the mailer:",
            "newsletter doctor",
        )


def _differing_processes(state: ServiceState, _limits: Thresholds) -> Iterator[Alert]:
    for one in state.differing:
        yield Alert(
            AlertKind.SETTINGS_DIFFER,
            one.name,
            f"The {one.role} {one.name} takes no task, because these are not the same as in the "
            f"process that plans: {one.settings}.",
            "Give every machine the same settings, rubric files and release; after a change of "
            "settings or release start that process again. If its settings are the new ones, start "
            "`newsletter serve` again with them. To see on a machine what differs:",
            "newsletter doctor",
        )


def _standstill(state: ServiceState, _limits: Thresholds) -> Iterator[Alert]:
    if state.standstill:
        yield Alert(
            AlertKind.STANDSTILL,
            "",
            f"{state.standstill[:1].upper()}{state.standstill[1:]}.",
            "Tasks of a silent worker are queued again by any live worker within two minutes: "
            "start one (`newsletter worker`, or `newsletter serve` without --no-work). A live "
            "worker that holds tasks for so long hangs: its log may say why, start it again. To "
            "see workers and tasks:",
            "newsletter status",
        )


RULES: tuple[Callable[[ServiceState, Thresholds], Iterator[Alert]], ...] = (
    _late_announcements,
    _run_failures,
    _rubric_files,
    _scoring_failures,
    _missing_digests,
    _overdue_mail,
    _halted_digests,
    _held_first_mails,
    _unknown_mail,
    _complaints,
    _budgets,
    _disks,
    _mailbox_failures,
    _waiting_replies,
    _refused_signups,
    _differing_processes,
    _standstill,
)


def _latest(incidents: Iterable[Incident]) -> list[Incident]:
    """The newest date of each rubric."""
    newest: dict[str, Incident] = {}
    for one in incidents:
        if one.rubric not in newest or one.day > newest[one.rubric].day:
            newest[one.rubric] = one
    return [newest[rubric] for rubric in sorted(newest)]


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
