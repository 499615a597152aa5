"""All rubrics: the files of the operator's folder, and the reader rubrics of the database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from newsletter.rubrics.file import RubricError, parse
from newsletter.rubrics.folder import RubricFolder, RubricSource

if TYPE_CHECKING:
    from newsletter.domain.model import Rubric

Version = tuple[str, int]
"""Slug and version: its text never changes."""
LoadTexts = Callable[[int | None, Collection[Version]], tuple[int, Mapping[Version, str]] | None]
"""From the number of the last change seen and the known versions: the newest number, and the text
of each active version (empty if known). None if nothing changed."""


class RubricCatalog(RubricSource):
    """The rubrics of the folder, then the active reader rubrics. `of_operator` are the files alone.

    A stored text that can't be read is a fault of its rubric alone.
    """

    def __init__(self, folder: RubricFolder, load: LoadTexts) -> None:
        super().__init__()
        self._folder = folder
        self._load = load
        self._seen: int | None = None
        self._of_readers: dict[Version, Rubric | tuple[str, ...]] = {}
        self.reread()

    @property
    def of_operator(self) -> RubricFolder:
        return self._folder

    @property
    def reader_faults(self) -> dict[str, tuple[str, ...]]:
        """What is wrong with stored reader rubrics, by slug."""
        found = self._of_readers.items()
        return {slug: faults for (slug, _), faults in found if isinstance(faults, tuple)}

    @property
    def faults(self) -> dict[str, tuple[str, ...]]:
        return self._folder.faults | self.reader_faults

    def reread(self) -> None:
        """Read changed files and changed reader rubrics. Raises StoreError."""
        self._folder.reread()
        with self._lock:
            changed = self._load(self._seen, self._of_readers.keys())
            if changed is not None:
                number, texts = changed
                known = self._of_readers
                self._of_readers = {
                    version: known[version] if version in known else _parse(version, text)
                    for version, text in sorted(texts.items())
                }
                self._seen = number
            found = self._of_readers.items()
            readers = {slug: one for (slug, _), one in found if not isinstance(one, tuple)}
            self._rubrics = {**self._folder, **readers}


def _parse(version: Version, text: str) -> Rubric | tuple[str, ...]:
    slug, _ = version
    try:
        # Nothing that a reader writes makes a rubric public.
        return replace(parse(text, slug, slug), public=False)
    except RubricError as error:
        return error.faults
