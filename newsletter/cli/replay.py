"""`rubrics replay`: what a changed rubric would have picked, lost and cost on stored days."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from newsletter import bootstrap
from newsletter.cli.console import note, print_json, progress, say, screen, table
from newsletter.domain.formatting import dollars, plural
from newsletter.errors import OperatorError
from newsletter.rubrics.file import load
from newsletter.scoring.cost import preview_cost, unscored
from newsletter.scoring.labelled_days import read_labels
from newsletter.scoring.replay import (
    RepeatScorer,
    Replayed,
    StoredDay,
    agreement,
    compare_with_labels,
    replay,
    rescore,
    stored_scores,
    unread_reason,
)
from newsletter.scoring.triage import triage
from newsletter.scoring.workload import scoring_limits
from newsletter.settings import read_settings
from newsletter.store import digests, papers

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date
    from pathlib import Path

    from newsletter.context import App
    from newsletter.domain.model import Paper, Rubric, Usage
    from newsletter.scorers import Scorer
    from newsletter.scoring.run import RubricScores
    from newsletter.store import Store


def show_replay(file: Path, days: int, *, dry_run: bool, as_json: bool) -> int:
    """Score the last stored days with the rubric of `file`. Sends and stores no digest."""
    app = bootstrap.build_app(read_settings(), create=False)
    rubric = load(file)
    found = stored_days(app.store, rubric, days)
    at_most = _price(app, rubric, found)
    note(
        f"{plural(len(found), 'stored day')}, "
        f"{plural(sum(len(day.papers) for day in found), 'paper')}: "
        f"at most {dollars(at_most)} for papers without a score"
    )
    if dry_run:
        return 0
    with progress(screen(errors=True)) as report:
        done = replay(
            app.store,
            app.scorer,
            _mailed_rubric(app, rubric.slug),
            rubric,
            found,
            scoring_limits(app.settings, app.stop),
            clock=app.clock,
            progress=lambda part, total: report(f"Scoring {rubric.slug}", part, total),
        )
    if as_json:
        print_json([_facts(one) for one in done])
    else:
        _show(done, {paper.id: paper for day in found for paper in day.papers})
    gaps = [_gap(one.date, one.read, one.to_read, one.unread_reason) for one in done]
    return report_unscored(gap for gap in gaps if gap)


def show_again(file: Path, *, as_json: bool) -> int:
    """Score the newest stored day again and compare the two runs."""
    app = bootstrap.build_app(read_settings(), create=False)
    rubric = load(file)
    [day] = stored_days(app.store, rubric, 1)
    before = stored_scores(app.store, app.scorer, rubric, day)
    if not before:
        message = f"{rubric.slug} has no scores of {day.date} to compare with; run that day first"
        raise OperatorError(message)
    second = _scored(app, RepeatScorer(app.scorer, f"{app.clock():%Y%m%dT%H%M%S}"), rubric, day)
    _require_compared(before, second)
    return _show_figures(
        asdict(agreement(rubric, before, second.scores)), day, second, as_json=as_json
    )


def show_labels(file: Path, labels: Path, *, as_json: bool) -> int:
    """Score the stored day that the labels belong to and compare with them."""
    app = bootstrap.build_app(read_settings(), create=False)
    rubric = load(file)
    known = read_labels(labels)
    day = next(
        (d for d in stored_days(app.store, rubric, 60) if known.keys() <= {p.id for p in d.papers}),
        None,
    )
    if day is None:
        message = f"no stored day holds all {len(known)} papers of {labels}; fetch that day first"
        raise OperatorError(message)
    scored = _scored(app, app.scorer, rubric, day)
    _require_compared(known, scored)
    return _show_figures(
        asdict(compare_with_labels(rubric, known, scored.scores)), day, scored, as_json=as_json
    )


def _require_compared(known: Iterable[str], scored: RubricScores) -> None:
    """Raises OperatorError where no paper has both scores: two empty sets would agree."""
    if not scored.scores.keys() & set(known):
        reason = unread_reason(scored) or "see `exclude` in the rubric"
        message = f"nothing was compared: none of these papers has a score: {reason}"
        raise OperatorError(message)


def _scored(app: App, scorer: Scorer, rubric: Rubric, day: StoredDay) -> RubricScores:
    with progress(screen(errors=True)) as report:
        return rescore(
            app.store,
            scorer,
            rubric,
            day,
            scoring_limits(app.settings, app.stop),
            clock=app.clock,
            progress=lambda part, total: report(f"Scoring {rubric.slug}", part, total),
        )


def stored_days(store: Store, rubric: Rubric, most: int) -> list[StoredDay]:
    """The last days that were fetched in the rubric's categories. Raises OperatorError for none."""
    with store.read() as tx:
        found = [
            StoredDay(day, [one.paper for one in papers.listed(tx, rubric.categories, day)])
            for day in papers.dates(tx, rubric.categories, most)
        ]
    if not found:
        message = (
            f"no day of {', '.join(rubric.categories)} is stored yet; run first: newsletter run"
        )
        raise OperatorError(message)
    return found


