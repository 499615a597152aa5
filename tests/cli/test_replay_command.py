"""`rubrics replay` and `rubrics check` by the real command, over the loopback Messages API."""

from __future__ import annotations

import json

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.installation import Installation

RUBRIC = """---
title: One
categories: [cs.LG]
relevance: {relevance}
novelty: 6
---

## Criteria

1. Anything
   - Relevant: {wanted}.
"""


def scores_of(title: str, _abstract: str) -> dict:
    score = 5 + len(title) % 5
    return {"m": 1, "c": "a reason", "r": score, "n": 7, "x": 0}


@pytest.fixture
def installation(tmp_path):
    with FakeAnthropic(scores_of) as anthropic:
        made = Installation(
            tmp_path,
            NEWSLETTER_SOURCE="sample",
            ANTHROPIC_API_KEY="sk-test",
            ANTHROPIC_BASE_URL=anthropic.url,
        )
        made.anthropic = anthropic
        made.rubric = made.rubrics / "one.md"
        made.rubric.write_text(RUBRIC.format(relevance=8, wanted="all of it"), encoding="utf-8")
        made.subscribe("ada@example.org,one")
        assert made.newsletter("run").status == 0
        yield made


def test_a_looser_bar_gains_papers_and_costs_nothing(installation):
    paid = installation.anthropic.bill_nanos
    installation.rubric.write_text(RUBRIC.format(relevance=6, wanted="all of it"), encoding="utf-8")
    done = installation.newsletter(
        "rubrics", "replay", str(installation.rubric), "--days", "3", "--json"
    )
    assert done.status == 0, done.err
    [day] = json.loads(done.out)
    assert len(day["gained"]) > 0
    assert day["lost"] == []
    assert installation.anthropic.bill_nanos == paid
    assert len(installation.mails()) == 1


def test_a_changed_rubric_is_priced_before_it_is_scored(installation):
    paid = installation.anthropic.bill_nanos
    installation.rubric.write_text(
        RUBRIC.format(relevance=8, wanted="other things"), encoding="utf-8"
    )
    told = installation.newsletter("rubrics", "replay", str(installation.rubric), "--dry-run")
    assert "at most $" in told.err
    assert installation.anthropic.bill_nanos == paid
    done = installation.newsletter("rubrics", "replay", str(installation.rubric), "--json")
    [day] = json.loads(done.out)
    assert installation.anthropic.bill_nanos - paid == day["cost_nanos"] > 0
    assert (
        "+" in installation.newsletter("rubrics", "replay", str(installation.rubric)).out
        or not day["gained"]
    )


def test_a_second_run_of_a_day_is_compared_and_not_stored(installation):
    done = installation.newsletter(
        "rubrics", "replay", str(installation.rubric), "--again", "--json"
    )
    assert done.status == 0, done.err
    figures = json.loads(done.out)
    assert (figures["jaccard"], figures["same"]) == (1.0, 1.0)


def test_a_replay_that_is_not_whole_fails_and_says_why(installation):
    installation.rubric.write_text(
        RUBRIC.format(relevance=8, wanted="other things"), encoding="utf-8"
    )
    words = ("rubrics", "replay", str(installation.rubric), "--days", "1")
    done = installation.newsletter(*words, NEWSLETTER_BUDGET_USD="0.001")
    assert done.status == 1
    assert "0 of 27" in done.out
    assert "0 of 27 papers were scored: the budget is spent" in done.err
    whole = installation.newsletter(*words)
    assert (whole.status, "27 of 27" in whole.out) == (0, True), whole.err


def test_labels_of_a_stored_day_are_compared(installation):
    labels = installation.folder / "labels.jsonl"
    [day] = json.loads(
        installation.newsletter("rubrics", "replay", str(installation.rubric), "--json").out
    )
    rows = [{"id": f"{one}v1", "relevance": 9, "novelty": 8} for one in day["kept"][:2]]
    labels.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    words = ("rubrics", "replay", str(installation.rubric), "--labels", str(labels), "--json")
    done = installation.newsletter(*words)
    assert done.status == 0, done.err
    figures = json.loads(done.out)
    assert (figures["labels"], figures["recall"], figures["read"]) == (2, 1.0, 27)
    labels.write_text("nonsense")
    assert "labels.jsonl:1: this is not JSON" in installation.newsletter(*words).err


@pytest.mark.parametrize(
    "text", ["", "\n", '{"id": "2511.90001", "relevance": null, "novelty": null}\n']
)
def test_a_file_without_labels_agrees_with_nothing(installation, text):
    labels = installation.folder / "labels.jsonl"
    labels.write_text(text, encoding="utf-8")
    words = ("rubrics", "replay", str(installation.rubric), "--labels", str(labels), "--json")
    done = installation.newsletter(*words)
    assert (done.status, done.out) == (1, "")
    assert "labels.jsonl has no labels, so nothing was compared" in done.err


def test_a_run_that_scored_nothing_agrees_with_nothing(installation):
    words = ("rubrics", "replay", str(installation.rubric), "--again")
    done = installation.newsletter(*words, NEWSLETTER_BUDGET_USD="0.001")
    assert (done.status, done.out) == (1, "")
    assert "nothing was compared" in done.err
    assert "the budget is spent" in done.err


def test_check_says_what_a_day_costs(installation):
    done = installation.newsletter("rubrics", "check", str(installation.rubric))
    assert done.status == 0, done.err
    assert "A day like 2025-11-18" in done.out
    assert "$0.0" in done.out


def test_check_says_what_a_day_costs_whatever_the_mailer_lacks(installation):
    installation.environment["SENDGRID_API_KEY"] = "SG.half.set"
    done = installation.newsletter("rubrics", "check", str(installation.rubric))
    assert "A day like 2025-11-18" in done.out, done.out


def test_a_ranking_on_this_machine_is_compared_by_what_its_mails_show(installation):
    installation.environment["NEWSLETTER_SCORER"] = "local"
    for wanted, picked in (("all of it, pruning", 2), ("quantization of language models", 10)):
        installation.rubric.write_text(RUBRIC.format(relevance=8, wanted=wanted), encoding="utf-8")
        done = installation.newsletter("rubrics", "replay", str(installation.rubric), "--json")
        [day] = json.loads(done.out)
        assert len(day["gained"] + day["kept"]) == picked, done.out
