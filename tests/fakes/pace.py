"""Hold answers of a stand-in back until kills, cuts or signals have come, at any speed."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass
class Pace:
    """Holds answers back, so that the work is not done before its kills and incidents.

    After the event number `first` each event lets out its share of `answers`; from number `last`
    on nothing is held back.
    """

    first: int
    last: int
    answers: int
    patience: float
    events: int = 0
    let_out: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def count(self, events: int) -> None:
        """Take notice of how many events there have been."""
        with self.changed:
            self.events = events
            self.changed.notify_all()

    def wait_for_turn(self) -> bool:
        """Wait until one more answer may go out; False where it has waited too long."""
        with self.changed:
            came = self.changed.wait_for(self._is_due, self.patience)
            self.let_out += came
            return came

    def _is_due(self) -> bool:
        share = (self.events - self.first) / max(1, self.last - self.first)
        return self.events >= self.last or self.let_out < self.answers * share


def hold_after(answers: int, patience: float = 15.0) -> Pace:
    """Hold all answers but the first ones back until one event; clients wait longer for them."""
    return Pace(-1, 1, 2 * answers, patience)
