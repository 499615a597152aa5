"""Reader rubrics in the daily run: a budget of their own, after the operator's rubrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select
from sqlalchemy import text as sql

from newsletter.context import no_progress
from newsletter.domain.announcements import left_in_month
from newsletter.domain.model import DayKind, Outcome
from newsletter.domain.reader_rubrics import PausedBy, is_reader_rubric
from newsletter.domain.search_query import parse_query
from newsletter.domain.tasks import Task, TaskKind
from newsletter.jobs.daily import build_digests, handle_task, read_day
from newsletter.scoring.workload import reader_rubric_limits
from newsletter.store import digests, ledger, reader_rubrics, search, subscribers
from newsletter.store.ledger import Account
from newsletter.store.scores import training_papers
from newsletter.store.tables import call, delivery, metadata, trouble
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.reader_rubrics import add_reader, catalog_of, save_rubric, text
from tests.fakes.scoring import claude, month_total, sum_of_calls
from tests.fakes.simulated_service import TUESDAY, Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from newsletter.domain.model import Digest
    from newsletter.store import Store

DOLLAR = 1_000_000_000
READERS = ("Galaxies", "Quasars", "Comets")
MANY = "cs.LG, cs.CL, astro-ph.GA, astro-ph.SR, quant-ph"


def scores_of(title: str, _abstract: str) -> dict[str, Any]:
    """Papers with long titles are relevant."""
    relevant = len(title) > 90
    return {"m": int(relevant), "c": "fits" * relevant, "r": 8 if relevant else 2, "n": 8, "x": 1}


@pytest.fixture
def fake() -> Iterator[FakeAnthropic]:
    with FakeAnthropic(scores_of) as serving:
        yield serving


def service(
    store: Store, folder: Path, fake: FakeAnthropic, *files: str, **options: Any
) -> Service:
    made = Service(store, reader_rubrics=3, **options)
    made.app = replace(
        made.app, rubrics=catalog_of(store, folder / "rubrics", *files), scorer=claude(fake)
    )
    made.next_announcement()
    return made


def spent(store: Store) -> Counter[str]:
    query = select(call.c.rubric, func.sum(call.c.cost_nanos)).group_by(call.c.rubric)
    with store.read() as tx:
        return Counter({slug: int(nanos) for slug, nanos in tx.execute(query)})


def made(store: Store, slug: str) -> Digest:
    with store.read() as tx:
        found = digests.load(tx, slug, TUESDAY)
    assert found is not None
    return found[1]


def test_an_own_rubric_is_scored_composed_and_mailed_as_any_other(
    store: Store, tmp_path: Path, fake: FakeAnthropic
) -> None:
    one = service(store, tmp_path, fake, "Models")
    slug = save_rubric(store, add_reader(store, 1), text("Galaxies"))
    one.build_digests()
    assert made(store, slug).picks
    one.now = one.now.replace(hour=9)
    with store.read() as tx:
        assert digests.rubrics_with_digest(tx, TUESDAY) == {"models", slug}
    one.plan()
    with store.read() as tx:
        assert tx.scalar(select(func.count()).select_from(delivery)) == 2
    assert sum(spent(store).values()) == fake.bill_nanos


def test_equal_texts_cost_nothing(store: Store, tmp_path: Path, fake: FakeAnthropic) -> None:
    one = service(store, tmp_path, fake, "Models")
    reader = add_reader(store, 1)
    copy = text("Models").replace("title: Models", "title: Mine\nrelevance: 9")
    same = [save_rubric(store, reader, copy), save_rubric(store, reader, text("Models"))]
    one.build_digests()
    assert set(spent(store)) == {"models"}
    assert made(store, same[1]).picks == made(store, "models").picks
    assert not made(store, same[0]).picks, "their own cut-offs"


def test_a_small_budget_reads_the_likeliest_and_the_receipt_says_what_is_unread(
    store: Store, tmp_path: Path, fake: FakeAnthropic
) -> None:
    budget = 0.0025
    one = service(store, tmp_path, fake, "Models", reader_rubric_budget_usd=budget)
    slug = save_rubric(store, add_reader(store, 1), text("Galaxies", MANY))
    one.build_digests()
    digest = made(store, slug)
    left = digest.coverage.count(Outcome.UNSCORED_BUDGET)
    assert digest.coverage.scanned + left == digest.coverage.announced
    assert left > 0
    assert digest.coverage.scanned > 0
    assert 0 < spent(store)[slug] <= budget * DOLLAR
    with store.read() as tx:
        assert tx.scalars(select(trouble.c.rubric)).all() == [], "a small budget is no incident"


def test_nothing_found_among_the_likeliest_is_a_digest_and_not_a_failure(
    store: Store, tmp_path: Path, fake: FakeAnthropic
) -> None:
    fake.scores_of = lambda _title, _abstract: {"m": 0, "c": "", "r": 2, "n": 4, "x": 1}
    one = service(store, tmp_path, fake, "Models", reader_rubric_budget_usd=0.0025)
    slug = save_rubric(store, add_reader(store, 1), text("Galaxies", MANY))
    one.build_digests()
    digest = made(store, slug)
    assert digest.kind is DayKind.NOTHING_MET
    assert digest.coverage.count(Outcome.UNSCORED_BUDGET)


def test_the_operators_rubrics_go_first_when_the_month_runs_short(
    store: Store, tmp_path: Path, fake: FakeAnthropic
) -> None:
    one = service(store, tmp_path, fake, "Models", monthly_budget_usd=0.1)
    reader = add_reader(store, 1)
    for title in READERS:
        save_rubric(store, reader, text(title))
    one.build_digests()
    asked = [rubric_of(seen.body) for seen in fake.requests]
    assert asked == sorted(asked, key=READERS.__contains__), "the readers' rubrics come last"
    assert set(asked) == {"Models", *READERS}
    large = [seen.body["messages"][0]["content"] for seen in fake.requests if len(seen.titles) > 4]
    shared = [content for content in large if content[-1]["text"].startswith("<rubric>")]
    assert len(shared) == 3, "they share their papers: the operator's need holds nothing back"
    assert month_total(store) == sum_of_calls(store) <= 0.1 * DOLLAR


def rubric_of(body: dict[str, Any]) -> str:
    [title] = {name for name in ("Models", *READERS) if f"1. {name}" in str(body)}
    return title


def test_a_reader_rubric_leaves_the_month_what_the_operators_still_need(
    store: Store, tmp_path: Path, fake: FakeAnthropic
) -> None:
    one = service(store, tmp_path, fake, "Models", "Unread", monthly_budget_usd=1, budget_usd=0.15)
    slug = save_rubric(store, add_reader(store, 1), text("Galaxies"))
    app = one.app

    def month() -> int | None:
        operator = [name for name in app.rubrics if not is_reader_rubric(name)]
        return reader_rubric_limits(
            store, app.settings, operator, TUESDAY, app.stop
        ).month_budget_nanos

    assert month() == round(0.85 * DOLLAR), (
        "models has readers and no digest, unread has no readers"
    )
    one.pay("models", 50_000_000)
    assert month() == round(0.9 * DOLLAR)
    one.build_digests()
    assert made(store, slug).picks
    assert month() == DOLLAR
    with store.read() as tx:
        assert ledger.spent(tx, slug, TUESDAY) <= app.settings.reader_rubric_budget_nanos


def everything(store: Store) -> str:
    """All that is stored, as one text."""
    with store.read() as tx:
        rows = [
            str(row) for table in metadata.sorted_tables for row in tx.execute(select(table)).all()
        ]
    return "\n".join(rows)


@pytest.mark.parametrize("way", ["erase", "delete"])
def test_with_the_rubric_goes_all_that_its_digests_and_answers_say(
    store: Store, tmp_path: Path, fake: FakeAnthropic, way: str
) -> None:
    one = service(store, tmp_path, fake, "Models")
    reader = add_reader(store, 1)
    slug = save_rubric(store, reader, text("Galaxies"))
    one.build_digests()
    before = made(store, slug)
    assert before.picks
    assert "Galaxies" in everything(store)
    with store.read() as tx:
        assert search.count(tx, [slug], parse_query("fits"))
    cost = spent(store)
    with store.begin() as tx:
        if way == "erase":
            subscribers.erase(tx, reader, one.now)
        else:
            reader_rubrics.delete(tx, slug, one.now)
    assert "Galaxies" not in everything(store)
    assert made(store, slug).coverage.announced == before.coverage.announced
    assert spent(store) == cost, "what was paid stays counted"
    with store.begin() as tx:
        query = parse_query("fits")
        assert not search.count(tx, [slug], query)
        assert search.count(tx, ["models"], query)
        search.prepare(tx)
        if store.is_sqlite:
            tx.execute(sql("INSERT INTO archive_words(archive_words) VALUES ('integrity-check')"))


def test_a_rubric_that_is_deleted_or_paused_during_the_run_makes_no_digest(
    store: Store, tmp_path: Path, fake: FakeAnthropic
) -> None:
    one = service(store, tmp_path, fake, "Models")
    reader = add_reader(store, 1)
    gone = save_rubric(store, reader, text("Galaxies"))
    paused = save_rubric(store, reader, text("Quasars"))
    state = read_day(one.app)
    assert {rubric.slug for rubric in state.missing} == {"models", gone, paused}

    def score_and_change(title: str, abstract: str) -> dict[str, Any]:
        # While the answer for the first of the two is awaited: it was there when its task began.
        begun = {rubric_of(request.body) for request in list(fake.requests)}
        if not changed and begun & {"Galaxies", "Quasars"}:
            changed.append(1)
            with store.begin() as tx:
                reader_rubrics.delete(tx, gone, one.now)
                reader_rubrics.pause(tx, paused, PausedBy.OPERATOR, one.now, "dear")
        return scores_of(title, abstract)

    changed: list[int] = []
    fake.scores_of = score_and_change
    run = build_digests(one.app, state, no_progress)
    assert [(result.rubric.slug, result.problem) for result in run.results] == [("models", "")]
    with store.read() as tx:
        assert digests.rubrics_with_digest(tx, TUESDAY) == {"models"}
        assert not tx.scalars(select(trouble.c.rubric)).all()
    handled = handle_task(one.app, no_progress, Task(TaskKind.DIGEST, TUESDAY, (gone,)))
    assert (handled.problem, handled.digest) == ("", None), "a task of another process, late"


def test_an_edited_copy_keeps_what_the_scores_of_its_first_text_taught(
    store: Store, tmp_path: Path, fake: FakeAnthropic
) -> None:
    one = service(store, tmp_path, fake, "Models")
    reader = add_reader(store, 1)
    slug = save_rubric(store, reader, text("Models"))
    other = save_rubric(store, reader, text("Galaxies"))
    one.build_digests()
    assert slug not in spent(store), "a copy of a rubric asks nothing of its own"
    read = made(store, slug).coverage.scanned
    for name in (slug, other):
        with store.begin() as tx:
            reader_rubrics.save_draft(tx, name, text("Mine"), one.now)
            version = reader_rubrics.submit(tx, name, one.now)
            assert version is not None
            reader_rubrics.confirm(tx, name, version, one.now)
    one.app.rubrics.reread()  # type: ignore[attr-defined]
    edited = one.app.rubrics[slug]
    for name in (slug, other):
        account = Account(name, edited.fingerprint, one.app.scorer.name, TUESDAY, "")
        with store.read() as tx:
            assert len(training_papers(tx, account, 7, 7, 100)) == read


def test_the_rest_of_the_month_is_kept_for_what_the_operators_rubrics_usually_cost(
    store: Store, tmp_path: Path, fake: FakeAnthropic
) -> None:
    one = service(store, tmp_path, fake, "Models", monthly_budget_usd=1, budget_usd=0.15)
    add_reader(store, 1)
    one.build_digests()
    cost = spent(store)["models"]
    assert cost > 0
    next_day = TUESDAY + timedelta(days=1)
    with store.read() as tx:
        assert digests.usual_cost(tx, TUESDAY) == 0, "what a day cost before there was any"
        assert digests.usual_cost(tx, next_day) == cost
    limits = reader_rubric_limits(store, one.app.settings, (), next_day, one.app.stop)
    # Of November 2025 the 20th, the 21st and the 24th to 27th are left.
    assert left_in_month(next_day) == 6
    assert limits.month_budget_nanos == DOLLAR - 6 * cost
