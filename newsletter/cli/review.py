"""`deliveries ...` and `replies ...`: what only a person can decide."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from newsletter import bootstrap
from newsletter.cli.console import print_json, say, table
from newsletter.domain.formatting import plural
from newsletter.operations import review
from newsletter.operations.review import ReviewDecision
from newsletter.settings import SettingsError, read_settings
from newsletter.store import claims, first_mails, inbound, mail_batches
from newsletter.store.reports import operator_views

if TYPE_CHECKING:
    from newsletter.store.inbound import InboundMail

MAX_REPORTS = 50
SHORT = 12
"""Hex digits of a reply's id that are shown; the beginning of an id is enough to name it."""


def show_unknown(*, as_json: bool) -> int:
    """List mails whose outcome is unknown. A batch is one row: its mails are decided together."""
    with bootstrap.open_store(read_settings()).read() as tx:
        many = mail_batches.unknown_batches(tx)
        found = mail_batches.without_unknown_batches(tx, claims.unknown_deliveries(tx))
    facts = [
        {
            "id": one.id,
            "email": f"a batch of {one.readers}",
            "rubric": one.rubric,
            "date": one.date.isoformat(),
            "since": one.since.isoformat(),
            "reason": one.reason,
        }
        for one in many
    ] + [
        {
            "id": one.id,
            "email": one.email,
            "rubric": one.rubric,
            "date": one.date.isoformat(),
            "since": one.since.isoformat(),
            "reason": one.reason,
        }
        for one in found
    ]
    _show("Mails whose outcome is unknown", facts, as_json=as_json)
    return 0


def show_resolve(delivery_id: str, *, sent: bool) -> int:
    with bootstrap.open_store(read_settings()).begin() as tx:
        done = review.resolve_mail(tx, delivery_id, bootstrap.now(), sent=sent)
    if done is ReviewDecision.NOT_WAITING:
        message = f"no unknown mail has the id {delivery_id}; see: newsletter deliveries list"
        raise SettingsError(message)
    say(done)
    return 0


def show_allow(rubric: str, day: str) -> int:
    try:
        of_day = date.fromisoformat(day)
    except ValueError:
        message = f"--date {day}: write it as 2025-09-25"
        raise SettingsError(message) from None
    with bootstrap.open_store(read_settings()).begin() as tx:
        waiting = first_mails.lift_limits(tx, rubric, of_day)
    if waiting is None:
        message = f"no digest of {rubric} for {day} was mailed; see: newsletter status"
        raise SettingsError(message)
    if not waiting:
        say(f"{rubric} of {day}: no mail is waiting")
        return 0
    say(
        f"{rubric} of {day}: {plural(waiting, 'waiting mail')} will be sent, within five "
        f"minutes by `newsletter serve`, or by: newsletter run --date {day} --rubric {rubric}"
    )
    return 0


def show_reports(*, as_json: bool) -> int:
    with bootstrap.open_store(read_settings()).read() as tx:
        found = operator_views.unreadable_reports(tx, bootstrap.now(), MAX_REPORTS)
    facts = [
        {
            "received": f"{one.received_at:%Y-%m-%d %H:%M}",
            "from": one.sender,
            "said": " ".join(one.said.split())[:200],
        }
        for one in found
    ]
    _show("Bounce reports without a known mail", facts, as_json=as_json)
    return 0


def show_replies(*, as_json: bool) -> int:
    with bootstrap.open_store(read_settings()).read() as tx:
        found = inbound.review_queue(tx)
    facts = [
        {
            "id": one.id[:SHORT],
            "received": f"{one.received_at:%Y-%m-%d %H:%M}",
            "from": one.envelope_from,
            "kind": one.state.value,
            "said": " ".join(one.said.split())[:200],
        }
        for one in found
    ]
    _show("Replies to read", facts, as_json=as_json)
    return 0


def show_answer(reply_id: str, *, unsubscribe: bool) -> int:
    with bootstrap.open_store(read_settings()).begin() as tx:
        reply = _named(inbound.review_queue(tx), reply_id)
        done = review.answer_reply(tx, reply.id, bootstrap.now(), unsubscribe=unsubscribe)
    if done is ReviewDecision.NOBODY:
        raise SettingsError(done)
    say(done)
    return 0


def _named(queued: list[InboundMail], reply_id: str) -> InboundMail:
    found = [one for one in queued if reply_id and one.id.startswith(reply_id)]
    if len(found) != 1:
        message = f"{len(found)} open replies begin with {reply_id!r}; see: newsletter replies list"
        raise SettingsError(message)
    return found[0]


def _show(title: str, facts: list[dict[str, str]], *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
    elif facts:
        say(table(title, [*facts[0]], [[*fact.values()] for fact in facts]))
    else:
        say(f"{title}: none")
