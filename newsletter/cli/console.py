"""Terminal output: progress, tables, JSON.

All output of commands passes here and is cleaned here: names, senders and titles may contain
terminal control sequences.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from rich.box import HEAVY_HEAD
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from newsletter.domain.sanitize import INVISIBLE, clean
from newsletter.errors import OperatorError

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Sequence

    from rich.console import ConsoleOptions, RenderableType, RenderResult
    from rich.progress import Progress
    from rich.style import Style

STEPS = 4
"""Without a terminal, a stage prints a line for each quarter."""


BORDER = 3
"""Between two columns of a table."""
WIDE = 160
"""Width without a terminal."""


class Screen(Console):
    """A console that obeys its own styles only, never control sequences in a text."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        for piece in super().render(renderable, options):
            yield piece if piece.control else piece._replace(text=clean(piece.text))


def screen(*, errors: bool = False) -> Console:
    """Standard output (or error) for people; text is never parsed as markup."""
    made = Screen(stderr=errors, soft_wrap=True, markup=False, emoji=False, highlight=False)
    if not made.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        made.width = WIDE
    return made


def say(what: RenderableType) -> None:
    """Print text or a table to standard output, for people."""
    screen().print(what)


def note(text: str) -> None:
    """Print to standard error, for people, beside an output that a program may read."""
    screen(errors=True).print(text)


class ProgressLines:
    """Progress as plain lines, for logs and pipes: one line for each quarter."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: dict[str, int] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        quarter = STEPS * done // total if total else 0
        if self._last.get(stage) == quarter:
            return
        self._last[stage] = quarter
        amount = f" {done} of {total}" if total else ""
        self._console.print(f"{stage}{amount}")


class ProgressBars:
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
def progress(console: Console) -> Iterator[ProgressLines | ProgressBars]:
    """A callable (stage, done, total): bars on a terminal, plain lines elsewhere."""
    if not console.is_terminal:
        yield ProgressLines(console)
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bars:
        yield ProgressBars(bars)


@dataclass(frozen=True, slots=True)
class RecordTable:
    """Records as a table, or one block for each record on a narrow terminal.

    No word is split, so that addresses and slugs can be copied. Cells are text, never markup.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[object]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = [
            [Text(heading), *(_cell(row[place]) for row in self.rows)]
            for place, heading in enumerate(self.headings)
        ]
        narrowest = [*map(_narrowest, columns)]
        room = options.max_width - BORDER * (len(columns) - 1)
        if sum(narrowest) <= room:
            yield from self._lines(console, options, columns, _widths(columns, narrowest, room))
        else:
            yield from self._blocks()

    def _lines(
        self,
        console: Console,
        options: ConsoleOptions,
        columns: Sequence[Sequence[Text]],
        widths: Sequence[int],
    ) -> RenderResult:
        """The table line by line: rich's own would take 0.6 ms of processor for each row.

        Numbers are right-aligned.
        """
        form = HEAVY_HEAD.substitute(options)
        right = [self._is_number(place) for place in range(len(columns))]
        heading, *rows = zip(*columns, strict=True)
        if self.title:
            yield Text(self.title, style="table.title")
        style = console.get_style("table.header")
        for line in _row_lines(console, heading, widths, right):
            yield from _styled(line, f" {form.head_vertical} ", style)
        rules = (form.head_row_horizontal * width for width in widths)
        bar = f"{form.head_row_horizontal}{form.head_row_cross}{form.head_row_horizontal}"
        yield Segment(f"{bar.join(rules)}\n")
        for row in rows:
            for line in _row_lines(console, row, widths, right):
                yield Segment(f"{f' {form.mid_vertical} '.join(line)}\n")

    def _is_number(self, place: int) -> bool:
        return bool(self.rows) and all(isinstance(row[place], int | float) for row in self.rows)

    def _blocks(self) -> Iterator[Text]:
        wide = max(map(cell_len, self.headings), default=0)
        if self.title:
            yield Text(self.title, style="table.title")
        for number, row in enumerate(self.rows):
            if number:
                yield Text("")
            for heading, value in zip(self.headings, row, strict=True):
                space = " " * (wide - cell_len(heading))
                line = Text.assemble((heading, "table.header"), f"{space}  ", _cell(value))
                line.no_wrap, line.overflow = True, "ignore"
                yield line


def table(title: str, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> RecordTable:
    return RecordTable(title, headings, rows)


def _narrowest(cells: Sequence[Text]) -> int:
    """Minimum width of a column: its longest word."""
    words = (word for cell in cells for word in cell.plain.split())
    return max(map(cell_len, words), default=0)


def _widths(columns: Sequence[Sequence[Text]], narrowest: Sequence[int], room: int) -> list[int]:
    """Width of each column: its longest cell; the widest are narrowed until all have room."""
    widths = [max(cell.cell_len for cell in column) for column in columns]
    while sum(widths) > room:
        widest = max(
            (place for place in range(len(widths)) if widths[place] > narrowest[place]),
            key=widths.__getitem__,
        )
        widths[widest] -= 1
    return widths


def _row_lines(
    console: Console, cells: Sequence[Text], widths: Sequence[int], right: Sequence[bool]
) -> Iterator[list[str]]:
    """The lines of a row, each with its cells padded to the widths."""
    wrapped = [
        [cell.plain]
        if cell.cell_len <= width and "\n" not in cell.plain
        else [line.plain.rstrip() for line in cell.wrap(console, width)]
        for cell, width in zip(cells, widths, strict=True)
    ]
    for line in zip_longest(*wrapped, fillvalue=""):
        yield [
            f"{' ' * (width - cell_len(text))}{text}" if figures else set_cell_size(text, width)
            for text, width, figures in zip(line, widths, right, strict=True)
        ]


def _styled(line: Sequence[str], between: str, style: Style) -> Iterator[Segment]:
    for place, text in enumerate(line):
        yield Segment(between if place else "")
        yield Segment(text, style)
    yield Segment.line()


def confirm(question: str) -> None:
    """Go on only after a yes on standard input. Raises OperatorError."""
    screen(errors=True).print(f"{question} [y/N]", end=" ")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        message = "nothing was changed; answer y, or use --yes"
        raise OperatorError(message)


def print_json(value: object) -> None:
    # An output that is not UTF-8 would get other escapes than JSON's.
    ascii_only = not sys.stdout.encoding.lower().startswith("utf")
    text = json.dumps(value, indent=2, ensure_ascii=ascii_only)
    # JSON escapes only some control characters; escaping the others keeps the meaning.
    print(INVISIBLE.sub(_escaped, text))  # noqa: T201 - for a program to read


def print_raw(text: str) -> None:
    """Text for a file or a pipe, in UTF-8 whatever the terminal's encoding; a terminal gets it
    cleaned.
    """
    sys.stdout.buffer.write((clean(text) if sys.stdout.isatty() else text).encode())
    sys.stdout.flush()


def _escaped(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


def _cell(value: object) -> Text:
    """A `str` would be read as markup by any console that has it on; a `Text` never is."""
    return Text(f"{value:,}" if isinstance(value, int) else clean(str(value)))
