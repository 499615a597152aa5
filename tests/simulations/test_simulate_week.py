"""A day and a half of the disturbed week; `make simulate-week` lives through all of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
POSTGRES = os.environ.get("NEWSLETTER_TEST_DATABASE_URL", "")
DATABASES = ["", *([POSTGRES] if POSTGRES else [])]


def test_kills_suspensions_and_clock_jumps_change_no_result():
    script = [sys.executable, "-m", "tests.simulations.simulate_week"]
    given = ["--days", "1", "--crowd", "1", "--every", "4", "--kills", "6", "--seed", "4"]
    chosen = [word for one in DATABASES for word in ("--database", one)]
    done = subprocess.run(
        [*script, *given, *chosen],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(DATABASES)
    for figures in lines:
        assert figures["wrong"] == []
        # One while mail goes out is sure to come; when the others do depends on the machine.
        assert figures["with answers on the way"] >= 1
        assert figures["suspensions"] >= 1
        # Whoever sent again what may be out would be caught by these.
        assert figures["unknown and mailed"] >= 1
        assert figures["mails"] + figures["unknown and not mailed"] == 22
    assert "day 1 of 1" in done.stderr
