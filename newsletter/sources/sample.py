"""Sample source: sixty invented papers of one day, for the demo and for use offline.

Their ids do not collide with real ones: their numbers begin at 90,001, and arXiv has never reached
40,000 papers in a month.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from newsletter.domain.model import Paper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsletter.domain.progress import Progress
    from newsletter.settings import Settings
    from newsletter.sources import PaperSource

DAY = date(2025, 11, 18)


class SampleSource:
    """A source with one announcement, which is always the newest."""

    def __init__(self, settings: Settings) -> None:
        del settings

    def newest(self, now: datetime) -> date:
        del now
        return DAY

    def submitted(
        self, categories: Sequence[str], start: datetime, end: datetime, progress: Progress
    ) -> list[Paper]:
        wanted = set(categories)
        found = [
            paper
            for paper in read()
            if start <= paper.published < end and wanted.intersection(paper.categories)
        ]
        progress(len(found), len(found))
        return found


def read() -> list[Paper]:
    """All sample papers, sorted by id."""
    text = files("newsletter.sources").joinpath("sample_day.json").read_text(encoding="utf-8")
    return sorted(map(_paper, json.loads(text)["papers"]), key=lambda paper: paper.id)


def _paper(row: dict[str, Any]) -> Paper:
    submitted = datetime.fromisoformat(row["published"])
    return Paper(
        id=row["id"],
        version=1,
        title=row["title"],
        authors=tuple(row["authors"]),
        abstract=row["abstract"],
        primary_category=row["categories"][0],
        categories=tuple(row["categories"]),
        published=submitted,
        updated=submitted,
        comment=row["comment"],
    )


_: type[PaperSource] = SampleSource
