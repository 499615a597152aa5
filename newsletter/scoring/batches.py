"""A pass over the papers at half the price, by batches that end when they end.

A batch outlives the process: what an earlier life submitted is collected first. What a batch leaves
open, errored or expired, goes the ordinary way afterwards.
"""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from newsletter import process
from newsletter.errors import Stopped
from newsletter.scorers import CallFailure, ScorerError
from newsletter.scoring.executor import STOPPED, STOPS, ScoringFailed
from newsletter.scoring.session import LEASE, AlreadyScored
from newsletter.store.ledger import SUBMITTING, ReservationRefused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from newsletter.domain.model import Paper
    from newsletter.scorers import BatchScorer, ScoringBatch, ScoringCall, ScoringRequest
    from newsletter.scoring.executor import ScoringLimits
    from newsletter.scoring.session import ScoringSession
    from newsletter.store.ledger import BatchedCall

log = logging.getLogger(__name__)

BEFORE_DEADLINE = timedelta(minutes=20)
"""So long before the scores are wanted a batch is given up, and its rest is asked about at once."""
WORTH_IT = timedelta(hours=2)
A_DAY = timedelta(days=1)
"""A batch's list may reach so far back before the calls that are looked for."""
UNKNOWN_FOR = timedelta(minutes=3)
"""So long a batch may be unknown to the other side that has just taken it."""
UNKNOWN_LOOKS = 2
"""And so many looks in a row: one may be a slip."""
MOST_RUBRICS = 2
"""From three on, sharing the papers costs less than half the price does."""


def wanted(limits: ScoringLimits, batcher: BatchScorer | None, rubrics: int, now: datetime) -> bool:
    """Whether this morning's calls should go in bulk."""
    if batcher is None or limits.mode == "now":
        return False
    if limits.mode == "batch":
        return True
    by = _until(limits)
    return by is not None and by - now >= WORTH_IT and rubrics <= MOST_RUBRICS


def submit(desk: ScoringSession, requests: Sequence[ScoringRequest]) -> None:
    """Reserve at half the upper bound and hand over. Raises ScoringFailed."""
    calls = _reserved(desk, requests)
    if not calls:
        return
    try:
        batch_id = _batcher(desk).submit(calls)
    except ScorerError as error:
        # What may have arrived stays reserved; `collect` finds out.
        if error.failure is not CallFailure.LOST:
            desk.free(list(calls), str(error))
        _unless_fatal(error)
        return
    desk.submitted(list(calls), batch_id)


