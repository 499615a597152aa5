"""`run`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from newsletter import bootstrap, logs, process
from newsletter.cli.console import note, print_json, progress, screen, table
from newsletter.domain.formatting import dollars, plural
from newsletter.domain.model import DayKind, Outcome
from newsletter.domain.reader_rubrics import is_reader_rubric
from newsletter.errors import OperatorError
from newsletter.ingest.fetch import AnnouncementIncomplete, AnnouncementLate
from newsletter.jobs.daily import (
    DailyRun,
    RubricResult,
    UnservedRubric,
    run_daily,
)
from newsletter.jobs.dry_run import preview_run, with_reader_rubrics_summed
from newsletter.jobs.edited_rubric import older_version
from newsletter.jobs.housekeeping import ask_about_mailed_papers, retry_soft_bounced
from newsletter.jobs.worker import become_planner, run_worker
from newsletter.operations.healthcheck_ping import MailCounts, ping_if_delivered
from newsletter.rubrics.folder import faults_of, of_operator, why_missing
from newsletter.settings import SettingsError, read_settings
from newsletter.store import claims, deliveries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import date

    from rich.console import Console

    from newsletter.context import App
    from newsletter.domain.model import Digest, Rubric
    from newsletter.domain.progress import StageProgress
    from newsletter.settings import Settings

MAX_METADATA_REQUESTS = 5
"""At the end of a run: fifteen seconds at arXiv's pace, and 500 papers a day."""
HEADINGS = (
    *("rubric", "announced", "read", "picked", "near misses", "tokens", "cost"),
    *("sent", "already"),
)


def show_run(day: date | None, rubric: str | None, *, as_json: bool, create: bool) -> int:
    settings = read_settings()
    # The terminal shows progress; the log has warnings only, by default.
    logs.set_up(settings, "warning")
    app = bootstrap.build_app(settings, create=create)
    check_slug(app, rubric)
    become_planner(app)
    # With cron and no `serve`, nothing else retries them.
    retry_soft_bounced(app, app.clock())
    _mail_files(app, day, rubric, as_json=as_json)
    daily_run = run_day(app, day, rubric, as_json=as_json)
    if not daily_run.has_problems and day is None and rubric is None:
        ping_if_delivered(app, _mail_counts(daily_run), app.clock())
    if as_json:
        print_json(_as_dict(daily_run))
    else:
        _show(screen(), daily_run, settings)
    for result in daily_run.results:
        if result.digest and not result.problem and not is_reader_rubric(result.rubric.slug):
            say_older(app, result.rubric, result.digest)
    if day is None and rubric is None:
        # The same: with cron nothing else asks, and no mail waits for it any more.
        ask_about_mailed_papers(app, MAX_METADATA_REQUESTS)
    return report_failures(daily_run)


def _mail_counts(daily_run: DailyRun) -> MailCounts:
    tallies = [result.tally for result in daily_run.results]
    return MailCounts(
        planned=sum(tally.total - tally.skipped for tally in tallies),
        accepted=sum(tally.accepted for tally in tallies),
    )


def show_price(day: date | None, rubric: str | None, *, as_json: bool) -> int:
    with bootstrap.temporary_database(read_settings()) as settings:
        return _show_price(bootstrap.build_app(settings), day, rubric, as_json=as_json)


def _show_price(app: App, day: date | None, rubric: str | None, *, as_json: bool) -> int:
    check_slug(app, rubric)
    with progress(screen(errors=as_json)) as report:
        state, plans = preview_run(app, day, rubric, report)
    _say_held(state.unserved)
    if as_json:
        print_json({"date": state.date.isoformat(), "rubrics": [plan._asdict() for plan in plans]})
        return 0
    shown = with_reader_rubrics_summed(plans)
    rows = [(p.rubric, p.announced, p.to_read, dollars(p.at_most_nanos), p.readers) for p in shown]
    headings = ("rubric", "announced", "to read", "costs at most", "readers")
    console = screen()
    if not plans and not state.unserved:
        console.print(
            "No subscribers (nobody is active), so a run would fetch and send nothing. "
            "To see what one rubric would cost: newsletter run --dry-run --rubric SLUG"
        )
        return 0
    console.print(table(f"{state.date}: what a run would do", headings, rows))
    for plan in plans:
        if not plan.announced and not is_reader_rubric(plan.rubric):
            said = _nothing_announced(app.rubrics[plan.rubric].categories, state.date)
            console.print(f"{plan.rubric}: {said}")
    number, _, newest = _in_files(app, day, rubric)
    if number:
        console.print(_said_of_files(number, newest, app.settings))
    console.print("Nothing was scored and nothing was sent.")
    return 0


