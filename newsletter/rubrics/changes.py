"""What a rubric says, and what differs between two versions of it, in lines for people (pure)."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from newsletter.rubrics.form import LISTS, NO_TITLE, entries_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from newsletter.rubrics.form import RubricForm

NO_LIMIT = "no limit"
TEXTS = {"preface": "Text for all criteria", "scoring": "Scores", "keywords": "Keywords"}


def description(form: RubricForm) -> list[str]:
    """The main parts of a rubric, a line each."""
    cut_offs = f"relevance at least {form.relevance}, novelty at least {form.novelty}"
    lines = [
        f"Categories: {', '.join(form.categories)}",
        f"Criteria: {'; '.join(one.title for one in form.criteria)}",
        f"Cut-offs: {cut_offs}",
    ]
    for name, label in LISTS.items():
        if entries := entries_of(form, name):
            lines.append(f"{label}: {', '.join(entries)}")
    if form.max_papers:
        lines.append(f"Length: at most {form.max_papers} papers an email")
    return lines


def changes(before: RubricForm, after: RubricForm) -> list[str]:
    """What differs, a line each; nothing for equal rubrics."""
    lines = []
    if before.title != after.title:
        lines.append(f"Title: “{after.title}”, it was “{before.title}”")
    lines += _listed("Categories", before.categories, after.categories)
    lines += _of_criteria(before, after)
    for label, old, new in (
        ("Relevance cut-off", before.relevance, after.relevance),
        ("Novelty cut-off", before.novelty, after.novelty),
        ("Length", before.max_papers or NO_LIMIT, after.max_papers or NO_LIMIT),
    ):
        if old != new:
            lines.append(f"{label}: {new}, it was {old}")
    for name, label in LISTS.items():
        lines += _listed(label, entries_of(before, name), entries_of(after, name))
    for name, label in TEXTS.items():
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            lines.append(f"{label}: {'changed' if old and new else 'added' if new else 'removed'}")
    return lines


def differing_lines(before: str, after: str) -> list[tuple[str, str]]:
    """The lines of two texts that differ, each with `-` or `+`; one around them has a space."""
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=1, lineterm=""))
    # Two lines of file names, then the changed places, each below a line that begins with @.
    return [(line[:1], line[1:]) for line in lines[2:] if not line.startswith("@")]


def _listed(label: str, before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    added = [one for one in after if one not in before]
    removed = [one for one in before if one not in after]
    for verb, entries in (("added", added), ("removed", removed)):
        if entries:
            yield f"{label} {verb}: {', '.join(entries)}"


def _of_criteria(before: RubricForm, after: RubricForm) -> Iterator[str]:
    """Criteria are told apart by their titles."""
    old = {one.title or NO_TITLE: one for one in before.criteria}
    new = {one.title or NO_TITLE: one for one in after.criteria}
    yield from _listed("Criteria", list(old), list(new))
    changed = [title for title in new if title in old and new[title] != old[title]]
    if changed:
        yield f"Criteria changed: {', '.join(changed)}"
    if old.keys() == new.keys() and list(old) != list(new):
        yield "Order of the criteria: changed"
