"""A service after a month: digests, mails in every state, replies, unknown mails, an open alert."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import insert

from newsletter.domain.alerts import Alert, AlertKind
from newsletter.domain.announcements import is_announced
from newsletter.domain.links import Links
from newsletter.domain.mail import DeliveryState
from newsletter.store import alerts, digests, inbound
from newsletter.store.tables import delivery
from tests.fakes.pages import LINKS, MODELS, NOW, STARS, THURSDAY, issue, paper, reader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from newsletter.domain.mail import Subscription
    from newsletter.store import Store

REPLY = """Please take me off this list, and write to bo@example.net instead. <b>Thanks</b>"""
LEAVING, LETTER = "leaving@example.org", "writes@example.com"


def month(store: Store, days: int = 30) -> list[Subscription]:
    """Digests of two rubrics on the weekdays before Thursday and on it; their readers."""
    people = [reader(store, email=f"reader{number}@example.org") for number in range(12)]
    for back in range(days):
        day = THURSDAY - timedelta(days=back)
        if not is_announced(day):
            continue
        for rubric in (STARS, MODELS)[: 1 + back % 2]:
            count = 2 + (7 * back) % 9
            papers = [paper(f"{rubric.slug}-{back}-{n}") for n in range(count)]
            issue(store, rubric, day, papers)
            if rubric is STARS:
                mails(store, day, people, DeliveryState.ACCEPTED)
    return people


def mails(store: Store, day: object, people: list[Subscription], state: DeliveryState) -> None:
    """One row for each reader; the first three are other than the rest."""
    others = (DeliveryState.PENDING, DeliveryState.SKIPPED, DeliveryState.REJECTED)
    with store.begin() as tx:
        digest_id = next(e.id for e in digests.summaries(tx, 500, STARS.slug) if e.date == day)
        for number, person in enumerate(people):
            known = others[number] if number < len(others) else state
            tx.execute(insert(delivery).values(row(digest_id, person, known)))


def row(digest_id: int, person: Subscription, state: DeliveryState) -> Mapping[str, object]:
    return {
        "id": uuid4().hex,
        "digest_id": digest_id,
        "subscriber_id": person.id,
        "subscription_id": person.id,
        "email": person.email,
        "state": state.value,
        "attempt": 1,
        "failures": 0,
        "reason": "no whole answer for reader5@example.org",
        "created_at": NOW,
        "changed_at": NOW,
    }


def doubt(store: Store, person: Subscription) -> str:
    """A mail of which nobody knows whether it went out; its id."""
    with store.begin() as tx:
        digest_id = next(e.id for e in digests.summaries(tx, 1, STARS.slug))
        given = row(digest_id, person, DeliveryState.UNKNOWN)
        tx.execute(insert(delivery).values(given))
    return str(given["id"])


def reply(store: Store, person: Subscription | None = None, said: str = REPLY) -> str:
    """A reply that waits for a person; its id."""
    sender = LEAVING if person else LETTER
    raw = f"Message-ID: <{uuid4().hex}@example.org>\r\n\r\n{said}".encode()
    to = Links.reply_address(LINKS, person.id) if person else "digest@example.org"
    state = inbound.InboundState.REVIEW if person else inbound.InboundState.PERSONAL
    with store.begin() as tx:
        inbound.keep(tx, raw, envelope_from=sender, envelope_to=to, now=NOW, aligned=False)
        key = inbound.identity(raw, to)
        inbound.set_state(tx, key, state, person.id if person else None, said)
    return key


def alert(store: Store, **changes: str) -> None:
    given = Alert(AlertKind.HALTED, "stars", "SendGrid answered 401", "check SENDGRID_API_KEY", "x")
    with store.begin() as tx:
        alerts.record(tx, [replace(given, **changes)], NOW)
