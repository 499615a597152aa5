"""What became of each mail, call and score after a kill sweep over workers, and what is wrong."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from newsletter.jobs.reaper import HeartbeatConfig
from newsletter.store.claims import SENDER_LOST
from newsletter.store.ledger import CallState
from newsletter.store.tables import call, delivery, digest, score
from tests.fakes.scoring import papers, scores_in_abstract
from tests.simulations.workers import all_tasks

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from newsletter.store import Store
    from tests.fakes.anthropic import FakeAnthropic
    from tests.fakes.sendgrid import FakeSendGrid

PAPERS = 16


@dataclass
class Cut:
    """A worker was cut off from the database, or silent, from `at` to `healed`."""

    owner: str
    at: datetime
    healed: datetime | None = None

    def may_have_held(self, one: Any) -> bool:
        """Whether a call may have been under way then, and looked like that of a dead worker.

        A worker is known to be alive when the first heartbeat after the cut is written.
        """
        known = self.healed and self.healed + HeartbeatConfig().heartbeat_interval
        began = known is None or one.started_at <= known
        return bool(
            began
            and one.owner.startswith(self.owner)
            and (one.ended_at is None or one.ended_at >= self.at)
        )


def silences(file: Path) -> list[Cut]:
    """When workers were silent for so long that others may have taken them for dead."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [
        Cut(owner, datetime.fromisoformat(begun), datetime.fromisoformat(ended))
        for owner, begun, ended in map(json.loads, lines)
    ]


def figures(
    store: Store,
    disturbed: Collection[str],
    cuts: Collection[Cut],
    mail: FakeSendGrid,
    model: FakeAnthropic,
) -> dict[str, Any]:
    taken = Counter(mail.addresses)
    tasks: Counter[str] = Counter()
    if not store.is_sqlite:
        found = all_tasks(store).items()
        tasks.update(f"{name.split()[0]} {status}" for name, (status, _) in found)
    with store.read() as tx:
        mails = {row.email: row.state for row in tx.execute(select(delivery))}
        unknown = tx.execute(
            select(delivery.c.lease_owner, delivery.c.reason).where(delivery.c.state == "unknown")
        ).all()
        calls = tx.execute(select(call)).all()
        scores = tx.execute(select(score)).all()
        digests = tx.scalar(select(func.count()).where(digest.c.announced == digest.c.scanned))
    bought = Counter(
        (one.fingerprint, paper)
        for one in calls
        if one.state in (CallState.DONE, CallState.ANSWERED)
        for paper in one.papers.values()
    )
    in_flight = Counter(
        (one.fingerprint, paper)
        for one in calls
        if any(cut.may_have_held(one) for cut in cuts)
        for paper in one.papers.values()
    )
    wanted = {paper.id: scores_in_abstract(paper.title, paper.abstract) for paper in papers(PAPERS)}
    right = sum(
        (one.relevance, one.novelty) == (wanted[one.paper_id]["r"], wanted[one.paper_id]["n"])
        for one in scores
    )
    return {
        "tasks": dict(tasks),
        "mails": dict(Counter(mails.values())),
        "addresses mailed twice": sum(number > 1 for number in taken.values()),
        "taken but neither accepted nor unknown": sum(
            mails.get(email) not in {"accepted", "unknown"} for email in taken
        ),
        "accepted but never taken": sum(
            state == "accepted" and not taken[email] for email, state in mails.items()
        ),
        "unknown without a reason": sum(not one.reason for one in unknown),
        "unknown of one neither killed nor cut off": sum(
            one.reason == SENDER_LOST and not of_any(one.lease_owner, disturbed) for one in unknown
        ),
        "unknown for want of an answer": sum(
            one.reason != SENDER_LOST and "timed out" not in one.reason for one in unknown
        ),
        "scores": len(scores),
        "right scores": right,
        "papers bought twice": sum(number > 1 + in_flight[key] for key, number in bought.items()),
        "papers in flight at cuts": in_flight.total(),
        "calls paid": len(model.answered),
        "calls lost": sum(one.state == CallState.LOST for one in calls),
        "calls lost of one neither killed nor cut off": sum(
            one.state == CallState.LOST and not of_any(one.owner, disturbed) for one in calls
        ),
        "whole digests": digests,
    }


def of_any(owner: str, disturbed: Collection[str]) -> bool:
    """Whether the owner of a row was killed, cut off from the database, or silent for long."""
    return any(owner.startswith(one) for one in disturbed)


def faults(
    found: dict[str, Any], lost_answers: int, deliveries: int, rubrics: int, standstill: float
) -> list[str]:
    """Which promises were broken; no `standstill` seconds may pass without progress."""
    mails = found["mails"]
    checks = {
        "a delivery is not accounted for": sum(mails.values()) != deliveries,
        "a delivery is left pending or sending": bool({"pending", "sending"} & mails.keys()),
        "an address was mailed twice": found["addresses mailed twice"] > 0,
        "a mail went out that is not known of": found["taken but neither accepted nor unknown"] > 0,
        "a delivery is called accepted that was not": found["accepted but never taken"] > 0,
        "an unknown one has no reason": found["unknown without a reason"] > 0,
        "a mail is unknown of one that was neither killed nor cut off": found[
            "unknown of one neither killed nor cut off"
        ]
        > 0,
        "more have no answer than answers were lost": found["unknown for want of an answer"]
        > lost_answers,
        "a score is missing": found["scores"] != rubrics * PAPERS,
        "a score is wrong": found["right scores"] != found["scores"],
        "a paper was bought twice, and not in flight at a cut": found["papers bought twice"] > 0,
        "a call is lost of one that was neither killed nor cut off": found[
            "calls lost of one neither killed nor cut off"
        ]
        > 0,
        "a worker ended by itself": bool(found["workers that failed"]),
        "a digest is missing, or not of all papers": found["whole digests"] != rubrics,
        "no progress for too long": found["longest standstill, s"] > standstill,
        "a task did not end": any("SUCCESS" not in name for name in found["tasks"]),
    }
    return [promise for promise, broken in checks.items() if broken]
