"""Five weeks of an arXiv with all its ways: each paper is in one digest of each rubric, once."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import pytest

from newsletter.domain.announcements import announcement, following
from newsletter.domain.model import DayKind
from newsletter.scoring.workload import new_listings
from newsletter.store import digests
from tests.fakes.arxiv_timeline import Submission, Version, withdrawal
from tests.ingest.test_poll import HOUR, FetchService
from tests.render.gallery import issues

FIRST = date(2025, 10, 20)
"""Two weeks later the clocks change."""
NAMES = ("cs.AI", "cs.CL", "cs.LG")
WIDE = replace(issues.RUBRIC, slug="wide", categories=NAMES)
NARROW = replace(issues.RUBRIC, slug="narrow", categories=("cs.CL",))


def calendar(count):
    days = [FIRST]
    while len(days) < count:
        days.append(following(days[-1]))
    return days


def submission(rng, number, index, days):
    """Mostly a plain paper; some are held, lag, get cross-listed, replaced or withdrawn."""
    window = announcement(days[index])
    submitted = window.start + (window.end - window.start) * rng.random()
    made = Submission(f"2510.{number:05d}", submitted.replace(microsecond=0), (NAMES[number % 3],))
    ahead = days[min(index + rng.choice([1, 2, 7, 12]), len(days) - 1)]
    kind = rng.randrange(12)
    if kind == 0:
        return replace(made, announced=ahead)
    if kind == 1:
        return replace(made, lag=rng.choice([1, 3, 11]) * HOUR)
    if kind == 2:
        return replace(made, crosses=((ahead, NAMES[(number + 1) % 3]),))
    if kind == 3:
        return replace(made, versions=(Version(ahead, 2, {"title": "Better"}),))
    if kind == 4:
        return replace(made, versions=(withdrawal(ahead),))
    return made


def build(service, rng, days):
    """Trouble on most days."""
    timeline = service.timeline
    timeline.feedless.clear()
    timeline.holidays.add(days[9])
    timeline.delays |= {days[4]: 6 * HOUR, days[17]: 30 * HOUR}
    for day in rng.sample(days, 6):
        timeline.stale |= {(day, name) for name in rng.sample(NAMES, 2)}
    timeline.feedless |= set(rng.sample(days, 3))
    for index in range(len(days)):
        for number in range(index * 10, index * 10 + 10):
            timeline.add(submission(rng, number, index, days))


def freeze(service, rubric, day):
    found = new_listings(service.store, rubric, day)
    made = issues.digest(tuple(issues.Pick(one.paper, None, late=one.late) for one in found))
    coverage = replace(made.coverage, papers=tuple(one.paper.id for one in found))
    kind = DayKind.NORMAL if found else DayKind.NOTHING_ANNOUNCED
    with service.store.begin() as tx:
        made = replace(made, date=day, kind=kind, coverage=coverage, rubric=rubric)
        digests.save(tx, made, service.clock())
    return [one.paper.id for one in found]


def live(service, day, sent):
    """A day of the service: the wide digest at once, the other at ten o'clock, looks in between."""
    service.clock.now = max(service.clock.now, announcement(day).public_from)
    end = announcement(following(day)).public_from
    whole = False
    while service.clock.now < end and not whole:
        whole = try_once(service, day)
    if not whole:
        return
    sent["wide"] += freeze(service, WIDE, day)
    for hours in (1, 4, 5, 9, 13, 20):
        if service.clock.now + hours * HOUR < end:
            service.clock.now += hours * HOUR
            service.again()
        if hours == 5:
            sent["narrow"] += freeze(service, NARROW, day)


def try_once(service, day):
    assert service.source.newest(service.clock()) == day
    before = service.clock.now
    try:
        service.fetch()
    except service.waits as wait:
        service.clock.now = max(wait.retry_at, before + timedelta(minutes=1))
        return False
    return True


@pytest.mark.parametrize("seed", [3])
def test_every_paper_is_in_one_digest_of_each_rubric(store, seed):
    rng = random.Random(seed)  # noqa: S311 - a fixed course of events, no secret
    service = FetchService(store, *NAMES, since=FIRST)
    days = calendar(26)
    build(service, rng, days)
    sent = {"wide": [], "narrow": []}
    for day in days:
        live(service, day, sent)
    settled = announcement(days[-8]).start
    for name, categories in (("wide", NAMES), ("narrow", ("cs.CL",))):
        due = {
            one.id
            for one in service.timeline.submissions
            if service.timeline.mailing(one) < days[-7]
            and one.submitted < settled
            and set(one.categories) & set(categories)
        }
        twice = [key for key, count in Counter(sent[name]).items() if count > 1]
        assert twice == []
        assert sorted(due - set(sent[name])) == []
        assert len(due) > 40
