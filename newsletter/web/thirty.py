"""Thirty days of figures as rows and charts (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from newsletter.people import DeliveryState
from newsletter.terminal import dollars
from newsletter.web.charts import Chart, chart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import date

    from newsletter.model import Rubric
    from newsletter.store.overview import Figures

STATES = {
    "sent": (DeliveryState.ACCEPTED,),
    "waiting": (DeliveryState.PENDING, DeliveryState.SENDING),
    "skipped": (DeliveryState.SKIPPED,),
    "trouble": (DeliveryState.REJECTED, DeliveryState.UNKNOWN),
}
LABELS = {
    "sent": "taken by the provider",
    "waiting": "to be sent",
    "skipped": "left out, as the reader left or paused",
    "trouble": "refused or in doubt",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: what was read, what it cost, what was sent, what went wrong."""

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
class Summary:
    today: list[Row]
    rubrics: list[Row]
    days: list[tuple[date, Row]]
    total: Row
    charts: list[Chart]


def summary(
    found: Sequence[Figures], rubrics: Sequence[Rubric], newest: date, last: date, length: int
) -> Summary:
    """`found` are the digests of the `length` days that end with `last`."""
    ordered = sorted(rubrics, key=lambda rubric: rubric.title.casefold())
    days = [last - timedelta(days=back) for back in range(length - 1, -1, -1)]
    by_day = {day: [one for one in found if one.date == day] for day in days}
    rows = [(day, _row(f"{day}", "", by_day[day])) for day in days]
    return Summary(
        today=[_of(rubric, by_day.get(newest, [])) for rubric in ordered],
        rubrics=[_of(rubric, found) for rubric in ordered],
        days=[(day, row) for day, row in reversed(rows) if by_day[day]],
        total=_row("", "", found),
        charts=_charts(days, [row for _, row in rows], by_day),
    )


def _of(rubric: Rubric, found: Iterable[Figures]) -> Row:
    return _row(rubric.slug, rubric.title, [one for one in found if one.rubric == rubric.slug])


def _row(name: str, title: str, found: Sequence[Figures]) -> Row:
    whole = [one for one in found if one.whole]
    return Row(
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
    days: Sequence[date], rows: Sequence[Row], by_day: dict[date, list[Figures]]
) -> list[Chart]:
    mails = {
        name: [
            sum(one.mails.get(state, 0) for one in by_day[day] for state in states) for day in days
        ]
        for name, states in STATES.items()
    }
    return [
        _plain("cost", "Cost a day", days, [row.nanos for row in rows], dollars),
        _plain("picks", "Papers picked a day", days, [row.picks for row in rows], _number),
        chart("mails", "Mails a day, by what is known of them", days, mails, LABELS, _number),
    ]


def _plain(
    name: str, title: str, days: Sequence[date], values: Sequence[int], shown: Callable[[int], str]
) -> Chart:
    return chart(name, title, days, {"one": values}, {"one": title}, shown)


def _number(value: int) -> str:
    return f"{value:,}"
