"""No page, command or alert round reads a whole large table, whatever has collected in a year.

SQLite plans without statistics, so that its plans of few rows are those of millions. PostgreSQL
counts rows and would read a small table whole: it gets some thousands, and `enable_seqscan` off.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import insert, text

from newsletter import bootstrap
from newsletter.cli import status
from newsletter.domain.announcements import ListingEntry
from newsletter.domain.links import Purpose
from newsletter.domain.votes import Vote
from newsletter.inbound import why
from newsletter.operations.alerting import collect_state
from newsletter.store import (
    claims,
    digests,
    paper_metadata,
    paper_news,
    papers,
    rate_limits,
    retention,
    subscribers,
    votes,
)
from newsletter.store import why as why_store
from newsletter.store.reports import monitoring
from newsletter.store.reports.metrics import MetricCounts
from newsletter.store.tables import digest_paper
from newsletter.web.app import PAGES, create_app
from tests.fakes import operator_data
from tests.fakes.browser import served
from tests.fakes.pages import (
    LINKS,
    MODELS,
    NOW,
    SETTINGS,
    STARS,
    THURSDAY,
    application,
    make_site,
    paper,
    reader,
)
from tests.fakes.query_plans import StatementLog, full_scans, plan_of
from tests.fakes.rubric_pages import list_day, path_of, save_draft, site_of, subjects

HEADER = "X-Operator"
ARCHIVE = "/archive/stars"
COUNTED_WHOLE = "SELECT delivery.state, count(*)"
"""`status` counts all deliveries: by an index alone, 8 ms for 1,250,000 on SQLite."""

OLDER = (
    """
INSERT INTO digest (rubric, date, since, kind, picks, announced, scanned, cost_nanos, body, at)
SELECT 'rubric-' || n % 10, DATE '2025-09-01' - n / 10, DATE '2025-09-01' - n / 10, 'normal',
    0, 1, 1, 0, '', TIMESTAMP '2025-09-01' - n / 10 * INTERVAL '1 day'
FROM generate_series(1, 500) n
""",
    """
INSERT INTO mailing (digest_id, candidates, excluded, halted, at)
SELECT id, 0, '{}', '', at FROM digest WHERE rubric LIKE 'rubric-%'
""",
    """
INSERT INTO delivery (id, digest_id, subscriber_id, subscription_id, email, state, attempt,
    failures, reason, created_at, changed_at)
SELECT md5(d.id || s.id), d.id, s.id, s.id, s.email, 'accepted', 1, 0, '', d.at, d.at
FROM digest d CROSS JOIN subscriber s WHERE d.rubric LIKE 'rubric-%'
""",
    """
INSERT INTO call (id, rubric, fingerprint, scorer, date, reading, model, request_hash, papers,
    state, upper_nanos, cost_nanos, reason, owner, lease_until, started_at)
SELECT md5(d.id || '-' || n), d.rubric, d.rubric, 'claude', d.date, 1, '', '', '{}', 'done',
    1, 1, '', '', d.at, d.at
FROM digest d CROSS JOIN generate_series(1, 5) n
""",
    """
