"""A simulated week in which the service is killed, suspended, stopped and its clock set wrong.

The week is lived twice: undisturbed, and with all that. Both must come to the same: every paper in
the same digest of each rubric, every reader the same mails, none twice. Only of a mail that was
under way when the process died nobody knows; it must be named as `unknown`, and such are few.

    python -m tests.simulations.simulate_week [--days 8] [--crowd 4] [--seed 1] [--seeds 1]
        [--kills 60] [--every 1] [--database URL]...

With --database, a PostgreSQL address, each week has a schema of its own there. Once a day the
process dies while mails are taken and their answers on the way: who sent those again is found out.
"""

from __future__ import annotations

import os

# Whoever forks must have no threads, and a library of sums would start some.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import argparse
import importlib
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import select as sql

from newsletter.domain.announcements import announcement, following
from newsletter.domain.send_times import due_at
from newsletter.jobs import tasks
from newsletter.store import Store, digests
from newsletter.store.tables import delivery, digest, subscriber
from tests.fakes.database import fresh_schema
from tests.simulations.crash import ControlledProcess, SimulationError
from tests.simulations.week import CALM, ON_THE_WAY, STEPS, SUNDAY, Week, live
from tests.simulations.year import RUBRICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LOADED = (
    "alembic.command",
    "alembic.config",
    "newsletter.domain.logistic_regression",
)
"""Loaded once, before any process is forked."""
GRID = timedelta(minutes=5)
PATIENCE = 4
"""Undisturbed wake-ups within which what is owed must be mailed: arXiv may be looked at twice."""
BEGAN = time.monotonic()
THREADS = tasks.LIMITS.threads
BACK, AHEAD = -timedelta(hours=2), timedelta(days=1)
JUMP_LASTS = timedelta(hours=3)
WEIGHTS = (1, 1, 3, 4, 3, 1, 1)
"""Of the steps: most that can go wrong goes wrong around a request."""
CALM_ORDER = (CALM, 1, int(signal.SIGKILL))


