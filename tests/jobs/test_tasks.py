"""Units of work: cut from a morning, kept in a table, and each generation ends at most once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from newsletter import bootstrap
from newsletter.context import no_progress
from newsletter.delivery import planner
from newsletter.domain.mail import DeliveryState
from newsletter.domain.model import Criterion, Rubric
from newsletter.domain.tasks import Task, TaskKind, TaskResult
from newsletter.errors import OperatorError, Stopped
from newsletter.jobs import daily, tasks
from newsletter.settings import Settings
from newsletter.store import deliveries, digests, subscriptions
from tests.fakes.database import create_database
from tests.fakes.mail import reader
from tests.render.gallery import issues

DAY = date(2025, 11, 18)
NOW = datetime(2025, 11, 18, 6, 0, tzinfo=UTC)
RUBRICS = Path(__file__).parents[2] / "templates" / "rubrics"
MAIL = Task(TaskKind.MAIL, DAY, ("7", "0"))


def rubric(number: int, *categories: str) -> Rubric:
    return Rubric(
        slug=f"r{number}",
        title="A rubric",
        categories=categories or ("cs.LG",),
        criteria=(Criterion(1, "One", "Relevant: all."),),
    )


def test_rubrics_are_scored_in_groups_of_about_one_size_by_category():
    many = [rubric(n, "cs.LG" if n % 2 else "cs.CL") for n in range(120)]
    cut = tasks.scoring_groups(many, DAY, None)
    assert [len(unit.ids) for unit in cut] == [40, 40, 40]
    assert sorted(slug for unit in cut for slug in unit.ids) == sorted(one.slug for one in many)
    assert all(int(slug[1:]) % 2 == 0 for slug in cut[0].ids)
    assert tasks.scoring_groups([], DAY, None) == []


@pytest.mark.parametrize(
    ("rubrics", "workers", "sizes"),
    [
        (10, 1, [10]),
        (10, 3, [3, 3, 4]),
        (10, 9, [3, 3, 4]),
        (5, 3, [5]),
        (120, 4, [30] * 4),
        (120, 0, [40] * 3),
    ],
)
def test_each_worker_has_a_group_to_score_as_long_as_groups_share_their_papers(
    rubrics, workers, sizes
):
    some = [rubric(n, "cs.LG") for n in range(rubrics)]
    assert [len(one.ids) for one in tasks.scoring_groups(some, DAY, None, workers)] == sizes


@pytest.mark.parametrize(
    ("rubrics", "workers", "sizes"),
    [(120, 0, [120]), (250, 1, [250]), (120, 2, [60, 60]), (260, 1, [130, 130])],
)
def test_with_a_send_time_groups_are_larger_so_that_all_wait_for_their_batches_at_once(
    rubrics, workers, sizes
):
    by = datetime(2026, 11, 18, 6, tzinfo=UTC)
    some = [rubric(n, "cs.LG") for n in range(rubrics)]
    assert [len(one.ids) for one in tasks.scoring_groups(some, DAY, by, workers)] == sizes


@pytest.mark.parametrize(
    ("pending", "lanes"), [(0, 0), (1, 1), (1000, 1), (1001, 2), (1_000_000, 16)]
)
def test_a_lane_for_each_thousand_mails_up_to_sixteen(pending, lanes):
    cut = tasks.shards(7, DAY, pending)
    assert [unit.ids for unit in cut] == [("7", str(n)) for n in range(lanes)]


def test_task_names_fit_their_column_and_are_unique():
    long = [Task(TaskKind.SCORE, DAY, tuple(f"rubric-{n}" for n in range(m))) for m in (40, 41)]
    assert {len(one.subject) for one in long} == {64}
    assert long[0].subject != long[1].subject
    assert MAIL.subject == "7/0"


@pytest.fixture
def app(tmp_path):
    database = f"sqlite:///{tmp_path / 'n.db'}"
    create_database(database)
    settings = Settings(
        _env_file=None,
        database_url=database,
        source="sample",
        scorer="local",
        mailer="outbox",
        outbox_dir=tmp_path / "outbox",
        rubrics_dir=RUBRICS,
        from_email="digest@example.org",
    )
    made = bootstrap.build_app(settings)
    yield made
    made.store.close()


def test_a_task_of_a_missing_rubric_says_so(app):
    with pytest.raises(OperatorError, match="every machine needs the same rubrics"):
        tasks.run_task(app, Task(TaskKind.DIGEST, DAY, ("elsewhere",)), no_progress)


def test_a_task_of_a_missing_digest_says_so(app):
    with pytest.raises(OperatorError, match="digest 7 is not there"):
        tasks.run_task(app, MAIL, no_progress)


def test_a_tasks_problem_is_in_words_and_concerns_that_task_alone(app):
    assert daily.handle_task(app, no_progress, MAIL) == TaskResult("digest 7 is not there")


def test_a_program_error_is_a_problem_of_its_task(app, caplog):
    broken = replace(app, rubrics=None)
    said = daily.handle_task(broken, no_progress, Task(TaskKind.DIGEST, DAY, ("any",)))
    assert said.problem.startswith("unexpected TypeError")
    assert "Traceback" in caplog.text


def test_a_digest_is_made_once_however_often_its_task_runs(app):
    wanted = Task(TaskKind.DIGEST, DAY, ("foundation-models",))
    daily.fetch_papers(app, daily.read_day(app, DAY, "foundation-models"), DAY, no_progress)
    first, second = (tasks.run_task(app, wanted, no_progress) for _ in range(2))
    assert first.digest_id
    assert (first.digest_id, first.digest) == (second.digest_id, second.digest)


def test_a_lane_that_was_asked_to_stop_is_not_at_its_end(app):
    daily.fetch_papers(app, daily.read_day(app, DAY, "foundation-models"), DAY, no_progress)
    made = tasks.run_task(app, Task(TaskKind.DIGEST, DAY, ("foundation-models",)), no_progress)
    app.stop.set()
    with pytest.raises(Stopped):
        tasks.run_task(app, Task(TaskKind.MAIL, DAY, (str(made.digest_id), "0")), no_progress)


class ReleaseCounter:
    """A renderer that counts the released mails at each call."""

    def __init__(self, app) -> None:
        self.app = app
        self.let_go: list[int] = []

    def digest(self, *given):
        with self.app.store.read() as tx:
            states = deliveries.count_all(tx)
        self.let_go.append(states.get(DeliveryState.SENDING, 0))
        return self.app.renderer.digest(*given)


def test_a_lane_renders_before_it_lets_a_mail_go(app):
    """Else those that were granted their moment would leave all at once, later."""
    rubric = app.rubrics["foundation-models"]
    with app.store.begin() as tx:
        for number in range(3):
            subscriptions.insert_new(tx, reader(number, rubric=rubric.slug), NOW)
        made = issues.digest((issues.pick(1),), rubric=rubric, date=DAY)
        digest_id = digests.save(tx, made, app.clock())
    planner.plan_all(app.store, rubric.slug, DAY, app.clock())
    renderer = ReleaseCounter(app)
    lane = Task(TaskKind.MAIL, DAY, (str(digest_id), "0"))
    assert tasks.run_task(replace(app, renderer=renderer), lane, no_progress).sent == 3
    assert renderer.let_go == [0]
