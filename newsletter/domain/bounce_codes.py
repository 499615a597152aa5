"""Bounce codes: whether an address does not exist, or mail to it only failed for now (pure).

The codes are those of RFC 3463. The same rule holds for delivery reports, for the provider's events
and for refusals in the SMTP dialogue.
"""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

DIAGNOSTIC_LENGTH = 2000
ENHANCED_CODE = re.compile(r"(?<![\w.])([245])\.(\d{1,3})\.(\d{1,3})(?![\w]|\.\d)")
NO_ADDRESS = frozenset({"5.1.0", "5.1.1", "5.1.2", "5.1.3", "5.1.4", "5.1.6", "5.1.10", "5.2.1"})
NO_ROUTE = "5.4.4"
NO_DOMAIN = re.compile(
    r"(?i)host not found|domain(?: name)? not found|(?:no such|unknown) (?:host|domain)"
    r"|nxdomain|non-?existent domain|domain .{0,80}does(?:n't| not) exist"
    r"|couldn't find (?:any host|a mail exchanger|an? ip)"
)
"""With 5.4.4: the domain does not exist, and is not only unreachable."""
NOT_THE_ADDRESS = re.compile(
    r"(?i)\bsender\b|\bspf\b|\bdkim\b|\bdmarc\b|\bspam|black ?list|block ?list|reputation"
    r"|\bpolicy\b|preferences|\bat a rate\b|\btoo (?:many|much|fast)\b|quota|\bfull\b"
    r"|\btemporar|\brelay|\baccount\b.{0,80}\b(?:disabled|inactive|suspended)\b"
)
"""Some servers send the code of a bad address although the fault is the sender, its rate or a
quota, or an account that can be opened again.
"""
LOCAL_PROGRAM = "x-unix"
"""The type of a diagnostic that no mail server wrote, but a program of the recipient's."""
NOT_WORDS = re.compile(r"<[^<>]*>|\S*://\S*|\S+@\S+")


class EnhancedCode(NamedTuple):
    """An enhanced status code. Zeros say nothing: `5.0.0` is the least specific."""

    code: str
    specific: int


def is_address_gone(status: str, diagnostic: str = "") -> bool:
    """Whether the address does not exist: only if the most specific codes of both agree on it.

    A block, a quota, a fault of the sender or a bare `550` says nothing about the address.
    """
    said = f"{status} {diagnostic}"[: 2 * DIAGNOSTIC_LENGTH]
    codes = list(enhanced_codes(said))
    best = max((one.specific for one in codes), default=0)
    decisive = {one.code for one in codes if one.specific == best}
    kind, _, rest = diagnostic.partition(";")
    words = NOT_WORDS.sub(" ", f"{status} {rest or kind}"[: 2 * DIAGNOSTIC_LENGTH])
    if not best or NOT_THE_ADDRESS.search(words) or kind.strip().lower() == LOCAL_PROGRAM:
        return False
    return all(
        code in NO_ADDRESS or (code == NO_ROUTE and NO_DOMAIN.search(words) is not None)
        for code in decisive
    )


def enhanced_codes(text: str) -> Iterator[EnhancedCode]:
    for found in ENHANCED_CODE.finditer(text):
        digits = [str(int(one)) for one in found.groups()]
        yield EnhancedCode(".".join(digits), sum(one != "0" for one in digits[1:]))


IN_A_ROW = 5
SPAN = timedelta(days=14)
TRY_EVERY = timedelta(days=7)
TRIED_FOR = timedelta(days=35)
"""Four tries, and a week for news of the last one."""
SILENCE = timedelta(days=6)
"""Mail servers give up after four or five days. A mail without a bounce in this time arrived."""


class Step(StrEnum):
    """The next step for a reader who is paused by soft bounces."""

    RESUME = "resume"
    TRY = "try"
    WAIT = "wait"
    GIVE_UP = "give up"


def in_a_row(bounces: Iterable[datetime], arrived: Iterable[datetime]) -> list[datetime]:
    """The soft bounces since the last mail that is known to have arrived.

    At equal times the delivery counts as the later one: in doubt the reader keeps their mail.
    """
    last = max(arrived, default=None)
    return sorted(at for at in bounces if last is None or at > last)


def ended_at(row: Sequence[datetime]) -> datetime | None:
    """When bounces in a row ended a reader: five at least, over fourteen days at least."""
    late = (at for at in row[IN_A_ROW - 1 :] if at - row[0] >= SPAN)
    return next(late, None)


def next_step(
    row: Sequence[datetime], last_try: datetime, now: datetime, arrived: datetime | None = None
) -> Step:
    """One try a week for a month; a try that does not bounce ends the series of bounces.

    If no try was made for a month, the bounces may be deleted by now: then the reader is resumed
    only if a mail `arrived` since.
    """
    ended = ended_at(row)
    if ended is None:
        known = now - last_try < TRIED_FOR or (arrived is not None and arrived >= last_try)
        return Step.RESUME if known else Step.GIVE_UP
    if now - ended >= TRIED_FOR:
        return Step.GIVE_UP
    return Step.TRY if now - last_try >= TRY_EVERY else Step.WAIT


FIRST = 200
GONE_SHARE = 0.05
"""Of the first mails of a run: above it the list is old, and mailbox providers notice."""
FEW = 100
"""With fewer readers a share says nothing."""
FIRST_AN_HOUR = 100


def too_many_gone(gone: int, readers: int) -> bool:
    """Whether a run ends, by the hard bounces of its first mails."""
    return readers >= FEW and gone > FIRST * GONE_SHARE


def first_mails_left(this_hour: int, hour_before: int) -> int:
    """How many more first mails to imported addresses may leave: twice as many each hour."""
    return max(0, max(FIRST_AN_HOUR, 2 * hour_before) - this_hour)
