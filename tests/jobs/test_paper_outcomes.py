"""What became of each announced paper is stored, and adds up to the receipt."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal

from sqlalchemy import select

from newsletter.context import no_progress
from newsletter.domain.announcements import ListingEntry
from newsletter.domain.model import Outcome, Unscored
from newsletter.domain.tasks import Task, TaskKind
from newsletter.jobs import tasks
from newsletter.store import digests, papers
from newsletter.store.tables import digest_outcome, digest_paper
from tests.fakes import scoring
from tests.fakes.anthropic import Ending, FakeAnthropic
from tests.fakes.app import app_of
from tests.fakes.database import upgraded
from tests.fakes.scoring import DAY, MORNING

RUBRIC = replace(scoring.RUBRIC, exclude=("position paper", "survey"), authors=("Zed Z.",))
NETWORKS = [scoring.paper(number, 8, 8) for number in range(1, 9)]
EXCLUDED = replace(scoring.paper(21), title="A survey", abstract="A survey, a position paper.")
DUPLICATE_PAPER = replace(NETWORKS[0], id="2611.00030")
REFUSED = scoring.paper(22, said="[refuse me]")
BROKEN = scoring.paper(23, said="[break me]")


def digest_of(store, given, rubric=RUBRIC, faults=(), day=DAY, scorer=None, **settings):
    """Run the digest task on these papers. Returns the digest and the rows of `digest_paper`."""
    with store.begin() as tx:
        papers.keep(tx, given)
        papers.list_papers(tx, day, [ListingEntry("cs.LG", one.id) for one in given], late=False)
    with FakeAnthropic(scoring.scores_in_abstract) as fake:
        for fault in faults:
            fake.fault(*fault, times=99)
        app = app_of(
            store,
            scorer=scorer or scoring.claude(fake),
            rubrics={rubric.slug: rubric},
            settings=scoring.settings(fake.url, scoring_mode="now", **settings),
            clock=lambda: MORNING,
        )
        done = tasks.run_task(app, Task(TaskKind.DIGEST, day, (rubric.slug,)), no_progress)
    assert done.digest, done.problem
    with store.read() as tx:
        rows = tx.execute(select(digest_paper).where(digest_paper.c.digest_id == done.digest_id))
        return done.digest, {row.paper_id: row for row in rows}


def counted(rows) -> Counter[str]:
    return Counter(row.outcome or Outcome.SCORED.value for row in rows.values())


def test_the_outcomes_of_the_papers_add_up_to_the_receipt(store):
    given = [*NETWORKS, EXCLUDED, DUPLICATE_PAPER, REFUSED, BROKEN]
    faults = [(Ending.REFUSED, "refuse me"), (413, "break me")]
    made, rows = digest_of(store, given, faults=faults)
    assert {one.value: n for one, n in made.coverage.outcomes.items()} == counted(rows)
    with store.read() as tx:
        receipt = {row.outcome: row.papers for row in tx.execute(select(digest_outcome))}
    assert receipt == counted(rows)
    assert made.coverage.announced == len(rows) == len(given)
    assert set(receipt) == {"scored", "refused", "failed", "duplicate", Outcome.EXCLUDED.value}


def test_a_paper_that_was_not_scored_has_its_reason(store):
    given = [*NETWORKS, EXCLUDED, DUPLICATE_PAPER, BROKEN]
    _, rows = digest_of(store, given, faults=[(413, "break me")])
    found = {key: (row.outcome, row.reason) for key, row in rows.items() if row.outcome}
    assert found[EXCLUDED.id] == (Outcome.EXCLUDED, "position paper")
    assert found[DUPLICATE_PAPER.id] == (Outcome.DUPLICATE, NETWORKS[0].id)
    outcome, reason = found[BROKEN.id]
    assert outcome == Outcome.FAILED
    assert "413" in reason
    assert len(found) == 3


def test_a_duplicate_of_an_earlier_pick_names_it(store):
    digest_of(store, NETWORKS)
    again = replace(NETWORKS[2], id="2611.00040")
    later = DAY.replace(day=23)
    _, rows = digest_of(store, [again, scoring.paper(31, 8, 8)], day=later)
    assert (rows[again.id].outcome, rows[again.id].reason) == (Outcome.DUPLICATE, NETWORKS[2].id)


def test_a_scored_paper_takes_no_more_room_than_before(store):
    _, rows = digest_of(store, NETWORKS)
    assert {(row.outcome, row.reason) for row in rows.values()} == {(None, None)}


def test_papers_that_the_budget_left_unread_are_stored_as_such(store):
    many = scoring.papers(60)
    made, rows = digest_of(store, many, budget_usd=Decimal("0.0015"))
    unread = made.coverage.count(Outcome.UNSCORED_BUDGET)
    assert 0 < unread < len(many)
    assert counted(rows)[Outcome.UNSCORED_BUDGET] == unread


def test_a_digest_that_is_saved_again_changes_no_outcome(store):
    made, rows = digest_of(store, [*NETWORKS, EXCLUDED])
    with store.begin() as tx:
        digests.save(tx, made, MORNING, {EXCLUDED.id: Unscored(Outcome.FAILED, "later")})
        now = tx.execute(select(digest_paper).where(digest_paper.c.paper_id == EXCLUDED.id)).one()
    assert now == rows[EXCLUDED.id]


OLD_ROWS = (
    """
INSERT INTO paper (id, version, title, authors, abstract, primary_category, categories, published,
    updated, comment)
VALUES ('2509.00001', 1, 'T', '[]', 'A', 'cs.LG', '[]', '2025-09-22 00:00:00',
    '2025-09-22 00:00:00', '')
""",
    """
INSERT INTO digest (id, rubric, date, since, kind, picks, announced, scanned, cost_nanos, body, at)
VALUES (1, 'one', '2025-09-23', '2025-09-23', 'normal', 0, 1, 0, 0, '{}', '2025-09-23 00:00:00')
""",
    "INSERT INTO digest_paper VALUES ('one', '2509.00001', 1, FALSE)",
)


def test_a_database_of_before_keeps_its_papers_without_outcomes(store_url):
    with upgraded(store_url, "0020") as store:
        with store.begin() as tx:
            for statement in OLD_ROWS:
                tx.exec_driver_sql(statement)
        store.migrate()
        with store.read() as tx:
            [row] = tx.execute(select(digest_paper))
    assert tuple(row) == ("one", "2509.00001", 1, False, None, None)
