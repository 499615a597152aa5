"""The kill sweep over workers in short; `make chaos-workers` runs it in full."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.postgres_server import found_binaries

ROOT = Path(__file__).parents[2]
POSTGRES = os.environ.get("NEWSLETTER_TEST_DATABASE_URL", "")


def swept(*more: str) -> dict:
    # Each kill comes soon, and what it had in hand is given up soon.
    haste = ["--catch", "2", "--leave", "0.5", "--lease", "6", "--rate", "20"]
    # A busy machine alone was without progress for 68 s; `make chaos-workers` allows two minutes.
    given = ["--standstill", "600", "--deliveries", "40", "--units", "2", "--kills", "3"]
    given += [*haste, *more]
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulations.chaos_workers", *given],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.stdout, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.skipif(not found_binaries(), reason="needs PostgreSQL's own initdb and pg_ctl")
def test_02_nor_restarts_of_postgresql_nor_a_worker_cut_off_from_it() -> None:
    """Leases are those of the product, ten minutes: heartbeats tell which worker is dead."""
    longer = ["--deliveries", "90", "--units", "6", "--kills", "8", "--lease", "600"]
    figures = swept("--server", "--partition", "8", *longer)
    assert figures["broken"] == []
    assert figures["incidents left out"] == 0
    assert sum(figures["kills"].values()) == 8
    assert sum(figures["mails"].values()) == 90


@pytest.mark.skipif(not POSTGRES, reason="needs PostgreSQL: set NEWSLETTER_TEST_DATABASE_URL")
def test_02_killed_workers_neither_lose_nor_double() -> None:
    figures = swept()
    assert figures["broken"] == []
    assert sum(figures["kills"].values()) == 3
    assert sum(figures["mails"].values()) == 40


def test_02_nor_does_the_engine_in_one_process(tmp_path: Path) -> None:
    figures = swept(
        "--kills", "2", "--engine", "local", "--database", f"sqlite:///{tmp_path / 'n.db'}"
    )
    assert figures["broken"] == []
    assert sum(figures["kills"].values()) == 2
    assert sum(figures["mails"].values()) == 40
