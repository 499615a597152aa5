"""`subscribers import` of a long file by the real command: seconds and memory, rehearsed and real.

    python -m bench import_subscribers --rows 1000000
    python -m bench import_subscribers --rows 100000 --database postgresql+psycopg://...

Each import runs in a process of its own, so that the memory said is its own peak.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from multiprocessing import Pipe, Process
from pathlib import Path
from typing import TYPE_CHECKING

from bench.harness.report import arguments

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

ROOT = Path(__file__).parents[2]
RUBRIC = "---\ntitle: Stars\ncategories: [astro-ph.SR]\n---\n\n## Criteria\n\n1. Stars\n"
STEPS = (("dry run", "--dry-run"), ("import", ""), ("once more", ""))


def write_file(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.write("email,rubric,name,timezone,send_at\n")
        out.writelines(
            f"reader{n}@example{n % 5000}.org,stars,Ada {n},Europe/Berlin,07:30\n"
            for n in range(rows)
        )


def run(words: list[str], environment: dict[str, str], answer: Connection) -> None:
    """Run the command; answer what it says, its seconds, and its peak in megabytes."""
    began = time.monotonic()
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "newsletter", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    answer.send((done.stdout.strip() + done.stderr.strip(), time.monotonic() - began, peak))


def measured(words: list[str], environment: dict[str, str]) -> tuple[str, float, float]:
    mine, theirs = Pipe()
    process = Process(target=run, args=(words, environment, theirs))
    process.start()
    found: tuple[str, float, float] = mine.recv()
    process.join()
    return found


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--database", default="", help="an empty one; SQLite where none is named")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "rubrics").mkdir()
        (place / "rubrics" / "stars.md").write_text(RUBRIC, encoding="utf-8")
        file = place / "readers.csv"
        write_file(file, asked.rows)
        environment = {
            **os.environ,
            "NEWSLETTER_DATABASE_URL": asked.database or f"sqlite:///{place / 'readers.db'}",
            "NEWSLETTER_RUBRICS_DIR": str(place / "rubrics"),
        }
        measured(["migrate"], environment)
        size = file.stat().st_size / 1e6
        print(f"{asked.rows} rows, {size:.0f} MB")
        for name, flag in STEPS:
            words = ["subscribers", "import", str(file), "--consent", "bench", *flag.split()]
            said, seconds, peak = measured(words, environment)
            rate = asked.rows / seconds
            print(f"{name}: {seconds:.1f} s, {rate:,.0f} rows/s, {peak:.0f} MB; {said}")
