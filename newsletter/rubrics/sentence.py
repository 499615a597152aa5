"""A small rubric file out of one sentence: a first rubric, to be edited by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from newsletter.domain.sanitize import strip_invisible

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_SENTENCE = 500
MAX_TITLE = 60

TEMPLATE = """\
---
title: {title}
categories: [{categories}]   # every new paper of these arXiv categories is read
relevance: 7                 # both scores go from 1 to 10; papers at or above these are sent
novelty: 5
---

## Criteria

1. {name}
   - Relevant: {sentence}
   - Irrelevant: papers that only mention this, or use it without adding to it.
"""


def rubric_of_sentence(sentence: str, categories: Sequence[str]) -> str:
    """The text of a rubric file. Raises ValueError for a sentence without words, or too long."""
    line = strip_invisible(sentence)
    if not any(character.isalpha() for character in line):
        message = "it has no words; say in a sentence what you want to read about"
        raise ValueError(message)
    if len(line) > MAX_SENTENCE:
        message = f"it is longer than {MAX_SENTENCE} characters; say it in one sentence"
        raise ValueError(message)
    title = _title(line)
    return TEMPLATE.format(
        title=json.dumps(title, ensure_ascii=False),
        categories=", ".join(categories),
        name=title,
        sentence=line,
    )


def _title(line: str) -> str:
    if len(line) <= MAX_TITLE:
        return line.rstrip(".")
    return line[:MAX_TITLE].rsplit(" ", 1)[0].rstrip(".,;:") + " …"
