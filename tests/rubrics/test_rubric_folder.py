"""One bad rubric holds its own readers alone, and a file that changes needs no restart."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from newsletter.context import no_progress
from newsletter.domain.tasks import Task, TaskKind
from newsletter.jobs.daily import handle_task
from newsletter.rubrics.file import RubricError
from newsletter.rubrics.folder import RubricFolder, why_missing
from newsletter.store import digests
from newsletter.web.app import create_app
from newsletter.web.context import Site
from tests.fakes import pages
from tests.fakes.browser import served
from tests.fakes.installation import Installation
from tests.fakes.simulated_service import TUESDAY, Service

if TYPE_CHECKING:
    from pathlib import Path

    from newsletter.store import Store

GOOD = """---
title: {title}
categories: [cs.LG]
public: true
---

## Criteria

1. Anything
   - Relevant: language models.
"""
TYPO = GOOD.replace("public: true", "relevanse: 8")
FAULT = "bad.md line 4: relevanse: not known; did you mean relevance?"


def put(folder: Path, slug: str, text: str = GOOD) -> Path:
    file = folder / f"{slug}.md"
    file.write_text(text.replace("{title}", slug.title()), encoding="utf-8")
    return file


def test_a_folder_keeps_the_good_and_the_faults_of_the_others(tmp_path: Path) -> None:
    put(tmp_path, "good")
    put(tmp_path, "bad", TYPO)
    put(tmp_path, "notes", "no rubric at all")
    put(tmp_path, "README", "about these files")
    put(tmp_path, ".#good", "what an editor leaves")
    (tmp_path / "folder.md").mkdir()
    found = RubricFolder(tmp_path)
    assert set(found) == {"good"}
    assert found.faults["bad"] == (FAULT,)
    assert found.faults.keys() == {"bad", "notes", "folder"}
    assert why_missing(found, "bad") == FAULT
    assert "gone.md is not there" in why_missing(found, "gone")


def test_a_folder_is_read_again_where_files_changed(tmp_path: Path) -> None:
    good, bad = put(tmp_path, "good"), put(tmp_path, "bad", TYPO)
    found = RubricFolder(tmp_path)
    kept = found["good"]
    before = list(found.values())
    put(tmp_path, "bad")
    put(tmp_path, "new")
    os.utime(bad, ns=(1, 1))
    found.reread()
    assert set(found) == {"good", "bad", "new"}
    assert found["good"] is kept, "an unchanged file is not read again"
    good.unlink()
    found.reread()
    assert set(found) == {"bad", "new"}
    assert before == [kept]


def test_a_folder_without_any_rubric_is_a_fault(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "away"):
        with pytest.raises(RubricError, match="no rubric"):
            RubricFolder(folder).require_any()
    put(tmp_path, "bad", TYPO)
    RubricFolder(tmp_path).require_any()


@pytest.mark.parametrize(
    ("name", "says"), [("file", "file is a file, not a folder"), ("x" * 300, "File name too long")]
)
def test_a_folder_that_cannot_be_read_is_a_fault(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "file").write_text("x")
    folder = RubricFolder(tmp_path / name)
    assert not folder
    with pytest.raises(RubricError, match=f"{says}.*NEWSLETTER_RUBRICS_DIR"):
        folder.require_any()


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """Readers of a good rubric, of one that got a typo since, and of one that was deleted."""
    made = Installation(tmp_path, NEWSLETTER_SOURCE="sample", NEWSLETTER_SCORER="local")
    for slug in ("good", "bad", "gone"):
        put(made.rubrics, slug)
    made.subscribe("ada@example.org,good", "ben@example.org,bad", "cleo@example.org,gone")
    put(made.rubrics, "bad", TYPO)
    put(made.rubrics, "notes", "no rubric at all")
    (made.rubrics / "gone.md").unlink()
    return made


def test_run_serves_the_others_and_tells_file_and_line(installation: Installation) -> None:
    priced = installation.newsletter("run", "--dry-run")
    assert (priced.status, FAULT in priced.err) == (0, True), priced.err
    done = installation.newsletter("run", "--json")
    assert done.status == 1
    told = json.loads(done.out)
    assert [(one["rubric"], one["sent"]) for one in told["issues"]] == [("good", 1)]
    assert [(one["slug"], one["readers"]) for one in told["held"]] == [("bad", 1), ("gone", 1)]
    assert FAULT in done.err
    assert "gone.md is not there" in done.err
    assert [mail["To"] for mail in installation.mails()] == ["ada@example.org"]
    status = installation.newsletter("status").out
    assert status.count("A rubric file is invalid or missing") == 3
    assert f"newsletter rubrics check {installation.rubrics}/bad.md" in status
    put(installation.rubrics, "bad")
    assert "ben@example.org" not in installation.newsletter("run").err
    assert len(installation.mails()) == 2


def test_the_other_commands_go_on_as_well(installation: Installation) -> None:
    out = str(installation.folder / "p.html")
    assert installation.newsletter("preview", "--rubric", "good", "--out", out).status == 0
    sent = installation.newsletter("test-send", "--to", "op@example.org", "--rubric", "good")
    assert sent.status == 0, sent.err
    installation.subscribe("dora@example.org,good", "emil@example.org,bad")
    bad = installation.newsletter("preview", "--rubric", "bad", "--out", out)
    assert (bad.status, FAULT in bad.err) == (1, True)
    listed = installation.newsletter("rubrics", "list")
    assert (listed.status, "Good" in listed.out, FAULT in listed.err) == (1, True, True)
    demo = installation.newsletter("demo", NEWSLETTER_RUBRICS_DIR=str(installation.rubrics))
    assert demo.status == 0, demo.err


def made(service: Service) -> set[str]:
    with service.app.store.read() as tx:
        return digests.rubrics_with_digest(tx, TUESDAY)


def test_a_service_holds_tells_and_takes_the_mended_file_up(store: Store, tmp_path: Path) -> None:
    service = Service(store)
    for slug in ("stars", "models"):
        put(tmp_path, slug)
    service.app = replace(
        service.app,
        rubrics=RubricFolder(tmp_path),
        settings=service.app.settings.model_copy(update={"rubrics_dir": tmp_path}),
    )
    service.join("stars")
    service.join("models")
    put(tmp_path, "models", TYPO)
    service.build_digests()
    [mail] = service.round()
    words = " ".join(mail.text.split())
    assert mail.subject == "[arXiv digest] A rubric file is invalid or missing: models"
    assert "models.md line 4: relevanse" in words
    assert "The digests of 1 reader are held until the file is fixed." in words
    assert made(service) == {"stars"}
    put(tmp_path, "models")
    service.build_digests(16)
    assert made(service) == {"stars", "models"}


def test_a_worker_makes_the_digests_of_the_rubrics_that_it_can_read(
    store: Store, tmp_path: Path
) -> None:
    put(tmp_path, "bad", TYPO)
    app = replace(Service(store).app, rubrics=RubricFolder(tmp_path))
    both = ("bad", "late")
    assert handle_task(app, no_progress, Task(TaskKind.SCORE, TUESDAY, both)).problem == ""
    assert FAULT in handle_task(app, no_progress, Task(TaskKind.DIGEST, TUESDAY, ("bad",))).problem
    put(tmp_path, "late")
    assert handle_task(app, no_progress, Task(TaskKind.DIGEST, TUESDAY, ("late",))).problem == ""


def test_a_page_shows_a_new_file_and_does_without_a_bad_one(store: Store, tmp_path: Path) -> None:
    put(tmp_path, "first")
    folder = RubricFolder(tmp_path)
    with served(create_app(Site(replace(pages.application(store), rubrics=folder)))) as web:
        assert "First" in web.get("/").text
        put(tmp_path, "second")
        put(tmp_path, "bad", TYPO)
        shown = web.get("/").text
        assert ("First" in shown, "Second" in shown, "Bad" in shown) == (True, True, False)
