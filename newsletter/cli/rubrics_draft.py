"""`rubrics draft`: a first rubric out of a sentence, liked papers, or both."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from newsletter import bootstrap
from newsletter.cli.console import note, print_raw
from newsletter.domain.categories import category_fault
from newsletter.domain.formatting import dollars, plural
from newsletter.domain.rubric_draft import (
    MAX_SENTENCE,
    LibraryPaper,
    rubric_markdown,
)
from newsletter.errors import OperatorError
from newsletter.rubrics.library import (
    MAX_BYTES,
    Library,
    LibraryError,
    read_library,
)
from newsletter.scoring import liked_papers
from newsletter.scoring.drafting import (
    DraftMaterial,
    draft_upper_nanos,
    draft_with_model,
    draft_without_model,
)
from newsletter.settings import SettingsError, read_settings
from newsletter.sources import MAX_IDS, IncrementalSource
from newsletter.store import papers
from newsletter.store.ledger import Budget

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from newsletter.domain.model import Paper
    from newsletter.domain.rubric_draft import RubricDraft
    from newsletter.settings import Settings
    from newsletter.store import Store

MAX_NEWEST = 1_000
"""Stored papers that liked ones are told from, and in which an author's are looked for."""


class DraftOptions(NamedTuple):
    about: str
    files: Sequence[Path]
    author: str
    categories: Sequence[str]
    out: Path | None
    local: bool
    dry_run: bool


def show_draft(options: DraftOptions) -> int:
    """Print the draft, or write it to a new file. Raises OperatorError."""
    _check(options)
    settings = read_settings()
    store = _store(settings)
    liked = _liked(settings, store, options)
    material = DraftMaterial(" ".join(options.about.split()), liked, options.categories)
    drafter = None if options.local else bootstrap.build_drafter(settings)
    if drafter is None:
        draft = _local_draft(store, material, options.author)
    else:
        if store is None:
            message = (
                "a paid answer is stored before it is read, and there is no database yet: run "
                "newsletter migrate first, or use --local"
            )
            raise OperatorError(message)
        now = bootstrap.now()
        at_most = dollars(draft_upper_nanos(drafter, material, now))
        note(f"{drafter.name}: one call, at most {at_most}")
        if options.dry_run:
            return 0
        budget = Budget(settings.budget_nanos, settings.monthly_budget_nanos)
        draft, nanos = draft_with_model(store, drafter, material, budget, bootstrap.now)
        note(f"It cost {dollars(nanos)}." if nanos else "Its answer was stored: it cost nothing.")
    return _write(draft, options)


def _check(options: DraftOptions) -> None:
    """Raises SettingsError for options that cannot lead to a draft."""
    if not (options.about.strip() or options.files or options.author):
        message = "give --about, --from or --author: there is nothing to draft from"
        raise SettingsError(message)
    if len(options.about) > MAX_SENTENCE:
        message = f"--about: at most {MAX_SENTENCE} characters; say it in a sentence or two"
        raise SettingsError(message)
    for name in options.categories:
        if fault := category_fault(name):
            message = f"--category: {fault}"
            raise SettingsError(message)
    if options.out and options.out.exists():
        message = f"--out {options.out}: exists already; name a new file"
        raise SettingsError(message)


def _store(settings: Settings) -> Store | None:
    try:
        return bootstrap.open_store(settings)
    except bootstrap.NoDatabaseError:
        return None


def _liked(settings: Settings, store: Store | None, options: DraftOptions) -> list[LibraryPaper]:
    """The papers of the files, completed from the database and from arXiv, then the author's."""
    found: list[LibraryPaper] = []
    for file in options.files:
        library = _read(file)
        left_out = f", {library.skipped} left out" if library.skipped else ""
        note(f"{file}: {library.kind}, {plural(len(library.papers), 'paper')}{left_out}")
        found += library.papers
    known = _look_up(settings, store, liked_papers.bare_ids(found))
    liked = list(liked_papers.completed(found, known))
    if options.author:
        own = [one for one in _newest(store) if options.author in one.authors]
        note(f"{options.author}: {plural(len(own), 'paper')} of the newest {MAX_NEWEST:,} stored")
        liked += map(liked_papers.library_paper, own)
    return list(dict.fromkeys(liked))


def _read(file: Path) -> Library:
    try:
        with file.open("rb") as stream:
            return read_library(stream.read(MAX_BYTES + 1))
    except OSError as error:
        message = f"cannot read {file}: {error.strerror}"
        raise OperatorError(message) from error
    except LibraryError as error:
        message = f"{file}: {error}"
        raise OperatorError(message) from error


def _look_up(settings: Settings, store: Store | None, ids: Sequence[str]) -> dict[str, Paper]:
    """Papers by id: stored ones, then at most a hundred of arXiv."""
    found = liked_papers.stored(store, ids) if store else {}
    missing = [one for one in ids if one not in found][:MAX_IDS]
    if not missing:
        return found
    source = (
        bootstrap.build_calendar(settings)
        if store is None
        else bootstrap.build_source(settings, store)
    )
    if isinstance(source, IncrementalSource):
        note(f"Asking arXiv for {plural(len(missing), 'paper')}")
        found |= {paper.id: paper for paper in source.by_id(missing)}
    return found


def _newest(store: Store | None) -> list[Paper]:
    if store is None:
        return []
    with store.read() as tx:
        return papers.newest(tx, MAX_NEWEST)


def _local_draft(store: Store | None, material: DraftMaterial, author: str) -> RubricDraft:
    authors = [author] if author else []
    try:
        return draft_without_model(material, _newest(store), authors)
    except ValueError as error:
        message = f"{error} (--category cs.LG)" if "category" in str(error) else str(error)
        raise OperatorError(message) from error


def _write(draft: RubricDraft, options: DraftOptions) -> int:
    text = rubric_markdown(draft)
    if options.out is None:
        print_raw(text)
        return 0
    try:
        with options.out.open("x", encoding="utf-8", newline="") as stream:
            stream.write(text)
    except OSError as error:
        message = f"cannot write {options.out}: {error.strerror}"
        raise OperatorError(message) from error
    note(f"Written to {options.out}. Next: newsletter rubrics check {options.out}")
    return 0
