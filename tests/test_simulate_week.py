"""Two days of the disturbed week; `make simulate-week` lives through all of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
POSTGRES = os.environ.get("NEWSLETTER_TEST_DATABASE_URL", "")
DATABASES = ["", *([POSTGRES] if POSTGRES else [])]


@pytest.mark.parametrize("database", DATABASES, ids=["sqlite", "postgresql"][: len(DATABASES)])
def test_killed_suspended_and_set_wrong_it_comes_to_the_same(database):
    script = [sys.executable, str(ROOT / "bench" / "simulate_week.py")]
    given = ["--days", "2", "--crowd", "1", "--every", "4", "--kills", "10", "--seed", "3"]
    done = subprocess.run(
        [*script, *given, *(["--database", database] if database else [])],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert figures["wrong"] == []
    assert figures["kills"] >= 3
    assert figures["suspensions"] >= 1
    assert figures["mails"] + figures["unknown and not mailed"] == 31
