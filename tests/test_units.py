"""Units of work: cut from a morning, kept in a table, and each generation ends at most once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from newsletter import bootstrap
from newsletter.context import no_report
from newsletter.delivery import planner
from newsletter.domain.mail import DeliveryState
from newsletter.domain.model import Criterion, Rubric
from newsletter.errors import Stopped, Trouble
from newsletter.jobs import daily, tasks
from newsletter.settings import Settings
from newsletter.store import deliveries, digests, subscribers
from newsletter.store import tasks as shelf
from newsletter.store.tasks import Ending, Kind, State, Unit
from tests import issues
from tests.fakes.mail import reader

DAY = date(2025, 11, 18)
NOW = datetime(2025, 11, 18, 6, 0, tzinfo=UTC)
RUBRICS = Path(__file__).parents[1] / "templates" / "rubrics"
MAIL = Unit(Kind.MAIL, DAY, ("7", "0"))


def rubric(number: int, *categories: str) -> Rubric:
    return Rubric(
        slug=f"r{number}",
        title="A rubric",
        categories=categories or ("cs.LG",),
        criteria=(Criterion(1, "One", "Relevant: all."),),
    )


def planned(store, *wanted: Unit) -> tuple[list[str], list[shelf.Placed]]:
    with store.begin() as tx:
        return shelf.plan(tx, wanted, NOW)


def took(store, unit_id: str, gen: int, owner: str = "me") -> Unit | None:
    with store.begin() as tx:
        return shelf.take(tx, unit_id, gen, owner, NOW)


def ended(store, unit_id: str, gen: int, owner: str = "me", **said) -> bool:
    with store.begin() as tx:
        return shelf.end(tx, unit_id, gen, owner, Ending(**said), NOW)


def ending(store, unit_id: str) -> Ending | None:
    with store.read() as tx:
        return shelf.endings(tx, [unit_id]).get(unit_id)


def test_rubrics_are_scored_in_groups_of_about_one_size_by_category():
    many = [rubric(n, "cs.LG" if n % 2 else "cs.CL") for n in range(120)]
    cut = tasks.groups(many, DAY, None)
    assert [len(unit.ids) for unit in cut] == [40, 40, 40]
    assert sorted(slug for unit in cut for slug in unit.ids) == sorted(one.slug for one in many)
    assert all(int(slug[1:]) % 2 == 0 for slug in cut[0].ids)
    assert tasks.groups([], DAY, None) == []


@pytest.mark.parametrize(
    ("pending", "lanes"), [(0, 0), (1, 1), (1000, 1), (1001, 2), (1_000_000, 16)]
)
def test_a_lane_for_each_thousand_mails_up_to_sixteen(pending, lanes):
    cut = tasks.lanes(7, DAY, pending)
    assert [unit.ids for unit in cut] == [("7", str(n)) for n in range(lanes)]


def test_names_of_units_fit_their_column_and_tell_them_apart():
    long = [Unit(Kind.SCORE, DAY, tuple(f"rubric-{n}" for n in range(m))) for m in (40, 41)]
    assert {len(one.subject) for one in long} == {64}
    assert long[0].subject != long[1].subject
    assert MAIL.subject == "7/0"


def test_planning_twice_opens_once(store):
    ids, fresh = planned(store, MAIL, Unit(Kind.MAIL, DAY, ("7", "1")))
    assert [(one.id, one.gen) for one in fresh] == [(ids[0], 1), (ids[1], 1)]
    again, later = planned(store, MAIL)
    assert (again, later) == (ids[:1], [])


def test_a_unit_comes_back_as_it_was_planned(store):
    wanted = Unit(Kind.SCORE, DAY, ("a", "b"), NOW + timedelta(hours=3))
    ids, _ = planned(store, wanted)
    assert took(store, ids[0], 1) == wanted


def test_what_has_ended_is_opened_anew_one_generation_later(store):
    ids, _ = planned(store, MAIL)
    took(store, ids[0], 1)
    assert ended(store, ids[0], 1, trouble="no key", sent=3)
    assert ending(store, ids[0]) == Ending("no key", 3)
    _, fresh = planned(store, MAIL)
    assert [one.gen for one in fresh] == [2]
    assert ending(store, ids[0]) is None


def test_what_was_read_is_not_read_again_but_what_failed_is(store):
    wanted = Unit(Kind.SCORE, DAY, ("a", "b", "c"))
    ids, _ = planned(store, wanted)
    took(store, ids[0], 1)
    ended(store, ids[0], 1, trouble="no key")
    _, fresh = planned(store, wanted)
    assert [one.gen for one in fresh] == [2]
    took(store, ids[0], 2)
    ended(store, ids[0], 2)
    assert planned(store, wanted) == (ids, [])
    assert ending(store, ids[0]) == Ending()


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
        assert shelf.again(tx, ids[0], 1, NOW, lost=True) == shelf.Placed(ids[0], 2, Kind.MAIL)
        assert shelf.again(tx, ids[0], 1, NOW, lost=True) is None
    took(store, ids[0], 2, "heir")
    assert not ended(store, ids[0], 1, "zombie", sent=9)
    assert not ended(store, ids[0], 2, "zombie", sent=9)
    assert ended(store, ids[0], 2, "heir", sent=1)
    assert ending(store, ids[0]) == Ending("", 1)


def test_a_unit_that_kills_its_workers_fails_in_the_end(store):
    ids, _ = planned(store, MAIL)
    with store.begin() as tx:
        for gen in range(1, shelf.MOST_TRIES):
            assert shelf.again(tx, ids[0], gen, NOW, lost=True)
        assert shelf.again(tx, ids[0], shelf.MOST_TRIES, NOW, lost=True) is None
        assert shelf.count(tx) == {State.FAILED: 1}
    said = ending(store, ids[0])
    assert said
    assert "workers died" in said.trouble


def test_handing_back_is_no_death(store):
    ids, _ = planned(store, MAIL)
    with store.begin() as tx:
        for gen in range(1, 2 * shelf.MOST_TRIES):
            assert shelf.again(tx, ids[0], gen, NOW)


def test_old_ended_ones_are_forgotten_and_open_ones_never(store):
    ids, _ = planned(store, MAIL, Unit(Kind.MAIL, DAY, ("7", "1")))
    took(store, ids[0], 1)
    ended(store, ids[0], 1)
    with store.begin() as tx:
        assert shelf.forget(tx, NOW) == 0
        assert shelf.forget(tx, NOW + timedelta(seconds=1)) == 1
        assert [one.placed.id for one in shelf.open_ones(tx)] == [ids[1]]


@pytest.fixture
def room(tmp_path):
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
    made = bootstrap.build(settings)
    yield made
    made.store.close()


def test_a_unit_of_a_rubric_that_is_not_here_says_so(room):
    with pytest.raises(Trouble, match="every machine needs the same rubrics"):
        tasks.do(room, Unit(Kind.DIGEST, DAY, ("elsewhere",)), no_report)


def test_a_unit_of_a_digest_that_is_not_there_says_so(room):
    with pytest.raises(Trouble, match="digest 7 is not there"):
        tasks.do(room, MAIL, no_report)


def test_a_units_trouble_is_its_own_and_in_words(room):
    assert daily.work(room, no_report, MAIL) == Ending("digest 7 is not there")


def test_a_fault_of_the_program_is_a_units_trouble_too(room, caplog):
    broken = replace(room, rubrics=None)
    said = daily.work(broken, no_report, Unit(Kind.DIGEST, DAY, ("any",)))
    assert said.trouble.startswith("unexpected TypeError")
    assert "Traceback" in caplog.text


def test_a_digest_is_made_once_however_often_its_unit_is_done(room):
    wanted = Unit(Kind.DIGEST, DAY, ("foundation-models",))
    daily.fetch_for(room, list(room.rubrics.values()), DAY, no_report)
    first, second = (tasks.do(room, wanted, no_report) for _ in range(2))
    assert first.digest_id
    assert (first.digest_id, first.digest) == (second.digest_id, second.digest)


def test_a_lane_that_was_asked_to_stop_is_not_at_its_end(room):
    daily.fetch_for(room, list(room.rubrics.values()), DAY, no_report)
    made = tasks.do(room, Unit(Kind.DIGEST, DAY, ("foundation-models",)), no_report)
    room.stop.set()
    with pytest.raises(Stopped):
        tasks.do(room, Unit(Kind.MAIL, DAY, (str(made.digest_id), "0")), no_report)


class Looking:
    """A renderer that looks how many mails have been let go when it is asked."""

    def __init__(self, room) -> None:
        self.room = room
        self.let_go: list[int] = []

    def digest(self, *given):
        with self.room.store.read() as tx:
            states = deliveries.count_all(tx)
        self.let_go.append(states.get(DeliveryState.SENDING, 0))
        return self.room.renderer.digest(*given)


def test_a_lane_renders_before_it_lets_a_mail_go(room):
    """Else those that were granted their moment would leave all at once, later."""
    rubric = room.rubrics["foundation-models"]
    with room.store.begin() as tx:
        for number in range(3):
            subscribers.save(tx, reader(number, rubric=rubric.slug), NOW)
        made = issues.digest((issues.pick(1),), rubric=rubric, date=DAY)
        digest_id = digests.freeze(tx, made, room.clock())
    planner.owe_all(room.store, rubric.slug, DAY, room.clock())
    looking = Looking(room)
    lane = Unit(Kind.MAIL, DAY, (str(digest_id), "0"))
    assert tasks.do(replace(room, renderer=looking), lane, no_report).sent == 3
    assert looking.let_go == [0]
