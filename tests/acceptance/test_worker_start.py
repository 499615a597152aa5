"""Several workers on one machine, started as shortly as a hurried operator writes it."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from newsletter.store import Store
from tests.fakes.database import own_database
from tests.fakes.installation import Installation

if TYPE_CHECKING:
    from pathlib import Path

POSTGRES = os.environ.get("NEWSLETTER_TEST_DATABASE_URL", "")


@pytest.mark.skipif(not POSTGRES, reason="needs PostgreSQL: set NEWSLETTER_TEST_DATABASE_URL")
def test_two_workers_share_a_machine_without_being_told_how(tmp_path: Path) -> None:
    """Neither id nor port is given; each is stopped as soon as it says that it takes work."""
    with own_database(POSTGRES) as url, ExitStack() as begun:
        made = Installation(tmp_path, NEWSLETTER_DATABASE_URL=url, NEWSLETTER_ENGINE="dbos")
        (made.rubrics / "one.md").write_text(
            "---\ntitle: One\ncategories: [cs.LG]\n---\n\n## Criteria\n\n1. Anything\n"
        )
        assert made.newsletter("migrate").status == 0
        workers = [begun.enter_context(made.begin("worker")) for _ in range(2)]
        for worker in workers:
            assert any(" started" in said for said in worker.stderr)
        store = Store(url)
        with store.read() as tx:
            assert tx.execute(text("SELECT count(*) FROM life")).scalar_one() == len(workers)
        store.close()
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(240) == 0
