# ruff: noqa: RUF001 - typography is meant: dashes and quotation marks as a reader expects them
"""Papers as words: what a card, a line or a near miss shows, decided here (pure).

Nothing is escaped here (the templates do), and what nobody scored gets no score.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.sanitize import clean
from newsletter.render.text import shown
from newsletter.render.truncate import clip_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from newsletter.domain.model import NearMiss, Paper, Pick, Score

CARD_AUTHORS = 8
CONTENTS_AUTHORS = 3
LONGEST_TITLE = 300
LONGEST_NAME = 80
LONGEST_COMMENT = 600
SHORT_TITLE = 60


class Badge(NamedTuple):
    """One figure of a paper: `kind` is its class in the style sheet. The label does not break."""

    label: str
    kind: str


@dataclass(frozen=True, slots=True)
class PaperEntry:
    """A pick as it is shown. `group` is the heading it stands under.

    `place` is the number in digits, `heading` number and title: strings are escaped far faster
    than numbers, and one is faster than two.
    """

    number: int
    place: str
    id: str
    title: str
    heading: str
    short_title: str
    authors: str
    few_authors: str
    lead_author: str
    why: str
    badges: tuple[Badge, ...]
    summary: str
    marks: tuple[str, ...]
    group: str
    abstract: str


@dataclass(frozen=True, slots=True)
class NearMissView:
    """A near miss as it is shown; `reason` where no scores say it, and other ids."""

    paper: Paper
    title: str
    authors: str
    summary: str
    reason: str


def authors(names: Sequence[str], most: int) -> str:
    """`A, B, C and 4 more`. In a short list a single last name takes no more room than "1 more"."""
    if most < CARD_AUTHORS and len(names) == most + 1:
        most += 1
    kept = ", ".join(shown(name, LONGEST_NAME) for name in names[:most])
    more = len(names) - most
    return f"{kept} and {more} more" if more > 0 else kept


def entries(picks: Iterable[Pick], *, judged: bool) -> list[PaperEntry]:
    return [_entry(place, pick, judged=judged) for place, pick in enumerate(picks, 1)]


def _entry(number: int, pick: Pick, *, judged: bool) -> PaperEntry:
    paper, score = pick.paper, pick.score
    badges, marks = _badges(score, number, judged=judged), _marks(pick)
    title = shown(paper.title, LONGEST_TITLE) or "Untitled"
    return PaperEntry(
        number=number,
        place=str(number),
        id=clean(paper.id),
        title=title,
        heading=f"{number}. {title}",
        short_title=clip_words(title, SHORT_TITLE),
        authors=authors(paper.authors, CARD_AUTHORS),
        few_authors=authors(paper.authors, CONTENTS_AUTHORS),
        lead_author=authors(paper.authors, 1),
        why=shown(score.comment, LONGEST_COMMENT) if score else "",
        badges=(*badges, *(Badge(mark, "k") for mark in marks)),
        summary=_summary(badges),
        marks=marks,
        group=_group(score, judged=judged),
        abstract=paper.abstract,
    )


def _summary(badges: tuple[Badge, ...]) -> str:
    return ", ".join(badge.label for badge in badges).replace("\xa0", " ")


def _marks(pick: Pick) -> tuple[str, ...]:
    followed = f"By {shown(pick.followed, LONGEST_NAME)}, whom you follow" if pick.followed else ""
    late = "Late arrival: listed by arXiv after its day" if pick.late else ""
    return tuple(mark for mark in (followed, late, _ids(pick)) if mark)


def _ids(of: Pick | NearMiss) -> str:
    """Both ids of a paper that was announced under two."""
    also = [f"arXiv:{clean(one)}" for one in of.also]
    return f"arXiv:{clean(of.paper.id)}, also {', '.join(also)}" if also else ""


def _group(score: Score | None, *, judged: bool) -> str:
    if not judged:
        return "Closest to your rubric"
    if score is None or score.relevance is None:
        return "By authors you follow"
    return f"Relevance + novelty {score.total}/20"


def _badges(score: Score | None, number: int, *, judged: bool) -> tuple[Badge, ...]:
    if score is None:
        return (Badge("Not\xa0scored", "b"),)
    if not judged:
        near = (
            ()
            if score.similarity is None
            else (Badge(f"Similarity\xa0{score.similarity:.2f}", "b"),)
        )
        return (Badge(f"Rank\xa0{number}", "b"), *near)
    return tuple(
        Badge(f"{name}\xa0{value}/10{_spread(spread)}", f"{letter}{_tint(value)}")
        for name, letter, value, spread in (
            ("Relevance", "r", score.relevance, score.relevance_spread),
            ("Novelty", "n", score.novelty, score.novelty_spread),
        )
        if value is not None
    ) or (Badge("Not\xa0scored", "b"),)


def _spread(spread: tuple[int, int] | None) -> str:
    return f"\xa0({spread[0]}–{spread[1]})" if spread and spread[0] != spread[1] else ""


def _tint(value: int) -> int:
    """The tint only grades what the number says: 9 and 10, 8, and the rest."""
    return 9 if value >= 9 else 8 if value == 8 else 7  # noqa: PLR2004 - the scale's own steps


def misses(near: Iterable[NearMiss]) -> list[NearMissView]:
    return [_miss(one) for one in near]


def _miss(near: NearMiss) -> NearMissView:
    scored = near.score.relevance is not None
    return NearMissView(
        paper=near.paper,
        title=shown(near.paper.title, LONGEST_TITLE) or "Untitled",
        authors=authors(near.paper.authors, 1),
        summary=_summary(_badges(near.score, 0, judged=True)) if scored else "",
        reason=_reason(near),
    )


def _reason(near: NearMiss) -> str:
    said = "" if near.score.relevance is not None else shown(near.reason, LONGEST_NAME)
    return " · ".join(part for part in (said, _ids(near)) if part)


def groups(listed: Sequence[PaperEntry]) -> list[tuple[str, list[PaperEntry]]]:
    """Runs of entries under one heading, in the digest's order."""
    return [(name, list(run)) for name, run in groupby(listed, key=lambda entry: entry.group)]
