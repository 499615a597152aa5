"""Paragraphs of the text part: hard wrapped at 72 columns, links whole (pure)."""

from __future__ import annotations

import re
import textwrap

COLUMNS = 72
LONGEST_WORD = 60
LONG_LINE = 60
ITEM = re.compile(r"\s*(?:[-*+#>|`\[]|\d+[.)])")


def flow(text: str, indent: int = 0, hang: int = 0) -> str:
    """`text` as lines of at most 72 columns. A link is never broken; another endless word is."""
    first, rest = " " * indent, " " * (indent + hang)
    lines = textwrap.wrap(
        " ".join(piece for word in text.split() for piece in _pieces(word)),
        COLUMNS,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)


def unwrapped(text: str) -> str:
    """`text` without the line ends of an author's editor: a long line goes on in the next one.

    Blank lines, list items, headings and quotations start anew.
    """
    out: list[str] = []
    before = 0
    for line in text.splitlines():
        if before >= LONG_LINE and line.strip() and not ITEM.match(line):
            out[-1] = f"{out[-1]} {line.strip()}"
        else:
            out.append(line.rstrip())
        before = len(line)
    return "\n".join(out)


def _pieces(word: str) -> list[str]:
    if len(word) <= LONGEST_WORD or "://" in word:
        return [word]
    return [word[at : at + LONGEST_WORD] for at in range(0, len(word), LONGEST_WORD)]


def rows(text: str, indent: int = 0) -> str:
    """Many lines, each wrapped for itself."""
    return "\n".join(flow(line, indent) for line in text.splitlines())


def untagged(text: str) -> str:
    """`<b>` as `< b>`: it reads the same, and no client can take it for markup."""
    return re.sub(r"<(?=[A-Za-z/!])", "< ", text)


def tidy(text: str) -> str:
    """One blank line at most, no trailing blanks, a line end at the end, and nothing like a tag."""
    text = untagged(text)
    text = re.sub(r"[ \t]+\n", "\n", text)
    # Clients hide what follows "-- " as a signature; a line of dashes is none.
    text = re.sub(r"^--\s*$", "—", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"
