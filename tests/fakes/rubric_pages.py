"""The pages of readers' own rubrics over HTTP, with stored days, votes and a model on loopback."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from newsletter.domain.announcements import FetchRecord, ListingEntry
from newsletter.scorers.claude.draft import ClaudeDrafter
from newsletter.scorers.claude.scorer import ClaudeScorer
from newsletter.store import papers as paper_store
from newsletter.store import reader_rubrics
from newsletter.web.context import Site
from tests.fakes.pages import LINKS, NOW, application, paper
from tests.fakes.scoring import settings as claude_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from newsletter.domain.mail import Subscription
    from newsletter.domain.model import Paper
    from newsletter.store import Store
    from tests.fakes.anthropic import FakeAnthropic
    from tests.fakes.browser import Browser, Page

ON = {"reader_rubrics": 3}
DRAFT = {
    "title": "Smaller language models",
    "categories": ["cs.LG"],
    "criteria": [
        {
            "name": "Quantization",
            "relevant": "new ways to store weights in few bits.",
            "irrelevant": "another benchmark of known ways.",
        }
    ],
    "keywords": ["quantization"],
}
RUBRIC = """---
title: Pruning
categories: [cs.LG]
relevance: 7
novelty: 7
---

## Criteria

1. Pruning of networks
   - Relevant: which weights of a network can be pruned.
"""


def site_of(
    store: Store, fake: FakeAnthropic | None = None, clock: Any = None, **more: object
) -> Site:
    """A site with reader rubrics turned on; with `fake` it has a key."""
    app = application(store, clock=clock, **{**ON, **more})
    if fake:
        known = claude_settings(fake.url, second_opinion=False)
        app = replace(app, scorer=ClaudeScorer(known), drafter=ClaudeDrafter(known))
    return Site(app)


def list_day(store: Store, day: date, found: Iterable[Paper], category: str = "cs.LG") -> None:
    """Papers announced on a day, as a complete fetch stores them."""
    stored = list(found)
    with store.begin() as tx:
        paper_store.keep(tx, stored)
        entries = [ListingEntry(category, one.id) for one in stored]
        paper_store.list_papers(tx, day, entries, late=False)
        paper_store.mark_fetched(tx, [FetchRecord(category, day, NOW, len(stored))])


def subjects(count: int = 24) -> list[Paper]:
    """Papers about pruning, robots and proteins in turn."""
    kinds = [
        "Pruning weights of networks without losing accuracy",
        "Robots that walk on rough ground with two legs",
        "Folding of proteins in water under pressure",
    ]
    return [
        paper(f"2509.{n:05d}", f"{kinds[n % 3]} {n}", f"We study {kinds[n % 3].lower()}, case {n}.")
        for n in range(1, count + 1)
    ]


def path_of(person: Subscription, end: str) -> str:
    return LINKS.reader_rubric_url(person.id, end).removeprefix("http://127.0.0.1")


def save_draft(store: Store, person: Subscription, text: str = RUBRIC, **more: object) -> str:
    """The reader's draft; its slug."""
    with store.begin() as tx:
        return reader_rubrics.create(tx, person.subscriber_id, text, NOW, limit=9, **more)  # type: ignore[arg-type]


def post_files(web: Browser, path: str, fields: Mapping[str, str | bytes], **headers: str) -> Page:
    """Post a multipart form, as a browser does; bytes are a file."""
    mark = uuid4().hex
    body = b""
    for name, value in fields.items():
        is_file = isinstance(value, bytes)
        more = '; filename="mine.bib"' if is_file else ""
        body += f'--{mark}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode()
        body += (value if isinstance(value, bytes) else value.encode()) + b"\r\n"
    body += f"--{mark}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={mark}"}
    return web.ask("POST", path, body, {**kind, **headers})
