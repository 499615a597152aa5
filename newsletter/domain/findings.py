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
    """A DNS record of the sending domain; `stands` if it is set already."""

    host: str
    type: str
    value: str
    stands: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: what was checked, the result, and the fix if there is a fault.

    `records` are the DNS records that are needed. No text contains a secret or a reader's address.
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
    """The answer of another server. `date` is the HTTP Date of the last answer, if any."""

    findings: tuple[Finding, ...] = ()
    date: datetime | None = None


class CheckError(OperatorError):
    """Another server did not answer a check. The message holds no secret."""
