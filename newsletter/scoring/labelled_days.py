"""Labelled days: a folder of papers and of the scores that somebody gave them, as JSON lines.

    rubric.md                            the rubric that the labels were given by
    papers-2025-09-23.jsonl (or .gz)     {"id", "title", "abstract", "authors", "categories"}
    labels-2025-09-23.jsonl              {"id", "relevance", "novelty"}

A paper without a label counts as one below the cut-offs. Other fields are ignored.
"""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from newsletter.domain.model import Paper
from newsletter.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

VERSION = re.compile(r"v\d+$")
MAX_BYTES = 64 * 2**20
"""Of one file, unpacked: the largest day of arXiv has some 5 MB."""


@dataclass(frozen=True, slots=True)
class LabelledDay:
    """`labels` are (relevance, novelty), each 1 to 10, by paper id."""

    date: date
    papers: Sequence[Paper]
    labels: Mapping[str, tuple[int, int]]


def read_days(folder: Path) -> list[LabelledDay]:
    """The labelled days of a folder, oldest first. Raises OperatorError where there is none."""
    found = []
    for file in sorted(folder.glob("labels-????-??-??.jsonl")):
        day = _date(file)
        listed = [folder / f"papers-{day}.jsonl{end}" for end in ("", ".gz")]
        source = next((one for one in listed if one.is_file()), None)
        if source is None:
            message = f"{folder}: there is {file.name}, but no {listed[0].name} or {listed[1].name}"
            raise OperatorError(message)
        papers, labels = read_papers(source, day), read_labels(file)
        if not labels.keys() & {paper.id for paper in papers}:
            message = f"{file}: none of its labels is of a paper of {source.name}"
            raise OperatorError(message)
        found.append(LabelledDay(day, papers, labels))
    if not found:
        message = (
            f"{folder} holds no labelled day: a day is papers-YYYY-MM-DD.jsonl (or .jsonl.gz) and "
            "labels-YYYY-MM-DD.jsonl; see docs/rubrics.md"
        )
        raise OperatorError(message)
    return found


def read_papers(file: Path, day: date) -> list[Paper]:
    papers = {}
    for number, row in _rows(file):
        try:
            paper = _paper(row, day)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            message = f"{file}:{number}: this is no paper ({type(error).__name__}: {error})"
            raise OperatorError(message) from error
        papers[paper.id] = paper
    return list(papers.values())


def read_labels(file: Path) -> dict[str, tuple[int, int]]:
    """(relevance, novelty) by id; a version in an id is dropped, a row without scores ignored.

    Raises OperatorError for a file without a label: there is nothing to compare.
    """
    found = {}
    for number, row in _rows(file):
        try:
            if row["relevance"] is not None and row["novelty"] is not None:
                scores = int(row["relevance"]), int(row["novelty"])
                found[VERSION.sub("", row["id"])] = scores
        except (KeyError, TypeError, ValueError) as error:
            message = (
                f'{file}:{number}: each line must be {{"id": …, "relevance": …, "novelty": …}} '
                f"({type(error).__name__}: {error})"
            )
            raise OperatorError(message) from error
    if not found:
        message = (
            f"{file} has no labels, so nothing was compared; each line must be "
            '{"id": …, "relevance": …, "novelty": …}'
        )
        raise OperatorError(message)
    return found


def _paper(row: dict[str, Any], day: date) -> Paper:
    categories = tuple(str(one) for one in row["categories"])
    published = row.get("published")
    submitted = (
        datetime.fromisoformat(published).astimezone(UTC)
        if published
        else datetime(day.year, day.month, day.day, tzinfo=UTC)
    )
    return Paper(
        id=VERSION.sub("", row["id"]),
        version=1,
        title=" ".join(row["title"].split()),
        authors=tuple(str(one) for one in row.get("authors", ())),
        abstract=row["abstract"].strip(),
        primary_category=categories[0],
        categories=categories,
        published=submitted,
        updated=submitted,
    )


def _rows(file: Path) -> list[tuple[int, dict[str, Any]]]:
    """The objects of a JSON lines file with their line numbers."""
    number = 0
    rows = []
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            message = f"{file} has more than {MAX_BYTES // 2**20} MB"
            raise OperatorError(message)
        for number, line in enumerate(data.decode().splitlines(), 1):
            if line.strip():
                row = json.loads(line)
                if not isinstance(row, dict):
                    message = f"{file}:{number}: each line must be one JSON object"
                    raise OperatorError(message)
                rows.append((number, row))
    except (OSError, EOFError) as error:
        message = f"cannot read {file}: {getattr(error, 'strerror', '') or error}"
        raise OperatorError(message) from error
    except (ValueError, RecursionError) as error:
        message = f"{file}:{number}: this is not JSON in UTF-8 ({error})"
        raise OperatorError(message) from error
    return rows


def _date(file: Path) -> date:
    text = file.name[len("labels-") :][:10]
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        message = f"{file}: {text} is no date"
        raise OperatorError(message) from error
