"""Instrumentation of the daily run: timed steps in the log, incidents for the alerts."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from newsletter import logs
from newsletter.domain.model import Digest, Outcome
from newsletter.domain.reader_rubrics import is_reader_rubric
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
    """One step of a daily run. Lines logged inside carry its edition and rubric.

    A step that succeeds is one log line with the fields put into the dictionary. The field `idle`
    says that there was nothing to do. With `keep` the duration is stored.
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
    """Record an incident if the whole run failed; resolve it on success."""
    try:
        yield
    except (Stopped, StoreError):
        raise
    except OperatorError as error:
        day = app.source.newest(app.clock())
        with app.store.begin() as tx:
            incidents.record_incident(
                tx, IncidentKind.RUN_FAILED, ALL_RUBRICS, day, str(error), app.clock()
            )
        raise
    with app.store.begin() as tx:
        incidents.resolve_incident(tx, IncidentKind.RUN_FAILED, ALL_RUBRICS)


def record_results(app: App, day: date, results: Iterable[tuple[str, Digest | None, str]]) -> None:
    """Record or resolve the incidents of each rubric, from (slug, digest, problem)."""
    now = app.clock()
    with app.store.begin() as tx:
        for slug, digest, problem in results:
            if problem:
                incidents.record_incident(tx, IncidentKind.SCORING, slug, day, problem, now)
                continue
            incidents.resolve_incident(tx, IncidentKind.SCORING, slug, day)
            left = digest.coverage.count(Outcome.UNSCORED_BUDGET) if digest else 0
            # Reader rubrics have small budgets on purpose: their receipt says what they left.
            if digest and (not left or is_reader_rubric(slug)):
                # The budget suffices again: older incidents no longer matter.
                incidents.resolve_incident(tx, IncidentKind.BUDGET, slug)
            elif digest:
                announced = digest.coverage.announced
                reason = f"{left} of {announced} papers were not scored: budget exhausted"
                incidents.record_incident(tx, IncidentKind.BUDGET, slug, day, reason, now)


def figures(digest: Digest | None) -> dict[str, object]:
    """Log fields of a digest."""
    if digest is None:
        return {}
    return {
        "kind": digest.kind.value,
        "announced": digest.coverage.announced,
        "scanned": digest.coverage.scanned,
        "picked": len(digest.picks),
        "dollars": round(sum(usage.total_nanos for usage in digest.usage) / 1e9, 6),
    }
