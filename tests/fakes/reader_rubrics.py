"""Rubrics that readers wrote: saved as by the web pages, and read together with files."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from newsletter.domain.mail import Subscription
from newsletter.rubrics.catalog import RubricCatalog
from newsletter.rubrics.folder import RubricFolder
from newsletter.store import reader_rubrics, subscriptions

if TYPE_CHECKING:
    from pathlib import Path

    from newsletter.store import Store

WRITTEN = datetime(2025, 9, 1, 6, 0, tzinfo=UTC)
TEXT = """---
title: {title}
categories: [{category}]
public: true
---

## Criteria

1. {title}
   - Relevant: everything about them.
"""


def text(title: str = "Dwarf galaxies", category: str = "cs.LG") -> str:
    """The same text for the same title: such rubrics share their scores."""
    return TEXT.format(title=title, category=category)


def add_reader(store: Store, number: int, rubric: str = "models") -> str:
    """A subscriber who reads a rubric of the operator's; return their id."""
    one = Subscription(f"{number:032x}", f"own{number}@example.org", rubric)
    with store.begin() as tx:
        subscriptions.insert_new(tx, one, WRITTEN)
    return one.id


def save_rubric(store: Store, subscriber_id: str, markdown: str = "") -> str:
    """Write a rubric, submit and confirm it; return its slug."""
    with store.begin() as tx:
        slug = reader_rubrics.create(tx, subscriber_id, markdown or text(), WRITTEN, limit=100)
        version = reader_rubrics.submit(tx, slug, WRITTEN)
        assert version is not None
        reader_rubrics.confirm(tx, slug, version, WRITTEN)
    return slug


def catalog_of(store: Store, folder: Path, *titles: str) -> RubricCatalog:
    """The rubrics of a folder with a file for each title (`models` for Models), and of readers."""
    folder.mkdir(exist_ok=True)
    for title in titles:
        (folder / f"{title.lower()}.md").write_text(text(title), encoding="utf-8")
    return RubricCatalog(RubricFolder(folder), partial(reader_rubrics.changed_texts, store))
