"""Sanitized text of at most one line, with TeX as Unicode (pure)."""

from __future__ import annotations

from functools import lru_cache

from newsletter.domain.sanitize import clean
from newsletter.render.tex import to_unicode
from newsletter.render.truncate import clip_words


@lru_cache(maxsize=16384)
def one_line(text: str, max_length: int) -> str:
    """Untrusted text for one line: sanitized, TeX as Unicode, at most `max_length` characters."""
    # Very long text is cut before its TeX is parsed, to bound the time.
    return clip_words(to_unicode(clean(text)[: 4 * max_length]), max_length)
