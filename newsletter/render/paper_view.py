# ruff: noqa: RUF001 - typographic dashes and quotation marks are intended
"""View models of papers: the text of a card, a line or a near miss (pure).

Text is sanitized here and escaped in the templates. A paper without a score shows none.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.sanitize import clean
from newsletter.render.author_note import FoundLink, doi_link, links_of, note_of
from newsletter.render.truncate import clip_clause, clip_words, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from newsletter.domain.model import NearMiss, Paper, Pick, Score

CARD_AUTHORS = 8
FEW_AUTHORS = 3
SHORT_ISSUE_PAPERS = 20
"""A longer issue has compact cards from the fourth paper on, and a phone hides their abstracts."""
COMPLETE_ABSTRACTS = 10
PHONE_ABSTRACTS = 3
MAX_TITLE = 300
MAX_NAME = 80
MAX_COMMENT = 600
MAX_REASON = 90
REASON_LINE = 93
"""Characters of the reason and the first author in the table of contents: two lines on a phone."""
MIN_REASON = 60
SHORT_TITLE = 60
SHORT_NOTE = 60


class Badge(NamedTuple):
    """A score or note of a paper; `css_class` sets its colour. A score label has no line break."""

    label: str
    css_class: str


@dataclass(frozen=True, slots=True)
class PaperEntry:
    """A pick as the email and the pages show it. `group` is the heading above its card.

    `comment` is the criterion and the model's sentence, `reason` the same in 90 characters. `total`
    is the sum of both scores, empty without them. `first_author` is `Jin Xu +37`; a `compact` card
    names no other. A phone shows the abstract if `phone_abstract`; a card links to it if
    `abstract_link`. `number_text` and `numbered_title` are ready strings: Jinja escapes one string
    much faster than a number and a string.
    """

    number: int
    number_text: str
    id: str
    title: str
    numbered_title: str
    short_title: str
    authors: str
    first_authors: str
    first_author: str
    comment: str
    reason: str
    total: str
    badges: tuple[Badge, ...]
    scores: str
    notes: tuple[str, ...]
    group: str
    abstract: str
    author_note: str
    short_note: str
    links: tuple[FoundLink, ...]
    doi_url: str
    compact: bool
    phone_abstract: bool
    abstract_link: bool


@dataclass(frozen=True, slots=True)
class NearMissView:
    """A near miss as it is shown; `reason` if it has no scores, and its other ids."""

    paper: Paper
    title: str
    authors: str
    scores: str
    reason: str


def shown_names(names: Sequence[str]) -> tuple[str, ...]:
    """Each name, sanitized; never empty, so that no line begins or ends with a separator."""
    shown = (one_line(name, MAX_NAME).strip() or "Unnamed author" for name in names)
    return tuple(shown) or ("No author named",)


def authors(names: Sequence[str], count: int) -> str:
    """`A, B, C and 4 more`. In a short list the last name replaces "and 1 more"."""
    if count < CARD_AUTHORS and len(names) == count + 1:
        count += 1
    listed = ", ".join(shown_names(names[:count]))
    more = len(names) - count
    return f"{listed} and {more} more" if more > 0 else listed


def first_author(names: Sequence[str]) -> str:
    """`Jin Xu +37`, without a line break in it; one author as `Jin Xu`."""
    more = f" +{len(names) - 1}" if len(names) > 1 else ""
    return f"{authors(names[:1], 1)}{more}".replace(" ", "\xa0")


def entries(picks: Sequence[Pick], *, judged: bool) -> list[PaperEntry]:
    """The view models of `picks`. In a long issue the later papers are shown shorter."""
    long = len(picks) > SHORT_ISSUE_PAPERS
    single = len(picks) == 1
    return [
        _entry(number, pick, judged=judged, long=long, single=single)
        for number, pick in enumerate(picks, 1)
    ]


def _entry(number: int, pick: Pick, *, judged: bool, long: bool, single: bool) -> PaperEntry:
    paper, score = pick.paper, pick.score
    badges, notes = _score_badges(score, number, judged=judged), _notes(pick)
    title = one_line(paper.title, MAX_TITLE) or "Untitled"
    note = note_of(paper)
    named = first_author(paper.authors)
    comment = one_line(score.comment, MAX_COMMENT) if score else ""
    scored = judged and score is not None and score.relevance is not None
    return PaperEntry(
        number=number,
        number_text=str(number),
        id=clean(paper.id),
        title=title,
        numbered_title=f"{number}. {title}",
        short_title=clip_words(title, SHORT_TITLE),
        authors=authors(paper.authors, CARD_AUTHORS),
        first_authors=authors(paper.authors, FEW_AUTHORS),
        first_author=named,
        comment=comment,
        reason=clip_clause(comment, min(MAX_REASON, max(MIN_REASON, REASON_LINE - len(named)))),
        total=str(score.total) if scored and score else "",
        badges=(*badges, *(Badge(note, "k") for note in notes)),
        scores=_labels(badges),
        notes=notes,
        group=_group(score, judged=judged, single=single),
        abstract=paper.abstract,
        author_note=note,
        short_note=note if len(note) <= SHORT_NOTE else "",
        links=links_of(paper),
        doi_url=doi_link(paper.doi),
        compact=long and number > PHONE_ABSTRACTS,
        phone_abstract=not long or number <= PHONE_ABSTRACTS,
        abstract_link=number > (PHONE_ABSTRACTS if long else COMPLETE_ABSTRACTS),
    )


def _labels(badges: tuple[Badge, ...]) -> str:
    return ", ".join(badge.label for badge in badges).replace("\xa0", " ")


def _notes(pick: Pick) -> tuple[str, ...]:
    followed = f"By {one_line(pick.followed, MAX_NAME)}, whom you follow" if pick.followed else ""
    late = "Late arrival: listed by arXiv after its day" if pick.late else ""
    return tuple(note for note in (followed, late, _both_ids(pick)) if note)


def _both_ids(listed: Pick | NearMiss) -> str:
    """All ids of a paper that was announced under more than one."""
    also = [f"arXiv:{clean(paper_id)}" for paper_id in listed.also]
    return f"arXiv:{clean(listed.paper.id)}, also {', '.join(also)}" if also else ""


def _group(score: Score | None, *, judged: bool, single: bool) -> str:
    if not judged:
        return "Closest to your rubric"
    if score is None or score.relevance is None:
        return "By authors you follow"
    return "The paper" if single else "The papers"


def _score_badges(score: Score | None, number: int, *, judged: bool) -> tuple[Badge, ...]:
    if score is None:
        return (Badge("Not\xa0scored", "b"),)
    if not judged:
        rank = Badge(f"Rank\xa0{number}", "b")
        if score.similarity is None:
            return (rank,)
        return (rank, Badge(f"Similarity\xa0{score.similarity:.2f}", "b"))
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
    """The colour step of a score: 9 and 10, 8, and the rest."""
    return 9 if value >= 9 else 8 if value == 8 else 7  # noqa: PLR2004 - steps of the scale


def near_misses(found: Iterable[NearMiss]) -> list[NearMissView]:
    return [_near_miss(near) for near in found]


def _near_miss(near: NearMiss) -> NearMissView:
    scored = near.score.relevance is not None
    return NearMissView(
        paper=near.paper,
        title=one_line(near.paper.title, MAX_TITLE) or "Untitled",
        authors=first_author(near.paper.authors),
        scores=_labels(_score_badges(near.score, 0, judged=True)) if scored else "",
        reason=_reason(near),
    )


def _reason(near: NearMiss) -> str:
    reason = "" if near.score.relevance is not None else one_line(near.reason, MAX_NAME)
    return " · ".join(part for part in (reason, _both_ids(near)) if part)


def groups(listed: Sequence[PaperEntry]) -> list[tuple[str, list[PaperEntry]]]:
    """Heading and entries of each group, in the digest's order."""
    return [(name, list(group)) for name, group in groupby(listed, key=lambda entry: entry.group)]
