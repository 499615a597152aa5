"""Kill points: a process kills itself at a chosen step, as a kill at that moment would."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from newsletter.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection


@dataclass
class KillPoint:
    """Sends this process a signal the `times`-th time it comes to `step`, once."""

    step: str = ""
    times: int = 1
    number: int = signal.SIGKILL

    def reach(self, step: str) -> None:
        if step == self.step:
            self.times -= 1
            if self.times <= 0:
                self.step = ""
                os.kill(os.getpid(), self.number)


class KillPointStore(Store):
    def __init__(self, url: str, kill_point: KillPoint) -> None:
        super().__init__(url)
        self.kill_point = kill_point

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        with super().begin() as tx:
            yield tx
            self.kill_point.reach("before a commit")
        self.kill_point.reach("after a commit")
