"""Wraps the text part at 72 columns; URLs stay whole (pure).

No format=flowed (RFC 3676): Gmail and Outlook ignore it, and SendGrid refuses the parameter.
"""

from __future__ import annotations

import re
import textwrap

COLUMNS = 72
MAX_WORD = 60


def wrap(text: str, indent: int = 0, hang: int = 0) -> str:
    """`text` in lines of at most 72 columns. A URL is never broken; another long word is."""
    first, rest = " " * indent, " " * (indent + hang)
    lines = textwrap.wrap(
        " ".join(part for word in text.split() for part in _split_long(word)),
        COLUMNS,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)


def _split_long(word: str) -> list[str]:
    if len(word) <= MAX_WORD or "://" in word:
        return [word]
    return [word[start : start + MAX_WORD] for start in range(0, len(word), MAX_WORD)]


def wrap_lines(text: str, indent: int = 0) -> str:
    """Each line of `text` wrapped on its own."""
    return "\n".join(wrap(line, indent) for line in text.splitlines())


def break_tags(text: str) -> str:
    """`<b>` as `< b>`: readable, and no mail client takes it for markup."""
    return re.sub(r"<(?=[A-Za-z/!])", "< ", text)


def tidy(text: str) -> str:
    """At most one blank line in a row, no trailing blanks, one final line end, no tags."""
    text = break_tags(text)
    text = re.sub(r"[ \t]+\n", "\n", text)
    # A line "-- " starts a signature (RFC 3676, section 4.3), which many clients hide.
    text = re.sub(r"^--\s*$", "—", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"
