"""What a morning works with."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from newsletter.engine import Engine, Local

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from newsletter.envelope import Sender
    from newsletter.links import Links
    from newsletter.mailbox import Mailbox
    from newsletter.mailers import GroupMailer, Lists, Mailer
    from newsletter.model import Rubric
    from newsletter.render import Renderer
    from newsletter.scorers import Scorer
    from newsletter.settings import Settings
    from newsletter.sources import PaperSource
    from newsletter.store import Store

    Report = Callable[[str, int, int], None]
    """Called with (stage, done so far, in all); in all is 0 while unknown."""


@dataclass(frozen=True, slots=True)
class Room:
    """Made in `wiring.py` from the settings; `stop` is set when somebody asks us to end."""

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
    mailbox: Mailbox | None = None
    lists: Lists | None = None
    groups: GroupMailer | None = None
    engine: Engine = field(default_factory=Local)
    stop: threading.Event = field(default_factory=threading.Event)


def no_report(_stage: str, _done: int, _total: int) -> None:
    """For work that nobody watches."""
