"""A process that ends itself at a chosen step, as a kill at that very moment would end it."""

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
class Trap:
    """Sends this process a signal the `times`-th time it comes to `step`, once."""

    step: str = ""
    times: int = 1
    number: int = signal.SIGKILL

    def pass_by(self, step: str) -> None:
        if step == self.step:
            self.times -= 1
            if self.times <= 0:
                self.step = ""
                os.kill(os.getpid(), self.number)


class TrappedStore(Store):
    def __init__(self, url: str, trap: Trap) -> None:
        super().__init__(url)
        self.trap = trap

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        with super().begin() as tx:
            yield tx
            self.trap.pass_by("before a commit")
        self.trap.pass_by("after a commit")
