"""`make bench-deliver` in short: it sends each mail over TLS, in batches and one by one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAILS, ALONE = 20, 12


def test_bench_deliver_sends_every_mail_once_in_each_way():
    script = [sys.executable, "-m", "bench", "deliver", "--json"]
    given = ["--deliveries", str(MAILS), "--single", str(ALONE), "--latency", "0.01"]
    done = subprocess.run(
        [*script, *given], cwd=ROOT, capture_output=True, text=True, timeout=900, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    batches, alone = figures["in batches"], figures["one by one"]
    assert (batches["accepted"], batches["readers in them"]) == (MAILS, MAILS)
    assert batches["requests"] < MAILS
    assert (alone["accepted"], alone["requests"], alone["readers in them"]) == (ALONE,) * 3
    assert figures["one by one, part of the ceiling"] > 0
