"""Figures of the last 30 days as table rows and bar charts (pure). The template draws the SVG."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.formatting import dollars, short_date
from newsletter.domain.mail import DeliveryState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

    from newsletter.domain.model import Rubric
    from newsletter.store.reports.operator_views import MonthFigures

WIDTH, HEIGHT = 600.0, 100.0
BAR_SHARE = 0.7
"""Width of a bar as a share of its day's slot."""


class Bar(NamedTuple):
    """A rectangle in the SVG, its series and its label."""

    x: str
    y: str
    width: str
    height: str
    series: str
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """`name` is its id on the page; `series` has the label of each series, from bottom to top."""

    name: str
    title: str
    description: str
    bars: tuple[Bar, ...]
    maximum: str
    series: Mapping[str, str]


def chart(
    name: str,
    title: str,
    days: Sequence[date],
    values: Mapping[str, Sequence[int]],
    series: Mapping[str, str],
    shown: Callable[[int], str],
) -> Chart:
    """A stacked bar for each day; `shown` formats a value."""
    totals = [sum(column) for column in zip(*values.values(), strict=True)]
    highest = max(totals, default=0)
    bars = []
    for index, day in enumerate(days):
        below = 0
        for key, row in values.items():
            if row[index]:
                label = f", {series[key]}" if len(series) > 1 else ""
                label = f"{short_date(day)}{label}: {shown(row[index])}"
                bars.append(_bar(index, len(days), below, row[index], highest, key, label))
                below += row[index]
    return Chart(
        name, title, _description(days, totals, shown), tuple(bars), shown(highest), series
    )


def _bar(
    index: int, days: int, below: int, value: int, highest: int, series: str, label: str
) -> Bar:
    slot = WIDTH / days
    height = HEIGHT * value / highest
    top = HEIGHT * (1 - below / highest) - height
    numbers = (index * slot + slot * (1 - BAR_SHARE) / 2, top, slot * BAR_SHARE, height)
    x, y, bar_width, bar_height = (f"{number:.2f}" for number in numbers)
    return Bar(x, y, bar_width, bar_height, series, label)


def _description(days: Sequence[date], totals: Sequence[int], shown: Callable[[int], str]) -> str:
    """A text alternative for the chart (WCAG 1.1.1)."""
    if not any(totals):
        return "No data for these days."
    highest = max(totals)
    best_day = days[totals.index(highest)]
    nonzero_days = sum(1 for total in totals if total)
    return (
        f"{shown(sum(totals))} in total, on {nonzero_days} of {len(days)} days. Maximum: "
        f"{shown(highest)} on {short_date(best_day)}. The table below lists every day."
    )


STATES = {
    "sent": (DeliveryState.ACCEPTED,),
    "waiting": (DeliveryState.PENDING, DeliveryState.SENDING),
    "skipped": (DeliveryState.SKIPPED,),
    "trouble": (DeliveryState.REJECTED, DeliveryState.UNKNOWN),
}
LABELS = {
    "sent": "accepted by the provider",
    "waiting": "queued",
    "skipped": "skipped: unsubscribed or paused",
    "trouble": "rejected or unknown",
}


@dataclass(frozen=True, slots=True)
class DayRow:
    """A table row: papers, cost, emails sent and problems."""

    name: str
    title: str
    kind: str
    announced: int
    scanned: int
    picks: int
    nanos: int
    sent: int
    problems: int

    @property
    def cost(self) -> str:
        return dollars(self.nanos)


@dataclass(frozen=True, slots=True)
class MonthSummary:
    today: list[DayRow]
    rubrics: list[DayRow]
    days: list[tuple[date, DayRow]]
    total: DayRow
    charts: list[Chart]


def summary(
    found: Sequence[MonthFigures], rubrics: Sequence[Rubric], newest: date, last: date, length: int
) -> MonthSummary:
    """`found` are the digests of the `length` days that end with `last`."""
    ordered = sorted(rubrics, key=lambda rubric: rubric.title.casefold())
    days = [last - timedelta(days=back) for back in range(length - 1, -1, -1)]
    by_day = {day: [one for one in found if one.date == day] for day in days}
    rows = [(day, _sum_row(f"{day}", "", by_day[day])) for day in days]
    return MonthSummary(
        today=[_rubric_row(rubric, by_day.get(newest, [])) for rubric in ordered],
        rubrics=[_rubric_row(rubric, found) for rubric in ordered],
        days=[(day, row) for day, row in reversed(rows) if by_day[day]],
        total=_sum_row("", "", found),
        charts=_charts(days, [row for _, row in rows], by_day),
    )


def _rubric_row(rubric: Rubric, found: Iterable[MonthFigures]) -> DayRow:
    return _sum_row(rubric.slug, rubric.title, [one for one in found if one.rubric == rubric.slug])


def _sum_row(name: str, title: str, found: Sequence[MonthFigures]) -> DayRow:
    whole = [one for one in found if one.whole]
    return DayRow(
        name,
        title,
        whole[-1].kind.value if whole else "",
        sum(one.announced for one in whole),
        sum(one.scanned for one in whole),
        sum(one.picks for one in whole),
        sum(one.cost_nanos for one in whole),
        sum(one.sent for one in found),
        sum(one.problems for one in found),
    )


def _charts(
    days: Sequence[date], rows: Sequence[DayRow], by_day: dict[date, list[MonthFigures]]
) -> list[Chart]:
    mails = {
        name: [
            sum(one.mails.get(state, 0) for one in by_day[day] for state in states) for day in days
        ]
        for name, states in STATES.items()
    }
    return [
        _single_series_chart("cost", "Cost per day", days, [row.nanos for row in rows], dollars),
        _single_series_chart(
            "picks", "Papers selected per day", days, [row.picks for row in rows], _number
        ),
        chart("mails", "Emails per day by delivery status", days, mails, LABELS, _number),
    ]


def _single_series_chart(
    name: str, title: str, days: Sequence[date], values: Sequence[int], shown: Callable[[int], str]
) -> Chart:
    return chart(name, title, days, {"one": values}, {"one": title}, shown)


def _number(value: int) -> str:
    return f"{value:,}"
