"""`/metrics` in the Prometheus text format: counts only, no addresses.

https://prometheus.io/docs/instrumenting/exposition_formats/

Without a client library: every value is read from the database on each request, so all processes
report the same, and no metric is registered or kept in memory.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from starlette.responses import Response

from newsletter import __version__
from newsletter.domain.alerts import AlertKind
from newsletter.domain.announcements import announcement, newest, previous
from newsletter.domain.formatting import month_start
from newsletter.domain.mail import DeliveryState, SubscriberState
from newsletter.domain.model import NANOS_PER_DOLLAR, Outcome
from newsletter.domain.task_queue import standstill
from newsletter.domain.tasks import TaskKind
from newsletter.store import alerts, deliveries, digests, incidents, subscriptions
from newsletter.store.reports import metrics, monitoring, reader_rubrics
from newsletter.store.task_queue import read_queue

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date, datetime

    from sqlalchemy import Connection
    from starlette.requests import Request

    from newsletter.web.context import Site

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "newsletter_"


class MetricFamily(NamedTuple):
    """A metric: its name without prefix, its help text, and a value for each label value.

    A metric without `label` has one value, with any key. Counters have names that end in `_total`.
    """

    name: str
    help_text: str
    values: Mapping[str, float]
    label: str = ""


def single_value(name: str, help_text: str, value: float) -> MetricFamily:
    return MetricFamily(name, help_text, {"": value})


def exposition(families: Iterable[MetricFamily]) -> str:
    return "".join(f"{line}\n" for family in families for line in _lines(family))


def _lines(family: MetricFamily) -> Iterable[str]:
    name = f"{PREFIX}{family.name}"
    yield f"# HELP {name} {_escaped(family.help_text)}"
    yield f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}"
    for key, value in sorted(family.values.items()):
        quoted = _escaped(key).replace('"', r"\"")
        label = f'{{{family.label}="{quoted}"}}' if family.label else ""
        yield f"{name}{label} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


DAY = timedelta(hours=24)


def show(site: Site, _request: Request) -> Response:
    now = site.app.clock()
    with site.app.store.read() as tx:
        families = [
            single_value("build_info", "The running release", 1)._replace(
                label="version", values={__version__: 1}
            ),
            *_papers(tx),
            *_spending(site, tx, now),
            *_mails(site, tx, now),
            *_state(tx, now),
            *_queue(tx, now),
        ]
    text = exposition(families)
    return Response(text, headers={"Cache-Control": "no-store"}, media_type=CONTENT_TYPE)


def _papers(tx: Connection) -> Iterator[MetricFamily]:
    found = metrics.papers(tx)
    known = {outcome.value: found.get(outcome.value, 0) for outcome in Outcome}
    yield single_value(
        "papers_announced_total", "Papers of all digests, once for each rubric", sum(found.values())
    )
    yield MetricFamily("papers_total", "Papers by outcome", known | found, "outcome")


def _spending(site: Site, tx: Connection, now: datetime) -> Iterator[MetricFamily]:
    calls = site.metric_counts.calls(tx, now)
    today, _ = monitoring.spent_since(tx, now.replace(hour=0, minute=0, second=0, microsecond=0))
    month, _ = monitoring.spent_since(tx, month_start(now))
    tokens = {name.removesuffix("_tokens"): calls.get(name, 0) for name in metrics.TOKENS}
    yield MetricFamily("tokens_total", "Tokens as counted by the model provider", tokens, "kind")
    for name, help_text, nanos in (
        ("spent_dollars_total", "Dollars paid to the model provider", calls.get("cost", 0)),
        (
            "uncertain_dollars",
            "Upper bound of cost that may have been charged in addition",
            calls.get("uncertain", 0),
        ),
        (
            "reader_rubrics_spent_dollars_total",
            "Dollars paid for all rubrics that readers wrote, part of the dollars paid",
            calls.get("reader_rubrics", 0),
        ),
        ("spent_day_dollars", "Dollars paid since midnight UTC", today),
        ("spent_month_dollars", "Dollars paid since the start of the month", month),
    ):
        yield single_value(name, help_text, nanos / NANOS_PER_DOLLAR)
    settings = site.app.settings
    yield MetricFamily(
        "reader_rubrics", "Rubrics that readers wrote", reader_rubrics.count_states(tx), "state"
    )
    yield single_value(
        "budget_day_dollars", "Daily budget of a rubric in dollars", float(settings.budget_usd)
    )
    if settings.monthly_budget_usd is not None:
        budget = float(settings.monthly_budget_usd)
        yield single_value("budget_month_dollars", "Monthly budget in dollars", budget)


def _mails(site: Site, tx: Connection, now: datetime) -> Iterator[MetricFamily]:
    mails = {state.value: 0 for state in DeliveryState} | site.metric_counts.mails(tx, now)
    people = {state.value: 0 for state in SubscriberState} | site.metric_counts.people(tx, now)
    yield MetricFamily("deliveries", "Digest emails by delivery state", mails, "state")
    yield MetricFamily("subscribers", "Subscribers by state", people, "state")
    yield single_value(
        "halted_digests", "Digests whose delivery was stopped", len(deliveries.halted(tx))
    )
    ages = site.metric_counts.ages(tx, now)
    for name, help_text, since in (
        ("pending_age_seconds", "Age of the oldest queued email", ages.pending),
        ("unknown_age_seconds", "Age of the oldest delivery with unknown outcome", ages.unknown),
        ("reply_age_seconds", "Age of the oldest reply to review", ages.reply),
    ):
        yield single_value(f"oldest_{name}", help_text, _age(now, since))
    yield single_value("replies_waiting", "Replies to review", ages.replies)
    if ages.newest_digest:
        age = _age(now, ages.newest_digest)
        yield single_value("newest_digest_age_seconds", "Age of the newest digest", age)
    help_text = "1 if the newest digest is older than the calendar allows"
    yield single_value("edition_overdue", help_text, _is_overdue(site, tx, now))


def _state(tx: Connection, now: datetime) -> Iterator[MetricFamily]:
    open_alerts = alerts.count_open(tx)
    by_kind = {kind.label: open_alerts.get(kind.label, 0) for kind in AlertKind}
    yield MetricFamily("alerts", "Open alerts by kind", by_kind, "kind")
    durations: Mapping[str, float] = incidents.durations(tx)
    if durations:
        yield MetricFamily(
            "step_duration_seconds", "Duration of the last run of a step", durations, "step"
        )
    alive = metrics.processes(tx)
    if alive:
        seen = {role: _age(now, max(times)) for role, times in alive.items()}
        yield MetricFamily(
            "heartbeat_age_seconds", "Time since the last heartbeat, by role", seen, "role"
        )
        count = {role: len(times) for role, times in alive.items()}
        yield MetricFamily("processes", "Processes that have not stopped cleanly", count, "role")


def _queue(tx: Connection, now: datetime) -> Iterator[MetricFamily]:
    """Workers and open tasks of the engine that shares tasks; zeros under the other."""
    queue = read_queue(tx, now)
    workers = {"alive": 0, "silent": 0, "other settings": 0}
    for worker in queue.workers:
        workers[worker.state] += 1
    open_tasks = {kind.value: 0 for kind in TaskKind}
    for tasks in queue.tasks:
        open_tasks[tasks.kind] += tasks.number
    yield MetricFamily("workers", "Workers by state", workers, "state")
    yield MetricFamily("open_tasks", "Tasks queued or held by a worker", open_tasks, "kind")
    oldest = min((one.since for one in queue.tasks), default=None)
    yield single_value("oldest_task_age_seconds", "Age of the oldest open task", _age(now, oldest))
    help_text = "1 if open tasks make no progress for five minutes"
    yield single_value("standstill", help_text, int(bool(standstill(queue, now))))


def _is_overdue(site: Site, tx: Connection, now: datetime) -> int:
    """1 if the newest digest is too old; 0 without subscribers."""
    made = digests.summaries(tx, 1)
    day = newest_expected(now, timedelta(hours=site.app.settings.late_hours))
    return int(bool(made and made[0].date < day and subscriptions.count_by_rubric(tx)))


def newest_expected(now: datetime, late: timedelta) -> date:
    """The newest announcement whose digest must exist now: older than a day and `late`."""
    day = newest(now)
    while announcement(day).public_from + DAY + late > now:
        day = previous(day)
    return day


def _age(now: datetime, since: datetime | None) -> float:
    """Seconds; 0 without a time, and if clocks differ between machines."""
    return max(0.0, (now - since).total_seconds()) if since else 0.0
