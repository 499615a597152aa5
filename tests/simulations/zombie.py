"""A worker is suspended for longer than the service takes for dead, and wakes to nothing.

Once with mails under way and once between a call and its answer. The limits are the product's own:
after a minute of silence, and the next sweep, its unit is another's. Every reader must have one
mail, every paper its score, and nothing may change when it wakes.

    python -m tests.simulations.zombie [--database URL of a PostgreSQL]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from newsletter.jobs.reaper import HeartbeatConfig
from tests.simulations import workers
from tests.simulations.suspended_worker import suspended_worker


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", default=os.environ.get("NEWSLETTER_TEST_DATABASE_URL", ""))
    given = parser.parse_args()
    if not given.database.startswith("postgresql"):
        parser.error("workers need PostgreSQL: give --database or NEWSLETTER_TEST_DATABASE_URL")
    workers.RHYTHM = HeartbeatConfig()
    server = workers.WorkerForkServer()
    found = {}
    for kind in ("mail", "score"):
        with (
            tempfile.TemporaryDirectory() as folder,
            suspended_worker(server, given.database, Path(folder), kind) as suspended,
        ):
            overtaken = suspended.overtaken()
            found[kind] = {"overtaken": overtaken, "seconds asleep": round(suspended.slept, 1)}
    server.close()
    print(json.dumps(found, indent=1))
    silent = workers.RHYTHM.silent_after.total_seconds()
    return 0 if all(o["overtaken"] and o["seconds asleep"] > silent for o in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
