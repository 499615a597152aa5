"""The text that Prometheus reads (pure).

https://prometheus.io/docs/instrumenting/exposition_formats/

Figures for whoever watches the service, as Prometheus reads them. Counts only: nobody is named.

Our own few lines instead of a client library: all values are read from the database when somebody
asks, so that every process answers alike; there is nothing to register, to add up or to keep.
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
from newsletter.store import alerts, deliveries, digests, incidents, metrics, subscribers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date, datetime

    from sqlalchemy import Connection
    from starlette.requests import Request

    from newsletter.web.context import Site

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "newsletter_"


class MetricFamily(NamedTuple):
    """One measure: its name without our prefix, what it is, and a value for each label value.

    `label` is empty where there is only one value, whose key is then of no matter. What only ever
    grows bears a name that ends in `_total`.
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
        ]
    text = exposition(families)
    return Response(text, headers={"Cache-Control": "no-store"}, media_type=CONTENT_TYPE)


def _papers(tx: Connection) -> Iterator[MetricFamily]:
    found = metrics.papers(tx)
    known = {outcome.value: found.get(outcome.value, 0) for outcome in Outcome}
    yield single_value(
        "papers_announced_total", "Papers of all digests, once for each rubric", sum(found.values())
    )
    yield MetricFamily("papers_total", "Papers by what became of them", known | found, "outcome")


def _spending(site: Site, tx: Connection, now: datetime) -> Iterator[MetricFamily]:
    calls = site.metric_counts.calls(tx, now)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    tokens = {name.removesuffix("_tokens"): calls.get(name, 0) for name in metrics.TOKENS}
    yield MetricFamily("tokens_total", "Tokens that the model's vendor counted", tokens, "kind")
    for name, help_text, nanos in (
        ("spent_dollars_total", "Paid to the model's vendor", calls.get("cost", 0)),
        ("uncertain_dollars", "Perhaps paid besides, at most", calls.get("uncertain", 0)),
        ("spent_day_dollars", "Paid since midnight UTC", metrics.spent_since(tx, day)),
        (
            "spent_month_dollars",
            "Paid since the month began",
            metrics.spent_since(tx, month_start(now)),
        ),
    ):
        yield single_value(name, help_text, nanos / NANOS_PER_DOLLAR)
    settings = site.app.settings
    yield single_value(
        "budget_day_dollars", "May be spent on a rubric's day", float(settings.budget_usd)
    )
    if settings.monthly_budget_usd is not None:
        month = float(settings.monthly_budget_usd)
        yield single_value("budget_month_dollars", "May be spent in a month", month)


def _mails(site: Site, tx: Connection, now: datetime) -> Iterator[MetricFamily]:
    mails = {state.value: 0 for state in DeliveryState} | site.metric_counts.mails(tx, now)
    people = {state.value: 0 for state in SubscriberState} | site.metric_counts.people(tx, now)
    yield MetricFamily("deliveries", "Mails by what is known of them", mails, "state")
    yield MetricFamily("subscribers", "Subscribers by state", people, "state")
    yield single_value(
        "halted_digests", "Digests whose mailing was stopped", len(deliveries.halted(tx))
    )
    ages = site.metric_counts.ages(tx, now)
    for name, help_text, since in (
        ("pending_age_seconds", "How long the oldest mail waits to be sent", ages.pending),
        ("unknown_age_seconds", "How long the oldest mail is in doubt", ages.unknown),
        ("reply_age_seconds", "How long the oldest reply waits for a person", ages.reply),
    ):
        yield single_value(f"oldest_{name}", help_text, _age(now, since))
    yield single_value("replies_waiting", "Replies that wait for a person", ages.replies)
    if ages.newest_digest:
        age = _age(now, ages.newest_digest)
        yield single_value("newest_digest_age_seconds", "Since the newest digest was made", age)
    help_text = "1 where the newest edition is older than the calendar allows"
    yield single_value("edition_overdue", help_text, _is_overdue(site, tx, now))


def _state(tx: Connection, now: datetime) -> Iterator[MetricFamily]:
    open_alerts = alerts.count_open(tx)
    by_kind = {kind.label: open_alerts.get(kind.label, 0) for kind in AlertKind}
    yield MetricFamily("alerts", "What is wrong now, by kind", by_kind, "kind")
    durations: Mapping[str, float] = incidents.durations(tx)
    if durations:
        yield MetricFamily(
            "step_duration_seconds", "How long a step took the last time", durations, "step"
        )
    alive = metrics.processes(tx)
    if alive:
        seen = {role: _age(now, max(times)) for role, times in alive.items()}
        yield MetricFamily("heartbeat_age_seconds", "Since a process was last alive", seen, "role")
        count = {role: len(times) for role, times in alive.items()}
        yield MetricFamily("processes", "Processes that did not say goodbye", count, "role")


def _is_overdue(site: Site, tx: Connection, now: datetime) -> int:
    """Nobody waits for an edition that nobody reads."""
    made = digests.summaries(tx, 1)
    day = newest_expected(now, timedelta(hours=site.app.settings.late_hours))
    return int(bool(made and made[0].date < day and subscribers.count_by_rubric(tx)))


def newest_expected(now: datetime, late: timedelta) -> date:
    """The newest announcement that is more than a day and `late` old: arXiv may be late itself."""
    day = newest(now)
    while announcement(day).public_from + DAY + late > now:
        day = previous(day)
    return day


def _age(now: datetime, since: datetime | None) -> float:
    """Seconds; 0 where nothing waits, and where the clocks of two machines differ."""
    return max(0.0, (now - since).total_seconds()) if since else 0.0
