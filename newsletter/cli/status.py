"""`status` and `migrate`."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from newsletter import bootstrap
from newsletter.cli.console import print_json, say, screen, table
from newsletter.domain.alerts import Alert, OpenAlert, Section, ServiceState, grouped
from newsletter.domain.formatting import dollars, plural
from newsletter.domain.shared_settings import list_names
from newsletter.domain.votes import describe_votes
from newsletter.operations import shared_settings
from newsletter.operations.alert_rules import find_alerts
from newsletter.operations.alerting import collect_state, thresholds
from newsletter.rubrics.folder import RubricFolder, RubricSource, no_rubric
from newsletter.settings import Settings, read_settings
from newsletter.store import Store, alerts, claims, deliveries, digests, subscribers, votes
from newsletter.store.reports import operator_views, reader_rubrics
from newsletter.store.task_queue import is_working, read_queue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

SHOWN = 14


def show_status(*, as_json: bool) -> int:
    settings = read_settings()
    store = bootstrap.open_store(settings)
    folder = RubricFolder(settings.rubrics_dir)
    rubrics = bootstrap.catalog(settings, folder, store)
    seen = _state(store, settings, rubrics)
    wrong = _wrong(store, settings, seen)
    facts = {
        "alerts": [_alert_facts(one) for one in wrong],
        **_facts(store, seen),
        "votes": _votes(store, folder),
        "settings_differ": _differences(store, settings, folder),
        **_queue_facts(store),
    }
    if as_json:
        print_json(facts)
        return 0
    console = screen()
    for section in grouped(wrong):
        console.print(_words(section))
    if not folder and not folder.faults:
        console.print(f"! {no_rubric(folder.folder)}\n")
    _show_facts(console, facts)
    _show_queue(console, facts)
    if names := facts["settings_differ"]:
        console.print(f"this machine: {shared_settings.differing(list_names(names))}")
    if not wrong:
        for line in facts["needs_a_hand"]:
            console.print(f"action needed: {line}")
    return 0


def _show_facts(console: Console, facts: dict[str, Any]) -> None:
    rows = [
        [*[*digest.values()][:-1], dollars(digest["cost_nanos"])] for digest in facts["digests"]
    ]
    headings = ("date", "rubric", "kind", "announced", "read", "picked", "cost")
    if rows:
        console.print(table("Last digests", headings, rows))
    else:
        running = facts["run_in_progress"]
        console.print(f"No digests yet: {'a run is in progress' if running else 'newsletter run'}")
    for name in ("subscribers", "deliveries"):
        counts = ", ".join(f"{n} {state}" for state, n in facts[name].items()) or "none"
        console.print(f"{name}: {counts}")
    if own := reader_rubrics_line(facts["reader_rubrics"]):
        console.print(own)
    unknown = facts["month_uncertain_nanos"]
    more = f", and at most {dollars(unknown)} more that is unknown" if unknown else ""
    console.print(f"cost this month: {dollars(facts['month_nanos'])}{more}")
    for slug, lines in facts["votes"].items():
        console.print(f"votes on {slug}: {' '.join(lines)}")
    if number := facts["unreadable_reports"]:
        console.print(
            f"bounce reports of 30 days without a known mail: {number} "
            "(newsletter deliveries reports)"
        )


def reader_rubrics_line(own: Mapping[str, int]) -> str:
    """All reader rubrics in one line; empty where there never were any."""
    if not any(own.values()):
        return ""
    states = ", ".join(f"{own[name]} {name}" for name in ("active", "paused", "drafts"))
    today, month = dollars(own["day_nanos"]), dollars(own["month_nanos"])
    readers = plural(own["readers"], "reader")
    return f"reader rubrics: {states}, of {readers}; cost {today} today, {month} this month"


def _votes(store: Store, rubrics: RubricFolder) -> dict[str, list[str]]:
    """Of each rubric with votes: how many, and what they have in common, in sentences."""
    with store.read() as tx:
        return {
            slug: describe_votes(rubrics[slug], votes.scored(tx, slug, rubrics[slug].fingerprint))
            for slug in votes.voted_on(tx, rubrics)
        }


def _queue_facts(store: Store) -> dict[str, Any]:
    now = bootstrap.now()
    with store.read() as tx:
        queue = read_queue(tx, now)
        working = is_working(tx, now)
    return {
        "run_in_progress": working or bool(queue.tasks),
        "workers": [
            {
                "name": one.name,
                "host": one.host,
                "state": one.state,
                "seen": one.seen.isoformat(),
                "holds": one.holds,
                "settings_differ": one.differs,
            }
            for one in queue.workers
        ],
        "open_tasks": [
            {
                "kind": one.kind,
                "number": one.number,
                "held_by": one.holder,
                "oldest": one.since.isoformat(),
                "oldest_seconds": max(0, int((now - one.since).total_seconds())),
            }
            for one in queue.tasks
        ],
    }


def _show_queue(console: Console, facts: dict[str, Any]) -> None:
    if found := facts["workers"]:
        workers = [
            (one["name"], one["host"], one["state"], one["holds"], one["seen"][11:19])
            for one in found
        ]
        headings = ("worker", "host", "state", "tasks", "last heartbeat, UTC")
        console.print(table("Workers", headings, workers))
    if found := facts["open_tasks"]:
        tasks = [
            (one["kind"], one["number"], one["held_by"] or "queued", one["oldest_seconds"] // 60)
            for one in found
        ]
        console.print(table("Open tasks", ("kind", "number", "held by", "minutes"), tasks))
    if facts["run_in_progress"]:
        console.print("A run is in progress.")


def _differences(store: Store, settings: Settings, rubrics: RubricFolder) -> list[str]:
    """Settings of this machine that are not those of the process that plans."""
    own = shared_settings.of_settings(settings, store, rubrics)
    with store.read() as tx:
        return (own.differences(tx) if own else None) or []


def _state(store: Store, settings: Settings, rubrics: RubricSource) -> ServiceState:
    calendar = bootstrap.build_calendar(settings)
    return collect_state(store, settings, rubrics, calendar, bootstrap.now())


def _wrong(store: Store, settings: Settings, seen: ServiceState) -> list[OpenAlert]:
    """The alerts that hold now, whether or not the service has recorded them."""
    found = find_alerts(seen, thresholds(settings))
    with store.read() as tx:
        known = {one.alert.key: one for one in alerts.open_alerts(tx)}
    return [
        replace(known.get(one.key) or OpenAlert(0, one, seen.now, seen.now), alert=one)
        for one in found
    ]


def _alert_facts(one: OpenAlert) -> dict[str, Any]:
    alert: Alert = one.alert
    return {
        "kind": alert.kind.label,
        "title": alert.title,
        "about": alert.subject,
        "what": alert.what,
        "fix": alert.fix,
        "command": alert.command,
        "since": one.first_seen.isoformat(),
        "told": one.told_at.isoformat() if one.told_at else None,
    }


def _words(section: Section) -> str:
    """An alert as a few lines, with each command on its own line."""
    about = f" ({section.about})" if section.about else ""
    commands = "".join(f"\n    {command}" for command in section.commands)
    return f"! {section.title}{about}: {section.what}\n  {section.fix}{commands}\n"


def _facts(store: Store, seen: ServiceState) -> dict[str, Any]:
    with store.read() as tx:
        editions = digests.summaries(tx, SHOWN, of_operator=True)
        states = {state.value: n for state, n in deliveries.count_all(tx).items()}
        people = {state.value: n for state, n in subscribers.count_states(tx).items()}
        halted = deliveries.halted(tx)
        unknown = len(claims.unknown_deliveries(tx))
        replies = operator_views.count_replies(tx)
        unreadable = operator_views.unreadable(tx, bootstrap.now())
        own = reader_rubrics.totals(tx, bootstrap.now())
    needs = [f"digest of {slug} for {day}: {reason}" for slug, day, reason in halted]
    if unknown:
        mails = plural(unknown, "mail")
        needs.append(f"the outcome of {mails} is unknown: newsletter deliveries list")
    if replies:
        needs.append(f"{plural(replies, 'reply', 'replies')} to read: newsletter replies list")
    return {
        "digests": [
            {
                "date": edition.date.isoformat(),
                "rubric": edition.rubric,
                "kind": edition.kind.value,
                "announced": edition.announced,
                "scanned": edition.scanned,
                "picked": edition.picks,
                "cost_nanos": edition.cost_nanos,
            }
            for edition in editions
        ],
        "reader_rubrics": asdict(own),
        "subscribers": people,
        "deliveries": states,
        "month_nanos": seen.month_nanos - seen.month_unknown_nanos,
        "month_uncertain_nanos": seen.month_unknown_nanos,
        "unreadable_reports": unreadable,
        "needs_a_hand": needs,
    }


def show_migrate() -> int:
    store = Store(read_settings().database_url.get_secret_value())
    store.migrate()
    say("The database is up to date.")
    return 0
