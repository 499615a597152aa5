"""When the morning runs: APScheduler wakes us often, and what is due is asked of the database.

    make     fetch, score and freeze what arXiv announced; a batch may take hours
    serve    mail what is frozen to those whose hour has come

Each is a job of its own: nobody's mail waits until another digest is made. A wake-up that was
slept through, came twice or late changes nothing: each asks what arXiv has announced, what of it
is not done, and whose hour has come.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from newsletter.daily import mail_digest, make_edition, owe_mail, safely, wanted
from newsletter.due import due_for
from newsletter.fetch import BatchGrowing, BatchLate
from newsletter.noting import morning
from newsletter.people import DeliveryState, Subscriber
from newsletter.stopping import Stopped
from newsletter.store import digests
from newsletter.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date

    from apscheduler.schedulers.blocking import BlockingScheduler

    from newsletter.room import Room

log = logging.getLogger(__name__)

WAKE_MINUTES = 5
ASK_AGAIN = timedelta(minutes=15)
"""Between two questions to arXiv, or to a model that failed."""
MEMORY = timedelta(days=7)
"""How far back a digest is still mailed to those who should have had it."""


class Mornings:
    """Does at each wake-up whatever is due. One instance; each of its two jobs once at a time."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._quiet_until = datetime.min.replace(tzinfo=UTC)
        self._making = threading.Lock()
        self._serving = threading.Lock()

    def make(self) -> None:
        """Make what is announced. Trouble is logged, and met again after a rest."""
        with self._alone(self._making) as may:
            if may and self._room.clock() >= self._quiet_until:
                with morning(self._room):
                    if self._lacks_newest():
                        self._make_newest()
        self.serve()

    def serve(self) -> None:
        """Mail whose hour has come, today or while we were down, of digests that are made."""
        with self._alone(self._serving) as may:
            if not may:
                return
            since = (self._room.clock() - MEMORY).date()
            with self._room.store.read() as tx:
                frozen = digests.mailable_since(tx, since)
            for digest_id, slug, day in frozen:
                _, trouble = safely(slug, partial(self._mail, digest_id, slug, day))
                if trouble:
                    log.warning("%s of %s: %s", slug, day, trouble)

    @contextmanager
    def _alone(self, lock: threading.Lock) -> Iterator[bool]:
        """Whether this job may go on now; its trouble ends here."""
        if self._room.stop.is_set() or not lock.acquire(blocking=False):
            yield False
            return
        try:
            yield True
        except Stopped:
            log.info("stopped on request")
        except Trouble as trouble:
            self._rest(str(trouble))
        finally:
            lock.release()

    def _lacks_newest(self) -> bool:
        room = self._room
        day = room.source.newest(room.clock())
        rubrics = wanted(room, None)
        with room.store.read() as tx:
            return any(day not in digests.dates(tx, rubric.slug) for rubric in rubrics)

    def _make_newest(self) -> None:
        try:
            edition = make_edition(self._room, _no_report)
        except (BatchLate, BatchGrowing) as late:
            self._rest(str(late))
            return
        for issue in edition.issues:
            if issue.trouble:
                self._rest(f"{issue.rubric.slug}: {issue.trouble}")

    def _mail(self, digest_id: int, slug: str, day: date) -> None:
        """Raises Trouble where the provider takes no mail; it is offered at the next wake-up."""
        counts = owe_mail(self._room, digest_id, slug, day, self._due())
        if not counts.get(DeliveryState.PENDING):
            return
        with self._room.store.read() as tx:
            digest = digests.by_id(tx, digest_id)
        if digest is None:
            return
        tally = mail_digest(self._room, digest_id, digest, _no_report, self._due())
        if tally.sent:
            log.info("%s of %s: %d sent", slug, day, tally.sent)
        if tally.halted_reason:
            raise Trouble(tally.halted_reason)

    def _due(self) -> Callable[[date, Subscriber], datetime | None]:
        settings = self._room.settings

        def due(day: date, reader: Subscriber) -> datetime | None:
            return due_for(day, reader, settings.zone, settings.send_at)

        return due

    def _rest(self, reason: str) -> None:
        log.warning("%s", reason)
        self._quiet_until = self._room.clock() + ASK_AGAIN


def scheduler(mornings: Mornings) -> BlockingScheduler:
    """A scheduler of both jobs of `mornings`; its `start` returns when it is shut down, or fails.

    Its jobs are in memory: what is due is in our own tables, so there is nothing to lose. A late
    wake-up is never dropped (the default drops it after one second), many late ones are one. One
    that comes while its job still runs finds the lock taken; the scheduler would warn of each.
    """
    from apscheduler.schedulers.blocking import BlockingScheduler

    made = BlockingScheduler(
        timezone=UTC,
        job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 2},
    )
    for job in (mornings.make, mornings.serve):
        made.add_job(
            job,
            "interval",
            minutes=WAKE_MINUTES,
            next_run_time=datetime.now(UTC),
            id=job.__name__,
        )
    return made


def _no_report(_stage: str, _done: int, _total: int) -> None:
    pass