def check_slug(app: App, rubric: str | None) -> None:
    if rubric is None or rubric in app.rubrics:
        return
    if faults_of(app.rubrics).get(rubric):
        raise OperatorError(why_missing(app.rubrics, rubric))
    known = of_operator(app.rubrics)
    message = f"no rubric {rubric}; there are {', '.join(sorted(known))}"
    raise SettingsError(message)


def _mail_files(app: App, day: date | None, rubric: str | None, *, as_json: bool) -> None:
    """Mail the newest digest to readers who have it only as a file, when real mail is set up.

    Older digests are not mailed. The number of readers is printed before anything is sent.
    """
    number, digest_ids, newest = _in_files(app, day, rubric)
    if not number:
        return
    screen(errors=as_json).print(_said_of_files(number, newest, app.settings))
    with app.store.begin() as tx:
        claims.requeue_outbox_only(tx, digest_ids, app.clock())


def _in_files(app: App, day: date | None, rubric: str | None) -> tuple[int, list[int], date]:
    newest = app.source.newest(app.clock())
    if app.settings.mailer_name == "outbox" or day not in (None, newest):
        return 0, [], newest
    with app.store.read() as tx:
        made = [
            one
            for one in deliveries.digests_of_date(tx, newest)
            if rubric is None or one.slug == rubric
        ]
        digest_ids = [one.digest_id for one in made]
        return claims.count_outbox_only(tx, digest_ids), digest_ids, newest


def _said_of_files(number: int, newest: date, settings: Settings) -> str:
    return (
        f"{plural(number, 'reader')} {'has' if number == 1 else 'have'} the digest of {newest} in "
        f"files alone ({settings.outbox_dir}); it is now mailed by {settings.mailer_name}, "
        "older digests are not."
    )


def say_older(app: App, rubric: Rubric, digest: Digest) -> None:
    """Print a note if the rubric was edited after its digest was made."""
    file = app.settings.rubrics_dir / f"{rubric.slug}.md"
    if said := older_version(digest, rubric, str(file)):
        note(f"newsletter: {rubric.slug}: {said}")


def run_day(app: App, day: date | None, rubric: str | None, *, as_json: bool) -> DailyRun:
    try:
        with progress(screen(errors=as_json)) as report, _working(app, report):
            return run_daily(app, day, rubric, report)
    except AnnouncementLate as late:
        message = f"{late}; nothing was sent, run again later"
        raise OperatorError(message) from late
    except AnnouncementIncomplete as growing:
        message = (
            f"{growing}; nothing was sent: run again then, or use what is there "
            f"with --date {growing.date}"
        )
        raise OperatorError(message) from growing


def _working(app: App, report: StageProgress) -> AbstractContextManager[None]:
    """Run tasks in this process too, whether or not there are other workers."""
    return run_worker(app, process.default_worker_name("run"), report, must_agree=True)


def _show(console: Console, daily_run: DailyRun, settings: Settings) -> None:
    if not daily_run.results and not daily_run.unserved:
        console.print(
            "No subscribers (nobody is active), so nothing was fetched or sent. "
            "Add some: newsletter subscribers import FILE --consent TEXT"
        )
        return
    named = [one for one in daily_run.results if not is_reader_rubric(one.rubric.slug)]
    if rows := _rows(daily_run.results):
        console.print(table(f"arXiv's announcement of {daily_run.date}", HEADINGS, rows))
    for tell in (_unread, _left):
        for result in named:
            for said in tell(result):
                console.print(f"{result.rubric.slug}: {said}")
    done = any(result.sent or _lost(result) or _waiting(result) for result in daily_run.results)
    if not daily_run.has_problems and not done:
        console.print("Nothing new to send.")
    elif any(result.sent for result in daily_run.results) and settings.mailer_name == "outbox":
        console.print(f"Open {settings.outbox_dir / 'index.html'}")


def _unread(result: RubricResult) -> Iterator[str]:
    if result.digest and result.digest.kind is DayKind.NOTHING_ANNOUNCED:
        yield _nothing_announced(result.rubric.categories, result.digest.date)
    left = result.digest.coverage.count(Outcome.UNSCORED_BUDGET) if result.digest else 0
    if left and not result.problem:
        yield f"{left} papers were not scored: budget exhausted"
    if result.digest and result.digest.not_compared:
        yield (
            "local ranking found no word that the rubric shares with the papers: write it in "
            "English and about its categories, or set ANTHROPIC_API_KEY"
        )


