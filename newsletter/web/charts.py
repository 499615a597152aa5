"""Bars by day, as places in a drawing of fixed size (pure); the template draws them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from newsletter.render.words import short_date

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

WIDTH, HEIGHT = 600.0, 100.0
FILLED = 0.7
"""Of the room a day has, the part its bar takes."""


class Bar(NamedTuple):
    """A rectangle, the words for it, and which series it belongs to."""

    x: str
    y: str
    width: str
    height: str
    series: str
    words: str


@dataclass(frozen=True, slots=True)
class Chart:
    """`name` is its id on the page; `series` are the labels by name, in the order they stand."""

    name: str
    title: str
    about: str
    bars: tuple[Bar, ...]
    most: str
    series: Mapping[str, str]


def chart(
    name: str,
    title: str,
    days: Sequence[date],
    values: Mapping[str, Sequence[int]],
    series: Mapping[str, str],
    shown: Callable[[int], str],
) -> Chart:
    """Bars of each day on top of each other, by series; `shown` writes a value."""
    totals = [sum(column) for column in zip(*values.values(), strict=True)]
    highest = max(totals, default=0)
    bars = []
    for place, day in enumerate(days):
        below = 0
        for key, row in values.items():
            if row[place]:
                label = f", {series[key]}" if len(series) > 1 else ""
                words = f"{short_date(day)}{label}: {shown(row[place])}"
                bars.append(_bar(place, len(days), below, row[place], highest, key, words))
                below += row[place]
    return Chart(name, title, _about(days, totals, shown), tuple(bars), shown(highest), series)


def _bar(
    place: int, days: int, below: int, value: int, highest: int, series: str, words: str
) -> Bar:
    room = WIDTH / days
    height = HEIGHT * value / highest
    top = HEIGHT * (1 - below / highest) - height
    places = (place * room + room * (1 - FILLED) / 2, top, room * FILLED, height)
    left, upper, wide, high = (f"{number:.2f}" for number in places)
    return Bar(left, upper, wide, high, series, words)


def _about(days: Sequence[date], totals: Sequence[int], shown: Callable[[int], str]) -> str:
    """What somebody who can't see the bars should know of them."""
    if not any(totals):
        return "Nothing in these days."
    highest = max(totals)
    best = days[totals.index(highest)]
    some = sum(1 for total in totals if total)
    return (
        f"{shown(sum(totals))} in all, on {some} of {len(days)} days; the most, {shown(highest)}, "
        f"on {short_date(best)}. The table below has every day."
    )
