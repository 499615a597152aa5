"""A pass over the papers at half the price, by batches that end when they end.

A batch outlives the process: what an earlier life submitted is collected first. What a batch leaves
open, errored or expired, goes the ordinary way afterwards.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from newsletter.crew import STOPPED, ScoringFailed
from newsletter.desk import Known
from newsletter.scorers import Failure, ScorerError
from newsletter.stopping import Stopped
from newsletter.store.ledger import SUBMITTING, NoReservation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from newsletter.crew import Limits
    from newsletter.desk import Desk
    from newsletter.model import Paper
    from newsletter.scorers import Batch, Batcher, Call, Request
    from newsletter.store.ledger import InBatch

BEFORE_DEADLINE = timedelta(minutes=20)
"""So long before the scores are wanted a batch is given up, and its rest is asked about at once."""
WORTH_IT = timedelta(hours=2)
MOST_RUBRICS = 2
"""From three on, sharing the papers costs less than half the price does."""


def wanted(limits: Limits, batcher: Batcher | None, rubrics: int, now: datetime) -> bool:
    """Whether this morning's calls should go in bulk."""
    if batcher is None or limits.mode == "now":
        return False
    if limits.mode == "batch":
        return True
    by = _until(limits)
    return by is not None and by - now >= WORTH_IT and rubrics <= MOST_RUBRICS


def submit(desk: Desk, requests: Sequence[Request]) -> None:
    """Reserve at half the upper bound and hand over. Raises ScoringFailed."""
    calls = _reserved(desk, requests)
    if not calls:
        return
    try:
        batch_id = _batcher(desk).submit(calls)
    except ScorerError as error:
        # What may have arrived stays reserved; `collect` finds out.
        if error.failure is not Failure.LOST:
            desk.free(list(calls), str(error))
        if error.failure is Failure.FATAL:
            raise ScoringFailed(str(error)) from error
        return
    desk.submitted(list(calls), batch_id)


def _reserved(desk: Desk, requests: Sequence[Request]) -> dict[str, Call]:
    calls: dict[str, Call] = {}
    for request in requests:
        whole = desk.scorer.call(request, desk.clock())
        call = replace(whole, upper_nanos=-(-whole.upper_nanos // 2))
        try:
            calls[desk.reserve(call, batch=True)] = call
        except NoReservation as refusal:
            # What the budget does not cover, or others are about, is left to the ordinary way.
            if not refusal.taken:
                break
        except Known:
            continue
    return calls


def collect(desk: Desk, papers: Sequence[Paper], limits: Limits) -> None:
    """Wait for the batches of this desk and store what they say. Raises ScoringFailed, Stopped.

    One that is given up is cancelled and waited for nevertheless: until it has ended nobody knows
    what of it is paid for.
    """
    by_id = {paper.id: paper for paper in papers}
    cancelled: set[str] = set()
    while waiting := _named(desk, [c for c in desk.in_batches() if _ours(c, by_id)]):
        now = desk.clock()
        hurry = _in_a_hurry(limits, now)
        for batch_id in sorted({call.batch_id for call in waiting}):
            if batch_id == SUBMITTING:
                continue
            batch = _look(desk, batch_id)
            if batch is not None and batch.ended:
                _store(desk, [c for c in waiting if c.batch_id == batch_id], by_id, batch)
            elif hurry and batch_id not in cancelled:
                with suppress(ScorerError):
                    _batcher(desk).cancel(batch_id, now)
                    cancelled.add(batch_id)
        if (limits.deadline and now >= limits.deadline) or not desk.in_batches():
            return
        if limits.stop.wait(limits.batch_pause):
            raise Stopped(STOPPED)


def _named(desk: Desk, waiting: list[InBatch]) -> list[InBatch]:
    """Find the batch of calls whose life ended between handing over and learning its name."""
    nameless = [call for call in waiting if call.batch_id == SUBMITTING]
    if not nameless:
        return waiting
    ids = [call.call_id for call in nameless]
    try:
        found = _batcher(desk).find(ids, min(call.since for call in nameless))
    except ScorerError:
        return waiting
    if found is None:
        desk.free(ids, "never submitted")
        return [call for call in waiting if call.batch_id != SUBMITTING]
    desk.submitted(ids, found)
    return [replace(c, batch_id=found) if c.batch_id == SUBMITTING else c for c in waiting]


def _look(desk: Desk, batch_id: str) -> Batch | None:
    """None when the other side is busy; it is asked again at the next look."""
    try:
        return _batcher(desk).collect(batch_id, desk.clock())
    except ScorerError as error:
        if error.failure is Failure.FATAL:
            raise ScoringFailed(str(error)) from error
        return None


def _store(desk: Desk, calls: list[InBatch], by_id: dict[str, Paper], batch: Batch) -> None:
    for call in calls:
        answer = batch.answers.get(call.call_id)
        if answer is None:
            desk.free([call.call_id], "not answered by the batch")
            continue
        request = desk.as_asked(call.papers, by_id, call.reading)
        with suppress(ScorerError):
            desk.store_answer(request, call.model, call.call_id, answer, trusting=False)


def _ours(call: InBatch, by_id: dict[str, Paper]) -> bool:
    return all(paper_id in by_id for paper_id in call.papers.values())


def _until(limits: Limits) -> datetime | None:
    """When the scores have to be there; None where nobody said. `batch` means however late."""
    wanted_by = limits.wanted_by if limits.mode == "auto" else None
    return min((by for by in (wanted_by, limits.deadline) if by), default=None)


def _in_a_hurry(limits: Limits, now: datetime) -> bool:
    by = _until(limits)
    # Where nobody said by when, whoever asks in `auto` waits for the scores now.
    if by is None:
        return limits.mode != "batch"
    return limits.mode == "now" or now >= by - BEFORE_DEADLINE


def _batcher(desk: Desk) -> Batcher:
    if desk.scorer.batcher is None:
        message = f"{desk.scorer.name} has calls in a batch but takes none"
        raise ScoringFailed(message)
    return desk.scorer.batcher
