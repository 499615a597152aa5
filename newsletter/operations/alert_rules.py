"""Alert rules: from the state of the service to alerts (pure)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from newsletter.domain.alerts import (
    MAX_COMPLAINT_SHARE,
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
ALL_BUT = 0.99
"""Of a budget that counts as spent: the next call must fit as well, so the last cents never go."""
# Mailbox providers ask for less than the first and block above the second.
NEAR_COMPLAINTS = 0.001


def find(seen: ServiceState, bounds: Thresholds) -> list[Alert]:
    """Everything that is wrong now, the gravest kinds first."""
    return [alert for rule in RULES for alert in rule(seen, bounds)]


def _late(seen: ServiceState, bounds: Thresholds) -> Iterator[Alert]:
    for case in seen.late:
        if seen.now - case.since >= bounds.late:
            yield Alert(
                AlertKind.LATE,
                case.subject,
                case.reason,
                "It is polled until it is complete, and mailed then. Check "
                "https://status.arxiv.org, and whether this machine reaches arXiv.",
            )


def _morning(seen: ServiceState, _bounds: Thresholds) -> Iterator[Alert]:
    for case in seen.morning:
        if seen.now - case.since >= HOUR:  # A single failed request is not worth an alert.
            yield Alert(
                AlertKind.MORNING,
                case.subject,
                f"Since {_time(case.since)} no digest can be made: {case.reason}",
                "It is retried every 15 minutes. To check everything that it needs:",
                "newsletter doctor",
            )


def _rubrics(seen: ServiceState, _bounds: Thresholds) -> Iterator[Alert]:
    for case in seen.unreadable:
        yield Alert(
            AlertKind.RUBRIC,
            case.rubric,
            f"{case.reason}. Held until it is mended: the digests of "
            f"{plural(case.number, 'reader')}.",
            "All other rubrics are served. Mend the file, or take it out of the folder where it is "
            "no rubric; it is read again at the next run. What is wrong is said by:",
            f"newsletter rubrics check {seen.place}/{case.rubric}.md",
        )
    for case in seen.gone:
        yield Alert(
            AlertKind.RUBRIC,
            case.rubric,
            # The same words for each: where the folder itself is away, all of them are one alert.
            f"There is no file of it in {seen.place}. Held until it is there: the digests of "
            f"{plural(case.number, 'reader')}.",
            "All other rubrics are served. Put the file back, or give its readers another rubric "
            "with `newsletter subscribers import FILE --overwrite`. Who they are is said by:",
            "newsletter subscribers list",
        )


def _scoring(seen: ServiceState, _bounds: Thresholds) -> Iterator[Alert]:
    for case in seen.failed:
        again = RUN_AGAIN in case.reason
        yield Alert(
            AlertKind.SCORING,
            case.subject,
            case.reason,
            "The digest is held back and what was paid for is kept. `newsletter serve` tries it "
            "again every quarter of an hour until the next announcement; after that, or to mail "
            f"everybody at once{'' if again else ', once doctor finds nothing wrong'}:",
            f"{'' if again else 'newsletter doctor && '}newsletter run --date {case.day}",
        )


def _missed(seen: ServiceState, _bounds: Thresholds) -> Iterator[Alert]:
    explained = {(case.rubric, case.day) for case in seen.failed}
    explained |= {("", case.day) for case in seen.morning}
    for case in seen.missed:
        known = (case.rubric, case.day) in explained or ("", case.day) in explained
        if not known and seen.now - case.since >= HOUR:
            yield Alert(
                AlertKind.MISSED,
                case.subject,
                f"{case.reason or 'The papers are there'}, its first reader was due at "
                f"{_time(case.since)}, and there is no digest.",
                "Find the cause in the log, then make the digest:",
                f"newsletter run --date {case.day}",
            )


def _overdue(seen: ServiceState, _bounds: Thresholds) -> Iterator[Alert]:
    stopped = {(case.rubric, case.day) for case in seen.halted}
    for case in seen.owed:
        if (case.rubric, case.day) not in stopped:
            yield Alert(
                AlertKind.OVERDUE,
                case.subject,
                f"{plural(case.number, 'mail')} due since {_time(case.since)} were not sent.",
                "Find in the log what stops the service from sending. To mail everybody at once:",
                f"newsletter run --date {case.day} --rubric {case.rubric}",
            )


def _halted(seen: ServiceState, _bounds: Thresholds) -> Iterator[Alert]:
    for case in seen.halted:
        if case.number:
            yield Alert(
                AlertKind.BOUNCES,
                case.subject,
                case.reason,
                "Those addresses get no more mail; the other mails wait. Find out where the list "
                "comes from, and how old it is. To mail the others anyway:",
                f"newsletter deliveries allow --date {case.day} --rubric {case.rubric}",
            )
            continue
        yield Alert(
            AlertKind.HALTED,
            case.subject,
            case.reason,
            "Fix the cause above. The remaining mails are retried every five minutes; to mail "
            "everybody at once:",
            f"newsletter run --date {case.day} --rubric {case.rubric}",
        )


def _slowed(seen: ServiceState, _bounds: Thresholds) -> Iterator[Alert]:
    for case in seen.slowed:
        yield Alert(
            AlertKind.FIRST_MAILS,
            case.subject,
            f"{plural(case.number, 'first mail')} to imported addresses "
            f"wait{'s' if case.number == 1 else ''}: {FIRST_AN_HOUR} leave in the first hour, and "
            "twice as many in each that follows.",
            "Dead addresses of an old list must show before they harm the sender's reputation. "
            "It goes on while `newsletter serve` runs, and with each `newsletter run`. "
            "If you know that the list is good, send all at once:",
            f"newsletter deliveries allow --date {case.day} --rubric {case.rubric}",
        )


def _doubts(seen: ServiceState, _bounds: Thresholds) -> Iterator[Alert]:
    for case in seen.doubts:
        yield Alert(
            AlertKind.UNKNOWN,
            case.subject,
            f"{plural(case.number, 'mail')} in doubt since {_time(case.since)}: the "
            "provider may have accepted them.",
            "They are not sent again automatically: that could be a second copy. Look them up in "
            "the provider's activity log, and record the outcome of each with `newsletter "
            "deliveries resolve`:",
            "newsletter deliveries list",
        )


def _complaints(seen: ServiceState, _bounds: Thresholds) -> Iterator[Alert]:
    share = complaint_share(seen.complained, seen.accepted)
    if share <= NEAR_COMPLAINTS:
        return
    blocked = stops_mail(seen.complained, seen.accepted)
    yield Alert(
        AlertKind.COMPLAINTS if blocked else AlertKind.COMPLAINTS_NEAR,
        "",
        f"{seen.complained} readers reported mail as spam, of {seen.accepted:,} mails of 30 days: "
        f"{share:.2%}.",
        f"Above {MAX_COMPLAINT_SHARE:.1%} mailbox providers block a sender, and no digest is "
        "mailed until the share has fallen; they ask for less than "
        f"{NEAR_COMPLAINTS:.1%}. Find out which readers did not ask for mail: how were the last "
        "imported, and do they know the sender's name? "
        "Readers who complained get no more mail:",
        "newsletter subscribers list",
    )


def _budgets(seen: ServiceState, bounds: Thresholds) -> Iterator[Alert]:
    reached = {case.rubric for case in seen.unread}
    for case in _latest(seen.unread):
        yield Alert(
            AlertKind.BUDGET,
            case.rubric,
            f"{case.reason} (digest of {case.day}).",
            "The likeliest papers were scored first, and the digest names the rest. Raise "
            "NEWSLETTER_BUDGET_USD (or NEWSLETTER_MONTHLY_BUDGET_USD), or narrow the rubric; what "
            "a day needs is said by:",
            "newsletter run --dry-run",
        )
    near = [case for case in seen.spent if case.number >= NEAR_BUDGET * bounds.day_nanos]
    for case in _latest(near):
        if bounds.day_nanos and case.rubric not in reached:
            yield Alert(
                AlertKind.BUDGET_NEAR,
                case.rubric,
                f"{dollars(case.number)} of the {dollars(bounds.day_nanos)} of its day went "
                f"into the digest of {case.day}.",
                "A larger day would leave papers unread. Raise NEWSLETTER_BUDGET_USD if that must "
                "not happen; what a day needs is said by:",
                "newsletter run --dry-run",
            )
    yield from _month(seen, bounds)


def _month(seen: ServiceState, bounds: Thresholds) -> Iterator[Alert]:
    if not bounds.month_nanos or seen.month_nanos < NEAR_BUDGET * bounds.month_nanos:
        return
    spent = seen.month_nanos >= ALL_BUT * bounds.month_nanos
    yield Alert(
        AlertKind.BUDGET if spent else AlertKind.BUDGET_NEAR,
        f"month of {seen.now:%Y-%m}",
        f"{dollars(seen.month_nanos)} of the {dollars(bounds.month_nanos)} of the month are "
        "spent or reserved.",
        "Once it is gone papers stay unread and digests are held until the month ends. Raise "
        "NEWSLETTER_MONTHLY_BUDGET_USD if that must not happen; what was spent is said by:",
        "newsletter status",
    )


def _disks(seen: ServiceState, bounds: Thresholds) -> Iterator[Alert]:
    for disk in seen.disks:
        if disk.free_bytes < bounds.disk_bytes:
            yield Alert(
                AlertKind.DISK,
                disk.place,
                f"{disk.free_bytes / 1e9:.1f} GB are free where {disk.place} lies.",
                "On a full disk the database can't be written: no digest is made and no mail is "
                "sent. Free some space; to see what uses it:",
                f"du -xh --max-depth=1 {disk.place}",
            )


def _mailbox(seen: ServiceState, _bounds: Thresholds) -> Iterator[Alert]:
    for case in seen.mailbox:
        if seen.now - case.since >= HOUR:  # A restart of the server is not worth an alert.
            yield Alert(
                AlertKind.MAILBOX,
                "",
                f"Since {_time(case.since)} replies can't be read: {case.reason}",
                "Requests to unsubscribe wait there unread until this is fixed. Check "
                "the user, the password and the folder in NEWSLETTER_IMAP_URL, then:",
                "newsletter doctor",
            )


def _replies(seen: ServiceState, _bounds: Thresholds) -> Iterator[Alert]:
    if seen.replies and seen.replies_since:
        yield Alert(
            AlertKind.REPLIES,
            "",
            f"{plural(seen.replies, 'reply', 'replies')} for you to read, not understood or "
            f"meant for you; the oldest came at {_time(seen.replies_since)}.",
            "One may be a request to unsubscribe. Read them, and close each with `newsletter "
            "replies answer`:",
            "newsletter replies list",
        )


def _signups(seen: ServiceState, _bounds: Thresholds) -> Iterator[Alert]:
    newest: dict[str, Incident] = {case.rubric: case for case in seen.signups}
    for case in newest.values():
        yield Alert(
            AlertKind.SIGNUPS,
            case.rubric,
            case.reason,
            "Those who asked were told to try again later. If it is a flood, let the proxy refuse "
            "it; if all of them seem to come from your own proxy, name it in FORWARDED_ALLOW_IPS. "
            "What a proxy and the mailer look like from here is said by:",
            "newsletter doctor",
        )


RULES: tuple[Callable[[ServiceState, Thresholds], Iterator[Alert]], ...] = (
    _late,
    _morning,
    _rubrics,
    _scoring,
    _missed,
    _overdue,
    _halted,
    _slowed,
    _doubts,
    _complaints,
    _budgets,
    _disks,
    _mailbox,
    _replies,
    _signups,
)


def _latest(cases: Iterable[Incident]) -> list[Incident]:
    """The newest day of each rubric."""
    newest: dict[str, Incident] = {}
    for case in cases:
        if case.rubric not in newest or case.day > newest[case.rubric].day:
            newest[case.rubric] = case
    return [newest[rubric] for rubric in sorted(newest)]


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
