"""The operator's rubrics: the list, and the page of one with its text, versions and replay."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from newsletter.domain.formatting import dollars
from newsletter.errors import OperatorError
from newsletter.operations.rubric_changes import settle
from newsletter.render.truncate import one_line
from newsletter.rubrics.changes import differing_lines
from newsletter.rubrics.folder import faults_of, of_operator
from newsletter.rubrics.form import form_of, markdown
from newsletter.rubrics.save import RubricText, is_file_name, read_text
from newsletter.scoring import rubric_preview
from newsletter.scoring.cost import preview_cost, unscored
from newsletter.scoring.rubric_preview import CHANGES, Mark
from newsletter.store import subscriptions
from newsletter.store.operator import actions as action_log
from newsletter.store.operator import rubric_history
from newsletter.store.reports import operator_views
from newsletter.web.operator import auth
from newsletter.web.operator.actions import folder_of, operator_page, shown_action
from newsletter.web.operator.page import DAYS, shown_days
from newsletter.web.operator.rubrics_of_readers import section

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.domain.model import Rubric
    from newsletter.scoring.rubric_preview import PreviewDay, PreviewInput
    from newsletter.store.operator.rubric_history import MailedVersion
    from newsletter.store.reports.operator_views import MonthFigures
    from newsletter.web.context import Site

HERE = "/rubrics"
MAX_TITLE = 200
CUT_OFFS = range(1, 11)
MAX_VERSIONS = 20


def show_list(site: Site, request: Request) -> Response:
    session = auth.session(site, request)
    if session is None:
        return auth.login_page(site, auth.requested_page(request))
    settle(site.app.store, site.app.rubrics, site.app.clock())
    rubrics = of_operator(site.app.rubrics)
    faults = faults_of(rubrics)
    names = sorted(rubrics.keys() | faults.keys(), key=lambda slug: site.title_of(slug).casefold())
    with site.app.store.read() as tx:
        figures = _figures(site, tx, names)
        readers = subscriptions.count_by_rubric(tx)
        of_readers = section(site, tx, request)
        done = _outcome(tx, request)
    rows = [
        {
            **_costs(figures, slug),
            "slug": slug,
            "title": site.title_of(slug),
            "readers": readers.get(slug, 0),
            "faults": faults.get(slug, ()),
        }
        for slug in names
    ]
    return operator_page(
        site,
        session,
        "operator_rubrics.html",
        here=HERE,
        title="Rubrics",
        rows=rows,
        done=done,
        undone=request.query_params.get("said") == "undone",
        folder=folder_of(site),
        days=DAYS,
        of_readers=of_readers,
    )


def show(site: Site, request: Request) -> Response:
    """One rubric. With cut-offs in the address also what they would have picked; stores nothing."""
    session = auth.session(site, request)
    if session is None:
        return auth.login_page(site, auth.requested_page(request))
    settle(site.app.store, site.app.rubrics, site.app.clock())
    slug = requested_slug(site, request)
    rubric = of_operator(site.app.rubrics).get(slug)
    with site.app.store.read() as tx:
        figures = _costs(_figures(site, tx, [slug]), slug)
        versions = rubric_history.versions(tx, slug)
        done = _outcome(tx, request)
        readers = subscriptions.count_by_rubric(tx).get(slug, 0)
    changed = _with_cut_offs(rubric, request.query_params) if rubric else None
    return operator_page(
        site,
        session,
        "operator_rubric.html",
        here=HERE,
        title=site.title_of(slug),
        slug=slug,
        rubric=rubric,
        faults=faults_of(of_operator(site.app.rubrics)).get(slug, ()),
        text=file_text(site, slug),
        editable=folder_of(site) is not None,
        readers=readers,
        figures=figures,
        days=DAYS,
        versions=_shown_versions(versions),
        done=done,
        judged=site.app.scorer.judges,
        cut_offs=CUT_OFFS,
        changed=changed,
        replay=replayed(site, changed, [slug]) if changed else None,
    )


def requested_slug(site: Site, request: Request) -> str:
    """A rubric of the operator, readable or broken. Raises HTTPException 404 for another."""
    slug: str = request.path_params["rubric"]
    rubrics = of_operator(site.app.rubrics)
    if slug not in rubrics and slug not in faults_of(rubrics):
        raise HTTPException(404)
    return slug


def file_text(site: Site, slug: str) -> RubricText:
    """The file, or the text of a rubric that comes from no folder. Empty if it cannot be read."""
    folder = folder_of(site)
    if folder is not None and is_file_name(slug):
        with suppress(OperatorError):
            return read_text(folder, slug)
    rubric = of_operator(site.app.rubrics).get(slug)
    return RubricText(markdown(form_of(rubric)) if rubric else "")


def replayed(site: Site, rubric: Rubric, slugs: Sequence[str]) -> dict[str, Any]:
    """What a rubric would have picked on the last stored days, beside what these digests picked.

    By stored scores alone; without a model, or where this text has no score yet, by words. Makes no
    call.
    """
    app = site.app
    with app.store.read() as tx:
        given = rubric_preview.read_input(tx, site.stored_days, rubric, slugs, ())
    found = None
    if app.scorer.judges:
        found = rubric_preview.preview_by_model(app.store, app.scorer, rubric, given)
    is_read = found is not None and found.read == found.to_read
    if found is None or not found.read:
        found = rubric_preview.preview_by_words(rubric, given)
    return {
        "days": [_shown_day(day) for day in found.days],
        "gained": found.count(Mark.GAINED),
        "lost": found.count(Mark.LOST),
        "kept": found.count(Mark.KEPT),
        "by_words": not found.judged,
        "unread": found.to_read - found.read if found.judged else 0,
        "price": "" if is_read or not app.scorer.judges else _price(site, rubric, given),
        "unfetched": given.unfetched,
    }


def _price(site: Site, rubric: Rubric, given: PreviewInput) -> str:
    """The most that reading the newest stored day would cost; empty where it is read."""
    app = site.app
    if not given.days:
        return ""
    day = given.days[0]
    missing = unscored(app.store, app.scorer, rubric, day.date, day.triage(rubric).to_read)
    nanos = preview_cost(app.scorer, rubric, day.date, missing, app.clock()).upper_nanos
    return dollars(min(nanos, app.settings.budget_nanos)) if nanos else ""


def _shown_day(day: PreviewDay) -> dict[str, Any]:
    papers = [
        {
            "sign": one.mark.sign,
            "mark": one.mark.value,
            "id": one.paper.id,
            "url": one.paper.abs_url,
            "title": one_line(one.paper.title, MAX_TITLE) or "Untitled",
            "note": one.note,
        }
        for one in day.papers
        if one.mark in CHANGES
    ]
    counts = {mark.value: day.count(mark) for mark in CHANGES}
    return {"date": day.date, "papers": papers, "compared": day.compared, **counts}


def _with_cut_offs(rubric: Rubric, query: Mapping[str, str]) -> Rubric | None:
    """The rubric with the cut-offs of the address; None if it names none."""
    given = {name: query[name] for name in ("relevance", "novelty") if name in query}
    if not given or any(value not in map(str, CUT_OFFS) for value in given.values()):
        return None
    return replace(
        rubric,
        relevance=int(given.get("relevance", rubric.relevance)),
        novelty=int(given.get("novelty", rubric.novelty)),
    )


def _figures(site: Site, tx: Connection, slugs: Sequence[str]) -> list[MonthFigures]:
    _, last = shown_days(site)
    return operator_views.since(tx, slugs, last - timedelta(days=DAYS - 1))


def _costs(figures: Sequence[MonthFigures], slug: str) -> dict[str, Any]:
    """The newest digest of the last 30 days and its cost, and the cost of all of them."""
    own = [one for one in figures if one.rubric == slug and one.whole]
    newest = max(own, key=lambda one: one.date, default=None)
    return {
        "newest": newest,
        "cost_of_day": dollars(newest.cost_nanos) if newest else "",
        "cost_of_month": dollars(sum(one.cost_nanos for one in own)),
    }


def _shown_versions(versions: Sequence[MailedVersion]) -> list[dict[str, Any]]:
    """Each version with what it changed of the one before."""
    texts = [markdown(form_of(one.rubric)) for one in versions]
    before = [*texts, ""][1:]
    return [
        {
            "first": one.first,
            "last": one.last,
            "issues": one.issues,
            "picks": f"{one.picks / one.issues:.1f}",
            "cost": dollars(one.cost_nanos),
            "cost_of_issue": dollars(one.cost_nanos // one.issues),
            "changes": differing_lines(earlier, text) if earlier else [],
        }
        for one, text, earlier in zip(versions, texts, before, strict=True)
    ][:MAX_VERSIONS]


def _outcome(tx: Connection, request: Request) -> dict[str, Any] | None:
    """The action that the page was redirected to show, if any."""
    found = action_log.by_id(tx, request.query_params.get("done", "")[:32])
    if found is None or found.kind not in WORDS:
        return None
    return {**shown_action(found), "words": WORDS[found.kind]}


WORDS = {
    action_log.ActionKind.SAVE_RUBRIC: "Saved. The next digest is made with this text.",
    action_log.ActionKind.DELETE_RUBRIC: "Deleted. Its issues stay in the archive.",
    action_log.ActionKind.PAUSE_RUBRIC: "Paused. Its reader sees the reason.",
    action_log.ActionKind.RESUME_RUBRIC: "Resumed. Its next digest comes as usual.",
}
