"""An MJML template made into an HTML template, once: MJML and the inliner never see a paper.

Jinja's tags are put away under opaque words while mrml and premailer work, because both would
move, quote or drop some of them; every word must come back exactly once, or the build fails.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from importlib import import_module
from typing import Any

from jinja2 import Environment

WORD = re.compile(r"jx(\d{4})xj")
# What only Outlook reads, as a whole: a parser must not look into it, nor change it.
CONDITIONAL = re.compile(r"<!--\[if (?!!)[^\]]*\]>.*?<!\[endif\]-->", re.DOTALL)
STYLE = re.compile(r"<style[^>]*>.*?</style>", re.DOTALL)
# What mrml writes for Outlook 2007 and for Thunderbird's own class: dead weight in one column.
DEAD = re.compile(
    r"<!--\[if lte mso 11\]>.*?<!\[endif\]-->|<style media=[^>]*>.*?</style>", re.DOTALL
)
DOCTYPE = "<!doctype html>"


class BuildError(Exception):
    """A template can't be compiled. The message names the tag or the fault."""


@lru_cache(maxsize=64)
def compile_mjml(source: str, inline_css: str) -> str:
    """The Jinja source of the HTML that `source` (MJML with Jinja in it) stands for.

    `inline_css` is written into the elements it matches; `<mj-style>` stays in the head.
    Raises BuildError when mrml refuses the template or a Jinja tag is lost on the way.
    """
    tags, hidden = _hide(source)
    html = inline(mjml_to_html(hidden), inline_css)
    return _restore(_squeeze(html), tags)


def mjml_to_html(source: str) -> str:
    """The HTML that mrml makes. Raises BuildError with its words."""
    from mjml import mjml2html

    try:
        html = DEAD.sub("", str(mjml2html(source, fonts={})))
    except ValueError as error:
        message = f"MJML refuses the template: {error}"
        raise BuildError(message) from error
    # mrml closes gaps between columns with it; with one column it only looks like hidden text.
    kept = CONDITIONAL.findall(html)
    shown = [part.replace("font-size:0px;", "") for part in CONDITIONAL.split(html)]
    return "".join(part + comment for part, comment in zip(shown, [*kept, ""], strict=True))


def inline(html: str, css: str) -> str:
    """`css` inside the elements it matches, by premailer; the page's own styles stay."""
    premailer: Any = import_module("premailer")

    stash: list[str] = []

    def put_away(found: re.Match[str]) -> str:
        stash.append(found[0])
        return f"<!--stash{len(stash) - 1}-->"

    page = STYLE.sub(put_away, CONDITIONAL.sub(put_away, html))
    page = premailer.Premailer(
        page,
        css_text=[css],
        allow_network=False,
        disable_basic_attributes=["align", "bgcolor", "width", "valign"],
        disable_validation=True,
        cssutils_logging_level=logging.CRITICAL,
    ).transform()
    page = re.sub(r"<!--stash(\d+)-->", lambda found: stash[int(found[1])], page)
    return DOCTYPE + page[page.index("<html") :]


def _hide(source: str) -> tuple[list[str], str]:
    """The Jinja tags of `source` in order, and `source` with a word in the place of each."""
    tags: list[str] = []
    out: list[str] = []
    open_tag: list[str] = []
    for _, kind, value in Environment(autoescape=True).lex(source):
        if open_tag or kind in ("variable_begin", "block_begin", "comment_begin", "raw_begin"):
            open_tag.append(value)
            if kind in ("variable_end", "block_end", "comment_end", "raw_end"):
                out.append(f"jx{len(tags):04d}xj")
                tags.append("".join(open_tag))
                open_tag = []
        else:
            out.append(value)
    return tags, "".join(out)


def _restore(page: str, tags: list[str]) -> str:
    found = [int(number) for number in WORD.findall(page)]
    # mj-title stands in the page twice; every other tag once.
    lost = [tag for number, tag in enumerate(tags) if number not in found]
    if lost:
        message = f"the template tag {lost[0]} is lost: MJML or the inliner dropped its place"
        raise BuildError(message)
    blocks = [number for number in found if tags[number].startswith("{%")]
    if blocks != sorted(set(blocks)):
        message = f"the template tag {tags[blocks[0]]} and its kind were moved or doubled"
        raise BuildError(message)
    return WORD.sub(lambda word: tags[int(word[1])], page)


def _squeeze(page: str) -> str:
    """Line ends and what indents the next line, away: they are for people who read templates."""
    page = re.sub(r"/\*.*?\*/", "", page, flags=re.DOTALL)
    page = STYLE.sub(lambda style: re.sub(r"\s*([{};,>])\s*|:\s+", _tight, style[0]), page)
    page = re.sub(
        r"(?<= style=)(\"[^\"]*\"|'[^']*')", lambda style: style[0].replace("; ", ";"), page
    )
    return re.sub(r"[ \t\r\n]*\n[ \t\r\n]*", "\n", page)


def _tight(found: re.Match[str]) -> str:
    return found[1] or ":"
