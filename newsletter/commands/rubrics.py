"""`rubrics list` and `rubrics check`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsletter import wiring
from newsletter.rubrics import load, load_all
from newsletter.settings import read_settings
from newsletter.store import subscribers
from newsletter.terminal import print_json, screen, table

if TYPE_CHECKING:
    from pathlib import Path


def show_rubrics(*, as_json: bool) -> int:
    settings = read_settings()
    rubrics = load_all(settings.rubrics_dir)
    with wiring.open_store(settings).read() as tx:
        readers = subscribers.readers(tx)
    facts = [
        {
            "rubric": rubric.slug,
            "title": rubric.title,
            "categories": list(rubric.categories),
            "relevance": rubric.relevance,
            "novelty": rubric.novelty,
            "public": rubric.public,
            "readers": readers.get(slug, 0),
        }
        for slug, rubric in sorted(rubrics.items())
    ]
    if as_json:
        print_json(facts)
        return 0
    rows = [[_joined(value) for value in fact.values()] for fact in facts]
    screen().print(table(f"Rubrics in {settings.rubrics_dir}", [*facts[0]], rows))
    return 0


def _joined(value: object) -> object:
    return ", ".join(value) if isinstance(value, list) else value


def show_rubric_check(file: Path) -> int:
    rubric = load(file)
    console = screen()
    console.print(f"{file}: all is well")
    for criterion in rubric.criteria:
        console.print(f"  {criterion.number}. {criterion.title}")
    console.print(
        f"Kept from {', '.join(rubric.categories)}: relevance {rubric.relevance} and novelty "
        f"{rubric.novelty} or more. {len(rubric.exclude)} excluded words, "
        f"{len(rubric.authors)} followed authors.",
    )
    return 0
