"""What must hold of replies and votes in the simulated year, worked out from what was written."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

from newsletter.domain.announcements import following
from newsletter.store import digests
from tests.simulations.wall_clock import SOON, wall_clock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from newsletter.domain.model import Digest, Pick
    from tests.simulations.simulate_year import Findings, Made
    from tests.simulations.year import Mail, Reader, Service, Year

PAUSE = timedelta(weeks=2)
ANSWERS_A_DAY = 5
MOST_VOTES = 1000
"""Of one reader, by docs/scoring.md."""
ENOUGH_VOTES = 20
OF_ADDRESS = ("pause 2 weeks", "resume")
"""Commands that are about all rubrics of a reader."""


def check_asked(
    year: Year, reader: Reader, box: list[Mail], days: dict[date, Made], found: Findings
) -> None:
    """From the next issue on mail comes as the last reply asked for, of this rubric alone."""
    asked = _asked(year, reader)
    for day in year.real_days:
        if day not in days:
            continue
        due = wall_clock(reader.zone, reader.hour, _usual(year, day))
        wanted = max(due, days[day].at)
        habit = _habit(asked, wanted)
        if habit != _habit(asked, wanted + SOON):
            continue
        mails = [mail for mail in box if mail.last == day and not _catches_up(asked, mail)]
        last_of_week = following(day).isocalendar()[:2] != day.isocalendar()[:2]
        number = int(habit == "daily" or (habit == "weekly" and last_of_week))
        case = f"{reader.name}, {day}, {habit}: {len(mails)} mails"
        in_time = all(wanted <= mail.at <= wanted + SOON for mail in mails)
        found.check(
            "what a reply asked for holds from the next issue on",
            case,
            holds=len(mails) == number and in_time,
        )
    for mail in box:
        case = f"{reader.name}, {mail.at}"
        holds = _habit(asked, mail.at) not in ("paused", "left")
        found.check("no mail while paused or after leaving", case, holds=holds)


def _catches_up(asked: Sequence[tuple[datetime, str]], mail: Mail) -> bool:
    """Whether the issue of that morning comes at once, as its reader asked for daily mail again."""
    again = (at for at, said in asked if said == "daily")
    return any(at <= mail.at <= at + SOON for at in again)


def _usual(year: Year, day: date) -> datetime:
    """When the announcement of a day would have been public without a delay."""
    return year.timeline.public(day) - year.timeline.delays.get(day, timedelta(0))


def _asked(year: Year, reader: Reader) -> list[tuple[datetime, str]]:
    """The commands that concern a subscription: an absence notice is none."""
    return sorted(
        (at, str(how["said"]))
        for one in year.readers
        for at, act, how in one.changes
        if act == "reply"
        and one.email == reader.email
        and (one.rubric == reader.rubric or how["said"] in OF_ADDRESS)
    )


def _habit(asked: Sequence[tuple[datetime, str]], moment: datetime) -> str:
    cadence, paused_until = "daily", None
    for at, said in asked:
        if at > moment:
            break
        if said == "unsubscribe":
            return "left"
        if said in ("weekly", "daily"):
            cadence = said
        elif said in OF_ADDRESS:
            paused_until = at + PAUSE if said != "resume" else None
    return "paused" if paused_until and moment < paused_until else cadence


def check_answers(service: Service, found: Findings) -> None:
    """Each command is answered once, up to five on a day; a machine never, and no mail again."""
    today: Counter[tuple[str, date]] = Counter()
    for one in service.replies.written:
        case = f"{one.email}, {one.at}, {one.said!r}: {one.answers} and {one.repeated} answers"
        found.check("a mail that comes again is not answered", case, holds=not one.repeated)
        if one.machine:
            found.check("a machine is never answered", case, holds=not one.answers)
            continue
        key = (one.email, one.at.date())
        today[key] += 1
        if today[key] <= ANSWERS_A_DAY:
            found.check("a command is answered once", case, holds=one.answers == 1)
        else:
            found.check("at most five answers go out on a day", case, holds=not one.answers)


def check_votes(service: Service, made: dict[str, dict[date, Made]], found: Findings) -> None:
    """Votes order the digests after them: no earlier one, no other rubric, no pick, no score."""
    first, last = service.year.first - timedelta(days=40), service.year.last
    for slug, days in made.items():
        cast = [one for one in service.replies.votes if one.rubric == slug]
        with service.app.store.read() as tx:
            all_of_slug = list(digests.between(tx, slug, first, last))
        for digest in all_of_slug:
            before = {one.paper for one in cast if one.at < days[digest.date].at}
            _check_digest(service.year, digest, len(before), found)
    for reader in service.year.readers:
        for mail in service.year.box(reader):
            if mail.first == mail.last:
                case = f"{reader.name}, {mail.last}: {' '.join(mail.papers)}"
                holds = mail.papers == made[reader.rubric][mail.last].picks
                found.check("a digest keeps the order that was mailed", case, holds=holds)


def _check_digest(year: Year, digest: Digest, votes: int, found: Findings) -> None:
    case = f"{digest.rubric.slug} of {digest.date} with {votes} votes before it"
    ids = [pick.paper.id for pick in digest.picks]
    expected = {paper for paper in digest.coverage.papers if _number(paper) % 3 == 0}
    found.check("votes change no picks", f"{case}: {ids}", holds=set(ids) == expected)
    holds = all(_has_its_score(pick) for pick in digest.picks)
    found.check("votes change no score", case, holds=holds)
    plain = sorted(ids, key=lambda paper: (-(_number(paper) % 10), paper))
    if not votes:
        holds = ids == plain and not digest.votes
        found.check("no order changes without earlier votes", f"{case}: {ids}", holds=holds)
    elif votes >= ENOUGH_VOTES:
        wanted = [year.is_wanted(paper) for paper in ids]
        counted = min(votes, MOST_VOTES)
        holds = wanted == sorted(wanted, reverse=True) and digest.votes == counted
        told = f"{case}: {list(zip(ids, wanted, strict=True))}, {digest.votes} told"
        found.check("what votes ask for stands first", told, holds=holds)


def _number(paper: str) -> int:
    return int(paper.partition(".")[2])


def _has_its_score(pick: Pick) -> bool:
    score = pick.score
    fine = _number(pick.paper.id) % 10
    return score is not None and (score.relevance, score.novelty, score.fine) == (8, 8, fine)
