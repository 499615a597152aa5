"""Liked papers: those known by their id alone are completed from the database, then the source."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from newsletter.domain.rubric_draft import LibraryPaper
from newsletter.domain.withdrawals import is_withdrawn
from newsletter.rubrics.library import ABSTRACT_LIMIT
from newsletter.sources import LooksUpPapers, SourceError
from newsletter.store import papers, rate_limits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from newsletter.domain.model import Paper
    from newsletter.sources import PaperSource
    from newsletter.store import Store

NOT_ASKABLE = "the source of this service cannot be asked for single papers"


@dataclass(frozen=True, slots=True)
class LikedPapers:
    """`papers` have titles. `unknown` are ids that the source does not know, `not_asked` those
    beyond the day's look-ups, or all that are not stored where there was a `problem`. `withdrawn`
    ones are left out: their abstracts say little else.
    """

    papers: tuple[LibraryPaper, ...] = ()
    unknown: tuple[str, ...] = ()
    not_asked: tuple[str, ...] = ()
    problem: str = ""
    withdrawn: tuple[str, ...] = ()


def library_paper(paper: Paper) -> LibraryPaper:
    abstract = paper.abstract[:ABSTRACT_LIMIT]
    return LibraryPaper(paper.title, abstract, paper.authors, paper.id, paper.primary_category)


def bare_ids(found: Sequence[LibraryPaper]) -> list[str]:
    """The ids of papers without title or abstract."""
    bare = (one.arxiv_id for one in found if one.arxiv_id and not (one.title and one.abstract))
    return list(dict.fromkeys(bare))


def stored(store: Store, ids: Sequence[str]) -> dict[str, Paper]:
    if not ids:
        return {}
    with store.read() as tx:
        return {paper.id: paper for paper in papers.by_ids(tx, ids)}


def completed(
    found: Sequence[LibraryPaper], known: Mapping[str, Paper]
) -> tuple[LibraryPaper, ...]:
    """Each paper that has a title, once; `known` papers replace those with the same id."""
    full = (library_paper(known[one.arxiv_id]) if one.arxiv_id in known else one for one in found)
    return tuple(one for one in dict.fromkeys(full) if one.title)


def of_reader(
    store: Store,
    source: PaperSource,
    found: Sequence[LibraryPaper],
    subscriber_id: str,
    today: date,
    most: int,
) -> LikedPapers:
    """Complete a reader's papers. The source is asked for `most` papers of a reader and day."""
    ids = bare_ids(found)
    known = stored(store, ids)
    missing = [one for one in ids if one not in known]
    if not missing:
        liked = LikedPapers()
    elif not isinstance(source, LooksUpPapers):
        liked = LikedPapers(not_asked=tuple(missing), problem=NOT_ASKABLE)
    else:
        liked = _asked(source, missing, _counted(store, missing, subscriber_id, today, most), known)
    gone = [key for key, paper in known.items() if is_withdrawn(paper)]
    kept = [one for one in found if one.arxiv_id not in gone]
    return replace(liked, papers=completed(kept, known), withdrawn=tuple(gone))


def _asked(
    source: LooksUpPapers,
    missing: Sequence[str],
    asked: Sequence[str],
    known: dict[str, Paper],
) -> LikedPapers:
    """Ask the source for papers and add them to the `known` ones."""
    try:
        answer = source.look_up_several(asked) if asked else []
    except SourceError as error:
        return LikedPapers(not_asked=tuple(missing), problem=str(error))
    known |= {paper.id: paper for paper in answer}
    unknown = tuple(one for one in asked if one not in known)
    return LikedPapers(unknown=unknown, not_asked=tuple(missing[len(asked) :]))


def _counted(
    store: Store, ids: Sequence[str], subscriber_id: str, today: date, most: int
) -> list[str]:
    """The first of the ids that the reader's look-ups of today allow."""
    asked: list[str] = []
    with store.begin() as tx:
        for paper_id in ids[:most]:
            if not rate_limits.take_lookup(tx, subscriber_id, today, most):
                break
            asked.append(paper_id)
    return asked
