"""Ledger of paid model calls: enforces the budget before a call, stores its outcome.

intent ──> answered ──> done        the answer is stored raw, then parsed
  ├──────> free                     provably not billed
  └──────> lost                     may have been billed: its upper bound stays reserved
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC
from enum import StrEnum
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import bindparam, case, exists, func, insert, literal_column, select, update

from newsletter.domain.formatting import month_start
from newsletter.domain.mail import SubscriberState
from newsletter.domain.model import Usage
from newsletter.store import digests
from newsletter.store.tables import call as calls
from newsletter.store.tables import month_cost, score, subscription
from newsletter.store.upsert import insert_for

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from datetime import date, datetime

    from sqlalchemy import ColumnElement, Connection, Executable

    from newsletter.scorers import ScoringCall

BUDGET_LOCK = 0x6E6577736C


class CallState(StrEnum):
    INTENT = "intent"
    ANSWERED = "answered"
    DONE = "done"
    FREE = "free"
    LOST = "lost"


# A call of the model takes several of these statements: to build them anew each time would cost
# more than to execute them.


_IS_UNCONFIRMED = calls.c.state.in_([CallState.INTENT, CallState.LOST])
SPENT_NANOS = case((_IS_UNCONFIRMED, calls.c.upper_nanos), else_=calls.c.cost_nanos)
"""Cost of a call; an unconfirmed one counts with its upper bound."""
LOST_NANOS = case((calls.c.state == CallState.LOST, calls.c.upper_nanos), else_=0)
"""What a call may have cost, at most, where that is not known."""
_NANOS_OF_CALL = (
    select(SPENT_NANOS, calls.c.started_at)
    .where(calls.c.id == bindparam("call_id"))
    .with_for_update()
)
_RESERVED_OF_DAY = select(func.coalesce(func.sum(SPENT_NANOS), 0)).where(
    calls.c.rubric == bindparam("rubric"), calls.c.date == bindparam("day")
)
_RESERVED_OF_MONTH = select(month_cost.c.nanos).where(month_cost.c.month == bindparam("month"))
"""A sum over a month's calls would take half a second at 100,000 of them."""
_IN_FLIGHT = select(calls.c.papers).where(
    calls.c.fingerprint == bindparam("fingerprint"),
    calls.c.scorer == bindparam("scorer"),
    calls.c.state.in_([CallState.INTENT, CallState.ANSWERED]),
    calls.c.reading == bindparam("reading"),
    calls.c.lease_until > bindparam("now"),
)
_CALL = update(calls).where(calls.c.id == bindparam("call_id"))
_UNCONFIRMED_CALL = _CALL.where(_IS_UNCONFIRMED).returning(
    calls.c.upper_nanos, calls.c.cost_nanos, calls.c.started_at
)


@dataclass(frozen=True, slots=True)
class Account:
    """What a call is charged to: one rubric on one day, by one scorer, in one process."""

    rubric: str
    fingerprint: str
    scorer: str
    day: date
    owner: str


@dataclass(frozen=True, slots=True)
class Budget:
    """Nano-dollars: for the rubric's day, and for the month of the whole service."""

    day_nanos: int
    month_nanos: int | None = None


class ReservationRefused(Exception):
    """The call must not be made: over budget, or another call scores these papers now."""

    def __init__(self, *, taken: frozenset[str] = frozenset()) -> None:
        super().__init__("taken" if taken else "over budget")
        self.taken = taken


def reserve(
    tx: Connection,
    account: Account,
    call: ScoringCall,
    budget: Budget,
    lease_until: datetime,
    batch_id: str | None = None,
) -> str:
    """Write the intent and return its id. Raises ReservationRefused.

    Spent + unknown + in flight + this call never exceed the budget, over all processes: the lock
    is held until the intent is committed.
    """
    _lock(tx)
    ids = {paper.id for paper in call.request.papers}
    if taken := ids & _in_flight(tx, account, call.request.pass_number, call.at):
        raise ReservationRefused(taken=frozenset(taken))
    if call.upper_nanos > max(_nanos_left(tx, account, budget, call.at), 0):
        raise ReservationRefused
    intent = _intent(account, call)
    tx.execute(insert(calls), intent | {"lease_until": lease_until, "batch_id": batch_id})
    _add_to_month(tx, call.at, call.upper_nanos)
    return str(intent["id"])


def _nanos_left(tx: Connection, account: Account, budget: Budget, now: datetime) -> int:
    """What is left of the rubric's day and of the service's month: the smaller of the two."""
    left = budget.day_nanos - spent(tx, account.rubric, account.day)
    if budget.month_nanos is None:
        return left
    return min(left, budget.month_nanos - spent_of_month(tx, now))


