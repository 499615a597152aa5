"""Read and write subscribers.csv (pure). All faults are reported at once, each with its line."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from newsletter.domain.addresses import canonical
from newsletter.domain.csv_header import COLUMNS, REQUIRED, Columns, Header, is_former, read_header
from newsletter.domain.mail import WEEKDAYS, Format
from newsletter.domain.preferences import CHECKS
from newsletter.domain.reader_rubrics import is_reader_rubric
from newsletter.domain.subscriber_import import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from datetime import time

    from newsletter.domain.mail import Subscription

OF_ADDRESS = ("timezone", "send_at")
"""Columns that must be equal in all rows of an address."""
OWN = ("email", "name")
"""Columns whose values rarely repeat: they are not cached."""
# Excel's own first line, which names the delimiter and is no record.
DELIMITER_LINE = re.compile(r"\"?sep=([^\w\s\"]|\t)\"?[ \t]*(?:\r\n|\r|\n|\Z)", re.IGNORECASE)
# A spreadsheet runs a cell that begins so as a formula; `|` starts a command in old Excel. In some
# languages it takes wide signs as well, and a semicolon for the end of a cell.
FORMULA = re.compile(r"(^|;\s*)('*[=+\-@\t\r|\uff1d\uff0b\uff0d\uff20])")
GUARD = re.compile(r"(^|;\s*)'('*[=+\-@\t\r|\uff1d\uff0b\uff0d\uff20])")


@dataclass(frozen=True, slots=True)
class SubscriberRow:
    """One row of the file. None: its cell is empty or absent."""

    line: int
    """Of the file; 0 where there is none."""
    email: str
    rubric: str
    name: str | None = None
    timezone: str | None = None
    send_at: time | None = None
    days: tuple[str, ...] | None = None
    max_papers: int | None = None
    format: Format | None = None


@dataclass(frozen=True, slots=True)
class RowFault:
    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


@dataclass(frozen=True, slots=True)
class SubscriberFile:
    """The valid rows of a file, and the faults of the others."""

    rows: tuple[SubscriberRow, ...] = ()
    faults: tuple[RowFault, ...] = ()


@dataclass
class _Reader:
    known_rubrics: Collection[str]
    rows: list[SubscriberRow] = field(default_factory=list)
    faults: list[RowFault] = field(default_factory=list)
    seen: dict[tuple[str, str], int] = field(default_factory=dict)
    """The line of each address and rubric."""
    said: dict[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)
    """Zone and hour of each address, with the line that says it first."""
    understood: dict[tuple[str, str], Any] = field(default_factory=dict)
    """Parsed values by column and text: many rows have the same zone or hour."""

    def take_record(self, line: int, cells: list[str], header: Header, rubric: str) -> None:
        """Take one record of a file with this header, or note what is wrong with it."""
        if any(cell.strip() for cell in cells[header.width :]):
            message = f"{len(cells)} values for {header.width} columns; quote what has a delimiter"
            self.faults.append(RowFault(line, message))
            return
        clean = [_unguarded(cell).strip() for cell in cells]
        clean += [""] * (header.width - len(clean))
        for column, place in header.left.items():
            if is_former(column, clean[place]):
                message = (
                    f"column '{column}' says {clean[place][:80]!r}: this person left; "
                    "take the line out, or leave it out with --skip-bad"
                )
                self.faults.append(RowFault(line, message))
                return
        values = {"rubric": rubric} if rubric else {}
        for column, places in header.places.items():
            values[column] = " ".join(clean[place] for place in places if clean[place])
        self.take(line, values)

    def take(self, line: int, cells: Mapping[str, str]) -> None:
        """Keep a row, or note everything that is wrong with it."""
        values: dict[str, Any] = {}
        known_faults = len(self.faults)
        for name, check in CHECKS.items():
            cell = cells.get(name, "").strip()
            if not cell and name not in REQUIRED:
                continue
            try:
                values[name] = self._read(name, cell, check)
            except ValueError as error:
                self.faults.append(RowFault(line, f"{name}: {error}"))
        self._rubric(line, values)
        self._once(line, values)
        if len(self.faults) == known_faults:
            self.rows.append(SubscriberRow(line, **values))

    def _read(self, name: str, cell: str, check: Callable[[str], object]) -> object:
        if name in OWN:
            return check(cell)
        if (name, cell) not in self.understood:
            self.understood[name, cell] = check(cell)
        return self.understood[name, cell]

    def _rubric(self, line: int, values: dict[str, Any]) -> None:
        slug = values.get("rubric", "")
        if is_reader_rubric(slug):
            message = f"rubric: {slug!r} is a reader's own; only that reader has it, by the web"
            self.faults.append(RowFault(line, message))
        elif slug and slug not in self.known_rubrics:
            known = sorted(self.known_rubrics)
            near = get_close_matches(slug.lower(), known, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"known are: {', '.join(known)}"
            self.faults.append(RowFault(line, f"rubric: {slug!r} is not known; {hint}"))

    def _once(self, line: int, values: dict[str, Any]) -> None:
        """One row for each address and rubric; one zone and hour for each address."""
        if not (email := values.get("email", "")):
            return
        key, slug = canonical(email), values.get("rubric", "")
        first = self.seen.setdefault((key, slug), line)
        if first != line:
            message = f"email: {email} is on line {first} already, with the same rubric"
            self.faults.append(RowFault(line, message))
        for name in OF_ADDRESS:
            if name not in values:
                continue
            other, value = self.said.setdefault((key, name), (line, values[name]))
            if value != values[name]:
                both = f"{shown(name, values[name])} here, {shown(name, value)} on line {other}"
                message = f"{name}: {email} has {both}; an address has one for all its rubrics"
                self.faults.append(RowFault(line, message))


def read_subscribers(
    data: bytes | str, known_rubrics: Collection[str], columns: Columns | None = None
) -> SubscriberFile:
    """The rows and faults of a subscribers file: UTF-8 or UTF-16; comma, semicolon or tab.

    `columns` says what the file's own names stand for.
    """
    reader = _Reader(known_rubrics)
    told = columns or Columns()
    try:
        text = data if isinstance(data, str) else _decoded(data)
        del data
        records = _records(text.removeprefix("\ufeff"))
        header_line, first = next(records, (0, []))
        if not header_line:
            return SubscriberFile(
                faults=(RowFault(1, "the file is empty; its first line names the columns"),)
            )
        header = read_header(first, told)
        if header.faults:
            return SubscriberFile(
                faults=tuple(RowFault(header_line, message) for message in header.faults)
            )
        for line, cells in records:
            reader.take_record(line, cells, header, told.rubric)
    except _UnreadableError as error:
        reader.faults.append(error.fault)
    return SubscriberFile(tuple(reader.rows), tuple(reader.faults))


def first_line(data: bytes) -> tuple[str, ...]:
    """The names of the columns; none if the file is empty or unreadable."""
    try:
        _, cells = next(_records(_decoded(data).removeprefix("\ufeff")), (0, []))
    except _UnreadableError:
        return ()
    return tuple(cells)


def read_row(cells: Mapping[str, str], known_rubrics: Collection[str]) -> SubscriberFile:
    """The one row of what was given on a command line, by columns; or its faults."""
    reader = _Reader(known_rubrics)
    reader.take(0, cells)
    return SubscriberFile(tuple(reader.rows), tuple(reader.faults))


class _UnreadableError(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.fault = RowFault(line, message)


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _decoded_as("utf-16", data)
    return _decoded_as("utf-8", data)


def _decoded_as(encoding: str, data: bytes) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = len(f"{data[: error.start].decode(encoding)}?".splitlines())
        message = (
            f"not {encoding.upper()} (byte 0x{data[error.start]:02X}); save the file as CSV UTF-8"
        )
        raise _UnreadableError(line, message) from error


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """The records that hold anything, each with the number of its first line.

    Raises _UnreadableError at a fault of the quotes: what follows it can't be told apart.
    """
    first = next((line for line in io.StringIO(text, newline=None) if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    skipped = 0
    if named := DELIMITER_LINE.match(text):
        delimiter, skipped, text = named[1], 1, text[named.end() :]
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    start = 1 + skipped
    try:
        for cells in lines:
            if any(cell.strip() for cell in cells):
                yield start, cells
            start = lines.line_num + 1 + skipped
    except csv.Error as error:
        message = f"not readable as CSV from here: {error}; check the quotes"
        raise _UnreadableError(start, message) from error


def write_subscribers(subscribers: Iterable[Subscription]) -> str:
    """Subscribers as a file that `read_subscribers` takes, safe to open in a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for person in subscribers:
        cells = {
            "email": person.email,
            "rubric": person.rubric,
            "name": person.name,
            "timezone": person.timezone or "",
            "send_at": f"{person.send_at:%H:%M}" if person.send_at else "",
            "days": "" if person.days == WEEKDAYS else " ".join(person.days),
            "max_papers": str(person.max_papers or ""),
            "format": "" if person.format == Format.FULL else person.format.value,
        }
        writer.writerow([_guarded(cells[name]) for name in COLUMNS])
    return out.getvalue()


def _guarded(cell: str) -> str:
    return FORMULA.sub(r"\1'\2", cell)


def _unguarded(cell: str) -> str:
    return GUARD.sub(r"\1\2", cell)
