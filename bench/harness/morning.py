"""One morning in this process, phase by phase; the last line printed is its figures as JSON.

`bench daily_run` starts it as a process of its own. It imports what a real run imports and nothing
else: what the bench needs besides (Alembic, certificates, stand-ins) would add 11 MB to the peak.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = date(2025, 9, 23)
EVENING = datetime(2025, 9, 23, 20, tzinfo=UTC)


def main() -> None:
    from newsletter import process

    process.collect_garbage_less_often()
    from newsletter import bootstrap
    from newsletter.jobs import daily
    from newsletter.jobs.scheduler import DailyScheduler
    from newsletter.settings import read_settings

    app = bootstrap.build_app(read_settings())
    state = daily.read_day(app, DAY)
    figures: dict[str, Any] = {}

    def timed(phase: str, act: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever it answers
        began, used = time.perf_counter(), time.process_time()
        result = act()
        figures[f"{phase}, s"] = round(time.perf_counter() - began, 2)
        figures[f"{phase}, s of processor"] = round(time.process_time() - used, 2)
        figures[f"{phase}, MB held"] = _held()
        return result

    timed("fetch", lambda: daily.fetch_papers(app, state, DAY, _quiet))
    made = timed("score and make", lambda: daily.score_and_compose(app, state, _quiet))
    sent = timed("mail", lambda: daily.render_and_deliver(app, made, _quiet))
    for unit in ("s", "s of processor"):
        spent = sum(value for name, value in figures.items() if name.endswith(f", {unit}"))
        figures[f"whole morning, {unit}"] = round(spent, 2)
    figures["with imports, s of processor"] = round(time.process_time(), 2)
    figures["MB at most"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    if troubles := {one.problem for one in sent if one.problem}:
        sys.exit("; ".join(troubles))
    timed("again, when all is done", lambda: daily.run_daily(app, DAY, None, _quiet))
    evening = replace(app, clock=lambda: EVENING)
    timed("a wake-up of serve, nothing due", DailyScheduler(evening).send_due)
    print(json.dumps(figures))


def _held() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return round(pages * resource.getpagesize() / 2**20, 1)


def _quiet(_stage: str, _done: int, _total: int) -> None:
    pass


if __name__ == "__main__":
    main()