@dataclass
class Disturbances:
    """Drives one week: passes the time, and disturbs where dice say so."""

    week: Week
    dice: random.Random
    kills: int = 0
    process: ControlledProcess | None = None
    done: Counter[str] = field(default_factory=Counter)
    wrong_from: dict[timedelta, datetime] = field(default_factory=dict)
    wrong_spans: list[tuple[datetime, datetime]] = field(default_factory=list)
    quiet: list[datetime] = field(default_factory=list)
    """Wake-ups that nothing disturbed, with the right clock."""
    kill_on_the_way: bool = False
    """A trap is set that springs once a mail is taken, and nothing else may come before it."""
    days_waited: int = 0
    days_told: int = 0

    def run(self) -> None:
        """The whole week; more disturbances come where fewer than wanted were met."""
        todo = _moments(self.week)
        jumps = self._jumps(todo) if self.kills else {}
        total = len(todo)
        while todo:
            at = todo.pop(0)
            if at < self.week.clocks.true():
                continue
            self.week.clocks.set(at)
            self._tell_day(at)
            self._set_clock(at, jumps)
            short = self.kills - self.done["kills"]
            if self.kills and at >= SUNDAY + timedelta(days=self.days_waited, hours=8):
                self._kill_on_the_way()
            elif self.kill_on_the_way:
                pass
            elif short > 0 and self.dice.random() < 2.5 * short / (len(todo) + 1 + total // 20):
                self._disturb()
            self._wake()
        if self.week.clocks.wrong:
            self.wrong_spans.append((max(self.wrong_from.values()), self.week.end))
            self.week.clocks.put_wrong(timedelta())
        self._wake()
        if self.process is not None:
            self.process.terminate()
            self.process = None

    def _tell_day(self, at: datetime) -> None:
        if (at - SUNDAY).days > self.days_told:
            self.days_told = (at - SUNDAY).days
            met = ", ".join(f"{number} {what}" for what, number in sorted(self.done.items()))
            say(f"  day {self.days_told} of {self.week.days}: {met}")

    def _jumps(self, todo: list[datetime]) -> dict[timedelta, datetime]:
        first, second = self.dice.sample(todo[len(todo) // 6 :], 2)
        return {BACK: first, AHEAD: second}

    def _set_clock(self, at: datetime, jumps: dict[timedelta, datetime]) -> None:
        """The clock is wrong once in each direction, for some hours each."""
        clocks = self.week.clocks
        for by, since in list(self.wrong_from.items()):
            if clocks.wrong == by and at >= since + JUMP_LASTS:
                clocks.put_wrong(timedelta())
                self.wrong_spans.append((since, at))
        if clocks.wrong:
            return
        for by, start in jumps.items():
            if by not in self.wrong_from and at >= start:
                self.wrong_from[by] = at
                clocks.put_wrong(by)
                self.done[f"clock set by {by.total_seconds() / 3600:+.0f} h"] += 1
                return

    def _running(self) -> ControlledProcess:
        if self.process is None or self.process.status is not None:
            self.process = ControlledProcess(partial(live, self.week), self.week.folder / "log")
            self.done["starts"] += 1
        return self.process

    def _wake(self) -> None:
        """A wake-up of whoever lives, with whatever trap is set in it still."""
        at, before = self.week.clocks.true(), self._troubles
        self._running().order(*CALM_ORDER)
        self._follow()
        self.done["wake-ups"] += 1
        if before == self._troubles and not self.week.clocks.wrong:
            self.quiet.append(at)

    @property
    def _troubles(self) -> int:
        return self.done["kills"] + self.done["suspensions"]

    def _follow(self) -> None:
        process = self._running()
        while (said := process.wait_for_answer()) == "stopped":
            self._sleep()
            process.resume()
        if said == "ended":
            self._record_death()

    def _record_death(self) -> None:
        """It died; the machine is off for a while, mostly none."""
        self.done["kills"] += 1
        self.done["with answers on the way"] += self.kill_on_the_way
        self.kill_on_the_way = False
        self._pass_minutes(self.dice.choice((0, 0, 0, 0, 1, 7, 60, 150)))

    def _sleep(self) -> None:
        self.done["suspensions"] += 1
        self._pass_minutes(self.dice.choice((2, 12, 25, 90, 300)))

    def _pass_minutes(self, minutes: int) -> None:
        last = self.week.end - GRID
        self.week.clocks.set(min(self.week.clocks.true() + minutes * GRID / 5, last))

    def _disturb(self) -> None:
        if not self.done["suspensions"] and 2 * self.done["kills"] >= self.kills:
            self._suspend()
            return
        chosen = self.dice.choices(
            (self._kill_at_step, self._kill, self._suspend, self._end), (45, 25, 20, 10)
        )
        chosen[0]()

    def _kill_at_step(self) -> None:
        """Set a trap; it may be this wake-up or a later one that comes to it."""
        number = signal.SIGSTOP if self.dice.random() < 0.25 else signal.SIGKILL
        times = self.dice.choice((1, 1, 2, 3, 5, 9))
        [step] = self.dice.choices(STEPS, WEIGHTS)
        self._running().order(step, times, int(number))
        self._follow()

    def _kill_on_the_way(self) -> None:
        """Once a day it dies with mails that are taken and whose answers are still on the way."""
        self.days_waited += 1
        self.kill_on_the_way = True
        self._running().order(ON_THE_WAY, 1, int(signal.SIGKILL))
        self._follow()

    def _kill(self) -> None:
        process = self._running()
        process.order(*CALM_ORDER)
        time.sleep(self.dice.uniform(0, 0.12))
        process.kill()
        self._record_death()

    def _suspend(self) -> None:
        process = self._running()
        process.order(*CALM_ORDER)
        time.sleep(self.dice.uniform(0, 0.08))
        if process.suspend():
            self._sleep()
            process.resume()
            self._follow()
        else:
            self._record_death()

    def _end(self) -> None:
        process = self._running()
        process.order(*CALM_ORDER)
        time.sleep(self.dice.uniform(0, 0.08))
        process.terminate()
        self.done["asked to end"] += 1
        if process.status == -signal.SIGKILL:
            self.done["kills"] += 1
        elif left := _in_hand(self.week, process.pid):
            message = f"asked to end it left {left} mails in flight"
            raise SimulationError(message)


def _moments(week: Week) -> list[datetime]:
    """Wake-ups of the five-minute grid at which something may be due, and one in three hours."""
    found = {SUNDAY + timedelta(hours=hours) for hours in range(0, 24 * week.days + 12, 3)}
    for day in week.announced:
        shown = week.timeline.public(day)
        found |= {_on_grid(shown) + GRID * step for step in (0, 1, 3, 4)}
        found |= {_on_grid(announcement(day).public_from) + timedelta(hours=n) for n in (0, 3)}
        hours = {due_at(day, ZoneInfo(one.zone), one.hour) for one in week.readers}
        found |= {_on_grid(at) + GRID * step for step in (0, 1) for at in hours}
    return sorted(at for at in found if SUNDAY <= at <= week.end)


def _on_grid(moment: datetime) -> datetime:
    past = (moment - SUNDAY) % GRID
    return moment + GRID - past if past else moment


@dataclass
class Outcome:
    """What a week came to: digests by rubric and date, mails by reader and digest."""

    digests: dict[tuple[str, date], tuple[list[str], list[str]]]
    states: dict[tuple[str, ...], str]
    mails: dict[tuple[str, ...], list[dict[str, Any]]]

    def named(self, state: str) -> list[tuple[str, ...]]:
        return [key for key, one in self.states.items() if one == state]


def outcome_of(week: Week) -> Outcome:
    made = {}
    store = Store(week.database)
    with store.read() as tx:
        for slug in RUBRICS:
            for one in digests.between(tx, slug, date(2000, 1, 1), date(2100, 1, 1)):
                picks = [pick.paper.id for pick in one.picks]
                made[slug, one.date] = picks, sorted(one.coverage.papers)
        rows = tx.execute(
            sql(
                subscriber.c.email, digest.c.rubric, digest.c.since, digest.c.date, delivery.c.state
            ).select_from(delivery.join(digest).join(subscriber))
        ).all()
    store.close()
    states = {
        (email.partition("@")[0], slug, f"{since}", f"{day}"): str(state)
        for email, slug, since, day, state in rows
    }
    mails: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for one in week.taken():
        mails.setdefault((one["to"], *one["digest"]), []).append(one)
    return Outcome(made, states, mails)


def _in_hand(week: Week, pid: int) -> int:
    """Mails that this process is still sending; what one before it left is another's to find."""
    store = Store(week.database)
    with store.read() as tx:
        owners = tx.scalars(sql(delivery.c.lease_owner).where(delivery.c.state == "sending")).all()
    store.close()
    return sum(f"/{pid}/" in str(owner) for owner in owners)


def faults_of_calm(week: Week, calm: Outcome) -> list[str]:
    """What the undisturbed week promises by the calendar alone."""
    wrong = _faults_of_papers(week, calm)
    days = week.announced
    for reader in week.readers:
        got = sum(len(found) for key, found in calm.mails.items() if key[0] == reader.name)
        if reader.daily and got != len(days):
            wrong.append(f"{reader.name} had {got} mails of {len(days)} announcements")
        if not got and reader.daily:
            wrong.append(f"{reader.name} had no mail")
    return wrong + _faults_of_mails(calm, allowed=0)


def _faults_of_papers(week: Week, ended: Outcome) -> list[str]:
    """Every paper of a rubric is in exactly one of its digests."""
    wrong = []
    days = week.announced
    began = announcement(days[0]).start
    for slug, categories in RUBRICS.items():
        seen = Counter(
            paper
            for (rubric, _), (_, all_of) in ended.digests.items()
            if rubric == slug
            for paper in all_of
        )
        for one in week.timeline.submissions:
            names = {*one.categories, *(name for day, name in one.crosses if day < days[-1])}
            if not names & set(categories) or one.submitted < began:
                continue
            if week.timeline.mailing(one) < days[-1] and seen[one.id] != 1:
                wrong.append(f"{one.id} is in {seen[one.id]} digests of {slug}")
    return wrong


def _faults_of_mails(ended: Outcome, allowed: int) -> list[str]:
    """Every mail owed is out once, or named as unknown, and no paper came twice to anybody."""
    wrong = [f"{key} was mailed {len(got)} times" for key, got in ended.mails.items() if got[1:]]
    wrong += [f"{key} is mailed and not owed" for key in ended.mails.keys() - ended.states.keys()]
    for key, state in ended.states.items():
        number = len(ended.mails.get(key, ()))
        if state not in {"accepted", "unknown"} or (state == "accepted" and number != 1):
            wrong.append(f"{key} is {state} and was mailed {number} times")
    papers = Counter(
        (key[0], paper)
        for key, got in ended.mails.items()
        for one in got
        for paper in one["papers"]
    )
    wrong += [f"{who} was sent {paper} {n} times" for (who, paper), n in papers.items() if n > 1]
    unknown = len(ended.named("unknown"))
    if unknown > allowed:
        wrong.append(f"{unknown} mails are unknown, at most {allowed} may be")
    return wrong


def faults(week: Week, calm: Outcome, ended: Outcome, disturbances: Disturbances) -> list[str]:
    """Where the disturbed week came to another end than the calm one.

    What moderation held is shown by arXiv's list alone, some hours after the batch: it may be in
    the digest of its day or in the next, as the service looked later or sooner.
    """
    held = {one.id for one in week.timeline.submissions if one.announced}
    wrong = _faults_of_mails(ended, disturbances.done["kills"] * THREADS) + _faults_of_papers(
        week, ended
    )
    for key in sorted(calm.digests.keys() | ended.digests.keys()):
        there, here = (one.digests.get(key) for one in (calm, ended))
        if there is None or here is None:
            wrong.append(f"the digest {key} was made in one of the weeks alone")
        elif apart := _apart(there[1], here[1], held) or _apart(there[0], here[0], held):
            wrong.append(f"the digest {key} has other papers or picks: {apart}")
    differently = _served_differently(calm, ended, disturbances)
    lacking = calm.states.keys() - ended.states.keys()
    wrong += [f"{key} got no mail" for key in sorted(lacking) if key[0] not in differently]
    many = ended.states.keys() - calm.states.keys()
    wrong += [f"{key} got a mail too many" for key in sorted(many) if key[0] not in differently]
    for key in sorted(calm.mails.keys() & ended.mails.keys()):
        if _apart(calm.mails[key][0]["papers"], ended.mails[key][0]["papers"], held):
            wrong.append(f"{key} was sent other papers")
        wrong += _faults_of_time(key, calm, ended, disturbances)
    return wrong


def _apart(there: Iterable[str], here: Iterable[str], held: set[str]) -> list[str]:
    return sorted((set(there) ^ set(here)) - held)


def _served_differently(calm: Outcome, ended: Outcome, disturbances: Disturbances) -> set[str]:
    """Readers whom a wrong clock served the same dates in other mails.

    A service that takes Monday for Tuesday mails whoever reads on Mondays what there is by then.
    """
    found = set()
    for reader, *_ in ended.states.keys() - calm.states.keys():
        mine = [key for key in ended.states if key[0] == reader]
        times = [
            datetime.fromisoformat(one["at"]) for key in mine for one in ended.mails.get(key, ())
        ]
        wrongly = any(start <= at <= end for start, end in disturbances.wrong_spans for at in times)
        if wrongly and _dates(mine) == _dates(key for key in calm.states if key[0] == reader):
            found.add(reader)
    return found


def _dates(keys: Iterable[tuple[str, ...]]) -> list[str]:
    """Every announcement that these mails hold, one as often as it is in them."""
    held = []
    for _, _, first, last in keys:
        day = date.fromisoformat(first)
        while day <= date.fromisoformat(last):
            held.append(day.isoformat())
            day = following(day)
    return sorted(held)


def _faults_of_time(
    key: tuple[str, ...], calm: Outcome, ended: Outcome, disturbances: Disturbances
) -> list[str]:
    wrong = []
    at, promised = _first(ended, key), _first(calm, key)
    excused = any(start <= at <= end for start, end in disturbances.wrong_spans)
    if at < promised - GRID and not excused:
        wrong.append(f"{key} came at {at}, before {promised}")
    after = [one for one in disturbances.quiet if one >= promised]
    if after[PATIENCE:] and at > after[PATIENCE] + GRID:
        wrong.append(f"{key} came at {at}, not at {promised} nor soon after {after[0]}")
    return wrong


def latest(calm: Outcome, ended: Outcome) -> tuple[timedelta, str]:
    """By how much the latest mail came after its time, and which."""
    delays = {
        key: _first(ended, key) - _first(calm, key)
        for key in calm.mails.keys() & ended.mails.keys()
    }
    key = max(delays, key=lambda key: delays[key])
    return delays[key], f"{key} at {_first(ended, key)}"


def _first(outcome: Outcome, key: tuple[str, ...]) -> datetime:
    return datetime.fromisoformat(outcome.mails[key][0]["at"])


@contextmanager
def a_week(given: argparse.Namespace, seed: int, cluster: str) -> Iterator[Week]:
    quick = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a place in memory
    with (
        tempfile.TemporaryDirectory(dir=quick) as folder,
        fresh_schema(cluster) if cluster else nullcontext("") as url,
    ):
        database = url or f"sqlite:///{folder}/week.db"
        week = Week(Path(folder), database, given.days, given.crowd, given.every, seed)
        week.found()
        yield week


def run_seed(given: argparse.Namespace, seed: int) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """The figures of one seed, and what was wrong, for each database."""
    with a_week(given, seed, "") as week:
        say(f"seed {seed}: {week.days} days for {len(week.readers)} readers, undisturbed")
        Disturbances(week, random.Random(seed)).run()  # noqa: S311 - a simulation
        calm = outcome_of(week)
        wrong = [f"undisturbed: {case}" for case in faults_of_calm(week, calm)]
    for database in given.database or [""]:
        say(f"seed {seed}: the same, disturbed, on {database.partition(':')[0] or 'sqlite'}")
        with a_week(given, seed, database) as week:
            figures, faulty = disturbed(week, calm, random.Random(seed), given.kills)  # noqa: S311 - as above
        yield {"seed": seed, **figures}, wrong + faulty


def disturbed(
    week: Week, calm: Outcome, dice: random.Random, kills: int
) -> tuple[dict[str, Any], list[str]]:
    disturbances = Disturbances(week, dice, kills)
    try:
        disturbances.run()
        ended = outcome_of(week)
    except SimulationError as error:
        print(_tail(week), file=sys.stderr)
        return dict(disturbances.done), [str(error)]
    finally:
        if disturbances.process and disturbances.process.status is None:
            disturbances.process.kill()
    unknown = ended.named("unknown")
    delay, which = latest(calm, ended)
    figures = {
        "announcements": len(week.announced),
        "papers": len(week.timeline.submissions),
        "readers": len(week.readers),
        "mails": sum(map(len, ended.mails.values())),
        **disturbances.done,
        "unknown": len(unknown),
        "unknown and mailed": len(set(unknown) & ended.mails.keys()),
        "unknown and not mailed": len(set(unknown) - ended.mails.keys()),
        "unknown allowed": disturbances.done["kills"] * THREADS,
        "latest mail, in minutes": delay / timedelta(minutes=1),
        "latest": which,
        "clock wrong": [
            f"{start:%d %H:%M}-{end:%d %H:%M}" for start, end in disturbances.wrong_spans
        ],
    }
    return figures, faults(week, calm, ended, disturbances) + _tracebacks(week)


def _tracebacks(week: Week) -> list[str]:
    """Faults of the program that were logged and gone over."""
    _, *faulty = _log(week).split("Traceback")
    return [f"a fault in the log: {one.strip()[-300:]}" for one in faulty]


def _tail(week: Week) -> str:
    return _log(week)[-6000:]


def _log(week: Week) -> str:
    path = week.folder / "log"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def say(what: str) -> None:
    """Progress, on standard error."""
    print(f"{time.monotonic() - BEGAN:6.0f} s  {what}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=8)
    parser.add_argument("--crowd", type=int, default=4, help="readers of a rubric in a zone")
    parser.add_argument("--every", type=int, default=1, help="of the zones take each Nth")
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--database", action="append", default=[], help="'' is SQLite")
    given = parser.parse_args()
    for name in LOADED:
        importlib.import_module(name)
    all_wrong = []
    for seed in range(given.seed, given.seed + given.seeds):
        for figures, wrong in run_seed(given, seed):
            all_wrong += wrong
            used = round(sum(os.times()[:4]))
            print(
                json.dumps({**figures, "processor seconds": used, "wrong": wrong[:20]}), flush=True
            )
    return 1 if all_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
