from __future__ import annotations

from newsletter.model import Score
from newsletter.opinion import MOST, band, settled
from tests.fakes.scoring import RUBRIC, paper


def score(relevance: int, novelty: int, number: int = 1, **more: object) -> Score:
    return Score(paper(number).id, "m", relevance, novelty, **more)  # type: ignore[arg-type]


def in_band(relevance: int, novelty: int) -> bool:
    return bool(band(RUBRIC, [paper(1)], {paper(1).id: score(relevance, novelty)}))


def test_the_band_is_what_may_be_picked_or_only_just_is_not() -> None:
    assert in_band(6, 5)
    assert in_band(10, 10)
    assert in_band(5, 7)
    assert in_band(3, 9)
    assert not in_band(5, 5)
    assert not in_band(2, 8)


def test_the_nearest_to_the_cut_are_read_again_when_there_are_too_many() -> None:
    many = [paper(n) for n in range(200)]
    first = {p.id: score(7 + n % 3, 7, n) for n, p in enumerate(many)}
    chosen = band(RUBRIC, many, first)
    assert len(chosen) == MOST
    assert {first[p.id].relevance for p in chosen} == {7}


def test_the_second_reading_counts_twice() -> None:
    final = settled(score(6, 8), score(8, 8))
    assert (final.relevance, final.novelty) == (7, 8)
    assert settled(score(7, 7), score(8, 6)).relevance == 8
    assert settled(score(7, 7), score(8, 6)).novelty == 6


def test_two_points_apart_the_reader_sees_both() -> None:
    final = settled(score(7, 7), score(9, 8))
    assert final.relevance_spread == (7, 9)
    assert final.novelty_spread is None


def test_the_same_twice_is_the_same() -> None:
    for value in range(1, 11):
        assert settled(score(value, value), score(value, value)).relevance == value


def test_of_a_suspicious_paper_the_lower_counts() -> None:
    final = settled(score(10, 10), score(3, 4), suspicious=True)
    assert (final.relevance, final.novelty) == (3, 4)


def test_a_comment_is_kept_where_the_second_has_none() -> None:
    final = settled(score(8, 8, comment="good", criterion=1), score(8, 8, criterion=2))
    assert (final.comment, final.criterion) == ("good", 1)


def test_one_reading_stands_alone() -> None:
    assert settled(score(8, 8), None) == score(8, 8)
