"""The kill sweep of grouped sending in short; `make chaos-batches` runs it in full."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("fence", [True, False], ids=["fenced", "bare"])
def test_02_killed_at_every_step_it_neither_loses_nor_doubles(store_url: str, *, fence: bool):
    script = [sys.executable, "-m", "tests.simulations.chaos_batches"]
    # Without a fence there are fewer steps to be killed at, so that more kills are at random.
    groups, kills = (16, 3) if fence else (40, 8)
    given = ["--groups", str(groups), "--kills", str(kills), "--times", "1"]
    given += ["--database", store_url, *([] if fence else ["--bare"])]
    done = subprocess.run(
        [*script, *given], cwd=ROOT, capture_output=True, text=True, timeout=900, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert figures["broken"] == []
    assert figures["kills"] >= 6
    assert sum(figures["states"].values()) == 10 * groups
