"""`rubrics list` and `rubrics check`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsletter import bootstrap
from newsletter.cli.console import print_json, screen, table
from newsletter.cli.replay import stored_days
from newsletter.domain.categories import doubts
from newsletter.domain.formatting import dollars
from newsletter.domain.similarity import similarities
from newsletter.errors import OperatorError
from newsletter.operations.doctor.local import opened
from newsletter.rubrics.file import load
from newsletter.scorers import ScorerError
from newsletter.scoring.cost import estimate
from newsletter.settings import read_settings
from newsletter.store import subscriptions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from newsletter.domain.model import Rubric
    from newsletter.settings import Settings


def show_rubrics(*, as_json: bool) -> int:
    settings = read_settings()
    rubrics = bootstrap.rubrics(settings)
    readers = _readers(settings)
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
    elif facts:
        rows = [[_cell(value) for value in fact.values()] for fact in facts]
        screen().print(table(f"Rubrics in {settings.rubrics_dir}", [*facts[0]], rows))
    for fault in (fault for faults in rubrics.faults.values() for fault in faults):
        screen(errors=True).print(f"newsletter: {fault}")
    return 1 if rubrics.faults else 0


def _readers(settings: Settings) -> Mapping[str, int]:
    """Readers of each rubric; none where the database does not exist yet."""
    try:
        store = bootstrap.open_store(settings)
    except bootstrap.NoDatabaseError:
        return {}
    with store.read() as tx:
        return subscriptions.count_by_rubric(tx)


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else value


def show_rubric_check(file: Path) -> int:
    rubric = load(file)
    console = screen()
    console.print(f"{file}: OK")
    for criterion in rubric.criteria:
        console.print(f"  {criterion.number}. {criterion.title}")
    console.print(
        f"Picks from {', '.join(rubric.categories)}: relevance {rubric.relevance} and novelty "
        f"{rubric.novelty} or more. {len(rubric.exclude)} excluded words, "
        f"{len(rubric.authors)} followed authors.",
    )
    for doubt in doubts(rubric.categories):
        console.print(f"Warning: {doubt}")
    _say_price(rubric)
    return 0


def _say_not_compared(settings: Settings, rubric: Rubric) -> None:
    """Warn if local ranking cannot compare the rubric with the newest stored day."""
    try:
        store = opened(settings)
        if store is None:
            return
        [day] = stored_days(store, rubric, 1)
    except OperatorError:
        return
    if not any(similarities(rubric, day.papers)):
        screen().print(
            f"Warning: local ranking can't compare it: it shares no word with the "
            f"{len(day.papers)} papers of {day.date}. Write it in English and about its "
            "categories, or set ANTHROPIC_API_KEY"
        )


def _say_price(rubric: Rubric) -> None:
    """Print what a day costs, by the vendor's token count, which is free."""
    settings = read_settings()
    if settings.scorer_name == "local":
        _say_not_compared(settings, rubric)
        return
    try:
        # No mailer and no templates: they would take half of the command's time.
        [day] = stored_days(bootstrap.open_store(settings), rubric, 1)
        scorer = bootstrap.build_scorer(settings)
        guess = estimate(scorer, rubric, day.papers, day.date, bootstrap.now())
    except OperatorError as trouble:
        screen().print(f"The cost of a day is known once one is stored: {trouble}")
        return
    except ScorerError as error:
        screen().print(f"The cost of a day could not be estimated: {error}")
        return
    if guess is not None:
        screen().print(
            f"A day like {day.date}: {guess.papers:,} papers, {guess.calls} calls, about "
            f"{guess.prompt_tokens:,} tokens in and {guess.output_tokens:,} out, "
            f"{dollars(guess.nanos)}"
        )
