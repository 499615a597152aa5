"""What a morning works with."""

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
    from newsletter.mailers import BatchMailer, Mailer, SuppressionLists
    from newsletter.mailers.imap import ImapMailbox
    from newsletter.render import Renderer
    from newsletter.scorers import Scorer
    from newsletter.settings import Settings
    from newsletter.sources import PaperSource
    from newsletter.store import Store
    from newsletter.store.tasks import Task, TaskResult

    RunTask = Callable[[Task], TaskResult]
    """Does one unit. Raises nothing but Stopped."""


@dataclass(frozen=True, slots=True)
class App:
    """Made in `bootstrap.py` from the settings; `stop` is set when somebody asks us to end."""

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
    lists: SuppressionLists | None = None
    groups: BatchMailer | None = None
    stop: threading.Event = field(default_factory=threading.Event)


def no_progress(_stage: str, _done: int, _total: int) -> None:
    """For work that nobody watches."""


class Engine(Protocol):
    def run(
        self, wanted: Sequence[Task], do: RunTask, report: StageProgress, stop: threading.Event
    ) -> list[TaskResult]:
        """What became of each unit, in their order, once all have ended. Raises Stopped."""

    def working(
        self, do: RunTask, stop: threading.Event, name: str
    ) -> AbstractContextManager[None]:
        """Meanwhile this process does units that it or others placed. Raises Trouble.

        No two workers have the same `name`. In the end `stop` is set, and what is under way is
        ended or handed back.
        """

    def tidy(self, now: datetime) -> None:
        """Forget what has long ended."""
