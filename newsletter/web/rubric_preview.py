"""The page that shows what a reader's own rubric would have picked on the last stored days.

Opening it ranks by words, or shows the scores of this text that are stored, and changes nothing.
The button has the model read papers, for a limited time and money; what it read is stored, so the
page can be reloaded and the button pressed again, also after the server was killed.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from newsletter.domain.model import Outcome
from newsletter.domain.reader_rubrics import current_text, mark_of, trial_account
from newsletter.errors import Stopped
from newsletter.rubrics.file import RubricError, parse
from newsletter.rubrics.form import faults_of, form_of_text
from newsletter.scoring import rubric_preview
from newsletter.scoring.cost import preview_cost, unscored
from newsletter.scoring.executor import ScoringFailed
from newsletter.scoring.rubric_preview import (
    CHANGES,
    Mark,
    PreviewDay,
    PreviewInput,
    PreviewPaper,
    RubricPreview,
)
from newsletter.store import reader_rubrics, subscriptions
from newsletter.web import issue_view
from newsletter.web.model_calls import StillRunning, TooManyCalls
from newsletter.web.rubric_starts import price, reader_limits, trial_cost
from newsletter.web.rubric_writer import (
    CHANGED,
    Writer,
    find_writer,
    path_of,
    preferences_of,
    rubric_notice,
    seen_in,
    unknown_rubric,
)

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.domain.model import Paper, Rubric
    from newsletter.web.context import Site
    from newsletter.web.forms import Form

log = logging.getLogger(__name__)

READING_TIME = timedelta(seconds=25)
"""For one press of the button: no call begins later."""
ATTEMPTS = 2
"""Calls for a chunk that is not answered: somebody waits."""
BY_WORDS, ALL = "words", "all"
AFTER_READING = "reading"
FEW = 64
"""Unread papers whose highest price is counted; that of more is the day's budget."""
BUSY = "Claude reads for other readers just now. Try again in a minute; nothing was spent."
READS_ON = (
    "Claude is still reading for you. This takes up to three minutes; you may close the page. What "
    "it reads is kept, and paid for once."
)
HAS_READ = "Claude has ended reading."
STALE = f"{CHANGED}. This is the preview of its new text; Claude was not asked."
FAILED = (
    "Claude could not be asked just now. What it had read is kept, and paid for once. Below is "
    "what is known so far; try again later."
)


class Draft(NamedTuple):
    """The text that the form shows, the stored days, and what it is compared with: the digests of
    the rubric `against`, or of all `choices` where that is empty.
    """

    slug: str
    rubric: Rubric
    given: PreviewInput
    choices: tuple[str, ...]
    against: str
    mark: str
    """Of the text, so that the button reads for the text that its page shows."""


def show(site: Site, request: Request) -> Response:
    found = _draft(site, request)
    if not isinstance(found, tuple):
        return found
    writer, draft = found
    message = ""
    if request.query_params.get("after") == AFTER_READING:
        last = site.previews.last_result(writer.known.subscriber_id)
        message = last if isinstance(last, str) and last else HAS_READ
    by_words = request.query_params.get("by") == BY_WORDS
    return _page(site, writer, draft, by_words=by_words, message=message)


def read_more(site: Site, request: Request, form: Form) -> Response:
    """Have the model read the likeliest unread papers."""
    found = _draft(site, request)
    if not isinstance(found, tuple):
        return found
    writer, draft = found
    if seen_in(form) not in (None, draft.mark):
        return _page(site, writer, draft, message=STALE, status=409)
    if not site.app.scorer.judges or not draft.given.days:
        return _page(site, writer, draft)
    try:
        message = site.previews.run(writer.known.subscriber_id, partial(_read, site, writer, draft))
    except TooManyCalls:
        message = BUSY
    except StillRunning:
        message = READS_ON
    return _page(site, writer, draft, message=message)


def _read(site: Site, writer: Writer, draft: Draft) -> str:
    """Returns what went wrong, for the reader."""
    app = site.app
    limits = replace(
        reader_limits(site),
        mode="now",
        max_attempts=ATTEMPTS,
    )
    account = trial_account(writer.known.subscriber_id)
    before = len(_unread(site, draft))
    try:
        done = rubric_preview.read_more(
            app.store,
            app.scorer,
            draft.rubric,
            draft.given,
            account,
            limits,
            READING_TIME,
            clock=app.clock,
        )
    except (ScoringFailed, Stopped) as error:
        log.warning("the preview of %s was not read to its end: %s", draft.slug, error)
        return FAILED
    failed = Outcome.FAILED in done.outcomes.values()
    late = Outcome.UNSCORED_DEADLINE in done.outcomes.values()
    return FAILED if failed or (late and len(_unread(site, draft)) == before) else ""


def _unread(site: Site, draft: Draft) -> list[Paper]:
    """The papers that the model was not asked about with this text."""
    app, to_read = site.app, rubric_preview.papers_to_read(draft.rubric, draft.given)
    return unscored(app.store, app.scorer, draft.rubric, app.clock().date(), to_read)


