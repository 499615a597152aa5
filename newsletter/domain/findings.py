"""Findings of `newsletter doctor`, as values that any adapter can return."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from newsletter.errors import OperatorError

if TYPE_CHECKING:
    from datetime import datetime


class FindingState(StrEnum):
    OK = "ok"
    WARN = "warn"
    """It works without, or the check could not run."""
    FAIL = "fail"


class DnsRecord(NamedTuple):
    """A line to enter at whoever serves the domain's names; `stands` where it is there already."""

    host: str
    type: str
    value: str
    stands: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it stands, and the fix where it does not stand well.

    `records` are what the name servers should say, and whether they do. None of the texts holds
    a secret or a reader's address.
    """

    check: str
    state: FindingState
    said: str
    fix: str = ""
    records: tuple[DnsRecord, ...] = ()


def ok(check: str, said: str, *records: DnsRecord) -> Finding:
    return Finding(check, FindingState.OK, said, "", records)


def warn(check: str, said: str, fix: str, *records: DnsRecord) -> Finding:
    return Finding(check, FindingState.WARN, said, fix, records)


def fail(check: str, said: str, fix: str, *records: DnsRecord) -> Finding:
    return Finding(check, FindingState.FAIL, said, fix, records)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What somebody outside answered. `date` is the HTTP Date of the last answer, if any."""

    findings: tuple[Finding, ...] = ()
    date: datetime | None = None


class CheckError(OperatorError):
    """A question that somebody outside did not answer. The message holds no secret."""
