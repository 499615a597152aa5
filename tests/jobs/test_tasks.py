"""Units of work: cut from a morning, kept in a table, and each generation ends at most once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from newsletter import bootstrap
from newsletter.context import no_progress
from newsletter.delivery import planner
from newsletter.domain.mail import DeliveryState
from newsletter.domain.model import Criterion, Rubric
from newsletter.errors import OperatorError, Stopped
from newsletter.jobs import daily, tasks
from newsletter.settings import Settings
from newsletter.store import deliveries, digests, subscribers
from newsletter.store import tasks as shelf
from newsletter.store.tasks import Task, TaskKind, TaskResult, TaskState
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


def planned(store, *wanted: Task) -> tuple[list[str], list[shelf.TaskAttempt]]:
    with store.begin() as tx:
        return shelf.plan(tx, wanted, NOW)


def took(store, unit_id: str, gen: int, owner: str = "me") -> Task | None:
    with store.begin() as tx:
        return shelf.claim(tx, unit_id, gen, owner, NOW)


def ended(store, unit_id: str, gen: int, owner: str = "me", **said) -> bool:
    with store.begin() as tx:
        return shelf.finish(tx, unit_id, gen, owner, TaskResult(**said), NOW)


def ending(store, unit_id: str) -> TaskResult | None:
    with store.read() as tx:
        return shelf.results(tx, [unit_id]).get(unit_id)


def test_rubrics_are_scored_in_groups_of_about_one_size_by_category():
    many = [rubric(n, "cs.LG" if n % 2 else "cs.CL") for n in range(120)]
    cut = tasks.scoring_groups(many, DAY, None)
    assert [len(unit.ids) for unit in cut] == [40, 40, 40]
    assert sorted(slug for unit in cut for slug in unit.ids) == sorted(one.slug for one in many)
    assert all(int(slug[1:]) % 2 == 0 for slug in cut[0].ids)
    assert tasks.scoring_groups([], DAY, None) == []


@pytest.mark.parametrize(
    ("pending", "lanes"), [(0, 0), (1, 1), (1000, 1), (1001, 2), (1_000_000, 16)]
)
def test_a_lane_for_each_thousand_mails_up_to_sixteen(pending, lanes):
    cut = tasks.shards(7, DAY, pending)
    assert [unit.ids for unit in cut] == [("7", str(n)) for n in range(lanes)]


def test_names_of_units_fit_their_column_and_tell_them_apart():
    long = [Task(TaskKind.SCORE, DAY, tuple(f"rubric-{n}" for n in range(m))) for m in (40, 41)]
    assert {len(one.subject) for one in long} == {64}
    assert long[0].subject != long[1].subject
    assert MAIL.subject == "7/0"


def test_planning_twice_opens_once(store):
    ids, fresh = planned(store, MAIL, Task(TaskKind.MAIL, DAY, ("7", "1")))
    assert [(one.id, one.number) for one in fresh] == [(ids[0], 1), (ids[1], 1)]
    again, later = planned(store, MAIL)
    assert (again, later) == (ids[:1], [])


def test_a_unit_comes_back_as_it_was_planned(store):
    wanted = Task(TaskKind.SCORE, DAY, ("a", "b"), NOW + timedelta(hours=3))
    ids, _ = planned(store, wanted)
    assert took(store, ids[0], 1) == wanted


def test_what_has_ended_is_opened_anew_one_generation_later(store):
    ids, _ = planned(store, MAIL)
    took(store, ids[0], 1)
    assert ended(store, ids[0], 1, problem="no key", sent=3)
    assert ending(store, ids[0]) == TaskResult("no key", 3)
    _, fresh = planned(store, MAIL)
    assert [one.number for one in fresh] == [2]
    assert ending(store, ids[0]) is None


def test_what_was_read_is_not_read_again_but_what_failed_is(store):
    wanted = Task(TaskKind.SCORE, DAY, ("a", "b", "c"))
    ids, _ = planned(store, wanted)
    took(store, ids[0], 1)
    ended(store, ids[0], 1, problem="no key")
    _, fresh = planned(store, wanted)
    assert [one.number for one in fresh] == [2]
    took(store, ids[0], 2)
    ended(store, ids[0], 2)
    assert planned(store, wanted) == (ids, [])
    assert ending(store, ids[0]) == TaskResult()


def test_only_one_may_take_a_generation(store):
    ids, _ = planned(store, MAIL)
    assert took(store, ids[0], 1, "one") == MAIL
    assert took(store, ids[0], 1, "two") is None
    assert took(store, ids[0], 1, "one") is None
    assert took(store, ids[0], 2, "two") is None


def test_who_was_overtaken_ends_nothing(store):
    ids, _ = planned(store, MAIL)
    took(store, ids[0], 1, "zombie")
    with store.begin() as tx:
        assert shelf.retry(tx, ids[0], 1, NOW, lost=True) == shelf.TaskAttempt(
            ids[0], 2, TaskKind.MAIL
        )
        assert shelf.retry(tx, ids[0], 1, NOW, lost=True) is None
    took(store, ids[0], 2, "heir")
    assert not ended(store, ids[0], 1, "zombie", sent=9)
    assert not ended(store, ids[0], 2, "zombie", sent=9)
    assert ended(store, ids[0], 2, "heir", sent=1)
    assert ending(store, ids[0]) == TaskResult("", 1)


def test_a_unit_that_kills_its_workers_fails_in_the_end(store):
    ids, _ = planned(store, MAIL)
    with store.begin() as tx:
        for gen in range(1, shelf.MAX_LOST_WORKERS):
            assert shelf.retry(tx, ids[0], gen, NOW, lost=True)
        assert shelf.retry(tx, ids[0], shelf.MAX_LOST_WORKERS, NOW, lost=True) is None
        assert shelf.count(tx) == {TaskState.FAILED: 1}
    said = ending(store, ids[0])
    assert said
    assert "workers died" in said.problem


def test_handing_back_is_no_death(store):
    ids, _ = planned(store, MAIL)
    with store.begin() as tx:
        for gen in range(1, 2 * shelf.MAX_LOST_WORKERS):
            assert shelf.retry(tx, ids[0], gen, NOW)


def test_old_ended_ones_are_forgotten_and_open_ones_never(store):
    ids, _ = planned(store, MAIL, Task(TaskKind.MAIL, DAY, ("7", "1")))
    took(store, ids[0], 1)
    ended(store, ids[0], 1)
    with store.begin() as tx:
        assert shelf.delete_finished(tx, NOW) == 0
        assert shelf.delete_finished(tx, NOW + timedelta(seconds=1)) == 1
        assert [one.attempt.id for one in shelf.open_tasks(tx)] == [ids[1]]


@pytest.fixture
def app(tmp_path):
    settings = Settings(
        _env_file=None,
        database_url=f"sqlite:///{tmp_path / 'n.db'}",
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


def test_a_unit_of_a_rubric_that_is_not_here_says_so(app):
    with pytest.raises(OperatorError, match="every machine needs the same rubrics"):
        tasks.run_task(app, Task(TaskKind.DIGEST, DAY, ("elsewhere",)), no_progress)


def test_a_unit_of_a_digest_that_is_not_there_says_so(app):
    with pytest.raises(OperatorError, match="digest 7 is not there"):
        tasks.run_task(app, MAIL, no_progress)


def test_a_units_trouble_is_its_own_and_in_words(app):
    assert daily.handle_task(app, no_progress, MAIL) == TaskResult("digest 7 is not there")


def test_a_fault_of_the_program_is_a_units_trouble_too(app, caplog):
    broken = replace(app, rubrics=None)
    said = daily.handle_task(broken, no_progress, Task(TaskKind.DIGEST, DAY, ("any",)))
    assert said.problem.startswith("unexpected TypeError")
    assert "Traceback" in caplog.text


def test_a_digest_is_made_once_however_often_its_unit_is_done(app):
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
            subscribers.save(tx, reader(number, rubric=rubric.slug), NOW)
        made = issues.digest((issues.pick(1),), rubric=rubric, date=DAY)
        digest_id = digests.save(tx, made, app.clock())
    planner.plan_all(app.store, rubric.slug, DAY, app.clock())
    renderer = ReleaseCounter(app)
    lane = Task(TaskKind.MAIL, DAY, (str(digest_id), "0"))
    assert tasks.run_task(replace(app, renderer=renderer), lane, no_progress).sent == 3
    assert renderer.let_go == [0]
