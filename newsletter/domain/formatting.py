# ruff: noqa: RUF001, RUF002 - typography is meant: dashes as a reader expects them
"""Money, plurals, lists and dates as people read them (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsletter.domain.model import NANOS_PER_DOLLAR

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime


def plural(number: int, noun: str, nouns: str = "") -> str:
    """`1 paper`, `1,200 papers`; `nouns` is the plural that is not formed with an s."""
    return f"{number:,} {noun if number == 1 else nouns or f'{noun}s'}"


def first_names(names: Sequence[str], limit: int) -> str:
    """`a, b, c`; of more than `limit` names `a, b and 12 more`."""
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")


def month_start(at: datetime) -> datetime:
    """Midnight of the first day of the month of `at`."""
    return at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def long_date(day: date) -> str:
    return f"{day:%A}, {day.day} {day:%B %Y}"


def short_date(day: date) -> str:
    return f"{day.day} {day:%b %Y}"


def long_dates(first: date, last: date) -> str:
    """`17 to 21 November 2025`; one date as `long_date` has it."""
    if first == last:
        return long_date(last)
    return f"{_from(first, last, '%B')} to {last.day} {last:%B %Y}"


def short_dates(first: date, last: date) -> str:
    """`17–21 Nov 2025`, `28 Sep – 2 Oct 2025`; one date as `short_date` has it."""
    if first == last:
        return short_date(last)
    dash = "–" if (first.year, first.month) == (last.year, last.month) else " – "
    return f"{_from(first, last, '%b')}{dash}{last.day} {last:%b %Y}"


def _from(first: date, last: date, month: str) -> str:
    """The first date without what it has in common with the last."""
    if first.year != last.year:
        return f"{first.day} {first:{month} %Y}"
    return f"{first.day}" if first.month == last.month else f"{first.day} {first:{month}}"


DIME = NANOS_PER_DOLLAR // 10


def dollars(nanos: int, digits: int | None = None) -> str:
    """Nano-dollars as dollars. Unless told, two digits for ten cents or more, four for less."""
    if digits is None:
        digits = 4 if 0 < nanos < DIME else 2
    return f"${nanos / NANOS_PER_DOLLAR:,.{digits}f}"


def unbroken(scores: str) -> str:
    """Scores that break across lines only between two of them, never before a figure."""
    return scores.replace(" ", "\xa0").replace(",\xa0", ", ")
