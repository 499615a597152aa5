"""Batch API passes: half the price, answers after up to a day.

A batch outlives the process: batches of an earlier process are collected first. Calls that a batch
leaves errored, expired or open are made individually afterwards.
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
from newsletter.scoring.executor import FATAL_FAILURES, STOPPED, ScoringFailed
from newsletter.scoring.session import LEASE, AlreadyScored
from newsletter.store import leases
from newsletter.store.ledger import SUBMITTING, ReservationRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from newsletter.domain.model import Paper
    from newsletter.scorers import BatchScorer, ScoringBatch, ScoringCall, ScoringRequest
    from newsletter.scoring.executor import ScoringLimits
    from newsletter.scoring.session import ScoringSession
    from newsletter.store.ledger import BatchedCall

log = logging.getLogger(__name__)

CANCEL_BEFORE = timedelta(minutes=20)
"""A batch is cancelled this long before the scores are needed; the rest is called directly."""
DIRECT_TIME = timedelta(minutes=7)
"""How long all direct calls of a rubric with 550 papers take, one after the other, at 100 output
tokens a second (`python -m bench scoring`)."""
MIN_BATCH_TIME = timedelta(minutes=50)
"""A batch of each pass needs this time to be worth a try: most end within an hour."""
SEARCH_BACK = timedelta(days=1)
"""How far before the calls the ledger is searched for other batches."""
UNKNOWN_GRACE = timedelta(minutes=3)
"""A new batch may be unknown to the provider for this long."""
MAX_UNKNOWN_POLLS = 2
"""Consecutive polls that must not find a batch before it counts as gone."""


def should_use(
    limits: ScoringLimits,
    batcher: BatchScorer | None,
    rubrics: int,
    now: datetime,
    *,
    passes: int = 2,
) -> bool:
    """Whether the calls of this run should use the Batch API; `passes` are those to come."""
    if batcher is None or limits.mode == "now":
        return False
    if limits.mode == "batch":
        return True
    by = _needed_by(limits)
    needed = passes * MIN_BATCH_TIME + cancel_before(limits, rubrics)
    return by is not None and by - now >= needed


def cancel_before(limits: ScoringLimits, rubrics: int) -> timedelta:
    """How long before the scores are needed a batch is cancelled: the time that all direct calls
    of the rubrics take, should it have answered none.
    """
    return max(CANCEL_BEFORE, rubrics * DIRECT_TIME / limits.concurrency)


def submit(session: ScoringSession, requests: Sequence[ScoringRequest]) -> None:
    """Reserve at half the upper bound and submit a batch. Raises ScoringFailed."""
    calls = _reserve_all(session, requests)
    if not calls:
        return
    try:
        batch_id = _batcher(session).submit(calls)
    except ScorerError as error:
        # A batch that may have arrived stays reserved; `collect` searches for it.
        if error.failure is not CallFailure.LOST:
            session.release_calls(list(calls), str(error))
        _raise_if_fatal(error)
        return
    session.set_batch_id(list(calls), batch_id)


def _reserve_all(
    session: ScoringSession, requests: Sequence[ScoringRequest]
) -> dict[str, ScoringCall]:
    calls: dict[str, ScoringCall] = {}
    for request in requests:
        whole = session.scorer.call(replace(request, cache_for_an_hour=True), session.clock())
        call = replace(whole, upper_nanos=-(-whole.upper_nanos // 2))
        try:
            calls[session.reserve(call, batch=True)] = call
        except ReservationRefused as refusal:
            # Beyond the budget, or in flight elsewhere: these papers are called directly later.
            if not refusal.taken:
                break
        except AlreadyScored:
            continue
    return calls


@dataclass
class _BatchPolls:
    """Results of polling in this process.

    `unknown` counts consecutive polls that did not find a batch; `lost` are calls given up.
    """

    lost: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    unknown: Counter[str] = field(default_factory=Counter)


@dataclass
class Collection:
    """A session whose batches are waited for, and what polling has shown so far."""

    session: ScoringSession
    papers: Sequence[Paper]
    polls: _BatchPolls = field(default_factory=_BatchPolls)

    def poll(self, now: datetime, *, urgent: bool) -> bool:
        """Poll once and store what has ended. Returns whether calls are still in a batch."""
        waiting, by_id = self._waiting()
        identified = _identified(self.session, waiting, self.polls, now, urgent=urgent)
        for batch_id in sorted({call.batch_id for call in identified}):
            calls = [call for call in identified if call.batch_id == batch_id]
            batch = _poll(self.session, calls, self.polls, now)
            if batch is not None and batch.ended:
                _store_answers(self.session, calls, by_id, batch, self.polls)
            elif batch is not None and urgent and batch_id not in self.polls.cancelled:
                with suppress(ScorerError):
                    _batcher(self.session).cancel(batch_id, now)
                    self.polls.cancelled.add(batch_id)
        return bool(self._waiting()[0])

    def _waiting(self) -> tuple[list[BatchedCall], dict[str, Paper]]:
        """The calls in batches about papers of this day, and their papers by id.

        A chunk that rubrics share may hold papers that are not this rubric's.
        """
        own = {paper.id for paper in self.papers}
        calls = [call for call in self.session.batched_calls() if own & set(call.papers.values())]
        asked = {paper_id for call in calls for paper_id in call.papers.values()}
        by_id = self.session.find_papers(asked, self.papers)
        return [call for call in calls if by_id.keys() >= set(call.papers.values())], by_id


def collect(
    collections: Sequence[Collection], limits: ScoringLimits, clock: Callable[[], datetime]
) -> bool:
    """Wait for the batches and store their answers. False when calls were given up.

    Raises ScoringFailed, Stopped.

    One session is polled after the other, until its batches have ended: theirs end at about the
    same time. Only urgent ones are all polled, and so cancelled, at once. A cancelled batch is
    still waited for: only its results show which calls were billed. A batch that stays unknown to
    the provider is given up: its calls may have been billed, so their upper bounds stay reserved,
    and its papers are called directly.
    """
    waiting = list(collections)
    while waiting:
        now = clock()
        urgent = _is_urgent(limits, len(collections), now)
        for one in list(waiting):
            if not one.poll(now, urgent=urgent):
                waiting.remove(one)
            elif not urgent:
                break
        if not waiting or (limits.deadline and now >= limits.deadline):
            break
        if limits.stop.wait(limits.batch_poll_seconds):
            raise Stopped(STOPPED)
    return not any(one.polls.lost for one in collections)


def _identified(
    session: ScoringSession,
    waiting: list[BatchedCall],
    polls: _BatchPolls,
    now: datetime,
    *,
    urgent: bool,
) -> list[BatchedCall]:
    """The calls whose batch id is known.

    Where a process died between submitting a batch and storing its id, the batch is searched for.
    Calls that another running process is submitting are left to it.
    """
    unidentified = [call for call in waiting if call.batch_id == SUBMITTING]
    if unidentified:
        theirs = _being_submitted(session, unidentified, now)
        unidentified = [call for call in unidentified if call.call_id not in theirs]
    identified = [call for call in waiting if call.batch_id != SUBMITTING]
    if not unidentified:
        return identified
    batch_id = _find_batch(session, unidentified, polls, now, urgent=urgent)
    found = unidentified if batch_id else []
    return identified + [replace(call, batch_id=batch_id) for call in found]


def _find_batch(
    session: ScoringSession,
    calls: list[BatchedCall],
    polls: _BatchPolls,
    now: datetime,
    *,
    urgent: bool,
) -> str:
    """Search the provider's batches for these calls. Returns the batch id, or an empty string.

    Calls that no batch can hold are freed; when the scores are urgent, calls that a running batch
    may hold are given up.
    """
    ids = [call.call_id for call in calls]
    since = min(call.since for call in calls)
    try:
        found = _batcher(session).find(ids, since, session.known_batch_ids(since - SEARCH_BACK))
    except ScorerError as error:
        _raise_if_fatal(error)
        return ""
    if found.batch_id:
        session.set_batch_id(ids, found.batch_id)
        return found.batch_id
    if found.maybe_running:
        # It can't be cancelled: it may belong to another installation.
        if urgent and now - since >= UNKNOWN_GRACE:
            _give_up_calls(session, polls, ids, "a batch that may hold them has not ended")
        return ""
    # The provider's batch list may lag as well.
    polls.unknown[SUBMITTING] += 1
    if polls.unknown[SUBMITTING] >= MAX_UNKNOWN_POLLS:
        session.release_calls(ids, "never submitted")
    return ""


def _being_submitted(
    session: ScoringSession, waiting: list[BatchedCall], now: datetime
) -> set[str]:
    """Ids of the calls that another living process is submitting."""
    with session.store.read() as tx:
        is_dead = leases.dead_owner_test(tx, now)
    return {
        call.call_id
        for call in waiting
        if call.owner != process.process_id()
        and now < call.since + LEASE
        and not is_dead(call.owner)
    }


def _poll(
    session: ScoringSession, calls: list[BatchedCall], polls: _BatchPolls, now: datetime
) -> ScoringBatch | None:
    """Poll a batch. None when the provider is busy or does not know the batch (yet)."""
    batch_id, ids = calls[0].batch_id, [call.call_id for call in calls]
    try:
        batch = _batcher(session).collect(
            batch_id, {call.call_id: call.model for call in calls}, now
        )
    except ScorerError as error:
        if error.failure is not CallFailure.GONE:
            _raise_if_fatal(error)
            return None
        polls.unknown[batch_id] += 1
        old = now - min(call.since for call in calls) >= UNKNOWN_GRACE
        if old and polls.unknown[batch_id] >= MAX_UNKNOWN_POLLS:
            _give_up_calls(session, polls, ids, str(error))
        return None
    polls.unknown[batch_id] = 0
    return batch


def _raise_if_fatal(error: ScorerError) -> None:
    """Raise ScoringFailed for fatal failures; others are retried at the next poll."""
    if error.failure in FATAL_FAILURES:
        raise ScoringFailed(str(error)) from error


def _give_up_calls(
    session: ScoringSession, polls: _BatchPolls, ids: list[str], reason: str
) -> None:
    """Give calls up that may have been billed: their upper bounds stay reserved."""
    log.warning(
        "%d calls of a batch given up; their papers get direct calls: %s",
        len(ids),
        reason,
    )
    session.mark_lost(ids, reason)
    polls.lost.update(ids)


def _store_answers(
    session: ScoringSession,
    calls: list[BatchedCall],
    by_id: dict[str, Paper],
    batch: ScoringBatch,
    polls: _BatchPolls,
) -> None:
    unmentioned = [call.call_id for call in calls if call.call_id not in batch.answers]
    if unmentioned:
        _give_up_calls(session, polls, unmentioned, "the batch has ended without results for them")
    for call in calls:
        if call.call_id in unmentioned:
            continue
        answer = batch.answers[call.call_id]
        if answer is None:
            session.release_calls([call.call_id], "not answered by the batch")
            continue
        request = session.rebuild_request(call.papers, by_id, call.reading)
        with suppress(ScorerError):
            session.store_answer(request, call.model, call.call_id, answer, keep_doubtful=False)


def _needed_by(limits: ScoringLimits) -> datetime | None:
    """When the scores are needed; None without a time. Mode `batch` ignores `wanted_by`."""
    wanted_by = limits.wanted_by if limits.mode == "auto" else None
    return min((by for by in (wanted_by, limits.deadline) if by), default=None)


def _is_urgent(limits: ScoringLimits, rubrics: int, now: datetime) -> bool:
    by = _needed_by(limits)
    # Without a time, mode `auto` needs the scores now.
    if by is None:
        return limits.mode != "batch"
    return limits.mode == "now" or now >= by - cancel_before(limits, rubrics)


def _batcher(session: ScoringSession) -> BatchScorer:
    if session.scorer.batcher is None:
        message = f"{session.scorer.name} has calls in a batch but takes none"
        raise ScoringFailed(message)
    return session.scorer.batcher
