"""Sanitize untrusted text (pure): for a prompt, or by `clean` for a terminal, mail, page or log.

The characters that are never shown are defined here only.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

TITLE_LIMIT = 400
ABSTRACT_LIMIT = 4_000
COMMENT_LIMIT = 600

UNUSUAL = re.compile(r"[^ -~]+")
"""Runs of anything but printable ASCII. Only these are looked at character by character."""

CONTROL_CHARACTERS = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # controls: a terminal obeys them
    "\u202a-\u202e\u2066-\u2069"  # directions: what stands around them is shown reordered
    "\U000e0000-\U000e007f"  # tags: words that only a machine reads
)
FORBIDDEN = re.compile(f"[{CONTROL_CHARACTERS}]")
"""Refused in rubrics: ordinary text never has these. Line ends and tabs are not among them."""
INVISIBLE = re.compile(
    f"[{CONTROL_CHARACTERS}\r\u00ad\u061c\u200b\u200e\u200f\u2060-\u2065\ufeff\ufff9-\ufffc\ud800-\udfff]"
)
"""Characters without a glyph that change how text is shown or read. Joiners are not among them:
some scripts need them."""

OUR_TAGS = re.compile(r"<(?=\s*/?\s*(?:paper|rubric)\b)", re.IGNORECASE)

LINK = re.compile(r"\[([^\]]*)\]\([^)\s]*\)")
# An address ends before a bracket or quote, so that the sentence around it stays whole.
URL = re.compile(r"(?:\b[a-z][a-z0-9+.-]{1,9}://|\bwww\.)[^\s<>\"')\]]*", re.IGNORECASE)
SCRIPT_URL = re.compile(r"\b(?:javascript|data|vbscript):\S*", re.IGNORECASE)
EMAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
# `1<z<1.8` and `for x<y and z>6` are no tags: a tag is a bare name, or one with attributes.
TAG = re.compile(r"</?[a-z][a-z0-9-]*(?:\s[^<>]*=[^<>]*)?\s*/?>|<!--.*?(?:-->|$)", re.IGNORECASE)
MARKUP = re.compile(r"\*\*|__|`+|~~|^\s*(?:#{1,6}|>|[-*])\s+")


def clean(text: str, instead: str = "") -> str:
    """`text` without INVISIBLE characters; `instead` takes the place of each."""
    # Most text is printable throughout, which is known ten times faster than by searching.
    return text if text.isprintable() else INVISIBLE.sub(instead, text)


def strip_invisible(text: str) -> str:
    """NFC, without control, format (zero-width, bidi), private and unassigned characters."""
    spaced = re.sub(r"[\t\n\r\f\v\u2028\u2029]+", " ", text)
    return " ".join(UNUSUAL.sub(_visible, unicodedata.normalize("NFC", spaced)).split())


def _visible(run: re.Match[str]) -> str:
    return "".join(c for c in run[0] if unicodedata.category(c)[0] != "C")


@lru_cache(maxsize=4_096)  # Each rubric's call has the same papers.
def clean_for_model(text: str, limit: int) -> str:
    """Text that stands in a prompt as data and can't close or open our own tags."""
    cleaned = OUR_TAGS.sub("&lt;", strip_invisible(text)[:limit])
    # Mostly nothing changes: then the cache holds no second copy.
    return text if cleaned == text else cleaned


def clean_rubric_for_model(text: str) -> str:
    """The same for an operator's own Markdown, whose lines are kept."""
    lines = (
        UNUSUAL.sub(_visible, line.expandtabs(4))
        for line in unicodedata.normalize("NFC", text).splitlines()
    )
    return OUR_TAGS.sub("&lt;", "\n".join(lines)).strip()


def clean_comment(text: str) -> str:
    """A model's words as plain text: no addresses, markup or invisible characters.

    A comment of reasonable length is kept; a long one is cut to one short sentence. `<` and `&`
    stay if they are part of a sentence: they are escaped where the comment is shown.
    """
    text = LINK.sub(r"\1", strip_invisible(text))
    for pattern in (TAG, SCRIPT_URL, URL, EMAIL, MARKUP):
        text = pattern.sub(" ", text)
    # A removal may join the rest to a new tag or URL: repeat until nothing changes.
    while (again := TAG.sub(" ", URL.sub(" ", text))) != text:
        text = again
    text = re.sub(r"\(\s*\)", " ", text)
    text = re.sub(r"\s+([,.;:!?])", r"\1", " ".join(text.split()))
    return text if len(text) <= COMMENT_LIMIT else first_sentence(text)


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return text[: limit - 1].rsplit(" ", 1)[0].rstrip(" ,;:.") + "…"


ABBREVIATIONS = re.compile(r"(?:\b(?:vs|e\.g|i\.e|et al|cf|Fig|Eq|Sec|resp|approx|Dr)|\b[A-Z])\.$")


def first_sentence(text: str, limit: int = 240) -> str:
    """The first sentence, cut at a word when longer than `limit` characters."""
    for end in re.finditer(r"[.!?](?=\s+[A-Z\"“(])", text):
        if not ABBREVIATIONS.search(text[: end.end()]):
            text = text[: end.end()]
            break
    return _cut(text, limit)
