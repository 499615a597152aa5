"""The next run: which announcement comes when, and how many readers get what at which hour."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from newsletter.delivery.forecast import forecast
from newsletter.domain import announcements
from newsletter.domain.announcements import announcement
from newsletter.domain.reader_rubrics import is_reader_rubric
from newsletter.rubrics.folder import why_missing
from newsletter.store import digests, subscriptions
from newsletter.store.operator import readers
from newsletter.web.operator import auth
from newsletter.web.operator.actions import operator_page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.delivery.forecast import ForecastMail
    from newsletter.web.context import Site


OWN = "Rubrics that readers wrote"


def show(site: Site, request: Request) -> Response:
    session = auth.session(site, request)
    if session is None:
        return auth.login_page(site, auth.requested_page(request))
    now, settings = site.app.clock(), site.app.settings
    newest = announcements.newest(now)
    with site.app.store.read() as tx:
        served = site.app.rubrics
        expected = forecast(tx, now, settings.zone, settings.send_at)
        mails = [
            one for one in expected if one.rubric in served or not is_reader_rubric(one.rubric)
        ]
        planned = readers.planned_mails(tx)
        rubrics = _rubrics(site, tx, newest)
    following = announcements.following(newest)
    return operator_page(
        site,
        session,
        "operator_next_run.html",
        here="/next-run",
        title="Next run",
        newest=newest,
        following=following,
        public_from=announcement(following).public_from,
        zone=settings.timezone,
        local_from=announcement(following).public_from.astimezone(settings.zone),
        rubrics=rubrics,
        days=_by_day(site, mails, now, settings.zone),
        readers=sum(one.readers for one in mails),
        planned=[one._replace(rubric=_label(site, one.rubric)) for one in planned],
        problem=site.scheduler_problem(),
    )


def _rubrics(site: Site, tx: Connection, newest: date) -> list[dict[str, Any]]:
    """What became of the newest announcement in each rubric that has readers."""
    counts = subscriptions.count_by_rubric(tx)
    made = {one.rubric: one for one in digests.summaries(tx, None, day=newest)}
    named = [
        {
            "title": site.title_of(slug),
            "readers": number,
            "digest": made.get(slug),
            "said": "",
            "fault": "" if slug in site.app.rubrics else why_missing(site.app.rubrics, slug),
        }
        for slug, number in sorted(counts.items(), key=lambda one: site.title_of(one[0]).casefold())
        if not is_reader_rubric(slug)
    ]
    own = [slug for slug in counts if is_reader_rubric(slug) and slug in site.app.rubrics]
    if not own:
        return named
    done = sum(slug in made for slug in own)
    readers_of = sum(counts[slug] for slug in own)
    said = f"{done} of {len(own)} made"
    row = {"title": OWN, "readers": readers_of, "digest": None, "said": said, "fault": ""}
    return [*named, row]


def _label(site: Site, slug: str) -> str:
    """The title of a rubric; one for all that readers wrote."""
    return OWN if is_reader_rubric(slug) else site.title_of(slug)


def _by_day(
    site: Site, mails: Sequence[ForecastMail], now: datetime, zone: ZoneInfo
) -> Mapping[str, list[dict[str, Any]]]:
    """The mails by day and hour of the operator's zone; what is due already comes first."""
    found: dict[str, dict[tuple[datetime, str, date, bool, bool], int]] = {}
    for one in mails:
        local = max(one.mail.due, now).astimezone(zone)
        hour = local.replace(minute=0, second=0, microsecond=0)
        is_due = one.mail.due <= now
        day = "Due now" if is_due else f"{hour:%A}, {hour.day} {hour:%B}"
        key = (hour, _label(site, one.rubric), one.mail.last, one.mail.weekly, one.ready)
        rows = found.setdefault(day, {})
        rows[key] = rows.get(key, 0) + one.readers
    return {
        day: [
            {
                "hour": "now" if day == "Due now" else f"{hour:%H:%M}",
                "at": hour.astimezone(UTC),
                "rubric": rubric,
                "last": last,
                "weekly": weekly,
                "ready": ready,
                "readers": number,
            }
            for (hour, rubric, last, weekly, ready), number in rows.items()
        ]
        for day, rows in found.items()
    }
