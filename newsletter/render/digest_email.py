"""Renders a digest as an email: subject, HTML and text (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from newsletter.domain.formatting import long_dates, plural
from newsletter.domain.mail import Format
from newsletter.domain.model import DayKind, Digest
from newsletter.render import paper_news, paper_view, summary, verification
from newsletter.render.paper_html import ALSO_MATCHED, PaperParts, filled_size, size
from newsletter.render.size_budget import (
    MAX_BYTES,
    TARGET_BYTES,
    Plans,
    SizePlan,
    best_papers,
    brief_plans,
    choose_plan,
    full_plans,
    title_plans,
)
from newsletter.render.truncate import one_line

if TYPE_CHECKING:
    from newsletter.render import Navigation, SiteInfo
    from newsletter.render.paper_view import PaperEntry
    from newsletter.render.templates import Templates

# For the reader's address, name and links, which are filled in later: longer than any seen.
RESERVED_BYTES = 2_000
VOTE_PATH_BYTES = len("/vote/") + 48
"""After the public URL: the path and the token of a reader's page to vote."""
TEXT_VOTES = 10
"""Cards of the text part with the address of the page to vote."""
PAPERS = Markup("\x02papers\x03")


class TooLongError(Exception):
    """Gmail would clip the email; it must not be sent."""


class _Placeholders:
    """Renders `reader.NAME` in a template as a placeholder, which `Rendered.for_reader` fills."""

    def __getattr__(self, name: str) -> Markup:
        return Markup(f"\x02{name}\x03")  # noqa: S704 - our own attribute names


@dataclass(frozen=True, slots=True)
class TextCard:
    """A card of the text part."""

    entry: PaperEntry
    abstract: str
    shortened: bool


def render(
    templates: Templates,
    site: SiteInfo,
    digest: Digest,
    nav: Navigation,
    fmt: Format,
    max_papers: int | None,
) -> tuple[str, str, str]:
    """Subject, HTML and text, with placeholders for the reader. Raises TooLongError."""
    entries = paper_view.entries(digest.picks[:max_papers], judged=digest.judged)
    values = template_values(site, digest, nav, entries)
    values["offers_brief"] = fmt is Format.FULL and len(entries) > paper_view.SHORT_ISSUE_PAPERS
    macros = templates.macros("digest/pieces.html")
    url_bytes = size(site.home_url.rstrip("/")) + VOTE_PATH_BYTES
    headings = (values["best_heading"], values["lines_heading"])
    parts = PaperParts(entries, macros, nav.issue_url, *headings, url_bytes)
    frame = templates.html("digest", {**values, "papers": PAPERS})
    available = TARGET_BYTES - size(frame) - RESERVED_BYTES
    plan = choose_plan(plans(fmt, len(entries)), parts.sizes, available)
    # SMTP changes line ends to CRLF. HTML on one line has the same bytes everywhere.
    html = frame.replace(PAPERS, parts.html(plan)).replace("\n", " ")
    filled = filled_size(html, url_bytes)
    if filled + RESERVED_BYTES > MAX_BYTES:
        message = f"the issue of {digest.date} has {filled:,} bytes, {MAX_BYTES:,} is the limit"
        raise TooLongError(message)
    values |= _text_values(entries, parts, plan)
    return values["subject"], html, templates.text("digest", values)


def plans(fmt: Format, count: int) -> Plans:
    if fmt is Format.TITLES:
        return title_plans(count)
    return full_plans(count) if fmt is Format.FULL else brief_plans(count)


def _text_values(entries: list[PaperEntry], parts: PaperParts, plan: SizePlan) -> dict[str, Any]:
    cards = []
    for index, entry in enumerate(entries[: plan.cards]):
        limit = plan.abstract_limit(index)
        cards.append(TextCard(entry, *(parts.excerpt(index, limit) if limit else ("", False))))
    return {
        "best": entries[: best_papers(plan.cards)],
        "cards": cards,
        "with_reasons": plan.reasons,
        "rated": min(plan.rated, TEXT_VOTES),
        "lines": entries[plan.cards : plan.listed],
        "omitted": len(entries) - plan.listed,
    }


def template_values(
    site: SiteInfo, digest: Digest, nav: Navigation, entries: list[PaperEntry]
) -> dict[str, Any]:
    """The values of the digest template, except the papers themselves."""
    rubric = digest.rubric
    return {
        "site": site,
        "nav": nav,
        "reader": _Placeholders(),
        "subject": summary.subject(digest, entries),
        # An issue of several days is not the newest digest, whose papers the page shows.
        "rates_issue": bool(entries) and not digest.since,
        "issue_title": summary.issue_title(digest, len(entries)),
        "preheader": summary.preheader(digest, entries),
        "title": one_line(rubric.title, summary.MAX_RUBRIC_TITLE),
        "day": long_dates(digest.first_date, digest.date),
        "nothing_met": digest.kind is DayKind.NOTHING_MET,
        "figures": summary.figures(digest),
        "notices": summary.notices(digest, len(entries)),
        "model": summary.cost_heading(digest),
        "caption": summary.cost_caption(digest),
        "costs": summary.cost_rows(digest.usage),
        "near_misses": paper_view.near_misses(digest.near_misses),
        "thresholds": summary.thresholds(rubric) if digest.judged else "",
        "best_heading": summary.best_heading(digest),
        "lines_heading": ALSO_MATCHED if digest.judged else "Also close",
        "criteria_intro": summary.criteria_intro(digest),
        "criteria": [one_line(criterion.title, 120) for criterion in rubric.criteria[:12]],
        "links": summary.navigation_links(nav),
        "disclaimer": summary.disclaimer(digest),
        **_coverage_values(digest),
        **_news_values(digest, long_issue=len(entries) > paper_view.SHORT_ISSUE_PAPERS),
    }


def _coverage_values(digest: Digest) -> dict[str, Any]:
    coverage = digest.coverage
    return {
        "announced": f"{coverage.announced:,}",
        "receipt": summary.receipt(coverage, judged=digest.judged),
        "categories": summary.by_category(coverage),
        "late": plural(coverage.late, "late arrival") if coverage.late else "",
        "verification": verification.sentences(coverage),
        "not_read": summary.not_read(coverage),
    }


def _news_values(digest: Digest, *, long_issue: bool) -> dict[str, Any]:
    news = paper_news.entries(digest)
    return {
        "news_heading": paper_news.heading(digest),
        "news": news,
        "shown_news": paper_news.fitting(news, long_issue=long_issue),
        "compact_news": long_issue,
    }
