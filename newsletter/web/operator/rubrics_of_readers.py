"""Readers' own rubrics on the operator's page: how many, their cost, pause and resume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from newsletter.domain.formatting import dollars
from newsletter.domain.reader_rubrics import PausedBy, ReaderRubricState, is_reader_rubric
from newsletter.errors import OperatorError
from newsletter.operations.rubric_changes import MAX_REASON, pause_state, set_pause
from newsletter.rubrics.form import form_of_text
from newsletter.store import reader_rubrics
from newsletter.store.operator import rubric_history
from newsletter.store.operator.actions import ActionKind
from newsletter.store.reports import reader_rubrics as reports
from newsletter.web.forms import first
from newsletter.web.operator.actions import Change, page_number, perform, stamp

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.store.reports.reader_rubrics import ReaderRubricRow
    from newsletter.web.context import Site
    from newsletter.web.operator.auth import SentForm

SHOWN = 25
NO_REASON = "Say why: its reader sees the reason."


def section(site: Site, tx: Connection, request: Request) -> dict[str, Any]:
    """What the list of rubrics shows of readers' own: no text of theirs but the title."""
    now = site.app.clock()
    totals = reports.totals(tx, now)
    saved = [one for one in reports.listed(tx, now) if one.rubric.active_version is not None]
    page = page_number(request.query_params.get("page", ""))
    shown = saved[(page - 1) * SHOWN : page * SHOWN]
    texts = rubric_history.active_texts(tx, [one.rubric.slug for one in shown])
    return {
        "on": bool(saved or site.app.settings.reader_rubrics),
        "saved": len(saved),
        "active": totals.active,
        "today": dollars(totals.day_nanos),
        "month": dollars(totals.month_nanos),
        "rows": [_row(tx, one, texts.get(one.rubric.slug, "")) for one in shown],
        "page": page,
        "pages": max(1, -(-len(saved) // SHOWN)),
        "max_reason": MAX_REASON,
    }


def _row(tx: Connection, one: ReaderRubricRow, text: str) -> dict[str, Any]:
    known = one.rubric
    by_operator = PausedBy.OPERATOR in known.paused_by
    paused = known.state is ReaderRubricState.PAUSED
    return {
        "slug": known.slug,
        "title": form_of_text(text).title or known.slug,
        "today": dollars(one.day_nanos),
        "month": dollars(one.month_nanos),
        "state": "paused by you" if by_operator else "paused by its reader" if paused else "active",
        "by_operator": by_operator,
        "reason": known.reason,
        "stamp": stamp(pause_state(tx, known.slug)),
    }


def change(site: Site, _request: Request, sent: SentForm) -> Response:
    """Pause a reader's rubric with a reason, or resume it."""
    form = sent.fields
    slug, action = first(form, "id")[:64], first(form, "action")
    if action not in ("pause", "resume") or not is_reader_rubric(slug):
        raise HTTPException(400)
    reason = first(form, "reason")[:MAX_REASON] if action == "pause" else None
    with site.app.store.read() as tx:
        known = reader_rubrics.by_slug(tx, slug)

    def apply(tx: Connection, now: datetime) -> None:
        if reason == "":
            raise OperatorError(NO_REASON)
        set_pause(tx, slug, reason, now)

    return perform(
        site,
        sent,
        Change(
            ActionKind.RESUME_RUBRIC if reason is None else ActionKind.PAUSE_RUBRIC,
            slug,
            lambda tx: pause_state(tx, slug),
            apply,
            "/rubrics",
            known.subscriber_id if known else None,
        ),
    )