def _mailed_rubric(app: App, slug: str) -> Rubric | None:
    """The rubric of the newest stored digest."""
    with app.store.read() as tx:
        newest = digests.latest(tx, slug)
    return newest[1].rubric if newest else None


def _price(app: App, rubric: Rubric, days: Iterable[StoredDay]) -> int:
    total = 0
    for day in days:
        to_read = triage(rubric, day.papers).to_read
        missing = unscored(app.store, app.scorer, rubric, day.date, to_read)
        bound = preview_cost(app.scorer, rubric, day.date, missing, app.clock()).upper_nanos
        total += min(bound, app.settings.budget_nanos)
    return total


def _cost(usage: Iterable[Usage]) -> int:
    return sum(one.total_nanos for one in usage)


def _facts(one: Replayed) -> dict[str, Any]:
    return {
        "date": one.date.isoformat(),
        "gained": one.gained,
        "lost": one.lost,
        "kept": one.kept,
        "compared": one.compared,
        "read": one.read,
        "to_read": one.to_read,
        "cost_nanos": _cost(one.usage),
    }


def _show(done: list[Replayed], papers: dict[str, Paper]) -> None:
    rows = [
        (
            f"{one.date}",
            len(one.gained),
            len(one.lost),
            len(one.kept),
            f"{one.read} of {one.to_read}",
            dollars(_cost(one.usage)),
        )
        for one in done
    ]
    out = screen()
    headings = ("date", "gained", "lost", "kept", "read", "cost")
    out.print(table("With the changed rubric", headings, rows))
    for one in done:
        if not one.compared:
            out.print(f"{one.date}: never scored with the old rubric, so all picks count as gained")
        for sign, ids in (("+", one.gained), ("-", one.lost)):
            for paper_id in ids:
                out.print(f"{one.date} {sign} {paper_id} {papers[paper_id].title}")
    out.print("Nothing was mailed, and no digest changed.")


def _show_figures(
    figures: dict[str, Any], day: StoredDay, scored: RubricScores, *, as_json: bool
) -> int:
    """Print how far two scorings of a day agree. Returns the exit status."""
    read, to_read, cost = len(scored.scores), len(scored.outcomes), _cost(scored.usage)
    if as_json:
        print_json(figures | {"read": read, "to_read": to_read, "cost_nanos": cost})
    else:
        rows = [(name.replace("_", " "), figure(value)) for name, value in figures.items()]
        rows += [("read", f"{read} of {to_read}"), ("cost", dollars(cost))]
        say(table("Agreement", ("figure", "value"), rows))
    gap = _gap(day.date, read, to_read, unread_reason(scored))
    return report_unscored([gap] if gap else [])


def figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _gap(day: date, read: int, to_read: int, reason: str) -> str:
    return f"{day}: {read} of {to_read} papers were scored: {reason}" if reason else ""


def report_unscored(gaps: Iterable[str]) -> int:
    """Print what was not scored. Returns the exit status."""
    found = list(gaps)
    for gap in found:
        note(f"newsletter: {gap}")
    return 1 if found else 0
