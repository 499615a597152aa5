"""Readers' votes about papers, as values (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class Vote(StrEnum):
    """What a reader wants of papers like one that they were sent."""

    MORE = "more"
    OFF_TOPIC = "off topic"
    """Less like this: the subject is wrong."""
    WEAK = "weak"
    """Less like this: the subject is right, the paper is not good enough."""
    LESS = "less"
    """Less like this, without a reason."""

    @property
    def wants_more(self) -> bool:
        return self is Vote.MORE


VOTE_NAMES = {
    Vote.MORE: "More like this",
    Vote.OFF_TOPIC: "Less like this: off topic",
    Vote.WEAK: "Less like this: weak",
    Vote.LESS: "Less like this",
}


@dataclass(frozen=True, slots=True)
class GivenVote:
    """A vote of one reader, for lists."""

    paper_id: str
    title: str
    rubric: str
    vote: Vote
    at: datetime


@dataclass(frozen=True, slots=True)
class SavedPaper:
    """An entry of a reading list. `rubric` is the one in whose digest the reader found it."""

    paper_id: str
    rubric: str
    at: datetime
