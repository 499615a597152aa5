"""The state of a day is read once for each run, whichever way the run is started."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Self

import pytest
from sqlalchemy import event

from newsletter.context import no_progress
from newsletter.jobs.daily import read_day, run_daily
from newsletter.jobs.dry_run import preview_run
from tests.fakes.simulated_service import RUBRICS, TUESDAY, Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from newsletter.store import Store


class Queries:
    """The SELECT statements of a run, with their parameters."""

    def __init__(self, store: Store) -> None:
        self._engine = store.engine
        self.asked: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        event.listen(self._engine, "before_cursor_execute", self._note)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "before_cursor_execute", self._note)

    def _note(self, _connection: Any, _cursor: Any, statement: str, given: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            self.asked.append((" ".join(statement.split()), repr(given)))

    def of(self, *words: str) -> int:
        return sum(all(word in said for word in words) for said, _ in self.asked)

    @property
    def repeated(self) -> dict[tuple[str, str], int]:
        return {query: times for query, times in Counter(self.asked).items() if times > 1}


@pytest.fixture
def service(store: Store) -> Service:
    made = Service(store)
    for slug in RUBRICS:
        made.join(slug)
    made.next_announcement()
    return made


def run(service: Service) -> None:
    assert not run_daily(service.app, None, None, no_progress).has_problems


def build(service: Service) -> None:
    service.build_digests()


def dry_run(service: Service) -> None:
    state, previews = preview_run(service.app, None, None, no_progress)
    assert (state.date, len(previews)) == (TUESDAY, len(RUBRICS))


@pytest.mark.parametrize("made_before", [False, True])
@pytest.mark.parametrize("start", [run, build, dry_run])
def test_a_run_asks_once_for_readers_and_digests(
    service: Service, start: Callable[[Service], None], *, made_before: bool
) -> None:
    if made_before:
        build(service)
    with Queries(service.app.store) as queries:
        start(service)
    assert queries.of("SELECT digest.rubric FROM digest WHERE digest.date") == 1
    assert queries.of("SELECT subscription.rubric, count(*)") == 1
    assert not [query for query in queries.repeated if "digest.body" in query[0]]
    assert len(read_day(service.app).missing) == (
        len(RUBRICS) if start is dry_run and not made_before else 0
    )


def test_no_digest_is_read_to_learn_that_it_is_there(service: Service) -> None:
    build(service)
    for start in (build, dry_run):
        with Queries(service.app.store) as queries:
            start(service)
        assert queries.of("digest.body") == 0
