"""`newsletter serve` as an operator starts it, but that it wakes every second, not every minutes.

    python -m tests.fakes.quick_serve --no-web
    python -m tests.fakes.quick_serve worker --port 0          a worker that looks around as often
    HANGS=round python -m tests.fakes.quick_serve --no-web     the first round never ends
    HANGS=lead  python -m tests.fakes.quick_serve --no-web     nor the first renewal of the lease

Where something hangs, patience is short.
"""

from __future__ import annotations

import os
import sys
import threading
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from newsletter.__main__ import main
from newsletter.jobs import daemon, dbos_engine, housekeeping, scheduler, scheduler_watchdog
from newsletter.jobs.leader import LeaderElection
from newsletter.jobs.reaper import HeartbeatConfig

if TYPE_CHECKING:
    from newsletter.context import App

QUICK = [timedelta(seconds=seconds) for seconds in (1, 1, 20)]


def hang_round(_app: App) -> None:
    hang()


def hang_lead(_leader: LeaderElection) -> bool:
    hang()
    return False


def hang() -> None:
    sys.stderr.write("it hangs\n")
    sys.stderr.flush()
    threading.Event().wait()


if __name__ == "__main__":
    scheduler.WAKE = {"second": "*"}
    scheduler.RENEW_SECONDS = 1.0
    if hangs := os.environ.get("HANGS"):
        daemon.GRACE_SECONDS = 1
        scheduler_watchdog.HEARTBEAT_TIMEOUT = 3.0
    if hangs == "round":
        housekeeping.run_frequent = hang_round
    if hangs == "lead":
        LeaderElection.renew = hang_lead  # type: ignore[method-assign]
    dbos_engine.HeartbeatConfig = partial(HeartbeatConfig, *QUICK)  # type: ignore[misc]
    if "worker" not in sys.argv:
        sys.argv.insert(1, "serve")
    main()
