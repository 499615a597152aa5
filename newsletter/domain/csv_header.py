"""Match the columns of a CSV file with ours, and report what is unclear (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING

from newsletter.domain.formatting import first_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

REQUIRED = ("email", "rubric")
COLUMNS = (*REQUIRED, "name", "timezone", "send_at", "days", "max_papers", "format")
NO_HEADER = (
    f"the file has no header: its first line has to name the columns, at least {','.join(REQUIRED)}"
)
MAX_NAMED = 30
MAX_JOINED = 2
"""Columns of a name: first and last name."""
NEAR = 0.75
"""Similarity (difflib) from which on a name is suggested for another one."""
# As Mailchimp, Ghost, Substack, listmonk, Google and Outlook call them in their exports.
OTHER_NAMES = {
    "email": (
        *("e-mail", "mail", "email address", "e-mail address", "email_address"),
        *("e-mail 1 - value", "subscriber email"),
    ),
    "name": (
        *("first name", "last name", "firstname", "lastname", "first_name", "last_name"),
        *("full name", "display name", "given name", "family name"),
    ),
    "timezone": ("time zone", "time_zone"),
}
SAYS_LEFT = {
    "status": ("blocklisted", "disabled", "unsubscribed", "cleaned", "archived", "bounced"),
    "subscription_status": ("unsubscribed",),
    "subscribed_to_emails": ("false", "no", "0"),
    "subscribed": ("false", "no", "0"),
    "email_disabled": ("true", "yes", "1"),
    "unsub_time": (),
    "clean_time": (),
    "deleted_at": (),
}
"""Columns and values by which an export says that a person left; without values: any value."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What an operator says about a file's columns.

    `theirs` has the names that the file gives to a column of ours; several of `name` are joined.
    `rubric` is that of the whole file. `ignore` leaves out the columns that are not ours.
    """

    theirs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rubric: str = ""
    ignore: bool = False


@dataclass(frozen=True, slots=True)
class Header:
    """Positions of our columns, and of those that say who left."""

    places: Mapping[str, tuple[int, ...]]
    left: Mapping[str, int]
    width: int
    faults: tuple[str, ...]


def is_header(cells: Sequence[str]) -> bool:
    """False for a first line that has an address and none of our names."""
    names = {" ".join(cell.split()).lower() for cell in cells}
    return bool({*COLUMNS} & names) or not any("@" in name for name in names)


def read_header(cells: Sequence[str], columns: Columns) -> Header:
    """The columns of a file by its first line."""
    names = [" ".join(cell.split()).lower() for cell in cells]
    if not is_header(cells):
        return Header({}, {}, len(names), (NO_HEADER,))
    ours = {
        " ".join(name.split()).lower(): column
        for column, given in columns.theirs.items()
        for name in given
    }
    places: dict[str, tuple[int, ...]] = {}
    for place, name in enumerate(names):
        column = ours.get(name, name if name not in columns.theirs else "")
        if column in COLUMNS:
            places[column] = (*places.get(column, ()), place)
    left = {name: place for place, name in enumerate(names) if name in SAYS_LEFT}
    unknown = {
        place: _meant(name)
        for place, name in enumerate(names)
        if name and name not in ours and name not in COLUMNS
    }
    faults = (
        *_unmatched(ours, names),
        *_missing(places, unknown, columns),
        *_doubled(places),
        *(() if columns.ignore else _beside(ours, names, columns)),
        *(() if columns.ignore else _unknown(cells, names, unknown)),
    )
    return Header(places, left, len(names), faults)


def suggested(cells: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The places of the cells of a first line that each column of ours may be meant by.

    An own name counts before a similar one. Only `name` may have several places, which are joined.
    """
    names = [" ".join(cell.split()).lower() for cell in cells]
    found: dict[str, tuple[int, ...]] = {}
    for column in COLUMNS:
        own = [place for place, name in enumerate(names) if name == column]
        near = [
            place
            for place, name in enumerate(names)
            if name not in COLUMNS and _meant(name) == column
        ]
        found[column] = tuple((own or near)[: MAX_JOINED if column == "name" else 1])
    return found


def is_former(column: str, cell: str) -> bool:
    """Whether this cell of an export says that the person left."""
    values = SAYS_LEFT[column]
    return bool(cell) and (not values or cell.lower() in values)


def _unmatched(ours: Mapping[str, str], names: Sequence[str]) -> Iterator[str]:
    for name, column in ours.items():
        if name not in names:
            known = ", ".join(names)
            yield f'--map {column}="{name}": the file has no such column; it has: {known}'


def _missing(
    places: Mapping[str, tuple[int, ...]], unknown: Mapping[int, str], columns: Columns
) -> Iterator[str]:
    """Required columns that are absent, and that no similar column may stand for."""
    for column in REQUIRED:
        if (
            column in places
            or column in unknown.values()
            or columns.theirs.get(column)
            or (column == "rubric" and columns.rubric)
        ):
            continue
        whole = ", or give all of them one: --rubric SLUG" if column == "rubric" else ""
        yield f"column '{column}' is missing; the first line names the columns{whole}"
    if columns.rubric and "rubric" in places:
        yield "the file has a column 'rubric', so --rubric must not be given"


def _beside(ours: Mapping[str, str], names: Sequence[str], columns: Columns) -> Iterator[str]:
    """Columns with a name of ours, where `--map` names others that are there."""
    for column in COLUMNS:
        others = [name for name in names if ours.get(name) == column]
        if column in columns.theirs and column in names and column not in ours and others:
            yield (
                f"column '{column}' is there beside '{others[0]}', which --map names; "
                "--ignore-columns leaves it out"
            )


def _doubled(places: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    for column, found in places.items():
        if len(found) > 1 and column != "name":
            yield f"column '{column}' is there twice"


def _unknown(
    cells: Sequence[str], names: Sequence[str], unknown: Mapping[int, str]
) -> Iterator[str]:
    """Faults for columns that are not ours; `unknown` is the column that each may be."""
    for place, name in enumerate(names):
        if not name:
            yield f"column {place + 1} has no name; --ignore-columns leaves it out"
        elif column := unknown.get(place):
            option = f'--map {column}="{cells[place].strip()}"'
            yield f"column '{name}' is not known; did you mean {column}? Then say {option}"
    if rest := [names[place] for place, column in unknown.items() if not column]:
        yield _not_known(rest)


def _meant(name: str) -> str:
    """Our column whose name is similar to this one; empty if there is none."""
    for column, others in OTHER_NAMES.items():
        if name in others:
            return column
    return next(iter(get_close_matches(name, COLUMNS, 1, NEAR)), "")


def _not_known(names: Sequence[str]) -> str:
    shown = first_names([f"'{name[:40]}'" for name in names], MAX_NAMED)
    one = len(names) == 1
    return (
        f"{'column' if one else 'columns'} {shown} {'is' if one else 'are'} not known; "
        f"known are: {', '.join(COLUMNS)}. An export may hold people who left: take them out "
        "first; then --ignore-columns leaves these columns out"
    )
