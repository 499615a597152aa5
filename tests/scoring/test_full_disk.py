"""The disk is full while answers come that were paid for: nothing more is bought, none is lost."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, select, update

from newsletter.domain.model import Outcome, Usage
from newsletter.store import Store, StoreError
from newsletter.store.answer_file import SIZE, AnswerFile, SavedAnswer
from newsletter.store.ledger import CallState
from newsletter.store.tables import call, score
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.database import create_database
from tests.fakes.scoring import claude, limits, papers, scored, scores_in_abstract
from tests.fakes.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COUNT = 160
ENOUGH = 2**30


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    create_database(f"sqlite:///{tmp_path / 'n.db'}")
    made = Disk(tmp_path)
    yield made
    made.store.close()


class Disk:
    """SQLite's own bound of a database's pages: beyond it comes the error of a full disk."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(f"sqlite:///{folder / 'n.db'}")
        self.pages = ENOUGH
        self.after = COUNT
        event.listen(self.store.engine, "checkout", self._bound)

    def _bound(self, connection: Any, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count={self.pages}")

    def scores_of(self, title: str, abstract: str) -> dict[str, Any]:
        """Full from the answer on in which that many papers were judged."""
        self.after -= 1
        if self.after == 0:
            with self.store.read() as tx:
                self.pages = tx.exec_driver_sql("PRAGMA page_count").scalar_one()
        return scores_in_abstract(title, abstract)


def bought_twice(model: FakeAnthropic) -> int:
    return sum(count > 1 for count in Counter(model.papers_paid).values())


def stays(count: Callable[[], int]) -> bool:
    """Whether a number stays the same for a second."""
    before = count()
    time.sleep(1)
    return count() == before


def test_nothing_is_bought_while_the_disk_is_full_and_nothing_twice_afterwards(disk: Disk):
    disk.after = 30
    some = papers(COUNT)
    with FakeAnthropic(disk.scores_of, latency=0.01) as model:

        def score_until_it_is_full() -> None:
            with suppress(StoreError):
                scored(disk.store, claude(model), some, limits(2.0))

        scoring = threading.Thread(target=score_until_it_is_full)
        scoring.start()
        assert wait_until(lambda: disk.pages < ENOUGH)
        # The calls that were under way are answered.
        assert wait_until(lambda: stays(lambda: len(model.papers_paid)))
        assert len(model.papers_paid) < COUNT
        disk.pages = ENOUGH
        scoring.join(240)
        result = scored(disk.store, claude(model), some, limits(2.0))
        assert Counter(result.outcomes.values()) == {Outcome.SCORED: COUNT}
        assert bought_twice(model) == 0


def test_what_was_set_aside_is_taken_up_by_the_next_life(disk: Disk):
    """As after SIGTERM on a full disk: the answers are in the file, the calls without an answer."""
    some = papers(32)
    with FakeAnthropic(scores_in_abstract) as model:
        scored(disk.store, claude(model), some, limits(2.0))
        spare = AnswerFile(disk.store.file.with_name("n.db.answers"))
        with disk.store.begin() as tx:
            for row in tx.execute(select(call)).all():
                assert spare.put(SavedAnswer(row.id, row.raw, Usage(**row.usage)))
            lost = {"state": CallState.INTENT, "raw": None, "usage": None, "owner": "gone/1/x"}
            tx.execute(update(call).values(lost))
            tx.execute(score.delete())
        result = scored(disk.store, claude(model), some, limits(2.0))
        assert Counter(result.outcomes.values()) == {Outcome.SCORED: 32}
        assert bought_twice(model) == 0
        assert spare.held() == []


def test_the_file_takes_its_room_at_once_and_keeps_only_whole_answers(tmp_path: Path):
    path = tmp_path / "n.db.answers"
    file = AnswerFile(path)
    assert file.held() == []
    file.allocate()
    answers = [SavedAnswer(str(number), b"\0raw" * 100, Usage("m", 1, 2)) for number in range(3)]
    assert all(file.put(one) for one in answers)
    assert (path.stat().st_size, path.stat().st_mode & 0o777) == (SIZE, 0o600)
    assert file.held() == answers
    with path.open("r+b") as broken:
        broken.seek(path.read_bytes().index(b"\0") - 5)
        broken.write(b"\0")
    assert file.held() == answers[:2]
    file.clear(1)
    assert file.held() == answers[1:2]
    assert not file.put(SavedAnswer("x", b"x" * SIZE, None))
    file.allocate()
    assert file.held() == answers[1:2]
