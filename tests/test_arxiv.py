"""The arXiv source against a loopback arXiv: what it asks, what it reads, and how it fails."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from newsletter.announcements import announcement
from newsletter.settings import Settings
from newsletter.sources import SourceError
from newsletter.sources.arxiv.line import (
    NoAnswerError,
    RefusedError,
    ThrottledError,
    UnreachableError,
)
from newsletter.sources.arxiv import PAGE, Arxiv, PartialError
from tests.fakes import arxiv as world
from tests.fakes.arxiv import FakeArxiv, into_window, row

CORPUS = Path(__file__).parents[1].parent / "shared" / "corpus"
DAY = date(2025, 9, 23)
WINDOW = announcement(DAY)


def quiet(_done: int, _total: int) -> None:
    """Nobody watches."""


def source(fake: FakeArxiv, sleeps: list[float] | None = None, delay: float = 3.0) -> Arxiv:
    settings = Settings(arxiv_api_url=fake.url, arxiv_delay_seconds=delay)
    return Arxiv(settings, sleep=[].append if sleeps is None else sleeps.append)


def ask(arxiv: Arxiv, *categories: str):
    return arxiv.submitted(categories or ("cs.LG",), WINDOW.start, WINDOW.end, quiet)


def some(count: int):
    step = (WINDOW.end - WINDOW.start) / count
    return [row(f"2509.{n:05d}v1", WINDOW.start + step * n) for n in range(1, count)] + [
        row("2509.00000v1", WINDOW.start)
    ]


def test_a_day_comes_whole_and_by_id():
    with FakeArxiv(some(30)) as fake:
        found = ask(source(fake))
    assert [paper.id for paper in found] == [f"2509.{n:05d}" for n in range(30)]
    (request,) = fake.requests
    assert request.params == {
        "search_query": "(cat:cs.LG) AND submittedDate:[202509191800 TO 202509221800]",
        "sortBy": "submittedDate",
        "sortOrder": "ascending",
        "start": "0",
        "max_results": "2000",
    }
