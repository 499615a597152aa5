from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from newsletter.domain.model import Criterion
from newsletter.domain.similarity import count_words
from newsletter.domain.tfidf import WordCounts
from newsletter.scoring.triage import FEW_PICKS, mixed, order, split_excluded
from tests.fakes.scoring import RUBRIC, paper


def about(number: int, words: str, *authors: str):
    return replace(paper(number), title=words, abstract=words, authors=authors or ("Ada A.",))


def counted(papers):
    words = WordCounts()
    count_words(words, papers)
    return words


def test_papers_like_the_rubric_come_first() -> None:
    wanted = replace(
        RUBRIC, criteria=(Criterion(1, "Quantization", "low-bit weights of language models"),)
    )
    day = [
        about(1, "galaxies and dark matter haloes"),
        about(2, "quantization of language models to low-bit weights"),
        about(3, "language models in medicine"),
    ]
    assert [p.id[-1] for p in order(wanted, day)] == ["2", "3", "1"]


def test_followed_authors_come_before_all() -> None:
    day = [about(1, "pruning quantization"), about(2, "galaxies", "Zoë Müller")]
    followed = replace(RUBRIC, authors=("Zoe Muller",))
    assert [p.id[-1] for p in order(followed, day)] == ["2", "1"]


def test_order_does_not_depend_on_the_order_given() -> None:
    day = [about(n, f"pruning number {n % 3}") for n in range(9)]
    assert order(RUBRIC, day) == order(RUBRIC, day[::-1])


def test_nothing_and_words_without_meaning_can_be_ordered() -> None:
    assert order(RUBRIC, []) == []
    assert order(replace(RUBRIC, preface="", criteria=()), [about(1, "the of and")])


@pytest.mark.parametrize(
    ("word", "text", "out"),
    [
        ("medical", "Medical imaging", True),
        ("medical", "biomedical imaging", False),
        ("federated learning", "On Federated\n  Learning", True),
        ("c++", "written in C++ today", True),
        ("straße", "Die STRASSE", True),
        ("e", "the end", False),
        ("LLM", "Agents of LLMs", True),
        ("LLM", "LLM-based agents, the LLM's own", True),
        ("LLM", "VLLM serves", False),
        ("survey", "A survey", True),
        ("survey", "Two surveys", True),
        ("survey", "We surveyed", False),
        ("case study", "Case studies in finance", True),
        ("box", "Bounding boxes", True),
        ("position paper", "This position\npaper argues", True),
        ("position paper", "The paper on position", False),
        ('"large language model"', "A large language model", True),
        ('"large language model"', "Large language models", False),
        ("'survey'", "Two surveys", False),
        ("C", "written in C++", True),
        ('""', "anything", False),
        ("", "anything", False),
    ],
)
def test_a_word_excludes_where_it_stands_whole(word: str, text: str, *, out: bool) -> None:
    given = about(1, text)
    to_read, excluded = split_excluded(replace(RUBRIC, exclude=(word,)), [given])
    assert (to_read, excluded) == (([], {given.id: word}) if out else ([given], {}))


@pytest.mark.parametrize(
    "spelled",
    ["Zoë Müller", "ZOE MULLER", 'Zo\\"e M\\"uller', 'Zo\\"{e} M{\\"u}ller', "Müller, Zoë"],
)
def test_followed_authors_are_never_excluded(spelled: str) -> None:
    rubric = replace(RUBRIC, exclude=("galaxies",), authors=("Zoë Müller",))
    given = about(1, "galaxies", "Ada A.", spelled)
    assert split_excluded(rubric, [given]) == ([given], {})
    other = about(2, "galaxies", "Zoë Müllerin")
    assert split_excluded(rubric, [other]) == ([], {other.id: "galaxies"})


def test_past_scores_teach_the_order() -> None:
    """The rubric's words say pruning; its readers' papers were all about galaxies."""
    past = [about(n, f"pruning networks {n}") for n in range(100, 140)]
    past += [about(n, f"galaxies and haloes {n}") for n in range(140, 160)]
    wanted = {p.id: "galaxies" in p.title for p in past}
    day = [about(1, "pruning networks again"), about(2, "galaxies and haloes again")]
    assert [p.id[-1] for p in order(RUBRIC, day)] == ["1", "2"]
    assert [p.id[-1] for p in order(RUBRIC, day, wanted, counted(past))] == ["2", "1"]


def test_a_few_past_scores_teach_nothing_yet() -> None:
    past = [about(n, f"galaxies and haloes {n}") for n in range(140, 149)]
    day = [about(1, "pruning networks again"), about(2, "galaxies and haloes again")]
    wanted = {p.id: place < 5 for place, p in enumerate(past)}
    assert order(RUBRIC, day, wanted, counted(past)) == order(RUBRIC, day)


def test_the_similarity_counts_less_the_more_picks_were_learned_from() -> None:
    learned, similar = np.array([0.0, 1.0, 2.0]), np.array([0.9, 0.1, 0.2])

    def share(picks: int) -> float:
        without = mixed(learned, np.zeros(3), picks)
        return float(abs(mixed(learned, similar, picks) - without).sum())

    assert share(10) == pytest.approx(share(FEW_PICKS))
    assert share(2 * FEW_PICKS) == pytest.approx(share(FEW_PICKS) / 2)
    # The scales of both do not matter.
    assert mixed(learned * 9, similar / 7, 20) == pytest.approx(mixed(learned, similar, 20))
