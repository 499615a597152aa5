"""What the operator sees: progress while it works, and the closing table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from newsletter.model import NANOS_PER_DOLLAR

STEPS = 4
"""A stage without a terminal prints a line for each quarter."""


class Lines:
    """Progress as plain lines, for logs and pipes: the beginning, the quarters, the end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: dict[str, int] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        quarter = STEPS * done // total if total else 0
        if self._last.get(stage) == quarter:
            return
        self._last[stage] = quarter
        amount = f" {done} of {total}" if total else ""
        self._console.print(f"{stage}{amount}", highlight=False, markup=False)


class Bars:
    """Progress as bars on a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, int] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = int(self._progress.add_task(stage, total=total or None))
        task = self._progress.tasks[self._tasks[stage]].id
        self._progress.update(task, completed=done, total=total or None)


@contextmanager
def progress(console: Console) -> Iterator[Lines | Bars]:
    """A callable (stage, done, total): bars on a terminal, plain lines elsewhere."""
    if not console.is_terminal:
        yield Lines(console)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bars:
        yield Bars(bars)


def dollars(nanos: int) -> str:
    """Nano-dollars as dollars: cents from a dime on, down to a hundredth of a cent below."""
    amount = nanos / NANOS_PER_DOLLAR
    return f"${amount:,.2f}" if amount >= 0.1 or not nanos else f"${amount:.4f}"


def table(title: str, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A table whose figures stand to the right. Cells are text, never markup."""
    made = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for place, heading in enumerate(headings):
        figures = all(isinstance(row[place], int | float) for row in rows) and rows
        made.add_column(heading, justify="right" if figures else "left", overflow="fold")
    for row in rows:
        made.add_row(*(_cell(value) for value in row))
    return made


def _cell(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return text.replace("[", r"\[")
