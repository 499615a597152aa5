"""`rubrics list`, `pause`, `resume` and `check`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from newsletter import bootstrap
from newsletter.cli.console import note, print_json, say, screen, table
from newsletter.cli.replay import stored_days
from newsletter.cli.status import reader_rubrics_line
from newsletter.domain.categories import category_warnings
from newsletter.domain.formatting import dollars
from newsletter.domain.reader_rubrics import PausedBy, ReaderRubric, is_reader_rubric
from newsletter.domain.similarity import similarities
from newsletter.errors import OperatorError
from newsletter.operations.doctor.local import opened
from newsletter.rubrics.catalog import RubricCatalog
from newsletter.rubrics.file import load
from newsletter.rubrics.folder import RubricFolder
from newsletter.scorers import ScorerError
from newsletter.scoring.cost import estimate
from newsletter.settings import SettingsError, read_settings
from newsletter.store import reader_rubrics, subscriptions
from newsletter.store.reports import reader_rubrics as reports
from newsletter.store.reports.reader_rubrics import ReaderRubricTotals

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sqlalchemy import Connection

    from newsletter.domain.model import Rubric
    from newsletter.settings import Settings


def show_rubrics(*, as_json: bool) -> int:
    settings = read_settings()
    rubrics = bootstrap.rubrics(settings)
    readers, own = _readers(settings)
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
        say(table(f"Rubrics in {settings.rubrics_dir}", [*facts[0]], rows))
    if not as_json and (line := reader_rubrics_line(asdict(own))):
        say(line)
    for fault in (fault for faults in rubrics.faults.values() for fault in faults):
        note(f"newsletter: {fault}")
    return 1 if rubrics.faults else 0


def _readers(settings: Settings) -> tuple[Mapping[str, int], ReaderRubricTotals]:
    """Readers of each rubric, and all reader rubrics; none where there is no database yet."""
    try:
        store = bootstrap.open_store(settings)
    except bootstrap.NoDatabaseError:
        return {}, ReaderRubricTotals()
    with store.read() as tx:
        return subscriptions.count_by_rubric(tx), reports.totals(tx, bootstrap.now())


def show_reader_rubrics(*, as_json: bool) -> int:
    settings = read_settings()
    store = bootstrap.open_store(settings)
    with store.read() as tx:
        found = reports.listed(tx, bootstrap.now())
    catalog = RubricCatalog(RubricFolder(settings.rubrics_dir), bootstrap.reader_texts(store))
    facts = [
        {
            "rubric": one.rubric.slug,
            "title": _title(catalog, one.rubric.slug),
            "reader": one.email,
            "state": one.rubric.state.value,
            "paused_by": list(one.rubric.paused_by),
            "reason": one.rubric.reason,
            "saved_at": one.saved_at.isoformat(timespec="minutes"),
            "day_nanos": one.day_nanos,
            "month_nanos": one.month_nanos,
        }
        for one in found
    ]
    if as_json:
        print_json(facts)
    elif facts:
        rows = [[_amount(name, value) for name, value in fact.items()] for fact in facts]
        headings = [name.replace("_nanos", "").replace("_", " ") for name in facts[0]]
        say(table("Rubrics that readers wrote", headings, rows))
    else:
        say("No reader has written a rubric yet (NEWSLETTER_READER_RUBRICS).")
    return 0


def _title(catalog: RubricCatalog, slug: str) -> str:
    if faults := catalog.reader_faults.get(slug):
        return faults[0]
    return catalog[slug].title if slug in catalog else ""


def _amount(name: str, value: object) -> object:
    return dollars(value) if name.endswith("_nanos") and isinstance(value, int) else _cell(value)


def show_pause(slug: str, reason: str) -> int:
    if not reason.strip():
        message = "--reason TEXT is empty; say why, for the reader"
        raise SettingsError(message)
    store, now = bootstrap.open_store(read_settings()), bootstrap.now()
    with store.begin() as tx:
        known = _known(tx, slug)
        done = reader_rubrics.pause(tx, slug, PausedBy.OPERATOR, now, reason.strip())
    said = "paused; its reader sees the reason on the preferences page"
    say(f"{slug}: {said if done else f'is a {known.state.value}: no change'}")
    return 0


def show_resume(slug: str) -> int:
    store, now = bootstrap.open_store(read_settings()), bootstrap.now()
    with store.begin() as tx:
        known = _known(tx, slug)
        done = reader_rubrics.resume(tx, slug, PausedBy.OPERATOR, now)
    by_reader = PausedBy.READER in known.paused_by
    said = "resumed; its reader paused it too" if by_reader else "resumed"
    say(f"{slug}: {said if done else 'the operator has not paused it: no change'}")
    return 0


def _known(tx: Connection, slug: str) -> ReaderRubric:
    known = reader_rubrics.by_slug(tx, slug)
    if known is None:
        hint = "" if is_reader_rubric(slug) else "; only rubrics that readers wrote can be paused"
        message = f"no reader rubric {slug}{hint}; newsletter rubrics list --readers lists them"
        raise SettingsError(message)
    return known


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
    for warning in category_warnings(rubric.categories):
        console.print(f"Warning: {warning}")
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
        say(
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
    except OperatorError as problem:
        say(f"The cost of a day is known once one is stored: {problem}")
        return
    except ScorerError as error:
        say(f"The cost of a day could not be estimated: {error}")
        return
    if guess is not None:
        say(
            f"A day like {day.date}: {guess.papers:,} papers, {guess.calls} calls, about "
            f"{guess.prompt_tokens:,} tokens in and {guess.output_tokens:,} out, "
            f"{dollars(guess.nanos)}"
        )
