"""`rubrics bench`: compare the prompt versions over labelled days."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, NamedTuple

from newsletter import bootstrap
from newsletter.cli.console import confirm, note, print_json, progress, say, screen, table
from newsletter.cli.replay import figure, report_unscored
from newsletter.domain.formatting import dollars, plural
from newsletter.domain.model import NANOS_PER_DOLLAR
from newsletter.process import stop_on_signal
from newsletter.rubrics.file import load
from newsletter.scoring.cost import preview_cost
from newsletter.scoring.labelled_days import read_days
from newsletter.scoring.prompt_bench import PromptFigures, PromptRun, figures, run_prompt
from newsletter.scoring.triage import triage
from newsletter.scoring.workload import scoring_limits
from newsletter.settings import SettingsError, read_settings
from newsletter.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from newsletter.domain.model import Rubric
    from newsletter.scorers import Scorer
    from newsletter.scoring.labelled_days import LabelledDay
    from newsletter.settings import Settings

DATABASE = "bench.sqlite3"
RUBRIC = "rubric.md"


class BenchPlan(NamedTuple):
    """The runs to be made: each (prompt version, repeat, day)."""

    rubric: Rubric
    days: Sequence[LabelledDay]
    scorers: Mapping[str, Scorer]
    repeats: int

    @property
    def runs(self) -> list[tuple[str, int, LabelledDay]]:
        """Version by version within a day: an interrupted bench can still compare whole days."""
        return [
            (version, repeat, day)
            for day in self.days
            for repeat in range(1, self.repeats + 1)
            for version in self.scorers
        ]


def show_bench(
    folder: Path,
    versions: Sequence[str],
    *,
    repeats: int,
    budget_usd: float,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Score the labelled days of `folder` with each prompt version, and print how they compare."""
    settings = read_settings()
    plan = _plan(settings, folder, versions, repeats)
    at_most = _upper_nanos(plan)
    note(
        f"{plural(len(plan.days), 'labelled day')}, "
        f"{plural(sum(len(day.papers) for day in plan.days), 'paper')}, "
        f"{plural(len(plan.scorers), 'prompt version')}, {plural(repeats, 'repeat')}: the first "
        f"pass costs at most {dollars(at_most)}; all calls together at most ${budget_usd:,.2f} "
        "(--budget-usd). What an earlier bench paid is not paid again."
    )
    if dry_run:
        return 0
    if not yes:
        confirm(f"Make these calls, and keep their answers in {folder / DATABASE}?")
    runs = _run(settings, folder, plan, int(budget_usd * NANOS_PER_DOLLAR))
    _show(plan, runs, as_json=as_json)
    return report_unscored(
        f"{run.day.date}, prompt {run.version}, repeat {run.repeat}: "
        f"{run.read} of {run.papers} papers were scored: {run.unread_reason}"
        for run in runs
        if run.unread_reason
    )


def _plan(settings: Settings, folder: Path, versions: Sequence[str], repeats: int) -> BenchPlan:
    if settings.scorer_name != "claude":
        message = "rubrics bench compares prompts of Claude: set ANTHROPIC_API_KEY"
        raise SettingsError(message)
    scorers = {
        version: bootstrap.build_scorer(settings.model_copy(update={"prompt_version": version}))
        for version in versions
    }
    return BenchPlan(load(folder / RUBRIC), read_days(folder), scorers, repeats)


def _upper_nanos(plan: BenchPlan) -> int:
    """The most that the first passes cost if nothing is stored yet."""
    now = bootstrap.now()
    return (
        sum(
            preview_cost(
                scorer, plan.rubric, day.date, triage(plan.rubric, day.papers).to_read, now
            ).upper_nanos
            for day in plan.days
            for scorer in plan.scorers.values()
        )
        * plan.repeats
    )


def _run(settings: Settings, folder: Path, plan: BenchPlan, budget_nanos: int) -> list[PromptRun]:
    stop = Event()
    store = Store(f"sqlite:///{folder / DATABASE}")
    store.migrate()
    limits = replace(
        scoring_limits(settings, stop), budget_nanos=budget_nanos, month_budget_nanos=budget_nanos
    )
    done: list[PromptRun] = []
    with stop_on_signal(stop), progress(screen(errors=True)) as report:
        for version, repeat, day in plan.runs:
            if stop.is_set():
                break
            done.append(
                run_prompt(
                    store,
                    plan.scorers[version],
                    version,
                    repeat,
                    plan.rubric,
                    day,
                    limits,
                    clock=bootstrap.now,
                    progress=partial(report, f"{day.date}, prompt {version}, repeat {repeat}"),
                )
            )
    return done


def _show(plan: BenchPlan, runs: Sequence[PromptRun], *, as_json: bool) -> None:
    by_version = {v: [run for run in runs if run.version == v] for v in plan.scorers}
    found = [figures(version, own) for version, own in by_version.items() if own]
    if as_json:
        print_json([asdict(one) for one in found])
        return
    columns = [_column(one) for one in found]
    headings = ["figure", *(f"prompt {one.version}" for one in found)]
    rows = [[name, *(column[name] for column in columns)] for name in (columns or [{}])[0]]
    say(table("Prompt versions against the labels", headings, rows))


def _column(one: PromptFigures) -> dict[str, str]:
    """The figures of one version as texts, by their names."""
    slots = one.by_slot or {"-": 0.0}
    least, most = min(slots, key=slots.__getitem__), max(slots, key=slots.__getitem__)
    return {
        "days x repeats": f"{one.days} x {one.runs / one.days:g}",
        "recall of the labelled picks": figure(one.recall),
        "precision of our picks": figure(one.precision),
        "Jaccard with the labels": figure(one.jaccard),
        "Jaccard of two repeats": figure(one.repeats_agree),
        "relevance drift": f"{one.relevance_drift:+.2f}",
        "novelty drift": f"{one.novelty_drift:+.2f}",
        "picks a day": f"{one.picks:.1f}",
        "lowest mean score by slot": f"{slots[least]:.2f} ({least})",
        "highest mean score by slot": f"{slots[most]:.2f} ({most})",
        "cost": dollars(one.nanos),
    }
