"""Outside text and figures as a reader sees them (pure)."""

from __future__ import annotations

from functools import lru_cache

from newsletter.domain.sanitize import clean
from newsletter.render.tex import to_unicode
from newsletter.render.truncate import clip_words


@lru_cache(maxsize=16384)
def shown(text: str, longest: int) -> str:
    """Outside text for one line: TeX as Unicode, at most `longest` characters."""
    # What is far too long is cut before TeX is read: its meaning is lost either way.
    return clip_words(to_unicode(clean(text)[: 4 * longest]), longest)
