"""Parse preferences as people write them: address, zone, hour, days, length (pure).

Every function takes the text of one cell or form field and raises ValueError with what is wrong
and how to write it.
"""

from __future__ import annotations

import re
from datetime import date, time, timedelta
from typing import TYPE_CHECKING

from newsletter.domain.formatting import long_date
from newsletter.domain.mail import WEEKDAYS, WEEKLY, Format
from newsletter.domain.sanitize import strip_invisible
from newsletter.domain.zone_names import fault_of

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_NAME = 200
MAX_PAPERS = 500
MAX_PAUSE = 366
"""Days, for a pause with an end."""
CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::00)?")
DAY_NAMES = dict(
    zip(
        WEEKDAYS,
        ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
        strict=True,
    )
)
NAMED_DAYS = {
    "daily": WEEKDAYS,
    "all": WEEKDAYS,
    "every day": WEEKDAYS,
    "weekdays": WEEKDAYS[:5],
    "weekends": WEEKDAYS[5:],
    "weekly": WEEKLY,
    "once a week": WEEKLY,
}


def parse_address(cell: str) -> str:
    from email_validator import EmailNotValidError, validate_email

    if not cell:
        message = "missing"
        raise ValueError(message)
    try:
        # `.test` is reserved for trying things out (RFC 2606): mail to it reaches nobody.
        # `strict`: at most 64 octets before the @ (RFC 5321, 4.5.3.1.1).
        found = validate_email(
            cell,
            check_deliverability=False,
            allow_smtputf8=False,
            test_environment=True,
            strict=True,
        )
    except EmailNotValidError as error:
        shown = "".join(c if c.isprintable() else "\ufffd" for c in cell[:80])
        message = f"{shown} is not an address: {str(error).rstrip('.')}"
        raise ValueError(message) from None
    return found.ascii_email or found.normalized


def _slug(cell: str) -> str:
    if not cell:
        message = "missing"
        raise ValueError(message)
    return cell


def parse_name(cell: str) -> str:
    """A name on one line, without control and direction characters."""
    plain = strip_invisible(cell)
    if len(plain) > MAX_NAME:
        message = f"{len(plain)} characters; at most {MAX_NAME}"
        raise ValueError(message)
    return plain


def parse_zone(cell: str) -> str:
    if message := fault_of(cell):
        raise ValueError(message)
    return cell


def parse_clock(cell: str) -> time:
    found = CLOCK.fullmatch(cell)
    if not found or int(found[1]) > 23 or int(found[2]) > 59:  # noqa: PLR2004 - a clock's bounds
        message = f"{cell!r} is not a time of day; write it like 07:00"
        raise ValueError(message)
    return time(int(found[1]), int(found[2]))


def parse_days(cell: str) -> tuple[str, ...]:
    """`mon-fri`, `mon wed fri`, `weekdays`, `daily` as names of WEEKDAYS; `weekly` as WEEKLY."""
    text = " ".join(cell.lower().split())
    if text in NAMED_DAYS:
        return NAMED_DAYS[text]
    chosen: set[str] = set()
    for part in re.split(r"[\s,;/+]+", re.sub(r"\s*[-\u2013]\s*", "-", text)):
        first, dash, last = part.partition("-")
        start, end = _weekday(first, cell), _weekday(last if dash else first, cell)
        chosen.update(WEEKDAYS[(start + n) % 7] for n in range((end - start) % 7 + 1))
    return tuple(day for day in WEEKDAYS if day in chosen)


def _weekday(word: str, cell: str) -> int:
    if len(word) >= 3:  # noqa: PLR2004 - the length of the short names
        for number, name in enumerate(DAY_NAMES.values()):
            if name.lower().startswith(word.removesuffix(".")):
                return number
    message = f"{cell!r} is not understood; write it like mon-fri, mon wed fri, daily or weekly"
    raise ValueError(message)


def parse_limit(cell: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", cell) or not 1 <= int(cell) <= MAX_PAPERS:
        message = f"{cell!r} is not a whole number from 1 to {MAX_PAPERS}"
        raise ValueError(message)
    return int(cell)


def parse_format(cell: str) -> Format:
    if cell.lower() not in set(Format):
        message = f"{cell!r} is not one of {', '.join(Format)}"
        raise ValueError(message)
    return Format(cell.lower())


CHECKS: dict[str, Callable[[str], object]] = {
    "email": parse_address,
    "rubric": _slug,
    "name": parse_name,
    "timezone": parse_zone,
    "send_at": parse_clock,
    "days": parse_days,
    "max_papers": parse_limit,
    "format": parse_format,
}


def parse_pause_end(cell: str, today: date) -> date:
    """The day on which mail starts again: tomorrow at the earliest."""
    first, last = today + timedelta(days=1), today + timedelta(days=MAX_PAUSE)
    try:
        day = date.fromisoformat(cell.strip())
    except ValueError:
        message = f"choose a day, written like {first}"
        raise ValueError(message) from None
    if not first <= day <= last:
        message = f"choose a day from {long_date(first)} to {long_date(last)}"
        raise ValueError(message)
    return day


def days_in_words(days: tuple[str, ...]) -> str:
    """`every day`, `once a week`, `on Monday and Thursday`"""
    if days == WEEKLY:
        return "once a week"
    if set(days) == set(WEEKDAYS):
        return "every day"
    *others, last = [DAY_NAMES[day] for day in WEEKDAYS if day in days] or ["no day"]
    return f"on {', '.join(others)} and {last}" if others else f"on {last}"
