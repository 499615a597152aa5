"""The table of `python -m bench goals`: what is met, missed, or could not be measured."""

from __future__ import annotations

import subprocess
import sys

from bench.scenarios import goals
from bench.scenarios.daily_run import ROOT


def test_a_missed_goal_says_by_how_much():
    assert goals.verdict(2.5, 2.5) == "met"
    assert goals.verdict(3.0, 2.5) == "missed by 0.5 (20%)"


def test_every_goal_has_a_measurement_and_every_measurement_a_goal():
    assert {goal.measurement for goal in goals.GOALS} == set(goals.measurements(None))


def test_what_cannot_be_measured_is_said(tmp_path):
    command = [sys.executable, "-m", "bench", "goals", "--only", "year", "--year"]
    file = tmp_path / "year.db"
    file.write_text("This is no database.", encoding="utf-8")
    done = subprocess.run(
        [*command, str(file)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 3
    assert all("not measured: " in row for row in rows), done.stdout