def _month(at: datetime) -> date:
    return month_start(at.astimezone(UTC)).date()


def _add_to_month(tx: Connection, at: datetime, nanos: int) -> None:
    """Last in its transaction: all processes change this row."""
    if nanos:
        tx.execute(_add_nanos(tx.dialect.name), {"month": _month(at), "nanos": nanos})


@cache
def _add_nanos(dialect: str) -> Executable:
    new = insert_for(dialect, month_cost)
    total = {"nanos": month_cost.c.nanos + new.excluded.nanos}
    return new.on_conflict_do_update(index_elements=["month"], set_=total)


def _intent(account: Account, call: ScoringCall) -> dict[str, object]:
    return {
        "id": uuid4().hex,
        "rubric": account.rubric,
        "fingerprint": account.fingerprint,
        "scorer": account.scorer,
        "date": account.day,
        "reading": call.request.pass_number,
        "model": call.model,
        "request_hash": sha256(json.dumps(call.body, sort_keys=True).encode()).hexdigest(),
        "papers": {slot: paper.id for slot, paper in call.request.slots.items()},
        "state": CallState.INTENT,
        "upper_nanos": call.upper_nanos,
        "owner": account.owner,
        "started_at": call.at,
    }


def store_answer(
    tx: Connection, call_id: str, raw: bytes, usage: Usage | None, at: datetime
) -> None:
    """Store a raw answer before it is parsed; without usage it counts as lost."""
    state = CallState.ANSWERED if usage else CallState.LOST
    _end(tx, call_id, state, at, raw=raw, usage=_usage_columns(usage), cost_nanos=_cost(usage))


def recover_answer(
    tx: Connection, call_id: str, raw: bytes, usage: Usage | None, at: datetime
) -> None:
    """Store an answer from the answer file, unless it is stored already."""
    waiting = (calls.c.id == call_id) & _IS_UNCONFIRMED
    if usage and tx.scalar(select(calls.c.id).where(waiting, calls.c.raw.is_(None))):
        store_answer(tx, call_id, raw, usage, at)


def mark_done(tx: Connection, call_id: str) -> None:
    tx.execute(_CALL, {"call_id": call_id, "state": CallState.DONE})


def mark_free(tx: Connection, call_id: str, reason: str, at: datetime) -> None:
    _end(tx, call_id, CallState.FREE, at, reason=reason)


def mark_lost(tx: Connection, call_id: str, reason: str, at: datetime) -> None:
    _end(tx, call_id, CallState.LOST, at, reason=reason)


def abandon(tx: Connection, call_id: str, reason: str, at: datetime) -> None:
    """Mark a call lost, unless its answer is stored already."""
    waiting = (calls.c.id == call_id) & (calls.c.state == CallState.INTENT)
    tx.execute(
        update(calls).where(waiting).values(state=CallState.LOST, reason=reason, ended_at=at)
    )


def mark_dead_calls_lost(
    tx: Connection, account: Account | None, now: datetime, is_dead: Callable[[str], bool]
) -> None:
    """Mark calls of dead processes as lost: nobody will receive their answers.

    Of one account, or of all (None).
    """
    # The literal lets both databases use the index of the few open calls.
    waiting = [calls.c.state == literal_column(f"'{CallState.INTENT}'"), calls.c.batch_id.is_(None)]
    if account:
        waiting += _of_account(account)
    rows = tx.execute(select(calls.c.id, calls.c.owner, calls.c.lease_until).where(*waiting))
    for row in rows.all():
        if row.lease_until <= now or is_dead(row.owner):
            abandon(tx, row.id, "the process ended before the answer came", now)


@dataclass(frozen=True, slots=True)
class UnparsedAnswer:
    """A stored answer that was not parsed; `papers` are ids by slot."""

    call_id: str
    reading: int
    model: str
    papers: dict[str, str]
    raw: bytes


def unparsed_answers(tx: Connection, account: Account) -> list[UnparsedAnswer]:
    rows = tx.execute(
        select(calls.c.id, calls.c.reading, calls.c.model, calls.c.papers, calls.c.raw)
        .where(*_of_account(account), calls.c.state == CallState.ANSWERED)
        .order_by(calls.c.started_at, calls.c.id)
    )
    return [UnparsedAnswer(row.id, row.reading, row.model, row.papers, row.raw) for row in rows]


