"""The corpus of real days, as the programs here want it."""

from __future__ import annotations

import gzip
import json
import re
import sys
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from newsletter.domain.model import Criterion, Paper, Rubric

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
DAYS = [
    "2025-07-02",
    "2025-08-19",
    "2025-09-23",
    "2025-09-25",
    "2025-10-31",
    "2025-12-09",
    "2026-02-16",
    "2026-04-09",
]
ASTRONOMY_DAYS = ["astro-2025-09-16", "astro-2025-11-21", "astro-2026-02-03"]
RUBRICS = {
    "2025-07-02": "rubric-2025-07.md",
    "2025-08-19": "rubric-2025-07.md",
    "2025-09-25": "rubric-2025-09-25.md",
    "2026-04-09": "rubric-2026-04.md",
    **dict.fromkeys(ASTRONOMY_DAYS, "rubric-astro.md"),
}


def require() -> None:
    if not CORPUS.is_dir():
        sys.exit(f"this measures on the corpus of real days, which is not at {CORPUS}")


def papers(day: str, count: int | None = None) -> list[Paper]:
    """The day's papers, those really announced on it first, at most `count`."""
    with gzip.open(CORPUS / f"papers-{day}.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    rows.sort(key=lambda row: (row["padding"], row["id"]))
    return [_paper(row) for row in rows[:count]]


def labels(day: str) -> dict[str, dict[str, Any]]:
    """What the reference selected, by id."""
    lines = (CORPUS / f"labels-{day}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return {_bare(row["id"]): row for row in rows if row["relevance"] is not None}


@cache
def rubric(day: str) -> Rubric:
    """The day's own rubric, cut into criteria, bands and keywords."""
    text = (CORPUS / RUBRICS.get(day, "rubric-2025-09-23.md")).read_text(encoding="utf-8")
    bands = text.split("## Scoring Criteria")[1].split("## Papers")[0]
    topics, _, keywords = text.split("## Relevant Topics")[1].partition("**Keywords:**")
    pieces = re.split(r"^(\d+)\. (.+)$", topics, flags=re.MULTILINE)
    criteria = tuple(
        Criterion(int(pieces[place]), pieces[place + 1].strip(), pieces[place + 2].strip())
        for place in range(1, len(pieces) - 2, 3)
    )
    return Rubric(
        slug="foundation",
        title="Foundation models",
        categories=("cs.LG", "cs.AI"),
        criteria=criteria,
        preface=pieces[0].strip(),
        scoring=bands.strip(),
        keywords=keywords.strip(),
    )


def _paper(row: dict[str, Any]) -> Paper:
    return Paper(
        id=_bare(row["id"]),
        version=1,
        title=row["title"],
        authors=tuple(row["authors"]),
        abstract=row["abstract"],
        primary_category=row["primary_category"],
        categories=tuple(row["categories"]),
        published=_moment(row["published"]),
        updated=_moment(row["updated"]),
    )


def _bare(arxiv_id: str) -> str:
    return re.sub(r"v\d+$", "", arxiv_id)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
