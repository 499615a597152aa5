"""Why and why not: bytes of a row, time to store a digest, time of an answer.

    python -m bench why [--rubrics 4] [--days 60] [--json]

Every digest covers 964 papers, as the largest day of the corpus; their texts are real, their scores
made up. A year of 20 rubrics has 4,820,000 rows in `digest_paper`: bytes are given for one row,
with both indexes. "Every row" is the layout that was rejected: an outcome also for scored papers.
"""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select, text

from bench.harness import report
from bench.harness.year import EACH, Year, fill, rubric
from newsletter.domain.model import Outcome, Unscored
from newsletter.inbound import why
from newsletter.store import Store, digests
from newsletter.store.tables import digest_paper
from tests.fakes.pages import Clock, application

if TYPE_CHECKING:
    from collections.abc import Callable

PAPERS = 964
TIMES = 7
LAYOUTS = {
    "no outcomes (before)": "UPDATE digest_paper SET outcome = NULL, reason = NULL",
    "1 in 20 excluded": "UPDATE digest_paper SET outcome = 'unscored: excluded by the rubric',"
    " reason = 'survey' WHERE rowid % 20 = 0",
    "half over the budget": "UPDATE digest_paper SET outcome = 'unscored: budget', reason = NULL"
    " WHERE rowid % 2 = 0",
    "every row (rejected)": "UPDATE digest_paper SET outcome = 'scored', reason = NULL",
}
PAGES = "SELECT sum(pgsize) FROM dbstat WHERE name IN ('digest_paper',"
INDEXES = "'sqlite_autoindex_digest_paper_1', 'ix_digest_paper_digest_id')"


def bytes_a_row(store: Store) -> dict[str, float]:
    found = {}
    rows = _scalar(store, "SELECT count(*) FROM digest_paper")
    for name, statement in LAYOUTS.items():
        with store.begin() as tx:
            tx.execute(text(LAYOUTS["no outcomes (before)"]))
            tx.execute(text(statement))
        with closing(sqlite3.connect(store.file)) as connection:
            connection.execute("VACUUM")
        found[name] = round(_scalar(store, PAGES + INDEXES) / rows, 1)
    with store.begin() as tx:
        tx.execute(text(LAYOUTS["no outcomes (before)"]))
    return found


def _scalar(store: Store, query: str) -> int:
    with store.read() as tx:
        return int(tx.execute(text(query)).scalar_one())


def cost_to_store(store: Store, slug: str, now: datetime) -> dict[str, float]:
    """Milliseconds of processor of `digests.save` of one day, without and with outcomes."""
    with store.read() as tx:
        stored = digests.latest(tx, slug)
    if stored is None:
        return {}
    digest = stored[1]
    ids = digest.coverage.papers
    layouts = {
        "without": {},
        "1 in 20 excluded": dict.fromkeys(ids[::20], Unscored(Outcome.EXCLUDED, "survey")),
        "half over the budget": dict.fromkeys(ids[::2], Unscored(Outcome.UNSCORED_BUDGET)),
    }
    found = {}
    for name, unscored in layouts.items():
        times = []
        for number in range(TIMES):
            other = replace(
                digest, rubric=replace(digest.rubric, slug=f"{slug}-{name[:3]}-{number}")
            )
            began = time.process_time()
            with store.begin() as tx:
                digests.save(tx, other, now, unscored)
            times.append(time.process_time() - began)
        found[name] = _milliseconds(times)
    return found


def _milliseconds(times: list[float]) -> float:
    return round(1000 * statistics.median(times), 1)


def cost_to_answer(store: Store, slug: str) -> dict[str, float]:
    """Milliseconds of processor of an answer, the median of several papers."""
    app = replace(application(store, clock=Clock(datetime.now(UTC))), rubrics={slug: rubric(slug)})
    with store.read() as tx:
        mine = digest_paper.c.rubric == slug
        picked, others = (
            list(tx.scalars(select(digest_paper.c.paper_id).where(mine, which).limit(TIMES)))
            for which in (digest_paper.c.picked, ~digest_paper.c.picked)
        )
        titles = list(tx.scalars(text("SELECT title FROM paper ORDER BY published DESC LIMIT 7")))
    asked = {
        "picked": picked,
        "below the cut-offs": others,
        "a title": titles,
        "the beginning of a title": [title[:30] for title in titles],
        "an id that is not stored": ["2609.99999"] * TIMES,
    }
    return {
        name: _milliseconds(
            [_timed(partial(why.answer_operator, app, one, [slug])) for one in some]
        )
        for name, some in asked.items()
    }


def _timed(act: Callable[[], object]) -> float:
    began = time.process_time()
    act()
    return time.process_time() - began


def main() -> None:
    parser = report.arguments(__doc__, as_json=True)
    parser.add_argument("--rubrics", type=int, default=4)
    parser.add_argument("--days", type=int, default=60)
    given = parser.parse_args()
    now = datetime.now(UTC)
    year = Year(given.rubrics, given.days, PAPERS * EACH, readers=given.rubrics)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{Path(folder) / 'year.db'}")
        store.migrate()
        fill(store, year, now)
        slug = year.slugs()[0]
        with store.begin() as tx:
            # The year's scores have the slug of their rubric in place of its fingerprint.
            own = {"own": rubric(slug).fingerprint, "slug": slug}
            tx.execute(text("UPDATE score SET fingerprint = :own WHERE fingerprint = :slug"), own)
        figures = {
            "rows in digest_paper": _scalar(store, "SELECT count(*) FROM digest_paper"),
            "bytes a row": bytes_a_row(store),
            "CPU ms to store a digest": cost_to_store(store, slug, now),
            "CPU ms of an answer": cost_to_answer(store, slug),
        }
        store.close()
    report.show(figures, as_json=given.json)
