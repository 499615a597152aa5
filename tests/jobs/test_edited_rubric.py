"""A rubric edited after its digest was made: it is said, and `--fresh` shows the new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from newsletter.rubrics.file import load
from tests.cli.test_replay_command import RUBRIC, scores_of
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.installation import Installation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OLDER = "is made from an older version, fingerprint "


@pytest.fixture
def fake() -> Iterator[FakeAnthropic]:
    with FakeAnthropic(scores_of) as serving:
        yield serving


@pytest.fixture
def installation(tmp_path: Path, fake: FakeAnthropic) -> Installation:
    """The day's digest is made and mailed."""
    made = Installation(
        tmp_path,
        NEWSLETTER_SOURCE="sample",
        ANTHROPIC_API_KEY="sk-test",
        ANTHROPIC_BASE_URL=fake.url,
    )
    edit(made, 8, "all of it")
    made.subscribe("ada@example.org,one")
    done = made.newsletter("run")
    assert (done.status, OLDER in done.err) == (0, False), done.err
    return made


def edit(installation: Installation, relevance: int, wanted: str) -> Path:
    file = installation.rubrics / "one.md"
    file.write_text(RUBRIC.format(relevance=relevance, wanted=wanted), encoding="utf-8")
    return file


def test_run_preview_and_test_send_say_that_the_digest_is_older(installation: Installation) -> None:
    was = load(installation.rubrics / "one.md").fingerprint
    file = edit(installation, 8, "only pruning")
    out = str(installation.folder / "p.html")
    for words in (
        ("run",),
        ("preview", "--rubric", "one", "--out", out),
        ("test-send", "--to", "op@example.org", "--rubric", "one"),
    ):
        done = installation.newsletter(*words)
        assert done.status == 0, done.err
        assert f"{OLDER}{was[:12]} (now {load(file).fingerprint[:12]})" in done.err
        assert f"`newsletter rubrics replay {file}` shows the new one" in done.err
        assert "`newsletter preview --rubric one --fresh` its mail" in done.err
    edit(installation, 10, "all of it")
    assert "the same for the model, the rest differs" in installation.newsletter("run").err
    edit(installation, 8, "all of it")
    assert OLDER not in installation.newsletter("run").err


def test_a_fresh_preview_shows_the_edited_rubric_within_its_budget(
    installation: Installation, fake: FakeAnthropic
) -> None:
    out = installation.folder / "p.html"
    words = ("preview", "--rubric", "one", "--out", str(out))
    assert installation.newsletter(*words).status == 0
    frozen, paid = out.read_text(encoding="utf-8"), fake.bill_nanos
    edit(installation, 10, "all of it")
    done = installation.newsletter(*words, "--fresh")
    assert (done.status, OLDER in done.err) == (0, False), done.err
    text = out.with_suffix(".txt").read_text()
    assert "27 papers were read; none reached your cut-offs: relevance 10" in " ".join(text.split())
    assert fake.bill_nanos == paid, "only the cut-offs are new"
    edit(installation, 8, "only pruning")
    short = installation.newsletter(*words, "--fresh", NEWSLETTER_BUDGET_USD="0.001")
    assert (short.status, "the budget left 27 of 27 papers unread" in short.err) == (1, True)
    assert installation.newsletter(*words, "--fresh").status == 0
    assert fake.bill_nanos > paid
    assert installation.newsletter(*words).status == 0
    assert out.read_text(encoding="utf-8") == frozen, "what is frozen stays"
