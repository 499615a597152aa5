# ruff: noqa: RUF001 - typographic quotation marks are intended
"""The answer about a paper, in sentences, for a page, a terminal and a reply (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from newsletter.domain.formatting import long_date, plural
from newsletter.domain.sanitize import clean
from newsletter.domain.why import (
    CategoryVolume,
    CutOffs,
    ExcludedPapers,
    Lookup,
    LowerCutOffs,
    PaperResult,
    RubricAnswer,
)
from newsletter.render.paper_view import MAX_COMMENT, MAX_NAME, MAX_TITLE
from newsletter.render.paper_view import authors as author_names
from newsletter.render.truncate import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import date

    from newsletter.domain.model import Paper, Rubric, Score
    from newsletter.domain.why import WhyAnswer

    IssueUrl = Callable[[Rubric, date], str]

FEW_AUTHORS = 3
READINGS = ("First reading", "Second reading")
IN_ISSUE = {
    PaperResult.PICKED,
    PaperResult.NEAR_MISS,
    PaperResult.BELOW_CUT_OFFS,
    PaperResult.OVER_LIMIT,
    PaperResult.RANKED_LOWER,
    PaperResult.SCORES_DELETED,
    PaperResult.REFUSED,
    PaperResult.FAILED,
    PaperResult.UNSCORED_BUDGET,
    PaperResult.UNSCORED_DEADLINE,
    PaperResult.EXCLUDED,
    PaperResult.DUPLICATE,
    PaperResult.NOT_RECORDED,
}
"""Results of papers that an issue covers: its date is that of the issue."""


@dataclass(frozen=True, slots=True)
class RubricSection:
    """What is shown of one rubric. `issue_url` is empty where no issue covers the paper."""

    title: str
    headline: str
    details: tuple[str, ...] = ()
    suggestion: str = ""
    issue_url: str = ""


@dataclass(frozen=True, slots=True)
class WhyView:
    """The answer as it is shown. `title` is what was asked where the paper is not known."""

    title: str
    authors: str = ""
    paper_id: str = ""
    problem: str = ""
    may_ask: bool = False
    """Whether the source can be asked for the paper: it is not stored."""
    choices: tuple[tuple[str, str], ...] = ()
    """Id and title of the papers that may be meant."""
    sections: tuple[RubricSection, ...] = ()
    horizon: str = ""


def view_of(answer: WhyAnswer, issue_url: IssueUrl) -> WhyView:
    sections = tuple(_section(one, answer, issue_url) for one in answer.rubrics)
    paper = answer.paper
    return WhyView(
        title=_title(paper) if paper else one_line(answer.text, MAX_TITLE),
        authors=author_names(paper.authors, FEW_AUTHORS) if paper else "",
        paper_id=clean(answer.paper_id),
        problem=_problem(answer),
        may_ask=answer.lookup is Lookup.NOT_ASKED,
        choices=tuple((clean(one.id), _title(one)) for one in answer.papers),
        sections=sections,
        horizon=_horizon(answer) if any(one.issue_url for one in sections) else "",
    )


def _horizon(answer: WhyAnswer) -> str:
    return f"Scores of papers that were not picked are kept for {answer.scores_kept_days} days."


def as_text(view: WhyView) -> str:
    """The answer as plain text, a paragraph for each rubric."""
    lines = [view.title]
    if view.authors:
        lines = [f"{view.title} (arXiv:{view.paper_id})", view.authors]
    if view.problem:
        lines += ["", view.problem]
    lines += [f"- {title} (arXiv:{paper_id})" for paper_id, title in view.choices]
    for one in view.sections:
        lines += ["", f"{one.title}: {one.headline}", *one.details]
        lines += [line for line in (one.suggestion, one.issue_url) if line]
    if view.horizon:
        lines += ["", view.horizon]
    return "\n".join(lines)


def _title(paper: Paper) -> str:
    return one_line(paper.title, MAX_TITLE) or "Untitled"


def _problem(answer: WhyAnswer) -> str:
    return {
        Lookup.NOT_ASKED: "This paper is in no announcement that is stored here.",
        Lookup.LIMIT: "It is in no announcement that is stored here, and arXiv was already asked "
        "for as many papers as one reader may have looked up in a day. Please ask again tomorrow.",
        Lookup.NO_ANSWER: f"It is not stored here, and arXiv could not be asked: {answer.problem}.",
        Lookup.NO_SUCH_TITLE: "No stored paper has a title that begins so. Please ask by the id "
        "that arXiv gave it, like 2509.12345.",
        Lookup.SEVERAL: "Several papers have titles that begin so. Please ask by id:",
        Lookup.NO_PAPER: "Please name a paper: its arXiv id, like 2509.12345, or its title.",
    }.get(answer.lookup, "")


def _section(one: RubricAnswer, answer: WhyAnswer, issue_url: IssueUrl) -> RubricSection:
    covered = one.result in IN_ISSUE and one.date is not None
    return RubricSection(
        title=one_line(one.rubric.title, MAX_TITLE),
        headline=_headline(one, answer),
        details=tuple(_details(one)),
        suggestion=_suggestion(one),
        issue_url=_url(one, issue_url) if covered else "",
    )


def _url(one: RubricAnswer, issue_url: IssueUrl) -> str:
    if one.date is None:
        return ""
    url = issue_url(one.rubric, one.date)
    return f"{url}#p{one.number}" if one.number else url


def _headline(one: RubricAnswer, answer: WhyAnswer) -> str:
    day = long_date(one.date) if one.date else ""
    make = HEADLINES[one.result]
    return make(one, day, answer)


def _picked(one: RubricAnswer, day: str, _answer: WhyAnswer) -> str:
    return f"Picked: number {one.number} of the issue of {day}."


def _near_miss(one: RubricAnswer, day: str, _answer: WhyAnswer) -> str:
    return f"A near miss in the issue of {day}: {_missing(one)}."


def _below(one: RubricAnswer, day: str, _answer: WhyAnswer) -> str:
    return f"Read for the issue of {day}, and below the cut-offs: {_missing(one)}."


def _missing(one: RubricAnswer) -> str:
    sides = (
        ("relevance", one.rubric.relevance, one.missing.relevance),
        ("novelty", one.rubric.novelty, one.missing.novelty),
    )
    return " and ".join(
        f"{name} {cut_off - missing}, {missing} below the cut-off of {cut_off}"
        for name, cut_off, missing in sides
        if missing
    )


def _other_categories(one: RubricAnswer, day: str, answer: WhyAnswer) -> str:
    papers = ", ".join(answer.paper.categories) if answer.paper else ""
    read = ", ".join(one.rubric.categories)
    when = f"the issue of {day}" if day else "this rubric"
    return clean(f"In other categories: the paper is in {papers}; {when} reads {read}.")


HEADLINES: dict[PaperResult, Callable[[RubricAnswer, str, WhyAnswer], str]] = {
    PaperResult.PICKED: _picked,
    PaperResult.NEAR_MISS: _near_miss,
    PaperResult.BELOW_CUT_OFFS: _below,
    PaperResult.OVER_LIMIT: lambda one, day, _: (
        f"Read for the issue of {day}: it reached the cut-offs, and the rubric takes at most "
        f"{one.rubric.max_papers} papers a day."
    ),
    PaperResult.RANKED_LOWER: lambda one, day, _: (
        f"Ranked {one.rank:,} of {one.ranked:,} for the issue of {day}, which has the closest only."
    ),
    PaperResult.SCORES_DELETED: lambda _, day, answer: (
        f"Read for the issue of {day}, and not picked. Its scores were deleted: they are kept for "
        f"{answer.scores_kept_days} days."
    ),
    PaperResult.REFUSED: lambda _, day, __: (
        f"Not in the issue of {day}: the model refused to score it."
    ),
    PaperResult.FAILED: lambda one, day, _: (
        f"Not in the issue of {day}: scoring it failed{_because(one)}."
    ),
    PaperResult.UNSCORED_BUDGET: lambda _, day, __: (
        f"Not read for the issue of {day}: the day’s budget was spent on papers that seemed "
        "likelier to match."
    ),
    PaperResult.UNSCORED_DEADLINE: lambda _, day, __: (
        f"Not read for the issue of {day}: the issue was due before its turn came."
    ),
    PaperResult.EXCLUDED: lambda one, day, _: (
        f"Not read for the issue of {day}: the rubric excludes papers with the word "
        f"“{one_line(one.reason, MAX_NAME)}” in title or abstract."
        if one.reason
        else f"Not read for the issue of {day}: a word in its title or abstract is excluded."
    ),
    PaperResult.DUPLICATE: lambda one, day, _: (
        f"Not read for the issue of {day}: it has the title and authors of "
        f"{'arXiv:' + clean(one.reason) if one.reason else 'another paper'}."
    ),
    PaperResult.NOT_RECORDED: lambda _, day, __: (
        f"Announced on {day}. Not recorded: what became of it was stored as a count only."
    ),
    PaperResult.OTHER_CATEGORIES: _other_categories,
    PaperResult.BEFORE_FIRST_ISSUE: lambda _, day, __: (
        f"Another date: arXiv announced it on {day}, before the first issue of this rubric."
    ),
    PaperResult.NO_ISSUE: lambda _, day, __: (
        f"Another date: arXiv announced it on {day}, and this rubric has no issue of that date."
    ),
    PaperResult.NOT_IN_AN_ISSUE_YET: lambda _, day, __: (
        f"In no issue yet. By its date arXiv announced it on {day}; if it is in this rubric’s "
        "categories, the next issue covers it."
    ),
    PaperResult.NOT_ANNOUNCED_YET: lambda _, day, __: (
        f"Not announced yet: expected in arXiv’s announcement of {day}."
    ),
    PaperResult.UNKNOWN: lambda *_: "Unknown: arXiv has no paper with this id.",
}


def _because(one: RubricAnswer) -> str:
    return f" ({one_line(one.reason, MAX_COMMENT)})" if one.reason else ""


def _details(one: RubricAnswer) -> Iterable[str]:
    score = one.score
    if score and score.relevance is not None:
        yield f"{_marks(score)} of 10; the cut-offs are {_cut_offs(one.rubric)}."
        if len(one.readings) > 1:
            both = zip(READINGS, one.readings, strict=False)
            yield "; ".join(f"{name}: {_marks(each).lower()}" for name, each in both) + "."
        yield from _words(one.rubric, score)
    elif score:
        yield f"Similarity {score.similarity or 0:.2f}, by its words: no model has read it."
    if one.result is PaperResult.PICKED:
        yield from _pick_details(one)
    if one.also:
        yield f"Also announced as {', '.join(f'arXiv:{clean(other)}' for other in one.also)}."


def _marks(score: Score) -> str:
    return f"Relevance {score.relevance}, novelty {score.novelty}"


def _cut_offs(rubric: Rubric) -> str:
    return f"{rubric.relevance} and {rubric.novelty}"


def _words(rubric: Rubric, score: Score) -> Iterable[str]:
    title = rubric.criterion_title(score.criterion)
    if title:
        yield f"Criterion {score.criterion}: {one_line(title, MAX_TITLE)}."
    elif score.criterion == 0:
        yield "It met none of the criteria."
    if score.comment:
        yield f"The model’s words: “{one_line(score.comment, MAX_COMMENT)}”"


def _pick_details(one: RubricAnswer) -> Iterable[str]:
    if one.followed:
        yield f"By {one_line(one.followed, MAX_NAME)}, an author that the rubric follows."
    if one.late:
        yield "arXiv listed it after its day."
    if one.max_papers and one.number > one.max_papers:
        yield f"Your mails list {one.max_papers} papers at most; all are on the web."
    if one.subscribed and one.date and one.date < one.subscribed:
        yield f"You subscribed later, on {long_date(one.subscribed)}."


def _suggestion(one: RubricAnswer) -> str:
    match one.suggestion:
        case LowerCutOffs(cut_offs, now, papers, days):
            added = plural(papers, "paper")
            return f"{_changed(now, cut_offs)} would have added {added} on the {_last(days)}."
        case ExcludedPapers(word, papers, days):
            said = one_line(word, MAX_NAME)
            return f"“{said}” excluded {plural(papers, 'paper')} on the {_last(days)}."
        case CategoryVolume(category, papers, days):
            said = f"{clean(category)} has {plural(papers, 'paper')} a day"
            if days == 1:
                return f"{said}, as on its last announcement."
            return f"{said}, on average of its last {days} announcements."
    return ""


def _changed(now: CutOffs, lower: CutOffs) -> str:
    if lower.novelty == now.novelty:
        return f"A relevance cut-off of {lower.relevance}"
    if lower.relevance == now.relevance:
        return f"A novelty cut-off of {lower.novelty}"
    return f"Cut-offs of relevance {lower.relevance} and novelty {lower.novelty}"


def _last(days: int) -> str:
    return "last day" if days == 1 else f"last {days} days"
