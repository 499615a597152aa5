"""Two processes and one database: a worker whose settings differ from the planner's takes no task.

Each worker here differs in one thing. Without the check, the first put its share of the mail into
an outbox of its own, the second ranked without the model, the third signed links that no page
opens, and the fourth bought the papers again for a rubric as it was before.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.scoring import scores_in_abstract
from tests.fakes.services import RUBRIC, Deployment, deployment_on, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

POSTGRES = os.environ.get("NEWSLETTER_TEST_DATABASE_URL", "")
READERS = 12
pytestmark = pytest.mark.skipif(
    not POSTGRES, reason="two processes need PostgreSQL: set NEWSLETTER_TEST_DATABASE_URL"
)
SECRET = "another key that only tests know"


@contextmanager
def planning(folder: Path) -> Iterator[Deployment]:
    """A planner that takes no task itself, with papers to score and readers to mail."""
    with ExitStack() as stack:
        model = stack.enter_context(FakeAnthropic(scores_in_abstract))
        made = stack.enter_context(deployment_on(POSTGRES, folder, NEWSLETTER_ENGINE="dbos"))
        settings = made.installation.environment
        settings |= {"ANTHROPIC_API_KEY": "sk-ant-tests", "ANTHROPIC_BASE_URL": model.url}
        del settings["NEWSLETTER_SCORER"], settings["NEWSLETTER_MAILER"]
        for number in range(READERS):
            made.add_reader(f"reader{number}", "one")
        made.start("--no-web", "--no-work")
        wait_for(lambda: tasks(made))
        yield made


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One for all tests that leave its tasks as they are."""
    with planning(tmp_path_factory.mktemp("planner")) as made:
        yield made


def tasks(deployment: Deployment) -> set[str]:
    """The states of the tasks; none until DBOS made its tables."""
    try:
        with deployment.store.engine.connect() as tx:
            return set(tx.scalars(text("SELECT status FROM dbos.workflow_status")))
    except ProgrammingError:
        return set()


class Worker:
    """A worker on a machine of its own: its own rubrics, outbox and log."""

    def __init__(self, deployment: Deployment, folder: Path, changes: Mapping[str, str]) -> None:
        self.rubrics = folder / "rubrics"
        self.rubrics.mkdir()
        for file in deployment.installation.rubrics.glob("*.md"):
            (self.rubrics / file.name).write_bytes(file.read_bytes())
        self.outbox, self._log = folder / "outbox", folder / "log"
        self._folder = folder
        own = {
            "NEWSLETTER_RUBRICS_DIR": str(self.rubrics),
            "NEWSLETTER_OUTBOX_DIR": str(self.outbox),
        }
        self._settings = deployment.installation.environment | own | changes

    def start(self, stack: ExitStack) -> None:
        log = stack.enter_context(self._log.open("w", encoding="utf-8"))
        words = [sys.executable, "-m", "tests.fakes.quick_serve", "worker"]
        process = subprocess.Popen(
            [*words, "--id", "w2", "--port", "0"], cwd=self._folder, env=self._settings, stderr=log
        )
        stack.callback(process.wait)
        stack.callback(process.terminate)

    def says(self, words: str) -> bool:
        return words in self.log()

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "rubric", "named"),
    [
        pytest.param({"SENDGRID_API_KEY": ""}, "", "SENDGRID_API_KEY", id="mailer"),
        pytest.param({"ANTHROPIC_API_KEY": ""}, "", "ANTHROPIC_API_KEY", id="scorer"),
        pytest.param({"NEWSLETTER_SECRET_KEY": SECRET}, "", "NEWSLETTER_SECRET_KEY", id="key"),
        pytest.param({}, "Only half of it", "rubric one", id="rubric"),
    ],
)
def test_a_worker_that_differs_takes_no_task_and_names_the_setting(
    deployment: Deployment, tmp_path: Path, changes: dict[str, str], rubric: str, named: str
) -> None:
    worker = Worker(deployment, tmp_path, changes)
    if rubric:
        older = RUBRIC.format(title="one", category="cs.LG").replace("all of it", rubric)
        (worker.rubrics / "one.md").write_text(older, encoding="utf-8")
    with ExitStack() as stack:
        worker.start(stack)
        wait_for(lambda: worker.says("takes no task"))
        assert named in worker.log()
        done = deployment.installation.newsletter("status", "--json")
        [alert] = [
            one for one in json.loads(done.out)["alerts"] if one["kind"] == "settings_differ"
        ]
        assert named in alert["what"]
        assert "w2" in alert["what"]
    assert tasks(deployment) == {"ENQUEUED"}
    assert not list(worker.outbox.glob("*.eml"))
    for value in ("SG.x", "sk-ant-tests", SECRET, deployment.installation.environment["HOME"]):
        assert value not in worker.log() + done.out


def test_a_run_that_differs_from_the_living_service_plans_nothing(deployment: Deployment) -> None:
    done = deployment.installation.newsletter("run", NEWSLETTER_SECRET_KEY=SECRET)
    assert done.status == 1
    assert "not the same as in the process that plans: NEWSLETTER_SECRET_KEY" in done.err
    assert SECRET not in done.err + done.out
    looked = deployment.installation.newsletter(
        "doctor", "--offline", "--json", NEWSLETTER_SECRET_KEY=SECRET
    )
    [found] = [one for one in json.loads(looked.out)["checks"] if one["check"] == "shared settings"]
    assert (found["state"], "NEWSLETTER_SECRET_KEY" in found["said"]) == ("warn", True)
    assert tasks(deployment) == {"ENQUEUED"}


def test_a_worker_with_the_same_settings_does_all_of_it(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with planning(tmp_path_factory.mktemp("planner")) as deployment, ExitStack() as stack:
        worker = Worker(deployment, tmp_path, {})
        worker.start(stack)
        wait_for(lambda: len(deployment.sendgrid.addresses) == READERS)
    assert not worker.says("takes no task")
