"""`App`: everything that a job, a page or a command works with."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from newsletter.domain.links import Links
    from newsletter.domain.mail import Sender
    from newsletter.domain.model import Rubric
    from newsletter.domain.progress import StageProgress
    from newsletter.domain.tasks import Task, TaskResult
    from newsletter.mailers import BatchMailer, Mailer, SuppressionLists
    from newsletter.mailers.imap import ImapMailbox
    from newsletter.render import Renderer
    from newsletter.scorers import Drafter, Scorer
    from newsletter.settings import Settings
    from newsletter.sources import PaperSource
    from newsletter.store import Store

    RunTask = Callable[[Task], TaskResult]
    """Runs one task. Raises nothing but Stopped, and StoreError in an outage."""


@dataclass(frozen=True, slots=True)
class App:
    """Built from the settings in `bootstrap.py`. `stop` is set to ask for a shutdown."""

    store: Store
    source: PaperSource
    scorer: Scorer
    mailer: Mailer
    renderer: Renderer
    links: Links
    sender: Sender
    rubrics: Mapping[str, Rubric]
    settings: Settings
    clock: Callable[[], datetime]
    engine: Engine
    mailbox: ImapMailbox | None = None
    suppression_lists: SuppressionLists | None = None
    batch_mailer: BatchMailer | None = None
    drafter: Drafter | None = None
    """None where rubrics are drafted on this machine."""
    stop: threading.Event = field(default_factory=threading.Event)


def no_progress(_stage: str, _done: int, _total: int) -> None:
    """For work without a progress display."""


class Engine(Protocol):
    """Runs tasks: in this process, or on workers that share the database."""

    def workers(self) -> int:
        """How many processes run tasks now."""

    def run(
        self, todo: Sequence[Task], handle: RunTask, report: StageProgress, stop: threading.Event
    ) -> list[TaskResult]:
        """Wait for all tasks; their results in the order of `todo`. Raises Stopped."""

    def worker(
        self, handle: RunTask, stop: threading.Event, name: str
    ) -> AbstractContextManager[None]:
        """Inside the context, this process runs queued tasks. Raises OperatorError.

        `name` is unique among the live workers. On exit `stop` is set, and running tasks are
        finished or queued again.
        """

    def delete_old_tasks(self, now: datetime) -> None:
        """Delete tasks that finished long ago."""
