"""A mail made four ways, side by side on a real day of 48 picks: `make bench-render`.

per mail: MJML and premailer run on the filled template, as other mailers do it;
strings:  pieces of HTML with styles in them, filled and joined, as the peers do it: the same
          titles, authors, abstracts, scores and comments, without budget, dark mode or TeX;
fill:     the compiled template is filled and joined with the papers;
copy:     one reader's links are put into a rendering.

Times are of the processor, so that a busy machine burdens no way more than another.
"""

from __future__ import annotations

import gc
import resource
import subprocess
import sys
import time
from html import escape
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from jinja2 import Environment
from markupsafe import Markup

from bench.harness.report import arguments
from newsletter.domain.formatting import unbroken
from newsletter.domain.mail import Format
from newsletter.render import Renderer
from newsletter.render.digest_email import template_values
from newsletter.render.mjml import inline, mjml_to_html
from newsletter.render.paper_html import PaperParts
from newsletter.render.paper_view import entries
from newsletter.render.size_budget import TARGET_BYTES, choose_plan, full_plans
from newsletter.render.templates import FOLDER, INLINE, with_values
from tests.render.gallery.issues import (
    CORPUS,
    NAV,
    READER,
    SITE,
    corpus_picks,
    digest,
    near_miss,
    pick,
)

ROOT = Path(__file__).resolve().parents[2]

if TYPE_CHECKING:
    from collections.abc import Callable

    from newsletter.domain.model import Pick

ROUNDS = 40
WAYS = ("per mail", "strings", "fill", "copy")
CARD = """<div style="margin:0 0 20px;padding:12px;border:1px solid #ddd;border-radius:6px">
<h3 style="margin:0 0 6px;font:600 17px/1.4 sans-serif">{place}. <a href="{url}"
style="color:#1a4e8a;text-decoration:none">{title}</a></h3>
<p style="margin:0 0 6px;font:13px/1.4 sans-serif;color:#666">{authors}</p>
<p style="margin:0 0 6px;font:13px/1.4 sans-serif"><b>Relevance {relevance}</b>, novelty {novelty}.
{comment}</p>
<p style="margin:0;font:14px/1.5 sans-serif">{abstract}</p>
</div>
"""
READER_WORDS = dict.fromkeys(
    ("recipient", "since", "unsubscribe_url", "preferences_url", "why_url", "vote_url"), "x"
)


def ways() -> dict[str, Callable[[], str]]:
    """Each way as a function that makes the HTML; what all share (TeX, the plan) is done before."""
    picks = corpus_picks("2025-09-23") if CORPUS.exists() else tuple(pick(n) for n in range(48))
    issue = digest(picks, near_misses=tuple(near_miss(900 + n) for n in range(5)))
    renderer = Renderer(SITE)
    templates = renderer._templates  # noqa: SLF001 - no public name for it
    listed = entries(picks, judged=True)
    macros = templates.macros("digest/pieces.html")
    plan = choose_plan(
        full_plans(48),
        PaperParts(listed, macros, NAV.issue_url, "Best", "", 90).sizes,
        TARGET_BYTES - 18_000,
    )
    values = {
        **template_values(SITE, issue, NAV, listed),
        "reader": READER_WORDS,
        "offers_brief": True,
    }
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["unbroken"] = unbroken
    source = environment.from_string(templates.mjml("digest"))
    css = with_values((FOLDER / INLINE).read_text(encoding="utf-8"))
    rendered = renderer.digest(issue, NAV, Format.FULL)

    def papers() -> Markup:
        return Markup(PaperParts(listed, macros, NAV.issue_url, "Best", "", 90).html(plan))  # noqa: S704

    def per_mail() -> str:
        return inline(mjml_to_html(source.render(values | {"papers": papers()})), css)

    def strings() -> str:
        return (
            '<html><body style="max-width:680px;margin:auto"><h1>arXiv digest</h1>'
            + "".join(_card(place, one) for place, one in enumerate(picks, 1))
            + '<p><a href="https://digest.example.org/unsubscribe/x">Unsubscribe</a></p>'
            "</body></html>"
        )

    def fill() -> str:
        return templates.html("digest", values | {"papers": papers()})

    def copy() -> str:
        return rendered.for_reader(READER)[0]

    return {"per mail": per_mail, "strings": strings, "fill": fill, "copy": copy}


def _card(place: int, one: Pick) -> str:
    score = one.score
    return CARD.format(
        place=place,
        url=f"https://arxiv.org/abs/{one.paper.id}",
        title=escape(one.paper.title),
        authors=escape(", ".join(one.paper.authors)),
        relevance=score.relevance if score else "",
        novelty=score.novelty if score else "",
        comment=escape(score.comment if score else ""),
        abstract=escape(one.paper.abstract),
    )


def peak(way: str) -> int:
    """Peak memory in KiB of a process that makes 200 mails in this way."""
    done = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-m", "bench", "render", way],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def hold(way: str) -> None:
    """Make 200 mails in this way, and print the peak memory of this process."""
    make = ways()[way]
    for _ in range(200):
        make()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("way", nargs="?", help="print the peak memory of this way alone")
    if way := parser.parse_args().way:
        hold(way)
        return
    made = ways()
    times: dict[str, list[float]] = {way: [] for way in made}
    gc.disable()
    for _ in range(ROUNDS):
        # Interleaved, so that what else the machine does burdens all alike.
        for way, make in made.items():
            start = time.process_time()
            make()
            times[way].append(time.process_time() - start)
    base = median(times["per mail"])
    print(f"{'':10}{'median ms':>12}{'least ms':>12}{'times':>10}{'bytes':>10}{'peak MiB':>10}")
    for way, make in made.items():
        typical, size = median(times[way]), len(make().encode())
        print(
            f"{way:10}{typical * 1000:12.3f}{min(times[way]) * 1000:12.3f}{base / typical:9.1f}x"
            f"{size:10,}{peak(way) / 1024:10.1f}"
        )
