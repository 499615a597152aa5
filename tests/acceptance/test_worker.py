"""`newsletter worker` as its operator runs it; the others do their part through it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest
from sqlalchemy import text

from newsletter.store import Store, subscriptions
from tests.fakes.database import own_database
from tests.fakes.installation import Installation
from tests.fakes.mail import START, reader
from tests.fakes.sendgrid import FakeSendGrid
from tests.fakes.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POSTGRES = os.environ.get("NEWSLETTER_TEST_DATABASE_URL", "")
RUBRIC = """---
title: Small and fast models
categories: [cs.LG, cs.CL]
---

## Criteria

1. Compression
   - Relevant: quantization and pruning.
"""
READERS = 40


def installation(folder: Path, **more: str) -> Installation:
    made = Installation(
        folder,
        NEWSLETTER_SOURCE="sample",
        NEWSLETTER_POSTAL_ADDRESS="1 Example Street",
        NEWSLETTER_FROM_EMAIL="digest@example.org",
        **more,
    )
    (made.rubrics / "small.md").write_text(RUBRIC, encoding="utf-8")
    return made


def test_without_dbos_there_is_nothing_for_a_worker(tmp_path: Path) -> None:
    done = installation(tmp_path).newsletter("worker")
    assert done.status == 2
    assert "NEWSLETTER_ENGINE: with local, serve runs all tasks" in done.err


@pytest.mark.parametrize("command", ["worker", "run"])
def test_a_second_process_on_sqlite_is_refused_with_the_reason(
    tmp_path: Path, command: str
) -> None:
    done = installation(tmp_path, NEWSLETTER_ENGINE="dbos").newsletter(command)
    assert done.status == 2
    assert "dbos needs PostgreSQL, because SQLite lets one process write" in done.err


def test_in_an_empty_folder_the_database_is_asked_for_first_and_no_file_is_made(
    tmp_path: Path,
) -> None:
    """Whoever starts a worker has rubrics elsewhere; where is what the database decides."""
    empty = Installation(tmp_path, NEWSLETTER_ENGINE="dbos", NEWSLETTER_RUBRICS_DIR="nowhere")
    done = empty.newsletter("worker")
    assert done.status == 2
    assert "dbos needs PostgreSQL" in done.err
    assert not list(tmp_path.rglob("*.db"))


@contextmanager
def started(made: Installation, *words: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "newsletter", *words],
        cwd=made.folder,
        env=made.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stderr
        process.stderr.close()


def port_of(process: subprocess.Popen[str]) -> int:
    assert process.stderr
    for line in process.stderr:
        if found := re.search(r"health pages at port (\d+)", line):
            return int(found[1])
    pytest.fail("the worker ended before it began")


@pytest.mark.skipif(not POSTGRES, reason="needs PostgreSQL: set NEWSLETTER_TEST_DATABASE_URL")
def test_a_worker_from_start_to_sigterm(tmp_path: Path) -> None:
    """It sends what `run` plans, says how it is, and is asked to stop in the middle of the mail."""
    with own_database(POSTGRES) as url, FakeSendGrid(delay=0.1) as fake:
        made = installation(
            tmp_path,
            NEWSLETTER_DATABASE_URL=url,
            NEWSLETTER_ENGINE="dbos",
            SENDGRID_API_KEY="SG.x",
            NEWSLETTER_SENDGRID_URL=fake.url,
            NEWSLETTER_MAILS_PER_SECOND="20",
        )
        store = Store(url)
        store.migrate()
        with store.begin() as tx:
            for n in range(READERS):
                subscriptions.insert_new(tx, reader(n, rubric="small"), START)
        with started(made, "worker", "--id", "w1", "--port", "0") as worker:
            port = port_of(worker)
            for path in ("healthz", "readyz", "metrics"):
                with urlopen(f"http://127.0.0.1:{port}/{path}", timeout=120) as answer:
                    assert answer.status == 200
            other = made.newsletter("worker", "--id", "w1", "--port", "0")
            assert other.status == 1
            assert "a worker w1 is alive already" in other.err
            with started(made, "run", "--json"):
                assert wait_until(lambda: len(fake.requests) >= 10)
            # The planner is dead; the lane may have been its own, and is swept up then.
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(240) == 0
        with store.read() as tx:
            lives = tx.execute(text("SELECT owner FROM life WHERE owner LIKE '%/w1'")).all()
        assert lives == []
        [issue] = json.loads(made.newsletter("run", "--json").out)["issues"]
        with store.read() as tx:
            counts = tx.execute(text("SELECT state, count(*) AS number FROM delivery GROUP BY 1"))
            rows = {row.state: row.number for row in counts}
        store.close()
    assert issue["trouble"] == ""
    assert sum(rows.values()) == READERS
    assert rows.keys() <= {"accepted", "unknown"}
    assert len(fake.addresses) == len(set(fake.addresses))
