"""Renders a digest as an email: subject, HTML and text (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from newsletter.domain.formatting import long_dates, plural
from newsletter.domain.mail import Format
from newsletter.domain.model import DayKind, Digest
from newsletter.domain.sanitize import clean
from newsletter.render import paper_view, summary, verification
from newsletter.render.paper_html import ALSO_MATCHED, PaperParts, size
from newsletter.render.plain_text import join_wrapped_lines
from newsletter.render.size_budget import (
    MAX_BYTES,
    TARGET_BYTES,
    SizePlan,
    brief_plans,
    choose_plan,
    full_plans,
    title_plans,
)
from newsletter.render.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.render import Navigation, SiteInfo
    from newsletter.render.paper_view import PaperEntry
    from newsletter.render.templates import Templates

# For the reader's address, name and links, which are filled in later: longer than any seen.
RESERVED_BYTES = 2_000
PAPERS, PROMPT = Markup("\x02papers\x03"), Markup("\x02prompt\x03")


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
    macros = templates.macros("digest/pieces.html")
    lines_heading = ALSO_MATCHED if digest.judged else "Also close"
    parts = PaperParts(entries, macros, nav.issue_url, lines_heading)
    frame = templates.html("digest", {**values, "papers": PAPERS, "prompt": PROMPT})
    prompt_link = macros.prompt_link(digest.rubric.fingerprint[:12], nav.issue_url)
    available = TARGET_BYTES - size(frame) - size(prompt_link) - RESERVED_BYTES
    plan = choose_plan(plans(fmt, len(entries)), parts.sizes, available)
    papers = parts.html(plan)
    prompt = prompt_of(digest) if fmt is Format.FULL and plan.cards == len(entries) else ""
    prompt_html = macros.prompt_text(prompt) if prompt else prompt_link
    if size(papers) + size(prompt_html) - size(prompt_link) > available:
        prompt, prompt_html = "", prompt_link
    # SMTP changes line ends to CRLF. HTML on one line has the same bytes everywhere.
    html = frame.replace(PAPERS, papers).replace(PROMPT, prompt_html).replace("\n", " ")
    if size(html) + RESERVED_BYTES > MAX_BYTES:
        message = f"the issue of {digest.date} has {size(html):,} bytes, {MAX_BYTES:,} is the limit"
        raise TooLongError(message)
    values |= _text_values(entries, parts, plan, prompt)
    return values["subject"], html, templates.text("digest", values)


def plans(fmt: Format, count: int) -> Iterator[SizePlan]:
    if fmt is Format.TITLES:
        return title_plans(count)
    return full_plans(count) if fmt is Format.FULL else brief_plans(count)


def _text_values(
    entries: list[PaperEntry], parts: PaperParts, plan: SizePlan, prompt: str
) -> dict[str, Any]:
    cards = []
    for index, entry in enumerate(entries[: plan.cards]):
        limit = plan.abstract_limit(index)
        cards.append(TextCard(entry, *(parts.excerpt(index, limit) if limit else ("", False))))
    return {
        "cards": cards,
        "lines": entries[plan.cards : plan.listed],
        "omitted": len(entries) - plan.listed,
        "prompt": prompt,
    }


def template_values(
    site: SiteInfo, digest: Digest, nav: Navigation, entries: list[PaperEntry]
) -> dict[str, Any]:
    """The values of the digest template, except the papers themselves."""
    coverage, rubric = digest.coverage, digest.rubric
    return {
        "site": site,
        "nav": nav,
        "reader": _Placeholders(),
        "subject": summary.subject(digest, len(entries)),
        "preheader": summary.preheader(digest, entries),
        "title": one_line(rubric.title, summary.MAX_RUBRIC_TITLE),
        "day": long_dates(digest.first_date, digest.date),
        "nothing_met": digest.kind is DayKind.NOTHING_MET,
        "figures": summary.figures(digest),
        "notices": summary.notices(digest, len(entries)),
        "model": summary.model_names(digest.usage) or "No model",
        "caption": "Tokens and cost of this issue" if digest.judged else summary.LOCAL_CAPTION,
        "costs": summary.cost_rows(digest.usage),
        "near_misses": paper_view.near_misses(digest.near_misses),
        "thresholds": summary.thresholds(rubric) if digest.judged else "closest to your bar",
        "announced": f"{coverage.announced:,}",
        "receipt": summary.receipt(coverage, judged=digest.judged),
        "categories": summary.by_category(coverage),
        "late": plural(coverage.late, "late arrival") if coverage.late else "",
        "verification": verification.sentences(coverage),
        "withdrawn": verification.withdrawn(digest),
        "more_withdrawn": verification.more_withdrawn(digest),
        "not_read": summary.not_read(coverage),
        "criteria_intro": summary.criteria_intro(digest),
        "criteria": [one_line(criterion.title, 120) for criterion in rubric.criteria[:12]],
        "links": summary.navigation_links(nav),
        "disclaimer": summary.disclaimer(digest),
    }


def prompt_of(digest: Digest) -> str:
    """The prompt of the model; without one, the rubric as its author wrote it."""
    if digest.prompt:
        return join_wrapped_lines(clean(digest.prompt))
    rubric = digest.rubric
    parts = [rubric.preface]
    parts += [f"{c.number}. {c.title}\n{c.body}" for c in rubric.criteria]
    parts += [rubric.scoring, rubric.keywords]
    return join_wrapped_lines(clean("\n\n".join(part.strip() for part in parts if part.strip())))
