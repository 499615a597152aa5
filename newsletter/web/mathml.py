"""Abstracts and titles as HTML: prose as Unicode, formulas as MathML (pure).

latex2mathml's `convert` unescapes its output, so a formula could inject markup into the page.
This module serializes its element tree instead, with allowed tags and attributes only.
"""

from __future__ import annotations

import html
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from newsletter.domain.sanitize import clean
from newsletter.domain.search_query import marked_pieces
from newsletter.render.tex import outer_formulas, to_unicode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

MAX_FORMULA = 2_000
TAGS = re.compile(
    "math|mrow|mi|mn|mo|mtext|mspace|msup|msub|msubsup|mfrac|msqrt|mroot|mover|munder|munderover|"
    "mtable|mtr|mtd|mstyle|mpadded|mphantom|menclose|mfenced|mmultiscripts|mprescripts|none"
)
ATTRIBUTES = re.compile(
    "mathvariant|stretchy|fence|form|separator|accent|accentunder|lspace|rspace|linethickness|"
    "displaystyle|scriptlevel|columnalign|rowspacing|columnspacing|minsize|maxsize|movablelimits|"
    "notation|width|height|depth|display|largeop|symmetric"
)
VALUE = re.compile(r"[\w.+% -]{1,60}")


def with_formulas(text: str, terms: Sequence[str] = ()) -> Markup:
    """`text` as safe HTML. A formula that cannot be converted is shown as its source.

    Words outside formulas that match one of `terms` are marked.
    """
    text = clean(text)
    pieces: list[str] = []
    end = 0
    for start, stop, body in outer_formulas(text):
        pieces += [_prose(text[end:start], terms), _formula(body) or _source(text[start:stop])]
        end = stop
    pieces.append(_prose(text[end:], terms))
    return Markup("".join(pieces))  # noqa: S704 - every piece is escaped above


def marked(text: str, terms: Sequence[str]) -> Markup:
    """`text` as HTML, with <mark> around the words that match one of `terms`."""
    if not terms:
        return escape(text)
    return Markup("").join(
        Markup("<mark>{}</mark>").format(piece.text) if piece.matches else escape(piece.text)
        for piece in marked_pieces(text, terms)
    )


def _prose(text: str, terms: Sequence[str]) -> str:
    plain = to_unicode(text)
    before = " " if text[:1].isspace() else ""
    after = " " if text[-1:].isspace() and plain else ""
    return f"{before}{marked(plain, terms)}{after}"


def _source(text: str) -> str:
    return f"<code>{escape(text)}</code>"


@lru_cache(maxsize=4096)
def _formula(body: str) -> str:
    """MathML, or the empty string if the formula cannot be converted completely."""
    from latex2mathml.converter import convert_to_element

    if len(body) > MAX_FORMULA:
        return ""
    try:
        return _serialize(convert_to_element(body.strip()))
    except _conversion_errors():
        return ""


def _conversion_errors() -> tuple[type[Exception], ...]:
    """Exceptions of latex2mathml, which share no base class, and built-in ones that it raises."""
    from latex2mathml import exceptions

    found = [value for value in vars(exceptions).values() if isinstance(value, type)]
    declared = [kind for kind in found if issubclass(kind, Exception)]
    return (*declared, ValueError, LookupError, AttributeError, TypeError, RecursionError)


def _serialize(element: Element) -> str:
    """One element as HTML. Raises ValueError for a tag that is not allowed."""
    text = html.unescape(element.text or "")
    if not TAGS.fullmatch(element.tag) or "\\" in text:
        raise ValueError(element.tag)
    attributes = "".join(
        f' {name}="{value}"'
        for name, value in sorted(element.attrib.items())
        if ATTRIBUTES.fullmatch(name) and VALUE.fullmatch(value)
    )
    inner = "".join(
        _serialize(child) + str(escape(html.unescape(child.tail or ""))) for child in element
    )
    return f"<{element.tag}{attributes}>{escape(text)}{inner}</{element.tag}>"
