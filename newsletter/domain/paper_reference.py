"""Which paper a reader means: an arXiv id, an address that contains one, or a title (pure)."""

from __future__ import annotations

import re
from typing import NamedTuple

from newsletter.domain.sanitize import strip_invisible

BARE_ID = r"\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7}"
"""An arXiv id without a version, of any age."""
NAMED_ID = re.compile(
    r"(?:(?<![\d.])|(?<=[a-z]\.))(?:(\d{4}\.\d{4,5})|(?<![a-z])([a-z][a-z-]*)(?:\.[A-Z]{2})?/(\d{7}))"
    r"(?:v[1-9]\d?)?(?![\w/])",
    re.ASCII | re.IGNORECASE,
)
QUOTES = "\"'\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u2039\u203a"
MAX_TITLE = 200
"""Characters of a title that are compared: the index of titles has no more."""
MIN_TITLE = 8
"""The beginning of a title with fewer characters would match too many papers."""


class PaperReference(NamedTuple):
    """Exactly one of both is set; neither where the text names no paper."""

    paper_id: str = ""
    title: str = ""


def parse_reference(text: str) -> PaperReference:
    """The paper that `text` names: `2509.12345v2`, `arXiv:math/0309136`, a URL, a title."""
    line = " ".join(strip_invisible(text[: 10 * MAX_TITLE]).split())
    if found := NAMED_ID.search(line):
        new, archive, number = found.groups()
        # Papers of before 2007 may be written with a subject class, as math.GT/0309136.
        return PaperReference(paper_id=new or f"{archive.lower()}/{number}")
    title = line.strip(f"{QUOTES} ").rstrip("\u2026. ").strip(f"{QUOTES} ")[:MAX_TITLE]
    return PaperReference(title=title if len(title) >= MIN_TITLE else "")
