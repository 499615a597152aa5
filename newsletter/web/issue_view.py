"""View model of the issue and month pages: full abstracts, all authors, MathML (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from newsletter.domain.formatting import dollars
from newsletter.domain.model import DayKind
from newsletter.render import paper_news, verification
from newsletter.render.paper_view import MAX_TITLE, entries, groups, near_misses, shown_names
from newsletter.render.summary import (
    by_category,
    cost_caption,
    cost_heading,
    cost_rows,
    criteria_intro,
    disclaimer,
    figures,
    notices,
    receipt,
    thresholds,
)
from newsletter.render.truncate import one_line
from newsletter.web.mathml import marked, with_formulas

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from markupsafe import Markup

    from newsletter.domain.model import Digest, Paper, Pick, Rubric
    from newsletter.domain.search_query import SearchQuery
    from newsletter.render.paper_view import PaperEntry
    from newsletter.store.search import SearchHit

MAX_ABSTRACT = 20_000
MAX_RAW_TITLE = 4 * MAX_TITLE
MAX_AUTHORS = 1_000
MAX_REASON = 200
TOP_PAPERS = 10
TITLES_PER_DAY = 3
"""From ten cents on, cents say enough."""


@dataclass(frozen=True, slots=True)
class IssueCard:
    entry: PaperEntry
    paper: Paper
    title: Markup
    authors: tuple[str, ...]
    abstract: Markup


class PaperCard(NamedTuple):
    """A paper outside an issue."""

    title: Markup
    authors: tuple[str, ...]
    abstract: Markup


@dataclass(frozen=True, slots=True)
class IssueRow:
    """A day in the month table; `titles` has its best papers with their URLs."""

    date: date
    url: str
    picks: int
    scanned: int
    announced: int
    cost: str
    kind: str
    titles: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TopPaper:
    """One of the month's best papers."""

    title: Markup
    url: str
    date: date
    authors: str
    scores: str


def issue_values(
    digest: Digest, withdrawn_reasons: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The values of the issue template, except the links to other days.

    `withdrawn_reasons` has the authors' reasons for papers of this issue that were withdrawn later.
    """
    listed = entries(digest.picks, judged=digest.judged)
    cards = {
        entry.number: _card(entry, pick.paper)
        for entry, pick in zip(listed, digest.picks, strict=True)
    }
    return {
        "digest": digest,
        "day": digest.date,
        "figures": figures(digest, public=True),
        "notices": notices(digest, len(digest.picks)),
        "caption": cost_caption(digest),
        "model": cost_heading(digest),
        "costs": cost_rows(digest.usage),
        "groups": [(name, [cards[e.number] for e in run]) for name, run in groups(listed)],
        "near_misses": near_misses(digest.near_misses),
        "thresholds": thresholds(digest.rubric),
        "receipt": receipt(digest.coverage, judged=digest.judged),
        "categories": by_category(digest.coverage),
        "verification": verification.sentences(digest.coverage),
        "news_heading": paper_news.heading(digest),
        "news": paper_news.entries(digest),
        "withdrawn_later": {
            paper_id: one_line(reason, MAX_REASON) or "no reason is given"
            for paper_id, reason in (withdrawn_reasons or {}).items()
        },
        "criteria_intro": criteria_intro(digest),
        "disclaimer": disclaimer(digest),
    }


def _card(entry: PaperEntry, paper: Paper) -> IssueCard:
    return IssueCard(entry, paper, title_of(paper), _authors(paper), _abstract(paper))


def paper_card(paper: Paper) -> PaperCard:
    return PaperCard(title_of(paper), _authors(paper), _abstract(paper))


def title_of(paper: Paper) -> Markup:
    return with_formulas(paper.title[:MAX_RAW_TITLE] or "Untitled")


def _authors(paper: Paper) -> tuple[str, ...]:
    return shown_names(paper.authors[:MAX_AUTHORS])


def _abstract(paper: Paper) -> Markup:
    return with_formulas(paper.abstract[:MAX_ABSTRACT])


def issue_row(digest: Digest, url: str) -> IssueRow:
    listed = entries(digest.picks[:TITLES_PER_DAY], judged=digest.judged)
    return IssueRow(
        date=digest.date,
        url=url,
        picks=len(digest.picks),
        scanned=digest.coverage.scanned,
        announced=digest.coverage.announced,
        cost=_cost(digest),
        kind="no match" if digest.kind is DayKind.NOTHING_MET else digest.kind.value,
        titles=tuple((entry.title, f"{url}#p{entry.number}") for entry in listed),
    )


def _cost(*digests: Digest) -> str:
    return dollars(sum(usage.total_nanos for digest in digests for usage in digest.usage))


def month_totals(digests: Sequence[Digest]) -> dict[str, object]:
    """The sums of the month."""
    return {
        "picks": sum(len(digest.picks) for digest in digests),
        "scanned": sum(digest.coverage.scanned for digest in digests),
        "announced": sum(digest.coverage.announced for digest in digests),
        "cost": _cost(*digests),
    }


def top_papers(digests: Sequence[Digest], url_of: Callable[[date], str]) -> list[TopPaper]:
    """The papers of the month with the highest scores; none if no model scored them."""
    scored = [
        (digest, number, pick)
        for digest in digests
        for number, pick in enumerate(digest.picks, 1)
        if digest.judged and pick.score is not None
    ]
    scored.sort(key=lambda found: _rank(found[2]))
    return [_top(digest, number, url_of(digest.date)) for digest, number, _ in scored[:TOP_PAPERS]]


def _rank(pick: Pick) -> tuple[int, int, int, str]:
    score = pick.score
    if score is None:
        return (0, 0, 0, pick.paper.id)
    return (-score.total, -(score.relevance or 0), -score.fine, pick.paper.id)


def _top(digest: Digest, number: int, url: str) -> TopPaper:
    pick = digest.picks[number - 1]
    (entry,) = entries([pick], judged=True)
    return TopPaper(
        title=title_of(pick.paper),
        url=f"{url}#p{number}",
        date=digest.date,
        authors=entry.first_authors,
        scores=entry.scores,
    )


def search_result(found: SearchHit, rubric: Rubric, url: str, query: SearchQuery) -> dict[str, Any]:
    """The template values of a search result, with the words that were searched for marked."""
    words = [*query.terms, *query.authors]
    return {
        "title": with_formulas(found.title[:MAX_RAW_TITLE], query.terms),
        "url": f"{url}#{'p' if found.number > 0 else 'm'}{abs(found.number)}",
        "paper_id": found.paper_id,
        "date": found.date,
        "rubric": rubric.title,
        "authors": marked(one_line(found.authors, 200), words),
        "comment": marked(one_line(found.comment, 300), query.terms),
    }
