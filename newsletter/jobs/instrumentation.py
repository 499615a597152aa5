"""What is written down of a morning while it happens: its steps in the log, its troubles for
the operator's alerts.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from newsletter import logs
from newsletter.domain.model import Digest, Outcome
from newsletter.errors import OperatorError, Stopped
from newsletter.store import StoreError, incidents
from newsletter.store.incidents import ALL_RUBRICS, IncidentKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date

    from newsletter.context import App

log = logging.getLogger(__name__)


@contextmanager
def timed_step(
    app: App, name: str, day: date | None = None, rubric: str = "", *, keep: bool = False
) -> Iterator[dict[str, object]]:
    """One step of a morning: what is logged inside bears its edition and rubric.

    When it ends well it is one line of the log, with the figures that were put into the dictionary;
    `idle` among them says that nothing was left to do. With `keep` its duration is kept.
    """
    started = time.monotonic()
    known = {"edition": day.isoformat() if day else "", "rubric": rubric}
    with logs.bound(**{key: value for key, value in known.items() if value}):
        figures: dict[str, object] = {}
        yield figures
        if figures.pop("idle", False):
            return
        seconds = time.monotonic() - started
        log.info(name, extra={**figures, "seconds": round(seconds, 3)})
    if keep:
        keep_duration(app, name, seconds)


def keep_duration(app: App, name: str, seconds: float) -> None:
    with app.store.begin() as tx:
        incidents.record_duration(tx, name, seconds, app.clock())


@contextmanager
def daily_run_log(app: App) -> Iterator[None]:
    """Keep why nothing could be made for anybody, or that something could."""
    try:
        yield
    except (Stopped, StoreError):
        raise
    except OperatorError as trouble:
        day = app.source.newest(app.clock())
        with app.store.begin() as tx:
            incidents.record_incident(
                tx, IncidentKind.MORNING, ALL_RUBRICS, day, str(trouble), app.clock()
            )
        raise
    with app.store.begin() as tx:
        incidents.resolve_incident(tx, IncidentKind.MORNING, ALL_RUBRICS)


def record_results(app: App, day: date, issues: Iterable[tuple[str, Digest | None, str]]) -> None:
    """Keep which rubrics (slug, digest, trouble) have no whole digest of the day, and why."""
    now = app.clock()
    with app.store.begin() as tx:
        for slug, digest, trouble in issues:
            if trouble:
                incidents.record_incident(tx, IncidentKind.SCORING, slug, day, trouble, now)
                continue
            incidents.resolve_incident(tx, IncidentKind.SCORING, slug, day)
            left = digest.coverage.count(Outcome.UNSCORED_BUDGET) if digest else 0
            if digest and not left:
                # The money reaches again: what an older day lacked no longer matters.
                incidents.resolve_incident(tx, IncidentKind.BUDGET, slug)
            elif digest:
                reason = f"The money left {left} of {digest.coverage.announced} papers unread"
                incidents.record_incident(tx, IncidentKind.BUDGET, slug, day, reason, now)


def figures(digest: Digest | None) -> dict[str, object]:
    """What a digest's line in the log says."""
    if digest is None:
        return {}
    return {
        "kind": digest.kind.value,
        "announced": digest.coverage.announced,
        "scanned": digest.coverage.scanned,
        "picked": len(digest.picks),
        "dollars": round(sum(usage.total_nanos for usage in digest.usage) / 1e9, 6),
    }
