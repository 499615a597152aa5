"""Readers' votes about papers, as values (pure)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from newsletter.domain.formatting import plural

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from newsletter.domain.model import Rubric

MIN_PATTERN = 3
PATTERN_SHARE = 0.6
"""From so many votes, and so large a share of them, a criterion is named to the operator."""


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

    subscription_id: str
    paper_id: str
    title: str
    rubric: str
    vote: Vote
    at: datetime


@dataclass(frozen=True, slots=True)
class SavedPaper:
    """An entry of a reading list."""

    paper_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ScoredVote:
    """A vote, and the criterion that its paper met by the model; 0 for none."""

    vote: Vote
    criterion: int


def describe_votes(rubric: Rubric, given: Sequence[ScoredVote]) -> list[str]:
    """The votes of a rubric's readers in sentences: how many, and what they have in common."""
    more = [one for one in given if one.vote.wants_more]
    less = [one for one in given if not one.vote.wants_more]
    if not given:
        return []
    total = f"{plural(len(given), 'vote')}: {len(more)} for more, {len(less)} for less"
    reasons = Counter(one.vote for one in less if one.vote is not Vote.LESS)
    said = ", ".join(f"{reasons[vote]} {vote}" for vote in (Vote.OFF_TOPIC, Vote.WEAK))
    lines = [f"{total} ({said})." if reasons else f"{total}."]
    for name, votes in (("less", less), ("more", more)):
        counts = Counter(one.criterion for one in votes)
        criterion, count = counts.most_common(1)[0] if votes else (0, 0)
        if criterion and count >= MIN_PATTERN and count >= PATTERN_SHARE * len(votes):
            title = rubric.criterion_title(criterion)
            lines.append(
                f"{count} of {len(votes)} votes for {name} were about papers that met criterion "
                f"{criterion}{f' ({title})' if title else ''}."
            )
    return lines
