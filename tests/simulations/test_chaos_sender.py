"""The kill sweep in short; `make chaos` runs it in full."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("over", [[], ["--smtp"]], ids=["sendgrid", "smtp"])
def test_02_killed_at_every_step_it_neither_loses_nor_doubles(store_url: str, over: list[str]):
    script = [sys.executable, "-m", "tests.simulations.chaos_sender"]
    given = ["--deliveries", "240", "--kills", "8", "--database", store_url]
    done = subprocess.run(
        [*script, *given, *over], cwd=ROOT, capture_output=True, text=True, timeout=900, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert figures["broken"] == []
    assert figures["kills"] >= 16
    assert sum(figures["states"].values()) == 240