def _reserved(desk: ScoringSession, requests: Sequence[ScoringRequest]) -> dict[str, ScoringCall]:
    calls: dict[str, ScoringCall] = {}
    for request in requests:
        whole = desk.scorer.call(replace(request, in_bulk=True), desk.clock())
        call = replace(whole, upper_nanos=-(-whole.upper_nanos // 2))
        try:
            calls[desk.reserve(call, batch=True)] = call
        except ReservationRefused as refusal:
            # What the budget does not cover, or others are about, is left to the ordinary way.
            if not refusal.taken:
                break
        except AlreadyScored:
            continue
    return calls


@dataclass
class _Looks:
    """What the looks of this life at its batches showed.

    `unknown` counts those in a row that did not find the batch; `lost` are calls given up.
    """

    lost: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    unknown: Counter[str] = field(default_factory=Counter)


def collect(desk: ScoringSession, papers: Sequence[Paper], limits: ScoringLimits) -> bool:
    """Wait for the batches of this desk and store what they say. False when calls were given up.

    Raises ScoringFailed, Stopped.

    One that is given up is cancelled and waited for nevertheless: until it has ended nobody knows
    what of it is paid for. One that stays unknown to the other side is waited for no longer: what
    is reserved for it may have been billed, and its papers are bought now.
    """
    by_id = {paper.id: paper for paper in papers}
    looks = _Looks()
    while waiting := [call for call in desk.in_batches() if _ours(call, by_id)]:
        now = desk.clock()
        hurry = _in_a_hurry(limits, now)
        named = _named(desk, waiting, looks, now, hurry=hurry)
        for batch_id in sorted({call.batch_id for call in named}):
            calls = [call for call in named if call.batch_id == batch_id]
            batch = _look(desk, calls, looks, now)
            if batch is not None and batch.ended:
                _store(desk, calls, by_id, batch, looks)
            elif batch is not None and hurry and batch_id not in looks.cancelled:
                with suppress(ScorerError):
                    _batcher(desk).cancel(batch_id, now)
                    looks.cancelled.add(batch_id)
        if (limits.deadline and now >= limits.deadline) or not desk.in_batches():
            break
        if limits.stop.wait(limits.batch_pause):
            raise Stopped(STOPPED)
    return not looks.lost


def _named(
    desk: ScoringSession, waiting: list[BatchedCall], looks: _Looks, now: datetime, *, hurry: bool
) -> list[BatchedCall]:
    """The calls whose batch is known.

    The life of others ended between handing over and learning the name: their batch is looked for.
    Those that another living process hands over now are left to it.
    """
    nameless = [
        call for call in waiting if call.batch_id == SUBMITTING and not _on_its_way(call, now)
    ]
    named = [call for call in waiting if call.batch_id != SUBMITTING]
    if not nameless:
        return named
    ids = [call.call_id for call in nameless]
    since = min(call.since for call in nameless)
    try:
        found = _batcher(desk).find(ids, since, desk.batches(since - A_DAY))
    except ScorerError as error:
        _unless_fatal(error)
        return named
    if found.batch_id:
        desk.submitted(ids, found.batch_id)
        return named + [replace(call, batch_id=found.batch_id) for call in nameless]
    if found.perhaps:
        # It can't be cancelled either: it may be somebody else's.
        if hurry and now - since >= UNKNOWN_FOR:
            _lose(desk, looks, ids, "a batch that may be theirs has not ended")
        return named
    # The list may be as late as the batch itself.
    looks.unknown[SUBMITTING] += 1
    if looks.unknown[SUBMITTING] >= UNKNOWN_LOOKS:
        desk.free(ids, "never submitted")
    return named


def _on_its_way(call: BatchedCall, now: datetime) -> bool:
    others = call.owner != process.process_id() and not process.is_dead(call.owner)
    return others and now < call.since + LEASE


def _look(
    desk: ScoringSession, calls: list[BatchedCall], looks: _Looks, now: datetime
) -> ScoringBatch | None:
    """None when the other side is busy, or does not know the batch (yet)."""
    batch_id, ids = calls[0].batch_id, [call.call_id for call in calls]
    try:
        batch = _batcher(desk).collect(batch_id, {call.call_id: call.model for call in calls}, now)
    except ScorerError as error:
        if error.failure is not CallFailure.GONE:
            _unless_fatal(error)
            return None
        looks.unknown[batch_id] += 1
        old = now - min(call.since for call in calls) >= UNKNOWN_FOR
        if old and looks.unknown[batch_id] >= UNKNOWN_LOOKS:
            _lose(desk, looks, ids, str(error))
        return None
    looks.unknown[batch_id] = 0
    return batch


def _unless_fatal(error: ScorerError) -> None:
    """Where the other side is only busy it is asked again at the next look."""
    if error.failure in STOPS:
        raise ScoringFailed(str(error)) from error


def _lose(desk: ScoringSession, looks: _Looks, ids: list[str], reason: str) -> None:
    """Give calls up that may have been billed: their upper bounds stay reserved."""
    log.warning(
        "%d calls of a batch are given up, and their papers bought now: %s", len(ids), reason
    )
    desk.lose(ids, reason)
    looks.lost.update(ids)


def _store(
    desk: ScoringSession,
    calls: list[BatchedCall],
    by_id: dict[str, Paper],
    batch: ScoringBatch,
    looks: _Looks,
) -> None:
    unmentioned = [call.call_id for call in calls if call.call_id not in batch.answers]
    if unmentioned:
        _lose(desk, looks, unmentioned, "the batch has ended without a word about them")
    for call in calls:
        if call.call_id in unmentioned:
            continue
        answer = batch.answers[call.call_id]
        if answer is None:
            desk.free([call.call_id], "not answered by the batch")
            continue
        request = desk.as_asked(call.papers, by_id, call.reading)
        with suppress(ScorerError):
            desk.store_answer(request, call.model, call.call_id, answer, trusting=False)


def _ours(call: BatchedCall, by_id: dict[str, Paper]) -> bool:
    return all(paper_id in by_id for paper_id in call.papers.values())


def _until(limits: ScoringLimits) -> datetime | None:
    """When the scores have to be there; None where nobody said. `batch` means however late."""
    wanted_by = limits.wanted_by if limits.mode == "auto" else None
    return min((by for by in (wanted_by, limits.deadline) if by), default=None)


def _in_a_hurry(limits: ScoringLimits, now: datetime) -> bool:
    by = _until(limits)
    # Where nobody said by when, whoever asks in `auto` waits for the scores now.
    if by is None:
        return limits.mode != "batch"
    return limits.mode == "now" or now >= by - BEFORE_DEADLINE


def _batcher(desk: ScoringSession) -> BatchScorer:
    if desk.scorer.batcher is None:
        message = f"{desk.scorer.name} has calls in a batch but takes none"
        raise ScoringFailed(message)
    return desk.scorer.batcher
