"""Several rubrics in one morning, by the real command: they pay for their papers together."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.fakes.installation import Installation

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.anthropic import FakeAnthropic

RUBRIC = """---
title: Reader {name}
categories: [cs.LG, cs.CL]
---

## Criteria

Reader {name} asks.

1. Compression
   - Relevant: quantization and pruning.
"""


def morning(folder: Path, fake: FakeAnthropic, *names: str) -> list[dict]:
    installation = Installation(
        folder,
        NEWSLETTER_SOURCE="sample",
        ANTHROPIC_API_KEY="sk-test",
        ANTHROPIC_BASE_URL=fake.url,
    )
    for name in names:
        text = RUBRIC.format(name=name)
        (installation.rubrics / f"{name}.md").write_text(text, encoding="utf-8")
    installation.subscribe(*(f"{name}@example.org,{name}" for name in names))
    done = installation.newsletter("run", "--json")
    assert done.status == 0, done.err
    return list(json.loads(done.out)["issues"])


def test_three_rubrics_share_their_papers(tmp_path: Path, fake: FakeAnthropic) -> None:
    issues = morning(tmp_path, fake, "ada", "ben", "cleo")
    assert {issue["scanned"] for issue in issues} == {issues[0]["announced"]}
    assert sum(issue["cost_nanos"] for issue in issues) == fake.bill_nanos
    large = [seen.body["messages"][0]["content"] for seen in fake.requests if len(seen.titles) > 4]
    assert large
    assert all(content[-1]["text"].startswith("<rubric>") for content in large)


def test_one_wrong_key_is_told_for_each_after_one_call_each(
    tmp_path: Path, fake: FakeAnthropic
) -> None:
    fake.fault(401, times=100)
    installation = Installation(
        tmp_path,
        NEWSLETTER_SOURCE="sample",
        ANTHROPIC_API_KEY="sk-test",
        ANTHROPIC_BASE_URL=fake.url,
        NEWSLETTER_SCORING_CONCURRENCY="1",
    )
    for name in ("ada", "ben", "cleo"):
        text = RUBRIC.format(name=name)
        (installation.rubrics / f"{name}.md").write_text(text, encoding="utf-8")
    installation.subscribe("ada@example.org,ada", "ben@example.org,ben", "cleo@example.org,cleo")
    done = installation.newsletter("run")
    assert done.status == 1
    [told] = [line for line in done.err.splitlines() if "ANTHROPIC_API_KEY" in line]
    assert told.startswith("newsletter: ada, ben, cleo: ")
    # Scoring for all stops at the first answer, and so does each rubric's own attempt.
    assert len(fake.requests) == 1 + 3
    assert fake.bill_nanos == 0
    assert not installation.mails()
