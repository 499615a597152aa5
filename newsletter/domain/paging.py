"""Pages of a long list: what one statement or one request may hold is limited (pure)."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")

PAGE = 500
"""Ids or rows in one statement: SQLite limits its parameters to 32,766, old releases to 999."""


def paged(items: Iterable[T], size: int = PAGE) -> Iterator[list[T]]:
    """The items in order, `size` at a time."""
    rest = iter(items)
    while page := list(islice(rest, size)):
        yield page
