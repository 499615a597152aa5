# ruff: noqa: RUF001 - typographic dashes and quotation marks are intended
"""Subject, title, totals, cost, coverage, criteria and notices of a digest, as text (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from newsletter.domain.formatting import dollars, first_names, long_dates, plural, short_dates
from newsletter.domain.model import NANOS_PER_DOLLAR, Coverage, DayKind, Digest, Outcome, Usage
from newsletter.domain.sample import AUTHOR, PRICED_AS, is_sample
from newsletter.domain.sanitize import clean
from newsletter.render.truncate import clip_words, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsletter.domain.model import Rubric
    from newsletter.render import Navigation
    from newsletter.render.paper_view import PaperEntry

MAX_RUBRIC_TITLE = 80
MAX_SUBJECT = 84
MAX_SUBJECT_RUBRIC = 30
MIN_PREHEADER = 40
MAX_PREHEADER = 100
CENT = NANOS_PER_DOLLAR // 100
MAX_NOT_READ = 20
LOCAL = "ranked locally, not read by a model; novelty not judged"
LOCAL_WORTH = (
    "On ten test days about five of the ten closest papers (two to eight) were a model’s picks "
    "too, and the model picked others that were not among them."
)
"""Measured on the labelled days of the corpus: tests/scoring/test_reference_digests.py."""
LOCAL_CAPTION = f"{LOCAL[0].upper()}{LOCAL[1:]}"


@dataclass(frozen=True, slots=True)
class CostRow:
    """A row of the cost table; the cells are prompt, completion and total."""

    label: str
    cells: tuple[str, str, str]


def cost_rows(usage: Sequence[Usage]) -> list[CostRow]:
    """Tokens and cost of each model, and of all models if there are several."""
    digits = 4 if _needs_four_digits(usage) else 2
    rows = [row for each in usage for row in _rows(each, digits, with_model=len(usage) > 1)]
    if len(usage) != 1:
        rows += _rows(_sum(usage), digits, with_model=bool(usage))
    unknown = sum(each.uncertain_nanos for each in usage)
    if unknown:
        rows.append(CostRow("Unknown, at most", ("", "", dollars(unknown, digits))))
    return rows


def _needs_four_digits(usage: Sequence[Usage]) -> bool:
    """Whether in cents an amount above zero would be $0.00, or a cheap issue would be imprecise."""
    paid = [nanos for each in usage for nanos in (each.input_nanos, each.output_nanos)]
    paid += [each.uncertain_nanos for each in usage]
    smallest = min((nanos for nanos in paid if nanos), default=CENT)
    return bool(sum(paid)) and (sum(paid) < 10 * CENT or smallest < CENT // 2)


def _sum(usage: Sequence[Usage]) -> Usage:
    return Usage(
        model="All models",
        input_tokens=sum(each.prompt_tokens for each in usage),
        output_tokens=sum(each.output_tokens for each in usage),
        input_nanos=sum(each.input_nanos for each in usage),
        output_nanos=sum(each.output_nanos for each in usage),
    )


def _rows(usage: Usage, digits: int, *, with_model: bool) -> list[CostRow]:
    tokens = (usage.prompt_tokens, usage.output_tokens, usage.total_tokens)
    nanos = (usage.input_nanos, usage.output_nanos, usage.total_nanos)
    prefix = f"{clean(usage.model)}: " if with_model else ""
    prompt, completion, total = (f"{count:,}" for count in tokens)
    paid = tuple(dollars(amount, digits) for amount in nanos)
    return [
        CostRow(f"{prefix}tokens" if with_model else "Tokens", (prompt, completion, total)),
        CostRow(f"{prefix}cost" if with_model else "Cost", (paid[0], paid[1], paid[2])),
    ]


def model_names(usage: Sequence[Usage]) -> str:
    return " and ".join(clean(each.model) for each in usage)


def cost_caption(digest: Digest) -> str:
    """The caption of the table of tokens and cost."""
    if not digest.judged:
        return LOCAL_CAPTION
    if is_by_hand(digest.usage):
        return f"Estimate: tokens and cost if {PRICED_AS} had read these papers"
    return "Tokens and cost of this issue"


def cost_heading(digest: Digest) -> str:
    """The heading of the first column of that table: the models."""
    if is_by_hand(digest.usage):
        return "Estimate"
    return model_names(digest.usage) or "No model"


def is_by_hand(usage: Sequence[Usage]) -> bool:
    """Whether the scores are those of the sample day, which no model wrote."""
    return any(each.model == AUTHOR for each in usage)


def receipt(coverage: Coverage, *, judged: bool) -> list[tuple[str, int]]:
    """Label and count of each outcome; they add up to the announced papers. Zeros are omitted."""
    names = {
        Outcome.SCORED: "Read and scored" if judged else "Ranked by text similarity",
        Outcome.REFUSED: "Refused by the model",
        Outcome.FAILED: "Failed after retries",
        Outcome.UNSCORED_BUDGET: "Not read: the day’s budget was spent",
        Outcome.UNSCORED_DEADLINE: "Not read: the deadline had passed",
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


def not_read(coverage: Coverage) -> str:
    return clean(first_names(coverage.unread, MAX_NOT_READ))


def subject(digest: Digest, entries: Sequence[PaperEntry]) -> str:
    """The subject line: the best paper, how many more there are, and the rubric.

    An issue without papers says why, with its date: equal subjects would become one thread.
    """
    rubric = clip_words(_rubric_title(digest), MAX_SUBJECT_RUBRIC)
    end = f" · {rubric}" if rubric else ""
    if not entries:
        return f"{_without_papers(digest)}{end}"
    if len(entries) > 1:
        end = f" + {len(entries) - 1:,} more{end}"
    dates = f"{short_dates(digest.first_date, digest.date)}: " if digest.since else ""
    title = clip_words(entries[0].title, MAX_SUBJECT - len(dates) - len(end))
    return f"{dates}{title}{end}"


def _without_papers(digest: Digest) -> str:
    day = short_dates(digest.first_date, digest.date)
    papers = plural(digest.coverage.scanned, "paper")
    return {
        DayKind.NORMAL: f"No paper in this issue of {day}",
        DayKind.NOTHING_MET: f"{papers} not ranked, {day}"
        if digest.not_compared
        else f"No match in {papers}, {day}",
        DayKind.NOTHING_ANNOUNCED: f"arXiv announced nothing, {day}",
        DayKind.BATCH_LATE: f"arXiv is late, your issue of {day} will follow",
        DayKind.SCORING_FAILED: f"Not scored yet, your issue of {day} will follow",
    }[digest.kind]


def _rubric_title(digest: Digest) -> str:
    return " ".join(one_line(digest.rubric.title, MAX_RUBRIC_TITLE).split())


def issue_title(digest: Digest, listed_papers: int) -> str:
    """The title of the document and of the feed entry: rubric, count and date."""
    day = short_dates(digest.first_date, digest.date)
    picked = len(digest.picks)
    count = plural(picked, "paper")
    if listed_papers != picked:
        count = f"{listed_papers} of {count}"
    result = {
        DayKind.NORMAL: count,
        DayKind.NOTHING_MET: f"{plural(digest.coverage.scanned, 'paper')}, not ranked"
        if digest.not_compared
        else f"no match in {plural(digest.coverage.scanned, 'paper')}",
        DayKind.NOTHING_ANNOUNCED: "arXiv announced nothing",
        DayKind.BATCH_LATE: "arXiv is late, your issue will follow",
        DayKind.SCORING_FAILED: "not scored yet, it will follow",
    }[digest.kind]
    tail = f"{result} · {day}"
    title = _rubric_title(digest)
    available = 60 - len(tail) - 2
    full = f"{clip_words(title, available)}: {tail}" if title and available >= 8 else tail  # noqa: PLR2004
    return full if len(full) >= 20 else f"arXiv digest: {tail}"  # noqa: PLR2004


def preheader(digest: Digest, entries: Sequence[PaperEntry]) -> str:
    """The preview text after the subject in an inbox: the next two papers; 40 to 100 characters."""
    day = long_dates(digest.first_date, digest.date)
    if digest.kind in (DayKind.NOTHING_ANNOUNCED, DayKind.BATCH_LATE, DayKind.SCORING_FAILED):
        # How many papers were read or selected is not known.
        return f"{digest.coverage.announced:,} announced so far for {day}: no issue yet."
    text = _side_by_side([f"{entry.number}. {entry.title}" for entry in entries[1:3]])
    if len(text) < MIN_PREHEADER:
        total = figures(digest)
        counts = f"{total.strong} {total.plain} ({day})".replace("\xa0", " ")
        text = f"{text} · {counts}" if text else counts
    return clip_words(text, MAX_PREHEADER)


def _side_by_side(titles: Sequence[str]) -> str:
    """Up to two titles in the preheader: each gets half, or what the other one leaves."""
    room = MAX_PREHEADER - 3
    if len(titles) < 2:  # noqa: PLR2004 - nothing to join
        return "".join(titles)
    second = clip_words(titles[1], max(room // 2, room - len(titles[0])))
    return f"{clip_words(titles[0], room - len(second))} · {second}"


@dataclass(frozen=True, slots=True)
class Figures:
    """The line of totals at the top, in its strong and its plain part."""

    strong: str
    plain: str


def figures(digest: Digest, *, public: bool = False) -> Figures:
    """`48 for you` and `out of 964 new papers; all were read`. No figure has a line break in it.

    A public page says `48 picked`. After failed scoring there is no "0 for you": it is not known.
    """
    coverage = digest.coverage
    announced = plural(coverage.announced, "new paper").replace(" ", "\xa0")
    if digest.kind in (DayKind.NOTHING_ANNOUNCED, DayKind.BATCH_LATE):
        return Figures("", "")
    if digest.kind is DayKind.SCORING_FAILED:
        return Figures(announced, "not scored yet")
    verb = "read" if digest.judged else "ranked"
    read = f"{coverage.scanned:,} {'was' if coverage.scanned == 1 else 'were'} {verb}"
    if coverage.scanned == coverage.announced > 1:
        read = f"all were {verb}"
    read = read.replace(" ", "\xa0")
    noun = ("picked" if public else "for you") if digest.judged else "closest"
    picked = f"{len(digest.picks):,} {noun}".replace(" ", "\xa0")
    learned = f"; {learned_from(digest)}" if digest.votes else ""
    return Figures(picked, f"out of {announced}; {read}{learned}")


def learned_from(digest: Digest) -> str:
    """`order learned from 24 votes`, without a break before the last word."""
    what = "order" if digest.judged else "choice and order"
    return f"{what} learned from {plural(digest.votes, 'vote')}".replace(" vote", "\xa0vote")


def notices(digest: Digest, listed_papers: int) -> list[str]:
    """The notices above the first paper."""
    coverage, rubric = digest.coverage, digest.rubric
    kinds = {
        DayKind.NOTHING_MET: _none_reached(coverage.scanned)
        + f" your cut-offs: relevance {rubric.relevance} and novelty {rubric.novelty}.",
        DayKind.NOTHING_ANNOUNCED: "arXiv announced no paper in your categories for this day.",
        DayKind.BATCH_LATE: "arXiv has not published this day’s papers yet. "
        "Your issue is held and goes out when they are there.",
        DayKind.SCORING_FAILED: f"The {plural(coverage.announced, 'announced paper')} could not be "
        "scored. Nothing is lost: the issue follows when scoring works again.",
    }
    left_out = len(digest.picks) - listed_papers
    lines = [
        _sample(digest),
        f"The best of what arXiv announced from {long_dates(digest.first_date, digest.date)}. "
        "On the web each day has an issue of its own."
        if digest.since
        else "",
        _not_compared(coverage.scanned) if digest.not_compared else kinds.get(digest.kind, ""),
        ""
        if digest.judged or digest.not_compared
        else f"These papers were {LOCAL}. No score is given."
        + (f" {LOCAL_WORTH}" if digest.picks else ""),
        f"{plural(left_out, 'more paper')} reached your cut-offs and can be read on the web: "
        f"you asked for at most {listed_papers} in a mail."
        if left_out > 0
        else "",
        f"{plural(digest.beyond, 'more paper')} reached the cut-offs: this rubric takes at most "
        f"{rubric.max_papers} {'in one issue' if digest.since else 'a day'}."
        if digest.beyond
        else "",
        _not_read_for_budget(coverage.count(Outcome.UNSCORED_BUDGET), digest.kind),
        ""
        if coverage.adds_up
        else "The figures of this issue do not add up; the operator was told.",
    ]
    return [line for line in lines if line]


def _none_reached(papers: int) -> str:
    if papers == 1:
        return "One paper was read; it did not reach"
    return f"{papers:,} papers were read; none reached"


def _sample(digest: Digest) -> str:
    listed = [pick.paper.id for pick in digest.picks]
    listed += [near.paper.id for near in digest.near_misses]
    if not listed or not all(map(is_sample, listed)):
        return ""
    by_hand = ", and their scores and reasons were written by hand"
    return f"A sample: these papers are invented{by_hand if is_by_hand(digest.usage) else ''}."


def _not_compared(papers: int) -> str:
    return (
        f"This rubric shares no word with the {plural(papers, 'paper')} of its categories, so they "
        "could not be ranked. Without a model papers are compared by their English words: a rubric "
        "in another language, or about another subject than its categories, can’t be compared."
    )


def _not_read_for_budget(papers: int, kind: DayKind) -> str:
    if not papers or kind is DayKind.SCORING_FAILED:
        return ""
    return (
        f"{plural(papers, 'paper')} could not be read: the day’s budget was spent. "
        "Those likeliest to match were read first."
    )


def best_heading(digest: Digest) -> str:
    """The heading of the papers on top of the email."""
    if not digest.judged:
        return "The three closest"
    return "The best three" if digest.since else "Today’s best"


def thresholds(rubric: Rubric) -> str:
    """The scores that near misses did not reach, for the heading above them."""
    return f"your cut-offs: relevance {rubric.relevance}, novelty {rubric.novelty}"


def criteria_intro(digest: Digest) -> str:
    """The sentence before the list of criteria."""
    rubric = digest.rubric
    categories = ", ".join(clean(name) for name in rubric.categories)
    minimum = f", with relevance {rubric.relevance} and novelty {rubric.novelty} or more of 10"
    end = ", by these criteria:" if rubric.criteria else "."
    return f"New papers in {categories}{minimum if digest.judged else ''}{end}"


def disclaimer(digest: Digest) -> str:
    if not digest.judged:
        votes = f" and from {plural(digest.votes, 'vote')} of readers" if digest.votes else ""
        return (
            f"The order comes from text similarity to your rubric{votes}; no model has read the "
            "papers."
        )
    if is_by_hand(digest.usage):
        return "Scores and “why it matched” notes are samples, written by hand."
    author = model_names(digest.usage) or "a language model"
    return f"Scores and “why it matched” notes are written by {author} and can be wrong."


def navigation_links(nav: Navigation) -> list[tuple[str, str]]:
    """Label and URL of the previous issue, the month and the next issue, if they exist."""
    links = (("← {}", nav.previous), ("{} overview", nav.month), ("{} →", nav.next))
    return [(label.format(clean(link[0])), link[1]) for label, link in links if link]
