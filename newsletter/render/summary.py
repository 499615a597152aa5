# ruff: noqa: RUF001 - typography is meant: dashes and quotation marks as a reader expects them
"""What stands around the papers: subject, totals, cost, coverage, what was looked for (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from newsletter.domain.formatting import dollars, long_date, long_dates, plural, short_dates
from newsletter.domain.model import NANOS_PER_DOLLAR, Coverage, DayKind, Digest, Outcome, Usage
from newsletter.domain.sanitize import clean
from newsletter.render.text import shown
from newsletter.render.truncate import clip_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsletter.domain.model import Rubric
    from newsletter.render import Navigation
    from newsletter.render.paper_view import PaperEntry

LONGEST_RUBRIC_TITLE = 80
CENT = NANOS_PER_DOLLAR // 100
UNREAD_SHOWN = 20
LOCAL = "ranked locally, not read by a model; novelty not judged"
LOCAL_CAPTION = f"{LOCAL[0].upper()}{LOCAL[1:]}"


@dataclass(frozen=True, slots=True)
class CostRow:
    """A row of the cost table; the cells are prompt, completion, total."""

    label: str
    cells: tuple[str, str, str]


def cost_rows(usage: Sequence[Usage]) -> list[CostRow]:
    """Tokens and cost of each model, and of all when there are several."""
    digits = 4 if _needs_more_than_cents(usage) else 2
    rows = [row for each in usage for row in _rows(each, len(usage) > 1, digits)]
    if len(usage) != 1:
        rows += _rows(_sum(usage), bool(usage), digits)
    uncertain = sum(each.uncertain_nanos for each in usage)
    if uncertain:
        rows.append(CostRow("Uncertain, at most", ("", "", dollars(uncertain, digits))))
    return rows


def _needs_more_than_cents(usage: Sequence[Usage]) -> bool:
    """Whether cents would show something that was paid as nothing, or a cheap issue too roughly."""
    paid = [nanos for each in usage for nanos in (each.input_nanos, each.output_nanos)]
    paid += [each.uncertain_nanos for each in usage]
    least = min((nanos for nanos in paid if nanos), default=CENT)
    return bool(sum(paid)) and (sum(paid) < 10 * CENT or least < CENT // 2)


def _sum(usage: Sequence[Usage]) -> Usage:
    return Usage(
        model="All models",
        input_tokens=sum(each.prompt_tokens for each in usage),
        output_tokens=sum(each.output_tokens for each in usage),
        input_nanos=sum(each.input_nanos for each in usage),
        output_nanos=sum(each.output_nanos for each in usage),
    )


def _rows(usage: Usage, named: bool, digits: int) -> list[CostRow]:  # noqa: FBT001 - see cost_rows
    tokens = (usage.prompt_tokens, usage.output_tokens, usage.total_tokens)
    nanos = (usage.input_nanos, usage.output_nanos, usage.total_nanos)
    prefix = f"{clean(usage.model)}: " if named else ""
    prompt, completion, total = (f"{count:,}" for count in tokens)
    paid = tuple(dollars(amount, digits) for amount in nanos)
    return [
        CostRow(f"{prefix}tokens" if named else "Tokens", (prompt, completion, total)),
        CostRow(f"{prefix}cost" if named else "Cost", (paid[0], paid[1], paid[2])),
    ]


def models(usage: Sequence[Usage]) -> str:
    return " and ".join(clean(each.model) for each in usage)


def receipt(coverage: Coverage, *, judged: bool) -> list[tuple[str, int]]:
    """The lines that add up to the announced papers; what is nought is left out."""
    names = {
        Outcome.SCORED: "Read and scored" if judged else "Ranked by text similarity",
        Outcome.REFUSED: "Refused by the model",
        Outcome.FAILED: "Failed after retries",
        Outcome.UNSCORED_BUDGET: "Not read: the day’s budget was spent",
        Outcome.UNSCORED_DEADLINE: "Not read: the deadline came first",
        Outcome.EXCLUDED: "Not read: excluded by the rubric",
        Outcome.DUPLICATE: "Duplicate: the same title and authors under another id",
    }
    return [
        (name, coverage.count(outcome))
        for outcome, name in names.items()
        if coverage.count(outcome) or outcome is Outcome.SCORED
    ]


def by_category(coverage: Coverage) -> str:
    return ", ".join(f"{clean(name)} {count:,}" for name, count in coverage.by_category.items())


def unread(coverage: Coverage) -> str:
    kept = ", ".join(clean(paper_id) for paper_id in coverage.unread[:UNREAD_SHOWN])
    more = len(coverage.unread) - UNREAD_SHOWN
    return f"{kept} and {more} more" if more > 0 else kept


def subject(digest: Digest, shown_papers: int) -> str:
    """20 to 60 characters with count and date, so that no two issues become one thread."""
    day = short_dates(digest.first_date, digest.date)
    picked = len(digest.picks)
    count = plural(picked, "paper")
    if shown_papers != picked:
        count = f"{shown_papers} of {count}"
    what = {
        DayKind.NORMAL: count,
        DayKind.NOTHING_MET: f"{plural(digest.coverage.scanned, 'paper')}, not ranked"
        if digest.not_compared
        else f"no match in {plural(digest.coverage.scanned, 'paper')}",
        DayKind.NOTHING_ANNOUNCED: "arXiv announced nothing",
        DayKind.BATCH_LATE: "arXiv is late, your issue will follow",
        DayKind.SCORING_FAILED: "not scored yet, it will follow",
    }[digest.kind]
    tail = f"{what} · {day}"
    name = " ".join(shown(digest.rubric.title, LONGEST_RUBRIC_TITLE).split())
    room = 60 - len(tail) - 2
    named = f"{clip_words(name, room)}: {tail}" if name and room >= 8 else tail  # noqa: PLR2004
    return named if len(named) >= 20 else f"arXiv digest: {tail}"  # noqa: PLR2004


def preheader(digest: Digest, listed: Sequence[PaperEntry]) -> str:
    """40 to 100 characters, the best first: what an inbox shows behind the subject."""
    coverage = digest.coverage
    announced = f"{coverage.announced:,} announced"
    if digest.kind in (DayKind.NOTHING_ANNOUNCED, DayKind.BATCH_LATE, DayKind.SCORING_FAILED):
        # What was read or found that day is not known, so it is not said.
        return f"{announced} so far for {long_date(digest.date)}: no issue yet."
    how = "read" if digest.judged else "ranked"
    scanned = f" and {how}"
    if coverage.scanned != coverage.announced:
        scanned = f", {coverage.scanned:,} {how}"
    tail = f"{announced}{scanned}, {len(digest.picks):,} for you"
    if not listed:
        return clip_words(f"{tail} {_on(digest)}", 100)
    return f"{clip_words(listed[0].title, 97 - len(tail))} · {tail}"


def _on(digest: Digest) -> str:
    return f"{'from' if digest.since else 'on'} {long_dates(digest.first_date, digest.date)}"


@dataclass(frozen=True, slots=True)
class Figure:
    number: str
    label: str


def figures(digest: Digest) -> list[Figure]:
    """The totals on top. A day that could not be scored shows no "0 relevant": it is not known."""
    coverage = digest.coverage
    announced = Figure(f"{coverage.announced:,}", "announced")
    if digest.kind in (DayKind.NOTHING_ANNOUNCED, DayKind.BATCH_LATE):
        return []
    if digest.kind is DayKind.SCORING_FAILED:
        return [announced]
    picked = Figure(f"{len(digest.picks):,}", "relevant" if digest.judged else "closest")
    how = "scanned" if digest.judged else "ranked"
    if coverage.scanned == coverage.announced:
        return [picked, Figure(announced.number, f"announced and {how}")]
    return [picked, Figure(f"{coverage.scanned:,}", how), announced]


def notices(digest: Digest, shown_papers: int) -> list[str]:
    """What the reader must know before the first paper."""
    coverage, rubric = digest.coverage, digest.rubric
    kinds = {
        DayKind.NOTHING_MET: f"No paper of the {coverage.scanned:,} read reached your bar: "
        f"relevance {rubric.relevance} and novelty {rubric.novelty}.",
        DayKind.NOTHING_ANNOUNCED: "arXiv announced no paper in your categories for this day.",
        DayKind.BATCH_LATE: "arXiv has not published this day’s papers yet. "
        "Your issue is held and goes out when they are there.",
        DayKind.SCORING_FAILED: f"The {plural(coverage.announced, 'announced paper')} could not be "
        "scored. Nothing is lost: the issue follows when scoring works again.",
    }
    left_out = len(digest.picks) - shown_papers
    found = [
        f"The best of what arXiv announced from {long_dates(digest.first_date, digest.date)}. "
        "On the web each day has an issue of its own."
        if digest.since
        else "",
        _not_compared(coverage.scanned) if digest.not_compared else kinds.get(digest.kind, ""),
        ""
        if digest.judged or digest.not_compared
        else f"These papers were {LOCAL}. No score is given.",
        f"{plural(left_out, 'more paper')} met your bar and can be read on the web: "
        f"you asked for at most {shown_papers} in a mail."
        if left_out > 0
        else "",
        f"{plural(digest.beyond, 'more paper')} met the bar: this rubric takes at most "
        f"{rubric.max_papers} {'in one issue' if digest.since else 'a day'}."
        if digest.beyond
        else "",
        _unread_by_budget(coverage.count(Outcome.UNSCORED_BUDGET), digest.kind),
        ""
        if coverage.adds_up
        else "The figures of this issue do not add up; the operator was told.",
    ]
    return [notice for notice in found if notice]


def _not_compared(papers: int) -> str:
    return (
        f"This rubric shares no word with the {plural(papers, 'paper')} of its categories, so they "
        "could not be ranked. Without a model papers are compared by their English words: a rubric "
        "in another language, or about another subject than its categories, can’t be compared."
    )


def _unread_by_budget(papers: int, kind: DayKind) -> str:
    if not papers or kind is DayKind.SCORING_FAILED:
        return ""
    return (
        f"{plural(papers, 'paper')} could not be read: the day’s budget was spent. "
        "Those likeliest to match were read first."
    )


def bar(rubric: Rubric) -> str:
    """What the near misses did not reach: said once above them all."""
    return f"your bar: relevance {rubric.relevance}, novelty {rubric.novelty}"


def sought(digest: Digest) -> str:
    rubric = digest.rubric
    where = ", ".join(clean(name) for name in rubric.categories)
    bar = f", with relevance {rubric.relevance} and novelty {rubric.novelty} or more of 10"
    by = ", by these criteria:" if rubric.criteria else "."
    return f"New papers in {where}{bar if digest.judged else ''}{by}"


def disclaimer(digest: Digest) -> str:
    if not digest.judged:
        return "The order comes from text similarity to your rubric; no model has read the papers."
    author = models(digest.usage) or "a language model"
    return f"Scores and “why it matched” notes are written by {author} and can be wrong."


def links(nav: Navigation) -> list[tuple[str, str]]:
    """Label and address of the neighbours that exist, in the order of time."""
    named = (("← {}", nav.previous), ("{} overview", nav.month), ("{} →", nav.next))
    return [(form.format(clean(link[0])), link[1]) for form, link in named if link]
