"""The rubric files of a folder, as they are now. A faulty file affects its own readers only.

`reread` looks at the folder again: files with the same modification time and size are not opened.
It is called at the beginning of each run and for each page, so that a new or corrected file needs
no restart.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from newsletter.domain.reader_rubrics import is_reader_rubric
from newsletter.errors import file_error
from newsletter.rubrics.file import RubricError, load

if TYPE_CHECKING:
    from collections.abc import ItemsView, Iterable, Iterator, ValuesView
    from pathlib import Path

    from newsletter.domain.model import Rubric

    Stamp = tuple[int, int, int]

MAX_SHOWN = 3


@dataclass(frozen=True, slots=True)
class _File:
    """What a file held when it was read: a rubric, or what is wrong with it."""

    stamp: Stamp | None
    rubric: Rubric | None = None
    faults: tuple[str, ...] = ()


class RubricSource(Mapping[str, "Rubric"]):
    """Rubrics by slug, from a place where they may change."""

    def __init__(self) -> None:
        self._rubrics: dict[str, Rubric] = {}
        self._lock = threading.Lock()

    @abstractmethod
    def reread(self) -> None:
        """Look again whether they changed."""

    @property
    @abstractmethod
    def faults(self) -> dict[str, tuple[str, ...]]:
        """What is wrong with rubrics that are not among these, by slug."""

    @property
    @abstractmethod
    def of_operator(self) -> RubricFolder:
        """The rubric files alone, without what readers wrote."""

    def __getitem__(self, slug: str) -> Rubric:
        return self._rubrics[slug]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rubrics)

    def __len__(self) -> int:
        return len(self._rubrics)

    # The views of Mapping ask for each slug anew, and it may be gone by then.
    def values(self) -> ValuesView[Rubric]:
        return self._rubrics.values()

    def items(self) -> ItemsView[str, Rubric]:
        return self._rubrics.items()


class RubricFolder(RubricSource):
    """The rubrics that can be read, by slug; `faults` are what is wrong with the other files."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self._files: dict[Path, _File] = {}
        self.reread()

    @property
    def faults(self) -> dict[str, tuple[str, ...]]:
        """By slug, each fault with its file and line."""
        return {path.stem: file.faults for path, file in self._files.items() if file.faults}

    @property
    def of_operator(self) -> RubricFolder:
        return self

    def reread(self) -> None:
        """Look at the folder again; it may be gone, and then it holds nothing."""
        with self._lock:
            known = self._files
            files: dict[Path, _File] = {}
            for path in _paths(self.folder):
                stamp = _stamp(path)
                before = known.get(path)
                files[path] = before if before and before.stamp == stamp else _read(path, stamp)
            # Replaced, not changed in place: another thread may iterate over the former values.
            self._files = files
            self._rubrics = {path.stem: file.rubric for path, file in files.items() if file.rubric}

    def require_any(self) -> None:
        """Raises RubricError for a folder without a rubric file, good or bad."""
        if not self._files:
            raise RubricError([no_rubric(self.folder)])


def no_rubric(folder: Path) -> str:
    try:
        next(folder.iterdir(), None)
    except FileNotFoundError:
        pass
    except OSError as error:
        return f"cannot read {file_error(error)}; set NEWSLETTER_RUBRICS_DIR to a readable folder"
    return (
        f"{folder}: no rubric (*.md) here; `newsletter init` writes one, "
        "or set NEWSLETTER_RUBRICS_DIR"
    )


def reread(rubrics: Mapping[str, Rubric]) -> None:
    """Read changed rubrics again; a mapping that comes from no folder stays as it is."""
    if isinstance(rubrics, RubricSource):
        rubrics.reread()


def of_operator(rubrics: Mapping[str, Rubric]) -> Mapping[str, Rubric]:
    """These without the rubrics that readers wrote."""
    return rubrics.of_operator if isinstance(rubrics, RubricSource) else rubrics


def faults_of(rubrics: Mapping[str, Rubric]) -> Mapping[str, tuple[str, ...]]:
    """What is wrong with rubrics that are not among these, by slug."""
    return rubrics.faults if isinstance(rubrics, RubricSource) else {}


def without_file(rubrics: Mapping[str, Rubric], slugs: Iterable[str]) -> list[str]:
    """The operator's slugs without a file; none if the rubrics come from no folder."""
    if not isinstance(rubrics, RubricSource):
        return []
    lacking = set(slugs) - rubrics.keys() - rubrics.faults.keys()
    return sorted(slug for slug in lacking if not is_reader_rubric(slug))


def why_missing(rubrics: Mapping[str, Rubric], slug: str) -> str:
    """Why there is no rubric of this name: what is wrong with its file, or that there is none."""
    if faults := faults_of(rubrics).get(slug):
        more = len(faults) - MAX_SHOWN
        shown = "; ".join(faults[:MAX_SHOWN])
        return f"{shown}; and {more} more" if more > 0 else shown
    if is_reader_rubric(slug):
        return f"the reader rubric {slug} is paused, deleted or turned off"
    where = f" in {rubrics.of_operator.folder}" if isinstance(rubrics, RubricSource) else ""
    return f"{slug}.md is not there{where}"


def _paths(folder: Path) -> list[Path]:
    """The files that should be rubrics. Dot files are those of editors and file managers."""
    try:
        found = [path for path in folder.iterdir() if path.suffix == ".md"]
    except OSError:
        return []
    return sorted(p for p in found if p.stem.lower() != "readme" and not p.name.startswith("."))


def _stamp(path: Path) -> Stamp | None:
    try:
        seen = path.stat()
    except OSError:
        return None
    return (seen.st_mtime_ns, seen.st_size, seen.st_ino)


def _read(path: Path, stamp: Stamp | None) -> _File:
    try:
        return _File(stamp, load(path))
    except RubricError as error:
        return _File(stamp, faults=error.faults)
