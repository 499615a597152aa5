"""Stored days in memory: which ones are kept, and that they are as the store has them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from newsletter.domain.similarity import similarities
from newsletter.scoring.stored_days import DayCache
from newsletter.scoring.triage import triage
from newsletter.store import papers
from tests.fakes.pages import MODELS, THURSDAY, WEDNESDAY
from tests.fakes.query_plans import StatementLog
from tests.fakes.rubric_pages import list_day, subjects

if TYPE_CHECKING:
    from datetime import date

    from newsletter.domain.model import Paper
    from newsletter.scoring.stored_days import KnownDay
    from newsletter.store import Store

GIVEN = subjects(12)


def read(
    store: Store, cache: DayCache, day: date = THURSDAY, late: tuple[Paper, ...] = ()
) -> KnownDay:
    with store.read() as tx:
        return cache.day(tx, day, papers.listed_ids(tx, ("cs.LG",), day), late)


def test_a_day_is_read_once(store: Store) -> None:
    list_day(store, THURSDAY, GIVEN)
    cache = DayCache()
    first = read(store, cache)
    assert first.papers == GIVEN
    with StatementLog() as log:
        assert read(store, cache) is first
    assert not any("abstract" in one.text for one in log.sent)


def test_a_day_that_has_grown_is_read_anew(store: Store) -> None:
    list_day(store, THURSDAY, GIVEN[:9])
    cache = DayCache()
    read(store, cache)
    list_day(store, THURSDAY, GIVEN[9:])
    assert read(store, cache).papers == GIVEN
    other = subjects(13)[-1]
    assert read(store, cache, late=(other,)).papers == [*GIVEN, other]
    assert read(store, cache).papers == GIVEN


def test_days_that_were_used_longest_ago_are_dropped(store: Store) -> None:
    list_day(store, THURSDAY, GIVEN[:6])
    list_day(store, WEDNESDAY, GIVEN[6:])
    cache = DayCache(limit=11)
    first = read(store, cache)
    second = read(store, cache, WEDNESDAY)
    assert read(store, cache, WEDNESDAY) is second
    assert read(store, cache) is not first
    larger_than_all = DayCache(limit=1)
    assert read(store, larger_than_all) is read(store, larger_than_all)


def test_each_text_gets_its_own_triage_and_similarities(store: Store) -> None:
    twice = replace(GIVEN[0], id="2509.99999")
    list_day(store, THURSDAY, [*GIVEN, twice])
    day = read(store, DayCache())
    texts = [
        replace(MODELS, keywords=keywords, exclude=exclude, authors=authors)
        for keywords in ("- Relevant: pruning of weights", "- Relevant: robots with legs")
        for exclude in ((), ("robots",), ("pressure", "legs"))
        for authors in ((), (GIVEN[1].authors[0],))
    ]
    for text in (*texts, *reversed(texts)):
        found = day.triage(text)
        assert found == triage(text, day.papers)
        similar = day.words.similarities(text, found.to_read)
        assert similar == similarities(text, found.to_read)
        assert any(similar) or text.exclude