def _nothing_announced(categories: Iterable[str], day: date) -> str:
    return (
        f"arXiv announced nothing in {', '.join(categories)} on {day}, "
        "perhaps for a holiday; readers get no mail"
    )


def _left(result: RubricResult) -> Iterator[str]:
    """Mails that were not delivered, besides the failure in `problem`."""
    if result.tally.unknown and not _lost(result):
        mails = plural(result.tally.unknown, "mail")
        yield f"the outcome of {mails} is unknown: newsletter deliveries list"
    if result.tally.rejected:
        yield f"{plural(result.tally.rejected, 'mail')} rejected permanently by the provider"


def _lost(result: RubricResult) -> bool:
    """Whether mails were sent and none is known to be accepted."""
    return bool(result.tally.unknown) and not result.tally.accepted


def _waiting(result: RubricResult) -> str:
    """A message if due mails were not sent, for example while the mail server is down."""
    left = result.tally.pending
    if not left:
        return ""
    verb = "waits" if left == 1 else "wait"
    return f"{plural(left, 'mail')} {verb}, not sent: see newsletter status"


def _rows(results: Sequence[RubricResult]) -> list[tuple[Any, ...]]:
    """A row for each rubric of the operator's, then one for all reader rubrics."""
    named = [one for one in results if not is_reader_rubric(one.rubric.slug)]
    own = [facts_of(one) for one in results if is_reader_rubric(one.rubric.slug)]
    rows = [_row(facts_of(one), made=one.digest is not None) for one in named]
    return [*rows, _row(_sum(own), made=True)] if own else rows


def _sum(facts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The facts of all reader rubrics as one row."""
    numbers = [name for name, value in facts[0].items() if isinstance(value, int)]
    sums = {name: sum(one[name] for one in facts) for name in numbers}
    return {"rubric": plural(len(facts), "reader rubric"), **sums}


def _row(facts: dict[str, Any], *, made: bool) -> tuple[Any, ...]:
    known = [facts[name] for name in ("scanned", "picked", "near_misses", "tokens")]
    known.append(dollars(facts["cost_nanos"]))
    return (
        facts["rubric"],
        facts["announced"],
        # Unknown if no digest was made; 0 would be wrong.
        *(known if made else ["-"] * len(known)),
        facts["sent"],
        facts["already"],
    )


def facts_of(result: RubricResult) -> dict[str, Any]:
    digest, tally = result.digest, result.tally
    coverage = digest.coverage if digest else None
    return {
        "rubric": result.rubric.slug,
        "kind": digest.kind.value if digest else "",
        "announced": coverage.announced if coverage else result.announced,
        "scanned": coverage.scanned if coverage else 0,
        "unscored": coverage.announced - coverage.scanned if coverage else result.announced,
        "duplicates": coverage.count(Outcome.DUPLICATE) if coverage else 0,
        "picked": len(digest.picks) if digest else 0,
        "near_misses": len(digest.near_misses) if digest else 0,
        "tokens": sum(usage.total_tokens for usage in digest.usage) if digest else 0,
        "cost_nanos": sum(usage.total_nanos for usage in digest.usage) if digest else 0,
        "sent": result.sent,
        "already": result.already,
        "skipped": tally.skipped,
        "rejected": tally.rejected,
        "unknown": tally.unknown,
        "waiting": tally.pending + tally.sending,
        "trouble": result.problem,
    }


def _as_dict(daily_run: DailyRun) -> dict[str, Any]:
    return {
        "date": daily_run.date.isoformat(),
        "issues": [facts_of(result) for result in daily_run.results],
        "held": [one._asdict() for one in daily_run.unserved],
    }


def report_failures(daily_run: DailyRun) -> int:
    """Print each failure once, with all rubrics that had it. Returns the exit status."""
    met: dict[str, list[str]] = {}
    for result in daily_run.results:
        problem = result.problem
        if _lost(result):
            problem = problem or "no mail is known to be accepted: newsletter deliveries list"
        problem = problem or _waiting(result)
        if problem:
            met.setdefault(problem, []).append(result.rubric.slug)
    for problem, slugs in met.items():
        names = [slug for slug in slugs if not is_reader_rubric(slug)]
        if own := len(slugs) - len(names):
            names.append(plural(own, "reader rubric"))
        note(f"newsletter: {', '.join(names)}: {problem}")
    _say_held(daily_run.unserved)
    return 1 if met or daily_run.unserved else 0


def _say_held(waiting: Iterable[UnservedRubric]) -> None:
    for one in waiting:
        held_back = f"{plural(one.readers, 'reader')} held: {one.reason}"
        note(f"newsletter: {one.slug}: {held_back}")
