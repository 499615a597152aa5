from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_killed_at_random_moments_a_day_is_scored_whole_and_paid_once() -> None:
    """Six kills here; `python -m tests.simulations.chaos_scoring` does fifty."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.simulations.chaos_scoring",
            "--kills",
            "6",
            "--papers",
            "640",
        ],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
