"""`rubrics bench` by the real command, over the loopback Messages API."""

from __future__ import annotations

import gzip
import json
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from newsletter.domain.model import Score
from newsletter.scorers.claude.instructions import INSTRUCTIONS
from newsletter.scoring.labelled_days import LabelledDay
from newsletter.scoring.prompt_bench import PromptRun, figures
from newsletter.scoring.replay import compare_with_labels
from newsletter.sources import sample
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.installation import Installation
from tests.fakes.scoring import RUBRIC

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXT = """---
title: One
categories: [cs.LG, cs.AI, cs.CL]
relevance: 7
novelty: 6
---

## Criteria

1. Anything
   - Relevant: all of it.
2. Anything else
   - Relevant: the rest.
"""
DAYS = ("2025-11-17", "2025-11-18")


def relevance(title: str) -> int:
    return 4 + len(title) % 6


def scores_of(title: str, _abstract: str) -> dict[str, Any]:
    return {"m": 1, "s": 2, "c": "a reason", "r": relevance(title), "n": 7, "x": 0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two labelled days; the labels are those of the fake, but for one of each day."""
    made = tmp_path / "labelled"
    made.mkdir()
    (made / "rubric.md").write_text(TEXT, encoding="utf-8")
    wanted = [one for one in sample.read() if {"cs.LG", "cs.AI", "cs.CL"} & {*one.categories}]
    for place, day in enumerate(DAYS):
        papers = wanted[place * 20 : place * 20 + 20]
        rows = [
            {
                "id": f"{paper.id}v1",
                "title": paper.title,
                "abstract": paper.abstract,
                "authors": paper.authors,
                "categories": paper.categories,
            }
            for paper in papers
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows).encode()
        if place:
            (made / f"papers-{day}.jsonl").write_bytes(text)
        else:
            (made / f"papers-{day}.jsonl.gz").write_bytes(gzip.compress(text))
        labels = {paper.id: relevance(paper.title) for paper in papers}
        missed = next(key for key, value in labels.items() if value < 7)
        labels[missed] = 9
        lines = [
            json.dumps({"id": key, "relevance": value, "novelty": 7}) + "\n"
            for key, value in labels.items()
        ]
        (made / f"labels-{day}.jsonl").write_text("".join(lines), encoding="utf-8")
    return made


@pytest.fixture
def anthropic() -> Iterator[FakeAnthropic]:
    with FakeAnthropic(scores_of) as fake:
        yield fake


@pytest.fixture
def installation(tmp_path: Path, anthropic: FakeAnthropic) -> Installation:
    return Installation(tmp_path, ANTHROPIC_API_KEY="sk-test", ANTHROPIC_BASE_URL=anthropic.url)


def test_two_prompts_are_compared_and_paid_once(
    installation: Installation, folder: Path, anthropic: FakeAnthropic
) -> None:
    done = installation.newsletter("rubrics", "bench", str(folder), "--yes", "--json")
    assert done.status == 0, done.err
    first, second = json.loads(done.out)
    for one in (first, second):
        assert (one["days"], one["runs"], one["repeats_agree"]) == (2, 4, 1.0)
        assert one["precision"] == 1.0
        assert 0.5 < one["recall"] < 1.0
        assert one["relevance_drift"] < 0
        assert one["novelty_drift"] == 0
        assert set(one["by_slot"]) == {f"p{place:02d}" for place in range(1, 17)}
    paid = anthropic.bill_nanos
    assert first["nanos"] + second["nanos"] == paid > 0
    orders = {tuple(seen.titles.values()) for seen in anthropic.requests if len(seen.titles) == 16}
    assert len(orders) == 2, "each repeat has an order of its own, whatever the prompt"
    asked = {json.dumps(seen.body["system"]) for seen in anthropic.requests}
    for version in ("1", "2"):
        assert any(json.dumps(INSTRUCTIONS[version]) in text for text in asked)

    again = installation.newsletter("rubrics", "bench", str(folder), "--yes", "--json")
    assert json.loads(again.out) == [first, second]
    assert anthropic.bill_nanos == paid
    shown = installation.newsletter("rubrics", "bench", str(folder), "--yes")
    assert "recall of the labelled picks" in shown.out
    assert not (installation.folder / "newsletter.db").exists()


def test_nothing_is_paid_before_a_yes(
    installation: Installation, folder: Path, anthropic: FakeAnthropic
) -> None:
    tried = installation.newsletter("rubrics", "bench", str(folder), "--dry-run")
    assert (tried.status, tried.out) == (0, "")
    assert "at most $" in tried.err
    asked = installation.newsletter("rubrics", "bench", str(folder))
    assert asked.status == 1
    assert "--yes" in asked.err
    assert anthropic.requests == []


def test_the_budget_ends_it_and_says_so(
    installation: Installation, folder: Path, anthropic: FakeAnthropic
) -> None:
    done = installation.newsletter(
        "rubrics", "bench", str(folder), "--yes", "--budget-usd", "0.004", "--json"
    )
    assert done.status == 1
    assert "papers were scored" in done.err
    assert anthropic.bill_nanos <= 4_000_000


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("labels-2025-11-18.jsonl", '{"id": "2511.90001", "novelty": 3}', ":1: each line must be"),
        ("labels-2025-11-18.jsonl", "", "has no labels"),
        (
            "labels-2025-11-18.jsonl",
            '{"id": "2511.00000", "relevance": 9, "novelty": 9}',
            "none of its labels is of a paper of papers-2025-11-18.jsonl",
        ),
        ("papers-2025-11-18.jsonl", '\n{"id": "2511.90001"}', ":2: this is no paper"),
        ("papers-2025-11-18.jsonl", "[1]", ":1: each line must be one JSON object"),
        ("papers-2025-11-18.jsonl", '{"id": ', ":1: this is not JSON"),
        ("papers-2025-11-17.jsonl.gz", "no gzip", "cannot read"),
    ],
)
def test_a_bad_line_is_named(
    installation: Installation, folder: Path, file: str, text: str, said: str
) -> None:
    (folder / file).write_text(text, encoding="utf-8")
    done = installation.newsletter("rubrics", "bench", str(folder), "--yes")
    assert done.status == 1
    assert file in done.err
    assert said in done.err
    assert "Traceback" not in done.err


def test_it_needs_a_key_and_a_day(installation: Installation, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "rubric.md").write_text(TEXT, encoding="utf-8")
    none = installation.newsletter("rubrics", "bench", str(tmp_path / "empty"), "--yes")
    assert (none.status, "no labelled day" in none.err) == (1, True)
    keyless = Installation(tmp_path, ANTHROPIC_API_KEY="")
    done = keyless.newsletter("rubrics", "bench", str(folder), "--yes")
    assert (done.status, "ANTHROPIC_API_KEY" in done.err) == (2, True)
    wrong = installation.newsletter("rubrics", "bench", str(folder), "--prompt", "3")
    assert (wrong.status, "no prompt version 3" in wrong.err) == (2, True)


def test_figures_show_noise_and_a_position_effect() -> None:
    labels = {"a": (8, 8), "b": (8, 8)}
    scores = {key: Score(key, "m", 9, 8) for key in "ac"}
    day = LabelledDay(date(2025, 11, 18), (), labels)

    def run(repeat: int, picks: str) -> PromptRun:
        fidelity = compare_with_labels(RUBRIC, labels, scores)
        slots = [("p01", 16), ("p02", 9 + repeat)]
        return PromptRun("2", repeat, day, fidelity, frozenset(picks), slots, 3, 3, 7)

    found = figures("2", [run(1, "ac"), run(2, "ab")])
    assert (found.recall, found.precision, found.relevance_drift) == (0.5, 0.5, 1.0)
    assert found.repeats_agree == pytest.approx(1 / 3)
    assert found.by_slot == {"p01": 16, "p02": 10.5}
    assert (found.picks, found.nanos, found.days, found.runs) == (2, 14, 1, 2)
    alone = figures("2", [run(1, "ac")])
    assert alone.repeats_agree is None