@dataclass(frozen=True, slots=True)
class BatchedCall:
    """A call in a Batch API job; `batch_id` is SUBMITTING until the job is known."""

    call_id: str
    batch_id: str
    reading: int
    model: str
    papers: dict[str, str]
    since: datetime
    owner: str


SUBMITTING = "submitting"


def batched_calls(tx: Connection, account: Account) -> list[BatchedCall]:
    """The calls of this account in Batch API jobs, of this process or an earlier one."""
    rows = tx.execute(
        select(calls).where(
            *_of_account(account),
            calls.c.rubric == account.rubric,
            calls.c.state == CallState.INTENT,
            calls.c.batch_id.is_not(None),
        )
    )
    return [
        BatchedCall(
            call_id=row.id,
            batch_id=row.batch_id,
            reading=row.reading,
            model=row.model,
            papers=row.papers,
            since=row.started_at,
            owner=row.owner,
        )
        for row in rows
    ]


def known_batch_ids(tx: Connection, since: datetime) -> set[str]:
    """The batch ids of all accounts' calls since then."""
    rows = tx.execute(
        select(calls.c.batch_id)
        .where(calls.c.started_at >= since, calls.c.batch_id.is_not(None))
        .distinct()
    )
    return {row.batch_id for row in rows} - {SUBMITTING}


SHARED_PREFIX_TOKENS = 5_000
"""Cached prefixes from this length on hold sixteen papers; those with the rubric are shorter."""


def batch_cache_hits(tx: Connection, scorer: str, since: datetime) -> float | None:
    """Share of the cached tokens that batch calls with shared papers read, and did not write.

    None where there was no such call since then.
    """
    read, written = (
        func.coalesce(calls.c.usage[name].as_integer(), 0)
        for name in ("cache_read_tokens", "cache_write_tokens")
    )
    sums = tx.execute(
        select(func.sum(read), func.sum(read + written)).where(
            calls.c.started_at >= since,
            calls.c.scorer == scorer,
            calls.c.batch_id.is_not(None),
            calls.c.state == CallState.DONE,
            read + written >= SHARED_PREFIX_TOKENS,
        )
    ).one()
    return int(sums[0]) / int(sums[1]) if sums[1] else None


def set_batch_id(tx: Connection, call_ids: Collection[str], batch_id: str) -> None:
    tx.execute(update(calls).where(calls.c.id.in_(call_ids)).values(batch_id=batch_id))


def last_reason(tx: Connection, account: Account, papers: Collection[str]) -> str:
    """Why the last call about any of the papers failed; empty where it was answered."""
    rows = tx.execute(
        select(calls.c.papers, calls.c.reason)
        .where(*_of_account(account), calls.c.date == account.day, calls.c.ended_at.is_not(None))
        .order_by(calls.c.ended_at.desc(), calls.c.id)
    )
    wanted = set(papers)
    return next((row.reason for row in rows if wanted & set(row.papers.values())), "")


def stored_answer(tx: Connection, account: Account) -> bytes | None:
    """The newest raw answer that was paid for on this account, parsed or not."""
    row = tx.execute(
        select(calls.c.raw)
        .where(
            *_of_account(account),
            calls.c.state.in_([CallState.ANSWERED, CallState.DONE]),
            calls.c.raw.is_not(None),
        )
        .order_by(calls.c.started_at.desc(), calls.c.id)
        .limit(1)
    ).first()
    return row.raw if row else None


def forget_answers(tx: Connection, rubric: str) -> None:
    """Delete the raw answers and their comments; scores and cost stay.

    Answers that were not parsed count as done: no scores are needed for a deleted rubric.
    """
    mine = calls.c.rubric == rubric
    asked = select(calls.c.fingerprint).where(mine).distinct()
    bought = score.c.call_id.in_(select(calls.c.id).where(mine))
    # By the fingerprint, because the scores have no index on the call.
    of_these = score.c.fingerprint.in_(tx.scalars(asked).all()) & bought
    tx.execute(update(score).where(of_these).values(comment=""))
    unparsed = update(calls).where(mine, calls.c.state == CallState.ANSWERED)
    tx.execute(unparsed.values(state=CallState.DONE))
    tx.execute(update(calls).where(mine).values(raw=None))


def forget_old_answers(tx: Connection, prefix: str, before: datetime) -> None:
    """Delete the raw answers of calls that began before then, of rubrics named so, but for those
    that may still be parsed.
    """
    tx.execute(
        update(calls)
        .where(
            calls.c.started_at < before,
            calls.c.rubric.startswith(prefix, autoescape=True),
            calls.c.state != CallState.ANSWERED,
            calls.c.raw.is_not(None),
        )
        .values(raw=None)
    )


