"""Why a paper is in a reader's digest, or is not: after a real run of the digest task."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from newsletter.domain.announcements import FetchRecord
from newsletter.domain.model import Outcome
from newsletter.domain.why import CutOffs, Lookup, PaperResult
from newsletter.inbound import why
from newsletter.render.why import as_text, view_of
from newsletter.settings import Settings
from newsletter.sources.arxiv.source import ArxivSource
from newsletter.store import papers, retention, subscribers, subscriptions
from newsletter.store.tables import digest_paper, paper_lookup, score
from tests.fakes import scoring
from tests.fakes.anthropic import Ending, FakeAnthropic
from tests.fakes.app import app_of
from tests.fakes.arxiv import FakeArxiv, row
from tests.fakes.mail import LINKS, reader
from tests.fakes.query_plans import StatementLog
from tests.fakes.scoring import DAY, MORNING
from tests.jobs.test_paper_outcomes import (
    BROKEN,
    DUPLICATE_PAPER,
    EXCLUDED,
    NETWORKS,
    REFUSED,
    RUBRIC,
    digest_of,
)

NEAR, FAR = scoring.paper(50, 6, 8), scoring.paper(51, 3, 3)
GIVEN = [*NETWORKS, EXCLUDED, DUPLICATE_PAPER, REFUSED, BROKEN, NEAR, FAR]
FAULTS = [(Ending.REFUSED, "refuse me"), (413, "break me")]
OTHER = replace(RUBRIC, slug="other", title="Other")


@pytest.fixture
def claude():
    with FakeAnthropic(scoring.scores_in_abstract) as fake:
        yield scoring.claude(fake)


def app_with(store, claude, source=None, rubrics=(RUBRIC,), now=MORNING):
    return app_of(
        store,
        scorer=claude,
        source=source,
        rubrics={one.slug: one for one in rubrics},
        settings=scoring.settings(),
        clock=lambda: now,
    )


def ask(app, text, slug=RUBRIC.slug):
    answer = why.answer_operator(app, text, [slug])
    [one] = answer.rubrics
    return one


def subscribed(store, number=1, **changes):
    person = reader(number, rubric=RUBRIC.slug, **changes)
    with store.begin() as tx:
        subscriptions.insert_new(tx, person, MORNING)
    return person


def test_every_announced_paper_has_an_answer_and_they_add_up(store, claude):
    made, _ = digest_of(store, GIVEN, faults=FAULTS)
    app = app_with(store, claude)
    answers = [ask(app, one.id) for one in GIVEN]
    assert PaperResult.NOT_RECORDED not in {one.result for one in answers}
    found = [one.outcome for one in answers]
    assert {one: found.count(one) for one in set(found)} == made.coverage.outcomes


def test_each_result_says_why(store, claude):
    digest_of(store, GIVEN, faults=FAULTS)
    app = app_with(store, claude)
    pick = ask(app, NETWORKS[7].id)
    assert (pick.result, pick.number, pick.score.total) == (PaperResult.PICKED, 1, 16)
    near = ask(app, NEAR.id)
    assert (near.result, near.missing) == (PaperResult.NEAR_MISS, CutOffs(1, 0))
    assert ask(app, EXCLUDED.id).reason == "position paper"
    assert ask(app, DUPLICATE_PAPER.id).reason == NETWORKS[0].id
    assert "413" in ask(app, BROKEN.id).reason
    assert ask(app, REFUSED.id).result is PaperResult.REFUSED
    assert ask(app, NETWORKS[0].id).also == (DUPLICATE_PAPER.id,)


def test_lower_cut_offs_are_counted_from_the_stored_scores(store, claude):
    more = [scoring.paper(number, 6, 9) for number in range(60, 65)]
    digest_of(store, [*NETWORKS, NEAR, *more, FAR])
    suggestion = ask(app_with(store, claude), NEAR.id).suggestion
    assert (suggestion.cut_offs, suggestion.papers, suggestion.days) == (CutOffs(6, 7), 6, 1)


def test_a_limit_of_papers_bounds_what_lower_cut_offs_add(store, claude):
    rubric = replace(RUBRIC, max_papers=9)
    more = [scoring.paper(number, 6, 9) for number in range(60, 65)]
    digest_of(store, [*NETWORKS, NEAR, *more], rubric)
    answer = ask(app_with(store, claude, rubrics=[rubric]), NEAR.id)
    assert answer.suggestion.papers == 1


def test_an_excluding_word_is_counted(store, claude):
    more = [replace(EXCLUDED, id=f"2611.0007{n}", title=f"No. {n}") for n in range(3)]
    digest_of(store, [*NETWORKS, EXCLUDED, *more])
    suggestion = ask(app_with(store, claude), EXCLUDED.id).suggestion
    assert suggestion == ("position paper", 4, 1)


def test_it_is_judged_by_the_rubric_of_the_digest(store, claude):
    digest_of(store, [*NETWORKS, NEAR, EXCLUDED])
    edited = replace(RUBRIC, relevance=6, exclude=(), title="Edited", categories=("cs.CV",))
    app = app_with(store, claude, rubrics=[edited])
    near = ask(app, NEAR.id)
    assert (near.result, near.rubric.title) == (PaperResult.NEAR_MISS, RUBRIC.title)
    assert near.suggestion is None
    assert ask(app, EXCLUDED.id).result is PaperResult.EXCLUDED


def test_over_the_limit_is_no_near_miss(store, claude):
    rubric = replace(RUBRIC, max_papers=3)
    digest_of(store, NETWORKS, rubric)
    answer = ask(app_with(store, claude, rubrics=[rubric]), NETWORKS[0].id)
    assert (answer.result, answer.outcome) == (PaperResult.OVER_LIMIT, Outcome.SCORED)


def test_an_older_digest_proves_what_it_can(store, claude):
    digest_of(store, GIVEN, faults=FAULTS)
    with store.begin() as tx:
        tx.execute(update(digest_paper).values(outcome=None, reason=None))
    app = app_with(store, claude)
    assert ask(app, EXCLUDED.id).reason == "position paper"
    assert ask(app, DUPLICATE_PAPER.id).reason == NETWORKS[0].id
    assert ask(app, NEAR.id).result is PaperResult.NEAR_MISS
    assert ask(app, BROKEN.id).result is PaperResult.NOT_RECORDED


def test_after_the_horizon_it_says_that_the_scores_are_deleted(store, claude):
    digest_of(store, GIVEN, faults=FAULTS)
    with store.begin() as tx:
        row_of = select(digest_paper.c.digest_id).limit(1)
        while retention.delete_scores_page(tx, tx.scalar(row_of)):
            pass
    app = app_with(store, claude, now=MORNING + timedelta(days=200))
    assert ask(app, FAR.id).result is PaperResult.SCORES_DELETED
    assert ask(app, NETWORKS[0].id).result is PaperResult.PICKED
    assert ask(app, EXCLUDED.id).result is PaperResult.NOT_RECORDED
    text = as_text(view_of(why.answer_operator(app, FAR.id, [RUBRIC.slug]), LINKS.issue_url))
    assert "180 days" in text


def test_the_title_will_do_in_any_case_and_by_its_beginning(store, claude):
    digest_of(store, [*NETWORKS, FAR])
    app = app_with(store, claude)
    assert why.answer_operator(app, "“paper NUMBER 51 on pruning”", []).paper == FAR
    assert why.answer_operator(app, "Paper number 51 o…", []).paper == FAR
    several = why.answer_operator(app, "Paper number", [])
    assert (several.lookup, len(several.papers)) == (Lookup.SEVERAL, why.MAX_MATCHES)
    assert why.answer_operator(app, "%number 51 on pruning", []).lookup is Lookup.NO_SUCH_TITLE


def test_everybody_is_told_without_reading_ten_issues(store, claude):
    digest_of(store, [*NETWORKS, NEAR, EXCLUDED])
    app = app_with(store, claude)
    with StatementLog() as log:
        for paper_id in (NEAR.id, EXCLUDED.id):
            [one] = why.answer_public(app, paper_id, [RUBRIC.slug]).rubrics
            assert one.suggestion is None
    assert len(log.sent) < 25
    assert ask(app, NEAR.id).suggestion


def test_a_reader_is_answered_about_their_own_rubric_alone(store, claude):
    digest_of(store, [*NETWORKS, NEAR])
    person = subscribed(store)
    app = app_with(store, claude, rubrics=[RUBRIC, OTHER])
    answer = why.answer_reader(app, person.id, NEAR.id)
    assert [one.rubric.slug for one in answer.rubrics] == [RUBRIC.slug]


def test_a_reader_of_two_rubrics_is_answered_about_both(store, claude):
    second = replace(RUBRIC, slug="second", title="Second", relevance=9)
    digest_of(store, [*NETWORKS, NEAR])
    digest_of(store, [*NETWORKS, NEAR], second)
    person = subscribed(store)
    with store.begin() as tx:
        other = subscriptions.add(tx, person.subscriber_id, "second", MORNING)
        subscriptions.set_preferences(tx, other, {"max_papers": 3}, MORNING)
    app = app_with(store, claude, rubrics=[RUBRIC, second, OTHER])
    for token in (person.id, other):
        answer = why.answer_reader(app, token, NETWORKS[0].id)
        found = {one.rubric.slug: (one.result, one.max_papers) for one in answer.rubrics}
        assert found == {
            RUBRIC.slug: (PaperResult.PICKED, None),
            "second": (PaperResult.BELOW_CUT_OFFS, 3),
        }
    with store.begin() as tx:
        subscriptions.leave(tx, other, "web page", MORNING)
    answer = why.answer_reader(app, other, NETWORKS[0].id)
    assert [one.rubric.slug for one in answer.rubrics] == [RUBRIC.slug]


def test_look_ups_are_counted_for_the_reader_not_for_each_rubric(store, claude):
    person = subscribed(store)
    with store.begin() as tx:
        other = subscriptions.add(tx, person.subscriber_id, "second", MORNING)
    with FakeArxiv(AT_ARXIV) as fake:
        app = app_with(store, claude, arxiv_source(fake))
        for number in range(why.MAX_LOOKUPS):
            why.answer_reader(app, (person.id, other)[number % 2], f"2611.08{number:03}")
        assert why.answer_reader(app, other, "2611.09001").lookup is Lookup.LIMIT


def test_who_left_and_nobody_get_no_answer(store, claude):
    digest_of(store, [*NETWORKS])
    person = subscribed(store)
    with store.begin() as tx:
        subscriptions.leave(tx, person.id, "web page", MORNING)
    app = app_with(store, claude)
    assert why.answer_reader(app, person.id, NETWORKS[0].id) is None
    assert why.answer_reader(app, "f" * 32, NETWORKS[0].id) is None


def arxiv_source(fake):
    settings = Settings(_env_file=None, arxiv_api_url=fake.url, arxiv_delay_seconds=0)
    return ArxivSource(settings, sleep=lambda _: None)


FRIDAY_NOON = MORNING.replace(hour=12)
AT_ARXIV = [
    row("2611.09001v1", FRIDAY_NOON - timedelta(days=90)),
    row("2611.09002v1", FRIDAY_NOON + timedelta(hours=1)),
    row("2611.09003v1", FRIDAY_NOON - timedelta(days=1), ("cs.CV", "eess.IV")),
    row("2611.09004v1", FRIDAY_NOON - timedelta(days=1)),
]


@pytest.mark.parametrize(
    ("number", "result"),
    [
        (1, PaperResult.BEFORE_FIRST_ISSUE),
        (2, PaperResult.NOT_ANNOUNCED_YET),
        (3, PaperResult.OTHER_CATEGORIES),
        (4, PaperResult.NOT_IN_AN_ISSUE_YET),
        (5, PaperResult.UNKNOWN),
    ],
)
def test_arxiv_is_asked_for_a_paper_that_is_not_stored(store, claude, number, result):
    digest_of(store, NETWORKS)
    with FakeArxiv(AT_ARXIV) as fake:
        app = app_with(store, claude, arxiv_source(fake), now=FRIDAY_NOON)
        assert ask(app, f"2611.0900{number}").result is result
        assert len(fake.requests) == 1


def test_a_reader_may_have_so_many_papers_looked_up_in_a_day(store, claude):
    person, other = subscribed(store), subscribed(store, 2)
    with FakeArxiv(AT_ARXIV) as fake:
        app = app_with(store, claude, arxiv_source(fake))
        for number in range(why.MAX_LOOKUPS + 3):
            last = why.answer_reader(app, person.id, f"2611.08{number:03}")
        assert (last.lookup, len(fake.requests)) == (Lookup.LIMIT, why.MAX_LOOKUPS)
        assert why.answer_reader(app, other.id, "2611.09001").lookup is Lookup.ASKED
        tomorrow = replace(app, clock=lambda: MORNING + timedelta(days=1))
        assert why.answer_reader(tomorrow, person.id, "2611.09001").lookup is Lookup.ASKED


def test_fifty_at_once_take_no_more_than_the_limit(store, claude):
    person = subscribed(store)
    start = threading.Barrier(50)
    found = []

    def press(app, number):
        start.wait()
        found.append(why.answer_reader(app, person.id, f"2611.08{number:03}").lookup)

    with FakeArxiv(AT_ARXIV) as fake:
        app = app_with(store, claude, arxiv_source(fake))
        threads = [threading.Thread(target=press, args=(app, n)) for n in range(50)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        while why.answer_reader(app, person.id, "2611.09009").lookup is not Lookup.LIMIT:
            pass
        assert len(fake.requests) <= why.MAX_LOOKUPS
    with store.read() as tx:
        assert tx.scalar(select(paper_lookup.c.requests)) == why.MAX_LOOKUPS
    assert len(found) == 50


def test_an_erased_reader_leaves_no_count(store, claude):
    person = subscribed(store)
    with FakeArxiv(AT_ARXIV) as fake:
        why.answer_reader(app_with(store, claude, arxiv_source(fake)), person.id, "2611.09001")
    with store.begin() as tx:
        assert len(tx.execute(select(paper_lookup)).all()) == 1
        subscribers.erase(tx, person.id, MORNING)
        assert tx.execute(select(paper_lookup)).all() == []


def test_opening_asks_nobody_and_counts_nothing(store, claude):
    person = subscribed(store)
    with FakeArxiv(AT_ARXIV) as fake:
        app = app_with(store, claude, arxiv_source(fake))
        answer = why.answer_reader(app, person.id, "2611.09001", ask_source=False)
        assert (answer.lookup, fake.requests) == (Lookup.NOT_ASKED, [])
    with store.read() as tx:
        assert tx.execute(select(paper_lookup)).all() == []


def test_a_silent_arxiv_is_said_and_not_asked_again(store, claude):
    with FakeArxiv(lambda _: []) as fake:
        source = arxiv_source(fake)
    app = app_with(store, claude, source)
    answer = why.answer_operator(app, "2611.09001", [RUBRIC.slug])
    assert (answer.lookup, answer.rubrics) == (Lookup.NO_ANSWER, ())
    assert "cannot be reached" in as_text(view_of(answer, LINKS.issue_url))


def test_a_paper_of_other_categories_comes_with_their_volume(store, claude):
    digest_of(store, NETWORKS)
    elsewhere = replace(RUBRIC, slug="vision", categories=("cs.CV",))
    with store.begin() as tx:
        papers.mark_fetched(tx, [FetchRecord("cs.LG", DAY, MORNING, 120)])
    answer = ask(app_with(store, claude, rubrics=[elsewhere]), NETWORKS[0].id, "vision")
    assert (answer.result, answer.suggestion) == (
        PaperResult.OTHER_CATEGORIES,
        ("cs.LG", 120, 1),
    )


def test_what_outsiders_wrote_is_shown_as_text(store, claude):
    hostile = replace(scoring.paper(52, 3, 3), title="<b>A</b>\x1b[31m\u202e title")
    digest_of(store, [*NETWORKS, hostile])
    answer = why.answer_operator(app_with(store, claude), hostile.id, [RUBRIC.slug])
    text = as_text(view_of(answer, LINKS.issue_url))
    assert not {"\x1b", "\u202e"} & set(text)


def test_both_readings_are_shown_and_merged_as_in_the_digest(store):
    first = scoring.paper(53, 6, 8)
    readings = {1: (6, 8), 2: (8, 8)}
    with FakeAnthropic(scoring.scores_in_abstract) as fake:
        scorer = scoring.claude(fake, second_opinion=True)
        made, _ = digest_of(store, [*NETWORKS, first], scorer=scorer)
    with store.begin() as tx:
        for reading, (relevance, novelty) in readings.items():
            tx.execute(
                update(score)
                .where(score.c.paper_id == first.id, score.c.reading == reading)
                .values(relevance=relevance, novelty=novelty)
            )
    assert first.id not in {one.paper.id for one in made.picks}
    answer = ask(app_with(store, scorer), first.id)
    assert [one.relevance for one in answer.readings] == [6, 8]
