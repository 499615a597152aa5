"""Reports of mail servers that come by mail: they count as the provider's events do, once each.

Anybody can write one. How much it does depends on what proves that it is about a mail of ours:

    it came to the bounce address of that mail          all that it says
    a token or the Message-ID of one of our mails       no more than leaving: it can be undone
    the address of a reader                             a soft bounce, never a complaint
    nothing                                             nothing; it is counted, and shown

Whoever gets a digest that was forwarded as an attachment has its tokens and its Message-ID.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from newsletter import returned
from newsletter.links import TEST_READER, Purpose
from newsletter.people import EventKind
from newsletter.replies import is_absence_note
from newsletter.store import returns, subscribers
from newsletter.store.events import Event
from newsletter.store.inbound import State

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.incoming import Incoming
    from newsletter.links import Links
    from newsletter.returned import Returned
    from newsletter.store.inbound import Letter

SAME_REPORT = timedelta(hours=1)
"""Two reports without an id, this near to each other, are taken for one."""
COMPLAINTS = frozenset({"abuse", "fraud"})
OPT_OUTS = frozenset({"opt-out", "opt-out-list"})
RECEIPT = "disposition-notification"
"""That a mail was read or deleted: no report of its delivery."""


class Proof(NamedTuple):
    """Whose mail a report is about.

    `by_mail`: who wrote it has seen that mail. `by_bounce_address`: it came to where the servers
    that carried that mail send their reports.
    """

    email: str = ""
    delivery_id: str = ""
    by_mail: bool = False
    by_bounce_address: bool = False
    test: bool = False


def is_report(mail: Incoming, found: Letter, links: Links) -> bool:
    """Whether a mail server wrote it, even where neither its type nor its sender says so."""
    token = links.read_address(found.envelope_to)
    if mail.report_type == RECEIPT:
        return False
    to_bounces = token is not None and token[0] is Purpose.BOUNCE
    return to_bounces or returned.has_feedback(found.raw) or returned.is_by_a_server(found.raw)


def take(tx: Connection, links: Links, found: Letter, mail: Incoming, now: datetime) -> State:
    """Take a delivery or feedback report as news of the mail that it is about."""
    told = returned.read(found.raw)
    proof = _proof(tx, links, found, told)
    if proof.test or mail.report_type == RECEIPT:
        return State.DONE
    if told.feedback is not None:
        return _feedback(tx, told, proof, found, now)
    by_a_server = mail.report_type or returned.is_by_a_server(found.raw)
    if is_absence_note(mail) and not by_a_server:
        return State.DONE
    if not told.recipients:
        return State.UNREADABLE
    if not proof.email:
        return State.UNREADABLE
    about = told.about(proof.email)
    if news := _bounce(about, proof):
        _tell(tx, news, proof, f"{about.status} {about.diagnostic}".strip(), found, now)
    return State.DONE


def _proof(tx: Connection, links: Links, found: Letter, told: Returned) -> Proof:
    came_to = links.read_address(found.envelope_to)
    if came_to and came_to[0] is Purpose.BOUNCE:
        email = returns.recipient(tx, came_to[1])
        known = bool(email)
        return Proof(email, came_to[1] if known else "", by_mail=known, by_bounce_address=known)
    sent_to = returns.recipient(tx, told.delivery_id)
    token = links.read_address(told.token_address) or came_to
    if token and token[1] == TEST_READER:
        return Proof(test=True)
    if token and (person := subscribers.get(tx, token[1])) and person.email:
        same = sent_to == person.email
        return Proof(person.email, told.delivery_id if same else "", by_mail=True)
    if sent_to:
        return Proof(sent_to, told.delivery_id, by_mail=True)
    named = [one.original or one.address for one in told.recipients]
    readers = (subscribers.find(tx, one) for one in named if one)
    return Proof(next((one.email for one in readers if one), ""))


def _feedback(tx: Connection, told: Returned, proof: Proof, found: Letter, now: datetime) -> State:
    """A complaint, a wish to leave, or neither (RFC 5965 and RFC 6430 name the types)."""
    complaint = told.feedback in COMPLAINTS
    if told.feedback and not complaint and told.feedback not in OPT_OUTS:
        return State.DONE
    if not told.feedback or not proof.by_mail:
        return State.LETTER
    news = EventKind.COMPLAINT if complaint and proof.by_bounce_address else EventKind.UNSUBSCRIBE
    _tell(tx, news, proof, f"feedback report: {told.feedback}", found, now)
    return State.DONE


def _bounce(about: returned.Recipient, proof: Proof) -> EventKind | None:
    """By hearsay no bounce is hard, or anybody could end a subscription."""
    if about.action == "failed":
        if not (about.is_gone and proof.by_mail):
            return EventKind.SOFT_BOUNCE
        return EventKind.HARD_BOUNCE if proof.by_bounce_address else EventKind.REPORTED_BOUNCE
    if about.action == "delayed":
        return EventKind.DEFERRED
    return EventKind.PROCESSED if about.action and proof.by_mail else None


def _tell(
    tx: Connection, news: EventKind, proof: Proof, reason: str, found: Letter, now: datetime
) -> None:
    event = Event(news, proof.email, found.received_at, proof.delivery_id, reason=reason)
    returns.tell(tx, event, now, SAME_REPORT)
