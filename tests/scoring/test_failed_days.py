"""A day that can't be made says why: in `run`, in `status`, in the alert and in the log."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from newsletter.scorers.claude.scorer import ClaudeScorer
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.installation import Installation
from tests.fakes.mail import settings
from tests.fakes.simulated_service import Service

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from newsletter.store import Store

RUBRIC = """---
title: One
categories: [{categories}]
---

## Criteria

{criteria}
"""
QUICK = {"retry-after": "0.01"}
OVERLOADED = "Anthropic answered 529: "


def installation(
    folder: Path, fake: FakeAnthropic, categories: str = "cs.CV", criteria: int = 1
) -> Installation:
    made = Installation(
        folder,
        NEWSLETTER_SOURCE="sample",
        ANTHROPIC_API_KEY="sk-test",
        ANTHROPIC_BASE_URL=fake.url,
    )
    listed = "\n".join(f"{n}. Criterion {n}" for n in range(1, criteria + 1))
    text = RUBRIC.format(categories=categories, criteria=listed)
    (made.rubrics / "one.md").write_text(text, encoding="utf-8")
    made.subscribe("ada@example.org,one")
    return made


@pytest.mark.parametrize(
    ("do", "categories", "said", "command"),
    [
        (529, "cs.CV", OVERLOADED, "newsletter run --date 2025-11-18"),
        (401, "cs.CL", "ANTHROPIC_API_KEY", "newsletter doctor && newsletter run --date 2025-11"),
    ],
)
def test_run_and_status_tell_the_last_cause_and_the_command(
    tmp_path: Path, fake: FakeAnthropic, do: int | str, categories: str, said: str, command: str
) -> None:
    """A paper that is given up after six attempts, and a key that ends the day at once."""
    fake.fault(do, times=1000, headers=QUICK)
    made = installation(tmp_path, fake, categories)
    done = made.newsletter("run")
    assert done.status == 1
    assert said in done.err
    assert "Nothing new" not in done.out
    status = made.newsletter("status").out
    assert said in status
    assert f"\n    {command}" in status


def test_a_failure_announces_what_was_announced_and_shows_no_copy(
    tmp_path: Path, fake: FakeAnthropic
) -> None:
    fake.fault(401, times=1000)
    made = installation(tmp_path, fake, "cs.CL")
    [issue] = json.loads(made.newsletter("run", "--json").out)["issues"]
    assert issue["announced"] == 6
    assert "ANTHROPIC_API_KEY" in issue["trouble"]
    shown = made.newsletter("preview", "--rubric", "one", "--out", str(tmp_path / "p.html"))
    assert (shown.status, "ANTHROPIC_API_KEY" in shown.err) == (1, True), shown.err


def unusable(wanted: Callable[[str], bool]) -> Callable[[str, str], dict[str, Any]]:
    """A model whose answers about some papers can't be read; all others miss the cut-offs."""

    def scores_of(title: str, _abstract: str) -> dict[str, Any]:
        return {"m": 1, "c": "", "r": 11 if wanted(title) else 2, "n": 2, "x": 0}

    return scores_of


def test_the_alert_and_the_log_tell_the_last_cause(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """The answers hold no score: that takes no waiting, and the service's clock stands still."""
    service = Service(store)
    with FakeAnthropic(unusable(bool)) as fake:
        chosen = settings(
            anthropic_api_key="sk-test", anthropic_base_url=fake.url, scoring_mode="now"
        )
        service.app = replace(service.app, scorer=ClaudeScorer(chosen))
        service.join()
        with caplog.at_level(logging.WARNING):
            service.build_digests()
            [mail] = service.round()
    said = "27 of 27 papers could not be scored (the model answered without usable scores"
    assert said in " ".join(mail.text.split())
    assert any(said in line.getMessage() for line in caplog.records)


def test_a_day_whose_likeliest_papers_failed_is_not_called_quiet(tmp_path: Path) -> None:
    """Three of 27: as many as such a day usually has picks."""
    titles: list[str] = []

    def among_the_first(title: str) -> bool:
        if title not in titles:
            titles.append(title)
        return titles.index(title) < 3

    with FakeAnthropic(unusable(among_the_first)) as fake:
        made = installation(tmp_path, fake, "cs.LG")
        done = made.newsletter("run")
    assert done.status == 1
    assert "3 of 27 papers could not be scored" in done.err
    assert "the model answered without usable scores" in done.err
    assert not made.mails()


def test_a_day_of_which_one_paper_failed_is_quiet_and_says_so(tmp_path: Path) -> None:
    titles: list[str] = []

    def the_first(title: str) -> bool:
        titles.append(title)
        return title == titles[0]

    with FakeAnthropic(unusable(the_first)) as fake:
        made = installation(tmp_path, fake, "cs.LG")
        done = made.newsletter("run")
    assert done.status == 0, done.err
    assert "one: 1 paper could not be scored (the model answered" in done.err
    assert len(made.mails()) == 1


@pytest.mark.parametrize("count", [1, 13, 40])
def test_rubrics_of_any_number_of_criteria_are_served(tmp_path: Path, count: int) -> None:
    def scores_of(_title: str, _abstract: str) -> dict[str, Any]:
        return {"m": count, "c": "does it", "r": 9, "n": 8, "x": 0}

    with FakeAnthropic(scores_of) as fake:
        made = installation(tmp_path, fake, "cs.CV", count)
        assert made.newsletter("run").status == 0
    [mail] = made.mails()
    body = mail.get_body(("plain",))
    assert body is not None
    assert f"Criterion {count}: does it" in " ".join(body.get_content().split())
