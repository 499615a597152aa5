"""What votes have in common, told in words."""

from __future__ import annotations

from newsletter.domain.model import Criterion, Rubric
from newsletter.domain.votes import ScoredVote, Vote, describe_votes

RUBRIC = Rubric("r", "R", (), (Criterion(1, "Cold stars", ""), Criterion(2, "Old stars", "")))


def given(vote, *criteria):
    return [ScoredVote(vote, criterion) for criterion in criteria]


def test_a_criterion_that_most_votes_share_is_named():
    votes = [*given(Vote.OFF_TOPIC, 2, 2, 2), *given(Vote.WEAK, 2, 1), *given(Vote.MORE, 1, 2)]
    assert describe_votes(RUBRIC, votes) == [
        "7 votes: 2 for more, 5 for less (3 off topic, 2 weak).",
        "4 of 5 votes for less were about papers that met criterion 2 (Old stars).",
    ]


def test_few_or_mixed_votes_name_no_criterion():
    mixed = given(Vote.LESS, 1, 1, 1, 2, 2, 2)
    unscored = given(Vote.LESS, 0, 0, 0, 0)
    assert describe_votes(RUBRIC, mixed) == ["6 votes: 0 for more, 6 for less."]
    assert describe_votes(RUBRIC, unscored) == ["4 votes: 0 for more, 4 for less."]
    assert describe_votes(RUBRIC, given(Vote.MORE, 1, 1)) == ["2 votes: 2 for more, 0 for less."]
    assert describe_votes(RUBRIC, []) == []