INSERT INTO digest_paper (rubric, paper_id, digest_id, picked)
SELECT 'rubric-' || d.id, p.id, d.id, FALSE
FROM digest d CROSS JOIN (SELECT id FROM paper LIMIT 10) p WHERE d.rubric LIKE 'rubric-%'
""",
    "ANALYZE",
)


@pytest.fixture
def filled(store):
    operator_data.month(store, days=5)
    person = reader(store, email="doubt@example.org")
    operator_data.doubt(store, person)
    operator_data.reply(store, person)
    operator_data.alert(store)
    with store.begin() as tx:
        for statement in () if store.is_sqlite else OLDER:
            tx.execute(text(statement))
    return store


def require_plans_by_index(store, log, *, allowed=""):
    assert log.sent
    with store.read() as tx:
        if not store.is_sqlite:
            tx.execute(text("SET LOCAL enable_seqscan = off"))
        others = [one for one in log.sent if not (allowed and one.text.startswith(allowed))]
        found = [(full_scans(tx, *one), one.text, plan_of(tx, *one)) for one in others]
    wrong = [f"{scans}\n{asked}\n{plan}" for scans, asked, plan in found if scans]
    assert not wrong, "\n\n".join(dict.fromkeys(wrong))


def addresses(person):
    for path in PAGES:
        purpose = next((one for one in Purpose if path.startswith(f"/{one}/")), Purpose.CONFIRM)
        token = LINKS.token(purpose, person.id)
        yield path.replace(":path", "").format(
            rubric="stars",
            when=THURSDAY,
            token=token,
            kind="bib",
            id=person.id if path.startswith("/operator/readers/") else "stars-0-0",
            slug="own-abcdefghijkl",
            mark="1",
        )
    yield f"/vote/{LINKS.token(Purpose.VOTE, person.id)}?paper=stars-0-0"
    yield from (f"{ARCHIVE}/{THURSDAY:%Y-%m}/", f"{ARCHIVE}/2025-09-22/")
    yield from ("/search?q=2509.00001", "/search?q=author:aalto+from:2025-09&in=near-misses")
    yield from (f"{ARCHIVE}/search?q=abstract+stars", "/search?q=abstract&page=2", "/metrics")


def test_no_page_reads_a_whole_large_table(filled):
    app = create_app(make_site(filled, operator_header=HEADER))
    person = reader(filled, email="pages@example.org")
    with served(app) as web, StatementLog() as log:
        answers = {web.get(one, **{HEADER: "ada"}).status for one in addresses(person)}
    # 409: there is nothing to restore of an active reader.
    assert answers <= {200, 303, 404, 409}
    require_plans_by_index(filled, log)


def test_a_preview_reads_no_whole_large_table(filled):
    person = reader(filled, email="preview@example.org")
    list_day(filled, THURSDAY, subjects(9))
    slug = save_draft(filled, person)
    with served(create_app(site_of(filled))) as web, StatementLog() as log:
        page = web.get(path_of(person, f"{slug}/preview"))
    assert "announced in your categories" in page.words
    require_plans_by_index(filled, log)


def test_votes_read_no_whole_large_table(filled):
    person = reader(filled, email="votes@example.org")
    with StatementLog() as log, filled.begin() as tx:
        assert votes.save(tx, person.id, "stars-0-0", NOW) == "stars"
        votes.cast(tx, person.id, "models-0-0", Vote.WEAK, NOW)
        assert votes.pooled(tx, "stars")
        votes.voted_on(tx, ["stars", "models"])
        votes.unvoted(tx, "stars", ["stars-0-0", "stars-0-1"])
        votes.paper_of_pick(tx, "d" * 32, 1)
        votes.undo(tx, person.id, "stars-0-0")
        votes.erase(tx, person.id)
    require_plans_by_index(filled, log)


def test_status_and_the_alerts_read_no_whole_large_table(filled):
    rubrics = {one.slug: one for one in (STARS, MODELS)}
    source = bootstrap.build_calendar(SETTINGS)
    with StatementLog() as log:
        seen = collect_state(filled, SETTINGS, rubrics, source, NOW)
        status._facts(filled, seen)
    require_plans_by_index(filled, log, allowed=COUNTED_WHOLE)
    with filled.read() as tx:
        counted = [one for one in log.sent if one.text.startswith(COUNTED_WHOLE)]
        assert all("COVERING INDEX" in plan_of(tx, *one) for one in counted if filled.is_sqlite)
        if filled.is_sqlite:
            [(sql, values)] = counted
            program = tx.exec_driver_sql(f"EXPLAIN {sql}", values)
            assert "Count" in {step.opcode for step in program}, "SQLite steps through every row"


def test_the_healthcheck_and_the_nightly_job_read_no_whole_large_table(filled):
    with StatementLog() as log, filled.begin() as tx:
        monitoring.count_mails(tx, THURSDAY)
        monitoring.accepted_since(tx, NOW)
        monitoring.announced_nothing(tx, THURSDAY)
        retention.expired_digests(tx, NOW)
        retention.delete_page(tx, 1)
        retention.scored_until(tx, NOW)
        retention.delete_scores_page(tx, 1)
        MetricCounts().ages(tx, NOW + timedelta(days=30))
        subscribers.bounced_because(tx)
        claims.expire_leases(tx, NOW, lambda _: True)
    require_plans_by_index(filled, log)


def test_the_search_for_news_of_mailed_papers_reads_picks_alone(filled):
    with StatementLog() as log, filled.begin() as tx:
        found = paper_metadata.due(tx, NOW + timedelta(days=30), 100)
        paper_metadata.claim(tx, found, NOW + timedelta(days=30))
        paper_news.unreported(tx, "stars", THURSDAY)
    require_plans_by_index(filled, log)
    with filled.read() as tx:
        asked = next(one for one in log.sent if one.text.startswith("SELECT DISTINCT"))
        assert "ix_digest_paper_picked" in plan_of(tx, *asked) or not filled.is_sqlite


ASKED = ("2509.00001", "Paper stars-0-0", "paper STARS-0", "No such title", "2509.99999")


def test_why_reads_no_whole_large_table(filled):
    """By id and by title, whole and begun; a near miss, an excluded paper, one never covered."""
    app = application(filled)
    with filled.begin() as tx:
        papers.keep(tx, [paper("2509.00001"), paper("2509.00002", "Excluded")])
        listed = [ListingEntry("cs.LG", f"2509.0000{n}") for n in (1, 2)]
        papers.list_papers(tx, THURSDAY, listed, late=False)
        [newest] = digests.summaries(tx, 1, "stars")
        row = {"rubric": "stars", "paper_id": "2509.00002", "digest_id": newest.id}
        tx.execute(insert(digest_paper).values(picked=False, **row))
    with StatementLog() as log, filled.begin() as tx:
        for asked in ASKED:
            why.answer_operator(app, asked, ["stars", "models"])
        why_store.unpicked_readings(tx, 1, "f" * 64, ["claude"])
        why_store.count_excluded(tx, [1, 2], "survey")
        why_store.local_rank(tx, 1, "f" * 64, "local", 0.5)
        why_store.paper_counts(tx, "cs.LG", 10)
        rate_limits.take_lookup(tx, "a" * 32, THURSDAY, 20)
    require_plans_by_index(filled, log)
    scores = [one for one in log.sent if "FROM score" in one.text]
    with filled.read() as tx:
        plans = [plan_of(tx, *one) for one in scores]
    assert plans
    if filled.is_sqlite:
        assert all("(fingerprint=? AND scorer=? AND paper_id=?" in plan for plan in plans)
    assert any("lower(substr(paper.title" in one.text for one in log.sent)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT id FROM delivery WHERE reason = 'x'",
        "SELECT d.id FROM paper AS p JOIN delivery AS d ON d.email = p.title WHERE p.id = 'x'",
        "SELECT rubric, count(*) FROM call GROUP BY rubric",
        "SELECT id FROM paper ORDER BY title LIMIT 3",
    ],
)
def test_a_plan_that_reads_a_whole_large_table_is_noticed(filled, statement):
    with filled.read() as tx:
        assert full_scans(tx, statement, ())
