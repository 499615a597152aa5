"""The versions of a rubric that its digests were made with, over pages of digests."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING

import pytest

from newsletter.store.operator import rubric_history
from newsletter.store.operator.rubric_history import PAGE
from tests.fakes.pages import STARS, THURSDAY, issue
from tests.fakes.query_plans import StatementLog

if TYPE_CHECKING:
    from newsletter.store import Store

TEXTS = {
    "a": STARS,
    "b": replace(STARS, relevance=5),
    "c": replace(STARS, title="Stars \u2600 \U0001f31f", keywords="- Relevant: \u2600" * 40),
    "d": replace(STARS, keywords=STARS.keywords + " and more"),
}


@pytest.mark.parametrize(
    "made",
    [
        "a",
        "ab",
        "a" * (PAGE + 3),
        "a" * PAGE + "b" * PAGE,
        "c" * (PAGE - 1) + "ab" + "c" * PAGE,
        "ad" * (PAGE // 2) + "d" * 3 + "ac",
    ],
)
def test_each_run_of_digests_with_one_text_is_a_version(store: Store, made: str) -> None:
    """`made` has the text of each digest, the newest first."""
    for back, text in enumerate(made):
        issue(store, TEXTS[text], THURSDAY - timedelta(days=back), [])
    with store.read() as tx:
        found = rubric_history.versions(tx, STARS.slug)
    runs = [(text, len(list(run))) for text, run in groupby(made)]
    assert [(one.rubric, one.issues) for one in found] == [(TEXTS[t], n) for t, n in runs]
    days = [(one.first, one.last) for one in found]
    ends = [sum(n for _, n in runs[: place + 1]) for place in range(len(runs))]
    assert [first for first, _ in days] == [THURSDAY - timedelta(days=end - 1) for end in ends]


def test_bodies_that_begin_alike_stay_in_the_database(store: Store) -> None:
    for back in range(2 * PAGE):
        issue(store, STARS, THURSDAY - timedelta(days=back), [])
    with StatementLog() as log, store.read() as tx:
        rubric_history.versions(tx, STARS.slug)
    with store.read() as tx:
        *_, last = (tx.exec_driver_sql(one.text, one.parameters).all() for one in log.sent)
    assert [row[1] for row in last] == [None] * PAGE
