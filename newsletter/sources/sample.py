"""Sample source: sixty invented papers of one day, for the demo and for use offline.

Five more papers are of an earlier day, and each of them has news since. Ids do not collide with
real ones (`domain/sample.py`).
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from newsletter.domain.model import Paper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsletter.domain.progress import Progress
    from newsletter.settings import Settings
    from newsletter.sources import MetadataSource, PaperSource

DAY = date(2025, 11, 18)
EARLIER = date(2025, 11, 4)


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
            for paper in [*read_earlier(), *read()]
            if start <= paper.published < end and wanted.intersection(paper.categories)
        ]
        progress(len(found), len(found))
        return found

    def metadata(self, ids: Sequence[str]) -> list[Paper]:
        later = _sample()["earlier"]["later"]
        known = {paper.id: paper for paper in [*read(), *read_earlier()]}
        return [
            replace(known[paper_id], **later.get(paper_id, {}))
            for paper_id in sorted(known.keys() & ids)
        ]


def read() -> list[Paper]:
    """The papers of the sample day, sorted by id."""
    return sorted(map(_paper, _sample()["papers"]), key=lambda paper: paper.id)


def read_earlier() -> list[Paper]:
    """The papers of the earlier day, as they were announced."""
    return sorted(map(_paper, _sample()["earlier"]["papers"]), key=lambda paper: paper.id)


@cache
def _sample() -> dict[str, Any]:
    text = files("newsletter.sources").joinpath("sample_day.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


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
_known: type[MetadataSource] = SampleSource
