"""One digest at one length: its frame, its papers as far as they fit, its text part (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from newsletter.domain.formatting import long_dates, plural
from newsletter.domain.mail import Format
from newsletter.domain.model import DayKind, Digest
from newsletter.domain.sanitize import clean
from newsletter.render import paper_view, summary, verification
from newsletter.render.paper_html import ALSO, PaperPieces, weight
from newsletter.render.plain_text import unwrapped
from newsletter.render.size_budget import LIMIT, TARGET, SizePlan, brief, choose, ladder, lines_only
from newsletter.render.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.render import Navigation, SiteInfo
    from newsletter.render.paper_view import PaperEntry
    from newsletter.render.templates import Templates

# The reader's address, name and three links, which are not known yet: longer than any seen.
READER_BYTES = 2_000
PAPERS, PROMPT = Markup("\x02papers\x03"), Markup("\x02prompt\x03")


class TooLongError(Exception):
    """The mail would be cut by Gmail; it must not be sent."""


class _Placeholders:
    """`reader.email` in a template stays a placeholder until `for_reader`."""

    def __getattr__(self, name: str) -> Markup:
        return Markup(f"\x02{name}\x03")  # noqa: S704 - our own attribute names


@dataclass(frozen=True, slots=True)
class TextCard:
    """A card of the text part."""

    entry: PaperEntry
    abstract: str
    cut: bool


def render(
    templates: Templates,
    site: SiteInfo,
    digest: Digest,
    nav: Navigation,
    fmt: Format,
    most: int | None,
) -> tuple[str, str, str]:
    """Subject, HTML and text, with placeholders for the reader. Raises TooLongError."""
    listed = paper_view.entries(digest.picks[:most], judged=digest.judged)
    values = around(site, digest, nav, listed)
    macros = templates.macros("digest/pieces.html")
    pieces = PaperPieces(listed, macros, nav.issue_url, ALSO if digest.judged else "Also close")
    shell = templates.html("digest", {**values, "papers": PAPERS, "prompt": PROMPT})
    link = macros.prompt_link(digest.rubric.fingerprint[:12], nav.issue_url)
    room = TARGET - weight(shell) - weight(link) - READER_BYTES
    plan = choose(plans(fmt, len(listed)), pieces.sizes, room)
    listing = pieces.html(plan)
    prompt = prompt_of(digest) if fmt is Format.FULL and plan.cards == len(listed) else ""
    whole = macros.prompt_whole(prompt) if prompt else link
    if weight(listing) + weight(whole) - weight(link) > room:
        prompt, whole = "", link
    # Mail carries lines by CRLF: HTML of one line is the same bytes wherever it is looked at.
    html = shell.replace(PAPERS, listing).replace(PROMPT, whole).replace("\n", " ")
    if weight(html) + READER_BYTES > LIMIT:
        message = f"the issue of {digest.date} has {weight(html):,} bytes, {LIMIT:,} is the limit"
        raise TooLongError(message)
    values |= _text_values(listed, pieces, plan, prompt)
    return values["subject"], html, templates.text("digest", values)


def plans(fmt: Format, count: int) -> Iterator[SizePlan]:
    """Each format is the same ladder from another start."""
    if fmt is Format.TITLES:
        return lines_only(count)
    return ladder(count) if fmt is Format.FULL else brief(count)


def _text_values(
    listed: list[PaperEntry], pieces: PaperPieces, plan: SizePlan, prompt: str
) -> dict[str, Any]:
    cards = []
    for place, entry in enumerate(listed[: plan.cards]):
        cap = plan.cap_of(place)
        cards.append(TextCard(entry, *(pieces.excerpt(place, cap) if cap else ("", False))))
    return {
        "cards": cards,
        "lines": listed[plan.cards : plan.named],
        "omitted": len(listed) - plan.named,
        "prompt": prompt,
    }


def around(
    site: SiteInfo, digest: Digest, nav: Navigation, listed: list[PaperEntry]
) -> dict[str, Any]:
    """What stands around the papers."""
    coverage, rubric = digest.coverage, digest.rubric
    return {
        "site": site,
        "nav": nav,
        "reader": _Placeholders(),
        "subject": summary.subject(digest, len(listed)),
        "preheader": summary.preheader(digest, listed),
        "title": shown(rubric.title, summary.LONGEST_RUBRIC_TITLE),
        "day": long_dates(digest.first_date, digest.date),
        "judged": digest.judged,
        "nothing_met": digest.kind is DayKind.NOTHING_MET,
        "figures": summary.figures(digest),
        "notices": summary.notices(digest, len(listed)),
        "model": summary.models(digest.usage) or "No model",
        "caption": "Tokens and cost of this issue" if digest.judged else summary.LOCAL_CAPTION,
        "costs": summary.cost_rows(digest.usage),
        "misses": paper_view.misses(digest.near_misses),
        "bar": summary.bar(rubric) if digest.judged else "closest to your bar",
        "announced": f"{coverage.announced:,}",
        "receipt": summary.receipt(coverage, judged=digest.judged),
        "categories": summary.by_category(coverage),
        "late": plural(coverage.late, "late arrival") if coverage.late else "",
        "checked": verification.checked(coverage),
        "withdrawn": verification.withdrawn(digest),
        "more_withdrawn": verification.more_withdrawn(digest),
        "unread": summary.unread(coverage),
        "sought": summary.sought(digest),
        "criteria": [shown(criterion.title, 120) for criterion in rubric.criteria[:12]],
        "links": summary.links(nav),
        "disclaimer": summary.disclaimer(digest),
    }


def prompt_of(digest: Digest) -> str:
    """What the model was asked; without one, the rubric as its author wrote it."""
    if digest.prompt:
        return unwrapped(clean(digest.prompt))
    rubric = digest.rubric
    parts = [rubric.preface]
    parts += [f"{c.number}. {c.title}\n{c.body}" for c in rubric.criteria]
    parts += [rubric.scoring, rubric.keywords]
    return unwrapped(clean("\n\n".join(part.strip() for part in parts if part.strip())))
