"""Compiles an MJML template to an HTML template, once in a process.

MJML and the CSS inliner never see a paper. They would move, quote or drop some Jinja tags, so each
tag is replaced by a token first. Every token must come back exactly once, or the build fails.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from importlib import import_module
from typing import Any

from jinja2 import Environment

TOKEN = re.compile(r"jx(\d{4})xj")
# Conditional comments, which only Outlook reads. A parser must not change their content.
CONDITIONAL = re.compile(r"<!--\[if (?!!)[^\]]*\]>.*?<!\[endif\]-->", re.DOTALL)
STYLE = re.compile(r"<style[^>]*>.*?</style>", re.DOTALL)
# What mrml writes for Outlook 2007 and Thunderbird: not needed in a layout of one column.
UNNEEDED = re.compile(
    r"<!--\[if lte mso 11\]>.*?<!\[endif\]-->|<style media=[^>]*>.*?</style>", re.DOTALL
)
DOCTYPE = "<!doctype html>"


class BuildError(Exception):
    """A template cannot be compiled. The message names the tag or the error."""


@lru_cache(maxsize=64)
def compile_mjml(source: str, inline_css: str) -> str:
    """MJML with Jinja tags, compiled to HTML with the same Jinja tags.

    `inline_css` is written into the elements that it matches; `<mj-style>` stays in the head.
    Raises BuildError if mrml refuses the template or a Jinja tag is lost.
    """
    tags, tokenized = _replace_tags(source)
    html = inline(mjml_to_html(tokenized), inline_css)
    return _restore_tags(_minify(html), tags)


def mjml_to_html(source: str) -> str:
    """MJML to HTML, by mrml. Raises BuildError with its message."""
    from mjml import mjml2html

    try:
        html = UNNEEDED.sub("", str(mjml2html(source, fonts={})))
    except ValueError as error:
        message = f"MJML refuses the template: {error}"
        raise BuildError(message) from error
    # mrml closes gaps between columns with it. Spam filters take it for hidden text.
    comments = CONDITIONAL.findall(html)
    visible = [part.replace("font-size:0px;", "") for part in CONDITIONAL.split(html)]
    # The preheader is hidden without these; SpamAssassin gives them 0.7 and 1.0 points.
    visible = [part.replace("font-size:1px;color:#ffffff;", "") for part in visible]
    return "".join(part + comment for part, comment in zip(visible, [*comments, ""], strict=True))


def inline(html: str, css: str) -> str:
    """Write `css` into the elements that it matches, by premailer; `<style>` blocks stay."""
    premailer: Any = import_module("premailer")

    stash: list[str] = []

    def store(found: re.Match[str]) -> str:
        stash.append(found[0])
        return f"<!--stash{len(stash) - 1}-->"

    page = STYLE.sub(store, CONDITIONAL.sub(store, html))
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


def _replace_tags(source: str) -> tuple[list[str], str]:
    """The Jinja tags of `source` in order, and `source` with a token in place of each."""
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


def _restore_tags(page: str, tags: list[str]) -> str:
    found = [int(number) for number in TOKEN.findall(page)]
    # The tag in mj-title occurs twice in the page, every other tag once.
    lost = [tag for number, tag in enumerate(tags) if number not in found]
    if lost:
        message = f"the template tag {lost[0]} is lost: MJML or the inliner dropped it"
        raise BuildError(message)
    blocks = [number for number in found if tags[number].startswith("{%")]
    if blocks != sorted(set(blocks)):
        message = f"a template tag such as {tags[blocks[0]]} was moved or doubled"
        raise BuildError(message)
    return TOKEN.sub(lambda token: tags[int(token[1])], page)


def _minify(page: str) -> str:
    """Remove CSS comments, blanks in styles, and indentation."""
    page = re.sub(r"/\*.*?\*/", "", page, flags=re.DOTALL)
    page = STYLE.sub(lambda style: re.sub(r"\s*([{};,>])\s*|:\s+", _without_blanks, style[0]), page)
    page = re.sub(
        r"(?<= style=)(\"[^\"]*\"|'[^']*')", lambda style: style[0].replace("; ", ";"), page
    )
    return re.sub(r"[ \t\r\n]*\n[ \t\r\n]*", "\n", page)


def _without_blanks(found: re.Match[str]) -> str:
    return found[1] or ":"