def has_open_call(tx: Connection, account: Account, now: datetime) -> bool:
    """Whether another process waits for an answer on this account."""
    found = tx.execute(
        select(calls.c.id)
        .where(*_of_account(account), calls.c.state == CallState.INTENT, calls.c.lease_until > now)
        .limit(1)
    )
    return found.first() is not None


def first_pass_slots(tx: Connection, account: Account) -> list[dict[str, str]]:
    """Paper ids by slot, of each parsed first-pass call of the account's day."""
    rows = tx.execute(
        select(calls.c.papers)
        .where(
            *_of_account(account),
            calls.c.date == account.day,
            calls.c.reading == 1,
            calls.c.state == CallState.DONE,
        )
        .order_by(calls.c.started_at, calls.c.id)
    )
    return [dict(row.papers) for row in rows]


def spent(tx: Connection, rubric: str, day: date) -> int:
    """Nano-dollars spent or reserved for this rubric's day."""
    return int(tx.execute(_RESERVED_OF_DAY, {"rubric": rubric, "day": day}).scalar_one())


def spent_of_month(tx: Connection, now: datetime) -> int:
    """Nano-dollars spent or reserved for all rubrics in the month of `now`."""
    return tx.execute(_RESERVED_OF_MONTH, {"month": _month(now)}).scalar() or 0


def needed_for_day(tx: Connection, rubrics: Iterable[str], day: date, budget_nanos: int) -> int:
    """What those of the rubrics with readers may still spend before they have their digest."""
    made = digests.rubrics_with_digest(tx, day)
    active = subscription.c.state == SubscriberState.ACTIVE.value
    waiting = [
        slug
        for slug in rubrics
        if slug not in made
        and tx.scalar(select(exists().where(subscription.c.rubric == slug, active)))
    ]
    return sum(max(0, budget_nanos - spent(tx, slug, day)) for slug in waiting)


def usage(tx: Connection, rubric: str, day: date) -> tuple[Usage, ...]:
    """What this rubric's day cost, by model; the same on every later run."""
    rows = tx.execute(
        select(calls.c.model, calls.c.usage, calls.c.state, calls.c.upper_nanos)
        .where(_of_day(rubric, day), calls.c.state != CallState.FREE)
        .order_by(calls.c.model)
    )
    sums: dict[str, Usage] = {}
    for row in rows:
        if row.state in (CallState.ANSWERED, CallState.DONE):
            one = Usage(**(row.usage or {"model": row.model}))
        else:
            one = Usage(row.model, uncertain_nanos=row.upper_nanos)
        sums[row.model] = sums.get(row.model, Usage(row.model)) + one
    return tuple(one for one in sums.values() if one.total_tokens or one.uncertain_nanos)


def _in_flight(tx: Connection, account: Account, reading: int, now: datetime) -> set[str]:
    """Papers of other calls whose lease is running."""
    rows = tx.execute(
        _IN_FLIGHT,
        {
            "fingerprint": account.fingerprint,
            "scorer": account.scorer,
            "reading": reading,
            "now": now,
        },
    )
    return {paper_id for row in rows for paper_id in row.papers.values()}


def _of_day(rubric: str, day: date) -> ColumnElement[bool]:
    return (calls.c.rubric == rubric) & (calls.c.date == day)


def _of_account(account: Account) -> Collection[ColumnElement[bool]]:
    return (calls.c.fingerprint == account.fingerprint, calls.c.scorer == account.scorer)


def _end(tx: Connection, call_id: str, state: CallState, at: datetime, **values: object) -> None:
    ending = {"call_id": call_id, "state": state, "ended_at": at, **values}
    if row := tx.execute(_UNCONFIRMED_CALL, ending).first():
        if state is not CallState.LOST:
            _add_to_month(tx, row.started_at, row.cost_nanos - row.upper_nanos)
        return
    # Ended before, by this process or another one.
    before, started_at = tx.execute(_NANOS_OF_CALL, ending).one()
    tx.execute(_CALL, ending)
    _add_to_month(tx, started_at, tx.execute(_NANOS_OF_CALL, ending).scalar_one() - before)


def _usage_columns(usage: Usage | None) -> dict[str, object] | None:
    return asdict(usage) if usage else None


def _cost(usage: Usage | None) -> int:
    return usage.total_nanos if usage else 0


def _lock(tx: Connection) -> None:
    """One reservation at a time. SQLite's write transaction is that already."""
    if tx.dialect.name == "postgresql":
        tx.execute(select(func.pg_advisory_xact_lock(BUDGET_LOCK)))