def _draft(site: Site, request: Request) -> tuple[Writer, Draft] | Response:
    """The reader and their text; a page where there is none, or where it cannot be used yet."""
    writer, slug = find_writer(site, request), request.path_params["slug"]
    if writer is None:
        return site.unknown_link()
    known = writer.rubric(slug)
    if known is None:
        return unknown_rubric(site, writer)
    asked = request.query_params.get("against", "")
    with site.app.store.read() as tx:
        text = current_text(reader_rubrics.versions(tx, slug))
        try:
            rubric = parse(text, slug, "draft")
        except RubricError:
            return _unusable(site, writer, slug, text)
        against = asked if asked in writer.followed else _usual(writer, slug, asked)
        owned = subscriptions.of_subscriber(tx, writer.known.subscriber_id)
        liked = rubric_preview.liked_ids(tx, [one.id for one in owned]) | set(known.liked)
        slugs = (against,) if against else writer.followed
        given = rubric_preview.read_input(tx, site.stored_days, rubric, slugs, liked)
    return writer, Draft(slug, rubric, given, writer.followed, against, mark_of(text))


def _usual(writer: Writer, slug: str, asked: str) -> str:
    """An edit is compared with the rubric as it is, unless all digests were asked for."""
    return slug if slug in writer.followed and asked != ALL else ""


def _unusable(site: Site, writer: Writer, slug: str, text: str) -> Response:
    faults = [
        f"{one.field.replace('-', ' ').capitalize()}: {one.message}."
        for one in faults_of(form_of_text(text))
    ]
    return rubric_notice(
        site,
        writer,
        "This draft cannot be previewed yet",
        *faults,
        status=422,
        back=path_of(site, writer, slug),
    )


def _page(
    site: Site,
    writer: Writer,
    draft: Draft,
    *,
    by_words: bool = False,
    message: str = "",
    status: int = 200,
) -> Response:
    scored, preview = _previewed(site, draft, by_words=by_words)
    here = f"{path_of(site, writer, draft.slug)}/preview"
    running = site.previews.is_running(writer.known.subscriber_id)
    return site.page(
        "rubric_preview.html",
        status=status,
        seen=draft.mark,
        title=f"Preview: {draft.rubric.title}",
        rubric=draft.rubric,
        preview=preview,
        days=[_day_view(day) for day in preview.days],
        found=[_row(one) for one in preview.found],
        missed=[_row(one) for one in preview.missed],
        marks={mark.value: preview.count(mark) for mark in CHANGES},
        unfetched=draft.given.unfetched,
        message=READS_ON if running else message,
        running=running,
        scored=scored,
        here=here,
        form=path_of(site, writer, draft.slug),
        choices=[(one, site.title_of(one)) for one in draft.choices],
        against=draft.against,
        preferences=preferences_of(site, writer),
        **_money(site, writer, draft),
    )


def _previewed(site: Site, draft: Draft, *, by_words: bool) -> tuple[bool, RubricPreview]:
    """Whether the model has read with this text, and the preview by what it read or by words."""
    app, rubric, given = site.app, draft.rubric, draft.given
    with app.store.read() as tx:
        scored = app.scorer.judges and rubric_preview.has_scores(tx, app.scorer, rubric, given)
    if scored and not by_words:
        return scored, rubric_preview.preview_by_model(app.store, app.scorer, rubric, given)
    return scored, rubric_preview.preview_by_words(rubric, given)


def _money(site: Site, writer: Writer, draft: Draft) -> dict[str, Any]:
    """What the button may spend; `model` is False where no model is configured."""
    app = site.app
    if not app.scorer.judges:
        return {"model": False, "unread": 0, "left": "", "most": "", "spent": ""}
    spent, left = trial_cost(site, writer)
    unread, now = _unread(site, draft), app.clock()
    cost = partial(preview_cost, app.scorer, draft.rubric, now.date(), now=now)
    most = min(left, cost(unread).upper_nanos) if len(unread) <= FEW else left
    return {
        "model": True,
        "unread": len(unread),
        "left": price(left),
        "most": price(most),
        "affordable": left >= cost(unread[: app.scorer.sizes[0]]).upper_nanos,
        "spent": price(spent),
        "budget": price(app.settings.reader_rubric_budget_nanos),
    }


def _day_view(day: PreviewDay) -> dict[str, Any]:
    return {
        "day": day,
        "rows": [_row(one) for one in day.papers],
        "gained": day.count(Mark.GAINED),
        "lost": day.count(Mark.LOST),
        "kept": day.count(Mark.KEPT),
        "unread": [(paper, issue_view.title_of(paper)) for paper in day.unread],
    }


def _row(one: PreviewPaper) -> dict[str, Any]:
    return {
        "sign": one.mark.sign,
        "mark": one.mark.value,
        "paper": one.paper,
        "title": issue_view.title_of(one.paper),
        "note": one.note,
        "liked": one.liked,
        "picked_by": ", ".join(one.picked_by),
    }
